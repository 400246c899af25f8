//! `cargo xtask image`: the root file system of the image, as the Dockerfile copies it, without a container engine.

use crate::{command, dist};
use anyhow::{Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The most that the image may have, in bytes.
const MOST_BYTES: u64 = 40 << 20;

/// Builds the binary as it is shipped, and the root file system around it in `target/image`.
///
/// # Errors
/// The build or the script failed, or the image is too large.
pub fn run() -> Result<()> {
    let binary = dist::build()?;
    let root = command::target().join("image");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    let mut script = Command::new("sh");
    script.arg(command::root().join("deploy/docker/rootfs.sh"));
    command::show(script.arg(binary).arg(&root))?;
    let bytes = size(&root)?;
    println!("{bytes} bytes in files, where {MOST_BYTES} are allowed");
    ensure!(bytes <= MOST_BYTES, "the image is too large");
    Ok(())
}

/// The sum of all files below a folder.
fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}
