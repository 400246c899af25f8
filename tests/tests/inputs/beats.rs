//! Beats: go-lumber, the client inside Filebeat, with events as Filebeat makes them.

use crate::expected::{Event, OnTheWire};
use crate::scenario::{EVENTS, SETTLED_WITHIN, assert_documents, assert_searches, events};
use forebay_tests::elasticsearch::Options;
use forebay_tests::python::Python;
use forebay_tests::{Elasticsearch, Gateway, config, lumber};
use std::fmt::Write as _;

/// Sent twice: window by window without compression, and, as after a connection that was lost, once more with two windows on their way and the keys
/// of every event in another order (Beats have no order). Both times everything is acknowledged, and it is stored once.
#[test]
fn filebeats_events_are_stored_once_however_often_they_are_sent() {
    let node = Elasticsearch::start(Options::default()).unwrap();
    let gateway = Gateway::start(&config::into_elasticsearch(&node, "")).unwrap();
    let (_, events) = events(&Python::install().unwrap(), 15);
    let port = gateway.ports.beats;
    lumber::send(port, &["-compression", "0", "-window", "1000"], &lines(&events, false)).unwrap();
    lumber::send(port, &["-inflight", "2"], &lines(&events, true)).unwrap();

    let ledger = gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
    let once = EVENTS as f64;
    assert_eq!((ledger.admitted, ledger.delivered, ledger.duplicate), (2.0 * once, once, once), "{ledger:?}");
    node.refresh().unwrap();
    assert_documents(&node, &events, OnTheWire::EVERYTHING);
    assert_searches(&node, &events, OnTheWire::EVERYTHING);
    // What Filebeat tells its receiver is not for the document; what it adds to it is.
    assert_eq!(node.count("project-ai-*", "@metadata.beat:* OR \\@metadata:*").unwrap(), 0);
    assert_eq!(
        node.count("project-ai-*", "agent.type:filebeat AND host.name:\"web-1\"").unwrap(),
        EVENTS as u64
    );
}

/// Events without a place in a file that are equal in every byte are events of their own.
#[test]
fn honest_twins_are_both_kept() {
    let node = Elasticsearch::start(Options::default()).unwrap();
    let gateway = Gateway::start(&config::into_elasticsearch(&node, "")).unwrap();
    let twin =
        "{\"@timestamp\":\"2026-11-21T08:26:04.580Z\",\"@metadata\":{\"beat\":\"x\"},\"message\":\"tick\"}\n";
    lumber::send(gateway.ports.beats, &["-window", "7"], &twin.repeat(100)).unwrap();
    gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
    node.refresh().unwrap();
    assert_eq!(node.count("project-ai-logs-*", "message:tick").unwrap(), 100);
}

fn lines(events: &[Event], reversed: bool) -> String {
    events.iter().enumerate().fold(String::new(), |mut lines, (number, event)| {
        // Writing to a `String` cannot fail.
        let _ = writeln!(lines, "{}", event.of_filebeat(number * 300, reversed));
        lines
    })
}
