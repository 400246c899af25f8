//! Texts of a body looked at 32 bytes at a time.
//!
//! Most names and values are shorter than that. The bytes behind such a text are in the same body, so they may be read (and
//! copied, to be overwritten) with it: one load of a fixed size in place of a loop or a call that depends on the length.

use wide::u8x16;

/// Bytes in a chunk.
pub(crate) const CHUNK: usize = 32;

/// The first bytes of a text, and what comes behind it.
pub(crate) type Chunk = [u8; CHUNK];

/// The chunk that begins where `text` does, if `text` is a part of `body` and the body goes on for that long.
#[inline(always)]
pub(crate) fn chunk_at<'b>(body: &'b [u8], text: &[u8]) -> Option<&'b Chunk> {
    // The place of one slice in another, by their addresses. A text from elsewhere gives a place far outside.
    let offset = text.as_ptr().addr().wrapping_sub(body.as_ptr().addr());
    body.get(offset..)?.first_chunk()
}

/// A bit for each of the first `len` bytes of a chunk.
#[inline(always)]
pub(crate) fn first(len: usize) -> u32 {
    debug_assert!(len <= CHUNK, "{len} bytes are no part of a chunk");
    ((1u64 << len) - 1) as u32
}

/// A bit for each byte that JSON escapes in a string: quote, backslash, and what is below the space.
#[inline(always)]
pub(crate) fn escapes(chunk: &Chunk) -> u32 {
    mask(chunk, |lane| {
        let control = lane.min(u8x16::splat(0x1f)).simd_eq(lane);
        lane.simd_eq(u8x16::splat(b'"')) | lane.simd_eq(u8x16::splat(b'\\')) | control
    })
}

/// A bit for each byte that is not ASCII.
#[inline(always)]
pub(crate) fn non_ascii(chunk: &Chunk) -> u32 {
    mask(chunk, |lane| lane)
}

/// Whether all of `text` is ASCII.
#[inline(always)]
pub(crate) fn is_ascii(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk::<CHUNK>() else { return text.is_ascii() };
    // The last chunk reaches back over what the others have not seen.
    text.as_chunks::<CHUNK>().0.iter().chain([last]).all(|chunk| non_ascii(chunk) == 0)
}

/// A bit for each place where the chunks agree.
#[inline(always)]
pub(crate) fn agreement(one: &Chunk, other: &Chunk) -> u32 {
    let [one, other] = [lanes(one), lanes(other)];
    one[0].simd_eq(other[0]).to_bitmask() | one[1].simd_eq(other[1]).to_bitmask() << 16
}

#[inline(always)]
fn mask(chunk: &Chunk, hits: impl Fn(u8x16) -> u8x16) -> u32 {
    let [low, high] = lanes(chunk);
    hits(low).to_bitmask() | hits(high).to_bitmask() << 16
}

#[inline(always)]
fn lanes(chunk: &Chunk) -> [u8x16; 2] {
    let (halves, _) = chunk.as_chunks::<16>();
    [u8x16::new(halves[0]), u8x16::new(halves[1])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_in_its_body_only_and_only_with_room_behind() {
        let body: Vec<u8> = (0..100).collect();
        assert_eq!(chunk_at(&body, &body[7..9]).map(|chunk| chunk[0]), Some(7));
        assert_eq!(chunk_at(&body, &body[68..]).map(|chunk| chunk[31]), Some(99));
        assert_eq!(chunk_at(&body, &body[69..]), None);
        assert_eq!(chunk_at(&body[10..], &body[9..12]), None);
        assert_eq!(chunk_at(&body, b"elsewhere"), None);
        assert_eq!(chunk_at(&[], b""), None);
    }

    #[test]
    fn one_byte_in_any_place_makes_a_text_other_than_ascii() {
        for len in 1..100 {
            assert!(is_ascii(&vec![b'a'; len]));
            for place in 0..len {
                let mut text = vec![0x7f; len];
                text[place] = 0x80;
                assert!(!is_ascii(&text), "{place} of {len}");
            }
        }
    }

    #[test]
    fn masks_have_one_bit_for_each_byte() {
        for byte in 0..=u8::MAX {
            for place in [0, 15, 16, 31] {
                let mut chunk = [b'a'; CHUNK];
                chunk[place] = byte;
                let bit = |hit: bool| u32::from(hit) << place;
                assert_eq!(escapes(&chunk), bit(byte < 0x20 || byte == b'"' || byte == b'\\'));
                assert_eq!(non_ascii(&chunk), bit(!byte.is_ascii()));
                assert_eq!(agreement(&chunk, &[b'a'; CHUNK]), !bit(byte != b'a'));
            }
        }
        assert_eq!([first(0), first(1), first(31), first(32)], [0, 1, 0x7fff_ffff, u32::MAX]);
    }
}
