//! The inside of JSON string literals (RFC 8259 section 7).
//!
//! Nearly all text needs no escape, so the work is to find that out fast: chunks that the compiler turns into vector
//! instructions, then words, and clean stretches are copied whole.

/// Bytes looked at together in long text. Two vector registers of the smallest kind.
const CHUNK: usize = 32;
const WORD: usize = 8;
const ONES: u64 = u64::from_le_bytes([1; WORD]);
const HIGHS: u64 = ONES * 0x80;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `text` as a JSON string, quotes included.
pub(super) fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    write_escaped(text, out);
    out.push(b'"');
}

/// Appends the inside of a JSON string.
pub(super) fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    loop {
        let clean = clean_prefix(rest);
        out.extend_from_slice(&rest[..clean]);
        let Some(special) = rest.get(clean) else { return };
        write_escape(*special, out);
        rest = &rest[clean + 1..];
    }
}

/// Appends `bytes` in lower-case hexadecimal.
pub(super) fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    // A trace id at a time: appending digit by digit would ask for room 32 times.
    for piece in bytes.chunks(16) {
        let mut digits = [[0; 2]; 16];
        for (pair, byte) in digits.iter_mut().zip(piece) {
            *pair = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
        }
        out.extend_from_slice(&digits.as_flattened()[..2 * piece.len()]);
    }
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let letter = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            out.extend_from_slice(b"\\u00");
            return write_hex(&[byte], out);
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

/// How many bytes at the front need no escape.
fn clean_prefix(bytes: &[u8]) -> usize {
    let mut at = 0;
    for chunk in bytes.as_chunks::<CHUNK>().0 {
        if has_special(chunk) {
            break;
        }
        at += CHUNK;
    }
    for word in bytes[at..].as_chunks::<WORD>().0 {
        if let Some(first) = first_special(*word) {
            return at + first;
        }
        at += WORD;
    }
    let rest = &bytes[at..];
    if rest.is_empty() {
        return at;
    }
    if let Some(last) = bytes.last_chunk::<WORD>() {
        // The word reaches back into what is known to be clean.
        return first_special(*last).map_or(bytes.len(), |first| bytes.len() - WORD + first);
    }
    let mut word = [b' '; WORD];
    for (slot, byte) in word.iter_mut().zip(rest) {
        *slot = *byte;
    }
    first_special(word).unwrap_or(bytes.len())
}

fn has_special(chunk: &[u8; CHUNK]) -> bool {
    let mut any = false;
    for byte in chunk {
        any |= (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\');
    }
    any
}

/// The place of the first byte in `word` that needs an escape.
fn first_special(word: [u8; WORD]) -> Option<usize> {
    // Each term has the high bit of the first byte that it looks for set; bits above that one may be set wrongly.
    let word = u64::from_le_bytes(word);
    let quote = word ^ (ONES * u64::from(b'"'));
    let backslash = word ^ (ONES * u64::from(b'\\'));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let hits =
        (control | (quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash)) & HIGHS;
    (hits != 0).then(|| hits.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        write_string(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_special_byte_is_escaped_at_every_place() {
        for special in (0..0x20).chain([b'"', b'\\', 0x7f]) {
            for len in 1..80 {
                for place in [0, len / 2, len - 1] {
                    let mut text = vec![b'a'; len];
                    text[place] = special;
                    let text = String::from_utf8(text).unwrap();
                    assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn strings_are_written_as_by_serde_json(text in "(?s:.{0,100})|[a-z\"\\\\\n\u{0}é]{0,100}") {
            prop_assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
        }
    }

    #[test]
    fn hexadecimal_is_lower_case_and_of_any_length() {
        let mut out = Vec::new();
        write_hex(&[0x00, 0xab, 0xff], &mut out);
        assert_eq!(out, b"00abff");
        let long: Vec<u8> = (0..=40).collect();
        let expected: String = long.iter().map(|byte| format!("{byte:02x}")).collect();
        out.clear();
        write_hex(&long, &mut out);
        assert_eq!(out, expected.as_bytes());
    }
}
