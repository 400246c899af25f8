//! Values of attributes and bodies, and references to entities: checked in full, and read for the routes.

use super::Check;
use crate::record::{Nested, Text, Value};
use crate::wire::WireId;
use crate::wire::otlp::cursor::{Bad, Cursor, MAX_MESSAGE_DEPTH};
use crate::wire::otlp::fields::{any_value, entity_ref, key_value, list};

impl<'b> Check<'_, '_, '_, 'b> {
    pub(super) fn key_value(
        &mut self,
        mut message: Cursor<'b>,
        depth: u32,
    ) -> Result<(Text<'b>, Value<'b>), Bad> {
        if depth > MAX_MESSAGE_DEPTH {
            return Err(message.too_deep());
        }
        let mut key = Text::default();
        let mut value = None;
        while !message.is_done() {
            match message.tag()? {
                key_value::KEY => key = message.text()?,
                key_value::VALUE => {
                    self.scattered |= value.is_some();
                    value = Some(self.any_value(message.message()?, depth + 1)?);
                }
                key_value::KEY_STRINDEX => drop(message.varint()?),
                other => message.skip_unknown(other, key_value::KNOWN, depth)?,
            }
        }
        Ok((key, value.unwrap_or(Value::Null)))
    }

    #[inline(never)]
    pub(super) fn any_value(&mut self, mut message: Cursor<'b>, depth: u32) -> Result<Value<'b>, Bad> {
        if depth > MAX_MESSAGE_DEPTH {
            return Err(message.too_deep());
        }
        let mut value = Value::Null;
        let mut members = 0;
        while !message.is_done() {
            members += 1;
            value = match message.tag()? {
                any_value::STRING => Value::Str(message.text()?),
                any_value::BOOL => Value::Bool(message.varint()? != 0),
                any_value::INT => Value::Int(message.varint()? as i64),
                any_value::DOUBLE => Value::Double(f64::from_bits(message.fixed64()?)),
                any_value::ARRAY => Value::Array(self.array(message.message()?, depth + 1)?),
                any_value::KVLIST => Value::Map(self.map(message.message()?, depth + 1)?),
                any_value::BLOB => Value::Bytes(message.blob()?),
                any_value::STRINDEX => {
                    message.varint()?;
                    Value::Null
                }
                other => {
                    members -= 1;
                    message.skip_unknown(other, any_value::KNOWN, depth)?;
                    value
                }
            };
        }
        self.scattered |= members > 1;
        Ok(value)
    }

    fn array(&mut self, message: Cursor<'b>, depth: u32) -> Result<Nested<'b>, Bad> {
        if depth > MAX_MESSAGE_DEPTH {
            return Err(message.too_deep());
        }
        let mut members = message;
        while !members.is_done() {
            match members.tag()? {
                list::MEMBER => drop(self.any_value(members.message()?, depth + 1)?),
                other => members.skip_unknown(other, list::KNOWN, depth)?,
            }
        }
        Ok(Nested { wire: WireId::OtlpLogs, bytes: message.bytes() })
    }

    fn map(&mut self, message: Cursor<'b>, depth: u32) -> Result<Nested<'b>, Bad> {
        if depth > MAX_MESSAGE_DEPTH {
            return Err(message.too_deep());
        }
        let mut members = message;
        while !members.is_done() {
            match members.tag()? {
                list::MEMBER => drop(self.key_value(members.message()?, depth + 1)?),
                other => members.skip_unknown(other, list::KNOWN, depth)?,
            }
        }
        Ok(Nested { wire: WireId::OtlpLogs, bytes: message.bytes() })
    }
}

pub(super) fn check_entity_ref(mut message: Cursor<'_>, depth: u32) -> Result<(), Bad> {
    while !message.is_done() {
        match message.tag()? {
            entity_ref::SCHEMA_URL | entity_ref::KIND | entity_ref::ID_KEY | entity_ref::DESCRIPTION_KEY => {
                message.text()?;
            }
            other => message.skip_unknown(other, entity_ref::KNOWN, depth)?,
        }
    }
    Ok(())
}
