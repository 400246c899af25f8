//! The document of a message of syslog.

use super::draft::Draft;
use super::member::write_int;
use crate::body::Body;
use crate::record::{Nested, Value};
use crate::time::TimestampWriter;
use crate::wire::Entry;
use crate::wire::syslog::Message;
use crate::wire::syslog::data::{self, Element, Param};

/// Appends the document of record `item`.
pub(super) fn write(body: &Body, item: u32, time: &mut TimestampWriter, out: &mut Draft) {
    let entry = body.entry(item);
    let (second, fraction) = time.format(entry.time);
    out.named_time(b"{\"@timestamp\":\"", second, &fraction);
    let message = Message::parse(&body.bytes[entry.range()]);
    message.walk(entry.flags & Entry::CUT != 0, &mut |name, value| {
        out.push(b',');
        out.string(name.as_bytes());
        out.push(b':');
        write_field(value, out);
    });
    out.push(b'}');
}

fn write_field(value: Value<'_>, out: &mut Draft) {
    match value {
        Value::Str(text) => out.string(text.as_bytes()),
        // What is no UTF-8 becomes U+FFFD, since JSON has no word for it.
        Value::Bytes(bytes) => out.string(String::from_utf8_lossy(bytes).as_bytes()),
        Value::Int(number) => write_int(number, out),
        Value::Bool(true) => out.literal(b"true"),
        Value::Map(Nested { bytes, .. }) => write_elements(bytes, out),
        _ => out.literal(b"null"),
    }
}

fn write_elements(structured: &[u8], out: &mut Draft) {
    let mut separator = b'{';
    for Element { id, params } in data::elements(structured) {
        out.push(separator);
        separator = b',';
        out.string(id);
        out.push(b':');
        write_params(params, out);
    }
    out.push(b'}');
}

/// A parameter that is there several times is an array of its values.
fn write_params(params: &[u8], out: &mut Draft) {
    out.push(b'{');
    let mut separator: &[u8] = b"";
    for (place, Param { name, value }) in data::params(params).enumerate() {
        let same = |(_, other): &(usize, Param<'_>)| other.name == name;
        let mut places = data::params(params).enumerate().filter(same);
        if places.next().is_some_and(|(first, _)| first < place) {
            continue;
        }
        out.extend(separator);
        separator = b",";
        out.string(name);
        out.push(b':');
        let mut others = places.peekable();
        let is_one = others.peek().is_none();
        if !is_one {
            out.push(b'[');
        }
        write_value(value, out);
        for (_, Param { value, .. }) in others {
            out.push(b',');
            write_value(value, out);
        }
        if !is_one {
            out.push(b']');
        }
    }
    out.push(b'}');
}

fn write_value(value: &[u8], out: &mut Draft) {
    if memchr::memchr(b'\\', value).is_none() {
        return out.string(value);
    }
    let mut text = Vec::with_capacity(value.len());
    data::unescape(value, &mut text);
    out.string(&text);
}
