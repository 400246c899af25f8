//! OTLP's JSON: what opentelemetry-proto's types write and read, and the rules where they do not know them.

use forebay_pipeline::Signal;
use forebay_pipeline::budget::Budget;
use forebay_pipeline::wire::otlp::{Untranslated, from_json};
use forebay_proto::collector::ExportLogsServiceRequest as Logs;
use forebay_proto::common::any_value::Value as Any;
use forebay_proto::metrics_collector::ExportMetricsServiceRequest as Metrics;
use forebay_proto::trace_collector::ExportTraceServiceRequest as Traces;
use proptest::prelude::*;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

const MIB: usize = 1 << 20;

/// The request that a body in JSON is.
fn read<R: Message + Default>(signal: Signal, json: &str) -> Result<R, String> {
    let budget = Budget::new(64 * MIB);
    let mut lease = budget.lease(json.len()).unwrap();
    let protobuf = from_json(signal, json.as_bytes(), &mut lease).map_err(|error| error.to_string())?;
    assert!(lease.bytes() >= json.len() + protobuf.capacity(), "all of it is leased");
    Ok(R::decode(&*protobuf).unwrap())
}

fn compare<R>(signal: Signal, request: &R) -> Result<(), TestCaseError>
where
    R: Message + Default + Serialize + DeserializeOwned + PartialEq + Debug,
{
    let json = serde_json::to_string(request).unwrap();
    // For what is not finite it writes null, over which it drops the whole metric; `stringValueStrindex` it does not know.
    let said = format!("{request:?} {json}");
    if ["NaN", "inf", "stringValueStrindex"].iter().any(|odd| said.contains(odd)) {
        return Ok(());
    }
    if let Ok(theirs) = serde_json::from_str::<R>(&json) {
        let ours = read::<R>(signal, &json);
        // Of their doubles some are rounded to a neighbour of what was written.
        if ours.as_ref() == Ok(request) {
            return Ok(());
        }
        // By their text: what is not a number equals nothing.
        prop_assert_eq!(format!("{:?}", ours), format!("{:?}", Ok::<_, String>(theirs)), "{}", json);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn json_is_read_as_by_another_reader(
        logs in crate::arbitrary::request(),
        traces in super::arbitrary::traces(),
        metrics in super::arbitrary::metrics(),
    ) {
        compare(Signal::Logs, &logs)?;
        compare(Signal::Traces, &traces)?;
        compare(Signal::Metrics, &metrics)?;
    }

    #[test]
    fn no_text_is_too_much(json in "[\\[\\]{}\":,0-9a-z\\\\]{0,40}|(?s:.{0,20})") {
        for signal in Signal::ALL {
            let mut lease = Budget::new(MIB).lease(json.len()).unwrap();
            let _ = from_json(signal, json.as_bytes(), &mut lease);
        }
    }
}

/// The first log record of a request with one, whose members are these.
fn record(members: &str) -> Result<forebay_proto::logs::LogRecord, String> {
    let json = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{{members}}}]}}]}}]}}"#);
    let logs: Logs = read(Signal::Logs, &json)?;
    Ok(logs.resource_logs[0].scope_logs[0].log_records[0].clone())
}

