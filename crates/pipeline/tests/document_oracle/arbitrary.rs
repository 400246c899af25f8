//! Arbitrary requests: every value type, nesting, names that collide, names that repeat.

use forebay_proto::collector::ExportLogsServiceRequest;
use forebay_proto::common::any_value::Value;
use forebay_proto::common::{AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList};
use forebay_proto::logs::{LogRecord, ResourceLogs, ScopeLogs};
use forebay_proto::resource::Resource;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Names that mean something somewhere.
const NAMES: [&str; 36] = [
    "",
    "@timestamp",
    "level",
    "message",
    "body",
    "name",
    "trace_id",
    "span_id",
    "severity_number",
    "event_name",
    "observed_timestamp",
    "dropped_attributes_count",
    "trace_flags",
    "_id",
    "_source",
    "resource.x",
    "scope.name",
    "attributes.level",
    "attributes.",
    "schema_url",
    "version",
    "entity_refs",
    "component",
    "service.name",
    "kind",
    "status.code",
    "events",
    "duration",
    "metric.name",
    "metric.x",
    "value",
    "count",
    "positive.offset",
    "exemplars",
    "a",
    "b",
];

pub fn request() -> impl Strategy<Value = ExportLogsServiceRequest> {
    vec(resource_logs(), 0..4).prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}

/// A request of one record with this body and attribute.
pub fn one_record(value: AnyValue) -> ExportLogsServiceRequest {
    let attribute = KeyValue { key: "a".to_owned(), value: Some(value.clone()), ..KeyValue::default() };
    let record = LogRecord {
        time_unix_nano: 1,
        body: Some(value),
        attributes: vec![attribute],
        ..LogRecord::default()
    };
    let scope_logs = ScopeLogs { log_records: vec![record], ..ScopeLogs::default() };
    let resource_logs = ResourceLogs { scope_logs: vec![scope_logs], ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![resource_logs] }
}

/// A value in so many arrays or maps.
pub fn nested(depth: usize, is_map: bool) -> AnyValue {
    let mut value = AnyValue { value: Some(Value::IntValue(1)) };
    for _ in 0..depth {
        let outer = if is_map {
            let member = KeyValue { key: "k".to_owned(), value: Some(value), ..KeyValue::default() };
            Value::KvlistValue(KeyValueList { values: vec![member] })
        } else {
            Value::ArrayValue(ArrayValue { values: vec![value] })
        };
        value = AnyValue { value: Some(outer) };
    }
    value
}

pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z]{1,12}",
        "[ -~]{0,60}",
        "(?s:.{0,12})",
        "[\"\\\\\n\u{0}\u{7f}ä€😀]{0,20}"
    ]
}

pub fn key() -> impl Strategy<Value = String> {
    prop_oneof![3 => select(&NAMES[..]).prop_map(str::to_owned), 1 => text()]
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let integer = prop_oneof![any::<i64>(), -3..3_i64, Just(i64::MIN), Just(i64::MAX)];
    let special =
        select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1.0, 1e16, 1e21, 5e-324]);
    let double = prop_oneof![any::<f64>(), any::<u64>().prop_map(f64::from_bits), special];
    let leaf = prop_oneof![
        4 => text().prop_map(Value::StringValue),
        1 => any::<bool>().prop_map(Value::BoolValue),
        2 => integer.prop_map(Value::IntValue),
        2 => double.prop_map(Value::DoubleValue),
        1 => vec(any::<u8>(), 0..9).prop_map(Value::BytesValue),
        1 => any::<i32>().prop_map(Value::StringValueStrindex),
    ];
    let value = leaf.prop_recursive(4, 24, 4, |inner| {
        let inner = option::of(inner).prop_map(|value| AnyValue { value }).boxed();
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            attributes_of(inner, 0..6).prop_map(|values| Value::KvlistValue(KeyValueList { values })),
        ]
    });
    option::weighted(0.9, value).prop_map(|value| AnyValue { value })
}

fn attributes_of(
    value: BoxedStrategy<AnyValue>,
    count: std::ops::Range<usize>,
) -> impl Strategy<Value = Vec<KeyValue>> {
    let attribute = (key(), option::weighted(0.9, value), select(vec![0, 7]))
        .prop_map(|(key, value, key_strindex)| KeyValue { key, value, key_strindex });
    vec(attribute, count)
}

pub fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let few = attributes_of(any_value().boxed(), 0..6);
    // More than are compared pair by pair.
    let simple = any::<i64>().prop_map(|number| AnyValue { value: Some(Value::IntValue(number)) });
    let many = attributes_of(simple.boxed(), 14..40);
    prop_oneof![9 => few, 1 => many]
}

pub fn times() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1_790_000_000_000_000_000..1_800_000_000_000_000_000_u64, any::<u64>()]
}

fn record() -> impl Strategy<Value = LogRecord> {
    let severity = prop_oneof![0..26_i32, any::<i32>()];
    let identity = (vec(any::<u8>(), 0..18), vec(any::<u8>(), 0..9), select(vec![0, 1, u32::MAX]));
    let head =
        (times(), times(), severity, prop_oneof![Just(String::new()), text()], option::of(any_value()));
    (head, attributes(), select(vec![0, 3, u32::MAX]), identity, key()).prop_map(
        |(head, attributes, dropped_attributes_count, (trace_id, span_id, flags), event_name)| {
            let (time_unix_nano, observed_time_unix_nano, severity_number, severity_text, body) = head;
            LogRecord {
                time_unix_nano,
                observed_time_unix_nano,
                severity_number,
                severity_text,
                body,
                attributes,
                dropped_attributes_count,
                flags,
                trace_id,
                span_id,
                event_name,
            }
        },
    )
}

pub fn scope() -> impl Strategy<Value = Option<InstrumentationScope>> {
    let scope = (text(), text(), attributes(), 0..2_u32).prop_map(
        |(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
            name,
            version,
            attributes,
            dropped_attributes_count,
        },
    );
    option::weighted(0.8, scope)
}

fn scope_logs() -> impl Strategy<Value = ScopeLogs> {
    (scope(), vec(record(), 0..4), text()).prop_map(|(scope, log_records, schema_url)| ScopeLogs {
        scope,
        log_records,
        schema_url,
    })
}

fn entity_ref() -> impl Strategy<Value = EntityRef> {
    (text(), text(), vec(key(), 0..3), vec(key(), 0..3)).prop_map(
        |(schema_url, r#type, id_keys, description_keys)| EntityRef {
            schema_url,
            r#type,
            id_keys,
            description_keys,
        },
    )
}

pub fn resource() -> impl Strategy<Value = Option<Resource>> {
    let resource = (attributes(), 0..2_u32, vec(entity_ref(), 0..3)).prop_map(
        |(attributes, dropped_attributes_count, entity_refs)| Resource {
            attributes,
            dropped_attributes_count,
            entity_refs,
        },
    );
    option::weighted(0.8, resource)
}

fn resource_logs() -> impl Strategy<Value = ResourceLogs> {
    (resource(), vec(scope_logs(), 0..4), text())
        .prop_map(|(resource, scope_logs, schema_url)| ResourceLogs { resource, scope_logs, schema_url })
}
