//! The document model, written down a second time: from prost's structs into serde_json's, without an eye on speed.

use super::PROMOTED;
use base64::Engine as _;
use forebay_proto::collector::ExportLogsServiceRequest;
use forebay_proto::common::any_value::Value as Kind;
use forebay_proto::common::{AnyValue, EntityRef, InstrumentationScope, KeyValue};
use forebay_proto::logs::{LogRecord, ResourceLogs, ScopeLogs};
use forebay_proto::resource::Resource;
use serde_json::{Map, Value, json};

pub type Object = Map<String, Value>;

/// One document for each record, as text.
pub fn documents(request: &ExportLogsServiceRequest, arrived: i64) -> Vec<String> {
    let mut documents = Vec::new();
    for resource_logs in &request.resource_logs {
        for scope_logs in &resource_logs.scope_logs {
            for record in &scope_logs.log_records {
                documents
                    .push(Value::Object(document(record, scope_logs, resource_logs, arrived)).to_string());
            }
        }
    }
    documents
}

fn document(
    record: &LogRecord,
    scope_logs: &ScopeLogs,
    resource_logs: &ResourceLogs,
    arrived: i64,
) -> Object {
    let resource = resource_logs.resource.clone().unwrap_or_default();
    let scope = scope_logs.scope.clone().unwrap_or_default();
    let mut fields = fixed(record, &scope, arrived);
    for (key, value) in members(&record.attributes) {
        let prefix = if is_fixed(&key) { "attributes." } else { "" };
        fields.insert(format!("{prefix}{key}"), value);
    }
    let attributes = members(&resource.attributes);
    for name in PROMOTED {
        if let Some(value) = attributes.get(name)
            && !is_fixed(name)
            && !record.attributes.iter().any(|attribute| attribute.key == name)
        {
            fields.insert(name.to_owned(), value.clone());
        }
    }
    add_resource(&resource, attributes, &resource_logs.schema_url, &mut fields);
    add_scope(&scope, &scope_logs.schema_url, &mut fields);
    fields
}

fn fixed(record: &LogRecord, scope: &InstrumentationScope, arrived: i64) -> Object {
    let mut fields = Object::new();
    let times = [record.time_unix_nano, record.observed_time_unix_nano, arrived as u64];
    let time = times.into_iter().find(|time| *time != 0).unwrap();
    fields.insert("@timestamp".to_owned(), rfc3339(time));
    if record.observed_time_unix_nano != 0 {
        fields.insert("observed_timestamp".to_owned(), rfc3339(record.observed_time_unix_nano));
    }
    let level = match record.severity_text.as_str() {
        "" => level_of(record.severity_number),
        text => text.to_owned(),
    };
    let mut body = None;
    let mut message = None;
    match &record.body {
        Some(AnyValue { value: Some(Kind::StringValue(text)) }) => message = Some(json!(text)),
        Some(other) => body = Some(value_of(other)),
        None => {}
    }
    add(&mut fields, "level", json!(level));
    add(&mut fields, "severity_number", json!(record.severity_number));
    fields.extend(message.map(|message| ("message".to_owned(), message)));
    fields.extend(body.map(|body| ("body".to_owned(), body)));
    add(&mut fields, "name", json!(scope.name));
    add(&mut fields, "trace_id", json!(hex(&record.trace_id)));
    add(&mut fields, "span_id", json!(hex(&record.span_id)));
    add(&mut fields, "trace_flags", json!(record.flags));
    add(&mut fields, "event_name", json!(record.event_name));
    add(&mut fields, "dropped_attributes_count", json!(record.dropped_attributes_count));
    fields
}

pub fn add_resource(resource: &Resource, attributes: Object, schema_url: &str, fields: &mut Object) {
    for (key, value) in attributes {
        let own = ["", "schema_url", "dropped_attributes_count", "entity_refs"].contains(&key.as_str());
        let prefix = if own || key.starts_with("attributes.") { "resource.attributes." } else { "resource." };
        fields.insert(format!("{prefix}{key}"), value);
    }
    add(fields, "resource.schema_url", json!(schema_url));
    add(fields, "resource.dropped_attributes_count", json!(resource.dropped_attributes_count));
    let entities: Vec<Value> = resource.entity_refs.iter().map(entity_of).collect();
    add(fields, "resource.entity_refs", json!(entities));
}

