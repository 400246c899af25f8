#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use prost::Message;
use serde_json::Value as Json;

use super::model::{Attribute, Value};
use super::oracle::{expected_document, expected_index, expected_line};
use super::*;

/// 2026-11-21T08:26:04.58Z.
const START: u64 = 1_795_249_564_580_000_000;

fn corpus(seed: u64) -> Corpus {
    Corpus::new(seed, START)
}

fn assert_value(seen: &Option<AnyValue>, expected: &Value) {
    match (seen.as_ref().unwrap().value.as_ref().unwrap(), expected) {
        (any_value::Value::StringValue(text), Value::Str(own)) => assert_eq!(text, own),
        (any_value::Value::IntValue(number), Value::Int(own)) => assert_eq!(number, own),
        (any_value::Value::DoubleValue(number), Value::Double(own)) => {
            assert_eq!(number.to_bits(), own.to_bits());
        }
        (any_value::Value::BoolValue(flag), Value::Bool(own)) => assert_eq!(flag, own),
        (any_value::Value::ArrayValue(array), Value::Array(own)) => {
            assert_eq!(array.values.len(), own.len());
            for (item, own_item) in array.values.iter().zip(own) {
                assert_value(&Some(item.clone()), own_item);
            }
        }
        (any_value::Value::KvlistValue(list), Value::Map(own)) => assert_attributes(&list.values, own),
        (other, own) => panic!("{other:?} is not {own:?}"),
    }
}

fn assert_attributes(seen: &[KeyValue], expected: &[Attribute]) {
    assert_eq!(seen.len(), expected.len());
    for (pair, own) in seen.iter().zip(expected) {
        assert_eq!(pair.key, own.key);
        assert_value(&pair.value, &own.value);
    }
}

#[test]
fn otlp_bytes_decode_to_the_model() {
    let corpus = corpus(11);
    for number in 0..40 {
        let request = corpus.request(number, 97);
        let decoded = ExportLogsServiceRequest::decode(corpus.otlp_body(number, 97)).unwrap();
        // Shortest varints, no stray byte: what prost writes has the same length.
        assert_eq!(decoded.encoded_len(), corpus.otlp_body(number, 97).len());
        let resource_logs = &decoded.resource_logs[0];
        assert_attributes(&resource_logs.resource.as_ref().unwrap().attributes, &request.resource.attributes);
        let scope_logs = &resource_logs.scope_logs[0];
        let scope = scope_logs.scope.as_ref().unwrap();
        assert_eq!((scope.name.as_str(), &scope.version), (request.scope.name, &request.scope.version));
        assert_attributes(&scope.attributes, &request.scope.attributes);
        assert_eq!(scope_logs.log_records.len(), 97);
        for (seen, own) in scope_logs.log_records.iter().zip(&request.records) {
            assert_eq!(seen.time_unix_nano, own.time_unix_nano);
            assert_eq!(seen.observed_time_unix_nano, own.observed_time_unix_nano);
            assert_eq!(seen.severity_number, own.severity_number);
            assert_eq!(seen.severity_text, own.severity_text);
            assert_value(&seen.body, &own.body);
            assert_attributes(&seen.attributes, &own.attributes);
            assert_eq!((&seen.trace_id, &seen.span_id), (&own.trace_id, &own.span_id));
            assert_eq!(seen.flags, own.flags);
        }
    }
}

#[test]
fn sizes_are_the_stated_ones() {
    let corpus = corpus(3);
    let mean = |bodies: &dyn Fn(u64) -> usize| (0..40).map(bodies).sum::<usize>() as f64 / 40.0 / 500.0;
    let within = |size: f64, stated: f64| assert!((size / stated - 1.0).abs() < 0.05, "{size} not {stated}");
    within(mean(&|number| corpus.otlp_body(number, 500).len()), 335.0);
    within(mean(&|number| corpus.ndjson_body(number, 500, Keys::Ten).len()), 344.0);
    within(mean(&|number| corpus.ndjson_body(number, 500, Keys::Eighteen).len()), 571.0);
}

#[test]
fn lines_parse_to_the_expected_document_but_for_python_names() {
    let corpus = corpus(5);
    for (keys, count) in [(Keys::Ten, 10), (Keys::Eighteen, 18)] {
        let request = corpus.request(2, 400);
        let body = corpus.ndjson_body(2, 400, keys);
        let lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
        assert_eq!((lines.len(), lines[400].len()), (401, 0));
        for (line, record) in lines.iter().zip(&request.records) {
            let mut parsed: Json = serde_json::from_slice(line).unwrap();
            assert_eq!(parsed.as_object().unwrap().len(), count);
            if record.python_names {
                let members = parsed.as_object_mut().unwrap();
                assert!(members["asctime"].as_str().unwrap().contains(','));
                members.insert("level".into(), members["levelname"].clone());
                let stamp = members["asctime"].as_str().unwrap().replace(' ', "T").replace(',', ".");
                members.insert("@timestamp".into(), Json::String(format!("{stamp}000000Z")));
            }
            let expected = expected_line(record, request.resource, request.scope, keys);
            // Through text on both sides: serde_json may read the 17th digit of a double differently.
            let expected: Json = serde_json::from_str(&expected.to_string()).unwrap();
            assert_eq!(parsed, expected);
        }
    }
}

