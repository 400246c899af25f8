//! The scanner: validates JSON text as RFC 8259 defines it, and finds where its values begin and end.
//!
//! It builds nothing. A record's top-level members are handed on as places in the text; what is nested in them is
//! validated and passed over.

use super::keys::{Keys, OpenObject};
use super::literal::{KeyAt, Kind, Literal};
use super::string::{Fault, What, scan_string};
use crate::wire::{MAX_NESTING, Malformed};

/// The longest text that can be scanned: places in it are 32-bit numbers.
pub(super) const MAX_TEXT_BYTES: usize = u32::MAX as usize;

/// Whether `text` is one JSON value with nothing but white space around it (RFC 8259 section 2), within what this wire accepts.
///
/// # Errors
/// The first reason against it, with its place.
pub fn check_value(text: &[u8]) -> Result<(), Malformed> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(Malformed::RecordTooLarge { bytes: text.len(), limit: MAX_TEXT_BYTES });
    }
    let text = utf8(text, 0)?;
    let mut keys = Keys::default();
    let mut scanner = Scanner::new(text, 0, &mut keys);
    scanner.whole_value().map_err(|fault| fault.malformed(0))?;
    match scanner.duplicate {
        Some(offset) => Err(Malformed::DuplicateKey { offset: offset as usize }),
        None => Ok(()),
    }
}

/// `bytes` as text; `base` is their own place in the body.
pub(super) fn utf8(bytes: &[u8], base: usize) -> Result<&str, Malformed> {
    simdutf8::compat::from_utf8(bytes).map_err(|error| Malformed::Utf8 { offset: base + error.valid_up_to() })
}

/// A place in a text, moving forward over tokens that are valid.
pub(super) struct Scanner<'t, 'k> {
    text: &'t str,
    keys: &'k mut Keys,
    pub at: usize,
    /// There was a line break between two tokens.
    pub line_break: bool,
    /// Where a key stands that its object has already. The scan goes on, because the value can still be delimited.
    pub duplicate: Option<u32>,
}

impl<'t, 'k> Scanner<'t, 'k> {
    pub fn new(text: &'t str, at: usize, keys: &'k mut Keys) -> Self {
        keys.clear();
        Self { text, keys, at, line_break: false, duplicate: None }
    }

    /// The next byte, or 0 at the end.
    pub fn peek(&self) -> u8 {
        byte(self.text.as_bytes(), self.at)
    }

    /// Whether only white space is left; passes over it.
    pub fn only_space_left(&mut self) -> bool {
        self.at = self.space_end(self.at);
        self.at == self.text.len()
    }

    /// The place after the white space at `at`. Most writers put one space or none between two tokens.
    #[inline]
    fn space_end(&mut self, at: usize) -> usize {
        let text = self.text.as_bytes();
        if byte(text, at) > b' ' {
            return at;
        }
        if byte(text, at) == b' ' && byte(text, at + 1) > b' ' {
            return at + 1;
        }
        self.long_space_end(at)
    }

    #[inline(never)]
    fn long_space_end(&mut self, mut at: usize) -> usize {
        loop {
            match byte(self.text.as_bytes(), at) {
                b' ' | b'\t' => {}
                b'\n' | b'\r' => self.line_break = true,
                _ => return at,
            }
            at += 1;
        }
    }

    #[cold]
    fn fault(&self, at: usize, what: What) -> Fault {
        Fault { at, what: if at < self.text.len() { what } else { What::End } }
    }

    fn whole_value(&mut self) -> Result<(), Fault> {
        self.at = self.space_end(self.at);
        self.value(0)?;
        if self.only_space_left() { Ok(()) } else { Err(self.fault(self.at, What::Trailing)) }
    }

    /// Passes over one value that begins here; `depth` counts the arrays and maps around it.
    pub fn value(&mut self, depth: usize) -> Result<Literal, Fault> {
        let text = self.text.as_bytes();
        let at = self.at;
        let (kind, end) = match byte(text, at) {
            b'"' => {
                let (end, escaped) = scan_string(text, at)?;
                (if escaped { Kind::Escaped } else { Kind::Str }, end)
            }
            b'-' | b'0'..=b'9' => (Kind::Number, self.number_end(at)?),
            b'{' => (Kind::Map, self.map_end(depth)?),
            b'[' => (Kind::Array, self.array_end(depth)?),
            b't' => (Kind::Bool(true), self.word_end("true")?),
            b'f' => (Kind::Bool(false), self.word_end("false")?),
            b'n' => (Kind::Null, self.word_end("null")?),
            0xef if self.text[at..].starts_with('\u{feff}') => {
                return Err(self.fault(at, What::ByteOrderMark));
            }
            _ => return Err(self.fault(at, What::Value)),
        };
        self.at = end;
        Ok(Literal { kind, start: at as u32, end: end as u32 })
    }

