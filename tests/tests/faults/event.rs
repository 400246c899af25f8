//! Records as clients send them: each with an id of its own, so that a loss and a duplicate are both seen.

use forebay_proto::collector::ExportLogsServiceRequest;
use forebay_proto::common::any_value::Value as Any;
use forebay_proto::common::{AnyValue, KeyValue};
use forebay_proto::logs::{LogRecord, ResourceLogs, ScopeLogs};
use forebay_proto::resource::Resource;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

/// One log record.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: String,
    /// Nanoseconds since 1970. A client's retry carries the same.
    pub time: u64,
    /// Its field `status` is a text, which an index that has it as a number refuses.
    pub poisoned: bool,
    pub text: String,
}

impl Event {
    /// A record of the present.
    pub fn new(id: impl Into<String>) -> Self {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        Self {
            id: id.into(),
            time: u64::try_from(time).unwrap(),
            poisoned: false,
            text: "something happened".into(),
        }
    }

    /// Records `<prefix>-0` and so on.
    pub fn batch(prefix: &str, count: usize) -> Vec<Self> {
        (0..count).map(|number| Self::new(format!("{prefix}-{number}"))).collect()
    }

    /// What its field `status` reads.
    pub fn status(&self) -> serde_json::Value {
        if self.poisoned { json!("teapot") } else { json!(200) }
    }
}

/// The records as one JSON object a line.
pub fn json_lines(events: &[Event]) -> String {
    let mut lines = String::new();
    for event in events {
        let line = json!({
            "@timestamp": event.time / 1_000_000,
            "id": event.id,
            "status": event.status(),
            "message": event.text,
        });
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    lines
}

/// The records as one OTLP request of one resource.
pub fn otlp(events: &[Event]) -> ExportLogsServiceRequest {
    let log_records = events.iter().map(log_record).collect();
    let resource = Resource {
        attributes: vec![attribute("service.name", Any::StringValue("faults".to_owned()))],
        ..Resource::default()
    };
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { resource: Some(resource), scope_logs, ..ResourceLogs::default() }],
    }
}

fn log_record(event: &Event) -> LogRecord {
    let status = if event.poisoned { Any::StringValue("teapot".to_owned()) } else { Any::IntValue(200) };
    LogRecord {
        time_unix_nano: event.time,
        severity_text: "INFO".to_owned(),
        body: Some(AnyValue { value: Some(Any::StringValue(event.text.clone())) }),
        attributes: vec![attribute("id", Any::StringValue(event.id.clone())), attribute("status", status)],
        ..LogRecord::default()
    }
}

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
