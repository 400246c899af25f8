//! A batch as a chunk of Fluent Forward (Fluentd's wiki, Forward Protocol Specification v1), and the wait for its acknowledgement.

use crate::client::{Answer, PATIENCE};
use crate::record::{Kind, Origin};
use rmpv::Value;
use std::io::{Read as _, Result, Write as _};
use std::net::TcpStream;

const TAG: &str = "torture";

/// A Fluentd; it dials again whenever its connection has ended, and sends a chunk again under the name that it had.
#[derive(Debug)]
pub struct Fluent {
    port: u16,
    connection: Option<TcpStream>,
    messages: u64,
}

impl Fluent {
    pub fn new(port: u16) -> Self {
        Self { port, connection: None, messages: 0 }
    }

    /// Sends these records as one chunk, in the modes by turns, and waits for its acknowledgement.
    pub fn send(&mut self, origin: &Origin, numbers: &[u32]) -> Answer {
        self.messages += 1;
        let chunk = format!("{}-{}-{}", origin.seed, origin.client, numbers.first().copied().unwrap_or(0));
        let message = message(origin, numbers, &chunk, self.messages % 3);
        match self.exchange(&message, &encoded(&map([("ack", chunk.into())]))) {
            Ok(true) => Answer::Taken { rejected: None },
            Ok(false) => {
                self.connection = None;
                Answer::Never("an acknowledgement of something else".to_owned())
            }
            Err(_) => {
                self.connection = None;
                Answer::Nothing
            }
        }
    }

    /// Whether it was answered so.
    fn exchange(&mut self, message: &[u8], expected: &[u8]) -> Result<bool> {
        let connection = match &mut self.connection {
            Some(open) => open,
            none => none.insert(TcpStream::connect(("127.0.0.1", self.port))?),
        };
        connection.set_write_timeout(Some(PATIENCE))?;
        connection.set_read_timeout(Some(PATIENCE))?;
        connection.write_all(message)?;
        let mut answer = vec![0; expected.len()];
        connection.read_exact(&mut answer)?;
        Ok(answer == expected)
    }
}

/// Forward, PackedForward or CompressedPackedForward.
fn message(origin: &Origin, numbers: &[u32], chunk: &str, mode: u64) -> Vec<u8> {
    let entries: Vec<Value> = numbers.iter().map(|number| entry(origin, *number)).collect();
    let packed: Vec<u8> = entries.iter().flat_map(encoded).collect();
    let chunk = ("chunk", chunk.into());
    let (events, options) = match mode {
        0 => (Value::Array(entries), map([chunk])),
        1 => (Value::Binary(packed), map([("size", numbers.len().into()), chunk])),
        _ => (Value::Binary(gzipped(&packed)), map([("compressed", "gzip".into()), chunk])),
    };
    encoded(&Value::Array(vec![TAG.into(), events, options]))
}

/// Time and record; a spoilt one has no record.
fn entry(origin: &Origin, number: u32) -> Value {
    let nanos = origin.time(number);
    let seconds = (nanos / 1_000_000_000) as u32;
    let rest = (nanos % 1_000_000_000) as u32;
    let time = Value::Ext(0, [seconds.to_be_bytes(), rest.to_be_bytes()].concat());
    let record = match origin.kind(number) {
        Kind::Spoilt => "no record".into(),
        _ => serde_json::from_str(&origin.line(number)).map_or(Value::Nil, |line| value(&line)),
    };
    Value::Array(vec![time, record])
}

fn value(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::Nil,
        Json::Bool(flag) => (*flag).into(),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64().unwrap_or_default().into(),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => Value::Array(items.iter().map(value).collect()),
        Json::Object(members) => {
            Value::Map(members.iter().map(|(name, member)| (name.as_str().into(), value(member))).collect())
        }
    }
}

fn map<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Map(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing to a `Vec` cannot fail.
    let _ = rmpv::encode::write_value(&mut bytes, value);
    bytes
}

fn gzipped(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).and_then(|()| encoder.finish()).unwrap_or_default()
}