    fn map_end(&mut self, depth: usize) -> Result<usize, Fault> {
        let mut object = self.open_object(depth)?;
        while self.next_key(&mut object)?.is_some() {
            self.value(depth + 1)?;
        }
        Ok(self.at)
    }

    /// Enters the object that begins here.
    pub fn open_object(&mut self, depth: usize) -> Result<OpenObject, Fault> {
        self.enter(depth)?;
        Ok(self.keys.open())
    }

    /// Passes over the next key and its colon, up to the value, which the caller scans; `None` when the object has ended.
    #[inline]
    pub fn next_key(&mut self, object: &mut OpenObject) -> Result<Option<KeyAt>, Fault> {
        let text = self.text.as_bytes();
        let mut at = self.space_end(self.at);
        match byte(text, at) {
            b'}' => {
                self.close(*object, at);
                return Ok(None);
            }
            b',' if !object.is_empty() => at = self.space_end(at + 1),
            _ if !object.is_empty() => return Err(self.fault(at, What::Comma)),
            _ => {}
        }
        if byte(text, at) != b'"' {
            return Err(self.fault(at, What::Key));
        }
        let (end, escaped) = scan_string(text, at)?;
        let key = KeyAt { start: at as u32 + 1, end: end as u32 - 1, escaped };
        if self.keys.add(object, self.text, key) {
            self.note_duplicate(key);
        }
        at = self.space_end(end);
        if byte(text, at) != b':' {
            return Err(self.fault(at, What::Colon));
        }
        self.at = self.space_end(at + 1);
        Ok(Some(key))
    }

    fn close(&mut self, object: OpenObject, at: usize) {
        self.at = at + 1;
        if let Some(twice) = self.keys.close(object, self.text) {
            self.note_duplicate(twice);
        }
    }

    #[cold]
    fn note_duplicate(&mut self, key: KeyAt) {
        self.duplicate.get_or_insert(key.start - 1);
    }

    fn array_end(&mut self, depth: usize) -> Result<usize, Fault> {
        self.enter(depth)?;
        let mut first = true;
        while self.next_element(first)? {
            self.value(depth + 1)?;
            first = false;
        }
        Ok(self.at)
    }

    /// Moves to an array's next element; false when the array has ended.
    pub fn next_element(&mut self, first: bool) -> Result<bool, Fault> {
        self.at = self.space_end(self.at);
        match self.peek() {
            b']' => {
                self.at += 1;
                return Ok(false);
            }
            b',' if !first => self.at = self.space_end(self.at + 1),
            _ if !first => return Err(self.fault(self.at, What::Comma)),
            _ => {}
        }
        Ok(true)
    }

    fn enter(&mut self, depth: usize) -> Result<(), Fault> {
        if depth >= MAX_NESTING {
            return Err(Fault { at: self.at, what: What::TooDeep });
        }
        self.at += 1;
        Ok(())
    }

    fn word_end(&self, word: &'static str) -> Result<usize, Fault> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.fault(self.at, What::Value));
        }
        Ok(self.at + word.len())
    }

    /// RFC 8259 section 6: `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    ///
    /// What follows is refused by the caller unless it may follow a value: `01` is a 0 without a comma.
    fn number_end(&self, mut at: usize) -> Result<usize, Fault> {
        let text = self.text.as_bytes();
        if byte(text, at) == b'-' {
            at += 1;
        }
        at = if byte(text, at) == b'0' { at + 1 } else { self.digits_end(at)? };
        if byte(text, at) == b'.' {
            at = self.digits_end(at + 1)?;
        }
        if matches!(byte(text, at), b'e' | b'E') {
            let sign = matches!(byte(text, at + 1), b'+' | b'-');
            at = self.digits_end(at + 1 + usize::from(sign))?;
        }
        Ok(at)
    }

    #[inline]
    fn digits_end(&self, start: usize) -> Result<usize, Fault> {
        let mut at = start;
        while byte(self.text.as_bytes(), at).is_ascii_digit() {
            at += 1;
        }
        if at == start { Err(self.fault(at, What::Digit)) } else { Ok(at) }
    }
}

/// The byte at `at`, or 0 at the end: outside of strings JSON has no place for a zero byte, so every match refuses it.
#[inline]
fn byte(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or(0)
}