#[test]
fn nothing_repeats_between_requests_and_seeds_differ() {
    let corpus = corpus(1);
    let mut sequences = HashSet::new();
    let mut traces = HashSet::new();
    let mut texts = HashSet::new();
    let mut traced = 0;
    let mut latest = 0;
    for number in 0..20 {
        for record in corpus.request(number, 100).records {
            assert!(sequences.insert(record.sequence));
            traced += usize::from(!record.trace_id.is_empty());
            traces.insert(record.trace_id.clone());
            texts.insert(format!("{:?}", record.body));
            let time = oracle::event_time(&record);
            // A record without its own time has that of its observation, up to 3 ms later.
            assert!(time + 4_000_000 > latest, "event times rise");
            latest = latest.max(time);
        }
    }
    assert_eq!(texts.len(), 2000);
    assert_eq!(traces.len(), traced + 1, "every trace id once, and the empty one");
    assert_eq!(corpus.otlp_body(7, 10), Corpus::new(1, START).otlp_body(7, 10));
    assert_ne!(corpus.otlp_body(7, 10), Corpus::new(2, START).otlp_body(7, 10));
}

#[test]
fn the_fleet_has_its_resources_and_every_index() {
    let corpus = corpus(9);
    let mut resources = HashSet::new();
    let mut indices = HashSet::new();
    for number in 0..RESOURCES as u64 {
        let request = corpus.request(number, 1);
        assert_eq!(request.resource.attributes.len(), 8);
        assert_eq!(request.records[0].attributes.len(), 6);
        resources.insert(format!("{:?}", request.resource));
        indices.insert(expected_index(&request.records[0], request.resource));
    }
    assert!(resources.len() >= 200, "{} resources", resources.len());
    let mut indices: Vec<String> = indices.into_iter().collect();
    indices.sort();
    let stem = |family: &str| format!("project-ai-{family}-2026.11.21");
    assert_eq!(indices, [stem("ethics"), stem("logs"), stem("persona"), stem("security")]);
}

#[test]
fn the_corpus_is_as_varied_as_it_claims() {
    let corpus = corpus(4);
    let records = corpus.request(0, 4000).records;
    let count = |test: &dyn Fn(&Record) -> bool| records.iter().filter(|record| test(record)).count();
    let text = |record: &Record| match &record.body {
        Value::Str(text) => text.clone(),
        other => format!("{other:?}"),
    };
    assert!(count(&|record| !text(record).is_ascii()) > 80);
    assert!(count(&|record| text(record).contains(['"', '\\', '\n', '\t'])) > 80);
    assert!(count(&|record| matches!(record.body, Value::Map(_))) > 20);
    assert!(count(&|record| record.time_unix_nano == 0) > 20);
    assert!(count(&|record| record.severity_text.is_empty()) > 80);
    assert!(count(&|record| record.trace_id.is_empty()) > 200);
    assert!(count(&|record| record.attributes.iter().any(|own| own.key == "name")) > 40);
    let body = corpus.otlp_body(0, 4000);
    let ratio = zstd_ratio([&body[..]]).unwrap();
    assert!((1.5..6.0).contains(&ratio), "zstd ratio {ratio}");
}

#[test]
fn the_oracle_follows_the_page() {
    let record = Record {
        sequence: 42,
        time_unix_nano: START,
        observed_time_unix_nano: 0,
        severity_number: 10,
        severity_text: "",
        body: Value::Str("hello".into()),
        attributes: vec![
            Attribute::new(SEQUENCE_KEY, Value::Int(42)),
            Attribute::text("name", "worker"),
            Attribute::text("service.name", "own"),
        ],
        trace_id: vec![0xab; 16],
        span_id: Vec::new(),
        flags: 1,
        python_names: false,
    };
    let resource = Resource {
        component: "api",
        attributes: vec![
            Attribute::text("service.name", "theirs"),
            Attribute::text("component", "api"),
            Attribute::text("schema_url", "x"),
        ],
    };
    let scope =
        Scope { name: "log", version: "2.0".into(), attributes: vec![Attribute::text("version", "odd")] };
    let expected = serde_json::json!({
        "@timestamp": "2026-11-21T08:26:04.580000000Z", "level": "INFO2", "severity_number": 10,
        "message": "hello", "name": "log", "trace_id": "abababababababababababababababab", "trace_flags": 1,
        "bench.seq": 42, "attributes.name": "worker", "service.name": "own", "component": "api",
        "resource.service.name": "theirs", "resource.component": "api", "resource.attributes.schema_url": "x",
        "scope.attributes.version": "odd", "scope.name": "log", "scope.version": "2.0",
    });
    assert_eq!(expected_document(&record, &resource, &scope), expected);
    assert_eq!(expected_index(&record, &resource), "project-ai-logs-2026.11.21");
}
