//! Elasticsearch says that it has enough: 429 for documents, 429 and 413 for requests.

use crate::client::{client, insist};
use crate::event::Event;
use crate::load::{Load, Shape};
use crate::world::{Config, SETTLED_WITHIN, letters, node, settled_ledger, stored_ids, strict_node};
use forebay_tests::elasticsearch::{PASSWORD, USER};
use forebay_tests::{Elasticsearch, wait_until};
use serde_json::{Value, json};
use std::thread;
use std::time::Duration;

fn shape(prefix: &'static str) -> Shape {
    Shape {
        prefix,
        clients: vec!["otlp_grpc", "otlp_http", "json"],
        batch: 50,
        text_bytes: 200,
        pause: Duration::from_millis(20),
        easily_put_off: false,
    }
}

/// Sends a load, applies `fault` in its midst until retries of this kind were counted and three seconds more, and expects
/// every record stored once and none buried.
fn passes(index: &str, node: &Elasticsearch, kind: &str, fault: impl Fn(&Elasticsearch, bool)) {
    let gateway = Config { json: "id_field: id", ..Config::new(&node.url(), index) }.start();
    let load = Load::start(&shape("limits"), gateway.ports);
    load.wait_for(500, Duration::from_secs(60));
    fault(node, true);
    wait_until("retries", Duration::from_secs(30), || {
        Ok((gateway.metrics()?.sum("forebay_delivery_retries_total", &[("kind", kind)]) >= 2.0).then_some(()))
    })
    .unwrap();
    thread::sleep(Duration::from_secs(3));
    fault(node, false);
    load.wait_for(500, Duration::from_secs(60));
    let tally = load.finish();
    settled_ledger(&gateway, &tally);
    tally.assert_exactly_once(&stored_ids(node, index));
    assert_eq!(letters(&gateway), Vec::<Value>::new());
}

/// As on a node whose disk is full.
#[test]
fn documents_answered_429_are_sent_again_until_they_are_taken() {
    passes("project-ai-full-disk", &node(), "overloaded", |node, begins| {
        let setting = if begins { json!(true) } else { Value::Null };
        let settings = json!({"index.blocks.read_only_allow_delete": setting});
        node.put("/project-ai-full-disk/_settings", &settings).unwrap();
    });
}

/// As on a node whose memory is full: its circuit breaker refuses requests of any size.
#[test]
fn requests_answered_429_are_sent_again_until_they_are_taken() {
    passes("project-ai-breaker", &node(), "overloaded", |node, begins| {
        let limit = if begins { json!("2kb") } else { Value::Null };
        let settings = json!({"persistent": {"network.breaker.inflight_requests.limit": limit}});
        node.put("/_cluster/settings", &settings).unwrap();
    });
}

/// One request of 1,000 records for a node that takes 64 KiB at a time: halved until it fits. The one record that never
/// fits is a dead letter.
#[test]
fn a_bulk_answered_413_is_split_until_it_fits() {
    let node = strict_node();
    let sink = format!("auth: {{username: {USER}, password: {PASSWORD}}}");
    let index = "project-ai-large";
    let gateway = Config { sink, ..Config::new(&node.url(), index) }.start();
    let mut events = Event::batch("large", 1_000);
    for event in &mut events {
        event.text = "x".repeat(1_000);
    }
    events[617].text = "giant ".repeat(20_000);
    let report = insist(&mut *client("otlp_http", gateway.ports), &events);
    assert!(report.rejected == 0 && report.message.contains("1 record was"), "{report:?}");

    let mut expected: Vec<String> = events.iter().map(|event| event.id.clone()).collect();
    expected.remove(617);
    expected.sort_unstable();
    assert_eq!(stored_ids(&node, index), expected);
    let letters = letters(&gateway);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["document"]["id"], "large-617");
    assert!(letters[0]["reason"].as_str().unwrap().contains("413"), "{}", letters[0]["reason"]);
    let ledger = gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
    assert_eq!((ledger.delivered, ledger.dead_lettered), (999.0, 1.0), "{ledger:?}");
    // 1.1 MB in pieces of at most 64 KiB: at least 16 leaves, so at least 15 cuts.
    let splits = gateway.metrics().unwrap().sum("forebay_delivery_splits_total", &[]);
    assert!((15.0..200.0).contains(&splits), "{splits} splits");
}
