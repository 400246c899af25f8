//! Records as clients send them: each with an id of its own, so that a loss and a duplicate are both seen.

use forebay_proto::collector::ExportLogsServiceRequest;
use forebay_proto::common::any_value::Value as Any;
use forebay_proto::logs::LogRecord;
use forebay_tests::otlp::{attribute, record, request};
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
    request("faults", events.iter().map(log_record).collect())
}

fn log_record(event: &Event) -> LogRecord {
    let status = if event.poisoned { Any::StringValue("teapot".to_owned()) } else { Any::IntValue(200) };
    let attributes = vec![attribute("id", Any::StringValue(event.id.clone())), attribute("status", status)];
    record(event.time, &event.text, attributes)
}
