//! One event by each input, by a client that insists on its acknowledgement.

use crate::rows::TIME;
use forebay_proto::collector::ExportLogsServiceRequest;
use forebay_proto::common::any_value::Value as Any;
use forebay_proto::common::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use forebay_proto::resource::Resource;
use forebay_tests::otlp::{self, LogsClient, attribute};
use forebay_tests::{Gateway, fluent, lumber};
use prost::Message as _;
use serde_json::{Map, Value};
use std::io::Write as _;
use std::net::TcpStream;

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

pub fn otlp_json(gateway: &Gateway, event: &Value) {
    let address = format!("http://127.0.0.1:{}/v1/logs", gateway.ports.otlp_http);
    let answer = post(&address, "application/json", json_of(event).to_string().as_bytes());
    assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap(), serde_json::json!({}));
}

pub fn tcp(gateway: &Gateway, event: &Value) {
    write(gateway.ports.tcp, &format!("{event}\n"));
}

pub fn syslog(gateway: &Gateway, event: &Value) {
    let message = event["message"].as_str().unwrap();
    let data = r#"[event@32473 component="security" severity="critical"]"#;
    let message = format!("<131>1 2026-11-21T08:26:04.58Z web-1 syslog 42 login {data} {message}");
    write(gateway.ports.syslog, &format!("{} {message}", message.len()));
}

pub fn loki(gateway: &Gateway, event: &Value) {
    let metadata = serde_json::json!({"severity": "critical", "attempt": event["attempt"].to_string()});
    let push = serde_json::json!({"streams": [{
        "stream": {"component": event["component"], "input": event["input"]},
        "values": [[TIME.to_string(), event["message"], metadata]],
    }]});
    let address = format!("http://127.0.0.1:{}/loki/api/v1/push", gateway.ports.loki);
    assert_eq!(post(&address, "application/json", push.to_string().as_bytes()), b"");
}

pub fn otlp_traces(gateway: &Gateway, event: &Value) {
    use forebay_proto::trace::span::{Event, Link};
    use forebay_proto::trace::{ResourceSpans, ScopeSpans, Span, Status};
    let span = Span {
        trace_id: (1..=16).collect(),
        span_id: (1..=8).collect(),
        name: "login".to_owned(),
        kind: 2,
        start_time_unix_nano: TIME,
        end_time_unix_nano: TIME + 1_200,
        attributes: some(event, &["component", "input", "api.duration"]),
        events: vec![Event {
            time_unix_nano: TIME,
            name: "refused".to_owned(),
            attributes: vec![attribute("attempt", Any::IntValue(2))],
            ..Event::default()
        }],
        links: vec![Link {
            trace_id: (1..=16).collect(),
            span_id: (1..=8).rev().collect(),
            ..Link::default()
        }],
        status: Some(Status { code: 2, message: "token refused".to_owned() }),
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let request = forebay_proto::trace_collector::ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource: resource(), scope_spans, ..ResourceSpans::default() }],
    };
    let address = format!("http://127.0.0.1:{}/v1/traces", gateway.ports.otlp_http);
    assert_eq!(post(&address, "application/x-protobuf", &request.encode_to_vec()), b"");
}

pub fn otlp_metrics(gateway: &Gateway, event: &Value) {
    use forebay_proto::metrics::metric::Data;
    use forebay_proto::metrics::number_data_point::Value as Number;
    use forebay_proto::metrics::{Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum};
    let point = NumberDataPoint {
        time_unix_nano: TIME,
        attributes: some(event, &["component", "input"]),
        value: Some(Number::AsInt(event["attempt"].as_i64().unwrap())),
        ..NumberDataPoint::default()
    };
    let sum = Sum { data_points: vec![point], aggregation_temporality: 2, is_monotonic: true };
    let metric = Metric {
        name: "logins".to_owned(),
        unit: "1".to_owned(),
        data: Some(Data::Sum(sum)),
        ..Metric::default()
    };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }];
    let all = ResourceMetrics { resource: resource(), scope_metrics, ..ResourceMetrics::default() };
    let request =
        forebay_proto::metrics_collector::ExportMetricsServiceRequest { resource_metrics: vec![all] };
    let address = format!("http://127.0.0.1:{}/v1/metrics", gateway.ports.otlp_http);
    assert_eq!(post(&address, "application/x-protobuf", &request.encode_to_vec()), b"");
}

