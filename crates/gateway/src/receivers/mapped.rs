//! Large payloads lie in mappings of their own. The allocator keeps what it is given back, for a second or until it is asked for as much again, and that is
//! memory that no lease counts; a mapping is gone with its payload. What was not written to is not there, so room can be made for all that is
//! announced, and nothing moves while it comes.

use bytes::Bytes;
use memmap2::MmapMut;
use std::io;

/// Bytes in a mapping, from its start.
#[derive(Debug)]
pub struct Mapped {
    map: MmapMut,
    len: usize,
}

impl Mapped {
    /// With room for `capacity` bytes, of which none takes memory yet.
    ///
    /// # Errors
    /// The system gives this process no more room for addresses, or none at all (`vm.overcommit_memory`, `RLIMIT_AS`).
    pub fn with_capacity(capacity: usize) -> io::Result<Self> {
        Ok(Self { map: MmapMut::map_anon(capacity)?, len: 0 })
    }

    /// Bytes in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes that it has room for.
    pub fn capacity(&self) -> usize {
        self.map.len()
    }

    /// Appends `bytes`, for which there must be room.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.map[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Lets `write` fill up to `most` bytes behind the others, and keeps as many as it says that it wrote.
    pub fn fill<T>(&mut self, most: usize, write: impl FnOnce(&mut [u8]) -> (usize, T)) -> T {
        let (written, result) = write(&mut self.map[self.len..self.len + most]);
        self.len += written;
        result
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map[..self.len]
    }
}

impl From<Mapped> for Bytes {
    fn from(mapped: Mapped) -> Self {
        Self::from_owner(mapped)
    }
}
