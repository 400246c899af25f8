//! Dead letters kept in an index, beside the documents whose fellows they were.

use crate::client::client;
use crate::event::Event;
use crate::world::{Config, SETTLED_WITHIN, letters, node, stored_ids};
use serde_json::{Value, json};

const RECORDS: usize = 60;
const POISONED: usize = 20;

/// The sink that refuses them keeps them, with a single slot; what it refuses in its turn is in the directory.
#[test]
fn letters_lie_in_an_index_and_what_that_refuses_in_the_directory() {
    let node = node();
    let (index, kept, odd) =
        ("project-ai-letters-sink", "forebay-dead-letters-test", "forebay-dead-letters-odd");
    let mapping = json!({"mappings": {"properties": {"status": {"type": "integer"}}}});
    node.put(&format!("/{index}"), &mapping).unwrap();
    // An index that has no use for a letter: its reason would have to be a number.
    let picky = json!({"mappings": {"properties": {"reason": {"type": "integer"}}}});
    node.put(&format!("/{odd}"), &picky).unwrap();
    for (into, in_files) in [(kept, 0), (odd, POISONED)] {
        let settings = match into == kept {
            true => "to: {sink: es, index: forebay-dead-letters-test}",
            false => "to: {sink: es, index: forebay-dead-letters-odd}",
        };
        let sink = "delivery: {concurrency: {max: 1}}".to_owned();
        let gateway = Config { letters: settings, sink, ..Config::new(&node.url(), index) }.start();
        let mut events = Event::batch(if in_files == 0 { "kept" } else { "odd" }, RECORDS);
        events[..POISONED].iter_mut().for_each(|event| event.poisoned = true);
        client("otlp_grpc", gateway.ports).send(&events).taken();
        // Sent again, as after a lost answer: each letter is there once.
        client("otlp_grpc", gateway.ports).send(&events).taken();
        gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
        assert_eq!(letters(&gateway).len(), 2 * in_files);
    }
    node.refresh().unwrap();
    let found = node.documents(kept, "*", 1_000).unwrap();
    assert_eq!(found.len(), 2 * POISONED, "arrivals differ, so these are two for each");
    let source: &Value = &found[0].source;
    assert_eq!((&source["destination"], &source["sink"]), (&json!(index), &json!("es")));
    assert!(source["reason"].as_str().unwrap().contains("document_parsing_exception"), "{source}");
    let document: Value = serde_json::from_str(source["document"].as_str().unwrap()).unwrap();
    assert_eq!(document["status"], "teapot");
    assert_eq!(node.count(odd, "*").unwrap(), 0);
    assert_eq!(stored_ids(&node, index).len(), 2 * (RECORDS - POISONED));
}
