//! The document of an OTLP log record, written as the record is walked.

use super::escape::{write_hex, write_string};
use super::group::{write_count, write_text};
use super::member::{write_int, write_name, write_value};
use super::names::severity_name;
use super::{Framing, Scratch};
use crate::body::Body;
use crate::record::{EntityRef, GroupHead, Key, LogHead, LogVisitor, Text, Value};
use crate::time::{TimestampWriter, civil};
use std::io::Write as _;

/// Room that is asked for beside what a record's own bytes come to: names of fixed fields, timestamps, an action line.
const FIXED_ROOM: usize = 512;

/// Receives the records of one share.
#[derive(Debug)]
pub(super) struct LogDocument<'w> {
    body: &'w Body,
    scratch: &'w mut Scratch,
    out: &'w mut Vec<u8>,
    framing: &'w mut dyn Framing,
    /// Where the record at hand begins in `out`.
    start: usize,
    written: u32,
}

impl<'w> LogDocument<'w> {
    pub(super) fn new(
        body: &'w Body,
        scratch: &'w mut Scratch,
        out: &'w mut Vec<u8>,
        framing: &'w mut dyn Framing,
    ) -> Self {
        Self { body, scratch, out, framing, start: 0, written: 0 }
    }

    /// Records that fitted.
    pub(super) fn written(&self) -> u32 {
        self.written
    }
}

impl<'a> LogVisitor<'a> for LogDocument<'_> {
    fn group(&mut self, head: &GroupHead<'a>) {
        self.scratch.group.begin(head);
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

    fn record(&mut self, item: u32, head: &LogHead<'a>) {
        let Scratch { time, observed, group, slots, names } = &mut *self.scratch;
        let entry = self.body.entry(item);
        let out = &mut *self.out;
        self.start = out.len();
        // Markup makes a record about half as long again; escapes beyond that are rare, and the buffer grows for them.
        out.reserve(2 * entry.len as usize + group.tail.len() + FIXED_ROOM);
        slots.clear();
        names.rewind();
        self.framing.begin(self.body, item, out);
        out.extend_from_slice(b"{\"@timestamp\":\"");
        match (head.time, head.observed_time) {
            (0, 0) => out.extend_from_slice(time.format(entry.time)),
            (0, nanos) | (nanos, _) => write_time(nanos, time, out),
        }
        out.push(b'"');
        if head.observed_time != 0 {
            out.extend_from_slice(b",\"observed_timestamp\":\"");
            write_time(head.observed_time, observed, out);
            out.push(b'"');
        }
        write_severity(head, out);
        match head.body {
            None => {}
            Some(Value::Str(text)) => {
                out.extend_from_slice(b",\"message\":");
                write_string(text.as_bytes(), out);
            }
            Some(value) => {
                write_name("", Key::Plain("body".into()), out);
                write_value(value, slots, out);
            }
        }
        out.extend_from_slice(&group.name);
        write_id(b",\"trace_id\":\"", head.trace_id, out);
        write_id(b",\"span_id\":\"", head.span_id, out);
        write_count(b",\"trace_flags\":", head.flags, out);
        write_text(b",\"event_name\":", head.event_name, out);
        write_count(b",\"dropped_attributes_count\":", head.dropped_attributes, out);
    }

    fn attribute(&mut self, key: Text<'a>, value: Value<'a>) {
        let Scratch { names, slots, .. } = &mut *self.scratch;
        names.write_member(key, value, slots, self.out);
    }

    fn record_end(&mut self) -> bool {
        let Scratch { group, slots, names, .. } = &mut *self.scratch;
        names.drop_duplicates(slots, self.out);
        group.write_promoted(slots, self.out);
        self.out.extend_from_slice(&group.tail);
        let fits = self.framing.end(self.start, self.out);
        if fits {
            self.written += 1;
        } else {
            self.out.truncate(self.start);
        }
        fits
    }
}

/// Appends RFC 3339. The protocol's times are unsigned and reach to 2554, [`TimestampWriter`]'s to 2262.
fn write_time(nanos: u64, writer: &mut TimestampWriter, out: &mut Vec<u8>) {
    if let Ok(nanos) = i64::try_from(nanos) {
        out.extend_from_slice(writer.format(nanos));
        return;
    }
    let (second, fraction) = ((nanos / 1_000_000_000) as i64, nanos % 1_000_000_000);
    let (year, month, day) = civil(second / 86_400);
    let (hour, minute, second) = (second / 3_600 % 24, second / 60 % 60, second % 60);
    // Writing to a vector cannot fail.
    let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z");
}

fn write_severity(head: &LogHead<'_>, out: &mut Vec<u8>) {
    if !head.severity_text.is_empty() {
        write_text(b",\"level\":", head.severity_text, out);
    } else if let Some(name) = severity_name(head.severity_number) {
        write_text(b",\"level\":", name.into(), out);
    }
    if head.severity_number != 0 {
        out.extend_from_slice(b",\"severity_number\":");
        write_int(head.severity_number, out);
    }
}

fn write_id(name: &[u8], id: &[u8], out: &mut Vec<u8>) {
    if !id.is_empty() {
        out.extend_from_slice(name);
        write_hex(id, out);
        out.push(b'"');
    }
}
