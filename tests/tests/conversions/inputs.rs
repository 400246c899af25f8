//! One event by each input, by a client that insists on its acknowledgement.

use crate::rows::TIME;
use forebay_proto::collector::ExportLogsServiceRequest;
use forebay_proto::common::any_value::Value as Any;
use forebay_proto::common::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use forebay_tests::otlp::{self, LogsClient, attribute};
use forebay_tests::{Gateway, fluent, lumber};
use prost::Message as _;
use serde_json::{Map, Value};

pub fn otlp_grpc(gateway: &Gateway, event: &Value) {
    let mut client = LogsClient::new(&format!("127.0.0.1:{}", gateway.ports.otlp_grpc)).unwrap();
    assert_eq!(client.export(request(event)).unwrap().partial_success, None);
}

pub fn otlp_http(gateway: &Gateway, event: &Value) {
    let address = format!("http://127.0.0.1:{}/v1/logs", gateway.ports.otlp_http);
    assert_eq!(post(&address, "application/x-protobuf", &request(event).encode_to_vec()), b"");
}

pub fn json(gateway: &Gateway, event: &Value) {
    let address = format!("http://127.0.0.1:{}/", gateway.ports.json);
    let report: Value =
        serde_json::from_slice(&post(&address, "application/json", event.to_string().as_bytes())).unwrap();
    assert_eq!(report["accepted"], 1, "{report}");
}

pub fn beats(gateway: &Gateway, event: &Value) {
    let mut event = event.clone();
    event["@metadata"] = serde_json::json!({"beat": "filebeat", "version": "8.19.0"});
    lumber::send(gateway.ports.beats, &[], &format!("{event}\n")).unwrap();
}

pub fn elasticsearch(gateway: &Gateway, event: &Value) {
    let address = format!("http://127.0.0.1:{}/app-logs/_bulk", gateway.ports.elasticsearch);
    let body = format!("{{\"index\":{{}}}}\n{event}\n");
    let report: Value =
        serde_json::from_slice(&post(&address, "application/x-ndjson", body.as_bytes())).unwrap();
    assert_eq!(report["items"][0]["index"]["status"], 201, "{report}");
}

pub fn forward(gateway: &Gateway, event: &Value) {
    let line = serde_json::json!({"tag": "app", "time": 1, "record": event});
    fluent::send(gateway.ports.forward, &[], &format!("{line}\n")).unwrap();
}

fn post(address: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = ureq::post(address).header("Content-Type", content_type).send(body).unwrap();
    answer.body_mut().read_to_vec().unwrap()
}

/// What of the event OTLP has fields for goes into them, the rest is attributes.
fn request(event: &Value) -> ExportLogsServiceRequest {
    let event = event.as_object().unwrap();
    let fields = ["@timestamp", "level", "name", "message"];
    let free = event.iter().filter(|(name, _)| !fields.contains(&name.as_str()));
    let attributes = free.map(|(name, value)| attribute(name, any(value))).collect();
    let mut record = otlp::record(TIME, text(event, "message"), attributes);
    record.severity_text = text(event, "level").to_owned();
    record.severity_number = 17;
    let mut request = otlp::request("conversions", vec![record]);
    request.resource_logs[0].scope_logs[0].scope = Some(InstrumentationScope {
        name: text(event, "name").to_owned(),
        ..InstrumentationScope::default()
    });
    request
}

fn text<'e>(event: &'e Map<String, Value>, name: &str) -> &'e str {
    event[name].as_str().unwrap()
}

fn any(value: &Value) -> Any {
    let wrapped = |value: &Value| AnyValue { value: Some(any(value)) };
    match value {
        Value::Null => panic!("OTLP has no null"),
        Value::Bool(flag) => Any::BoolValue(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Any::IntValue(integer),
            None => Any::DoubleValue(number.as_f64().unwrap()),
        },
        Value::String(text) => Any::StringValue(text.clone()),
        Value::Array(items) => Any::ArrayValue(ArrayValue { values: items.iter().map(wrapped).collect() }),
        Value::Object(members) => {
            let pair = |(key, value): (&String, &Value)| KeyValue {
                key: key.clone(),
                value: Some(wrapped(value)),
                ..KeyValue::default()
            };
            Any::KvlistValue(KeyValueList { values: members.iter().map(pair).collect() })
        }
    }
}
