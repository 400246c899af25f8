//! The check of a message by its schema, for what is not hot enough to be written out.

use super::check::Check;
use super::cursor::{BYTES, Bad, Cursor, FIXED32, FIXED64, MAX_MESSAGE_DEPTH, VARINT};
use super::schema::{Kind, Schema};

impl<'b> Check<'_, '_, '_, 'b> {
    /// Checks a message that is nested so deep, and all that is in it. Notes where one that may occur once occurs twice.
    pub(super) fn message(
        &mut self,
        mut message: Cursor<'b>,
        schema: &'static Schema,
        depth: u32,
    ) -> Result<(), Bad> {
        if depth > MAX_MESSAGE_DEPTH {
            return Err(message.too_deep());
        }
        let mut seen = 0_u64;
        while !message.is_done() {
            let tag = message.tag()?;
            let Some(field) = schema.field(tag >> 3) else {
                message.skip(tag, depth)?;
                continue;
            };
            match (field.kind, tag & 7) {
                (Kind::Text | Kind::Texts, BYTES) => drop(message.text()?),
                (Kind::Blob | Kind::Id, BYTES) => drop(message.blob()?),
                (Kind::Message(inner), BYTES) => {
                    self.scattered |= seen >> field.number & 1 == 1;
                    self.message(message.message()?, inner, depth + 1)?;
                }
                (Kind::Messages(inner), BYTES) => self.message(message.message()?, inner, depth + 1)?,
                (Kind::Fixed64s | Kind::Doubles, BYTES) => {
                    let mut packed = message.message()?;
                    while !packed.is_done() {
                        packed.fixed64()?;
                    }
                }
                (Kind::Uint64s, BYTES) => {
                    let mut packed = message.message()?;
                    while !packed.is_done() {
                        packed.varint()?;
                    }
                }
                (kind, wire_type) if kind.wire_type() == wire_type => message.skip(tag, depth)?,
                _ => return Err(message.error("field has the wrong wire type")),
            }
            self.scattered |= schema.oneof & seen != 0 && schema.oneof >> field.number & 1 == 1;
            seen |= 1 << field.number;
        }
        Ok(())
    }
}

impl Kind {
    /// Whether there may be any number of it.
    pub(super) const fn is_list(self) -> bool {
        matches!(self, Self::Texts | Self::Fixed64s | Self::Doubles | Self::Uint64s | Self::Messages(_))
    }

    /// The wire type of one of it.
    pub(super) const fn wire_type(self) -> u64 {
        match self {
            Self::Text | Self::Texts | Self::Blob | Self::Id | Self::Message(_) | Self::Messages(_) => BYTES,
            Self::Bool | Self::Int32 | Self::Uint32 | Self::Sint32 | Self::Int64 | Self::Uint64s => VARINT,
            Self::Fixed32 => FIXED32,
            Self::Fixed64 | Self::Sfixed64 | Self::Double | Self::Fixed64s | Self::Doubles => FIXED64,
        }
    }
}
