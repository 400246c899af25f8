//! Lists and objects among the fixed fields of spans and data points: a message, and which of its fields is meant.

use super::cursor::{BYTES, Bad, Cursor, FIXED64, VARINT};
use super::fields::{event, exemplar, link, quantile};
use super::walk::read_key_value;
use crate::record::{Key, NestedVisitor, Part as AnyPart, Text, Value};

/// One of them, in a message that was checked.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    kind: Kind,
    /// The number of the field in the message; of an object that is a message itself, nothing.
    field: u8,
    message: &'a [u8],
}

/// What the members are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Lists of numbers, packed or one by one.
    Fixed64s,
    Doubles,
    Varints,
    /// Lists of messages.
    Events,
    Links,
    Exemplars,
    Quantiles,
    /// An object of attributes.
    Attributes,
    /// Objects: one message of the lists above.
    Event,
    Link,
    Exemplar,
    Quantile,
}

type Out<'v, 'a> = &'v mut dyn NestedVisitor<'a>;

impl<'a> Part<'a> {
    /// Field number `field` of `message`.
    pub(super) fn of(kind: Kind, field: u8, message: &'a [u8]) -> AnyPart<'a> {
        AnyPart::Otlp(Self { kind, field, message })
    }

    /// The message itself, as an object.
    fn whole(kind: Kind, message: &'a [u8]) -> Value<'a> {
        Value::Part(Self::of(kind, 0, message))
    }

    pub(crate) fn is_map(&self) -> bool {
        use Kind::{Attributes, Event, Exemplar, Link, Quantile};
        matches!(self.kind, Attributes | Event | Link | Exemplar | Quantile)
    }

    pub(crate) fn walk(&self, out: &mut dyn NestedVisitor<'a>) {
        let walked = match self.kind {
            Kind::Event => walk_event(self.message, out),
            Kind::Link => walk_link(self.message, out),
            Kind::Exemplar => walk_exemplar(self.message, out),
            Kind::Quantile => walk_quantile(self.message, out),
            _ => self.walk_field(out),
        };
        debug_assert!(walked.is_ok(), "check accepted what walk cannot read");
    }

    fn walk_field(&self, out: Out<'_, 'a>) -> Result<(), Bad> {
        let mut message = Cursor::new(self.message);
        while !message.is_done() {
            let tag = message.tag()?;
            if tag >> 3 != u64::from(self.field) {
                message.skip(tag, 0)?;
                continue;
            }
            let is_number = matches!(self.kind, Kind::Fixed64s | Kind::Doubles | Kind::Varints);
            match tag & 7 {
                BYTES if is_number => {
                    let mut packed = message.message()?;
                    while !packed.is_done() {
                        out.member(None, self.number(&mut packed)?);
                    }
                }
                BYTES => self.walk_member(message.message()?, out)?,
                FIXED64 | VARINT => out.member(None, self.number(&mut message)?),
                _ => message.skip(tag, 0)?,
            }
        }
        Ok(())
    }

    fn number(&self, numbers: &mut Cursor<'a>) -> Result<Value<'a>, Bad> {
        Ok(match self.kind {
            Kind::Doubles => Value::Double(f64::from_bits(numbers.fixed64()?)),
            Kind::Varints => Value::Unsigned(numbers.varint()?),
            _ => Value::Unsigned(numbers.fixed64()?),
        })
    }

    fn walk_member(&self, content: Cursor<'a>, out: Out<'_, 'a>) -> Result<(), Bad> {
        let kind = match self.kind {
            Kind::Events => Kind::Event,
            Kind::Links => Kind::Link,
            Kind::Exemplars => Kind::Exemplar,
            Kind::Quantiles => Kind::Quantile,
            _ => {
                let (key, value) = read_key_value(content)?;
                out.member(Some(Key::Plain(key)), value);
                return Ok(());
            }
        };
        out.member(None, Self::whole(kind, content.bytes()));
        Ok(())
    }
}

/// `Span.Event`.
fn walk_event<'a>(content: &'a [u8], out: Out<'_, 'a>) -> Result<(), Bad> {
    let (mut time, mut name, mut dropped, mut attributes) = (0, Text::default(), 0, false);
    let mut message = Cursor::new(content);
    while !message.is_done() {
        match message.tag()? {
            event::TIME => time = message.fixed64()?,
            event::NAME => name = message.known_text()?,
            event::ATTRIBUTE => attributes = message.message().map(|_| true)?,
            event::DROPPED_ATTRIBUTES => dropped = message.varint()? as u32,
            other => message.skip(other, 0)?,
        }
    }
    push_time(time, out);
    push_text("name", name, out);
    push_attributes(attributes, event::ATTRIBUTE, content, out);
    push_count("dropped_attributes_count", dropped, out);
    Ok(())
}

/// `Span.Link`.
fn walk_link<'a>(content: &'a [u8], out: Out<'_, 'a>) -> Result<(), Bad> {
    let (mut trace, mut span, mut state): (&[u8], &[u8], _) = (&[], &[], Text::default());
    let (mut dropped, mut flags, mut attributes) = (0, 0, false);
    let mut message = Cursor::new(content);
    while !message.is_done() {
        match message.tag()? {
            link::TRACE_ID => trace = message.blob()?,
            link::SPAN_ID => span = message.blob()?,
            link::TRACE_STATE => state = message.known_text()?,
            link::ATTRIBUTE => attributes = message.message().map(|_| true)?,
            link::DROPPED_ATTRIBUTES => dropped = message.varint()? as u32,
            link::FLAGS => flags = message.fixed32()?,
            other => message.skip(other, 0)?,
        }
    }
    push_hex("trace_id", trace, out);
    push_hex("span_id", span, out);
    push_text("trace_state", state, out);
    push_attributes(attributes, link::ATTRIBUTE, content, out);
    push_count("dropped_attributes_count", dropped, out);
    push_count("flags", flags, out);
    Ok(())
}

fn walk_exemplar<'a>(content: &'a [u8], out: Out<'_, 'a>) -> Result<(), Bad> {
    let (mut time, mut value, mut attributes) = (0, None, false);
    let (mut trace, mut span): (&[u8], &[u8]) = (&[], &[]);
    let mut message = Cursor::new(content);
    while !message.is_done() {
        match message.tag()? {
            exemplar::TIME => time = message.fixed64()?,
            exemplar::DOUBLE => value = Some(Value::Double(f64::from_bits(message.fixed64()?))),
            exemplar::INT => value = Some(Value::Int(message.fixed64()? as i64)),
            exemplar::SPAN_ID => span = message.blob()?,
            exemplar::TRACE_ID => trace = message.blob()?,
            exemplar::ATTRIBUTE => attributes = message.message().map(|_| true)?,
            other => message.skip(other, 0)?,
        }
    }
    push_time(time, out);
    if let Some(value) = value {
        push("value", value, out);
    }
    push_hex("trace_id", trace, out);
    push_hex("span_id", span, out);
    push_attributes(attributes, exemplar::ATTRIBUTE, content, out);
    Ok(())
}

