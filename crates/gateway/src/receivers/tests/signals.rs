//! Traces and metrics over both doors of OTLP, and what is told where no route takes them.

use super::grpc::EXPORT;
use super::raw::{call, frame, once};
use super::*;
use forebay_proto::metrics::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric};
use forebay_proto::metrics_collector::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use forebay_proto::trace::{ResourceSpans, ScopeSpans, Span};
use forebay_proto::trace_collector::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tonic::Code;

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const GRPC: (&str, &str) = ("content-type", "application/grpc");
const PROTOBUF: &str = "content-type: application/x-protobuf\r\n";

fn zstd(plain: &[u8]) -> Vec<u8> {
    ::zstd::stream::encode_all(plain, 1).unwrap()
}

fn traces(spans: usize) -> Vec<u8> {
    let span = Span { name: "work".to_owned(), start_time_unix_nano: 7, ..Span::default() };
    let scope_spans = vec![ScopeSpans { spans: vec![span; spans], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// So many metrics of two points each.
fn metrics(metrics: usize) -> Vec<u8> {
    let point = NumberDataPoint { time_unix_nano: 7, ..NumberDataPoint::default() };
    let data = Some(metric::Data::Gauge(Gauge { data_points: vec![point; 2] }));
    let metric = Metric { name: "level".to_owned(), data, ..Metric::default() };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric; metrics], ..ScopeMetrics::default() }];
    let resource_metrics = vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

fn routes(signals: &str, on_refused: &str) -> String {
    format!(
        r#"[{{"name":"all","signals":[{signals}],"to":["sink"],"index":"all","on_refused":"{on_refused}"}}]"#
    )
}

async fn house_of(mood: Mood, signals: &str, on_refused: &str) -> House {
    house_routed(mood, 64 * MIB, &routes(signals, on_refused), |_| ()).await
}

#[tokio::test]
async fn spans_and_data_points_are_records() {
    let house = house_of(Mood::Delivers, r#""traces","metrics""#, "dead_letter").await;
    for (path, body) in [(TRACES, traces(3)), (METRICS, metrics(5))] {
        let called = call(house.grpc(), path, &[GRPC], frame(0, &body)).await;
        assert_eq!(called.status.unwrap().code(), Code::Ok);
        assert_eq!(&called.message[..], [0; 5], "full success is an empty message");
    }
    assert_eq!(house.door("otlp_grpc").admitted(), 3 + 10);
    for (request, body) in [("POST /v1/traces", traces(3)), ("POST /v1/metrics", metrics(5))] {
        let answer = once(house.http(), request, PROTOBUF, &body).await;
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        assert_eq!(once(house.http(), request, PROTOBUF, b"\xff").await.status, 400);
    }
    assert_eq!(house.door("otlp_http").admitted(), 3 + 10);
    assert_eq!(house.settled(Outcome::Delivered), 26);
}

#[tokio::test]
async fn zstd_is_understood_on_both_doors() {
    let house = house_of(Mood::Delivers, r#""logs","traces","metrics""#, "dead_letter").await;
    let coding = ("grpc-encoding", "zstd");
    for (path, body) in [(EXPORT, logs(2).encode_to_vec()), (TRACES, traces(3)), (METRICS, metrics(5))] {
        let called = call(house.grpc(), path, &[GRPC, coding], frame(1, &zstd(&body))).await;
        assert_eq!(called.status.unwrap().code(), Code::Ok, "{path}");
    }
    let headers = format!("{PROTOBUF}content-encoding: zstd\r\n");
    assert_eq!(once(house.http(), "POST /v1/traces", &headers, &zstd(&traces(3))).await.status, 200);
    assert_eq!(once(house.http(), "POST /v1/traces", &headers, &traces(3)).await.status, 400);
    assert_eq!(house.settled(Outcome::Delivered), 2 + 3 + 10 + 3);
    let bomb = zstd(&vec![0; 65 * MIB]);
    assert_eq!(once(house.http(), "POST /v1/traces", &headers, &bomb).await.status, 413);
    eventually("the budget is free again", || house.intake.budget().used() == 0).await;
}

#[tokio::test]
async fn what_no_route_takes_is_not_here_and_says_which_setting_is_missing() {
    let house = house_of(Mood::Delivers, r#""metrics""#, "dead_letter").await;
    let called = call(house.grpc(), TRACES, &[GRPC], frame(0, &traces(1))).await;
    let status = called.status.unwrap();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("signals: [traces]"), "{status}");
    let called = call(house.grpc(), EXPORT, &[GRPC], frame(0, &logs(1).encode_to_vec())).await;
    assert_eq!(called.status.unwrap().code(), Code::Unimplemented);
    let answer = once(house.http(), "POST /v1/logs", PROTOBUF, &logs(1).encode_to_vec()).await;
    assert_eq!(answer.status, 404);
    assert!(answer.status_message().message.contains("signals: [logs]"));
    assert_eq!(once(house.http(), "POST /v1/metrics", PROTOBUF, &metrics(1)).await.status, 200);
}

#[tokio::test]
async fn what_a_sink_refuses_is_told_as_partial_success() {
    let house = house_of(Mood::Refuses, r#""traces","metrics""#, "reject").await;
    let called = call(house.grpc(), TRACES, &[GRPC], frame(0, &traces(3))).await;
    let partial = ExportTraceServiceResponse::decode(&called.message[5..]).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 3);
    let answer = once(house.http(), "POST /v1/metrics", PROTOBUF, &metrics(2)).await;
    let partial = ExportMetricsServiceResponse::decode(&answer.body[..]).unwrap().partial_success.unwrap();
    assert_eq!((answer.status, partial.rejected_data_points), (200, 4));
    assert!(!partial.error_message.is_empty());
}

#[tokio::test]
async fn json_is_answered_in_json() {
    const JSON: &str = "content-type: application/json; charset=utf-8\r\n";
    const SPANS: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a","kind":2},{}]}]}]}"#;
    let house = house_of(Mood::Delivers, r#""logs","traces""#, "dead_letter").await;
    let answer = once(house.http(), "POST /v1/traces", JSON, SPANS.as_bytes()).await;
    assert_eq!((answer.status, answer.json()), (200, serde_json::json!({})));
    assert!(answer.head.contains("content-type: application/json"));
    let zipped = format!("{JSON}content-encoding: gzip\r\n");
    let logs = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"7","body":{"stringValue":"x"}}]}]}]}"#;
    assert_eq!(once(house.http(), "POST /v1/logs", &zipped, &gzip(logs)).await.status, 200);
    assert_eq!(house.settled(Outcome::Delivered), 3);
    let bad = once(house.http(), "POST /v1/traces", JSON, br#"{"resourceSpans":7}"#).await;
    assert_eq!((bad.status, bad.json()["code"].as_i64()), (400, Some(3)));
    assert!(bad.json()["message"].as_str().unwrap().contains("resourceSpans"), "{}", bad.json());
    assert_eq!(house.door("otlp_http").unread(), 1);

    let house = house_of(Mood::Refuses, r#""traces""#, "reject").await;
    let answer = once(house.http(), "POST /v1/traces", JSON, SPANS.as_bytes()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["partialSuccess"]["rejectedSpans"], "2");
    eventually("the budget is free again", || house.intake.budget().used() == 0).await;
}
