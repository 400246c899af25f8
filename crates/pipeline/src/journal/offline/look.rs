//! Reading a journal's folder without changing it.

use crate::journal::storage::{Folder, Storage};
use std::io;
use std::path::Path;

/// A folder that can be read, whoever has it, and not written to.
#[derive(Debug)]
pub struct ReadOnly<S>(S);

impl ReadOnly<Folder> {
    /// Looks into a folder that is there. It is not locked: a gateway that starts meanwhile must not find it taken.
    ///
    /// # Errors
    /// There is no such folder, or it may not be read.
    pub fn look(path: &Path) -> io::Result<Self> {
        let folder = Folder::unlocked(path)?;
        folder.list()?;
        Ok(Self(folder))
    }

    /// Whether a process has the folder open as its journal at this moment.
    ///
    /// # Errors
    /// The file system cannot tell.
    pub fn in_use(&self) -> io::Result<bool> {
        self.0.in_use()
    }
}

fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "the folder was opened for reading")
}

impl<S: Storage> Storage for ReadOnly<S> {
    type Appender = S::Appender;

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.0.list()
    }

    fn create(&self, _: &str) -> io::Result<S::Appender> {
        Err(refused())
    }

    fn read(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.0.read(name, offset, len)
    }

    fn truncate(&self, _: &str, _: u64) -> io::Result<()> {
        Err(refused())
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Err(refused())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Err(refused())
    }

    fn sync_names(&self) -> io::Result<()> {
        Err(refused())
    }
}
