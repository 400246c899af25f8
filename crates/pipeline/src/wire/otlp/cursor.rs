//! A reader of protobuf's wire format over a range of a body. It refuses exactly what prost refuses.
//!
//! Format: <https://protobuf.dev/programming-guides/encoding/>.

use super::fields::key_value;
use crate::chunk::is_ascii;
use crate::record::Text;
use crate::wire::Malformed;

/// The deepest nesting of messages (and of unknown groups), counted from the request: prost's limit.
pub(in crate::wire) const MAX_MESSAGE_DEPTH: u32 = 100;

/// Why a body is refused, behind a pointer: results that carry it stay in registers.
pub(in crate::wire) type Bad = Box<Malformed>;

/// A field's number and wire type, as one varint on the wire.
pub(in crate::wire) type Tag = u64;

pub(in crate::wire) const VARINT: u64 = 0;
pub(in crate::wire) const FIXED64: u64 = 1;
pub(in crate::wire) const BYTES: u64 = 2;
const START_GROUP: u64 = 3;
const END_GROUP: u64 = 4;
pub(in crate::wire) const FIXED32: u64 = 5;

/// The tag of field `number` with this wire type.
pub(in crate::wire) const fn tag(number: u64, wire_type: u64) -> Tag {
    number << 3 | wire_type
}

/// Reads the fields of one message. What is left is a slice that shrinks, so that a bounds check is one comparison; offsets in the
/// whole body follow from where the message ends.
#[derive(Clone, Copy, Debug)]
pub(in crate::wire) struct Cursor<'b> {
    rest: &'b [u8],
    /// Offset in the body at which the message ends.
    end: usize,
}

impl<'b> Cursor<'b> {
    /// A reader of all of `body`.
    pub(in crate::wire) fn new(body: &'b [u8]) -> Self {
        Self { rest: body, end: body.len() }
    }

    /// A reader of the part of `body` at this offset and length, which must lie inside it.
    pub(in crate::wire) fn at(body: &'b [u8], (offset, len): (u32, u32)) -> Self {
        let end = offset as usize + len as usize;
        Self { rest: &body[offset as usize..end], end }
    }

    /// A reader of `bytes`, which end at this offset of their body.
    #[inline]
    pub(in crate::wire) fn ending_at(bytes: &'b [u8], end: usize) -> Self {
        Self { rest: bytes, end }
    }

    #[inline]
    pub(in crate::wire) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(in crate::wire) fn offset(&self) -> usize {
        self.end - self.rest.len()
    }

    /// Offset and length of what is left.
    #[inline]
    pub(in crate::wire) fn span(&self) -> (u32, u32) {
        (self.offset() as u32, self.rest.len() as u32)
    }

    /// How many bytes are left.
    #[inline(always)]
    pub(in crate::wire) fn left(&self) -> usize {
        self.rest.len()
    }

