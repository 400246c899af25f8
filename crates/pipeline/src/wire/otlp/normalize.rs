//! Puts a valid but scattered request into the order that every serialiser writes, with protobuf's own rules of merging.
//!
//! Of a message field that occurs more than once the contents are joined (parsing joined contents is what merging means), and of a
//! oneof the last run of its last member counts. Resource, scope and schema URLs come to stand before the records.
//! Only requests that `check` found valid come here, so that anything left over is an internal error, told as such.

use super::cursor::{BYTES, Bad, Cursor, tag};
use super::fields::{
    any_value, key_value, list, log_record, request, resource, resource_logs, scope, scope_logs,
};
use crate::wire::Malformed;

/// The messages that can be scattered or hold one that is.
#[derive(Clone, Copy, Debug)]
enum Message {
    Request,
    ResourceLogs,
    Resource,
    ScopeLogs,
    Scope,
    LogRecord,
    KeyValue,
    AnyValue,
    Array,
    Map,
}

impl Message {
    /// What the field with this tag holds, when that is one of these messages, and whether it may occur only once.
    fn field(self, tag: u64) -> Option<(Self, bool)> {
        Some(match (self, tag) {
            (Self::Request, request::RESOURCE_LOGS) => (Self::ResourceLogs, false),
            (Self::ResourceLogs, resource_logs::RESOURCE) => (Self::Resource, true),
            (Self::ResourceLogs, resource_logs::SCOPE_LOGS) => (Self::ScopeLogs, false),
            (Self::Resource, resource::ATTRIBUTE) | (Self::Scope, scope::ATTRIBUTE) => {
                (Self::KeyValue, false)
            }
            (Self::ScopeLogs, scope_logs::SCOPE) => (Self::Scope, true),
            (Self::ScopeLogs, scope_logs::LOG_RECORD) => (Self::LogRecord, false),
            (Self::LogRecord, log_record::BODY) => (Self::AnyValue, true),
            (Self::LogRecord, log_record::ATTRIBUTE) => (Self::KeyValue, false),
            (Self::KeyValue, key_value::VALUE) => (Self::AnyValue, true),
            (Self::AnyValue, any_value::ARRAY) => (Self::Array, true),
            (Self::AnyValue, any_value::KVLIST) => (Self::Map, true),
            (Self::Array, list::MEMBER) => (Self::AnyValue, false),
            (Self::Map, list::MEMBER) => (Self::KeyValue, false),
            _ => return None,
        })
    }

    /// Fields that must stand before the others.
    fn comes_first(self, tag: u64) -> bool {
        matches!(
            (self, tag),
            (Self::ResourceLogs, resource_logs::RESOURCE | resource_logs::SCHEMA_URL)
                | (Self::ScopeLogs, scope_logs::SCOPE | scope_logs::SCHEMA_URL)
        )
    }
}

/// Memory that a request holds while [`normalize`] works, in bytes for each byte of its body: the body, the request in its new order, and
/// 16 bytes for each of the parts of scattered messages, which have two bytes at least.
pub const NORMALIZE_EXPANSION: usize = 10;

/// The same request with nothing scattered.
pub fn normalize(body: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(body.len());
    write_message(Message::Request, &[body], &mut out).map_err(|bad| *bad)?;
    Ok(out)
}

/// One field as it stands: its tag, and the whole of it or (of a length-delimited one) its content.
struct Field<'b> {
    tag: u64,
    whole: &'b [u8],
    content: &'b [u8],
}

/// Which fields of a message count, by their number in it.
type Counting = std::ops::Range<usize>;

