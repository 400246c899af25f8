//! The document being written: bytes that are appended in steps of a size known to the compiler.
//!
//! A record is some fifty small writes. Appending each to a vector costs a call that copies as many bytes as the length says;
//! here short texts are copied a [`Chunk`] at a time, with the excess overwritten by what follows. That wants room behind
//! the end which is initialised, so the draft keeps its own and a finished document is copied out once.

use crate::chunk::{CHUNK, Chunk, chunk_at, escapes, first};
use bytes::Bytes;

/// Room (bytes) that is made at least, so that most drafts never grow a second time.
const LEAST_ROOM: usize = 4 << 10;
/// More room than this (bytes), once needed for a large record, is given back after it.
const KEPT_ROOM: usize = 256 << 10;

/// Bytes being written.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// Where the texts come from; those from elsewhere are copied with more care.
    body: Bytes,
    /// Initialised to its full length; what was written is in front.
    room: Vec<u8>,
    len: usize,
}

impl Draft {
    /// From here on texts are parts of `body`.
    pub(super) fn read_from(&mut self, body: Bytes) {
        self.body = body;
    }

    /// The body that texts are parts of.
    #[inline(always)]
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What was written.
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.room[..self.len]
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
        if self.room.len() > KEPT_ROOM {
            self.room = Vec::new();
        }
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Takes the last byte away.
    pub(super) fn pop(&mut self) -> Option<u8> {
        self.len = self.len.checked_sub(1)?;
        self.room.get(self.len).copied()
    }

    /// Writes `byte` over what stands at `place`, or behind the end.
    pub(super) fn put(&mut self, place: usize, byte: u8) {
        if place < self.len {
            self.room[place] = byte;
        } else {
            self.push(byte);
        }
    }

    /// Moves what stands from `from` on, up to `end`, to `to`.
    pub(super) fn copy_within(&mut self, from: usize, end: usize, to: usize) {
        self.room.copy_within(from..end, to);
    }

    #[inline(always)]
    pub(super) fn push(&mut self, byte: u8) {
        self.literal(&[byte]);
    }

    /// Appends bytes whose number the compiler knows.
    #[inline(always)]
    pub(super) fn literal<const N: usize>(&mut self, bytes: &[u8; N]) {
        *self.slot() = *bytes;
        self.len += N;
    }

    /// Appends the first `len` of these bytes.
    #[inline(always)]
    pub(super) fn front<const N: usize>(&mut self, bytes: &[u8; N], len: usize) {
        *self.slot() = *bytes;
        self.len += len.min(N);
    }

