//! A segment: one file of frames in the order of their sequence numbers.

use super::frame::{ALIGNMENT, BadFrame, Frame, SALT_AT};
use bytes::{BufMut, Bytes};
use std::collections::BTreeSet;
use std::ops::Range;

/// The version of the segment's own head that this code writes.
const VERSION: u8 = 1;
const MAGIC: [u8; 4] = *b"FBSG";
/// Bytes before the first frame.
pub const SEGMENT_HEAD_BYTES: usize = 40;
const SUM_AT: usize = 32;
const SUFFIX: &str = ".segment";

/// The name of the segment that begins with frame `base`: names sort as the frames do.
pub fn name_of(base: u64) -> String {
    format!("{base:016x}{SUFFIX}")
}

/// The first frame's number, if `name` is a segment's.
pub fn base_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    // Exactly the form that we write, so that no number has two names.
    u64::from_str_radix(digits, 16).ok().filter(|base| name_of(*base) == name)
}

/// The bytes in front of a segment's frames. `created` is in nanoseconds since 1970; `salt` is random.
pub fn head(base: u64, created: i64, salt: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(SEGMENT_HEAD_BYTES);
    out.put_slice(&MAGIC);
    out.put_slice(&[VERSION, 0, 0, 0]);
    out.put_u64_le(base);
    out.put_i64_le(created);
    out.put_u64_le(salt);
    debug_assert_eq!(out.len(), SUM_AT);
    let sum = crc32c::crc32c(&out);
    out.put_u32_le(sum);
    out.put_u32_le(0);
    out
}

/// Where a frame stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub sequence: u64,
    /// The first frame of its segment.
    pub base: u64,
    pub offset: u64,
    /// Bytes of the whole frame.
    pub len: u32,
}

/// What a segment's bytes were found to hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scan {
    pub frames: Vec<Position>,
    /// The end of the last sound frame.
    pub len: u64,
    /// Bytes in front of a sound frame that are none.
    pub skipped: u64,
    /// The segment's own head is not what it should be. Nothing depends on it.
    pub bad_head: bool,
    /// A frame stands there that a later Forebay wrote.
    pub unknown: bool,
    /// The route tables that the frames name.
    pub plans: BTreeSet<u32>,
}

/// The salt in a segment's head, if the head is sound and says that it begins with frame `base`.
pub(super) fn salt_in(base: u64, bytes: &[u8]) -> Option<u64> {
    let head = bytes.get(..SEGMENT_HEAD_BYTES)?;
    let sum = u32::from_le_bytes(*head[SUM_AT..].first_chunk()?);
    let is_ours = head[..4] == MAGIC && head[4] == VERSION && head[8..16] == base.to_le_bytes();
    let salt = u64::from_le_bytes(*head[24..].first_chunk()?);
    (is_ours && sum == crc32c::crc32c(&head[..SUM_AT])).then_some(salt)
}

/// Finds the sound frames of a segment whose numbers lie in `wanted`. Never fails: what is damaged is stepped over.
///
/// A frame of a lower number than one before it, or from `wanted.end` on, was given up by its writer and does not count.
pub fn scan(base: u64, bytes: &Bytes, wanted: Range<u64>) -> Scan {
    let mut salt = salt_in(base, bytes);
    let len = bytes.len().min(SEGMENT_HEAD_BYTES) as u64;
    let mut scan = Scan { len, bad_head: salt.is_none(), ..Scan::default() };
    let mut next = wanted.start;
    let mut at = SEGMENT_HEAD_BYTES;
    while at < bytes.len() {
        let frame = match Frame::read(&bytes.slice(at..)) {
            // Without a sound head the first frame's salt is taken for the segment's.
            Ok(frame) if frame.head.salt == *salt.get_or_insert(frame.head.salt) => frame.head,
            bad => {
                scan.unknown |=
                    matches!(bad, Err(BadFrame::Unknown)) && salt.is_some() && salt_at(bytes, at) == salt;
                at += ALIGNMENT;
                continue;
            }
        };
        if frame.sequence >= wanted.end {
            break;
        }
        let position =
            Position { sequence: frame.sequence, base, offset: at as u64, len: frame.frame_len() as u32 };
        if frame.sequence >= next {
            scan.frames.push(position);
            scan.plans.insert(frame.label.plan);
            next = frame.sequence + 1;
        }
        scan.skipped += position.offset - scan.len;
        at += frame.frame_len();
        scan.len = at as u64;
    }
    scan
}

