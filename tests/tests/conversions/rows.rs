//! The rows: how an input is sent the event, and what is different in its document.

use crate::inputs;
use forebay_tests::Gateway;
use serde_json::{Map, Value, json};

/// One input.
pub struct Row {
    pub input: &'static str,
    /// Sends the event, and returns when it is acknowledged, where the input's protocol knows that.
    pub send: fn(&Gateway, &Value),
    /// Members that the document has beside those of the event, or instead of them; null for one that it lacks.
    pub differs: fn() -> Value,
}

pub const ALL: [Row; 13] = [
    Row { input: "otlp_grpc", send: inputs::otlp_grpc, differs: otlp },
    Row { input: "otlp_http", send: inputs::otlp_http, differs: otlp },
    Row { input: "json", send: inputs::json, differs: nothing },
    Row { input: "beats", send: inputs::beats, differs: nothing },
    Row { input: "elasticsearch", send: inputs::elasticsearch, differs: nothing },
    Row { input: "forward", send: inputs::forward, differs: tag },
    Row { input: "otlp_json", send: inputs::otlp_json, differs: otlp },
    Row { input: "tcp", send: inputs::tcp, differs: nothing },
    Row { input: "syslog", send: inputs::syslog, differs: syslog },
    Row { input: "loki", send: inputs::loki, differs: loki },
    Row { input: "otlp_traces", send: inputs::otlp_traces, differs: span },
    Row { input: "otlp_metrics", send: inputs::otlp_metrics, differs: point },
    Row { input: "remote_write", send: inputs::remote_write, differs: sample },
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

/// What the event lacks where its input knows times, texts and little else.
fn bare(more: Value) -> Value {
    let mut differs = json!({
        "@timestamp": "2026-11-21T08:26:04.580000000Z",
        "level": null, "name": null, "message": null, "severity": null,
        "api.duration": null, "attempt": null, "allowed": null, "tags": null, "http": null,
    });
    differs.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    differs
}

/// A message of RFC 5424: parameters of structured data are texts, and the application's name tells the event apart.
fn syslog() -> Value {
    bare(json!({
        "input": null, "component": null,
        "level": "ERROR",
        "message": event("")["message"],
        "severity_number": 17,
        "hostname": "web-1",
        "app_name": "syslog",
        "proc_id": "42",
        "msg_id": "login",
        "structured_data": {"event@32473": {"component": "security", "severity": "critical"}},
        "syslog.facility": "local0",
        "syslog.priority": 131,
        "syslog.version": 1,
    }))
}

/// An entry: labels and structured metadata are texts.
fn loki() -> Value {
    bare(json!({"message": event("")["message"], "severity": "critical", "attempt": "9007199254740993"}))
}

fn span() -> Value {
    bare(json!({
        "end_timestamp": "2026-11-21T08:26:04.580001200Z",
        "duration": 1_200,
        "trace_id": "0102030405060708090a0b0c0d0e0f10",
        "span_id": "0102030405060708",
        "name": "login",
        "kind": "server",
        "status.code": "error",
        "status.message": "token refused",
        "api.duration": 1200.5,
        "resource.service.name": "conversions",
        "service.name": "conversions",
        "events": [{"@timestamp": "2026-11-21T08:26:04.580000000Z", "name": "refused", "attributes": {"attempt": 2}}],
        "links": [{"trace_id": "0102030405060708090a0b0c0d0e0f10", "span_id": "0807060504030201"}],
    }))
}

fn point() -> Value {
    bare(json!({
        "metric.name": "logins",
        "metric.unit": "1",
        "metric.type": "sum",
        "metric.temporality": "cumulative",
        "metric.monotonic": true,
        "value": 9_007_199_254_740_993_i64,
        "resource.service.name": "conversions",
        "service.name": "conversions",
    }))
}

fn sample() -> Value {
    bare(json!({"metric.name": "logins_total", "value": 1200.5}))
}
