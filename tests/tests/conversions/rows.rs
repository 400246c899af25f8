//! The rows: how an input is sent the event, and what is different in its document.

use crate::inputs;
use forebay_tests::Gateway;
use serde_json::{Map, Value, json};

/// One input.
pub struct Row {
    pub input: &'static str,
    /// Sends the event, and returns when it is acknowledged.
    pub send: fn(&Gateway, &Value),
    /// Members that the document has beside those of the event, or instead of them; null for one that it lacks.
    pub differs: fn() -> Value,
}

pub const ALL: [Row; 6] = [
    Row { input: "otlp_grpc", send: inputs::otlp_grpc, differs: otlp },
    Row { input: "otlp_http", send: inputs::otlp_http, differs: otlp },
    Row { input: "json", send: inputs::json, differs: nothing },
    Row { input: "beats", send: inputs::beats, differs: nothing },
    Row { input: "elasticsearch", send: inputs::elasticsearch, differs: nothing },
    Row { input: "forward", send: inputs::forward, differs: tag },
];

/// Nanoseconds since 1970 of the event.
pub const TIME: u64 = 1_795_249_564_580_000_000;

/// The event, as an application writes it in JSON: text with everything that is escaped, a number that a double has no room for, names
/// with dots beside a nested one.
pub fn event(input: &str) -> Value {
    json!({
        "@timestamp": "2026-11-21T08:26:04.58Z",
        "level": "ERROR",
        "name": "app.auth",
        "message": "token \"refused\" for größe\t日本語 \u{1F600} \\",
        "component": "security",
        "severity": "critical",
        "input": input,
        "api.duration": 1200.5,
        "attempt": 9_007_199_254_740_993_i64,
        "allowed": false,
        "tags": ["a", "b"],
        "http": {"status": 403, "path": "/login"},
    })
}

impl Row {
    /// The document that the event must become.
    pub fn document(&self) -> Value {
        let mut document = event(self.input);
        let members = document.as_object_mut().unwrap();
        for (name, value) in (self.differs)().as_object().unwrap_or(&Map::new()) {
            match value {
                Value::Null => drop(members.remove(name)),
                value => drop(members.insert(name.clone(), value.clone())),
            }
        }
        document
    }
}

fn nothing() -> Value {
    json!({})
}

/// What Fluent Forward says beside the event.
fn tag() -> Value {
    json!({"tag": "app"})
}

/// What OTLP says beside the event, and a time with all digits of its nanoseconds.
fn otlp() -> Value {
    json!({
        "@timestamp": "2026-11-21T08:26:04.580000000Z",
        "severity_number": 17,
        "scope.name": "app.auth",
        "resource.service.name": "conversions",
        "service.name": "conversions",
    })
}
