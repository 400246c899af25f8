//! Cursors: for each sink, which frames it has finished.
//!
//! A cursor is a low-water mark (every frame below is finished) and the finished frames above it. All cursors lie in one small
//! file that is replaced whole, and is durable before any segment is released. If it is lost, frames are delivered again, never
//! skipped.

use super::storage::{Appender, Storage};
use bytes::{Buf, BufMut};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

pub(super) const NAME: &str = "cursors";
const NEW_NAME: &str = "cursors.new";
const MAGIC: [u8; 4] = *b"FBCU";
const VERSION: u8 = 1;

/// One sink's progress.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    low: u64,
    /// Runs of finished frames above the mark: the first of each, and one after its last. None touches another or the mark, so what
    /// this weighs grows with the frames that are not finished, not with those that are.
    finished: BTreeMap<u64, u64>,
}

impl Cursor {
    /// A cursor that has finished every frame below `low`.
    pub fn at(low: u64) -> Self {
        Self { low, finished: BTreeMap::new() }
    }

    /// Every frame below this is finished.
    pub fn low(&self) -> u64 {
        self.low
    }

    /// Whether this frame is finished.
    pub fn is_finished(&self, sequence: u64) -> bool {
        let run = self.finished.range(..=sequence).next_back();
        sequence < self.low || run.is_some_and(|(_, end)| sequence < *end)
    }

    /// This frame is finished.
    pub fn finish(&mut self, sequence: u64) {
        self.skip(sequence..sequence.saturating_add(1));
    }

    /// How many of these frames are not finished.
    pub fn unfinished_in(&self, range: &Range<u64>) -> u64 {
        let mut from = range.start.max(self.low);
        let mut unfinished = 0;
        let before = self.finished.range(..from).next_back();
        for (first, end) in before.into_iter().chain(self.finished.range(from..range.end.max(from))) {
            unfinished += first.saturating_sub(from);
            from = from.max(*end);
        }
        unfinished + range.end.saturating_sub(from)
    }

    /// These frames are finished, or do not exist (any more), so that nobody waits for them.
    pub fn skip(&mut self, gap: Range<u64>) {
        let (mut first, mut end) = (gap.start.max(self.low), gap.end);
        if first >= end {
            return;
        }
        // Whatever it overlaps or touches becomes one run with it.
        while let Some((known, known_end)) = self.finished.range(..=end).next_back().map(|(a, b)| (*a, *b))
            && known_end >= first
        {
            self.finished.remove(&known);
            (first, end) = (first.min(known), end.max(known_end));
        }
        if first <= self.low {
            self.low = end;
        } else {
            self.finished.insert(first, end);
        }
    }

    /// Frames above the mark that are finished.
    pub fn window(&self) -> u64 {
        self.finished.iter().map(|(first, end)| end - first).sum()
    }

    /// Runs of finished frames above the mark, in order.
    pub fn finished_above(&self) -> impl Iterator<Item = Range<u64>> {
        self.finished.iter().map(|(first, end)| *first..*end)
    }

    /// One above every frame that this cursor speaks of.
    fn end(&self) -> u64 {
        self.finished.last_key_value().map_or(self.low, |(_, end)| *end)
    }
}

/// What was found of the cursors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Sound,
    /// There are none: a new journal, or one whose cursors were lost.
    Missing,
    /// They are damaged, or of a later version: every frame counts as unfinished.
    Damaged,
}

/// All cursors of a journal, by sink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursors(pub BTreeMap<String, Cursor>);

impl Cursors {
    /// Reads the cursors. Without sound ones all is delivered again.
    ///
    /// # Errors
    /// The storage does not give them; they may be sound.
    pub fn load(storage: &impl Storage) -> io::Result<(Self, Found)> {
        let files = storage.list()?;
        let Some((_, len)) = files.into_iter().find(|(name, _)| name == NAME) else {
            return Ok((Self::default(), Found::Missing));
        };
        let bytes = storage.read(NAME, 0, len as usize)?;
        Ok(match Self::decode(&bytes) {
            Some(cursors) => (cursors, Found::Sound),
            None => (Self::default(), Found::Damaged),
        })
    }

