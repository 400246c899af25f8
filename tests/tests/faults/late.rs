//! The gateway starts before Elasticsearch does.

use crate::client::{Answer, client};
use crate::event::Event;
use crate::load::{Load, Shape};
use crate::world::{Config, await_state, node, settled_ledger, stored_ids};
use std::time::{Duration, Instant};

#[test]
fn it_serves_asks_for_patience_and_delivers_once_elasticsearch_is_there() {
    let mut node = node();
    // A template of its own name: one that an earlier gateway installed would prove nothing.
    let sink = r#"template: {name: late, patterns: ["project-late*"], refresh_interval: 7s}"#.to_owned();
    node.stop().unwrap();
    // Returns only when /readyz says yes.
    let gateway = Config { sink, ack_timeout: "1s", ..Config::new(&node.url(), "project-late") }.start();
    for protocol in ["otlp_grpc", "otlp_http", "json"] {
        let sent = Instant::now();
        let answer = client(protocol, gateway.ports).send(&Event::batch(protocol, 10));
        assert!(matches!(answer, Answer::Again { .. }), "{protocol}: {answer:?}");
        assert!(sent.elapsed() < Duration::from_secs(5), "{protocol}: {:?}", sent.elapsed());
    }
    await_state(&gateway, "retrying");
    assert_eq!(gateway.metrics().unwrap().sum("forebay_sink_prepared", &[]), 0.0);

    let shape = Shape {
        prefix: "late",
        clients: vec!["otlp_grpc", "otlp_http"],
        batch: 50,
        text_bytes: 100,
        pause: Duration::from_millis(50),
        easily_put_off: false,
    };
    let load = Load::start(&shape, gateway.ports);
    node.start_again().unwrap();
    load.wait_for(500, Duration::from_secs(90));
    let tally = load.finish();
    settled_ledger(&gateway, &tally);
    tally.assert_exactly_once(&stored_ids(&node, "project-late"));
    // The first record waited for the template: its index has the template's settings.
    let settings = node.get("/project-late/_settings").unwrap();
    assert_eq!(settings["project-late"]["settings"]["index"]["refresh_interval"], "7000ms", "{settings}");
}
