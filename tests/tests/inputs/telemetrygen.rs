//! The OpenTelemetry Collector's own load generator: an OTLP exporter in Go.

use forebay_tests::elasticsearch::Options;
use forebay_tests::{Elasticsearch, Gateway, config, telemetrygen};
use std::time::Duration;

/// From one worker. Its records differ in nothing but their time, and now and then two workers make one in the same
/// nanosecond: equal in every byte, such a pair is one record to content ids.
const ALL: usize = 6_000;

#[test]
fn telemetrygen_over_grpc() {
    let node = Elasticsearch::start(Options::default()).unwrap();
    let gateway = Gateway::start(&config::into_elasticsearch(&node, "")).unwrap();
    let endpoint = format!("127.0.0.1:{}", gateway.ports.otlp_grpc);
    let logs = ALL.to_string();
    let mut args = vec!["logs", "--otlp-insecure", "--otlp-endpoint", &endpoint, "--rate", "0"];
    args.extend(["--workers", "1", "--logs", &logs, "--severity-text", "ERROR", "--severity-number", "17"]);
    args.extend(["--otlp-attributes", "host.name=\"web-1\"", "--otlp-attributes", "replicas=3"]);
    args.extend(["--telemetry-attributes", "http.response.status_code=503"]);
    args.extend(["--telemetry-attributes", "severity=\"critical\"", "--body", "overloaded"]);
    telemetrygen::run(&args).unwrap();

    let ledger = gateway.balanced_ledger(Duration::from_secs(10)).unwrap();
    let all = ALL as f64;
    assert_eq!((ledger.received, ledger.delivered, ledger.dead_lettered), (all, all, 0.0), "{ledger:?}");
    node.refresh().unwrap();
    assert_eq!(node.count("project-ai-*", "*").unwrap(), ALL as u64);
    // No component: every one is in the index of all other logs.
    let found = node.documents("project-ai-logs-*", "*", ALL).unwrap();
    assert_eq!(found.len(), ALL);
    for hit in &found {
        let source = &hit.source;
        assert_eq!(source["message"], "overloaded", "{hit:?}");
        assert_eq!((&source["level"], &source["severity_number"]), (&"ERROR".into(), &17.into()), "{hit:?}");
        assert_eq!(source["http.response.status_code"], 503, "{hit:?}");
        assert_eq!(source["severity"], "critical", "{hit:?}");
        assert_eq!(source["resource.host.name"], "web-1", "{hit:?}");
        assert_eq!(source["resource.replicas"], 3, "{hit:?}");
        // Promoted: a resource attribute that is also at top level.
        assert_eq!(source["service.name"], "telemetrygen", "{hit:?}");
        assert_eq!(source["resource.service.name"], "telemetrygen", "{hit:?}");
    }
    for query in [
        "resource.replicas:3",
        "http.response.status_code:[500 TO 599]",
        "level:ERROR AND @timestamp:[now-1h TO now]",
    ] {
        assert_eq!(node.count("project-ai-*", query).unwrap(), ALL as u64, "{query}");
    }
    assert_eq!(node.count("project-ai-*", "component:*").unwrap(), 0);
}
