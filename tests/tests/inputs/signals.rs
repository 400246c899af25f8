//! Traces and metrics: through the OpenTelemetry SDK for Python over both doors, and from the Collector's load generator in Go, to the
//! documents that Elasticsearch has of them.

use forebay_tests::elasticsearch::Options;
use forebay_tests::python::{self, Python};
use forebay_tests::{Elasticsearch, Gateway, config, telemetrygen};
use serde_json::{Value, json};
use std::time::Duration;

const SETTLED_WITHIN: Duration = Duration::from_secs(10);
const TRACES: &str = "project-ai-traces-*";
const METRICS: &str = "project-ai-metrics-*";

#[test]
fn traces_and_metrics_of_the_sdk_over_grpc() {
    run("grpc", |gateway| gateway.ports.otlp_grpc);
}

#[test]
fn traces_and_metrics_of_the_sdk_over_http() {
    run("http", |gateway| gateway.ports.otlp_http);
}

fn run(protocol: &str, port: impl Fn(&Gateway) -> u16) {
    let node = Elasticsearch::start(Options::default()).unwrap();
    let gateway = Gateway::start(&config::into_elasticsearch(&node, "")).unwrap();
    let endpoint = format!("http://127.0.0.1:{}", port(&gateway));
    let python = Python::install().unwrap();
    let output = python.run("otlp_signals.py", &["--protocol", protocol, "--endpoint", &endpoint]).unwrap();
    let summary = python::summary(&output).unwrap();
    let ledger = gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
    assert_eq!((ledger.received, ledger.delivered, ledger.dead_lettered), (8.0, 8.0, 0.0), "{ledger:?}");
    node.refresh().unwrap();
    spans_are_whole(&node, &summary["trace_id"]);
    points_are_whole(&node);
}

/// The only document that this search finds.
fn only(node: &Elasticsearch, index: &str, query: &str) -> Value {
    let mut found = node.documents(index, query, 10).unwrap();
    assert_eq!(found.len(), 1, "{query}: {found:?}");
    found.remove(0).source
}

fn spans_are_whole(node: &Elasticsearch, trace_id: &Value) {
    let checkout = only(node, TRACES, "name:checkout AND kind:server AND status.code:unset");
    let pay = only(node, TRACES, "kind:client AND status.code:error AND status.message:\"no money\"");
    let earlier = only(node, TRACES, "name:earlier AND kind:internal");
    assert_eq!((&pay["trace_id"], &checkout["trace_id"]), (trace_id, trace_id));
    assert_eq!(pay["parent_span_id"], checkout["span_id"]);
    assert_eq!(checkout.get("parent_span_id"), None);
    assert!(
        pay["duration"].as_u64().unwrap() > 0 && pay["end_timestamp"].as_str() > pay["@timestamp"].as_str()
    );
    let event = &pay["events"][0];
    assert_eq!(
        (&event["name"], &event["attributes"]),
        (&json!("declined"), &json!({"card": "visa", "tries": 3}))
    );
    assert!(event["@timestamp"].is_string());
    let link = &checkout["links"][0];
    assert_eq!((&link["span_id"], &link["attributes"]), (&earlier["span_id"], &json!({"why": "retry"})));
    assert_eq!((&checkout["http.method"], &checkout["attributes.name"]), (&json!("POST"), &json!("mine")));
    for span in [&checkout, &pay, &earlier] {
        assert_eq!((&span["service.name"], &span["component"]), (&json!("shop"), &json!("till")));
        assert_eq!((&span["scope.name"], &span["scope.version"]), (&json!("shop.checkout"), &json!("1.2")));
        assert_eq!(span["resource.telemetry.sdk.language"], "python");
    }
    for query in ["events.name:declined", "links.attributes.why:retry", "duration:>0 AND name:pay"] {
        assert_eq!(node.count(TRACES, query).unwrap(), 1, "{query}");
    }
}

