//! The document of a record of OTLP's kind (with fixed fields, attributes, resource and scope), written as the record is walked.

use super::draft::Draft;
use super::member::write_value;
use super::timestamp::write_time;
use super::{Framing, Scratch};
use crate::Signal;
use crate::body::Body;
use crate::record::{EntityRef, GroupHead, RecordVisitor, Text, Value};
use bytes::Bytes;

/// How each document begins.
pub(super) const TIMESTAMP: &[u8; 15] = b"{\"@timestamp\":\"";

/// The fixed fields of one kind of records.
pub(super) trait Head<'a> {
    /// The kind.
    const SIGNAL: Signal;

    /// Appends them to the draft, beginning with the document's bracket and [`TIMESTAMP`]. `arrived` (nanoseconds since 1970) stands for a time
    /// that the record lacks.
    fn write(&self, arrived: u64, scratch: &mut Scratch);
}

/// Receives the records of one share.
#[derive(Debug)]
pub(super) struct RecordDocument<'w> {
    body: &'w Body,
    scratch: &'w mut Scratch,
    out: &'w mut Vec<u8>,
    framing: &'w mut dyn Framing,
    written: u32,
}

impl<'w> RecordDocument<'w> {
    pub(super) fn new(
        body: &'w Body,
        scratch: &'w mut Scratch,
        out: &'w mut Vec<u8>,
        framing: &'w mut dyn Framing,
    ) -> Self {
        let signal = body.wire.signal();
        scratch.attributes.serve(signal);
        scratch.group.serve(signal);
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

impl<'a, H: Head<'a>> RecordVisitor<'a, H> for RecordDocument<'_> {
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

    fn record(&mut self, item: u32, head: &H) -> bool {
        debug_assert_eq!(self.body.wire.signal(), H::SIGNAL);
        let Scratch { draft, attributes, group, .. } = &mut *self.scratch;
        attributes.end(draft);
        group.write_promoted(attributes, draft);
        // The fixed fields are known last and stand first.
        let fixed = draft.len();
        // A time that the record lacks is its arrival's, never negative.
        head.write(self.body.entry(item).time as u64, self.scratch);
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

/// Appends the bracket, `@timestamp` and what `fields` hands over, by name.
pub(super) fn write_fields<'a>(
    time: u64,
    scratch: &mut Scratch,
    fields: impl FnOnce(&mut dyn FnMut(&'static str, Value<'a>)),
) {
    let Scratch { draft, time: writer, attributes, .. } = scratch;
    write_time(TIMESTAMP, time, writer, draft);
    fields(&mut |name, value| {
        write_field(name, draft);
        write_value(value, attributes.slots(), draft);
    });
}

/// Appends `,"<name>":`.
fn write_field(name: &'static str, out: &mut Draft) {
    out.literal(b",\"");
    out.extend(name.as_bytes());
    out.literal(b"\":");
}
