//! A file that is written in whole blocks past the page cache (`O_DIRECT`).
//!
//! A body is written once and, as long as sinks keep up, never read. The kernel's way through its cache costs as much CPU time as all
//! else that durability takes: a copy into fresh pages, and their way out again at the next sync. Here there is one copy, into one
//! buffer that stays, and the disk takes it from there.

use super::storage::Appender;
use crate::planted;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};

/// Offset, length and address of what is written are multiples of this: the largest block of disks in use.
pub const BLOCK_BYTES: usize = 4 << 10;
/// Most bytes that wait to be written. No lease counts them: there is one journal.
const STAGED_BYTES: usize = 1 << 20;

/// An open file, written from its beginning.
#[derive(Debug)]
pub struct BlockFile {
    file: File,
    /// Has [`STAGED_BYTES`] from its first address on that is a multiple of a block; empty until something is appended.
    buffer: Vec<u8>,
    /// Bytes that wait in it.
    staged: usize,
    /// Bytes in the file.
    written: u64,
    /// The kernel is asked not to use its cache.
    is_direct: bool,
}

impl BlockFile {
    /// Takes over a file that is empty.
    pub fn new(file: File) -> Self {
        // Some file systems refuse it here, others only when something is written.
        let is_direct = set_direct(&file, true).is_ok();
        Self { file, buffer: Vec::new(), staged: 0, written: 0, is_direct }
    }

    /// Where the window of the buffer begins that is written from.
    fn window(&mut self) -> usize {
        if self.buffer.is_empty() {
            self.buffer = vec![0; STAGED_BYTES + BLOCK_BYTES];
        }
        self.buffer.as_ptr().align_offset(BLOCK_BYTES)
    }

    /// Writes what is staged: whole blocks past the cache, and what is left of one as any file.
    fn write_out(&mut self) -> io::Result<()> {
        let start = self.window();
        let staged = &self.buffer[start..start + self.staged];
        let blocks = if self.is_direct { self.staged - self.staged % BLOCK_BYTES } else { 0 };
        let (blocks, rest) = staged.split_at(blocks);
        match self.file.write_all_at(blocks, self.written) {
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                self.is_direct = false;
                set_direct(&self.file, false)?;
                self.file.write_all_at(blocks, self.written)?;
            }
            written => written?,
        }
        if self.is_direct && !rest.is_empty() {
            // Whatever follows is not at a block's border any more.
            self.is_direct = false;
            set_direct(&self.file, false)?;
        }
        self.file.write_all_at(rest, self.written + blocks.len() as u64)?;
        self.written += self.staged as u64;
        self.staged = 0;
        Ok(())
    }
}

impl Appender for BlockFile {
    fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let start = self.window();
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(STAGED_BYTES - self.staged));
            let at = start + self.staged;
            self.buffer[at..at + now.len()].copy_from_slice(now);
            self.staged += now.len();
            if self.staged == STAGED_BYTES {
                self.write_out()?;
            }
            bytes = later;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.write_out()?;
        if planted::is("no-fdatasync") {
            return Ok(());
        }
        self.file.sync_data()?;
        // What is written to a file without a name is durable for nobody.
        match self.file.metadata()?.nlink() {
            0 => Err(io::Error::new(ErrorKind::NotFound, "the journal's newest file was removed")),
            _ => Ok(()),
        }
    }
}

fn set_direct(file: &File, wanted: bool) -> io::Result<()> {
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, wanted);
    Ok(fcntl_setfl(file, flags)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

        /// In blocks, in no blocks, and at last in none; over the end of the buffer; synced now and then.
        #[test]
        fn what_was_appended_stands_in_the_file(
            parts in prop::collection::vec((prop_oneof![0..10_000usize, Just(4_096), Just(1 << 20)], any::<bool>()), 0..12),
        ) {
            // Not in /tmp, which may be memory, where nothing can go past the cache.
            let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
            let path = folder.path().join("file");
            let mut file = BlockFile::new(File::create(&path).unwrap());
            let mut expected = Vec::new();
            for (number, (len, syncs)) in parts.into_iter().chain([(0, true)]).enumerate() {
                let part: Vec<u8> = (0..len).map(|at| (at * 31 + number) as u8).collect();
                file.append(&part).unwrap();
                expected.extend_from_slice(&part);
                if syncs {
                    file.sync().unwrap();
                    prop_assert!(std::fs::read(&path).unwrap() == expected);
                }
            }
        }
    }

    #[test]
    fn what_is_written_to_a_file_that_was_removed_is_not_durable() {
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = folder.path().join("file");
        let mut file = BlockFile::new(File::create(&path).unwrap());
        file.append(b"there").unwrap();
        file.sync().unwrap();
        std::fs::remove_file(&path).unwrap();
        file.append(b"nowhere").unwrap();
        assert_eq!(file.sync().unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn whole_blocks_go_past_the_cache_until_something_else_is_written() {
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let file = File::create(folder.path().join("file")).unwrap();
        let mut file = BlockFile::new(file);
        let asked = file.is_direct;
        file.append(&[7; 3 * BLOCK_BYTES]).unwrap();
        file.sync().unwrap();
        assert_eq!(file.is_direct, asked);
        file.append(&[7; 100]).unwrap();
        file.sync().unwrap();
        assert!(!file.is_direct);
    }
}
