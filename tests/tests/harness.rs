//! The harness itself against a real Elasticsearch and a real OpenSearch. Proves nothing about the gateway.

#![allow(clippy::unwrap_used)]

use forebay_tests::elasticsearch::{Distribution, Options};
use forebay_tests::{Elasticsearch, process};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

fn documents(range: std::ops::Range<u32>) -> Vec<Value> {
    range.map(|number| json!({"id": format!("d{number}"), "level": if number % 4 == 0 { "ERROR" } else { "INFO" }})).collect()
}

#[test]
fn elasticsearch_stores_finds_hangs_and_comes_back_with_its_data() {
    stores_finds_hangs_and_comes_back(Distribution::Elasticsearch);
}

#[test]
fn opensearch_does_so_too() {
    stores_finds_hangs_and_comes_back(Distribution::OpenSearch);
}

fn stores_finds_hangs_and_comes_back(distribution: Distribution) {
    let mut node = Elasticsearch::start(Options { distribution, ..Options::default() }).unwrap();
    let about = node.get("/").unwrap();
    assert_eq!(about["version"]["number"], distribution.version());

    node.bulk("logs", &documents(0..12)).unwrap();
    node.refresh().unwrap();
    assert_eq!(node.count("logs", "level.keyword:ERROR").unwrap(), 3);
    let expected = BTreeSet::from(["d0", "d4", "d8"].map(String::from));
    assert_eq!(node.search_ids("logs", "level.keyword:ERROR", "id", 100).unwrap(), expected);
    assert!(node.search_ids("logs", "*", "id", 11).is_err(), "a cut search must not look complete");
    assert_eq!(node.count("no-such-index", "*").unwrap(), 0);

    node.pause().unwrap();
    let hung = ureq::get(node.url()).config().timeout_global(Some(Duration::from_secs(1))).build().call();
    assert!(matches!(hung, Err(ureq::Error::Timeout(_))), "{hung:?}");
    node.resume().unwrap();
    assert_eq!(node.count("logs", "*").unwrap(), 12);

    let first_pid = node.pid().unwrap();
    node.stop().unwrap();
    assert!(!process::alive(first_pid));
    assert!(node.get("/").is_err());
    node.start_again().unwrap();
    assert_eq!(node.count("logs", "*").unwrap(), 12);

    // A second store under new ids: field_values must show it, for "exactly once" rests on that.
    node.bulk("logs", &documents(0..1)).unwrap();
    node.kill9().unwrap();
    node.start_again().unwrap();
    node.refresh().unwrap();
    let values = node.field_values("logs", "id:(d0 OR d1)", "id", 10).unwrap();
    assert_eq!(values, ["d0", "d0", "d1"]);
}

#[test]
fn security_takes_passwords_and_api_keys_only() {
    let options = Options { security: true, ..Options::default() };
    let node = Elasticsearch::start(options).unwrap();
    node.bulk("logs", &documents(0..3)).unwrap();

    let key = node.create_api_key("writer", &json!({})).unwrap();
    let with_key = ureq::get(node.url()).header("Authorization", format!("ApiKey {key}")).call();
    assert_eq!(with_key.unwrap().status(), 200);
    let without = ureq::get(node.url()).call();
    assert!(matches!(without, Err(ureq::Error::StatusCode(401))), "{without:?}");
}

#[test]
fn settings_reach_the_node() {
    let settings = vec![("http.max_content_length".to_owned(), "64kb".to_owned())];
    let node = Elasticsearch::start(Options { settings, ..Options::default() }).unwrap();
    let too_large = json!({"text": "x".repeat(100_000)});
    let error = node.bulk("logs", &[too_large]).unwrap_err();
    assert!(format!("{error:#}").contains("413"), "{error:#}");
}

#[test]
fn a_node_ends_when_it_is_dropped() {
    let node = Elasticsearch::start(Options::default()).unwrap();
    let pid = node.pid().unwrap();
    assert!(process::alive(pid));
    drop(node);
    assert!(!process::alive(pid));
}
