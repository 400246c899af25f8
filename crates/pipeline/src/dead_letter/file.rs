//! The files of a directory of dead letters. Everything here may wait for the disk.

use super::mend::mend;
use super::{BuryError, DeadLetterConfig};
use jiff::Timestamp;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

const PREFIX: &str = "dead-letters-";
const SUFFIX: &str = ".jsonl";

/// Appends to the newest file of the directory.
#[derive(Debug)]
pub(super) struct Writer {
    dir: PathBuf,
    max_bytes: u64,
    max_file_bytes: u64,
    /// Bytes in all files.
    used: u64,
    current: Option<Current>,
    /// Locked, so that no other process writes here.
    _lock: File,
}

#[derive(Debug)]
struct Current {
    file: File,
    path: PathBuf,
    /// Up to here everything is whole lines, and durable.
    len: u64,
}

impl Writer {
    pub(super) fn open(config: &DeadLetterConfig) -> io::Result<Self> {
        fs::create_dir_all(&config.path)?;
        let lock = lock(&config.path)?;
        for path in letter_files(&config.path)? {
            mend(&path).map_err(|error| named(&path, &error))?;
        }
        let mut writer = Self {
            dir: config.path.clone(),
            max_bytes: config.max_bytes.0,
            max_file_bytes: config.max_file_bytes.0,
            used: 0,
            current: None,
            _lock: lock,
        };
        writer.recount()?;
        Ok(writer)
    }

    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// Appends whole lines. When it returns, they are durable; when it fails, none of them stands in front of later ones.
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<(), BuryError> {
        let wanted = lines.len() as u64;
        if self.used + wanted > self.max_bytes {
            // Somebody may have moved files away.
            self.recount()?;
        }
        // Alone, a letter is kept whatever its size: there is nothing that could be moved away for it.
        if self.used > 0 && self.used + wanted > self.max_bytes {
            return Err(BuryError::Full { wanted, used: self.used, limit: self.max_bytes });
        }
        let mut current = match self.current.take() {
            Some(current) if current.len + wanted <= self.max_file_bytes && current.path.exists() => current,
            _ => self.begin()?,
        };
        match write_durably(&mut current.file, lines) {
            Ok(()) => {
                current.len += wanted;
                self.used += wanted;
                self.current = Some(current);
                Ok(())
            }
            // After a failed fsync nobody knows what is on disk: this file is not written to again.
            Err(error) => {
                discard(current);
                Err(error.into())
            }
        }
    }

    fn begin(&self) -> io::Result<Current> {
        let begun = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut number = 0;
        loop {
            let path = self.dir.join(format!("{PREFIX}{begun}-{number}{SUFFIX}"));
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => {
                    File::open(&self.dir)?.sync_all()?;
                    return Ok(Current { file, path, len: 0 });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn recount(&mut self) -> io::Result<()> {
        self.used = 0;
        for path in letter_files(&self.dir)? {
            // A file moved away in between is not there any more.
            self.used += fs::metadata(&path).map_or(0, |metadata| metadata.len());
        }
        Ok(())
    }
}

/// Takes a directory of letters for this process alone, until the file is closed.
///
/// # Errors
/// [`io::ErrorKind::ResourceBusy`] if another process, or another part of this one, has it.
pub(super) fn lock(dir: &Path) -> io::Result<File> {
    let handle = File::open(dir)?;
    match handle.try_lock() {
        Ok(()) => Ok(handle),
        Err(TryLockError::WouldBlock) => Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "this directory is in use: each process, and each part of one, needs one of its own",
        )),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The error with the file's name in it.
fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Opens a new file that only its owner can read until it is [`resemble`]d to another.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).mode(0o600);
    options
}

/// Gives a file the owner and the mode of another, as far as that is allowed: letters are as private as what they came from.
pub(super) fn resemble(file: &File, model: &fs::Metadata) -> io::Result<()> {
    match fchown(file, Some(model.uid()), Some(model.gid())) {
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
        // Only root may give files away. Then it is ours, as it was if we could write to it.
        Err(_) | Ok(()) => {}
    }
    file.set_permissions(model.permissions())
}

fn write_durably(file: &mut File, lines: &[u8]) -> io::Result<()> {
    file.write_all(lines)?;
    file.sync_data()
}

/// Takes back what a failed write has left behind, as far as the disk still obeys.
fn discard(current: Current) {
    let Current { file, path, len } = current;
    let undone =
        if len == 0 { fs::remove_file(&path) } else { file.set_len(len).and_then(|()| file.sync_all()) };
    if let Err(error) = undone {
        tracing::error!(path = %path.display(), %error, "a torn line may stand at the end of this file of dead letters");
    }
}

/// The files of letters in a directory, in no order.
pub(super) fn letter_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        // A directory of such a name is nobody's letters; a link to a file may be.
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) && !entry.path().is_dir() {
            files.push(entry.path());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::units::ByteSize;

    #[test]
    fn a_write_that_fails_midway_leaves_whole_lines_only() {
        let dir = tempfile::tempdir().unwrap();
        let config = DeadLetterConfig {
            path: dir.path().to_owned(),
            max_bytes: ByteSize(100),
            max_file_bytes: ByteSize(100),
            to: None,
        };
        let mut writer = Writer::open(&config).unwrap();
        writer.append(b"whole\n").unwrap();
        let mut current = writer.current.take().unwrap();
        current.file.write_all(b"to").unwrap();
        let path = current.path.clone();
        discard(current);
        assert_eq!(fs::read(&path).unwrap(), b"whole\n");
        writer.append(b"next\n").unwrap();
        let next = writer.current.take().unwrap();
        assert_ne!(next.path, path, "a file that failed is written to again");

        let mut begun = writer.begin().unwrap();
        begun.file.write_all(b"to").unwrap();
        let path = begun.path.clone();
        discard(begun);
        assert!(!path.exists(), "an empty file stays");
    }
}
