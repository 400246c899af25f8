//! Values as serialisers write them: one field, nothing before or behind.
//!
//! In line, so that a value is made where it is used: one that is returned through memory is copied in pieces which do
//! not match those it was stored in, and the processor waits for that.

use super::cursor::Cursor;
use super::fields::any_value;
use crate::record::Value;

/// The text of an `AnyValue` whose `content` is one string shorter than 128 bytes. `None` is no verdict: the content may be another
/// kind of value, an odd way to write one, or malformed.
#[inline(always)]
pub(super) fn plain_text(content: &[u8]) -> Option<&[u8]> {
    match content {
        [tag, len, text @ ..] => {
            let is_plain =
                u64::from(*tag) == any_value::STRING && *len < 0x80 && usize::from(*len) == text.len();
            is_plain.then_some(text)
        }
        _ => None,
    }
}

/// The value of an `AnyValue` whose `content` is one integer, double or boolean. `None` is no verdict, as above.
#[inline(always)]
pub(super) fn plain_scalar(content: &[u8]) -> Option<Value<'_>> {
    let (tag, bytes) = content.split_first()?;
    match u64::from(*tag) {
        any_value::DOUBLE => Some(Value::Double(f64::from_le_bytes(*bytes.as_array()?))),
        any_value::INT => {
            let mut rest = Cursor::new(bytes);
            let number = rest.varint().ok()?;
            rest.is_done().then_some(Value::Int(number as i64))
        }
        any_value::BOOL => match bytes {
            [0] => Some(Value::Bool(false)),
            [1] => Some(Value::Bool(true)),
            _ => None,
        },
        _ => None,
    }
}
