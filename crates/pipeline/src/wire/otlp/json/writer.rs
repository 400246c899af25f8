//! Writes protobuf into memory that is leased before it is taken.

use super::number::Number;
use crate::budget::{Exhausted, Lease};
use crate::wire::otlp::cursor::{BYTES, tag};
use crate::wire::otlp::schema::{Field, Kind};
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::Error;

/// Padding may be there or not, as protobuf's own reader has it.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const USUAL: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const FOR_ADDRESSES: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// The least room that is made, in bytes.
const LEAST_ROOM: usize = 1 << 10;
/// The longest tag, length or number.
const MAX_SCALAR: usize = 16;

/// What is written so far.
#[derive(Debug)]
pub(super) struct Writer<'l> {
    bytes: Vec<u8>,
    lease: &'l mut Lease,
    /// Bytes that are held beside.
    beside: usize,
    /// There was no room: nothing is written any more.
    exhausted: Option<Exhausted>,
}

impl<'l> Writer<'l> {
    /// Nothing yet; `lease` also covers `beside` bytes.
    pub(super) fn beside(beside: usize, lease: &'l mut Lease) -> Self {
        Self { bytes: Vec::new(), lease, beside, exhausted: None }
    }

    /// All that was written.
    pub(super) fn finish(self) -> Result<Vec<u8>, Exhausted> {
        match self.exhausted {
            Some(exhausted) => Err(exhausted),
            None => Ok(self.bytes),
        }
    }

    /// Ends the reading where there was no room.
    pub(super) fn in_room<E: Error>(&self) -> Result<(), E> {
        match &self.exhausted {
            Some(exhausted) => Err(E::custom(exhausted)),
            None => Ok(()),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// Makes room for `more` bytes, and says whether there is.
    fn reserve(&mut self, more: usize) -> bool {
        let (wanted, old) = (self.bytes.len() + more, self.bytes.capacity());
        if wanted <= old {
            return true;
        }
        // The old bytes stay until they are moved.
        let new = wanted.max(2 * old).max(LEAST_ROOM);
        if let Err(exhausted) = self.lease.resize(self.beside + old + new) {
            self.exhausted = Some(exhausted);
            return false;
        }
        self.bytes.reserve_exact(new - self.bytes.len());
        // It has become less.
        let _ = self.lease.resize(self.beside + self.bytes.capacity());
        true
    }

    fn varint(&mut self, mut value: u64) {
        if !self.reserve(MAX_SCALAR) {
            return;
        }
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn extend(&mut self, bytes: &[u8]) {
        if self.reserve(bytes.len()) {
            self.bytes.extend_from_slice(bytes);
        }
    }

    pub(super) fn varint_field(&mut self, field: &Field, value: u64) {
        self.varint(tag(field.number.into(), field.kind.wire_type()));
        self.varint(value);
    }

    pub(super) fn bytes_field(&mut self, field: &Field, content: &[u8]) {
        self.varint(tag(field.number.into(), BYTES));
        self.varint(content.len() as u64);
        self.extend(content);
    }

    /// `None` if it is not hexadecimal.
    pub(super) fn hex_field(&mut self, field: &Field, text: &str) -> Option<()> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if !rest.is_empty() {
            return None;
        }
        self.varint(tag(field.number.into(), BYTES));
        self.varint(pairs.len() as u64);
        if self.reserve(pairs.len()) {
            for [high, low] in pairs {
                let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
                self.bytes.push(digit(*high)? << 4 | digit(*low)?);
            }
        }
        Some(())
    }

    /// `None` if it is not base64, in either alphabet.
    pub(super) fn base64_field(&mut self, field: &Field, text: &str) -> Option<()> {
        let engine = if text.contains(['-', '_']) { &FOR_ADDRESSES } else { &USUAL };
        let start = self.begin(field);
        if self.reserve(base64::decoded_len_estimate(text.len())) {
            engine.decode_vec(text, &mut self.bytes).ok()?;
        }
        self.end(start);
        Some(())
    }

    /// Appends a number of this kind, behind the tag of `field` if there is one. `None` if it does not fit the kind.
    pub(super) fn number(&mut self, kind: Kind, field: Option<&Field>, number: Number<'_>) -> Option<()> {
        let fixed = match kind {
            Kind::Int32 => {
                return self.varint_of(field, i64::from(i32::try_from(number.integer()?).ok()?) as u64);
            }
            Kind::Uint32 => return self.varint_of(field, u32::try_from(number.integer()?).ok()?.into()),
            Kind::Sint32 => {
                let value = i32::try_from(number.integer()?).ok()?;
                return self.varint_of(field, u64::from(((value << 1) ^ (value >> 31)) as u32));
            }
            Kind::Int64 => return self.varint_of(field, i64::try_from(number.integer()?).ok()? as u64),
            Kind::Uint64s => return self.varint_of(field, u64::try_from(number.integer()?).ok()?),
            Kind::Fixed32 => {
                let value = u32::try_from(number.integer()?).ok()?;
                self.tag_of(field);
                self.extend(&value.to_le_bytes());
                return Some(());
            }
            Kind::Fixed64 | Kind::Fixed64s => u64::try_from(number.integer()?).ok()?,
            Kind::Sfixed64 => i64::try_from(number.integer()?).ok()? as u64,
            Kind::Double | Kind::Doubles => number.double()?.to_bits(),
            _ => return None,
        };
        self.tag_of(field);
        self.extend(&fixed.to_le_bytes());
        Some(())
    }

    fn varint_of(&mut self, field: Option<&Field>, value: u64) -> Option<()> {
        self.tag_of(field);
        self.varint(value);
        Some(())
    }

    fn tag_of(&mut self, field: Option<&Field>) {
        if let Some(field) = field {
            self.varint(tag(field.number.into(), field.kind.wire_type()));
        }
    }

    /// Begins a length-delimited field, and returns where its content begins.
    pub(super) fn begin(&mut self, field: &Field) -> usize {
        self.varint(tag(field.number.into(), BYTES));
        self.bytes.len()
    }

    /// The content that began at `start` is complete: puts its length before it.
    pub(super) fn end(&mut self, start: usize) {
        let end = self.bytes.len();
        self.varint((end - start) as u64);
        let added = self.bytes.len() - end;
        self.bytes[start..].rotate_right(added);
    }
}
