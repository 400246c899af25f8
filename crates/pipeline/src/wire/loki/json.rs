//! A push in JSON (HTTP API, "Ingest logs"), written as the message of protobuf while it is read:
//! `{"streams": [{"stream": {"label": "value"}, "values": [["<nanoseconds>", "<line>", {"name": "value"}]]}]}`.

use super::{ENTRIES, LABELS, LINE, METADATA, NAME, NANOS, SECONDS, STREAMS, TIMESTAMP, VALUE};
use crate::wire::Malformed;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// The length of a message whose end is not known yet: five bytes, which any length up to 32 GiB fills.
const LEN_BYTES: usize = 5;

/// How many bytes a message takes at most for each byte of JSON.
pub const EXPANSION: usize = 3;

/// The message that says what a push in JSON says.
///
/// # Errors
/// It is no JSON, or no push: where, and why.
pub fn transcode(push: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(push);
    let read = Push(&mut out).deserialize(&mut reader).and_then(|()| reader.end());
    match read {
        Ok(()) => Ok(out),
        Err(error) => {
            let line = push.split(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
            let offset = line.map(|line| line.len() + 1).sum::<usize>() + error.column();
            let what = if error.is_data() { "not what a push has here" } else { "no JSON" };
            Err(Malformed::Syntax { format: "push", offset, what })
        }
    }
}

/// Appends a field of bytes.
pub(super) fn write_field(tag: u64, bytes: &[u8], out: &mut Vec<u8>) {
    write_varint(tag, out);
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a message that `write` writes.
fn write_message<E>(
    tag: u64,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    write_varint(tag, out);
    let at = out.len();
    out.extend_from_slice(&[0; LEN_BYTES]);
    write(out)?;
    let len = out.len() - at - LEN_BYTES;
    for (place, byte) in out[at..at + LEN_BYTES].iter_mut().enumerate() {
        let more = if place + 1 < LEN_BYTES { 0x80 } else { 0 };
        *byte = (len >> (7 * place)) as u8 & 0x7f | more;
    }
    Ok(())
}

fn write_pair(tag: u64, name: &str, value: &str, out: &mut Vec<u8>) {
    let written = write_message(tag, out, |out| {
        write_field(NAME, name.as_bytes(), out);
        write_field(VALUE, value.as_bytes(), out);
        Ok::<(), std::convert::Infallible>(())
    });
    match written {
        Ok(()) => {}
        Err(never) => match never {},
    }
}

/// Text, borrowed where nothing is escaped.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

macro_rules! seed {
    ($name:ident, $how:ident) => {
        struct $name<'o>(&'o mut Vec<u8>);

        impl<'de> DeserializeSeed<'de> for $name<'_> {
            type Value = ();

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
                deserializer.$how(self)
            }
        }
    };
}

seed!(Push, deserialize_map);
seed!(Streams, deserialize_seq);
seed!(Stream, deserialize_map);
seed!(Labels, deserialize_map);
seed!(Values, deserialize_seq);
seed!(Value, deserialize_seq);
seed!(Metadata, deserialize_map);

impl<'de> Visitor<'de> for Push<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with streams")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "streams" => map.next_value_seed(Streams(self.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Streams<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of streams")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut streams: A) -> Result<(), A::Error> {
        loop {
            let mut is_more = false;
            let start = self.0.len();
            write_message(STREAMS, self.0, |out| {
                is_more = streams.next_element_seed(Stream(out))?.is_some();
                Ok(())
            })?;
            if !is_more {
                self.0.truncate(start);
                return Ok(());
            }
        }
    }
}

impl<'de> Visitor<'de> for Stream<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a stream and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut has_labels = false;
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "stream" => {
                    has_labels = true;
                    write_message(LABELS, self.0, |out| map.next_value_seed(Labels(out)))?;
                }
                "values" => map.next_value_seed(Values(self.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if has_labels { Ok(()) } else { Err(A::Error::missing_field("stream")) }
    }
}

/// Labels are written as PromQL has them, by the escapes of JSON, all of which Go has as well.
impl<'de> Visitor<'de> for Labels<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut separator = b'{';
        while let Some((Text(name), Text(value))) = map.next_entry()? {
            self.0.push(separator);
            separator = b',';
            for (text, behind) in [(name, b'='), (value, b' ')] {
                self.0.extend_from_slice(serde_json::to_string(&*text).map_err(A::Error::custom)?.as_bytes());
                self.0.push(behind);
            }
        }
        if separator == b'{' {
            self.0.push(b'{');
        }
        self.0.push(b'}');
        Ok(())
    }
}

impl<'de> Visitor<'de> for Values<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        loop {
            let mut is_more = false;
            let start = self.0.len();
            write_message(ENTRIES, self.0, |out| {
                is_more = values.next_element_seed(Value(out))?.is_some();
                Ok(())
            })?;
            if !is_more {
                self.0.truncate(start);
                return Ok(());
            }
        }
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of a time in nanoseconds, a line, and perhaps an object of metadata")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut value: A) -> Result<(), A::Error> {
        let Text(time) = value.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &"a time"))?;
        let time: i64 = time.parse().map_err(|_| A::Error::custom("a time is nanoseconds since 1970"))?;
        write_message(TIMESTAMP, self.0, |out| {
            for (tag, part) in
                [(SECONDS, time.div_euclid(1_000_000_000)), (NANOS, time.rem_euclid(1_000_000_000))]
            {
                write_varint(tag, out);
                write_varint(part as u64, out);
            }
            Ok(())
        })?;
        let Text(line) = value.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &"a line"))?;
        write_field(LINE, line.as_bytes(), self.0);
        value.next_element_seed(Metadata(self.0))?;
        match value.next_element::<IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(A::Error::invalid_length(4, &"three elements at most")),
        }
    }
}

impl<'de> Visitor<'de> for Metadata<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of metadata")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((Text(name), Text(value))) = map.next_entry()? {
            write_pair(METADATA, &name, &value, self.0);
        }
        Ok(())
    }
}
