//! `acknowledge: durable`: clients are answered when their records are on disk, whatever becomes of Elasticsearch and of the gateway.

use crate::load::{Load, Shape, Tally};
use crate::world::{Config, node, settled_ledger, stored_ids};
use forebay_tests::wait_until;
use serde_json::Value;
use std::time::{Duration, Instant};

const JOURNAL: &str = "acknowledge: durable\njournal: {path: \"{dir}/journal\"}\n";
const WAIT: Duration = Duration::from_secs(60);

fn shape(prefix: &'static str) -> Shape {
    Shape {
        prefix,
        clients: vec!["otlp_grpc", "otlp_grpc", "otlp_http", "json"],
        batch: 200,
        text_bytes: 300,
        pause: Duration::from_millis(5),
        easily_put_off: false,
    }
}

fn durable(endpoint: &str, index: &str, journal: &str) -> Config {
    Config { json: "id_field: id", more: journal.to_owned(), ..Config::new(endpoint, index) }
}

/// Elasticsearch is down for the whole life of a gateway that is killed, twice; what clients were told all the same holds.
#[test]
fn a_dead_elasticsearch_and_a_killed_gateway_cost_nothing_that_was_acknowledged() {
    let mut node = node();
    let index = "project-ai-durable";
    let mut gateway = durable(&node.url(), index, JOURNAL).start();
    let load = Load::start(&shape("durable"), gateway.ports);
    load.wait_for(2_000, WAIT);
    node.stop().unwrap();
    let stopped = Instant::now();
    load.wait_for(20_000, WAIT);
    println!(
        "durable: 20000 records acknowledged in {:.1} s without Elasticsearch",
        stopped.elapsed().as_secs_f64()
    );
    for _ in 0..2 {
        gateway.kill9().unwrap();
        gateway.start_again().unwrap();
        load.wait_for(5_000, WAIT);
    }
    let tally = load.finish();
    assert_eq!(tally.in_doubt, Vec::<String>::new());
    let behind = gateway.ledger().unwrap().behind;
    assert!(behind > 100.0, "only {behind} requests lie in the journal");
    // What lies there outlives an orderly end, too, which does not wait for what cannot be delivered.
    let (status, last_line) = gateway.sigterm_and_wait().unwrap();
    let ledger: Value = serde_json::from_str(&last_line).unwrap();
    assert_eq!((status.code(), &ledger["balanced"]), (Some(0), &true.into()), "{last_line}");
    assert_eq!(ledger["journal"][0]["requests"].as_f64(), Some(behind), "{last_line}");
    gateway.start_again().unwrap();

    node.start_again().unwrap();
    let ledger = settled_ledger(&gateway, &Tally::default());
    assert!(ledger.recovered > 20_000.0 && ledger.owed == 0.0, "{ledger:?}");
    tally.assert_exactly_once(&stored_ids(&node, index));
    wait_until("the journal to be freed", WAIT, || {
        Ok((gateway.metrics()?.sum("forebay_journal_bytes", &[]) < 68_000_000.0).then_some(()))
    })
    .unwrap();
}

/// A journal that is full says so to clients, and goes on when there is room.
#[test]
fn a_full_journal_puts_clients_off_and_loses_nothing() {
    let mut node = node();
    let index = "project-ai-full-journal";
    let journal = "acknowledge: durable\n\
        journal: {path: \"{dir}/journal\", max_bytes: 8MiB, segment_bytes: 1MiB}\n";
    let gateway = durable(&node.url(), index, journal).start();
    node.stop().unwrap();
    let shape = Shape { text_bytes: 1_000, pause: Duration::ZERO, ..shape("full") };
    let load = Load::start(&shape, gateway.ports);
    wait_until("clients to be put off", WAIT, || Ok((load.again() > 20).then_some(()))).unwrap();
    let bytes = gateway.metrics().unwrap().sum("forebay_journal_bytes", &[]);
    assert!((7_000_000.0..=8_388_608.0).contains(&bytes), "{bytes}");
    node.start_again().unwrap();
    load.wait_for(10_000, WAIT);
    let tally = load.finish();
    assert_eq!(tally.in_doubt, Vec::<String>::new());
    settled_ledger(&gateway, &Tally::default());
    tally.assert_exactly_once(&stored_ids(&node, index));
}
