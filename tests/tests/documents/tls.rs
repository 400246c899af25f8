//! A cluster that speaks HTTPS with a certificate of its own making.

use crate::send::{post_json, stored};
use forebay_tests::elasticsearch::{Options, PASSWORD, USER};
use forebay_tests::{Elasticsearch, Gateway, config};
use std::fs;

fn node() -> Elasticsearch {
    Elasticsearch::start(Options { security: true, tls: true, ..Options::default() }).unwrap()
}

fn auth() -> String {
    format!("auth: {{username: {USER}, password: {PASSWORD}}}")
}

#[test]
fn records_go_only_to_a_cluster_whose_certificate_is_trusted() {
    let node = node();
    let wary = Gateway::start(&config::into_elasticsearch(&node, &auth())).unwrap();
    let address = format!("http://127.0.0.1:{}/", wary.ports.json);
    let answer = ureq::post(address).send(r#"{"message":"to whom?"}"#);
    assert!(matches!(answer, Err(ureq::Error::StatusCode(503))), "{answer:?}");
    let ledger = wary.ledger().unwrap();
    assert_eq!((ledger.delivered, ledger.dead_lettered), (0.0, 0.0), "{ledger:?}");
    let log = ["stderr.log", "stdout.log"].map(|name| fs::read_to_string(wary.folder().join(name)).unwrap());
    let log = log.concat();
    assert!(log.contains(&node.url()) && log.contains("invalid peer certificate: UnknownIssuer"), "{log}");
    assert!(!log.contains(PASSWORD), "{log}");
    drop(wary);
    node.refresh().unwrap();
    assert_eq!(node.count("project-ai-*", "*").unwrap(), 0);

    let trusting = format!("{}, tls: {{ca_file: \"{}\"}}", auth(), node.certificate().display());
    let gateway = Gateway::start(&config::into_elasticsearch(&node, &trusting)).unwrap();
    assert_eq!(post_json(&gateway, r#"{"message":"to you"}"#)["accepted"], 1);
    let stored = stored(&node);
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].source["message"], "to you");
}