fn points_are_whole(node: &Elasticsearch) {
    let gauge = only(node, METRICS, "metric.name:queue.length AND value:7 AND queue:mail");
    assert_eq!((&gauge["metric.type"], &gauge["metric.unit"]), (&json!("gauge"), &json!("1")));
    assert_eq!(
        (&gauge["metric.description"], &gauge["service.name"]),
        (&json!("what waits"), &json!("shop"))
    );
    assert_eq!(gauge["scope.name"], "shop.numbers");
    let counter = only(node, METRICS, "metric.name:orders AND metric.monotonic:true AND shop:north");
    assert_eq!((&counter["metric.temporality"], &counter["value"]), (&json!("cumulative"), &json!(3)));
    assert!(counter["start_timestamp"].as_str() <= counter["@timestamp"].as_str());
    let balance = only(node, METRICS, "metric.name:balance AND metric.monotonic:false AND value:[-3 TO -2]");
    assert_eq!((&balance["metric.type"], &balance["value"]), (&json!("sum"), &json!(-2.5)));
    let latency = only(node, METRICS, "metric.type:histogram AND route:\"/pay\" AND sum:321");
    assert_eq!(
        (&latency["count"], &latency["min"], &latency["max"]),
        (&json!(3), &json!(1.0), &json!(300.0))
    );
    let counts: u64 =
        latency["bucket_counts"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(counts, 3);
    assert_eq!(
        latency["bucket_counts"].as_array().unwrap().len(),
        latency["explicit_bounds"].as_array().unwrap().len() + 1
    );
    assert!(latency["exemplars"][0]["value"].is_number(), "{latency}");
    let size = only(node, METRICS, "metric.type:exponential_histogram AND metric.name:size");
    assert_eq!(
        (&size["count"], &size["zero_count"], &size["metric.unit"]),
        (&json!(3), &json!(0), &json!("By"))
    );
    assert!(size["scale"].is_number() && size["positive.offset"].is_number(), "{size}");
    assert!(size["positive.bucket_counts"].as_array().unwrap().len() > 1, "{size}");
}

#[test]
fn telemetrygen_sends_traces_and_every_type_of_metric() {
    const TRACES_SENT: u64 = 500;
    const POINTS: u64 = 300;
    const TYPES: [(&str, &str); 4] = [
        ("Gauge", "gauge"),
        ("Sum", "sum"),
        ("Histogram", "histogram"),
        ("ExponentialHistogram", "exponential_histogram"),
    ];
    let node = Elasticsearch::start(Options::default()).unwrap();
    let gateway = Gateway::start(&config::into_elasticsearch(&node, "")).unwrap();
    let [grpc, http] =
        [gateway.ports.otlp_grpc, gateway.ports.otlp_http].map(|port| format!("127.0.0.1:{port}"));
    let number = TRACES_SENT.to_string();
    let common = ["--otlp-insecure", "--rate", "0", "--workers", "1"];
    let traces = ["traces", "--otlp-endpoint", &grpc, "--traces", &number, "--status-code", "Error"];
    telemetrygen::run(&[&traces[..], &common].concat()).unwrap();
    let number = POINTS.to_string();
    for (kind, _) in TYPES {
        let metrics = ["metrics", "--otlp-endpoint", &http, "--otlp-http", "--metrics", &number];
        let kind = ["--metric-type", kind, "--otlp-metric-name", "made.up"];
        telemetrygen::run(&[&metrics[..], &kind, &common].concat()).unwrap();
    }
    let ledger = gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
    assert_eq!((ledger.received, ledger.dead_lettered), (ledger.delivered, 0.0), "{ledger:?}");
    node.refresh().unwrap();
    // Each trace is a span of the client's and one of the server's.
    assert_eq!(
        node.count(TRACES, "status.code:error AND service.name:telemetrygen").unwrap(),
        2 * TRACES_SENT
    );
    assert_eq!(node.count(TRACES, "_exists_:parent_span_id").unwrap(), TRACES_SENT);
    for (_, kind) in TYPES {
        let query = format!("metric.type:{kind} AND metric.name:made.up");
        assert_eq!(node.count(METRICS, &query).unwrap(), POINTS, "{query}");
    }
    assert_eq!(node.count("project-ai-*", "*").unwrap(), ledger.delivered as u64);
}