pub fn remote_write(gateway: &Gateway, event: &Value) {
    use forebay_proto::prometheus::one::{Label, Sample, TimeSeries, WriteRequest};
    let label = |name: &str, value: &str| Label { name: name.to_owned(), value: value.to_owned() };
    let text = |name: &str| event[name].as_str().unwrap().to_owned();
    let series = TimeSeries {
        labels: vec![
            label("__name__", "logins_total"),
            label("component", &text("component")),
            label("input", &text("input")),
        ],
        samples: vec![Sample { value: 1200.5, timestamp: (TIME / 1_000_000) as i64 }],
        ..TimeSeries::default()
    };
    let request = WriteRequest { timeseries: vec![series], ..WriteRequest::default() };
    let packed = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap();
    let address = format!("http://127.0.0.1:{}/api/v1/write", gateway.ports.remote_write);
    assert_eq!(post(&address, "application/x-protobuf", &packed), b"");
}

/// To a port that answers nothing.
fn write(port: u16, text: &str) {
    TcpStream::connect(("127.0.0.1", port)).unwrap().write_all(text.as_bytes()).unwrap();
}

fn resource() -> Option<Resource> {
    let name = attribute("service.name", Any::StringValue("conversions".to_owned()));
    Some(Resource { attributes: vec![name], ..Resource::default() })
}

/// Some of the event's members, as attributes.
fn some(event: &Value, names: &[&str]) -> Vec<KeyValue> {
    names.iter().map(|name| attribute(name, any(&event[*name]))).collect()
}

fn post(address: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = ureq::post(address).header("Content-Type", content_type).send(body).unwrap();
    answer.body_mut().read_to_vec().unwrap()
}

/// What of the event OTLP has fields for goes into them, the rest is attributes.
fn request(event: &Value) -> ExportLogsServiceRequest {
    let event = event.as_object().unwrap();
    let attributes = free(event).map(|(name, value)| attribute(name, any(value))).collect();
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

/// The same request in OTLP's JSON.
fn json_of(event: &Value) -> Value {
    use serde_json::json;
    fn wrapped(value: &Value) -> Value {
        match value {
            Value::Number(number) if number.is_i64() => json!({"intValue": number.to_string()}),
            Value::Number(number) => json!({"doubleValue": number}),
            Value::Array(items) => {
                json!({"arrayValue": {"values": items.iter().map(wrapped).collect::<Vec<_>>()}})
            }
            Value::Object(members) => json!({"kvlistValue": {"values": pairs(members.iter())}}),
            Value::Bool(flag) => json!({"boolValue": flag}),
            text => json!({"stringValue": text}),
        }
    }
    fn pairs<'e>(members: impl Iterator<Item = (&'e String, &'e Value)>) -> Vec<Value> {
        members.map(|(key, value)| json!({"key": key, "value": wrapped(value)})).collect()
    }
    let members = event.as_object().unwrap();
    let record = json!({
        "timeUnixNano": TIME.to_string(),
        "severityNumber": 17,
        "severityText": event["level"],
        "body": {"stringValue": event["message"]},
        "attributes": pairs(free(members)),
    });
    let service = json!([{"key": "service.name", "value": {"stringValue": "conversions"}}]);
    json!({"resourceLogs": [{
        "resource": {"attributes": service},
        "scopeLogs": [{"scope": {"name": event["name"]}, "logRecords": [record]}],
    }]})
}

/// Members that OTLP has no fields for.
fn free(event: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    const FIELDS: [&str; 4] = ["@timestamp", "level", "name", "message"];
    event.iter().filter(|(name, _)| !FIELDS.contains(&name.as_str()))
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
