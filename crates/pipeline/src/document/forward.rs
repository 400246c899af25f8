//! The document of an event of Fluent Forward, written as its record is walked.

use super::draft::Draft;
use super::member::{Slots, write_member, write_value};
use super::{Framing, Scratch};
use crate::body::Body;
use crate::record::{Key, Value};
use crate::time::TimestampWriter;
use crate::wire::forward::{Fields, Level, walk_record};
use bytes::Bytes;

/// Appends the records of a share, as [`DocumentWriter::write`](super::DocumentWriter::write) has it.
pub(super) fn write(
    body: &Body,
    items: &mut dyn Iterator<Item = u32>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
    framing: &mut dyn Framing,
) -> u32 {
    scratch.draft.read_from(body.bytes.clone());
    let mut written = 0;
    for item in items {
        let start = out.len();
        framing.begin(body, item, out);
        write_document(body, item, scratch, out);
        out.push(b'\n');
        if !framing.end(start, out) {
            out.truncate(start);
            break;
        }
        written += 1;
    }
    scratch.draft.read_from(Bytes::new());
    written
}

fn write_document(body: &Body, item: u32, scratch: &mut Scratch, out: &mut Vec<u8>) {
    let Scratch { draft, time, attributes, .. } = scratch;
    attributes.begin();
    draft.clear();
    let slots = attributes.slots();
    let mut fields = Fields::default();
    let stamp = walk_record(body.record(item), &mut |key, value| {
        if !fields.note(key.as_bytes(), || value) {
            write_member("", Key::Plain(key), value, slots, draft);
        }
    });
    slots.drop_duplicates(0, draft);
    // What is known last stands first.
    let first = draft.len();
    write_time(body.entry(item).time, &fields, time, slots, draft);
    write_level(&fields, slots, draft);
    if fields.has_tag {
        draft.literal(b",\"attributes.tag\":");
    } else {
        draft.literal(b",\"tag\":");
    }
    draft.string(tag(body, item));
    if let Some(metadata) = stamp.metadata {
        if fields.has_metadata {
            draft.literal(b",\"attributes.metadata\":");
        } else {
            draft.literal(b",\"metadata\":");
        }
        write_value(Value::Map(metadata), slots, draft);
    }
    let (members, fixed) = draft.as_slice().split_at(first);
    out.push(b'{');
    out.extend_from_slice(fixed.get(1..).unwrap_or_default());
    out.extend_from_slice(members);
    out.push(b'}');
    draft.clear();
}

/// The tag that the record came under, which `check` has found to be UTF-8.
fn tag(body: &Body, item: u32) -> &[u8] {
    let (at, len) = body.index.groups[body.entry(item).aux as usize].resource;
    &body.bytes[at as usize..][..len as usize]
}

fn write_time(
    nanos: i64,
    fields: &Fields<'_>,
    time: &mut TimestampWriter,
    slots: &mut Slots,
    draft: &mut Draft,
) {
    match (fields.stamp, fields.own_time()) {
        // As it stands, Elasticsearch reads the same time from it.
        (Some(own), Some(moment)) if moment.canonical => {
            draft.literal(b",\"@timestamp\":");
            write_value(own, slots, draft);
        }
        _ => {
            let (second, fraction) = time.format(nanos);
            draft.named_time(b",\"@timestamp\":\"", second, &fraction);
        }
    }
    if let Some(moved) = fields.moved_stamp() {
        draft.literal(b",\"attributes.@timestamp\":");
        write_value(moved, slots, draft);
    }
}

fn write_level(fields: &Fields<'_>, slots: &mut Slots, draft: &mut Draft) {
    let Some(level) = fields.level() else { return };
    draft.literal(b",\"level\":");
    match level {
        Level::Value(value) => write_value(value, slots, draft),
        Level::Name(name) => draft.string(name.as_str().as_bytes()),
    }
}
