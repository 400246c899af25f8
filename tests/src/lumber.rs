//! go-lumber, the client inside Filebeat, with a small program of ours around it (`tests/go/lumber`).

use crate::{cache, process};
use anyhow::{Context, Result};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program, built on first use.
pub fn install() -> Result<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("go/lumber");
    let stamp: Vec<String> = ["go.mod", "main.go"]
        .map(|file| std::fs::read_to_string(sources.join(file)))
        .into_iter()
        .collect::<Result<_, _>>()?;
    let folder = cache::install("lumber", &stamp.concat(), |place| {
        let mut go = Command::new("go");
        go.current_dir(&sources).args(["build", "-o"]).arg(place.join("lumber")).arg(".");
        // The machine's own Go, not one fetched for the purpose; two compilers at a time leave memory for the rest.
        go.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-p=2").env("CGO_ENABLED", "0");
        process::run(&mut go).context("go-lumber needs Go (golang)").map(drop)
    })?;
    Ok(folder.join("lumber"))
}

/// Sends `events`, a line of JSON each, to this port of the loopback address. `args` are those of the program: `["-inflight", "2"]`.
///
/// # Errors
/// Not all of them were acknowledged.
pub fn send(port: u16, args: &[&str], events: &str) -> Result<Output> {
    let mut input = tempfile::tempfile()?;
    input.write_all(events.as_bytes())?;
    input.rewind()?;
    process::run(
        Command::new(install()?).args(["-address", &format!("127.0.0.1:{port}")]).args(args).stdin(input),
    )
}
