//! The numbers of frames that a repair found to be lost.
//!
//! The journal itself does not need this file: it steps over numbers that no frame has. It is there so that a loss is damage once and not
//! at every check to come. It is a short text with a checksum; if it cannot be read, the losses are told again.

use super::runs::Runs;
use crate::journal::storage::{Appender, Storage};
use std::fmt::Write as _;
use std::io;
use std::ops::Range;

pub(super) const NAME: &str = "given-up";
const NEW_NAME: &str = "given-up.new";
const TITLE: &str = "forebay given-up 1";
/// More is no file of ours.
const MOST_BYTES: u64 = 64 << 20;

/// Reads the numbers. None are none, and so is a file that is not sound.
pub(super) fn load(storage: &impl Storage) -> Runs {
    let len = storage
        .list()
        .ok()
        .and_then(|files| files.into_iter().find(|(name, _)| name == NAME))
        .map_or(0, |(_, len)| len);
    if len == 0 || len > MOST_BYTES {
        return Runs::default();
    }
    let bytes = storage.read(NAME, 0, len as usize).unwrap_or_default();
    std::str::from_utf8(&bytes).ok().and_then(decode).unwrap_or_default()
}

/// Makes these numbers the durable ones.
///
/// # Errors
/// The old ones are still there, or the new ones are.
pub(super) fn save(storage: &impl Storage, runs: &Runs) -> io::Result<()> {
    let mut file = storage.create(NEW_NAME)?;
    file.append(encode(runs).as_bytes())?;
    file.sync()?;
    storage.rename(NEW_NAME, NAME)?;
    storage.sync_names()
}

fn encode(runs: &Runs) -> String {
    let mut out = format!("{TITLE}\n");
    for run in runs.iter() {
        let _ = writeln!(out, "{} {}", run.start, run.end);
    }
    let sum = crc32c::crc32c(out.as_bytes());
    let _ = writeln!(out, "{sum:08x}");
    out
}

fn decode(text: &str) -> Option<Runs> {
    let (rest, sum) = text.strip_suffix('\n')?.rsplit_once('\n')?;
    let covered = &text[..=rest.len()];
    if sum != format!("{:08x}", crc32c::crc32c(covered.as_bytes())) {
        return None;
    }
    rest.strip_prefix(TITLE)?.lines().filter(|line| !line.is_empty()).map(run_of).collect()
}

fn run_of(line: &str) -> Option<Range<u64>> {
    let (start, end) = line.split_once(' ')?;
    Some(start.parse().ok()?..end.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_written_is_read_and_damage_is_none(
            ranges in prop::collection::vec((any::<u32>(), any::<u32>()), 0..6),
            place in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let runs: Runs =
                ranges.into_iter().map(|(first, count)| u64::from(first)..u64::from(first) + u64::from(count)).collect();
            let text = encode(&runs);
            prop_assert_eq!(decode(&text), Some(runs));
            let mut bytes = text.clone().into_bytes();
            let place = place.index(bytes.len());
            bytes[place] = byte;
            if let Ok(damaged) = std::str::from_utf8(&bytes)
                && damaged != text
            {
                prop_assert_eq!(decode(damaged), None);
            }
        }

        #[test]
        fn arbitrary_text_does_no_harm(text in ".{0,60}") {
            prop_assert_eq!(decode(&text), None);
        }
    }
}
