//! Walking entries that have been checked. Nothing here can fail. On bytes that were never checked a walk ends early or yields nonsense, but it ends.

use super::pack::{Cursor, Token};
use crate::record::{Key, Nested, NestedVisitor, Text, Value};
use crate::wire::WireId;

/// The extension type of an EventTime, and its length: seconds and nanoseconds, 32 bits each.
const EVENT_TIME: i8 = 0;
const EVENT_TIME_BYTES: usize = 8;

/// What stands before the record of an entry.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stamp<'b> {
    /// Of `[time, metadata]`, where it is not empty.
    pub metadata: Option<Nested<'b>>,
}

/// The value that a literal holds.
pub(super) fn value_of(literal: &[u8]) -> Value<'_> {
    let nested = Nested { wire: WireId::Forward, bytes: literal };
    match Cursor::new(literal, 0).token() {
        Ok(Token::Bool(value)) => Value::Bool(value),
        Ok(Token::Int(number)) => Value::Int(number),
        Ok(Token::Uint(number)) => Value::Unsigned(number),
        Ok(Token::Double(number)) => Value::Double(number),
        Ok(Token::Str(bytes) | Token::Bin(bytes)) => match simdutf8::basic::from_utf8(bytes) {
            Ok(_) => Value::Str(Text::checked(bytes)),
            Err(_) => Value::Bytes(bytes),
        },
        Ok(Token::Array(_)) => Value::Array(nested),
        // An extension reads as a map of its type and its data.
        Ok(Token::Map(_) | Token::Ext(..)) => Value::Map(nested),
        Ok(Token::Nil) | Err(_) => Value::Null,
    }
}

/// Nanoseconds since 1970 of an EventTime; `None` for any other literal.
pub(super) fn event_time(literal: &[u8]) -> Option<i64> {
    match Cursor::new(literal, 0).token() {
        Ok(Token::Ext(kind, data)) => event_time_of(kind, data),
        _ => None,
    }
}

/// The same of an extension.
pub(super) fn event_time_of(kind: i8, data: &[u8]) -> Option<i64> {
    let data: &[u8; EVENT_TIME_BYTES] = data.try_into().ok().filter(|_| kind == EVENT_TIME)?;
    let both = u64::from_be_bytes(*data);
    let (seconds, nanos) = ((both >> 32) as i64, (both & 0xffff_ffff) as i64);
    Some(seconds * 1_000_000_000 + nanos)
}

/// Reads what stands before an entry's record, up to the record itself.
fn begin<'b>(cursor: &mut Cursor<'b>) -> Option<Stamp<'b>> {
    cursor.token().ok()?;
    let at = cursor.at;
    if !matches!(cursor.token().ok()?, Token::Array(_)) {
        cursor.at = at;
        cursor.skip().ok()?;
        return Some(Stamp::default());
    }
    cursor.skip().ok()?;
    let at = cursor.at;
    cursor.skip().ok()?;
    Some(Stamp { metadata: metadata_of(cursor.since(at)) })
}

/// The metadata that a literal holds, if there is any.
pub(super) fn metadata_of(literal: &[u8]) -> Option<Nested<'_>> {
    match value_of(literal) {
        Value::Map(metadata) if !matches!(Cursor::new(literal, 0).token(), Ok(Token::Map(0))) => {
            Some(metadata)
        }
        _ => None,
    }
}

/// Pushes the members of an entry's record, in order, and returns what stands before it.
pub(crate) fn walk_record<'b>(entry: &'b [u8], member: &mut dyn FnMut(Text<'b>, Value<'b>)) -> Stamp<'b> {
    let mut cursor = Cursor::new(entry, 0);
    let stamp = begin(&mut cursor).unwrap_or_default();
    if let Ok(Token::Map(pairs)) = cursor.token() {
        for _ in 0..pairs {
            let Some((key, literal)) = pair(&mut cursor) else { break };
            member(key, value_of(literal));
        }
    }
    stamp
}

/// Pushes the members of an array or a map literal, in order, or type and data of an extension.
pub fn walk_nested<'b>(literal: &'b [u8], visitor: &mut dyn NestedVisitor<'b>) {
    let mut cursor = Cursor::new(literal, 0);
    match cursor.token() {
        Ok(Token::Array(count)) => {
            for _ in 0..count {
                let at = cursor.at;
                if cursor.skip().is_err() {
                    return;
                }
                visitor.member(None, value_of(cursor.since(at)));
            }
        }
        Ok(Token::Map(pairs)) => {
            for _ in 0..pairs {
                let Some((key, literal)) = pair(&mut cursor) else { return };
                visitor.member(Some(Key::Plain(key)), value_of(literal));
            }
        }
        Ok(Token::Ext(kind, data)) => {
            visitor.member(Some(Key::Plain("type".into())), Value::Int(kind.into()));
            visitor.member(Some(Key::Plain("data".into())), Value::Bytes(data));
        }
        _ => {}
    }
}

/// The next key and its value's literal.
fn pair<'b>(cursor: &mut Cursor<'b>) -> Option<(Text<'b>, &'b [u8])> {
    let (Token::Str(key) | Token::Bin(key)) = cursor.token().ok()? else { return None };
    let at = cursor.at;
    cursor.skip().ok()?;
    Some((Text::checked(key), cursor.since(at)))
}
