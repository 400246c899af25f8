//! The mix: what five kinds of components would log, the same facts as OTLP records and as JSON lines.

use forebay_proto::collector::ExportLogsServiceRequest;
use forebay_proto::common::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use forebay_proto::logs::{LogRecord, ResourceLogs, ScopeLogs};
use forebay_proto::resource::Resource;
use prost::Message as _;
use serde_json::json;

/// One event, before it takes the form of a protocol.
struct Event {
    component: &'static str,
    level: &'static str,
    severity_number: i32,
    message: String,
    facts: Vec<(&'static str, Fact)>,
}

enum Fact {
    Text(&'static str),
    Number(f64),
}

/// Event number `n` of the mix: the kinds take turns unevenly, as in life.
fn event(n: u64) -> Event {
    // A cheap scramble, so that neighbours differ.
    let dice = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let pick = |from: &[&'static str]| from[(dice / 7 % from.len() as u64) as usize];
    let (level, severity_number) = match dice % 20 {
        0 => ("ERROR", 17),
        1 | 2 => ("WARN", 13),
        _ => ("INFO", 9),
    };
    let (component, message, facts) = match dice % 10 {
        0 | 1 => (
            "ai-persona",
            format!("persona {} answered turn {n}", dice % 97),
            vec![
                ("mood", Fact::Text(pick(&["curious", "calm", "amused"]))),
                ("value", Fact::Number((dice % 100) as f64 / 100.0)),
            ],
        ),
        2 => (
            pick(&["security", "cerberus"]),
            format!("login attempt {n} from 203.0.113.{}", dice % 256),
            vec![("severity", Fact::Text(pick(&["low", "medium", "critical"])))],
        ),
        3 => (
            "four-laws",
            format!("action {n} weighed against law {}", dice % 4),
            vec![("result", Fact::Text(pick(&["allowed", "denied"])))],
        ),
        _ => (
            pick(&["api", "scheduler", "storage"]),
            format!("GET /v1/items/{n} done"),
            vec![
                ("endpoint", Fact::Text(pick(&["/v1/items", "/v1/users", "/healthz"]))),
                ("api.duration", Fact::Number((dice % 2_000) as f64)),
            ],
        ),
    };
    Event { component, level, severity_number, message, facts }
}

/// `records` events from number `first` on, as an `ExportLogsServiceRequest`.
pub fn otlp(first: u64, records: u64) -> Vec<u8> {
    let log_records = (first..first + records).map(|n| log_record(n, event(n))).collect();
    let resource = Resource {
        attributes: vec![text("service.name", "demo"), text("host.name", "laptop")],
        ..Resource::default()
    };
    let scope = InstrumentationScope { name: "demo.mix".to_owned(), ..InstrumentationScope::default() };
    let scope_logs = vec![ScopeLogs { scope: Some(scope), log_records, schema_url: String::new() }];
    let resource_logs =
        vec![ResourceLogs { resource: Some(resource), scope_logs, schema_url: String::new() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

fn log_record(n: u64, event: Event) -> LogRecord {
    let mut attributes =
        vec![text("component", event.component), attribute("sequence", Value::IntValue(n as i64))];
    attributes.extend(event.facts.into_iter().map(|(name, fact)| match fact {
        Fact::Text(value) => text(name, value),
        Fact::Number(value) => attribute(name, Value::DoubleValue(value)),
    }));
    LogRecord {
        time_unix_nano: forebay_pipeline::time::now() as u64,
        severity_number: event.severity_number,
        severity_text: event.level.to_owned(),
        body: Some(AnyValue { value: Some(Value::StringValue(event.message)) }),
        attributes,
        ..LogRecord::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// The same events as JSON lines in the style of python-json-logger.
pub fn json(first: u64, records: u64) -> Vec<u8> {
    let mut lines = Vec::new();
    for n in first..first + records {
        let event = event(n);
        let mut line = json!({
            "timestamp": jiff::Timestamp::now().to_string(), "levelname": event.level, "name": "demo.mix",
            "message": event.message, "component": event.component, "sequence": n,
        });
        for (name, fact) in event.facts {
            line[name] = match fact {
                Fact::Text(value) => value.into(),
                Fact::Number(value) => value.into(),
            };
        }
        lines.extend_from_slice(line.to_string().as_bytes());
        lines.push(b'\n');
    }
    lines
}
