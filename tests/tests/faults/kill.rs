//! The gateway ends under load: by SIGKILL, and by SIGTERM.

use crate::load::{Load, Shape, Tally};
use crate::world::{Config, node, settled_ledger, stored_ids};
use serde_json::Value;
use std::thread;
use std::time::Duration;

fn shape(prefix: &'static str) -> Shape {
    Shape {
        prefix,
        clients: vec!["otlp_grpc", "otlp_grpc", "otlp_grpc", "otlp_http", "otlp_http", "json"],
        batch: 200,
        text_bytes: 300,
        pause: Duration::ZERO,
        easily_put_off: false,
    }
}

/// What a client was not told about it sends again, to the process that comes next; ids made of the content are the same there.
#[test]
fn after_kill_9_acknowledged_records_are_stored_exactly_once() {
    let node = node();
    let index = "project-ai-kill";
    let mut gateway = Config { json: "id_field: id", ..Config::new(&node.url(), index) }.start();
    let load = Load::start(&shape("kill"), gateway.ports);
    for _ in 0..3 {
        load.wait_for(5_000, Duration::from_secs(60));
        gateway.kill9().unwrap();
        thread::sleep(Duration::from_millis(300));
        gateway.start_again().unwrap();
    }
    load.wait_for(5_000, Duration::from_secs(60));
    let tally = load.finish();
    assert!(tally.unanswered > 0, "no request was under way when the gateway was killed");
    assert_eq!(tally.in_doubt, Vec::<String>::new());
    println!(
        "kill -9: {} records acknowledged, {} attempts unanswered",
        tally.acknowledged.len(),
        tally.unanswered
    );
    tally.assert_exactly_once(&stored_ids(&node, index));
    // The books are the last process's own: it knows nothing of what its predecessors were told.
    settled_ledger(&gateway, &Tally::default());
}

/// Shutting down in order loses nothing, says so, and abandons no one.
#[test]
fn on_sigterm_it_drains_and_its_last_line_is_a_ledger_that_balances() {
    let node = node();
    let index = "project-ai-drain";
    let mut gateway = Config { json: "id_field: id", ..Config::new(&node.url(), index) }.start();
    let load = Load::start(&shape("drain"), gateway.ports);
    load.wait_for(5_000, Duration::from_secs(60));
    let (status, last_line) = gateway.sigterm_and_wait().unwrap();
    let tally = load.abort();
    assert_eq!(status.code(), Some(0), "{last_line}");

    let ledger: Value = serde_json::from_str(&last_line).unwrap();
    assert_eq!((&ledger["message"], &ledger["balanced"]), (&"ledger".into(), &true.into()), "{ledger}");
    let sum = |part: &str, name: &str| -> u64 {
        ledger[part].as_array().unwrap().iter().map(|entry| entry[name].as_u64().unwrap()).sum()
    };
    assert_eq!(
        sum("doors", "received"),
        ["admitted", "rejected", "refused"].map(|name| sum("doors", name)).iter().sum::<u64>()
    );
    let settled = ["delivered", "duplicate", "dead_lettered", "abandoned", "in_flight"]
        .map(|name| sum("accounts", name));
    assert_eq!(sum("accounts", "owed"), settled.iter().sum::<u64>(), "{ledger}");
    assert_eq!((sum("accounts", "abandoned"), sum("accounts", "in_flight")), (0, 0), "{ledger}");

    let found = stored_ids(&node, index);
    tally.assert_exactly_once(&found);
    assert_eq!(found.len() as u64, sum("accounts", "delivered"), "the ledger says what is stored");
}
