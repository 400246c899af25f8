//! The official Elasticsearch client's bulk helpers, before a real Elasticsearch that it never speaks to.

use crate::expected::{Event, OnTheWire};
use crate::scenario::{EVENTS, SETTLED_WITHIN, assert_documents, assert_searches, events};
use forebay_tests::elasticsearch::Options;
use forebay_tests::python::{self, Python};
use forebay_tests::{Elasticsearch, Gateway, config};
use serde_json::{Value, json};
use std::time::Duration;

/// How long what the journal holds may take once its sink is back.
const DELIVERED_WITHIN: Duration = Duration::from_secs(90);

/// What the gateway's own index of these documents is called by a route that asks for the client's.
const ROUTED: &str = "routes:\n  - {name: app, when: {field: \"@metadata._index\", equals: app-logs}, to: [es], index: project-ai-of-app}\n  \
                      - {name: rest, to: [es], index: project-ai-of-others}\n";

/// The client's own index, and one for all others.
const TOGETHER: &str = "routes:\n  - {name: own, when: {field: \"@metadata._index\", equals: project-ai-own}, to: [es], index: project-ai-own}\n  \
                        - {name: rest, to: [es], index: project-ai-together}\n";

struct House {
    node: Elasticsearch,
    gateway: Gateway,
    python: Python,
}

impl House {
    fn start(more: &str) -> Self {
        let node = Elasticsearch::start(Options::default()).unwrap();
        let config = config::into_elasticsearch(&node, "") + more;
        let config = config.replace("{elasticsearch}\"}", "{elasticsearch}\", keep_index: true}");
        let gateway = Gateway::start(&config).unwrap();
        Self { node, gateway, python: Python::install().unwrap() }
    }

    /// Runs the client over `lines`, and returns its summary.
    fn send(&self, args: &[&str], lines: &str) -> Value {
        let endpoint = format!("http://127.0.0.1:{}", self.gateway.ports.elasticsearch);
        let all = [&["--endpoint", &endpoint, "--events", "-"], args].concat();
        python::summary(&self.python.run_with_input("elasticsearch_bulk.py", &all, lines).unwrap()).unwrap()
    }
}

/// Sent twice under its own ids, by `create` with the index in the path and by `index` with the index in each action: stored once.
#[test]
fn what_has_an_id_is_stored_once_however_often_it_is_sent() {
    let house = House::start("");
    let (lines, events) = events(&house.python, 16);
    let sent = house.send(&["--ids", "--sniff"], &lines);
    assert_eq!((&sent["acknowledged"], &sent["refused"]), (&json!(EVENTS), &json!([])), "{sent}");
    let sent = house.send(&["--ids", "--gzip", "--op", "index", "--index-in-action"], &lines);
    assert_eq!((&sent["acknowledged"], &sent["ids_told"]), (&json!(EVENTS), &json!(EVENTS)), "{sent}");

    let ledger = house.gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
    let once = EVENTS as f64;
    assert_eq!((ledger.admitted, ledger.delivered, ledger.duplicate), (2.0 * once, once, once), "{ledger:?}");
    assert_stored(&house.node, &events);
    let found = house.node.documents("project-ai-*", "id:\"16-0\"", 2).unwrap();
    // The client named another index.
    assert!(found[0].id.starts_with(&format!("{:-<25}\"é~", "16-0")), "{}", found[0].id);
}

