//! What Elasticsearch should hold after a scenario, by the rules of the document model.

use forebay_tests::elasticsearch::Hit;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Which facts of an event a client writes.
#[derive(Clone, Copy, Debug)]
pub struct OnTheWire {
    pub level: bool,
    pub time: bool,
}

impl OnTheWire {
    pub const EVERYTHING: Self = Self { level: true, time: true };
}

/// Clients write the time to the microsecond or the millisecond.
const TIME_TOLERANCE_SECONDS: f64 = 0.002;

/// How long before the check an event without a time may have arrived.
const ARRIVED_WITHIN_SECONDS: f64 = 600.0;

/// An event of scenario.py.
#[derive(Debug)]
pub struct Event {
    pub id: String,
    logger: String,
    level: String,
    message: String,
    extra: BTreeMap<String, Value>,
    seconds: f64,
    hits: Vec<String>,
}

/// Reads the events that scenario.py printed.
pub fn read(lines: &str) -> Vec<Event> {
    let event = |line| {
        let event: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| event[name].as_str().unwrap().to_owned();
        let extra = event["extra"].as_object().unwrap();
        let hits = event["hits"].as_array().unwrap().iter();
        Event {
            id: text("id"),
            logger: text("logger"),
            level: text("level"),
            message: text("message"),
            extra: extra.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            seconds: event["time"].as_f64().unwrap(),
            hits: hits.map(|name| name.as_str().unwrap().to_owned()).collect(),
        }
    };
    lines.lines().map(event).collect()
}

/// The ids of the events that the search of this name must find, sorted.
pub fn hits(events: &[Event], search: &str, wire: OnTheWire) -> Vec<String> {
    let is_hit =
        |event: &&Event| event.hits.iter().any(|name| name == search) && (wire.level || search != "errors");
    let mut ids: Vec<String> = events.iter().filter(is_hit).map(|event| event.id.clone()).collect();
    ids.sort_unstable();
    ids
}

/// Documents by the event's own id, which is a field of theirs.
pub fn by_event_id(found: Vec<Hit>) -> BTreeMap<String, Hit> {
    let count = found.len();
    let of_event: BTreeMap<_, _> =
        found.into_iter().map(|hit| (hit.source["id"].as_str().unwrap().to_owned(), hit)).collect();
    assert_eq!(of_event.len(), count, "an event is there twice");
    of_event
}

impl Event {
    /// The event as Filebeat sends a line of python-json-logger that it read at `offset`, with its keys in this order or the other way round.
    pub fn of_filebeat(&self, offset: usize, reversed: bool) -> String {
        let time = Timestamp::from_microsecond((self.seconds * 1e6) as i64).unwrap();
        let metadata = json!({"beat": "filebeat", "type": "_doc", "version": "8.15.0"});
        let log = json!({"offset": offset, "file": {"path": "/var/log/app.json"}});
        let own = [
            ("@timestamp", json!(format!("{time:.3}"))),
            ("@metadata", metadata),
            ("log", log),
            ("agent", json!({"type": "filebeat", "version": "8.15.0"})),
            ("ecs", json!({"version": "8.0.0"})),
            ("input", json!({"type": "filestream"})),
            ("host", json!({"name": "web-1"})),
            ("id", json!(self.id)),
            ("name", json!(self.logger)),
            ("levelname", json!(self.level)),
            ("message", json!(self.message)),
        ];
        let extra = self.extra.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let mut members: Vec<String> =
            own.into_iter().chain(extra).map(|(name, value)| format!("{}:{value}", json!(name))).collect();
        if reversed {
            members.reverse();
        }
        format!("{{{}}}", members.join(","))
    }

    /// The event as a line for `tests/go/fluent`.
    pub fn of_fluent(&self, tag: &str) -> String {
        let own = [
            ("id", json!(self.id)),
            ("name", json!(self.logger)),
            ("levelname", json!(self.level)),
            ("message", json!(self.message)),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value));
        let extra = self.extra.iter().map(|(name, value)| (name.clone(), value.clone()));
        let record: serde_json::Map<String, Value> = own.into_iter().chain(extra).collect();
        json!({"tag": tag, "time": self.seconds, "record": record}).to_string()
    }

    /// Checks index, time, level, logger, message and every field of the event's own.
    pub fn assert_stored_as(&self, document: &Hit, wire: OnTheWire) {
        let source = &document.source;
        // Forebay's own, or one that the client made as long, with the mark of its index.
        let of_client =
            document.id.split_once("é~").map_or(0, |(id, mark)| id.len() + "é".len() + mark.len());
        assert!(document.id.len() == 28 || of_client == 28 + 22, "{document:?}");
        assert_eq!(source["message"], self.message, "{document:?}");
        assert_eq!(source["name"], self.logger, "{document:?}");
        for (name, value) in &self.extra {
            // The OpenTelemetry SDK has no null attribute: it leaves such a one out or writes an empty value.
            assert_eq!(source.get(name).unwrap_or(&Value::Null), value, "{name} in {document:?}");
        }
        if wire.level {
            assert_eq!(source["level"], self.level_as_written(source), "{document:?}");
        } else {
            assert_eq!(source["level"], Value::Null, "{document:?}");
        }
        let stored: Timestamp = source["@timestamp"].as_str().unwrap().parse().unwrap();
        let stored_seconds = stored.as_nanosecond() as f64 / 1e9;
        if wire.time {
            let off = (stored_seconds - self.seconds).abs();
            assert!(off < TIME_TOLERANCE_SECONDS, "{off} s off: {document:?}");
        } else {
            let age = Timestamp::now().as_nanosecond() as f64 / 1e9 - stored_seconds;
            assert!((0.0..ARRIVED_WITHIN_SECONDS).contains(&age), "arrived {age} s ago: {document:?}");
        }
        let day = stored.strftime("%Y.%m.%d");
        assert_eq!(document.index, format!("project-ai-{}-{day}", self.route()), "{document:?}");
    }

    /// The OpenTelemetry SDK writes OpenTelemetry's names for two of Python's levels.
    fn level_as_written(&self, source: &Value) -> &str {
        let through_otlp = source.get("severity_number").is_some();
        match self.level.as_str() {
            "WARNING" if through_otlp => "WARN",
            "CRITICAL" if through_otlp => "FATAL",
            other => other,
        }
    }

    /// The shipped rules.
    fn route(&self) -> &'static str {
        match self.extra["component"].as_str().unwrap() {
            "ai-persona" => "persona",
            "four-laws" => "ethics",
            other if other.eq_ignore_ascii_case("security") || other.eq_ignore_ascii_case("cerberus") => {
                "security"
            }
            _ => "logs",
        }
    }
}
