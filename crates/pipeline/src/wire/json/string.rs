//! Strings of the scanner (RFC 8259 section 7), and its faults.

use crate::wire::Malformed;

/// Why a text is no JSON, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub at: usize,
    pub what: What,
}

/// What the scanner met, or missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    End,
    Value,
    Key,
    Colon,
    Comma,
    Digit,
    Trailing,
    Control,
    Escape,
    Surrogate,
    TooDeep,
    ByteOrderMark,
}

impl Fault {
    /// The fault as it is told; `base` is the scanned text's place in the body.
    pub fn malformed(self, base: usize) -> Malformed {
        let offset = base + self.at;
        let what = match self.what {
            What::TooDeep => return Malformed::TooDeep { offset },
            What::End => "unexpected end",
            What::Value => "expected a value",
            What::Key => "expected a key",
            What::Colon => "expected a colon",
            What::Comma => "expected a comma or the end of the object or array",
            What::Digit => "expected a digit",
            What::Trailing => "expected nothing more",
            What::Control => "control character in a string",
            What::Escape => "no such escape",
            What::Surrogate => "lone surrogate in an escape",
            What::ByteOrderMark => "byte order mark",
        };
        Malformed::Syntax { format: "JSON", offset, what }
    }
}

/// Scans the string whose opening quote is at `quote`: the place after its closing quote, and whether it holds an escape.
#[inline]
pub(super) fn scan_string(text: &[u8], quote: usize) -> Result<(usize, bool), Fault> {
    // Most keys and many values end within the first word.
    let start = quote + 1;
    let at = match plain_in_word(text, start) {
        Some(len) if len < WORD => start + len,
        _ => plain_end(text, start),
    };
    if text.get(at) == Some(&b'"') {
        return Ok((at + 1, false));
    }
    scan_escaped(text, at)
}

/// Goes on where something else than a plain character or the closing quote was met.
#[inline(never)]
fn scan_escaped(text: &[u8], mut at: usize) -> Result<(usize, bool), Fault> {
    loop {
        match text.get(at) {
            Some(b'"') => return Ok((at + 1, true)),
            Some(b'\\') => at = plain_end(text, escape_end(text, at)?),
            Some(_) => return Err(Fault { at, what: What::Control }),
            None => return Err(Fault { at, what: What::End }),
        }
    }
}

/// The place of the first quote, backslash or control character from `at` on, or the end of the text.
#[inline(never)]
fn plain_end(text: &[u8], mut at: usize) -> usize {
    // Words for the short strings, chunks for the long ones, which the compiler makes vector instructions of.
    for _ in 0..CHUNK / WORD {
        match plain_in_word(text, at) {
            Some(WORD) => at += WORD,
            Some(len) => return at + len,
            None => break,
        }
    }
    while let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk::<CHUNK>()) {
        if chunk.iter().fold(false, |found, byte| found | is_special(*byte)) {
            break;
        }
        at += CHUNK;
    }
    while plain_in_word(text, at) == Some(WORD) {
        at += WORD;
    }
    while text.get(at).is_some_and(|byte| !is_special(*byte)) {
        at += 1;
    }
    at
}

const WORD: usize = 8;
const CHUNK: usize = 32;

/// How many plain bytes the word at `at` begins with; `None` where the text has no whole word left.
#[inline]
fn plain_in_word(text: &[u8], at: usize) -> Option<usize> {
    let word = text.get(at..)?.first_chunk::<WORD>()?;
    Some(special_bytes(u64::from_le_bytes(*word)).trailing_zeros() as usize / 8)
}

fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// Sets the high bit of every byte that is a quote, a backslash or a control character. The subtractions may borrow from the byte
/// above a hit, so only the lowest bit set is sure: that is the one looked at.
#[inline]
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let below = |bytes: u64, limit: u64| bytes.wrapping_sub(ONES * limit) & !bytes;
    // With bit 1 turned over, the quote (0x22) is 0x20: next to the control characters, which stay among themselves.
    let quote_or_control = below(word ^ (ONES * 0x02), 0x21);
    let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
    (quote_or_control | backslash) & HIGH
}

/// The place after the escape that begins at `at`.
fn escape_end(text: &[u8], at: usize) -> Result<usize, Fault> {
    match text.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match hex4(text, at + 2)? {
            0xd800..0xdc00 => {
                let low = text.get(at + 6..at + 8) == Some(b"\\u")
                    && (0xdc00..0xe000).contains(&hex4(text, at + 8)?);
                if low { Ok(at + 12) } else { Err(Fault { at, what: What::Surrogate }) }
            }
            0xdc00..0xe000 => Err(Fault { at, what: What::Surrogate }),
            _ => Ok(at + 6),
        },
        Some(_) => Err(Fault { at, what: What::Escape }),
        None => Err(Fault { at, what: What::End }),
    }
}

fn hex4(text: &[u8], at: usize) -> Result<u32, Fault> {
    let digits = text.get(at..at + 4).ok_or(Fault { at: text.len(), what: What::End })?;
    let mut value = 0;
    for &digit in digits {
        let digit = char::from(digit).to_digit(16).ok_or(Fault { at, what: What::Escape })?;
        value = value << 4 | digit;
    }
    Ok(value)
}
