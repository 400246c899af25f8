//! Elasticsearch stops in the middle of a load and returns on the same data; then it crashes.

use crate::load::{Load, Shape};
use crate::world::{Config, lasting, node, settled_ledger, stored_ids};
use forebay_tests::Gateway;
use std::thread;
use std::time::{Duration, Instant};

fn load(gateway: &Gateway, prefix: &'static str, clients: Vec<&'static str>) -> Load {
    let pause = Duration::from_millis(20);
    let shape = Shape { prefix, clients, batch: 100, text_bytes: 200, pause, easily_put_off: false };
    let load = Load::start(&shape, gateway.ports);
    load.wait_for(2_000, Duration::from_secs(60));
    load
}

/// The load's end: what is stored must be what clients were told, once or at least once.
fn close(load: Load, gateway: &Gateway, found: impl Fn() -> Vec<String>, exactly_once: bool) {
    load.wait_for(2_000, Duration::from_secs(90));
    let tally = load.finish();
    assert_eq!(tally.in_doubt, Vec::<String>::new(), "given up although Elasticsearch is back");
    settled_ledger(gateway, &tally);
    let found = found();
    println!(
        "outage: {} acknowledged, {} stored, {} times again",
        tally.acknowledged.len(),
        found.len(),
        tally.again
    );
    if exactly_once {
        tally.assert_exactly_once(&found);
    } else {
        tally.assert_nothing_lost(&found);
    }
}

/// OTLP's ids are made of the content, JSON's are in a field: what is sent again is recognised, and stored exactly once.
///
/// JSON without a field for the id: nothing tells a line sent again from an honest second one. When an answer is lost, or
/// does not come in time, what was on its way may be stored as well as the retry. That is once at least and, by
/// definition, not once at most; a gateway of its own sees to it in the same outage.
#[test]
fn every_acknowledged_record_is_stored_exactly_once() {
    let (index, minted_index) = ("project-ai-outage", "project-ai-outage-minted");
    let mut node = node();
    let lasts = lasting("Elasticsearch stops", Duration::from_secs(30), Duration::from_secs(10));
    let gateway = Config { json: "id_field: id", ..Config::new(&node.url(), index) }.start();
    let minting = Config::new(&node.url(), minted_index).start();
    let recognised = load(&gateway, "outage", vec!["otlp_grpc", "otlp_grpc", "otlp_http", "json"]);
    let minted = load(&minting, "minted", vec!["json", "json"]);

    node.stop().unwrap();
    thread::sleep(lasts);
    assert!(
        recognised.again() > 0 && minted.again() > 0,
        "nobody was told to try again: there was no outage"
    );
    node.start_again().unwrap();
    let back = Instant::now();
    recognised.wait_for(1, Duration::from_secs(90));
    println!("outage: records flow again {:.1} s after Elasticsearch answers", back.elapsed().as_secs_f64());
    recognised.wait_for(2_000, Duration::from_secs(60));
    // A crash loses answers to bulks that are stored: what was acknowledged must have been in the translog.
    node.kill9().unwrap();
    node.start_again().unwrap();

    close(recognised, &gateway, || stored_ids(&node, index), true);
    close(minted, &minting, || stored_ids(&node, minted_index), false);
}