    /// What is left.
    #[inline]
    pub(in crate::wire) fn bytes(&self) -> &'b [u8] {
        self.rest
    }

    #[cold]
    pub(in crate::wire) fn error(&self, what: &'static str) -> Bad {
        Box::new(Malformed::Syntax { format: "protobuf", offset: self.offset(), what })
    }

    #[inline(always)]
    pub(in crate::wire) fn varint(&mut self) -> Result<u64, Bad> {
        match self.rest.split_first() {
            Some((byte, rest)) if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Bad> {
        let mut value = 0;
        for (count, byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (count * 7);
            if *byte < 0x80 {
                if count == 9 && *byte > 1 {
                    break;
                }
                self.rest = &self.rest[count + 1..];
                return Ok(value);
            }
        }
        Err(self.error("invalid varint"))
    }

    /// The next field's tag.
    #[inline(always)]
    pub(in crate::wire) fn tag(&mut self) -> Result<Tag, Bad> {
        let tag = self.varint()?;
        if tag > u64::from(u32::MAX) || tag < 8 {
            return Err(self.error("invalid field number"));
        }
        Ok(tag)
    }

    /// The content of a length-delimited field.
    #[inline(always)]
    pub(in crate::wire) fn message(&mut self) -> Result<Self, Bad> {
        let len = self.varint()?;
        match usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len)) {
            Some((content, rest)) => {
                self.rest = rest;
                Ok(Self { rest: content, end: self.end - rest.len() })
            }
            None => Err(self.error("length exceeds what is left")),
        }
    }

    /// The content of a `bytes` field.
    #[inline]
    pub(in crate::wire) fn blob(&mut self) -> Result<&'b [u8], Bad> {
        Ok(self.message()?.bytes())
    }

    /// The content of a `string` field, checked.
    #[inline]
    pub(in crate::wire) fn text(&mut self) -> Result<Text<'b>, Bad> {
        self.message()?.utf8()
    }

    /// What is left, checked to be the content of a `string` field.
    #[inline(never)]
    pub(in crate::wire) fn utf8(&self) -> Result<Text<'b>, Bad> {
        if is_ascii(self.rest) {
            return Ok(Text::checked(self.rest));
        }
        match std::str::from_utf8(self.rest) {
            Ok(text) => Ok(text.into()),
            Err(error) => Err(Box::new(Malformed::Utf8 { offset: self.offset() + error.valid_up_to() })),
        }
    }

    /// The message is nested deeper than prost would follow.
    #[cold]
    pub(in crate::wire) fn too_deep(&self) -> Bad {
        Box::new(Malformed::TooDeep { offset: self.offset() })
    }

    /// The content of a `string` field that was checked before.
    #[inline]
    pub(in crate::wire) fn known_text(&mut self) -> Result<Text<'b>, Bad> {
        Ok(Text::checked(self.message()?.rest))
    }

    /// The next field, if it is this one, holds a `KeyValue` of nothing but a key and a value, in this order, and is shorter than 128
    /// bytes, as nearly all attributes are: the key, and the content of the value. Otherwise nothing has happened.
    #[inline(always)]
    pub(in crate::wire) fn short_key_value(&mut self, expected: Tag) -> Option<(&'b [u8], &'b [u8])> {
        let ([tag, len, key_tag, key_len], rest) = self.rest.split_first_chunk::<4>()?;
        let (key, rest) = rest.split_at_checked(usize::from(*key_len))?;
        let ([value_tag, value_len], rest) = rest.split_first_chunk::<2>()?;
        let (value, rest) = rest.split_at_checked(usize::from(*value_len))?;
        let is_plain = u64::from(*tag) == expected
            && u64::from(*key_tag) == key_value::KEY
            && u64::from(*value_tag) == key_value::VALUE
            && *len < 0x80
            && usize::from(*len) == key.len() + value.len() + 4;
        if !is_plain {
            return None;
        }
        self.rest = rest;
        Some((key, value))
    }

    #[inline]
    pub(in crate::wire) fn fixed64(&mut self) -> Result<u64, Bad> {
        self.array().map(u64::from_le_bytes)
    }

    #[inline]
    pub(in crate::wire) fn fixed32(&mut self) -> Result<u32, Bad> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Bad> {
        match self.rest.split_first_chunk::<N>() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(*bytes)
            }
            None => Err(self.error("value cut short")),
        }
    }

    /// Skips a field that this schema does not know. `depth` is that of the message it stands in.
    pub(in crate::wire) fn skip(&mut self, tag: Tag, depth: u32) -> Result<(), Bad> {
        if depth >= MAX_MESSAGE_DEPTH {
            return Err(self.too_deep());
        }
        match tag & 7 {
            VARINT => self.varint().map(|_| ()),
            FIXED64 => self.fixed64().map(|_| ()),
            FIXED32 => self.fixed32().map(|_| ()),
            BYTES => self.message().map(|_| ()),
            START_GROUP => loop {
                let inner = self.tag()?;
                if inner & 7 != END_GROUP {
                    self.skip(inner, depth + 1)?;
                } else if inner >> 3 == tag >> 3 {
                    return Ok(());
                } else {
                    return Err(self.error("group ends with another field's number"));
                }
            },
            END_GROUP => Err(self.error("group ends that did not begin")),
            _ => Err(self.error("invalid wire type")),
        }
    }

    /// Skips an unknown field; a known number with a wire type that is not its own is an error. `known` has a bit for each
    /// known number.
    pub(in crate::wire) fn skip_unknown(&mut self, tag: Tag, known: u64, depth: u32) -> Result<(), Bad> {
        let number = tag >> 3;
        if number < 64 && known >> number & 1 == 1 {
            return Err(self.error("field has the wrong wire type"));
        }
        self.skip(tag, depth)
    }
}
