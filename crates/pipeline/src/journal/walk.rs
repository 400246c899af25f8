//! Where the frames of a log stand, found by their heads, a few at a time: for a reader that has fallen behind and must not hold more
//! than a piece of a segment in memory.

use super::frame::{HEAD_BYTES, Head};
use super::segment::{self, Position, SEGMENT_HEAD_BYTES};
use super::storage::Storage;
use std::io;

/// Bytes read at once; heads of small frames lie close together.
const CHUNK_BYTES: usize = 64 << 10;
/// Most positions found at once.
const MAX_POSITIONS: usize = 1_024;

/// A segment as far as it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its first frame's number.
    pub base: u64,
    /// One after its last frame.
    pub end: u64,
    /// Bytes up to the end of its last frame.
    pub len: u64,
}

/// Where a walk through one segment has come to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    base: u64,
    offset: u64,
}

/// The next frames of `extent`, from number `from` on, in order; empty at its end. A walk goes on at `place`.
///
/// # Errors
/// The storage cannot be read.
pub fn positions(
    storage: &impl Storage,
    extent: &Extent,
    from: u64,
    place: &mut Place,
) -> io::Result<Vec<Position>> {
    if place.base != extent.base || place.offset == 0 {
        *place = Place { base: extent.base, offset: SEGMENT_HEAD_BYTES as u64 };
    }
    let mut found = Vec::new();
    while place.offset < extent.len && found.len() < MAX_POSITIONS {
        let left = extent.len - place.offset;
        let wanted = left.min(CHUNK_BYTES as u64) as usize;
        let chunk = storage.read(&segment::name_of(extent.base), place.offset, wanted)?;
        let before = place.offset;
        if !heads(&chunk, extent, from, place, &mut found) && place.offset == before {
            found.extend(scanned(storage, extent, from, place)?);
        }
    }
    Ok(found)
}

/// Follows the heads that lie in `chunk`. False if one of them is none.
fn heads(chunk: &[u8], extent: &Extent, from: u64, place: &mut Place, found: &mut Vec<Position>) -> bool {
    let mut at = 0;
    while chunk.len() >= at + HEAD_BYTES && found.len() < MAX_POSITIONS {
        let Ok(head) = Head::read(&chunk[at..]) else { return false };
        let len = head.frame_len();
        let is_sound =
            (extent.base..extent.end).contains(&head.sequence) && place.offset + len as u64 <= extent.len;
        if !is_sound {
            return false;
        }
        if head.sequence >= from {
            found.push(Position {
                sequence: head.sequence,
                base: extent.base,
                offset: place.offset,
                len: len as u32,
            });
        }
        place.offset += len as u64;
        at += len;
    }
    at > 0
}

/// What is left of a damaged segment, found the slow way.
fn scanned(
    storage: &impl Storage,
    extent: &Extent,
    from: u64,
    place: &mut Place,
) -> io::Result<Vec<Position>> {
    let bytes = storage.read(&segment::name_of(extent.base), 0, extent.len as usize)?;
    let scan = segment::scan(extent.base, &bytes.into(), extent.base..extent.end);
    let offset = place.offset;
    place.offset = extent.len;
    Ok(scan.frames.into_iter().filter(|frame| frame.sequence >= from && frame.offset >= offset).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::log::{Entry, LogConfig};
    use super::super::tests::LABEL;
    use super::super::{Journal, storage::Folder};
    use super::*;
    use std::sync::Arc;

    /// Three thousand frames of all sizes in several segments are found by walking as they are by scanning.
    #[test]
    fn a_walk_finds_what_a_scan_finds() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Arc::new(Folder::open(folder.path()).unwrap());
        let config = LogConfig { segment_bytes: 400_000, max_bytes: 1 << 30, block_bytes: 64 };
        let (mut journal, _) = Journal::open(Arc::clone(&storage), config, &["es".to_owned()]).unwrap();
        for number in 0..3_000_usize {
            let stored = vec![number as u8; if number % 500 == 7 { 200_000 } else { number % 90 }];
            let entry = Entry { label: LABEL, receiver: b"json", stored: &stored, zstd: None };
            journal.append(&[entry]).unwrap();
        }
        journal.sync().unwrap();
        let scanned: Vec<Position> = journal.owed("es").flat_map(Result::unwrap).collect();
        assert_eq!(scanned.len(), 3_000);
        let extents = journal.extents();
        assert!(extents.len() > 2);
        for from in [0, 1, 1_499, 2_999] {
            let mut walked = Vec::new();
            for extent in extents.iter().filter(|extent| extent.end > from) {
                let mut place = Place::default();
                loop {
                    let found = positions(&*storage, extent, from, &mut place).unwrap();
                    if found.is_empty() {
                        break;
                    }
                    walked.extend(found);
                }
            }
            assert_eq!(walked, scanned[from as usize..]);
        }
        // Damage costs the frame that it touches, and the walk goes on behind it.
        let (victim, extent) = (scanned[40], extents[0]);
        let file = folder.path().join(segment::name_of(extent.base));
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[victim.offset as usize + 20] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let mut place = Place::default();
        let mut walked = Vec::new();
        loop {
            let found = positions(&*storage, &extent, 0, &mut place).unwrap();
            if found.is_empty() {
                break;
            }
            walked.extend(found);
        }
        let in_first = scanned.iter().filter(|position| position.base == extent.base);
        let expected: Vec<Position> = in_first.filter(|position| **position != victim).copied().collect();
        assert_eq!(walked, expected);
    }
}
