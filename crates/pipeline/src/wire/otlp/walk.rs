//! The walk over a checked, canonical request: pushes records and their groups into a visitor. It cannot fail. What log records
//! are is here; of spans and data points in their own modules.
//!
//! Where the reader could report an error, the walk just ends: `check` has seen these bytes, so it does not happen.

use super::cursor::{Bad, Cursor};
use super::fields::{any_value, entity_ref, key_value, list, log_record, resource, scope};
use super::scalar::{plain_scalar, plain_text};
use crate::record::{EntityRef, GroupHead, Key, LogHead, Nested, NestedVisitor, RecordVisitor, Text, Value};
use crate::wire::{Group, Index, WireId};

/// Pushes the records numbered by `items` (ascending) into `out`, each group once before its first record, until the
/// visitor has enough.
pub fn walk_logs<'a, V: RecordVisitor<'a, LogHead<'a>>>(
    body: &'a [u8],
    index: &Index,
    items: &mut dyn Iterator<Item = u32>,
    out: &mut V,
) {
    walk(body, index, items, out, |_, content, item, out: &mut V| walk_record(content, item, out));
}

/// The same for records that `record` reads: it is given the number of the record's group, the record, and its number, and says whether
/// the visitor can take more.
#[inline(always)]
pub(super) fn walk<'a, H, V: RecordVisitor<'a, H>>(
    body: &'a [u8],
    index: &Index,
    items: &mut dyn Iterator<Item = u32>,
    out: &mut V,
    mut record: impl FnMut(u32, Cursor<'a>, u32, &mut V) -> Result<bool, Bad>,
) {
    let mut current = None;
    let mut scope = None;
    let mut resource = None;
    for item in items {
        let entry = &index.records[item as usize];
        if current != Some(entry.aux) {
            current = Some(entry.aux);
            let group = &index.groups[entry.aux as usize];
            // Metrics share their scope, as scopes their resource.
            let before = scope.replace(group.without_metric());
            let same_scope = group.metric.1 > 0 && before == scope;
            let before = resource.replace((group.resource, group.resource_schema_url));
            if !same_scope {
                let walked = walk_group(body, group, before == resource, out);
                debug_assert!(walked.is_ok(), "check accepted what walk cannot read");
            }
        }
        let walked = record(entry.aux, Cursor::at(body, (entry.offset, entry.len)), item, out);
        debug_assert!(walked.is_ok(), "check accepted what walk cannot read");
        if !walked.unwrap_or(false) {
            return;
        }
    }
}

/// Pushes the members of an `ArrayValue` or a `KeyValueList`.
pub fn walk_nested<'a>(bytes: &'a [u8], is_map: bool, visitor: &mut dyn NestedVisitor<'a>) {
    let mut message = Cursor::new(bytes);
    while let Ok(tag) = message.tag() {
        let walked = match tag {
            list::MEMBER if is_map => message
                .message()
                .and_then(read_key_value)
                .map(|(key, value)| visitor.member(Some(Key::Plain(key)), value)),
            list::MEMBER => {
                message.message().and_then(read_any_value).map(|value| visitor.member(None, value))
            }
            other => message.skip(other, 0),
        };
        if walked.is_err() {
            return;
        }
    }
}

fn walk_group<'a, H, V: RecordVisitor<'a, H>>(
    body: &'a [u8],
    group: &Group,
    same_resource: bool,
    out: &mut V,
) -> Result<(), Bad> {
    let mut head =
        GroupHead { scope_schema_url: text_at(body, group.scope_schema_url), ..GroupHead::default() };
    if !same_resource {
        head.resource_schema_url = text_at(body, group.resource_schema_url);
        head.resource_dropped_attributes = read_dropped(Cursor::at(body, group.resource))?;
    }
    read_scope_head(Cursor::at(body, group.scope), &mut head)?;
    out.group(&head, same_resource);
    if !same_resource {
        walk_resource(Cursor::at(body, group.resource), out)?;
    }
    let mut message = Cursor::at(body, group.scope);
    while !message.is_done() {
        match message.tag()? {
            scope::ATTRIBUTE => {
                let (key, value) = read_key_value(message.message()?)?;
                out.scope_attribute(key, value);
            }
            other => message.skip(other, 0)?,
        }
    }
    out.group_end();
    Ok(())
}

fn walk_resource<'a, H, V: RecordVisitor<'a, H>>(mut message: Cursor<'a>, out: &mut V) -> Result<(), Bad> {
    while !message.is_done() {
        match message.tag()? {
            resource::ATTRIBUTE => {
                let (key, value) = read_key_value(message.message()?)?;
                out.resource_attribute(key, value);
            }
            resource::ENTITY_REF => out.entity_ref(&read_entity_ref(message.message()?)?),
            other => message.skip(other, 0)?,
        }
    }
    Ok(())
}

fn read_dropped(mut message: Cursor<'_>) -> Result<u32, Bad> {
    let mut dropped = 0;
    while !message.is_done() {
        match message.tag()? {
            resource::DROPPED_ATTRIBUTES => dropped = message.varint()? as u32,
            other => message.skip(other, 0)?,
        }
    }
    Ok(dropped)
}

fn read_scope_head<'a>(mut message: Cursor<'a>, head: &mut GroupHead<'a>) -> Result<(), Bad> {
    while !message.is_done() {
        match message.tag()? {
            scope::NAME => head.scope_name = message.known_text()?,
            scope::VERSION => head.scope_version = message.known_text()?,
            scope::DROPPED_ATTRIBUTES => head.scope_dropped_attributes = message.varint()? as u32,
            other => message.skip(other, 0)?,
        }
    }
    Ok(())
}