    /// Appends bytes of any number.
    #[inline(always)]
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        // Two copies that overlap where the length is not the compiler's to know.
        if let (8..=16, Some(head), Some(tail)) =
            (bytes.len(), bytes.first_chunk::<8>(), bytes.last_chunk::<8>())
        {
            let [head, tail] = [*head, *tail];
            let slot = self.slot::<16>();
            slot[..8].copy_from_slice(&head);
            slot[bytes.len() - 8..][..8].copy_from_slice(&tail);
            self.len += bytes.len();
        } else if let (17..=32, Some(head), Some(tail)) =
            (bytes.len(), bytes.first_chunk::<16>(), bytes.last_chunk::<16>())
        {
            let slot = self.slot::<32>();
            slot[..16].copy_from_slice(head);
            slot[bytes.len() - 16..][..16].copy_from_slice(tail);
            self.len += bytes.len();
        } else {
            self.extend_by_call(bytes);
        }
    }

    #[inline(never)]
    fn extend_by_call(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if end > self.room.len() {
            self.grow(bytes.len());
        }
        self.room[self.len..end].copy_from_slice(bytes);
        self.len = end;
    }

    /// Appends `text` as a JSON string, quotes included.
    #[inline(always)]
    pub(super) fn string(&mut self, text: &[u8]) {
        self.named_string(&[], text);
    }

    /// Appends `name` (32 bytes at most: what stands before a value) and `text` as a JSON string.
    #[inline(always)]
    pub(super) fn named_string<const N: usize>(&mut self, name: &[u8; N], text: &[u8]) {
        const { assert!(N <= CHUNK) };
        if let Some(chunk) = self.clean(text) {
            // One look whether there is room, for all parts.
            let slot = self.slot::<{ 2 * CHUNK + 2 }>();
            slot[..N].copy_from_slice(name);
            slot[N] = b'"';
            slot[N + 1..N + 1 + CHUNK].copy_from_slice(&chunk);
            slot[N + 1 + text.len().min(CHUNK)] = b'"';
            self.len += N + 2 + text.len();
        } else {
            self.literal(name);
            self.push(b'"');
            self.escaped_chunks(text);
            self.push(b'"');
        }
    }

    /// Appends the first `len` bytes of `name`, and `text` as a JSON string.
    #[inline(always)]
    pub(super) fn member(&mut self, name: &[u8; 2 * CHUNK], len: usize, text: &[u8]) {
        let len = len.min(name.len());
        if let Some(chunk) = self.clean(text) {
            let slot = self.slot::<{ 3 * CHUNK + 2 }>();
            slot[..2 * CHUNK].copy_from_slice(name);
            slot[len] = b'"';
            slot[len + 1..len + 1 + CHUNK].copy_from_slice(&chunk);
            slot[len + 1 + text.len().min(CHUNK)] = b'"';
            self.len += len + 2 + text.len();
        } else {
            self.front(name, len);
            self.string(text);
        }
    }

    /// The chunk that begins with `text`, if it is short, a part of the body, and needs no escape.
    #[inline(always)]
    fn clean(&self, text: &[u8]) -> Option<Chunk> {
        if text.len() > CHUNK {
            return None;
        }
        let chunk = chunk_at(&self.body, text)?;
        (escapes(chunk) & first(text.len()) == 0).then_some(*chunk)
    }

    /// Appends `name` (32 bytes at most), a timestamp in its two parts, and a quote.
    #[inline(always)]
    pub(super) fn named_time<const N: usize>(
        &mut self,
        name: &[u8; N],
        second: &[u8; 20],
        fraction: &[u8; 10],
    ) {
        const { assert!(N <= CHUNK) };
        let slot = self.slot::<{ 2 * CHUNK }>();
        slot[..N].copy_from_slice(name);
        slot[N..N + 20].copy_from_slice(second);
        slot[N + 20..N + 30].copy_from_slice(fraction);
        slot[N + 30] = b'"';
        self.len += N + 31;
    }

    /// Appends the inside of a JSON string (RFC 8259 section 7).
    #[inline(always)]
    pub(super) fn escaped(&mut self, text: &[u8]) {
        match self.clean(text) {
            Some(chunk) => self.front(&chunk, text.len()),
            None => self.escaped_chunks(text),
        }
    }

    #[inline(never)]
    fn escaped_chunks(&mut self, text: &[u8]) {
        let mut rest = text;
        loop {
            let clean = clean_prefix(rest);
            self.extend(&rest[..clean]);
            let Some(special) = rest.get(clean) else { return };
            self.escape(*special);
            rest = &rest[clean + 1..];
        }
    }

    fn escape(&mut self, byte: u8) {
        let letter = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            _ => {
                self.literal(b"\\u00");
                return self.hex(&[byte]);
            }
        };
        self.literal(&[b'\\', letter]);
    }

    /// Appends `bytes` in lower-case hexadecimal.
    pub(super) fn hex(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(16) {
            // A trace id is one piece, a span id half of one.
            let mut whole = [0; 16];
            match (piece.as_array::<16>(), piece.as_array::<8>()) {
                (Some(bytes), _) => whole = *bytes,
                (_, Some(bytes)) => whole[..8].copy_from_slice(bytes),
                _ => whole[..piece.len()].copy_from_slice(piece),
            }
            self.front(
                hexadecimal(&whole).as_flattened().as_array::<32>().unwrap_or(&[0; 32]),
                2 * piece.len(),
            );
        }
    }

    /// The next bytes behind the end.
    #[inline(always)]
    fn slot<const N: usize>(&mut self) -> &mut [u8; N] {
        if self.room.len() - self.len < N {
            self.grow(N);
        }
        match self.room[self.len..].first_chunk_mut() {
            Some(slot) => slot,
            None => unreachable!("the draft has grown"),
        }
    }

    /// Makes room for `more` bytes at least.
    #[cold]
    fn grow(&mut self, more: usize) {
        self.room.resize((self.len + more).next_power_of_two().max(LEAST_ROOM), 0);
    }
}

