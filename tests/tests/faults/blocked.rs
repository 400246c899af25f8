//! Elasticsearch takes nothing until somebody mends it: that is no fault of the documents, so none may be buried.

use crate::client::{Answer, client, insist};
use crate::event::Event;
use crate::load::{Load, Shape};
use crate::world::{Config, await_state, letters, node, settled_ledger, stored_ids, strict_node};
use forebay_tests::Elasticsearch;
use serde_json::{Value, json};
use std::time::Duration;

const SINK: &str = "delivery: {retry: {blocked_pause: 1s}}";

/// 403 for one index (somebody has set it read-only): its clients wait, those of another index do not.
#[test]
fn a_forbidden_index_waits_while_others_flow() {
    let node = node();
    let routes = "
- {name: shut, when: {field: status, equals: teapot}, to: [es], index: project-ai-shut}
- {name: open, to: [es], index: project-ai-open}"
        .to_owned();
    let base = Config::new(&node.url(), "project-ai-open");
    let gateway =
        Config { routes, sink: SINK.to_owned(), ack_timeout: "2s", json: "id_field: id", ..base }.start();
    node.put("/project-ai-shut", &json!({})).unwrap();
    node.put("/project-ai-shut/_settings", &json!({"index.blocks.write": true})).unwrap();

    let mut shut = Event::batch("shut", 20);
    shut.iter_mut().for_each(|event| event.poisoned = true);
    let mut patient = client("json", gateway.ports);
    let answer = patient.send(&shut);
    assert!(
        matches!(&answer, Answer::Again { reason, .. } if reason.contains("not delivered")),
        "{answer:?}"
    );
    await_state(&gateway, "blocked");

    let shape = Shape {
        prefix: "open",
        clients: vec!["otlp_grpc", "json"],
        batch: 20,
        text_bytes: 100,
        pause: Duration::from_millis(20),
        easily_put_off: false,
    };
    let load = Load::start(&shape, gateway.ports);
    // Beside them, somebody keeps asking for the index that is shut.
    for _ in 0..2 {
        assert!(matches!(patient.send(&shut), Answer::Again { .. }));
    }
    load.wait_for(500, Duration::from_secs(30));
    let open = load.finish();
    assert_eq!(open.again, 0, "the blocked index held up the other one");

    node.put("/project-ai-shut/_settings", &json!({"index.blocks.write": null})).unwrap();
    insist(&mut *patient, &shut);
    await_state(&gateway, "ok");
    settled_ledger(&gateway, &open);
    open.assert_exactly_once(&stored_ids(&node, "project-ai-open"));
    assert_eq!(stored_ids(&node, "project-ai-shut").len(), shut.len());
    assert_eq!(letters(&gateway), Vec::<Value>::new());
}

/// 401: somebody has changed the password.
#[test]
fn wrong_credentials_wait_and_bury_nothing() {
    let node = strict_node();
    set_password(&node, "first-password");
    let sink = format!("{SINK}, auth: {{username: shipper, password: first-password}}");
    let index = "project-ai-secret";
    let gateway = Config { sink, ack_timeout: "2s", ..Config::new(&node.url(), index) }.start();
    let mut client = client("otlp_http", gateway.ports);
    insist(&mut *client, &Event::batch("before", 10));

    set_password(&node, "second-password");
    let during = Event::batch("during", 10);
    for _ in 0..2 {
        let answer = client.send(&during);
        assert!(matches!(&answer, Answer::Again { .. }), "{answer:?}");
    }
    await_state(&gateway, "blocked");
    assert_eq!(letters(&gateway), Vec::<Value>::new());

    set_password(&node, "first-password");
    insist(&mut *client, &during);
    await_state(&gateway, "ok");
    assert_eq!(letters(&gateway), Vec::<Value>::new());
    assert_eq!(stored_ids(&node, index).len(), 20);
}

fn set_password(node: &Elasticsearch, password: &str) {
    node.put("/_security/user/shipper", &json!({"password": password, "roles": ["superuser"]})).unwrap();
}
