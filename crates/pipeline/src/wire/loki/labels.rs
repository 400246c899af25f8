//! The labels of a stream as Loki writes them: `{job="x", level="error"}`, by the rules of PromQL's selectors, with `=` alone.

use crate::record::Value;
use std::borrow::Cow;

/// Most labels of one stream. Each is compared with each; Loki's own default is 15.
pub const MAX_LABELS: usize = 128;

/// A label; its value as it is written, between its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label<'b> {
    pub name: &'b str,
    raw: &'b str,
    /// Between backticks nothing is escaped.
    is_raw: bool,
}

impl<'b> Label<'b> {
    /// What the value reads. Bytes that are no UTF-8 become U+FFFD.
    pub fn value(&self) -> Cow<'b, str> {
        if self.is_raw || !self.raw.contains('\\') {
            return Cow::Borrowed(self.raw);
        }
        let mut bytes = Vec::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let Some(at) = rest.find('\\') {
            bytes.extend_from_slice(&rest.as_bytes()[..at]);
            // What `parse` let pass has an escape here.
            let (len, byte) = escape(&rest[at..], &mut bytes).unwrap_or((1, Some(b'\\')));
            bytes.extend(byte);
            rest = &rest[at + len..];
        }
        bytes.extend_from_slice(rest.as_bytes());
        Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The value for routes: of one with an escape that JSON does not have, as it is written.
    pub(crate) fn routed(&self) -> Value<'b> {
        let is_json = || crate::wire::json::check_value(format!("\"{}\"", self.raw).as_bytes()).is_ok();
        if !self.is_raw && self.raw.contains('\\') && is_json() {
            return Value::Escaped(self.raw);
        }
        Value::Str(self.raw.into())
    }
}

/// Reads all labels of a stream. `None`: they are malformed, one is there twice, or there are too many.
pub fn parse(text: &str) -> Option<Vec<Label<'_>>> {
    let mut labels: Vec<Label<'_>> = Vec::new();
    let mut rest = text.trim().strip_prefix('{')?.trim_start();
    while !rest.starts_with('}') {
        let (name, behind) = name(rest)?;
        let behind = behind.trim_start().strip_prefix('=')?.trim_start();
        let (raw, is_raw, behind) = quoted(behind)?;
        if labels.len() == MAX_LABELS || labels.iter().any(|label| label.name == name) {
            return None;
        }
        labels.push(Label { name, raw, is_raw });
        let behind = behind.trim_start();
        rest = match behind.strip_prefix(',') {
            Some(behind) => behind.trim_start(),
            None if behind.starts_with('}') => behind,
            None => return None,
        };
    }
    (rest == "}").then_some(labels)
}

/// A name, in quotes if it is not made of letters, digits, `_`, `:`, `.` and `-`. Quoted names have no escapes here.
fn name(text: &str) -> Option<(&str, &str)> {
    if text.starts_with('"') {
        let (raw, _, rest) = quoted(text)?;
        return (!raw.is_empty() && !raw.contains('\\')).then_some((raw, rest));
    }
    let is_name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | ':' | '.' | '-');
    let len = text.find(|char| !is_name(char))?;
    (len > 0).then(|| text.split_at(len))
}

/// A string: what is between its quotes, whether it is raw, and what follows.
fn quoted(text: &str) -> Option<(&str, bool, &str)> {
    let quote = text.chars().next().filter(|char| matches!(char, '"' | '\'' | '`'))?;
    let inside = &text[1..];
    if quote == '`' {
        let (raw, rest) = inside.split_once('`')?;
        return Some((raw, true, rest));
    }
    let mut at = 0;
    loop {
        at += inside[at..].find([quote, '\\', '\n'])?;
        match inside.as_bytes()[at] {
            b'\\' => at += escape(&inside[at..], &mut Vec::new())?.0,
            b'\n' => return None,
            _ => return Some((&inside[..at], false, &inside[at + 1..])),
        }
    }
}

/// The escape that `text` begins with, as Go has them: its length, and its byte, if it is one; a character is appended.
fn escape(text: &str, out: &mut Vec<u8>) -> Option<(usize, Option<u8>)> {
    let bytes = text.as_bytes();
    let short = match bytes.get(1)? {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        byte @ (b'\\' | b'"' | b'\'') => *byte,
        b'0'..=b'7' => {
            let byte = u8::from_str_radix(text.get(1..4)?, 8).ok()?;
            return Some((4, Some(byte)));
        }
        b'x' => return Some((4, Some(hex(text, 4)?.try_into().ok()?))),
        b'u' => return character(text, 6, out),
        b'U' => return character(text, 10, out),
        _ => return None,
    };
    Some((2, Some(short)))
}

fn character(text: &str, len: usize, out: &mut Vec<u8>) -> Option<(usize, Option<u8>)> {
    let char = char::from_u32(hex(text, len)?)?;
    out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
    Some((len, None))
}

/// The digits behind the letter of an escape of `len` bytes.
fn hex(text: &str, len: usize) -> Option<u32> {
    let digits = text.get(2..len)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Option<Vec<(String, String)>> {
        let pair = |label: Label<'_>| (label.name.to_owned(), label.value().into_owned());
        parse(text).map(|labels| labels.into_iter().map(pair).collect())
    }

    #[test]
    fn labels_are_read_as_promql_writes_them() {
        let cases: [(&str, &[(&str, &str)]); 7] = [
            ("{}", &[]),
            (r#"{job="x"}"#, &[("job", "x")]),
            (r#" { job = "x" , level='error', } "#, &[("job", "x"), ("level", "error")]),
            (r#"{a="C:\\logs\\\"x\"",b="é\u00e9\U0001f600\n"}"#, &[("a", r#"C:\logs\"x""#), ("b", "éé😀\n")]),
            (r#"{a="\x41\101\a\v\'"}"#, &[("a", "AA\u{7}\u{b}'")]),
            (r#"{a="\xff"}"#, &[("a", "\u{fffd}")]),
            (r#"{a=`\n}`,"b.c-d"="{}"}"#, &[("a", r"\n}"), ("b.c-d", "{}")]),
        ];
        for (text, expected) in cases {
            let found = read(text).unwrap_or_else(|| panic!("{text}"));
            let expected: Vec<(String, String)> =
                expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_set_of_labels_is_refused() {
        let bad = [
            "",
            "{",
            "}",
            "job=\"x\"",
            "{job}",
            "{job=}",
            "{job=x}",
            "{job=\"x}",
            "{job=\"x\" a=\"y\"}",
            "{=\"x\"}",
            "{a=\"x\"}b",
            "{a!=\"x\"}",
            "{a=~\"x\"}",
            "{a=\"x\",a=\"y\"}",
            "{a=\"\\z\"}",
            "{a=\"\\x4\"}",
            "{a=\"\\ud800\"}",
            "{a=\"\\777\"}",
            "{a=\"x\ny\"}",
            "{,}",
            "{\"\"=\"x\"}",
            "{a=\"\\u+0041\"}",
        ];
        for text in bad {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