/// One id in two of a client's indices is two documents where a route brings these together, and one however often it is sent again. In
/// the client's own index it stays as it is.
#[test]
fn an_id_belongs_to_the_index_that_the_client_named() {
    let house = House::start(TOGETHER);
    let (lines, _) = events(&house.python, 19);
    for index in ["app-logs", "web-logs", "app-logs", "project-ai-own"] {
        let sent = house.send(&["--ids", "--index", index], &lines);
        assert_eq!((&sent["acknowledged"], &sent["refused"]), (&json!(EVENTS), &json!([])), "{sent}");
    }
    let ledger = house.gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
    let once = EVENTS as f64;
    assert_eq!((ledger.delivered, ledger.duplicate), (3.0 * once, once), "{ledger:?}");
    house.node.refresh().unwrap();
    let id = format!("{:-<25}\"é", "19-0");
    for (to, names) in
        [("project-ai-together", &["app-logs", "web-logs"][..]), ("project-ai-own", &["project-ai-own"])]
    {
        for name in names {
            let of_name = format!("\\@metadata._index:\"{name}\"");
            assert_eq!(house.node.count(to, &of_name).unwrap(), EVENTS as u64, "{name}");
            let found = house.node.documents(to, &format!("{of_name} AND id:\"19-0\""), 2).unwrap();
            let is_own = found[0].id == id;
            assert!(is_own == (to == *name) && found[0].id.starts_with(&id), "{}", found[0].id);
        }
    }
}

/// Without ids every document is one of its own, and the shipped routes decide where it goes.
#[test]
fn what_has_no_id_is_stored_as_it_comes() {
    let house = House::start("");
    let (lines, events) = events(&house.python, 17);
    let sent = house.send(&["--gzip", "--index-in-action"], &lines);
    assert_eq!((&sent["acknowledged"], &sent["ids_told"]), (&json!(EVENTS), &json!(0)), "{sent}");
    let ledger = house.gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
    assert_eq!((ledger.delivered, ledger.duplicate), (EVENTS as f64, 0.0), "{ledger:?}");
    assert_stored(&house.node, &events);
}

/// Set-up goes on while nothing is kept of it, what cannot be done is refused by itself, and a route asks for the client's index.
#[test]
fn clients_set_up_ship_and_hear_of_each_item() {
    let house = House::start(ROUTED);
    let sent = house.send(&["--set-up", "--broken", "--index", "app-logs"], "");
    let expected = json!({
        "ping": true, "version": "8.19.0", "license": "active", "health": "green", "exists": [false, false, false],
        "acknowledged": [false, false, false, false, false, false], "warnings": 6});
    assert_eq!(sent["set_up"], expected);
    let refused = |op: &str| json!([op, 400, "illegal_argument_exception"]);
    assert_eq!(sent["refused"], json!([refused("delete"), refused("update"), refused("index")]), "{sent}");
    assert_eq!(sent["acknowledged"], 2);
    let sent = house.send(&["--broken", "--index", "other"], "");
    assert_eq!(sent["acknowledged"], 2);
    let ledger = house.gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
    assert_eq!((ledger.received, ledger.admitted, ledger.delivered), (10.0, 4.0, 4.0), "{ledger:?}");
    house.node.refresh().unwrap();
    for (index, name) in [("project-ai-of-app", "app-logs"), ("project-ai-of-others", "other")] {
        let query = format!("id:(\"broken-0\" OR \"broken-4\") AND \\@metadata._index:\"{name}\"");
        assert_eq!(house.node.count(index, &query).unwrap(), 2, "{query}");
    }
}

/// Clients start and ship while the real one is down, and it gets everything once it is back.
#[test]
fn clients_ship_while_elasticsearch_is_down() {
    let mut house = House::start("acknowledge: durable\njournal: {path: \"{dir}/journal\"}\n");
    house.node.stop().unwrap();
    let (lines, events) = events(&house.python, 18);
    let sent = house.send(&["--set-up", "--ids"], &lines);
    assert_eq!(
        (&sent["acknowledged"], &sent["set_up"]["health"]),
        (&json!(EVENTS), &json!("green")),
        "{sent}"
    );
    house.node.start_again().unwrap();
    let ledger = house.gateway.balanced_ledger(DELIVERED_WITHIN).unwrap();
    assert_eq!(ledger.delivered, EVENTS as f64, "{ledger:?}");
    assert_stored(&house.node, &events);
}

fn assert_stored(node: &Elasticsearch, events: &[Event]) {
    node.refresh().unwrap();
    assert_documents(node, events, OnTheWire::EVERYTHING);
    assert_searches(node, events, OnTheWire::EVERYTHING);
}
