//! Newline-delimited JSON in the style of python-json-logger, in two sizes.

use std::io::Write;

use super::SEQUENCE_KEY;
use super::model::{Attribute, Record, Request, Resource, Scope, Value};
use super::oracle;

/// Source files of the service, as Python's formatter names them.
const MODULES: [&str; 4] = ["handlers", "middleware", "routes", "engine"];

/// How many members a line has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// About 344 bytes.
    Ten,
    /// About 571 bytes.
    Eighteen,
}

/// The lines of a request, each ended by a line feed.
#[must_use]
pub fn encode(request: &Request<'_>, keys: Keys) -> Vec<u8> {
    let mut out = Vec::with_capacity(request.records.len() * 640);
    for record in &request.records {
        let members = members(record, request.resource, request.scope, keys);
        write_map(&mut out, &members);
        out.push(b'\n');
    }
    out
}

/// The members of a record's line, in the order they are written.
pub(super) fn members(record: &Record, resource: &Resource, scope: &Scope, keys: Keys) -> Vec<Attribute> {
    let (time_key, level_key) =
        if record.python_names { ("asctime", "levelname") } else { ("@timestamp", "level") };
    let text_key = if matches!(record.body, Value::Str(_)) { "message" } else { "payload" };
    let mut members = vec![
        Attribute::text(time_key, line_time(record)),
        Attribute::text(level_key, oracle::level(record).unwrap_or("INFO")),
        Attribute::text("name", scope.name),
        Attribute::new(text_key, record.body.clone()),
        Attribute::text("component", resource.component),
    ];
    // The last attribute may be one that a line has already (`name`).
    members.extend(record.attributes.iter().take(5).cloned());
    if keys == Keys::Eighteen {
        members.extend(origin(record, resource));
    }
    members
}

/// Eight members about where a line comes from.
fn origin(record: &Record, resource: &Resource) -> Vec<Attribute> {
    let text_of = |key: &str| {
        let found = resource.attributes.iter().find(|attribute| attribute.key == key);
        found.map_or(Value::Str(String::new()), |attribute| attribute.value.clone())
    };
    vec![
        Attribute::text("trace_id", oracle::hex(&record.trace_id)),
        Attribute::text("span_id", oracle::hex(&record.span_id)),
        Attribute::new("service.name", text_of("service.name")),
        Attribute::new("hostname", text_of("host.name")),
        Attribute::new("process", text_of("process.pid")),
        Attribute::text("module", MODULES[(record.sequence % 4) as usize]),
        Attribute::new("lineno", Value::Int((record.sequence % 977) as i64)),
        Attribute::text("threadName", format!("ThreadPoolExecutor-0_{}", record.sequence % 12)),
    ]
}

/// Python's `asctime` has a comma and milliseconds; the others write RFC 3339 with microseconds.
fn line_time(record: &Record) -> String {
    let nanos = oracle::event_time(record);
    if record.python_names {
        oracle::format_time(nanos, "%Y-%m-%d %H:%M:%S,%3f")
    } else {
        oracle::format_time(nanos, "%Y-%m-%dT%H:%M:%S.%6fZ")
    }
}

fn write_map(out: &mut Vec<u8>, members: &[Attribute]) {
    out.push(b'{');
    for (position, member) in members.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        write_text(out, member.key);
        out.push(b':');
        write_value(out, &member.value);
    }
    out.push(b'}');
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    // Writing to a `Vec` cannot fail.
    let _ = match value {
        Value::Str(text) => {
            write_text(out, text);
            Ok(())
        }
        Value::Int(number) => write!(out, "{number}"),
        Value::Double(number) => write!(out, "{number:?}"),
        Value::Bool(flag) => write!(out, "{flag}"),
        Value::Map(members) => {
            write_map(out, members);
            Ok(())
        }
        Value::Array(items) => {
            out.push(b'[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write_value(out, item);
            }
            out.push(b']');
            Ok(())
        }
    };
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    // Writing to a `Vec` cannot fail, and a `&str` is always a JSON string.
    let _ = serde_json::to_writer(out, text);
}

/// The sequence member as a sink finds it in a line: key, quotes and colon.
#[must_use]
pub fn sequence_needle() -> String {
    format!("\"{SEQUENCE_KEY}\":")
}