    /// Makes these cursors the durable ones.
    ///
    /// # Errors
    /// The old ones are still there, or the new ones are; never a mixture.
    pub fn save(&self, storage: &impl Storage) -> io::Result<()> {
        let mut file = storage.create(NEW_NAME)?;
        file.append(&self.encode())?;
        file.sync()?;
        storage.rename(NEW_NAME, NAME)?;
        storage.sync_names()
    }

    /// Below this every sink has finished everything; with no sink, nothing is owed.
    pub fn low(&self) -> Option<u64> {
        self.0.values().map(Cursor::low).min()
    }

    /// One above every frame that any cursor speaks of: the next frame's number must not be lower, or it would be taken for finished.
    pub fn floor(&self) -> u64 {
        self.0.values().map(Cursor::end).max().unwrap_or_default()
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_slice(&MAGIC);
        out.put_slice(&[VERSION, 0, 0, 0]);
        out.put_u32_le(self.0.len() as u32);
        for (sink, cursor) in &self.0 {
            out.put_u16_le(sink.len() as u16);
            out.put_slice(sink.as_bytes());
            out.put_u64_le(cursor.low);
            out.put_u32_le(cursor.finished.len() as u32);
            for run in cursor.finished_above() {
                out.put_u64_le(run.start);
                out.put_u64_le(run.end - run.start);
            }
        }
        let sum = crc32c::crc32c(&out);
        out.put_u32_le(sum);
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (mut rest, sum) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(rest) != u32::from_le_bytes(*sum)
            || !rest.starts_with(&MAGIC)
            || rest.get(4) != Some(&VERSION)
        {
            return None;
        }
        rest = rest.get(8..)?;
        let mut cursors = BTreeMap::new();
        for _ in 0..rest.try_get_u32_le().ok()? {
            let len = usize::from(rest.try_get_u16_le().ok()?);
            let name = std::str::from_utf8(rest.get(..len)?).ok()?.to_owned();
            rest.advance(len);
            let mut cursor = Cursor::at(rest.try_get_u64_le().ok()?);
            for _ in 0..rest.try_get_u32_le().ok()? {
                let (first, count) = (rest.try_get_u64_le().ok()?, rest.try_get_u64_le().ok()?);
                cursor.skip(first..first.checked_add(count)?);
            }
            cursors.insert(name, cursor);
        }
        rest.is_empty().then_some(Self(cursors))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_knows_what_was_finished_and_keeps_only_what_it_must(
            low in 0u64..5,
            finished in prop::collection::vec(0u64..40, 0..60),
        ) {
            let mut cursor = Cursor::at(low);
            for sequence in &finished {
                cursor.finish(*sequence);
            }
            for sequence in 0..40 {
                prop_assert_eq!(cursor.is_finished(sequence), sequence < low || finished.contains(&sequence));
            }
            let mut last = cursor.low;
            for run in cursor.finished_above() {
                prop_assert!(run.start > last && run.start < run.end);
                last = run.end;
            }
            let all = (low..40).filter(|sequence| !cursor.is_finished(*sequence)).count() as u64;
            prop_assert_eq!(cursor.unfinished_in(&(0..40)), all);
            prop_assert_eq!(cursor.unfinished_in(&(10..20)), (10..20).filter(|one| !cursor.is_finished(*one)).count() as u64);
            let cursors = Cursors([("es".to_owned(), cursor.clone()), ("λ".to_owned(), Cursor::at(7))].into());
            prop_assert_eq!(Cursors::decode(&cursors.encode()), Some(cursors));
        }

        #[test]
        fn damaged_cursors_are_none(place in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<prop::sample::Index>()) {
            let mut cursor = Cursor::at(3);
            cursor.finish(9);
            let sound = Cursors([("es".to_owned(), cursor)].into()).encode();
            let mut bytes = sound.clone();
            bytes[place.index(sound.len())] ^= 1u8 << bit;
            prop_assert_eq!(Cursors::decode(&bytes), None);
            prop_assert_eq!(Cursors::decode(&sound[..cut.index(sound.len())]), None);
        }
    }

    #[test]
    fn a_gap_is_stepped_over() {
        let mut cursor = Cursor::at(3);
        cursor.finish(6);
        cursor.skip(4..6);
        assert_eq!((cursor.low(), cursor.window()), (3, 3));
        cursor.finish(3);
        assert_eq!((cursor.low(), cursor.window()), (7, 0));
        cursor.skip(5..1 << 60);
        assert_eq!((cursor.low(), cursor.window()), (1 << 60, 0));
    }
}
