//! OTLP's JSON (OTLP specification, "JSON Protobuf Encoding"), written anew as protobuf: from there on it is a request like any other.
//!
//! What protobuf's JSON has and OTLP's has not: ids are hexadecimal, enumerations are numbers, names are lowerCamelCase alone. Unknown fields
//! are ignored, and null is a field that is not there. Of the reader's own choice: a field twice, or two members of a oneof, is refused, as
//! protobuf's own reader does.

mod number;
mod writer;

use super::schema::{Field, Kind, Schema};
use crate::Signal;
use crate::budget::{Exhausted, Lease};
use crate::wire::Malformed;
use number::Number;
use serde::de::{
    Deserialize as _, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;
use std::fmt;
use writer::Writer;

/// Why a request could not be translated.
#[derive(Debug, thiserror::Error)]
pub enum Untranslated {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
}

/// The same request of this signal as protobuf. `lease` covers `body`, and grows by what is written.
///
/// # Errors
/// The body is no such request, or the budget has no room for it in both forms.
pub fn from_json(signal: Signal, body: &[u8], lease: &mut Lease) -> Result<Vec<u8>, Untranslated> {
    // A text with escapes is written out by the reader first, and it may be as long as the body.
    let unescaped = if memchr::memchr(b'\\', body).is_some() { body.len() } else { 0 };
    let mut out = Writer::beside(lease.bytes().max(body.len()) + unescaped, lease);
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = Content { out: &mut out, schema: Schema::request(signal) }
        .deserialize(&mut json)
        .and_then(|()| json.end());
    let written = out.finish()?;
    read.map_err(|error| Malformed::OtlpJson { what: error.to_string() })?;
    Ok(written)
}

/// A message: an object, whose fields are appended to what is written.
struct Content<'o, 'l> {
    out: &'o mut Writer<'l>,
    schema: &'static Schema,
}

impl<'de> DeserializeSeed<'de> for Content<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Content<'_, '_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = 0_u64;
        while let Some(known) = map.next_key_seed(Name(self.schema))? {
            let Some(field) = known else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let written = self.out.len();
            map.next_value_seed(Member { out: self.out, field, place: Place::Field })?;
            // What was null is not there.
            if self.out.len() == written {
                continue;
            }
            let bit = 1 << field.number;
            let clashes = if self.schema.oneof & bit == 0 { bit } else { self.schema.oneof };
            if seen & clashes != 0 {
                return Err(A::Error::custom(format!(
                    "`{}` where it, or another value, is already",
                    field.name
                )));
            }
            seen |= bit;
        }
        Ok(())
    }
}

/// A field's name.
struct Name(&'static Schema);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static Field>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static Field>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a field's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.named(name))
    }
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is a field's.
    Field,
    /// It is an element of a field's list.
    Element,
    /// The same, in a packed list: no tag goes before it.
    Packed,
}

/// A field's value, or one of them.
struct Member<'o, 'l> {
    out: &'o mut Writer<'l>,
    field: &'static Field,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for Member<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        if matches!(self.field.kind, Kind::Double | Kind::Doubles) && !self.is_list() {
            return self.double(<&RawValue>::deserialize(json)?.get());
        }
        json.deserialize_any(self)
    }
}

impl Member<'_, '_> {
    /// A double as it is written: the reader would round some of them to a neighbour.
    fn double<E: Error>(self, literal: &str) -> Result<(), E> {
        if literal == "null" {
            return self.visit_unit();
        }
        let inside = literal.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        self.number(Number::Text(inside.unwrap_or(literal)))
    }

    /// Whether a list is wanted here, rather than what would be in it.
    fn is_list(&self) -> bool {
        self.place == Place::Field && self.field.kind.is_list()
    }

    fn number<E: Error>(self, number: Number<'_>) -> Result<(), E> {
        if self.is_list() {
            return Err(E::custom(format!("`{}` is a list", self.field.name)));
        }
        let tag = (self.place != Place::Packed).then_some(self.field);
        let written = self.out.number(self.field.kind, tag, number);
        written.ok_or_else(|| E::custom(format!("`{}` is no such number", self.field.name)))?;
        self.out.in_room()
    }
}

impl<'de> Visitor<'de> for Member<'_, '_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.field.kind {
            _ if self.is_list() => "a list",
            Kind::Text | Kind::Texts => "a text",
            Kind::Blob => "base64",
            Kind::Id => "an id in hexadecimal",
            Kind::Bool => "true or false",
            Kind::Message(_) | Kind::Messages(_) => "an object",
            _ => "a number",
        };
        write!(out, "{what} as `{}`", self.field.name)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        match self.place {
            Place::Field => Ok(()),
            _ => Err(E::custom(format!("null in the list `{}`", self.field.name))),
        }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.field.kind {
            Kind::Bool => {
                self.out.varint_field(self.field, value.into());
                self.out.in_room()
            }
            _ => Err(E::invalid_type(serde::de::Unexpected::Bool(value), &self)),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(Number::Natural(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(Number::Integer(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.number(Number::Double(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let bad = |what: &str| E::custom(format!("`{}` is not {what}", self.field.name));
        match self.field.kind {
            _ if self.is_list() => return Err(bad("a list")),
            Kind::Text | Kind::Texts => self.out.bytes_field(self.field, text.as_bytes()),
            Kind::Id => self.out.hex_field(self.field, text).ok_or_else(|| bad("hexadecimal"))?,
            Kind::Blob => self.out.base64_field(self.field, text).ok_or_else(|| bad("base64"))?,
            Kind::Bool | Kind::Message(_) | Kind::Messages(_) => {
                return Err(E::invalid_type(serde::de::Unexpected::Str(text), &self));
            }
            _ => return self.number(Number::Text(text)),
        }
        self.out.in_room()
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let (Kind::Message(schema) | Kind::Messages(schema)) = self.field.kind else {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self));
        };
        if self.is_list() {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self));
        }
        let start = self.out.begin(self.field);
        Content { out: self.out, schema }.visit_map(map)?;
        self.out.end(start);
        self.out.in_room()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if !self.is_list() {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self));
        }
        let Self { out, field, .. } = self;
        let is_packed = matches!(field.kind, Kind::Fixed64s | Kind::Doubles | Kind::Uint64s);
        let place = if is_packed { Place::Packed } else { Place::Element };
        let mut start = None;
        loop {
            let before = out.len();
            if is_packed && start.is_none() {
                start = Some((before, out.begin(field)));
            }
            if list.next_element_seed(Member { out, field, place })?.is_none() {
                break;
            }
        }
        match start {
            Some((before, start)) if out.len() == start => out.truncate(before),
            Some((_, start)) => out.end(start),
            None => {}
        }
        out.in_room()
    }
}