/// `SummaryDataPoint.ValueAtQuantile`. Its zeros mean something, so both are told.
fn walk_quantile<'a>(content: &'a [u8], out: Out<'_, 'a>) -> Result<(), Bad> {
    let (mut at, mut value) = (0, 0);
    let mut message = Cursor::new(content);
    while !message.is_done() {
        match message.tag()? {
            quantile::QUANTILE => at = message.fixed64()?,
            quantile::VALUE => value = message.fixed64()?,
            other => message.skip(other, 0)?,
        }
    }
    push("quantile", Value::Double(f64::from_bits(at)), out);
    push("value", Value::Double(f64::from_bits(value)), out);
    Ok(())
}

fn push<'a>(name: &'static str, value: Value<'a>, out: Out<'_, 'a>) {
    out.member(Some(Key::Plain(name.into())), value);
}

fn push_time(time: u64, out: Out<'_, '_>) {
    if time != 0 {
        push("@timestamp", Value::Time(time), out);
    }
}

fn push_text<'a>(name: &'static str, text: Text<'a>, out: Out<'_, 'a>) {
    if !text.is_empty() {
        push(name, Value::Str(text), out);
    }
}

fn push_hex<'a>(name: &'static str, id: &'a [u8], out: Out<'_, 'a>) {
    if !id.is_empty() {
        push(name, Value::Hex(id), out);
    }
}

fn push_count(name: &'static str, count: u32, out: Out<'_, '_>) {
    if count != 0 {
        push(name, Value::Int(count.into()), out);
    }
}

fn push_attributes<'a>(are_there: bool, tag: u64, message: &'a [u8], out: Out<'_, 'a>) {
    if are_there {
        push("attributes", Value::Part(Part::of(Kind::Attributes, (tag >> 3) as u8, message)), out);
    }
}
