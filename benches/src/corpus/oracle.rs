//! What each record must look like in Elasticsearch: the rules of `docs/document-model.md`, written from the page and
//! from the model, so that they share no code with what they judge.

use jiff::Timestamp;
use serde_json::{Map, Number, Value as Json};

use super::model::{Attribute, Record, Resource, Scope, Value};
use super::ndjson::{Keys, members};

/// Resource attributes that a document has at top level too: the default of the `promote` setting.
const PROMOTED: [&str; 2] = ["component", "service.name"];

/// Top-level names that are not free for an attribute.
const FIXED: [&str; 12] = [
    "@timestamp",
    "observed_timestamp",
    "level",
    "severity_number",
    "message",
    "body",
    "name",
    "trace_id",
    "span_id",
    "trace_flags",
    "event_name",
    "dropped_attributes_count",
];
/// Names that belong to the resource itself, and to the scope itself.
const RESOURCE_OWN: [&str; 3] = ["schema_url", "dropped_attributes_count", "entity_refs"];
const SCOPE_OWN: [&str; 4] = ["name", "version", "schema_url", "dropped_attributes_count"];

/// The document of a record that came by OTLP.
#[must_use]
pub fn expected_document(record: &Record, resource: &Resource, scope: &Scope) -> Json {
    let mut document = Map::new();
    put_text(&mut document, "@timestamp", rfc3339(event_time(record)));
    if record.observed_time_unix_nano != 0 {
        put_text(&mut document, "observed_timestamp", rfc3339(record.observed_time_unix_nano));
    }
    if let Some(level) = level(record) {
        put_text(&mut document, "level", level);
    }
    if record.severity_number != 0 {
        document.insert("severity_number".into(), record.severity_number.into());
    }
    let body_key = if matches!(record.body, Value::Str(_)) { "message" } else { "body" };
    document.insert(body_key.into(), json(&record.body));
    put_text(&mut document, "name", scope.name);
    if !record.trace_id.is_empty() {
        put_text(&mut document, "trace_id", hex(&record.trace_id));
    }
    if !record.span_id.is_empty() {
        put_text(&mut document, "span_id", hex(&record.span_id));
    }
    if record.flags != 0 {
        document.insert("trace_flags".into(), record.flags.into());
    }
    put_attributes(&mut document, "", &record.attributes, |key| !free_at_top(key));
    for attribute in &resource.attributes {
        let taken = record.attributes.iter().any(|own| own.key == attribute.key);
        if PROMOTED.contains(&attribute.key) && !taken {
            document.insert(attribute.key.into(), json(&attribute.value));
        }
    }
    put_attributes(&mut document, "resource.", &resource.attributes, |key| !free_in(key, &RESOURCE_OWN));
    put_attributes(&mut document, "scope.", &scope.attributes, |key| !free_in(key, &SCOPE_OWN));
    put_text(&mut document, "scope.name", scope.name);
    put_text(&mut document, "scope.version", scope.version.as_str());
    Json::Object(document)
}

/// The document of a record that came as a JSON line: the line, with `@timestamp` and `level` where it has them under
/// another name. The digits of an inserted `@timestamp` after the last that is not zero are left to the gateway.
#[must_use]
pub fn expected_line(record: &Record, resource: &Resource, scope: &Scope, keys: Keys) -> Json {
    let mut document = Map::new();
    for member in members(record, resource, scope, keys) {
        document.insert(member.key.into(), json(&member.value));
    }
    if record.python_names {
        let millis = event_time(record) / 1_000_000;
        put_text(&mut document, "@timestamp", rfc3339(millis * 1_000_000));
        put_text(&mut document, "level", level(record).unwrap_or("INFO"));
    }
    Json::Object(document)
}

/// The index that the shipped rules choose: by component, dated by the day of the event in UTC.
#[must_use]
pub fn expected_index(record: &Record, resource: &Resource) -> String {
    let family = match resource.component {
        "ai-persona" => "persona",
        "four-laws" => "ethics",
        other if other.eq_ignore_ascii_case("security") || other.eq_ignore_ascii_case("cerberus") => {
            "security"
        }
        _ => "logs",
    };
    format_time(event_time(record), &format!("project-ai-{family}-%Y.%m.%d"))
}

/// Time of the event, else of its observation, in ns since 1970.
pub(super) fn event_time(record: &Record) -> u64 {
    if record.time_unix_nano == 0 { record.observed_time_unix_nano } else { record.time_unix_nano }
}

/// Severity text, else the name of the severity number.
pub(super) fn level(record: &Record) -> Option<&'static str> {
    const NAMES: [&str; 24] = [
        "TRACE", "TRACE2", "TRACE3", "TRACE4", "DEBUG", "DEBUG2", "DEBUG3", "DEBUG4", "INFO", "INFO2",
        "INFO3", "INFO4", "WARN", "WARN2", "WARN3", "WARN4", "ERROR", "ERROR2", "ERROR3", "ERROR4", "FATAL",
        "FATAL2", "FATAL3", "FATAL4",
    ];
    if !record.severity_text.is_empty() {
        return Some(record.severity_text);
    }
    let position = usize::try_from(record.severity_number).ok()?.checked_sub(1)?;
    NAMES.get(position).copied()
}

/// Lower-case hexadecimal digits of `bytes`.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `unix_nano` in UTC, in a `strftime` form. Empty for a time that has no calendar date, which the corpus never makes.
pub(super) fn format_time(unix_nano: u64, form: &str) -> String {
    Timestamp::from_nanosecond(i128::from(unix_nano))
        .map(|time| time.strftime(form).to_string())
        .unwrap_or_default()
}

fn rfc3339(unix_nano: u64) -> String {
    format_time(unix_nano, "%Y-%m-%dT%H:%M:%S.%9fZ")
}

fn free_at_top(key: &str) -> bool {
    !FIXED.contains(&key) && free_in(key, &[]) && !key.starts_with("resource.") && !key.starts_with("scope.")
}

fn free_in(key: &str, own: &[&str]) -> bool {
    !key.is_empty() && !own.contains(&key) && !key.starts_with("attributes.")
}

/// Writes each attribute under `prefix`, or where `reserved` says so under `prefix` and `attributes.`.
fn put_attributes(
    document: &mut Map<String, Json>,
    prefix: &str,
    attributes: &[Attribute],
    reserved: impl Fn(&str) -> bool,
) {
    for attribute in attributes {
        let shelter = if reserved(attribute.key) { "attributes." } else { "" };
        document.insert(format!("{prefix}{shelter}{}", attribute.key), json(&attribute.value));
    }
}

fn put_text(document: &mut Map<String, Json>, key: &str, text: impl Into<String>) {
    document.insert(key.into(), Json::String(text.into()));
}

fn json(value: &Value) -> Json {
    match value {
        Value::Str(text) => Json::String(text.clone()),
        Value::Int(number) => Json::from(*number),
        Value::Double(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Array(items) => Json::Array(items.iter().map(json).collect()),
        Value::Map(members) => {
            Json::Object(members.iter().map(|member| (member.key.into(), json(&member.value))).collect())
        }
    }
}
