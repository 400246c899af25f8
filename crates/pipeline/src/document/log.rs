//! The document of an OTLP log record, written as the record is walked.

use super::draft::Draft;
use super::group::{write_count, write_text};
use super::member::{write_int, write_value};
use super::names::severity_name;
use super::{Framing, Scratch};
use crate::body::Body;
use crate::record::{EntityRef, GroupHead, LogHead, LogVisitor, Text, Value};
use crate::time::{TimestampWriter, civil};
use bytes::Bytes;

const TIMESTAMP: &[u8; 15] = b"{\"@timestamp\":\"";

/// Receives the records of one share.
#[derive(Debug)]
pub(super) struct LogDocument<'w> {
    body: &'w Body,
    scratch: &'w mut Scratch,
    out: &'w mut Vec<u8>,
    framing: &'w mut dyn Framing,
    written: u32,
}

impl<'w> LogDocument<'w> {
    pub(super) fn new(
        body: &'w Body,
        scratch: &'w mut Scratch,
        out: &'w mut Vec<u8>,
        framing: &'w mut dyn Framing,
    ) -> Self {
        scratch.attributes.begin();
        scratch.draft.clear();
        scratch.draft.read_from(body.bytes.clone());
        Self { body, scratch, out, framing, written: 0 }
    }

    /// The share is written; says how many records fitted.
    pub(super) fn finish(self) -> u32 {
        self.scratch.draft.read_from(Bytes::new());
        self.written
    }
}

impl<'a> LogVisitor<'a> for LogDocument<'_> {
    fn group(&mut self, head: &GroupHead<'a>, same_resource: bool) {
        self.scratch.group.begin(head, same_resource);
    }

    fn resource_attribute(&mut self, key: Text<'a>, value: Value<'a>) {
        self.scratch.group.resource_attribute(key, value);
    }

    fn entity_ref(&mut self, entity: &EntityRef<'a>) {
        self.scratch.group.entity_ref(entity);
    }

    fn scope_attribute(&mut self, key: Text<'a>, value: Value<'a>) {
        self.scratch.group.scope_attribute(key, value);
    }

    fn group_end(&mut self) {
        self.scratch.group.end();
    }

    #[inline(always)]
    fn attribute(&mut self, key: Text<'a>, value: Value<'a>) {
        let Scratch { draft, attributes, .. } = &mut *self.scratch;
        attributes.write(key, value, draft);
    }

    fn record(&mut self, item: u32, head: &LogHead<'a>) -> bool {
        let Scratch { draft, attributes, group, .. } = &mut *self.scratch;
        attributes.end(draft);
        group.write_promoted(attributes, draft);
        // The fixed fields are known last and stand first.
        let fixed = draft.len();
        self.write_fixed(item, head);
        let Scratch { draft, attributes, group, .. } = &mut *self.scratch;
        let start = self.out.len();
        self.framing.begin(self.body, item, self.out);
        let (written, fixed) = draft.as_slice().split_at(fixed);
        for part in [fixed, written, &group.tail] {
            self.out.extend_from_slice(part);
        }
        attributes.begin();
        draft.clear();
        let fits = self.framing.end(start, self.out);
        if fits {
            self.written += 1;
        } else {
            self.out.truncate(start);
        }
        fits
    }
}

impl LogDocument<'_> {
    fn write_fixed(&mut self, item: u32, head: &LogHead<'_>) {
        let Scratch { draft, time, observed, group, attributes } = &mut *self.scratch;
        match (head.time, head.observed_time) {
            // A time that the record lacks is its arrival's, never negative.
            (0, 0) => write_time(TIMESTAMP, self.body.entry(item).time as u64, time, draft),
            (0, nanos) | (nanos, _) => write_time(TIMESTAMP, nanos, time, draft),
        }
        if head.observed_time != 0 {
            write_time(b",\"observed_timestamp\":\"", head.observed_time, observed, draft);
        }
        write_severity(head, draft);
        match head.body {
            None => {}
            Some(Value::Str(text)) => draft.named_string(b",\"message\":", text.as_bytes()),
            Some(value) => {
                draft.literal(b",\"body\":");
                write_value(value, attributes.slots(), draft);
            }
        }
        draft.extend(group.name.as_slice());
        write_id(b",\"trace_id\":\"", head.trace_id, draft);
        write_id(b",\"span_id\":\"", head.span_id, draft);
        write_count(b",\"trace_flags\":", head.flags, draft);
        write_text(b",\"event_name\":", head.event_name, draft);
        write_count(b",\"dropped_attributes_count\":", head.dropped_attributes, draft);
    }
}

/// Appends RFC 3339. The protocol's times are unsigned and reach to 2554, [`TimestampWriter`]'s to 2262.
#[inline(always)]
fn write_time<const N: usize>(name: &[u8; N], nanos: u64, writer: &mut TimestampWriter, out: &mut Draft) {
    match i64::try_from(nanos) {
        Ok(nanos) => {
            let (second, fraction) = writer.format(nanos);
            out.named_time(name, second, &fraction);
        }
        Err(_) => {
            out.literal(name);
            write_far_time(nanos, out);
        }
    }
}

#[cold]
fn write_far_time(nanos: u64, out: &mut Draft) {
    let (second, fraction) = ((nanos / 1_000_000_000) as i64, nanos % 1_000_000_000);
    let (year, month, day) = civil(second / 86_400);
    let (hour, minute, second) = (second / 3_600 % 24, second / 60 % 60, second % 60);
    let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z\"");
    out.extend(text.as_bytes());
}

fn write_severity(head: &LogHead<'_>, out: &mut Draft) {
    if !head.severity_text.is_empty() {
        write_text(b",\"level\":", head.severity_text, out);
    } else if let Some(name) = severity_name(head.severity_number) {
        write_text(b",\"level\":", name.into(), out);
    }
    if head.severity_number != 0 {
        out.literal(b",\"severity_number\":");
        write_int(head.severity_number.into(), out);
    }
}

#[inline(always)]
fn write_id<const N: usize>(name: &[u8; N], id: &[u8], out: &mut Draft) {
    if !id.is_empty() {
        out.literal(name);
        out.hex(id);
        out.push(b'"');
    }
}