/// The salt of the frame whose head begins at `at`, sound or not.
fn salt_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at + SALT_AT..)?.first_chunk().map(|salt| u64::from_le_bytes(*salt))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::frame;
    use super::super::tests::LABEL;
    use super::*;
    use proptest::prelude::*;

    fn segment(base: u64, bodies: &[Vec<u8>]) -> Vec<u8> {
        let mut out = head(base, 5, 77);
        for (at, body) in bodies.iter().enumerate() {
            frame::write(base + at as u64, 77, &LABEL, b"json", body, None, &mut out);
        }
        out
    }

    fn numbers(scan: &Scan) -> Vec<u64> {
        scan.frames.iter().map(|position| position.sequence).collect()
    }

    #[test]
    fn names_are_read_back_and_sort_as_numbers() {
        for base in [0, 1, 0xff, u64::MAX] {
            assert_eq!(base_of(&name_of(base)), Some(base));
        }
        assert!(name_of(9) < name_of(10));
        for other in ["cursors", "0.segment", "+000000000000001.segment", "000000000000000A.segment"] {
            assert_eq!(base_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_frame_inside_of_a_body_is_none_even_where_its_own_frame_is_damaged() {
        for (salt, found) in [(77, vec![3, 9]), (78, vec![3])] {
            let mut image = Vec::new();
            frame::write(9, salt, &LABEL, b"json", b"forged", None, &mut image);
            // Four bytes of name make the image begin where a frame may.
            let first = segment(3, &[b"sound".to_vec()]).len();
            let mut bytes = segment(3, &[b"sound".to_vec(), image]);
            bytes[first] ^= 1;
            assert_eq!(numbers(&scan(3, &bytes.into(), 0..u64::MAX)), found);
        }
    }

    #[test]
    fn frames_that_a_later_segment_took_over_do_not_count() {
        let bytes = segment(10, &[vec![1], vec![2], vec![3]]).into();
        assert_eq!(numbers(&scan(10, &bytes, 10..12)), [10, 11]);
        assert_eq!(numbers(&scan(10, &bytes, 11..u64::MAX)), [11, 12]);
    }

    proptest! {
        #[test]
        fn damage_costs_the_frames_that_it_touches_and_no_other(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..8),
            place in any::<prop::sample::Index>(),
            damage in prop::collection::vec(any::<u8>(), 1..40),
        ) {
            let sound = segment(3, &bodies);
            let whole = scan(3, &sound.clone().into(), 0..u64::MAX);
            prop_assert_eq!(whole.frames.len(), bodies.len());
            prop_assert_eq!((whole.len, whole.skipped, whole.bad_head), (sound.len() as u64, 0, false));
            let mut bytes = sound.clone();
            let place = place.index(sound.len());
            for (byte, with) in bytes[place..].iter_mut().zip(&damage) {
                *byte = *with;
            }
            let found = numbers(&scan(3, &bytes.clone().into(), 0..u64::MAX));
            for position in whole.frames {
                let range = position.offset as usize..position.offset as usize + position.len as usize;
                if bytes[range.clone()] == sound[range] {
                    prop_assert!(found.contains(&position.sequence));
                }
            }
        }

        #[test]
        fn a_torn_tail_costs_no_more_than_itself(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let sound = segment(3, &bodies);
            let whole = scan(3, &sound.clone().into(), 0..u64::MAX);
            let cut = cut.index(sound.len() + 1);
            let torn = scan(3, &sound[..cut].to_vec().into(), 0..u64::MAX);
            let kept = whole.frames.iter().filter(|position| position.offset + u64::from(position.len) <= cut as u64);
            prop_assert_eq!(torn.frames.len(), kept.count());
            prop_assert_eq!(torn.skipped, 0);
        }
    }
}
