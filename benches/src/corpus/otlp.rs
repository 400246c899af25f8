//! `ExportLogsServiceRequest` as protobuf bytes, written straight from the model.

use super::model::{Attribute, Record, Request, Value};

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LEN: u32 = 2;
const FIXED32: u32 = 5;

/// The bytes of an `ExportLogsServiceRequest` with one resource and one scope.
#[must_use]
pub fn encode(request: &Request<'_>) -> Vec<u8> {
    // One allocation for the usual record; a body that turns out longer grows.
    let mut out = Writer(Vec::with_capacity(request.records.len() * 384 + 1024));
    out.message(1, |resource_logs| {
        resource_logs.message(1, |resource| {
            for attribute in &request.resource.attributes {
                resource.attribute(1, attribute);
            }
        });
        resource_logs.message(2, |scope_logs| {
            scope_logs.message(1, |scope| {
                scope.text(1, request.scope.name);
                scope.text(2, &request.scope.version);
                for attribute in &request.scope.attributes {
                    scope.attribute(3, attribute);
                }
            });
            for record in &request.records {
                scope_logs.message(2, |log_record| log_record.record(record));
            }
        });
    });
    out.0
}

struct Writer(Vec<u8>);

impl Writer {
    fn record(&mut self, record: &Record) {
        self.fixed64(1, record.time_unix_nano);
        if record.severity_number != 0 {
            self.key(2, VARINT);
            self.varint(record.severity_number as u64);
        }
        self.text(3, record.severity_text);
        self.message(5, |body| body.value(&record.body));
        for attribute in &record.attributes {
            self.attribute(6, attribute);
        }
        if record.flags != 0 {
            self.key(8, FIXED32);
            self.0.extend_from_slice(&record.flags.to_le_bytes());
        }
        self.bytes(9, &record.trace_id);
        self.bytes(10, &record.span_id);
        self.fixed64(11, record.observed_time_unix_nano);
    }

    fn attribute(&mut self, field: u32, attribute: &Attribute) {
        self.message(field, |pair| {
            pair.text(1, attribute.key);
            pair.message(2, |any| any.value(&attribute.value));
        });
    }

    /// The members of an `AnyValue`: a oneof, so that zero and empty are written too.
    fn value(&mut self, value: &Value) {
        match value {
            Value::Str(text) => {
                self.key(1, LEN);
                self.varint(text.len() as u64);
                self.0.extend_from_slice(text.as_bytes());
            }
            Value::Bool(flag) => {
                self.key(2, VARINT);
                self.varint(u64::from(*flag));
            }
            Value::Int(number) => {
                self.key(3, VARINT);
                self.varint(*number as u64);
            }
            Value::Double(number) => {
                self.key(4, FIXED64);
                self.0.extend_from_slice(&number.to_le_bytes());
            }
            Value::Array(items) => self.message(5, |array| {
                for item in items {
                    array.message(1, |any| any.value(item));
                }
            }),
            Value::Map(members) => self.message(6, |map| {
                for member in members {
                    map.attribute(1, member);
                }
            }),
        }
    }

    /// A length-delimited field whose body `write` appends. The length is one byte until the body says otherwise:
    /// few messages are longer than 127 bytes, and moving those is cheaper than a pass that sums sizes.
    fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        self.key(field, LEN);
        self.0.push(0);
        let start = self.0.len();
        write(self);
        let len = self.0.len() - start;
        let (prefix, prefix_len) = varint(len as u64);
        let extra = prefix_len - 1;
        if extra > 0 {
            self.0.resize(start + len + extra, 0);
            self.0.copy_within(start..start + len, start + extra);
        }
        self.0[start - 1..start + extra].copy_from_slice(&prefix[..prefix_len]);
    }

    fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.key(field, LEN);
            self.varint(bytes.len() as u64);
            self.0.extend_from_slice(bytes);
        }
    }

    fn fixed64(&mut self, field: u32, number: u64) {
        if number != 0 {
            self.key(field, FIXED64);
            self.0.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn key(&mut self, field: u32, wire_type: u32) {
        self.varint(u64::from(field << 3 | wire_type));
    }

    fn varint(&mut self, number: u64) {
        let (bytes, len) = varint(number);
        self.0.extend_from_slice(&bytes[..len]);
    }
}

/// The base-128 digits of `number` and how many there are.
fn varint(mut number: u64) -> ([u8; 10], usize) {
    let mut bytes = [0; 10];
    let mut len = 0;
    while number >= 0x80 {
        bytes[len] = number as u8 | 0x80;
        number >>= 7;
        len += 1;
    }
    bytes[len] = number as u8;
    (bytes, len + 1)
}
