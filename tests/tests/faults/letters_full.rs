//! The store of dead letters is full.

use crate::client::{Answer, client, insist};
use crate::event::Event;
use crate::world::{Config, SETTLED_WITHIN, await_state, letter_files, letters, node, stored_ids};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;

const RECORDS: usize = 40;
const POISONED: usize = 10;

fn events(prefix: &str) -> Vec<Event> {
    let mut events = Event::batch(prefix, RECORDS);
    events[..POISONED].iter_mut().for_each(|event| event.poisoned = true);
    events
}

/// There is room for one batch's letters and not for the next one's: the client of that one is told to try again until
/// somebody has moved the first away.
#[test]
fn a_full_store_blocks_and_loses_nothing() {
    let node = node();
    let index = "project-ai-letters-full";
    let mapping = json!({"mappings": {"properties": {"status": {"type": "integer"}}}});
    node.put(&format!("/{index}"), &mapping).unwrap();
    let gateway = Config {
        ack_timeout: "2s",
        json: "id_field: id",
        letters: "max_bytes: 8KiB, max_file_bytes: 8KiB",
        ..Config::new(&node.url(), index)
    }
    .start();
    let mut client = client("json", gateway.ports);
    let (first, second) = (events("first"), events("second"));
    assert_eq!(client.send(&first).taken().dead_lettered, POISONED as u64);
    let kept_first = letters(&gateway);

    for _ in 0..2 {
        let answer = client.send(&second);
        assert!(matches!(answer, Answer::Again { .. }), "{answer:?}");
    }
    await_state(&gateway, "blocked");
    assert!(gateway.metrics().unwrap().sum("forebay_delivery_burial_failures_total", &[]) >= 1.0);
    assert_eq!(letters(&gateway), kept_first, "a full store has changed");

    for file in letter_files(&gateway) {
        fs::rename(&file, gateway.folder().join(file.file_name().unwrap())).unwrap();
    }
    assert_eq!(insist(&mut *client, &second).rejected, 0);
    await_state(&gateway, "ok");

    let ids = |letters: Vec<Value>| -> BTreeSet<String> {
        letters.iter().map(|letter| letter["document"]["id"].as_str().unwrap().to_owned()).collect()
    };
    let poisoned = |events: &[Event]| -> BTreeSet<String> {
        events.iter().filter(|event| event.poisoned).map(|event| event.id.clone()).collect()
    };
    assert_eq!(ids(kept_first), poisoned(&first));
    assert_eq!(ids(letters(&gateway)), poisoned(&second));
    let healthy = first.iter().chain(&second).filter(|event| !event.poisoned).count();
    assert_eq!(stored_ids(&node, index).len(), healthy);
    gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
}
