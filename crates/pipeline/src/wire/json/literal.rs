//! A value as it stands in the text: its kind and where it is.

use crate::record::{Key, Nested, Value};
use crate::wire::WireId;

/// What kind of value a literal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Number,
    /// A string without any escape.
    Str,
    /// A string with at least one escape.
    Escaped,
    Array,
    Map,
}

/// A value's kind and its place in the text, quotes and brackets included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Literal {
    pub kind: Kind,
    pub start: u32,
    pub end: u32,
}

/// A key's place in the text, without its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyAt {
    pub start: u32,
    pub end: u32,
    pub escaped: bool,
}

impl Literal {
    pub fn text(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }

    /// What is between the quotes of a string; for any other kind the whole literal.
    pub fn inside(self, text: &str) -> &str {
        match self.kind {
            Kind::Str | Kind::Escaped => &text[self.start as usize + 1..self.end as usize - 1],
            _ => self.text(text),
        }
    }

    /// Whether it is a string with nothing in it.
    pub fn is_empty_string(self) -> bool {
        self.kind == Kind::Str && self.end - self.start == 2
    }

    /// The value, borrowed.
    pub fn value(self, text: &str) -> Value<'_> {
        match self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(value),
            Kind::Number => Value::Number(self.text(text)),
            Kind::Str => Value::Str(self.inside(text).into()),
            Kind::Escaped => Value::Escaped(self.inside(text)),
            Kind::Array => Value::Array(self.nested(text)),
            Kind::Map => Value::Map(self.nested(text)),
        }
    }

    fn nested(self, text: &str) -> Nested<'_> {
        Nested { wire: WireId::Json, bytes: self.text(text).as_bytes() }
    }
}

impl KeyAt {
    /// As it is written. Unlike text, bytes can be cut anywhere, so there is nothing to check.
    pub fn bytes(self, text: &str) -> &[u8] {
        &text.as_bytes()[self.start as usize..self.end as usize]
    }

    pub fn text(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }

    pub fn key(self, text: &str) -> Key<'_> {
        if self.escaped { Key::Escaped(self.text(text)) } else { Key::Plain(self.text(text).into()) }
    }
}