pub fn add_scope(scope: &InstrumentationScope, schema_url: &str, fields: &mut Object) {
    for (key, value) in members(&scope.attributes) {
        let own = ["", "name", "version", "schema_url", "dropped_attributes_count"].contains(&key.as_str());
        let prefix = if own || key.starts_with("attributes.") { "scope.attributes." } else { "scope." };
        fields.insert(format!("{prefix}{key}"), value);
    }
    add(fields, "scope.name", json!(scope.name));
    add(fields, "scope.version", json!(scope.version));
    add(fields, "scope.schema_url", json!(schema_url));
    add(fields, "scope.dropped_attributes_count", json!(scope.dropped_attributes_count));
}

/// Adds a field unless it has proto3's default.
pub fn add(fields: &mut Object, name: &str, value: Value) {
    if value != json!("") && value != json!(0) && value != json!([]) {
        fields.insert(name.to_owned(), value);
    }
}

/// Attributes by name: the last of equal ones, in its place.
pub fn members(attributes: &[KeyValue]) -> Object {
    let mut members = Object::new();
    for KeyValue { key, value, .. } in attributes {
        members.shift_remove(key);
        members.insert(key.clone(), value.as_ref().map_or(Value::Null, value_of));
    }
    members
}

pub fn value_of(value: &AnyValue) -> Value {
    match &value.value {
        None | Some(Kind::StringValueStrindex(_)) => Value::Null,
        Some(Kind::StringValue(text)) => json!(text),
        Some(Kind::BoolValue(flag)) => json!(flag),
        Some(Kind::IntValue(number)) => json!(number),
        Some(Kind::DoubleValue(number)) if number.is_nan() => json!("NaN"),
        Some(Kind::DoubleValue(number)) if number.is_infinite() => {
            json!(if *number > 0.0 { "Infinity" } else { "-Infinity" })
        }
        Some(Kind::DoubleValue(number)) => json!(number),
        Some(Kind::BytesValue(bytes)) => json!(base64::engine::general_purpose::STANDARD.encode(bytes)),
        Some(Kind::ArrayValue(array)) => Value::Array(array.values.iter().map(value_of).collect()),
        Some(Kind::KvlistValue(list)) => Value::Object(members(&list.values)),
    }
}

fn entity_of(entity: &EntityRef) -> Value {
    let mut fields = Object::new();
    add(&mut fields, "schema_url", json!(entity.schema_url));
    add(&mut fields, "type", json!(entity.r#type));
    add(&mut fields, "id_keys", json!(entity.id_keys));
    add(&mut fields, "description_keys", json!(entity.description_keys));
    Value::Object(fields)
}

/// Whether a record attribute may not have this name at top level.
pub fn is_fixed(name: &str) -> bool {
    let fixed = "@timestamp observed_timestamp level severity_number message body name trace_id span_id trace_flags \
                 event_name dropped_attributes_count _id _index _source _type _routing _version _seq_no _primary_term \
                 _size _ignored _field_names _doc_count _tier _meta _nested_path _ignored_source \
                 _data_stream_timestamp _ts_routing_hash _inference_fields";
    let prefixes = ["resource.", "scope.", "attributes."];
    name.is_empty()
        || fixed.split_whitespace().any(|field| field == name)
        || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

fn level_of(number: i32) -> String {
    if !(1..=24).contains(&number) {
        return String::new();
    }
    let range = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"][(number as usize - 1) / 4];
    match (number - 1) % 4 {
        0 => range.to_owned(),
        step => format!("{range}{}", step + 1),
    }
}

pub fn rfc3339(nanos: u64) -> Value {
    let timestamp = jiff::Timestamp::from_nanosecond(i128::from(nanos)).unwrap();
    json!(jiff::fmt::temporal::DateTimePrinter::new().precision(Some(9)).timestamp_to_string(&timestamp))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
