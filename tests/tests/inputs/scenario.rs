//! The five searches of the document model over one seeded scenario, through each client.

use crate::expected::{self, Event, OnTheWire};
use forebay_tests::elasticsearch::Options;
use forebay_tests::metrics::Ledger;
use forebay_tests::python::{self, Python};
use forebay_tests::{Elasticsearch, Gateway, config};
use std::time::Duration;

/// Events of each input.
pub const EVENTS: usize = 6_000;

/// How long what was acknowledged may take to leave the books: it has been delivered.
pub const SETTLED_WITHIN: Duration = Duration::from_secs(10);

/// The searches of the document model, by the names that scenario.py gives them.
const SEARCHES: [(&str, &str); 5] = [
    ("security", "component:security AND severity:critical"),
    ("mood", "component:ai-persona AND mood:*"),
    ("denied", "component:four-laws AND result:denied"),
    ("slow", "api.duration:>1000 AND endpoint:*"),
    ("errors", "level:ERROR AND @timestamp:[now-1h TO now]"),
];

/// A client, and what it puts on the wire.
struct Input {
    /// As the gateway's metrics call it.
    receiver: &'static str,
    script: &'static str,
    args: Vec<String>,
    seed: u32,
    wire: OnTheWire,
}

#[test]
fn opentelemetry_sdk_over_grpc() {
    run(|gateway| Input {
        receiver: "otlp_grpc",
        script: "otlp_logs.py",
        args: words(&format!("--protocol grpc --endpoint http://127.0.0.1:{}", gateway.ports.otlp_grpc)),
        seed: 11,
        wire: OnTheWire::EVERYTHING,
    });
}

#[test]
fn opentelemetry_sdk_over_http_with_gzip() {
    run(|gateway| Input {
        receiver: "otlp_http",
        script: "otlp_logs.py",
        args: words(&format!(
            "--protocol http --gzip --endpoint http://127.0.0.1:{}",
            gateway.ports.otlp_http
        )),
        seed: 12,
        wire: OnTheWire::EVERYTHING,
    });
}

#[test]
fn python_json_logger_with_the_usual_formatter() {
    run(|gateway| Input {
        receiver: "json",
        script: "json_logs.py",
        args: words(&format!("--format usual --gzip --endpoint http://127.0.0.1:{}/", gateway.ports.json)),
        seed: 13,
        wire: OnTheWire::EVERYTHING,
    });
}

/// This formatter asks for fields that no log record has, and writes `"timestamp": null, "level": null`. So the event's time
/// is the arrival, and no search for a level finds anything: the fact is not there.
#[test]
fn python_json_logger_with_the_plain_formatter() {
    run(|gateway| Input {
        receiver: "json",
        script: "json_logs.py",
        args: words(&format!("--format plain --endpoint http://127.0.0.1:{}/", gateway.ports.json)),
        seed: 14,
        wire: OnTheWire { level: false, time: false },
    });
}

fn run(input: impl FnOnce(&Gateway) -> Input) {
    let node = Elasticsearch::start(Options::default()).unwrap();
    let gateway = Gateway::start(&config::into_elasticsearch(&node, "")).unwrap();
    let input = input(&gateway);
    let python = Python::install().unwrap();
    let (lines, events) = events(&python, input.seed);

    let mut args: Vec<&str> = input.args.iter().map(String::as_str).collect();
    args.extend(["--events", "-"]);
    let sent = python::summary(&python.run_with_input(input.script, &args, &lines).unwrap()).unwrap();
    assert_eq!(sent["acknowledged"], EVENTS, "{sent}");

    let ledger = gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
    assert_books(&ledger);
    assert_answers(&gateway, input.receiver);
    node.refresh().unwrap();
    assert_documents(&node, &events, input.wire);
    assert_searches(&node, &events, input.wire);
}

/// The scenario as scenario.py prints it, and as it is read.
pub fn events(python: &Python, seed: u32) -> (String, Vec<Event>) {
    let (seed, count) = (seed.to_string(), EVENTS.to_string());
    let scenario = ["--scenario", "five_searches", "--count", &count, "--seed", &seed];
    let lines = String::from_utf8(python.run("scenario.py", &scenario).unwrap().stdout).unwrap();
    let events = expected::read(&lines);
    assert_eq!(events.len(), EVENTS);
    (lines, events)
}

fn assert_books(ledger: &Ledger) {
    let all = EVENTS as f64;
    assert_eq!((ledger.received, ledger.admitted, ledger.owed), (all, all, all), "{ledger:?}");
    assert_eq!((ledger.delivered, ledger.dead_lettered), (all, 0.0), "{ledger:?}");
}

/// Nobody else sent anything, and nobody was told anything but success.
fn assert_answers(gateway: &Gateway, receiver: &str) {
    let metrics = gateway.metrics().unwrap();
    let all = metrics.sum("forebay_receiver_answers_total", &[]);
    let good = metrics.sum("forebay_receiver_answers_total", &[("receiver", receiver), ("answer", "ok")]);
    assert!(good > 0.0 && all == good, "{all} answers, {good} of them ok");
}

/// Every event is there once, in its index, with what it says.
pub fn assert_documents(node: &Elasticsearch, events: &[Event], wire: OnTheWire) {
    let found = node.documents("project-ai-*", "*", EVENTS + 1).unwrap();
    assert_eq!(found.len(), events.len());
    let documents = expected::by_event_id(found);
    for event in events {
        let document = documents.get(&event.id).unwrap_or_else(|| panic!("{} is not there", event.id));
        event.assert_stored_as(document, wire);
    }
}

pub fn assert_searches(node: &Elasticsearch, events: &[Event], wire: OnTheWire) {
    for (name, query) in SEARCHES {
        let expected = expected::hits(events, name, wire);
        let on_the_wire = wire.level || name != "errors";
        assert_eq!(expected.is_empty(), !on_the_wire, "{name}: a search without hits proves nothing");
        let found = node.field_values("project-ai-*", query, "id", EVENTS).unwrap();
        assert_eq!(found, expected, "{name}: {query}");
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}
