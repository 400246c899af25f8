//! What the tests stand on: one Elasticsearch for all that do not spoil it, the gateway's configuration, how long faults last.

use crate::load::Tally;
use forebay_tests::elasticsearch::Options;
use forebay_tests::metrics::Ledger;
use forebay_tests::{Elasticsearch, Gateway, wait_until};
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

/// Until a gateway whose clients have gone is empty: the longest backoff, a probe, and a busy machine.
pub const SETTLED_WITHIN: Duration = Duration::from_secs(90);
/// More documents than any test stores.
const MOST_DOCUMENTS: usize = 2_000_000;

/// How long a fault lasts: as documented with `FOREBAY_FULL=1`, shorter without.
pub fn lasting(fault: &str, full: Duration, short: Duration) -> Duration {
    let is_full = std::env::var("FOREBAY_FULL").is_ok_and(|value| value == "1");
    let chosen = if is_full { full } else { short };
    println!("{fault}: {chosen:?} (FOREBAY_FULL=1: {full:?})");
    chosen
}

type Shared = OnceLock<Mutex<Elasticsearch>>;

/// The Elasticsearch that tests share, one after the other. They keep to indices of their own.
pub fn node() -> MutexGuard<'static, Elasticsearch> {
    static NODE: Shared = Shared::new();
    lock(&NODE, Options::default())
}

/// One with passwords, and with a limit on requests of 64 KiB.
pub fn strict_node() -> MutexGuard<'static, Elasticsearch> {
    static NODE: Shared = Shared::new();
    let settings = vec![("http.max_content_length".to_owned(), "64kb".to_owned())];
    lock(&NODE, Options { security: true, settings, ..Options::default() })
}

fn lock(shared: &'static Shared, options: Options) -> MutexGuard<'static, Elasticsearch> {
    let mut node = shared.get_or_init(|| Mutex::new(Elasticsearch::start(options).unwrap())).lock();
    // A test that failed may have left it hanging or stopped.
    if node.pid().is_ok() {
        node.resume().unwrap();
    } else {
        node.start_again().unwrap();
    }
    node
}

/// A gateway in front of one Elasticsearch, with all ports open.
#[derive(Debug)]
pub struct Config {
    pub endpoint: String,
    pub ack_timeout: &'static str,
    /// Settings of the sink, in the flow style of YAML.
    pub sink: String,
    /// The routes, one a line.
    pub routes: String,
    /// Settings of the JSON receiver, in the flow style of YAML.
    pub json: &'static str,
    /// Settings of the dead letters beside their path, in the flow style of YAML.
    pub letters: &'static str,
    /// Further lines.
    pub more: String,
}

impl Config {
    /// Everything at its default, one route to `index` of `endpoint`.
    pub fn new(endpoint: &str, index: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            ack_timeout: "8s",
            sink: String::new(),
            routes: format!("- {{name: all, to: [es], index: {index}}}"),
            json: "",
            letters: "",
            more: String::new(),
        }
    }

    /// Starts a gateway with it.
    pub fn start(&self) -> Gateway {
        Gateway::start(&self.yaml()).unwrap()
    }

    fn yaml(&self) -> String {
        let Self { endpoint, ack_timeout, sink, routes, json, letters, more } = self;
        format!(
            r#"
receivers:
  otlp:
    grpc: {{listen: "127.0.0.1:{{otlp_grpc}}"}}
    http: {{listen: "127.0.0.1:{{otlp_http}}"}}
    ack_timeout: {ack_timeout}
  json: {{listen: "127.0.0.1:{{json}}", ack_timeout: {ack_timeout}, {json}}}
sinks:
  es: {{type: elasticsearch, endpoints: ["{endpoint}"], {sink}}}
routes:
{routes}
dead_letters: {{path: "{{dir}}/letters", {letters}}}
admin: {{listen: "127.0.0.1:{{admin}}"}}
drain: {{door_open: 1s, deadline: 30s}}
{more}
"#
        )
    }
}

/// The field `id` of every document of `index`, sorted; one that is stored twice is there twice.
pub fn stored_ids(node: &Elasticsearch, index: &str) -> Vec<String> {
    node.refresh().unwrap();
    node.field_values(index, "*", "id", MOST_DOCUMENTS).unwrap()
}

/// Waits until the gateway owes nothing, and checks its ledger against what clients were told.
pub fn settled_ledger(gateway: &Gateway, tally: &Tally) -> Ledger {
    let ledger = gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
    let stored = ledger.delivered + ledger.duplicate;
    assert!(stored >= tally.acknowledged.len() as f64, "more was acknowledged than stored: {ledger:?}");
    assert_eq!(ledger.dead_lettered, 0.0, "{ledger:?}");
    wait_until("the budget to be given back", SETTLED_WITHIN, || {
        Ok((gateway.metrics()?.sum("forebay_memory_budget_used_bytes", &[]) == 0.0).then_some(()))
    })
    .unwrap();
    ledger
}

/// Waits until the sink is in a state: `ok`, `retrying` or `blocked`.
pub fn await_state(gateway: &Gateway, state: &str) {
    wait_until(&format!("the state {state}"), SETTLED_WITHIN, || {
        Ok((gateway.metrics()?.sum("forebay_sink_state", &[("state", state)]) == 1.0).then_some(()))
    })
    .unwrap();
}

/// The files of the gateway's dead letters.
pub fn letter_files(gateway: &Gateway) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(gateway.folder().join("letters")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort_unstable();
    files
}

/// The gateway's dead letters, in the order in which they were written.
pub fn letters(gateway: &Gateway) -> Vec<Value> {
    let mut letters = Vec::new();
    for file in letter_files(gateway) {
        for line in fs::read_to_string(file).unwrap().lines() {
            letters.push(serde_json::from_str(line).unwrap());
        }
    }
    letters
}
