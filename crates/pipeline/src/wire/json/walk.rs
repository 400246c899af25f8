//! Walking JSON text that has been checked: members of an object or array, and white space.
//!
//! Nothing here can fail. On text that was never checked a walk ends early or yields nonsense, but it ends.

use super::escape::Unescaped;
use super::literal::{KeyAt, Kind, Literal};
use crate::record::NestedVisitor;

/// Pushes the members of an array or object literal, in order. What is nested deeper is pushed as it stands.
pub fn walk_nested<'a>(bytes: &'a [u8], visitor: &mut dyn NestedVisitor<'a>) {
    let Ok(text) = simdutf8::basic::from_utf8(bytes) else {
        return;
    };
    if !text.starts_with(['{', '[']) {
        return;
    }
    for (key, value) in Members::of(text, 0) {
        visitor.member(key.map(|key| key.key(text)), value.value(text));
    }
}

/// The value of the member `name` of the object at `object`.
pub(super) fn member_of(text: &str, object: Literal, name: &str) -> Option<Literal> {
    let text = &text[..object.end as usize];
    for (key, value) in Members::of(text, object.start as usize) {
        let key = key?;
        let same =
            if key.escaped { Unescaped::of(key.text(text)).eq(name.chars()) } else { key.text(text) == name };
        if same {
            return Some(value);
        }
    }
    None
}

/// Appends a literal without the white space between its tokens.
pub fn write_single_line(literal: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while at < literal.len() {
        match literal[at] {
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            b'"' => {
                let end = string_end(literal, at);
                out.extend_from_slice(&literal[at..end]);
                at = end;
            }
            byte => {
                out.push(byte);
                at += 1;
            }
        }
    }
}

/// The members of the array or object that begins at `at`.
pub(super) struct Members<'t> {
    text: &'t str,
    at: usize,
    is_map: bool,
}

impl<'t> Members<'t> {
    /// The value that `text` begins with, after white space.
    pub fn first(text: &str) -> Option<Literal> {
        Members { text, at: 0, is_map: false }.literal()
    }

    /// Those of the array or object that begins at `at`.
    pub fn of(text: &'t str, at: usize) -> Self {
        let is_map = text.as_bytes().get(at) == Some(&b'{');
        Self { text, at: at + 1, is_map }
    }

    /// Passes over white space and the marks between tokens, whose places were checked.
    fn skip_marks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b':') = self.text.as_bytes().get(self.at) {
            self.at += 1;
        }
    }

    fn literal(&mut self) -> Option<Literal> {
        self.skip_marks();
        let bytes = self.text.as_bytes();
        let start = self.at;
        let (kind, end) = match bytes.get(start)? {
            b'"' => {
                let end = string_end(bytes, start);
                if end < start + 2 {
                    return None;
                }
                let escaped = memchr::memchr(b'\\', &bytes[start..end]).is_some();
                (if escaped { Kind::Escaped } else { Kind::Str }, end)
            }
            b'{' => (Kind::Map, nested_end(bytes, start)),
            b'[' => (Kind::Array, nested_end(bytes, start)),
            b't' => (Kind::Bool(true), word_end(bytes, start)),
            b'f' => (Kind::Bool(false), word_end(bytes, start)),
            b'n' => (Kind::Null, word_end(bytes, start)),
            b'}' | b']' => return None,
            _ => (Kind::Number, word_end(bytes, start)),
        };
        self.at = end;
        Some(Literal { kind, start: start as u32, end: end as u32 })
    }
}

impl Iterator for Members<'_> {
    type Item = (Option<KeyAt>, Literal);

    fn next(&mut self) -> Option<Self::Item> {
        if !self.is_map {
            return Some((None, self.literal()?));
        }
        let key = self.literal()?;
        let (Kind::Str | Kind::Escaped) = key.kind else {
            return None;
        };
        let key = KeyAt { start: key.start + 1, end: key.end - 1, escaped: key.kind == Kind::Escaped };
        Some((Some(key), self.literal()?))
    }
}

/// The place after the string whose opening quote is at `quote`.
fn string_end(text: &[u8], quote: usize) -> usize {
    let mut at = quote + 1;
    while let Some(found) = text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if text[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    text.len()
}

/// The place after the array or object that begins at `open`.
fn nested_end(text: &[u8], open: usize) -> usize {
    let mut depth = 0;
    let mut at = open;
    while at < text.len() {
        match text[at] {
            b'"' => {
                at = string_end(text, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The place after a number, `true`, `false` or `null`.
fn word_end(text: &[u8], start: usize) -> usize {
    let after = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
    text[start..].iter().position(after).map_or(text.len(), |len| start + len)
}
