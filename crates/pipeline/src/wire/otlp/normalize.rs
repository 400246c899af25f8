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

/// The same request with nothing scattered.
pub fn normalize(body: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(body.len());
    write_message(Message::Request, body, &mut out).map_err(|bad| *bad)?;
    Ok(out)
}

/// One field as it stands: its tag, and the whole of it or (of a length-delimited one) its content.
struct Field<'b> {
    tag: u64,
    whole: &'b [u8],
    content: &'b [u8],
}

fn write_message(message: Message, body: &[u8], out: &mut Vec<u8>) -> Result<(), Bad> {
    let mut fields = read_fields(body)?;
    if let Message::AnyValue = message {
        keep_last_member(&mut fields);
    }
    let (first, rest): (Vec<_>, Vec<_>) = fields.iter().partition(|field| message.comes_first(field.tag));
    let mut written: Vec<u64> = Vec::new();
    for field in first.into_iter().chain(rest) {
        match message.field(field.tag) {
            None => out.extend_from_slice(field.whole),
            Some((child, false)) => write_child(child, field.tag, field.content, out)?,
            Some((child, true)) if !written.contains(&field.tag) => {
                written.push(field.tag);
                let same = fields.iter().filter(|other| other.tag == field.tag);
                let joined: Vec<u8> = same.flat_map(|other| other.content).copied().collect();
                write_child(child, field.tag, &joined, out)?;
            }
            Some((_, true)) => {}
        }
    }
    Ok(())
}

fn write_child(child: Message, tag: u64, content: &[u8], out: &mut Vec<u8>) -> Result<(), Bad> {
    let mut inner = Vec::with_capacity(content.len());
    write_message(child, content, &mut inner)?;
    write_varint(tag, out);
    write_varint(inner.len() as u64, out);
    out.extend_from_slice(&inner);
    Ok(())
}

fn read_fields(body: &[u8]) -> Result<Vec<Field<'_>>, Bad> {
    let mut fields = Vec::new();
    let mut cursor = Cursor::new(body);
    while !cursor.is_done() {
        let start = cursor.offset();
        let tag = cursor.tag()?;
        let content = if tag & 7 == BYTES {
            cursor.blob()?
        } else {
            cursor.skip(tag, 0)?;
            &[]
        };
        fields.push(Field { tag, whole: &body[start..cursor.offset()], content });
    }
    Ok(fields)
}

/// Of the members of `AnyValue.value` only the last run with the same tag counts: another member starts afresh.
fn keep_last_member(fields: &mut Vec<Field<'_>>) {
    let is_member = |field: &Field<'_>| (tag(1, 0)..=tag(8, 7)).contains(&field.tag);
    fields.retain(is_member);
    let Some(last) = fields.last().map(|field| field.tag) else { return };
    let run = fields.iter().rev().take_while(|field| field.tag == last).count();
    fields.drain(..fields.len() - run);
    let merges = matches!(last, any_value::ARRAY | any_value::KVLIST);
    if !merges {
        fields.drain(..run - 1);
    }
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
