//! Syslog (RFC 5424, and RFC 3164 as it is commonly written).
//!
//! Whatever frames a connection has, a body has these: four bytes of length, big endian, and the message. The highest bit of the length says
//! that there was more of the message. Whatever a message is, it is a record: what has none of the known forms is kept whole as its text.

pub mod data;
mod message;
mod time;

#[cfg(test)]
mod tests;

pub use message::Message;

use super::json::time_text::Zone;
use super::{CheckContext, Entry, Index, Malformed};
use crate::record::Key;
use crate::route::Matcher;
use jiff::tz::TimeZone;

/// Bytes before each message of a body.
const HEAD_BYTES: usize = 4;
/// There was more of the message.
const IS_CUT: u32 = 1 << 31;

/// The head of a message of this length, which must be below 2 GiB.
pub fn head(len: usize, is_cut: bool) -> [u8; HEAD_BYTES] {
    let cut = if is_cut { IS_CUT } else { 0 };
    (len as u32 & !IS_CUT | cut).to_be_bytes()
}

/// Checks a whole body and fills `index`, which must be empty. Routing is decided on the way, by `matcher`. Times without a zone are
/// those of `timezone`. Says how many messages have no known form.
///
/// # Errors
/// The body is not divided into messages, or there are more than the limit.
pub fn check<'b>(
    body: &'b [u8],
    context: &CheckContext<'_>,
    timezone: &TimeZone,
    matcher: &mut Matcher<'_, 'b>,
    index: &mut Index,
) -> Result<u64, Malformed> {
    let zone = Zone::of(timezone);
    let (mut at, mut position, mut unparsed) = (0, 0, 0);
    while let Some((head, rest)) = body[at..].split_first_chunk::<HEAD_BYTES>() {
        let head = u32::from_be_bytes(*head);
        let (len, is_cut) = ((head & !IS_CUT) as usize, head & IS_CUT != 0);
        let Some(frame) = rest.get(..len) else { break };
        let offset = at + HEAD_BYTES;
        at = offset + len;
        position += 1;
        let limit = context.limits.max_record_bytes;
        if len > limit {
            index.rejected.push(position, Malformed::RecordTooLarge { bytes: len, limit });
            continue;
        }
        let limit = context.limits.max_records;
        if index.records.len() >= limit {
            return Err(Malformed::TooManyRecords { limit });
        }
        let message = Message::parse(frame);
        unparsed += u64::from(!message.is_parsed);
        let time = time::of(message.timestamp, context.arrived, &zone);
        let mut flags = if time.is_some() { Entry::HAS_TIME } else { 0 };
        if is_cut {
            flags |= Entry::CUT;
        }
        let time = time.unwrap_or(context.arrived);
        matcher.begin_json();
        message.walk(is_cut, &mut |name, value| {
            if matcher.wants_json(name.as_bytes()) {
                matcher.json_member(Key::Plain(name.into()), value);
            }
        });
        let hour = context.window.hour(time, context.arrived);
        let entry = Entry { time, offset: offset as u32, len: len as u32, aux: 0, flags };
        index.push(entry, matcher.decide(), hour);
    }
    if at < body.len() {
        return Err(Malformed::Syntax { format: "syslog", offset: at, what: "a message is cut off" });
    }
    Ok(unparsed)
}
