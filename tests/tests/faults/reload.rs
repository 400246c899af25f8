//! The configuration changes under load: nobody is cut off, nothing is lost, and a bad file changes nothing.

use crate::client::{Answer, client};
use crate::event::Event;
use crate::load::{Load, Shape, Tally};
use crate::world::{Config, node, settled_ledger, stored_ids};
use forebay_tests::{Gateway, process, wait_until};
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(60);

fn shape(prefix: &'static str) -> Shape {
    Shape {
        prefix,
        clients: vec!["otlp_grpc", "otlp_grpc", "otlp_http", "json"],
        batch: 100,
        text_bytes: 200,
        pause: Duration::from_millis(5),
        easily_put_off: false,
    }
}

fn file(gateway: &Gateway) -> PathBuf {
    gateway.folder().join("forebay.yaml")
}

fn reloads(gateway: &Gateway, result: &str) -> f64 {
    gateway.metrics().unwrap().sum("forebay_config_reloads_total", &[("result", result)])
}

/// Writes another configuration and waits for what becomes of it.
fn change(gateway: &Gateway, text: &str, signals: bool, result: &str) {
    let before = reloads(gateway, result);
    fs::write(file(gateway), text).unwrap();
    if signals {
        process::signal(gateway.pid().unwrap(), "HUP").unwrap();
    }
    wait_until(&format!("a reload that is {result}"), WAIT, || {
        Ok((reloads(gateway, result) > before).then_some(()))
    })
    .unwrap();
}

/// Routes are renamed and lead elsewhere, the sink's settings change, a sink comes and goes.
fn under_load(prefix: &'static str, more: &str) {
    let node = node();
    let indices = [format!("project-ai-{prefix}-a"), format!("project-ai-{prefix}-b")];
    let config =
        Config { json: "id_field: id", more: more.to_owned(), ..Config::new(&node.url(), &indices[0]) };
    let gateway = config.start();
    let first = fs::read_to_string(file(&gateway)).unwrap();
    let load = Load::start(&shape(prefix), gateway.ports);
    let flows = || load.wait_for(1_000, WAIT);
    flows();
    let elsewhere = first.replace(&indices[0], &indices[1]).replace("name: all", "name: other");
    change(&gateway, &elsewhere, true, "done");
    flows();
    let files =
        format!("sinks:\n  files: {{type: file, path: {:?}}}\n", gateway.folder().join("files").display());
    let changed = elsewhere.replace("endpoints:", "timeout: 11s, endpoints:").replace("sinks:\n", &files);
    let both = changed.replace("[es]", "[es, files]");
    change(&gateway, &both, true, "done");
    flows();
    for (bad, says) in [
        (both.replace("routes:", "rutes:"), "did you mean `routes`"),
        (both.replace("[es, files]", "[es, nothing]"), "there is no sink `nothing`"),
        (format!("{both}limits: {{memory: 1GiB}}\n"), "limits.memory: cannot be changed while running"),
    ] {
        change(&gateway, &bad, true, "refused");
        let log = fs::read_to_string(gateway.folder().join("stderr.log")).unwrap();
        assert!(log.contains(says), "{says}: {log}");
    }
    flows();
    // A sink goes in two steps: out of the routes, and away when it has what it was owed.
    change(&gateway, &changed, true, "done");
    wait_until("the files to have everything", WAIT, || {
        let behind = gateway.metrics()?.sum("forebay_journal_behind_requests", &[("sink", "files")]);
        Ok((behind == 0.0).then_some(()))
    })
    .unwrap();
    flows();
    change(&gateway, &format!("{elsewhere}reload: {{watch: true, interval: 200ms}}\n"), true, "done");
    flows();
    change(&gateway, &first, false, "done");
    flows();
    let tally = load.finish();
    assert_eq!((tally.unanswered, tally.in_doubt.len()), (0, 0), "somebody was cut off");
    settled_ledger(&gateway, &Tally::default());
    let mut found: Vec<String> = indices.iter().flat_map(|index| stored_ids(&node, index)).collect();
    found.sort_unstable();
    tally.assert_exactly_once(&found);
    println!("{prefix}: {} records over 5 reloads, {} told to try again", found.len(), tally.again);
}

#[test]
fn routes_and_sinks_change_under_load() {
    under_load("reload", "");
}

#[test]
fn routes_and_sinks_change_under_load_with_a_journal() {
    under_load("reload-durable", "acknowledge: durable\njournal: {path: \"{dir}/journal\"}\n");
}

/// The sink that keeps dead letters is found elsewhere from now on, and so are they.
#[test]
fn letters_follow_the_sink_that_keeps_them() {
    let node = node();
    let (index, kept) = ("project-ai-reload-letters", "forebay-dead-letters-reload");
    node.put(&format!("/{index}"), &json!({"mappings": {"properties": {"status": {"type": "integer"}}}}))
        .unwrap();
    let nowhere = "http://127.0.0.1:9";
    let config = Config {
        letters: "to: {sink: keep, index: forebay-dead-letters-reload}",
        // Closes the sink's settings, and opens another's.
        sink: format!("timeout: 9s}}\n  keep: {{type: elasticsearch, endpoints: [\"{nowhere}\"]"),
        ack_timeout: "4s",
        ..Config::new(&node.url(), index)
    };
    let gateway = config.start();
    let mut events = Event::batch("reload-letters", 2);
    events[0].poisoned = true;
    let mut client = client("otlp_grpc", gateway.ports);
    assert!(matches!(client.send(&events), Answer::Again { .. }), "the letter can be kept nowhere");
    let text = fs::read_to_string(file(&gateway)).unwrap();
    change(&gateway, &text.replace(nowhere, &node.url()), true, "done");
    client.send(&events).taken();
    gateway.balanced_ledger(WAIT).unwrap();
    node.refresh().unwrap();
    // The arrival that waited may have been given up with its client.
    let letters = node.documents(kept, "*", 10).unwrap().len();
    assert!((1..=2).contains(&letters), "{letters}");
    assert_eq!(stored_ids(&node, index).len(), 1);
}

/// With a journal, a sink that is owed something cannot be taken away.
#[test]
fn a_sink_that_is_owed_something_stays() {
    let mut node = node();
    let index = "project-ai-reload-owed";
    let more = "acknowledge: durable\njournal: {path: \"{dir}/journal\"}\n".to_owned();
    let gateway = Config { json: "id_field: id", more, ..Config::new(&node.url(), index) }.start();
    let first = fs::read_to_string(file(&gateway)).unwrap();
    node.stop().unwrap();
    let load = Load::start(&shape("reload-owed"), gateway.ports);
    load.wait_for(2_000, WAIT);
    let renamed = first.replace("  es: {", "  elastic: {").replace("[es]", "[elastic]");
    change(&gateway, &renamed, true, "refused");
    let log = fs::read_to_string(gateway.folder().join("stderr.log")).unwrap();
    assert!(log.contains("sinks.es: the journal holds"), "{log}");
    load.wait_for(2_000, WAIT);
    node.start_again().unwrap();
    let tally = load.finish();
    settled_ledger(&gateway, &Tally::default());
    tally.assert_exactly_once(&stored_ids(&node, index));
    // Now it may go; the file is as it was when it was refused.
    process::signal(gateway.pid().unwrap(), "HUP").unwrap();
    wait_until("the rename", WAIT, || Ok((reloads(&gateway, "done") > 0.0).then_some(()))).unwrap();
}
