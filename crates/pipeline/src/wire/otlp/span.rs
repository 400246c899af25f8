//! Spans: an `ExportTraceServiceRequest`'s records.

use super::check::{Check, Records};
use super::cursor::{Bad, Cursor};
use super::fields::{span, status};
use super::part::{Kind, Part};
use super::schema::SPAN_SCHEMA;
use super::walk::{read_key_value, walk};
use crate::document::span_fields;
use crate::record::{Part as AnyPart, RecordVisitor, SpanHead, Text, Value};
use crate::wire::{Entry, Group, Index};

/// Spans of a `ScopeSpans`.
#[derive(Debug)]
pub(super) struct Spans;

impl Records for Spans {
    fn check<'b>(
        check: &mut Check<'_, '_, '_, 'b>,
        content: Cursor<'b>,
        group: Group,
        number: usize,
    ) -> Result<(), Bad> {
        const DEPTH: u32 = 3;
        let (offset, len) = content.span();
        check.limits(len as usize)?;
        check.message(content, SPAN_SCHEMA, DEPTH)?;
        // At the first record and not before, so that there are no more groups than records.
        if check.index.groups.len() == number {
            check.index.groups.push(group);
        }
        let matcher = &mut *check.matcher;
        matcher.begin_record();
        let head = read_span(content, &mut |key, value| matcher.record_attribute(key, value))?;
        if matcher.wants_head() {
            span_fields(&head, &mut |name, value| matcher.head_field(name, value));
        }
        let entry = Entry { offset, len, aux: number as u32, ..check.timed(head.start) };
        check.push(entry);
        Ok(())
    }
}

/// Pushes the spans numbered by `items` (ascending) into `out`, each group once before its first span, until the visitor has
/// enough.
pub fn walk_spans<'a, V: RecordVisitor<'a, SpanHead<'a>>>(
    body: &'a [u8],
    index: &Index,
    items: &mut dyn Iterator<Item = u32>,
    out: &mut V,
) {
    walk(body, index, items, out, |_, content, item, out: &mut V| {
        let head = read_span(content, &mut |key, value| out.attribute(key, value))?;
        Ok(out.record(item, &head))
    });
}

/// Reads a span that was checked; `attribute` is given its attributes.
fn read_span<'a>(
    content: Cursor<'a>,
    attribute: &mut impl FnMut(Text<'a>, Value<'a>),
) -> Result<SpanHead<'a>, Bad> {
    let bytes = content.bytes();
    let list = |kind, tag: u64| -> Option<AnyPart<'a>> { Some(Part::of(kind, (tag >> 3) as u8, bytes)) };
    let mut head = SpanHead::default();
    let mut fields = content;
    while !fields.is_done() {
        match fields.tag()? {
            span::ATTRIBUTE => {
                let (key, value) = read_key_value(fields.message()?)?;
                attribute(key, value);
            }
            span::TRACE_ID => head.trace_id = fields.blob()?,
            span::SPAN_ID => head.span_id = fields.blob()?,
            span::PARENT_SPAN_ID => head.parent_span_id = fields.blob()?,
            span::TRACE_STATE => head.trace_state = fields.known_text()?,
            span::FLAGS => head.flags = fields.fixed32()?,
            span::NAME => head.name = fields.known_text()?,
            span::KIND => head.kind = fields.varint()? as i32,
            span::START => head.start = fields.fixed64()?,
            span::END => head.end = fields.fixed64()?,
            span::STATUS => read_status(fields.message()?, &mut head)?,
            span::EVENT => {
                fields.message()?;
                head.events = list(Kind::Events, span::EVENT);
            }
            span::LINK => {
                fields.message()?;
                head.links = list(Kind::Links, span::LINK);
            }
            span::DROPPED_ATTRIBUTES => head.dropped_attributes = fields.varint()? as u32,
            span::DROPPED_EVENTS => head.dropped_events = fields.varint()? as u32,
            span::DROPPED_LINKS => head.dropped_links = fields.varint()? as u32,
            other => fields.skip(other, 0)?,
        }
    }
    Ok(head)
}

fn read_status<'a>(mut fields: Cursor<'a>, head: &mut SpanHead<'a>) -> Result<(), Bad> {
    while !fields.is_done() {
        match fields.tag()? {
            status::MESSAGE => head.status_message = fields.known_text()?,
            status::CODE => head.status_code = fields.varint()? as i32,
            other => fields.skip(other, 0)?,
        }
    }
    Ok(())
}
