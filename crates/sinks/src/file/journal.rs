//! One destination's file: appended to whole batches at a time, rotated by size.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Bytes that are read at once while looking for the last line break.
const PIECE: u64 = 64 << 10;

/// How files are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) max_bytes: u64,
    pub(super) max_files: Option<u32>,
    pub(super) fsync: bool,
}

#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    rules: Rules,
    file: Option<File>,
    /// How far the file is good. Beyond it there may be a batch that failed.
    good: u64,
    /// A batch failed and could not be cut off.
    torn: bool,
}

impl Journal {
    pub(super) fn new(path: PathBuf, rules: Rules) -> Self {
        Self { path, rules, file: None, good: 0, torn: false }
    }

    /// Appends whole lines, all of them or none.
    ///
    /// # Errors
    /// What the system said; the file is then as it was, or will be before the next batch.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.open()?;
        if self.good > 0 && self.good + lines.len() as u64 > self.rules.max_bytes {
            self.rotate()?;
            self.open()?;
        }
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        let mut written = file.write_all(lines);
        if written.is_ok() && self.rules.fsync {
            written = file.sync_data();
        }
        match written {
            Ok(()) => self.good += lines.len() as u64,
            Err(_) => self.torn = file.set_len(self.good).is_err(),
        }
        written
    }

    /// Makes sure that there is a file which ends where it is good.
    fn open(&mut self) -> io::Result<()> {
        if self.file.as_ref().is_some_and(|file| !is_at(file, &self.path)) {
            // Somebody moved or deleted it: what is written to it now would be nowhere.
            self.file = None;
            self.torn = false;
        }
        if let Some(file) = &self.file {
            if self.torn {
                file.set_len(self.good)?;
                self.torn = false;
            }
            return Ok(());
        }
        if let Some(directory) = self.path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let file = OpenOptions::new().read(true).append(true).create(true).open(&self.path)?;
        let length = file.metadata()?.len();
        self.good = last_line_end(&file, length)?;
        if self.good < length {
            tracing::warn!(path = %self.path.display(), bytes = length - self.good, "cut off a torn last line");
            file.set_len(self.good)?;
        }
        self.sync_directory()?;
        self.file = Some(file);
        Ok(())
    }

    /// The file gets the next number; old ones go, if there are too many.
    fn rotate(&mut self) -> io::Result<()> {
        let mut numbers = self.numbers()?;
        let number = numbers.last().map_or(1, |last| last + 1);
        std::fs::rename(&self.path, numbered(&self.path, number))?;
        self.file = None;
        numbers.push(number);
        if let Some(kept) = self.rules.max_files {
            let excess = numbers.len().saturating_sub(kept as usize);
            for old in &numbers[..excess] {
                std::fs::remove_file(numbered(&self.path, *old))?;
            }
        }
        Ok(())
    }

    /// The numbers of the full files, ascending.
    fn numbers(&self) -> io::Result<Vec<u64>> {
        let (Some(directory), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Ok(Vec::new());
        };
        let mut prefix = name.to_string_lossy().into_owned();
        prefix.push('.');
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(&prefix)?.parse().ok());
            numbers.extend::<Option<u64>>(number);
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// A new name is on the disk only when its directory is.
    fn sync_directory(&self) -> io::Result<()> {
        match self.path.parent() {
            Some(directory) if self.rules.fsync => File::open(directory)?.sync_all(),
            _ => Ok(()),
        }
    }
}

/// Whether `path` still names the file that is open.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: &std::fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata(), path.metadata()), (Ok(open), Ok(named)) if identity(&open) == identity(&named))
}

fn numbered(path: &Path, number: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Where the last whole line ends.
fn last_line_end(mut file: &File, length: u64) -> io::Result<u64> {
    let mut end = length;
    let mut piece = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(PIECE);
        piece.clear();
        file.seek(SeekFrom::Start(start))?;
        file.take(end - start).read_to_end(&mut piece)?;
        if let Some(place) = memchr::memrchr(b'\n', &piece) {
            return Ok(start + place as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_a_failed_batch_left_is_cut_off_before_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.ndjson");
        let rules = Rules { max_bytes: 100, max_files: None, fsync: false };
        let mut journal = Journal::new(path.clone(), rules);
        journal.append(b"1\n").unwrap();
        // As after a write that ended in the middle, and a cut that failed too.
        journal.file.as_mut().unwrap().write_all(b"2\n3").unwrap();
        journal.torn = true;
        journal.append(b"4\n").unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "1\n4\n");
    }

    #[test]
    fn a_file_that_was_deleted_or_moved_is_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("inner").join("a.ndjson");
        let mut journal = Journal::new(path.clone(), Rules { max_bytes: 4, max_files: None, fsync: true });
        journal.append(b"1\n").unwrap();
        std::fs::remove_file(&path).unwrap();
        journal.append(b"2\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "2\n");
        std::fs::remove_dir_all(directory.path().join("inner")).unwrap();
        for line in [b"3\n", b"4\n", b"5\n"] {
            journal.append(line).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "5\n");
        assert_eq!(std::fs::read_to_string(numbered(&path, 1)).unwrap(), "3\n4\n");
    }
}
