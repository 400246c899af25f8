//! Where a journal lies: a flat folder of files, behind a trait so that tests can crash it.

use super::block_file::BlockFile;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A folder of files. Nothing is durable before it was synced: content by [`Appender::sync`], names by
/// [`sync_names`](Self::sync_names).
pub trait Storage: Debug + Send + Sync {
    type Appender: Appender;

    /// What is there and its size in bytes, in no order. Whatever has a file's name counts, so that what is no file cannot pass for nothing.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// A new, empty file; one of that name is emptied.
    fn create(&self, name: &str) -> io::Result<Self::Appender>;

    /// Up to `len` bytes of a file from `offset` on; fewer only where the file ends.
    fn read(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>>;

    /// Cuts a file down to `len` bytes, durably.
    fn truncate(&self, name: &str, len: u64) -> io::Result<()>;

    /// Gives a file another name, in the place of a file that has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes every create, rename and remove so far durable.
    fn sync_names(&self) -> io::Result<()>;
}

/// A file that is written at its end. What was appended need not be in the file before it was synced.
pub trait Appender: Debug + Send {
    /// Writes all of `bytes`. After an error any part of them may stand in the file.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Writes all of `parts`, one after the other. After an error any part of them may stand in the file.
    fn append_parts(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        parts.iter().try_for_each(|part| self.append(part))
    }

    /// Makes what was written durable. After an error nothing is known of what was written since the last success, and trying
    /// again proves nothing: the kernel may have dropped the pages.
    fn sync(&mut self) -> io::Result<()>;
}

/// A real folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Held open: a folder is synced through a handle on it, and locked by one.
    handle: File,
}

impl Folder {
    /// Opens a folder, creating it if need be, for this process alone.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] if another process has it.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let handle = File::open(path)?;
        handle.try_lock().map_err(io::Error::from)?;
        Ok(Self { path: path.to_owned(), handle })
    }

    /// Opens a folder that must be there already, for this process alone.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] if another process has it.
    pub fn open_existing(path: &Path) -> io::Result<Self> {
        let folder = Self::unlocked(path)?;
        folder.handle.try_lock().map_err(io::Error::from)?;
        Ok(folder)
    }

    /// A folder that is there, without keeping others from it.
    pub(super) fn unlocked(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), handle: File::open(path)? })
    }

    /// Whether a process has this folder. Holds it for no longer than the question.
    pub(super) fn in_use(&self) -> io::Result<bool> {
        match self.handle.try_lock_shared() {
            Ok(()) => self.handle.unlock().map(|()| false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Storage for Folder {
    type Appender = BlockFile;

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // Other names are not ours.
            let Ok(name) = entry?.file_name().into_string() else { continue };
            let len = match fs::metadata(self.path.join(&name)) {
                Ok(about) => about.len(),
                // Of a link to nothing, or of what has gone meanwhile, there is none: whoever reads it finds out.
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                Err(error) => return Err(error),
            };
            files.push((name, len));
        }
        Ok(files)
    }

    fn create(&self, name: &str) -> io::Result<BlockFile> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(self.path.join(name))?;
        Ok(BlockFile::new(file))
    }

    fn read(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.path.join(name))?;
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match file.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.path.join(name))?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn parts_stand_in_the_file_one_after_the_other() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path()).unwrap();
        let mut file = folder.create("a").unwrap();
        file.append_parts(&[]).unwrap();
        file.append_parts(&[b"", b"one ", b"", &[b'x'; 100_000], b""]).unwrap();
        file.append_parts(&[b"", b""]).unwrap();
        file.append(b" end").unwrap();
        file.sync().unwrap();
        let bytes = folder.read("a", 0, 1 << 20).unwrap();
        assert_eq!(bytes, [&b"one "[..], &[b'x'; 100_000], b" end"].concat());
    }
}
