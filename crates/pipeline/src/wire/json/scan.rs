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

    /// The next byte, or 0 at the end: JSON has no place for a zero byte, so every match refuses it.
    pub fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    /// Whether only white space is left; passes over it.
    pub fn only_space_left(&mut self) -> bool {
        self.skip_space();
        self.at == self.text.len()
    }

    /// Passes over white space. Most writers put one space or none between two tokens.
    #[inline]
    pub fn skip_space(&mut self) {
        if self.peek() <= b' ' {
            self.skip_spaces();
        }
    }

    fn skip_spaces(&mut self) {
        loop {
            match self.peek() {
                b' ' | b'\t' => {}
                b'\n' | b'\r' => self.line_break = true,
                _ => return,
            }
            self.at += 1;
        }
    }

    pub fn fault(&self, what: What) -> Fault {
        Fault { at: self.at, what: if self.at < self.text.len() { what } else { What::End } }
    }

    fn whole_value(&mut self) -> Result<(), Fault> {
        self.skip_space();
        self.value(0)?;
        if self.only_space_left() { Ok(()) } else { Err(self.fault(What::Trailing)) }
    }

    /// Passes over one value that begins here; `depth` counts the arrays and maps around it.
    pub fn value(&mut self, depth: usize) -> Result<Literal, Fault> {
        let start = self.at as u32;
        let kind = match self.peek() {
            b'"' => self.string()?,
            b'{' => self.map(depth)?,
            b'[' => self.array(depth)?,
            b'-' | b'0'..=b'9' => self.number()?,
            b't' => self.word("true", Kind::Bool(true))?,
            b'f' => self.word("false", Kind::Bool(false))?,
            b'n' => self.word("null", Kind::Null)?,
            0xef if self.text[self.at..].starts_with('\u{feff}') => {
                return Err(self.fault(What::ByteOrderMark));
            }
            _ => return Err(self.fault(What::Value)),
        };
        Ok(Literal { kind, start, end: self.at as u32 })
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Fault> {
        let mut object = self.open_object(depth)?;
        while self.next_key(&mut object)?.is_some() {
            self.value(depth + 1)?;
        }
        Ok(Kind::Map)
    }

    /// Enters the object that begins here.
    pub fn open_object(&mut self, depth: usize) -> Result<OpenObject, Fault> {
        self.enter(depth)?;
        Ok(self.keys.open())
    }

    /// Passes over the next key and its colon, up to the value, which the caller scans; `None` when the object has ended.
    pub fn next_key(&mut self, object: &mut OpenObject) -> Result<Option<KeyAt>, Fault> {
        self.skip_space();
        match self.peek() {
            b'}' => {
                self.at += 1;
                let twice = self.keys.close(*object, self.text);
                self.note_duplicate(twice);
                return Ok(None);
            }
            b',' if !object.is_empty() => {
                self.at += 1;
                self.skip_space();
            }
            _ if !object.is_empty() => return Err(self.fault(What::Comma)),
            _ => {}
        }
        if self.peek() != b'"' {
            return Err(self.fault(What::Key));
        }
        let start = self.at as u32 + 1;
        let escaped = self.string()? == Kind::Escaped;
        let key = KeyAt { start, end: self.at as u32 - 1, escaped };
        if self.keys.add(object, self.text, key) {
            self.note_duplicate(Some(key));
        }
        self.skip_space();
        if self.peek() != b':' {
            return Err(self.fault(What::Colon));
        }
        self.at += 1;
        self.skip_space();
        Ok(Some(key))
    }

    fn note_duplicate(&mut self, key: Option<KeyAt>) {
        if self.duplicate.is_none() {
            self.duplicate = key.map(|twice| twice.start - 1);
        }
    }

    fn array(&mut self, depth: usize) -> Result<Kind, Fault> {
        self.enter(depth)?;
        let mut first = true;
        while self.next_element(first)? {
            self.value(depth + 1)?;
            first = false;
        }
        Ok(Kind::Array)
    }

    /// Moves to an array's next element; false when the array has ended.
    pub fn next_element(&mut self, first: bool) -> Result<bool, Fault> {
        self.skip_space();
        match self.peek() {
            b']' => {
                self.at += 1;
                return Ok(false);
            }
            b',' if !first => {
                self.at += 1;
                self.skip_space();
            }
            _ if !first => return Err(self.fault(What::Comma)),
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

    fn string(&mut self) -> Result<Kind, Fault> {
        let (end, escaped) = scan_string(self.text.as_bytes(), self.at)?;
        self.at = end;
        Ok(if escaped { Kind::Escaped } else { Kind::Str })
    }

    fn word(&mut self, word: &'static str, kind: Kind) -> Result<Kind, Fault> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.fault(What::Value));
        }
        self.at += word.len();
        Ok(kind)
    }

    /// RFC 8259 section 6: `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    fn number(&mut self) -> Result<Kind, Fault> {
        if self.peek() == b'-' {
            self.at += 1;
        }
        if self.peek() == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        // What follows is refused by the caller unless it may follow a value: `01` is a 0 without a comma.
        Ok(Kind::Number)
    }

    fn digits(&mut self) -> Result<(), Fault> {
        if !self.peek().is_ascii_digit() {
            return Err(self.fault(What::Digit));
        }
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }
}