#[test]
fn ids_are_hexadecimal_of_either_case_and_bytes_base64_of_either_alphabet() {
    let read = record(r#""traceId":"5B8EfF","spanId":"","body":{"bytesValue":"//4="}"#).unwrap();
    assert_eq!((&read.trace_id[..], &read.span_id[..]), (&[0x5b, 0x8e, 0xff][..], &[][..]));
    assert_eq!(read.body.unwrap().value, Some(Any::BytesValue(vec![0xff, 0xfe])));
    let read = record(r#""body":{"bytesValue":"__4"}"#).unwrap();
    assert_eq!(read.body.unwrap().value, Some(Any::BytesValue(vec![0xff, 0xfe])));
    for bad in
        [r#""traceId":"5b8"#, r#""traceId":"5b8""#, r#""traceId":"zz""#, r#""body":{"bytesValue":"*"}"#]
    {
        assert!(record(bad).is_err(), "{bad}");
    }
}

#[test]
fn numbers_may_be_texts_and_enumerations_must_be_numbers() {
    for members in [
        r#""timeUnixNano":"18446744073709551615","severityNumber":9,"flags":1"#,
        r#""timeUnixNano":18446744073709551615,"severityNumber":"9","flags":1.0"#,
    ] {
        let read = record(members).unwrap();
        assert_eq!((read.time_unix_nano, read.severity_number, read.flags), (u64::MAX, 9, 1));
    }
    for bad in [
        r#""severityNumber":"SEVERITY_NUMBER_INFO""#,
        r#""severityNumber":9.5"#,
        r#""body":{"doubleValue":"1e999"}"#,
        r#""body":{"doubleValue":true}"#,
        r#""body":{"doubleValue":[1]}"#,
        r#""severityNumber":2147483648"#,
        r#""timeUnixNano":-1"#,
        r#""timeUnixNano":"1x""#,
        r#""timeUnixNano":true"#,
        r#""flags":[1]"#,
    ] {
        assert!(record(bad).is_err(), "{bad}");
    }
    let value =
        |text: &str| record(&format!(r#""body":{{"doubleValue":{text}}}"#)).unwrap().body.unwrap().value;
    assert_eq!(value("1"), Some(Any::DoubleValue(1.0)));
    assert_eq!(value(r#""-Infinity""#), Some(Any::DoubleValue(f64::NEG_INFINITY)));
    assert!(matches!(value(r#""NaN""#), Some(Any::DoubleValue(number)) if number.is_nan()));
    // A reader in a hurry makes neighbours of these.
    for exact in
        [51.248178375505404, -93.31137037688033, -36.573994842753436, 52.314008204106244, 97.45365320034685]
    {
        assert_eq!(value(&exact.to_string()), Some(Any::DoubleValue(exact)));
    }
    let read = record(r#""body":{"intValue":"-9223372036854775808"}"#).unwrap();
    assert_eq!(read.body.unwrap().value, Some(Any::IntValue(i64::MIN)));
}

#[test]
fn names_are_camel_case_unknown_ones_are_skipped_and_null_is_absent() {
    let members = r#""severity_text":"no","severityText":"yes","later":{"a":[1,{"b":null}]},"eventName":null,
        "body":{"stringValue":null,"laterValue":{"x":1}},"attributes":null"#;
    let read = record(members).unwrap();
    assert_eq!((read.severity_text.as_str(), read.event_name.as_str()), ("yes", ""));
    assert_eq!(read.body.unwrap().value, None);
    assert_eq!(self::read::<Logs>(Signal::Logs, "{}").unwrap(), Logs::default());
    let traces = self::read::<Traces>(Signal::Traces, r#"{"resourceLogs":[{}]}"#).unwrap();
    assert_eq!(traces, Traces::default(), "what belongs to another signal is unknown");
}

#[test]
fn what_is_no_such_request_is_refused() {
    for bad in [
        "",
        "null",
        "[]",
        "{",
        "{} {}",
        r#"{"resourceLogs":{}}"#,
        r#"{"resourceLogs":[null]}"#,
        r#"{"resourceLogs":[[]]}"#,
        r#"{"resourceLogs":"x"}"#,
        r#"{"resourceLogs":[],"resourceLogs":7}"#,
    ] {
        assert!(read::<Logs>(Signal::Logs, bad).is_err(), "{bad}");
    }
    assert!(record(r#""body":{"stringValue":"a","intValue":1}"#).is_err(), "which of the two?");
    assert!(record(r#""severityText":"a","severityText":"b""#).is_err());
    let deep = format!(r#""body":{}{}"#, r#"{"arrayValue":{"values":["#.repeat(100), "]}}".repeat(100));
    assert!(record(&deep).is_err());
}

#[test]
fn lists_of_numbers_are_packed_and_leased_as_they_grow() {
    let counts = vec!["1"; 100_000].join(",");
    let point = format!(r#"{{"bucketCounts":[{counts}],"explicitBounds":[]}}"#);
    let json = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"histogram":{{"dataPoints":[{point}]}}}}]}}]}}]}}"#
    );
    let metrics: Metrics = read(Signal::Metrics, &json).unwrap();
    let scope = &metrics.resource_metrics[0].scope_metrics[0];
    let Some(forebay_proto::metrics::metric::Data::Histogram(histogram)) = &scope.metrics[0].data else {
        panic!("{scope:?}")
    };
    assert_eq!(histogram.data_points[0].bucket_counts, vec![1; 100_000]);
    // Eight bytes for each two of the body: no room for these.
    let budget = Budget::new(json.len() + 600_000);
    let mut lease = budget.lease(json.len()).unwrap();
    let refused = from_json(Signal::Metrics, json.as_bytes(), &mut lease);
    assert!(matches!(refused, Err(Untranslated::Exhausted(_))), "{refused:?}");
    assert!(lease.bytes() <= budget.limit());
}
