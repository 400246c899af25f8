//! Structured data (RFC 5424, 6.3): elements in brackets, each an id and parameters.
//!
//! What [`len`] accepted, the others read to its end.

use crate::record::{Key, Nested, NestedVisitor, Text, Value};
use crate::wire::WireId;

/// Most elements of one message, and parameters of one element. Each is compared with each.
const MAX_ELEMENTS: usize = 64;
const MAX_PARAMS: usize = 128;

/// An element: its id, and its parameters as they stand behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'b> {
    pub id: &'b [u8],
    pub params: &'b [u8],
}

/// A parameter. Its value is as it was written, with a backslash before `"`, `\` and `]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'b> {
    pub name: &'b [u8],
    pub value: &'b [u8],
}

/// The length of the structured data that `bytes` begin with, if they do. An id that is there twice is against the RFC (6.3.2), a parameter's name is not.
pub fn len(bytes: &[u8]) -> Option<usize> {
    let mut ids: Vec<&[u8]> = Vec::new();
    let mut rest = bytes;
    while rest.first() == Some(&b'[') {
        let (Element { id, params }, behind) = element(rest)?;
        if ids.len() == MAX_ELEMENTS || ids.contains(&id) || self::params(params).count() > MAX_PARAMS {
            return None;
        }
        ids.push(id);
        rest = behind;
    }
    let len = bytes.len() - rest.len();
    (len > 0 && std::str::from_utf8(&bytes[..len]).is_ok()).then_some(len)
}

/// The elements of structured data.
pub fn elements(data: &[u8]) -> impl Iterator<Item = Element<'_>> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let (element, behind) = element(rest)?;
        rest = behind;
        Some(element)
    })
}

/// The parameters of an element.
pub fn params(params: &[u8]) -> impl Iterator<Item = Param<'_>> + Clone {
    let mut rest = params;
    std::iter::from_fn(move || {
        let (param, behind) = param(rest)?;
        rest = behind;
        Some(param)
    })
}

/// A value without its backslashes, appended to `out`. Before any other character a backslash is one (6.3.3).
pub fn unescape(value: &[u8], out: &mut Vec<u8>) {
    let mut rest = value;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let escaped = rest.get(at + 1).filter(|byte| matches!(byte, b'"' | b'\\' | b']'));
        out.push(*escaped.unwrap_or(&b'\\'));
        rest = &rest[at + 1 + usize::from(escaped.is_some())..];
    }
    out.extend_from_slice(rest);
}

/// Pushes elements with their parameters, or the parameters of one.
pub(crate) fn walk_nested<'a>(data: &'a [u8], visitor: &mut dyn NestedVisitor<'a>) {
    let key = |name| Some(Key::Plain(Text::checked(name)));
    if data.first() == Some(&b'[') {
        for Element { id, params } in elements(data) {
            visitor.member(key(id), Value::Map(Nested { wire: WireId::Syslog, bytes: params }));
        }
        return;
    }
    for Param { name, value } in params(data) {
        visitor.member(key(name), Value::Str(Text::checked(value)));
    }
}

fn element(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let rest = bytes.strip_prefix(b"[")?;
    let (id, rest) = name(rest)?;
    let mut behind = rest;
    while let Some((_, next)) = param(behind) {
        behind = next;
    }
    let params = &rest[..rest.len() - behind.len()];
    Some((Element { id, params }, behind.strip_prefix(b"]")?))
}

fn param(bytes: &[u8]) -> Option<(Param<'_>, &[u8])> {
    let (name, rest) = name(bytes.strip_prefix(b" ")?)?;
    let rest = rest.strip_prefix(b"=\"")?;
    let mut end = 0;
    loop {
        end += memchr::memchr2(b'"', b'\\', &rest[end..])?;
        if rest[end] == b'"' {
            break;
        }
        end = (end + 2).min(rest.len());
    }
    Some((Param { name, value: &rest[..end] }, &rest[end + 1..]))
}

/// SD-NAME. The limit of 32 characters is left to those who store them.
fn name(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let ends = |byte: &u8| !matches!(byte, 33..=126) || matches!(byte, b'=' | b']' | b'"');
    let len = bytes.iter().position(ends)?;
    (len > 0).then(|| bytes.split_at(len))
}
