//! A disk that is full or broken for a while, for one process and some of its folders.
//!
//! A file system of a limited size would need root; a library that stands between the process and its system calls does
//! not, can fail a sync as well, and leaves the rest of the machine alone.

use crate::process;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const SOURCE: &str = include_str!("shim.c");

/// How a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// Half of a write finds room, the rest does not (ENOSPC).
    Full,
    /// Nothing can be written or synced (EIO).
    Broken,
}

/// Something that can make the disk under a process fail, and mend it.
pub trait Disk: std::fmt::Debug {
    /// What the process's environment must have.
    fn environment(&self, folders: &[PathBuf]) -> Vec<(String, String)>;

    /// From now on the folders' files fail.
    fn fail(&self, fault: DiskFault) -> Result<()>;

    /// From now on they do not.
    fn mend(&self) -> Result<()>;

    /// How many calls have failed so far.
    fn hits(&self) -> u64;

    /// The bytes of each file that its last sync made durable: what a power cut leaves at least.
    fn synced(&self) -> Result<BTreeMap<PathBuf, u64>>;
}

/// The shim: a library in C that is loaded in front of the C library (`LD_PRELOAD`).
#[derive(Debug)]
pub struct Shim {
    folder: TempDir,
}

impl Shim {
    /// Compiles it.
    ///
    /// # Errors
    /// There is no C compiler, which cargo needs too.
    pub fn build() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("forebay-disk-").tempdir()?;
        let source = folder.path().join("shim.c");
        fs::write(&source, SOURCE)?;
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-shared", "-fPIC", "-o"]).arg(folder.path().join("shim.so")).arg(source).arg("-ldl");
        process::run(&mut cc)?;
        Ok(Self { folder })
    }

    fn control(&self) -> PathBuf {
        self.folder.path().join("control")
    }
}

impl Disk for Shim {
    fn environment(&self, folders: &[PathBuf]) -> Vec<(String, String)> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let folders: Vec<String> = folders.iter().map(|folder| text(folder)).collect();
        vec![
            ("LD_PRELOAD".to_owned(), text(&self.folder.path().join("shim.so"))),
            ("FOREBAY_DISK_CONTROL".to_owned(), text(&self.control())),
            ("FOREBAY_DISK_FOLDERS".to_owned(), folders.join(":")),
        ]
    }

    fn fail(&self, fault: DiskFault) -> Result<()> {
        let word = match fault {
            DiskFault::Full => "Space",
            DiskFault::Broken => "Input/output",
        };
        // Never there and empty at once.
        let draft = self.folder.path().join("draft");
        fs::write(&draft, word)?;
        Ok(fs::rename(draft, self.control())?)
    }

    fn mend(&self) -> Result<()> {
        if self.control().exists() {
            fs::remove_file(self.control())?;
        }
        Ok(())
    }

    fn hits(&self) -> u64 {
        fs::metadata(self.folder.path().join("control.hits")).map_or(0, |hits| hits.len())
    }

    fn synced(&self) -> Result<BTreeMap<PathBuf, u64>> {
        let file = self.folder.path().join("control.synced");
        let mut synced = BTreeMap::new();
        if file.exists() {
            for line in fs::read_to_string(file)?.lines() {
                let (bytes, path) = line.split_once(' ').context("not a size and a path")?;
                synced.insert(PathBuf::from(path), bytes.parse()?);
            }
        }
        Ok(synced)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Writes with a program of the system, in the folder that fails.
    fn write(shim: &Shim, folder: &Path) -> bool {
        let target = format!("of={}", folder.join("file").display());
        let mut dd = Command::new("dd");
        dd.args(["if=/dev/zero", "bs=64", "count=1", "conv=fsync", &target]);
        dd.envs(shim.environment(&[folder.to_path_buf()]));
        dd.output().unwrap().status.success()
    }

    #[test]
    fn a_disk_fails_until_it_is_mended_and_only_where_it_should() {
        let shim = Shim::build().unwrap();
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert!(write(&shim, folder.path()));
        assert_eq!(shim.hits(), 0);
        assert_eq!(shim.synced().unwrap(), BTreeMap::from([(folder.path().join("file"), 64)]));
        for fault in [DiskFault::Full, DiskFault::Broken] {
            shim.fail(fault).unwrap();
            let before = shim.hits();
            assert!(!write(&shim, folder.path()), "{fault:?}");
            assert!(shim.hits() > before, "{fault:?}");
        }
        let mut elsewhere = Command::new("dd");
        elsewhere.args(["if=/dev/zero", "bs=64", "count=1"]);
        elsewhere.arg(format!("of={}", other.path().join("file").display()));
        elsewhere.envs(shim.environment(&[folder.path().to_path_buf()]));
        assert!(elsewhere.output().unwrap().status.success());
        shim.mend().unwrap();
        assert!(write(&shim, folder.path()));
    }
}
