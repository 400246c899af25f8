//! Fluent Forward: Fluentd's loggers for Python and Go, before a real Elasticsearch.

use crate::expected::{Event, OnTheWire};
use crate::scenario::{EVENTS, SETTLED_WITHIN, assert_documents, assert_searches, events};
use forebay_tests::elasticsearch::Options;
use forebay_tests::python::{self, Python};
use forebay_tests::{Elasticsearch, Gateway, config, fluent};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// One event at a time, each acknowledged: fewer, or it would take minutes.
const ONE_BY_ONE: usize = 600;
/// How long what the journal holds may take once its sink is back.
const DELIVERED_WITHIN: Duration = Duration::from_secs(90);
/// How long one acknowledgement may take.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(30);

struct House {
    node: Elasticsearch,
    gateway: Gateway,
}

impl House {
    fn start(more: &str) -> Self {
        let node = Elasticsearch::start(Options::default()).unwrap();
        let gateway = Gateway::start(&(config::into_elasticsearch(&node, "") + more)).unwrap();
        Self { node, gateway }
    }

    fn assert_stored(&self, events: &[Event]) {
        let ledger = self.gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
        let all = events.len() as f64;
        assert_eq!((ledger.received, ledger.delivered, ledger.dead_lettered), (all, all, 0.0), "{ledger:?}");
        self.node.refresh().unwrap();
        assert_documents(&self.node, events, OnTheWire::EVERYTHING);
        assert_searches(&self.node, events, OnTheWire::EVERYTHING);
        assert_eq!(self.node.count("project-ai-*", "tag:app").unwrap(), events.len() as u64);
    }
}

/// It asks for no acknowledgement, so all of it must be there however fast it comes.
#[test]
fn fluent_logger_for_python() {
    let house = House::start("");
    let python = Python::install().unwrap();
    let (lines, events) = events(&python, 21);
    let port = house.gateway.ports.forward.to_string();
    let args = ["--port", &port, "--events", "-"];
    let sent = python::summary(&python.run_with_input("fluent_logs.py", &args, &lines).unwrap()).unwrap();
    assert_eq!(sent["acknowledged"], EVENTS, "{sent}");
    house.assert_stored(&events);
}

#[test]
fn fluent_logger_for_go_with_acknowledgements() {
    let house = House::start("");
    let (_, events) = events(&Python::install().unwrap(), 22);
    let events = &events[..ONE_BY_ONE];
    let lines = events.iter().fold(String::new(), |mut lines, event| {
        // Writing to a `String` cannot fail.
        let _ = writeln!(lines, "{}", event.of_fluent("app"));
        lines
    });
    fluent::send(house.gateway.ports.forward, &[], &lines).unwrap();
    house.assert_stored(events);
}

/// Sends a chunk of this name with two equal events, over a connection of its own, and waits for its acknowledgement.
fn send_twins(gateway: &Gateway, name: &str) {
    let twins = b"\x92\xd7\x00\x6b\x01\x52\xdc\x22\x92\x1d\x00\x81\xa7message\xa4tick".repeat(2);
    let head = [&b"\x93\xa3app\xc4"[..], &[twins.len() as u8]].concat();
    let options = [&b"\x81\xa5chunk"[..], &[0xa0 | name.len() as u8], name.as_bytes()].concat();
    let mut socket = TcpStream::connect(("127.0.0.1", gateway.ports.forward)).unwrap();
    socket.set_read_timeout(Some(ACKNOWLEDGED_WITHIN)).unwrap();
    socket.write_all(&[head, twins, options].concat()).unwrap();
    let mut answer = [0; 9];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *[b"\x81\xa3ack\xa3", name.as_bytes()].concat());
}

/// A chunk whose acknowledgement was lost comes again, perhaps through another connection, and is stored once.
#[test]
fn a_chunk_is_stored_once_however_often_it_is_sent() {
    let house = House::start("");
    for name in ["one", "one", "two", "one"] {
        send_twins(&house.gateway, name);
    }
    let ledger = house.gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
    assert_eq!((ledger.admitted, ledger.delivered, ledger.duplicate), (8.0, 4.0, 4.0), "{ledger:?}");
    house.node.refresh().unwrap();
    assert_eq!(house.node.count("project-ai-logs-*", "message:tick").unwrap(), 4);
}

/// What the journal holds is read again as it was taken: tag, time and ids.
#[test]
fn chunks_are_acknowledged_while_elasticsearch_is_down() {
    let mut house = House::start("acknowledge: durable\njournal: {path: \"{dir}/journal\"}\n");
    house.node.stop().unwrap();
    for name in ["one", "two", "one"] {
        send_twins(&house.gateway, name);
    }
    house.gateway.kill9().unwrap();
    house.gateway.start_again().unwrap();
    house.node.start_again().unwrap();
    let ledger = house.gateway.balanced_ledger(DELIVERED_WITHIN).unwrap();
    assert_eq!((ledger.delivered, ledger.duplicate), (4.0, 2.0), "{ledger:?}");
    house.node.refresh().unwrap();
    let second = "[2026-11-21T08:14:20Z TO 2026-11-21T08:14:21Z}";
    let query = format!("message:tick AND tag:app AND @timestamp:{second}");
    assert_eq!(house.node.count("project-ai-logs-*", &query).unwrap(), 4);
}