fn walk_record<'a, V: RecordVisitor<'a, LogHead<'a>>>(
    mut fields: Cursor<'a>,
    item: u32,
    out: &mut V,
) -> Result<bool, Bad> {
    let mut head = LogHead::default();
    while !fields.is_done() {
        // Nearly all fields are these: in line and handed on at once, so that the parts stay in registers.
        if let Some((key, value)) = fields.short_key_value(log_record::ATTRIBUTE) {
            match plain_text(value) {
                Some(text) => out.attribute(Text::checked(key), Value::Str(Text::checked(text))),
                None => walk_other_attribute(key, value, out)?,
            }
            continue;
        }
        match fields.tag()? {
            log_record::ATTRIBUTE => walk_odd_attribute(fields.message()?, out)?,
            log_record::TIME => head.time = fields.fixed64()?,
            log_record::OBSERVED_TIME => head.observed_time = fields.fixed64()?,
            log_record::SEVERITY_NUMBER => head.severity_number = fields.varint()? as i32,
            log_record::SEVERITY_TEXT => head.severity_text = fields.known_text()?,
            log_record::BODY => read_body(fields.message()?, &mut head)?,
            log_record::DROPPED_ATTRIBUTES => head.dropped_attributes = fields.varint()? as u32,
            log_record::FLAGS => head.flags = fields.fixed32()?,
            log_record::TRACE_ID => head.trace_id = fields.blob()?,
            log_record::SPAN_ID => head.span_id = fields.blob()?,
            log_record::EVENT_NAME => head.event_name = fields.known_text()?,
            other => fields.skip(other, 0)?,
        }
    }
    Ok(out.record(item, &head))
}

#[inline(never)]
fn walk_other_attribute<'a, V: RecordVisitor<'a, LogHead<'a>>>(
    key: &'a [u8],
    value: &'a [u8],
    out: &mut V,
) -> Result<(), Bad> {
    match plain_scalar(value) {
        Some(scalar) => out.attribute(Text::checked(key), scalar),
        None => walk_rare_attribute(key, value, out)?,
    }
    Ok(())
}

#[inline(never)]
fn walk_rare_attribute<'a, V: RecordVisitor<'a, LogHead<'a>>>(
    key: &'a [u8],
    value: &'a [u8],
    out: &mut V,
) -> Result<(), Bad> {
    out.attribute(Text::checked(key), read_any_value(Cursor::new(value))?);
    Ok(())
}

#[inline(never)]
fn walk_odd_attribute<'a, V: RecordVisitor<'a, LogHead<'a>>>(
    content: Cursor<'a>,
    out: &mut V,
) -> Result<(), Bad> {
    let (key, value) = read_key_value(content)?;
    out.attribute(key, value);
    Ok(())
}

pub(super) fn read_key_value(mut message: Cursor<'_>) -> Result<(Text<'_>, Value<'_>), Bad> {
    let mut key = Text::default();
    let mut value = Value::Null;
    while !message.is_done() {
        match message.tag()? {
            key_value::KEY => key = message.known_text()?,
            key_value::VALUE => value = read_any_value(message.message()?)?,
            other => message.skip(other, 0)?,
        }
    }
    Ok((key, value))
}

/// Puts the body where it belongs by one of two ways, because values that meet in one variable meet in memory.
#[inline(always)]
fn read_body<'a>(content: Cursor<'a>, head: &mut LogHead<'a>) -> Result<(), Bad> {
    match plain_text(content.bytes()) {
        Some(text) => head.body = Some(Value::Str(Text::checked(text))),
        None => head.body = Some(read_any_value(content)?),
    }
    Ok(())
}

/// The last member of the oneof; in a canonical request it is the only one.
#[inline(never)]
fn read_any_value(mut message: Cursor<'_>) -> Result<Value<'_>, Bad> {
    let mut value = Value::Null;
    while !message.is_done() {
        value = match message.tag()? {
            any_value::STRING => Value::Str(message.known_text()?),
            any_value::BOOL => Value::Bool(message.varint()? != 0),
            any_value::INT => Value::Int(message.varint()? as i64),
            any_value::DOUBLE => Value::Double(f64::from_bits(message.fixed64()?)),
            any_value::ARRAY => Value::Array(nested(message.message()?)),
            any_value::KVLIST => Value::Map(nested(message.message()?)),
            any_value::BLOB => Value::Bytes(message.blob()?),
            other => {
                message.skip(other, 0)?;
                value
            }
        };
    }
    Ok(value)
}

fn nested(content: Cursor<'_>) -> Nested<'_> {
    Nested { wire: WireId::OtlpLogs, bytes: content.bytes() }
}

fn read_entity_ref(mut message: Cursor<'_>) -> Result<EntityRef<'_>, Bad> {
    let mut entity = EntityRef::default();
    while !message.is_done() {
        match message.tag()? {
            entity_ref::SCHEMA_URL => entity.schema_url = message.known_text()?,
            entity_ref::KIND => entity.kind = message.known_text()?,
            entity_ref::ID_KEY => entity.id_keys.push(message.known_text()?),
            entity_ref::DESCRIPTION_KEY => entity.description_keys.push(message.known_text()?),
            other => message.skip(other, 0)?,
        }
    }
    Ok(entity)
}

fn text_at(body: &[u8], (offset, len): (u32, u32)) -> Text<'_> {
    Text::checked(&body[offset as usize..(offset + len) as usize])
}