/// How many bytes at the front need no escape.
fn clean_prefix(text: &[u8]) -> usize {
    let (chunks, rest) = text.as_chunks::<CHUNK>();
    for (at, chunk) in chunks.iter().enumerate() {
        let specials = escapes(chunk);
        if specials != 0 {
            return at * CHUNK + specials.trailing_zeros() as usize;
        }
    }
    if rest.is_empty() {
        return text.len();
    }
    // What is left is shorter than a chunk: one that reaches back into what is known to be clean, or is filled up.
    let (chunk, start) = match text.last_chunk::<CHUNK>() {
        Some(chunk) => (*chunk, text.len() - CHUNK),
        None => {
            let mut chunk = [b' '; CHUNK];
            chunk[..text.len()].copy_from_slice(text);
            (chunk, 0)
        }
    };
    match escapes(&chunk) {
        0 => text.len(),
        specials => start + specials.trailing_zeros() as usize,
    }
}

/// The digits of each byte. Arithmetic and no table, so that the compiler makes vector instructions of it.
fn hexadecimal(bytes: &[u8; 16]) -> [[u8; 2]; 16] {
    let digit = |nibble: u8| nibble + b'0' + if nibble > 9 { b'a' - b'9' - 1 } else { 0 };
    let high = bytes.map(|byte| digit(byte >> 4));
    let low = bytes.map(|byte| digit(byte & 15));
    std::array::from_fn(|at| [high[at], low[at]])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// `text` as a JSON string: copied out of a body, and from elsewhere.
    fn written(text: &str) -> [String; 2] {
        let body = Bytes::from(format!("before {text} behind, with room for a whole chunk"));
        let near = body.slice(7..7 + text.len());
        let mut draft = Draft::default();
        draft.read_from(body);
        [&near[..], text.as_bytes()].map(|text| {
            draft.clear();
            draft.string(text);
            String::from_utf8(draft.as_slice().to_vec()).unwrap()
        })
    }

    #[test]
    fn every_special_byte_is_escaped_at_every_place() {
        for special in (0..0x20).chain([b'"', b'\\', 0x7f]) {
            for len in 1..80 {
                for place in [0, len / 2, len - 1] {
                    let mut text = vec![b'a'; len];
                    text[place] = special;
                    let text = String::from_utf8(text).unwrap();
                    let expected = serde_json::to_string(&text).unwrap();
                    assert_eq!(written(&text), [expected.clone(), expected]);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn strings_are_written_as_by_serde_json(text in "(?s:.{0,100})|[a-z\"\\\\\n\u{0}é]{0,100}") {
            let expected = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(written(&text), [expected.clone(), expected]);
        }
    }

    #[test]
    fn hexadecimal_is_lower_case_and_of_any_length() {
        for len in [0, 1, 3, 8, 16, 17, 41] {
            let bytes: Vec<u8> = (0..len).map(|at: u8| at.wrapping_mul(37)).collect();
            let expected: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let mut draft = Draft::default();
            draft.hex(&bytes);
            assert_eq!(draft.as_slice(), expected.as_bytes());
        }
    }

    #[test]
    fn a_large_record_leaves_no_large_draft_behind() {
        let mut draft = Draft::default();
        draft.string(&vec![b'\n'; KEPT_ROOM]);
        assert_eq!(draft.len(), 2 * KEPT_ROOM + 2);
        draft.clear();
        assert!(draft.room.len() <= KEPT_ROOM);
        draft.push(b'x');
        assert_eq!(draft.as_slice(), b"x");
    }
}
