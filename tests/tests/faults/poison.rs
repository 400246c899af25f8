//! Elasticsearch refuses one document in a thousand for good.

use crate::client::client;
use crate::event::Event;
use crate::world::{Config, SETTLED_WITHIN, letters, node, stored_ids};
use forebay_tests::{Elasticsearch, Gateway};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const RECORDS: usize = 10_000;
/// Every so many-th record is refused.
const ONE_IN: usize = 1_000;
const POISONED: usize = RECORDS / ONE_IN;

/// Creates an index in which `status` is a number.
fn index(node: &Elasticsearch, name: &str) {
    node.put(&format!("/{name}"), &json!({"mappings": {"properties": {"status": {"type": "integer"}}}}))
        .unwrap();
}

fn events(prefix: &str) -> Vec<Event> {
    let mut events = Event::batch(prefix, RECORDS);
    for event in events.iter_mut().skip(ONE_IN - 1).step_by(ONE_IN) {
        event.poisoned = true;
    }
    events
}

/// The ids of all but the poisoned, sorted as a search returns them.
fn healthy(events: &[Event]) -> Vec<String> {
    let mut ids: Vec<String> =
        events.iter().filter(|event| !event.poisoned).map(|event| event.id.clone()).collect();
    ids.sort_unstable();
    ids
}

/// Sends them in one request: what it is told must name the poisoned among the healthy.
fn send(gateway: &Gateway, protocol: &str, events: &[Event]) -> crate::client::Report {
    client(protocol, gateway.ports).send(events).taken()
}

#[test]
fn a_refused_document_is_kept_with_its_reason_and_the_others_are_stored() {
    let node = node();
    for protocol in ["otlp_grpc", "otlp_http", "json"] {
        let name = format!("project-ai-poison-{}", protocol.replace('_', "-"));
        index(&node, &name);
        let gateway = Config::new(&node.url(), &name).start();
        let events = events(protocol);
        let before = Timestamp::now();
        let report = send(&gateway, protocol, &events);
        let after = Timestamp::now();

        assert_eq!(report.rejected, 0, "{protocol}: a dead letter is no rejection: {report:?}");
        if protocol == "json" {
            assert_eq!(report.dead_lettered, POISONED as u64);
        } else {
            assert!(report.message.contains(&format!("{POISONED} records")), "{protocol}: {report:?}");
        }
        assert!(report.message.contains("document_parsing_exception"), "{protocol}: {report:?}");
        assert_eq!(stored_ids(&node, &name), healthy(&events), "{protocol}");

        let letters = letters(&gateway);
        assert_eq!(letters.len(), POISONED, "{protocol}");
        let poisoned: BTreeSet<&str> =
            events.iter().filter(|event| event.poisoned).map(|event| &*event.id).collect();
        let kept: BTreeSet<&str> =
            letters.iter().map(|letter| letter["document"]["id"].as_str().unwrap()).collect();
        assert_eq!(kept, poisoned, "{protocol}");
        for letter in &letters {
            check_letter(letter, protocol, &name, before, after);
        }
        let ledger = gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
        assert_eq!(ledger.admitted, RECORDS as f64, "{ledger:?}");
        assert_eq!(ledger.delivered, (RECORDS - POISONED) as f64, "{ledger:?}");
        assert_eq!(ledger.dead_lettered, POISONED as f64, "{ledger:?}");
    }
}

/// What an operator needs to mend and replay it.
fn check_letter(letter: &Value, protocol: &str, index: &str, before: Timestamp, after: Timestamp) {
    assert_eq!(letter["document"]["status"], "teapot", "{letter}");
    assert!(
        letter["document"]["@timestamp"].is_string() || letter["document"]["@timestamp"].is_number(),
        "{letter}"
    );
    assert_eq!(letter["document"]["message"], "something happened", "{letter}");
    assert_eq!(letter["destination"], index, "{letter}");
    assert_eq!((&letter["sink"], &letter["route"]), (&json!("es"), &json!("all")), "{letter}");
    assert_eq!(letter["receiver"], protocol, "{letter}");
    let reason = letter["reason"].as_str().unwrap();
    assert!(reason.contains("document_parsing_exception") && reason.contains("status"), "{letter}");
    let time = |name: &str| letter[name].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert!(before <= time("arrived_at") && time("arrived_at") <= time("buried_at"), "{letter}");
    assert!(time("buried_at") <= after, "the client was told before the letter was kept: {letter}");
}

#[test]
fn with_on_refused_reject_nothing_is_kept_and_the_client_is_told_how_many() {
    let node = node();
    let name = "project-ai-poison-reject";
    index(&node, name);
    let routes = format!("- {{name: all, to: [es], index: {name}, on_refused: reject}}");
    let gateway = Config { routes, ..Config::new(&node.url(), name) }.start();
    let mut expected = Vec::new();
    for protocol in ["otlp_grpc", "otlp_http", "json"] {
        let events = events(protocol);
        let report = send(&gateway, protocol, &events);
        assert_eq!((report.rejected, report.dead_lettered), (POISONED as u64, 0), "{protocol}: {report:?}");
        assert!(report.message.contains("document_parsing_exception"), "{protocol}: {report:?}");
        expected.extend(healthy(&events));
    }
    expected.sort_unstable();
    assert_eq!(stored_ids(&node, name), expected);
    assert_eq!(letters(&gateway), Vec::<Value>::new());
    let ledger = gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
    assert_eq!(ledger.dead_lettered, 0.0, "{ledger:?}");
    assert_eq!(ledger.settled - ledger.delivered, 3.0 * POISONED as f64, "{ledger:?}");
}
