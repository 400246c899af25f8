//! Escapes of a JSON string that has been checked (RFC 8259 section 7).

use std::borrow::Cow;
use std::str::Chars;

/// A string literal's inside with its escapes replaced by what they stand for.
pub fn unescape(inside: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', inside.as_bytes()).is_none() {
        return Cow::Borrowed(inside);
    }
    Cow::Owned(Unescaped::of(inside).collect())
}

/// The characters that a string literal's inside stands for. What `check` would have refused reads as U+FFFD.
#[derive(Clone, Debug)]
pub(super) struct Unescaped<'a> {
    rest: Chars<'a>,
}

impl<'a> Unescaped<'a> {
    pub fn of(inside: &'a str) -> Self {
        Self { rest: inside.chars() }
    }

    fn unicode(&mut self) -> Option<char> {
        let first = self.hex4()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        if self.rest.next() != Some('\\') || self.rest.next() != Some('u') {
            return None;
        }
        let second = self.hex4()?;
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + second.checked_sub(0xdc00)?)
    }

    fn hex4(&mut self) -> Option<u32> {
        let mut value = 0;
        for _ in 0..4 {
            value = value << 4 | self.rest.next()?.to_digit(16)?;
        }
        Some(value)
    }
}

impl Iterator for Unescaped<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let first = self.rest.next()?;
        if first != '\\' {
            return Some(first);
        }
        Some(match self.rest.next() {
            Some(same @ ('"' | '\\' | '/')) => same,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => self.unicode().unwrap_or(char::REPLACEMENT_CHARACTER),
            _ => char::REPLACEMENT_CHARACTER,
        })
    }
}