/// Writes a message whose content is `parts`, one behind the other. Nothing is collected of its fields but where the parts of a scattered
/// child are: they are read again for each purpose, so that memory does not grow with them.
fn write_message(message: Message, parts: &[&[u8]], out: &mut Vec<u8>) -> Result<(), Bad> {
    let is_value = matches!(message, Message::AnyValue);
    let counting = if is_value { last_member(parts)? } else { 0..usize::MAX };
    let mut written: Vec<u64> = Vec::new();
    for first in [true, false] {
        for (number, field) in fields(parts).enumerate() {
            let field = field?;
            let counts = counting.contains(&number) && (!is_value || is_member(field.tag));
            if message.comes_first(field.tag) != first || !counts {
                continue;
            }
            match message.field(field.tag) {
                None => out.extend_from_slice(field.whole),
                Some((child, false)) => write_child(child, field.tag, &[field.content], out)?,
                Some((child, true)) if !written.contains(&field.tag) => {
                    written.push(field.tag);
                    let same = parts_of(parts, &counting, field.tag)?;
                    write_child(child, field.tag, &same, out)?;
                }
                Some((_, true)) => {}
            }
        }
    }
    Ok(())
}

/// The contents of all fields with this tag.
fn parts_of<'b>(parts: &[&'b [u8]], counting: &Counting, tag: u64) -> Result<Vec<&'b [u8]>, Bad> {
    let same = || {
        let wanted = |number: &usize, field: &Field<'b>| field.tag == tag && counting.contains(number);
        fields(parts).enumerate().filter_map(move |(number, field)| match field {
            Ok(field) => wanted(&number, &field).then_some(Ok(field.content)),
            Err(bad) => Some(Err(bad)),
        })
    };
    // Counted first: a list that doubles as it grows would hold more than was leased for it.
    let mut found = Vec::with_capacity(same().count());
    for content in same() {
        found.push(content?);
    }
    Ok(found)
}

fn write_child(child: Message, tag: u64, parts: &[&[u8]], out: &mut Vec<u8>) -> Result<(), Bad> {
    write_varint(tag, out);
    // What is written is never longer than what was read, so its length's length is known well enough.
    let most = varint_len(parts.iter().map(|part| part.len()).sum::<usize>() as u64);
    let start = out.len();
    out.resize(start + most, 0);
    write_message(child, parts, out)?;
    let len = (out.len() - start - most) as u64;
    let spare = most - varint_len(len).min(most);
    if spare > 0 {
        out.copy_within(start + most.., start + most - spare);
        out.truncate(out.len() - spare);
    }
    let mut varint = Vec::with_capacity(most);
    write_varint(len, &mut varint);
    out[start..start + varint.len()].copy_from_slice(&varint);
    Ok(())
}

/// The fields of all parts in order. Parts are whole messages, so no field lies in two of them.
fn fields<'b>(parts: &[&'b [u8]]) -> impl Iterator<Item = Result<Field<'b>, Bad>> {
    parts.iter().flat_map(|part| {
        let mut cursor = Cursor::new(part);
        std::iter::from_fn(move || (!cursor.is_done()).then(|| read_field(part, &mut cursor)))
    })
}

fn read_field<'b>(part: &'b [u8], cursor: &mut Cursor<'b>) -> Result<Field<'b>, Bad> {
    let start = cursor.offset();
    let tag = cursor.tag()?;
    let content = if tag & 7 == BYTES {
        cursor.blob()?
    } else {
        cursor.skip(tag, 0)?;
        &[]
    };
    Ok(Field { tag, whole: &part[start..cursor.offset()], content })
}

/// Of the members of `AnyValue.value` only the last run with the same tag counts, because another member starts afresh; of a run of scalars
/// only its end.
fn last_member(parts: &[&[u8]]) -> Result<Counting, Bad> {
    let (mut run, mut of) = (0..0, None);
    for (number, field) in fields(parts).enumerate() {
        let tag = field?.tag;
        let merges = matches!(tag, any_value::ARRAY | any_value::KVLIST);
        if !is_member(tag) {
            continue;
        }
        if of != Some(tag) || !merges {
            run.start = number;
        }
        (run.end, of) = (number + 1, Some(tag));
    }
    Ok(run)
}

fn is_member(found: u64) -> bool {
    (tag(1, 0)..=tag(8, 7)).contains(&found)
}

fn varint_len(value: u64) -> usize {
    (u64::BITS - value.leading_zeros()).div_ceil(7).max(1) as usize
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
