//! Puts a valid but scattered request into the order that every serialiser writes, with protobuf's own rules of merging.
//!
//! Of a message field that occurs more than once the contents are joined (parsing joined contents is what merging means), and of a
//! oneof the last run of its last member counts. Resource, scope and schema URLs come to stand before the records.
//! Only requests that `check` found valid come here, so that anything left over is an internal error, told as such.

use super::cursor::{BYTES, Bad, Cursor};
use super::schema::{Kind, Schema};
use crate::Signal;
use crate::wire::Malformed;

/// Memory that a request holds while [`normalize`] works, in bytes for each byte of its body: the body, the request in its new order, and
/// 16 bytes for each of the parts of scattered messages, which have two bytes at least.
pub const NORMALIZE_EXPANSION: usize = 10;

/// The same request of this signal with nothing scattered.
pub fn normalize(signal: Signal, body: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(body.len());
    write_message(Schema::request(signal), &[body], &mut out).map_err(|bad| *bad)?;
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
fn write_message(message: &'static Schema, parts: &[&[u8]], out: &mut Vec<u8>) -> Result<(), Bad> {
    let counting = if message.oneof != 0 { last_member(message, parts)? } else { 0..usize::MAX };
    let mut written: Vec<u64> = Vec::new();
    for first in [true, false] {
        for (number, field) in fields(parts).enumerate() {
            let field = field?;
            let counts = !is_among(message.oneof, field.tag) || counting.contains(&number);
            if is_among(message.first, field.tag) != first || !counts {
                continue;
            }
            match message.field(field.tag >> 3).map(|known| known.kind) {
                Some(Kind::Messages(child)) => write_child(child, field.tag, &[field.content], out)?,
                Some(Kind::Message(child)) if !written.contains(&field.tag) => {
                    written.push(field.tag);
                    let same = parts_of(parts, &counting, message.oneof, field.tag)?;
                    write_child(child, field.tag, &same, out)?;
                }
                Some(Kind::Message(_)) => {}
                _ => out.extend_from_slice(field.whole),
            }
        }
    }
    Ok(())
}

/// The contents of all fields with this tag.
fn parts_of<'b>(parts: &[&'b [u8]], counting: &Counting, oneof: u64, tag: u64) -> Result<Vec<&'b [u8]>, Bad> {
    let same = || {
        let counts = |number: &usize| !is_among(oneof, tag) || counting.contains(number);
        let wanted = move |number: &usize, field: &Field<'b>| field.tag == tag && counts(number);
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

fn write_child(child: &'static Schema, tag: u64, parts: &[&[u8]], out: &mut Vec<u8>) -> Result<(), Bad> {
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

/// Of the members of a oneof only the last run with the same tag counts, because another member starts afresh; of a run of scalars only
/// its end.
fn last_member(message: &Schema, parts: &[&[u8]]) -> Result<Counting, Bad> {
    let (mut run, mut of) = (0..0, None);
    for (number, field) in fields(parts).enumerate() {
        let tag = field?.tag;
        if !is_among(message.oneof, tag) {
            continue;
        }
        let merges = message.field(tag >> 3).is_some_and(|known| matches!(known.kind, Kind::Message(_)));
        if of != Some(tag) || !merges {
            run.start = number;
        }
        (run.end, of) = (number + 1, Some(tag));
    }
    Ok(run)
}

/// Whether the field with this tag is one of `numbers`, which has a bit for each.
fn is_among(numbers: u64, tag: u64) -> bool {
    let number = tag >> 3;
    number < 64 && numbers >> number & 1 == 1
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
