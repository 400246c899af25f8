//! A journal outlives the build that wrote it: what one has answered for, the other delivers, in an upgrade and in its rollback.

use forebay_tests::{Gateway, gateway};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

const REQUESTS: usize = 40;
const BATCH: usize = 25;
/// The sink `out` while nobody is there, and when somebody is.
const AWAY: &str = "{type: elasticsearch, endpoints: [\"http://127.0.0.1:9\"]}";
const THERE: &str = "{type: file, path: \"{dir}/indices\"}";

const CONFIG: &str = r#"
receivers: {json: {listen: "127.0.0.1:{json}"}}
sinks: {out: {out}}
routes: [{name: all, to: [out], index: taken}]
acknowledge: durable
journal: {path: "{dir}/journal", max_bytes: 64MiB, segment_bytes: 1MiB}
dead_letters: {path: "{dir}/letters"}
admin: {listen: "127.0.0.1:{admin}"}
drain: {door_open: 0s, deadline: 1s}
"#;

#[test]
fn a_journal_is_delivered_by_another_build() {
    let (earlier, later) = (gateway::other_binary().unwrap(), gateway::binary().unwrap());
    assert_ne!(gateway::version_of(earlier).unwrap(), gateway::version_of(later).unwrap());
    take_over(earlier, later);
    take_over(later, earlier);
}

fn take_over(writer: &Path, reader: &Path) {
    let mut gateway = Gateway::prepare().unwrap();
    gateway.configure(&CONFIG.replace("{out}", AWAY)).unwrap();
    gateway.start_again_as(writer).unwrap();
    let sent: BTreeSet<String> = (0..REQUESTS).flat_map(|request| send(&gateway, request)).collect();
    let (status, last_line) = gateway.sigterm_and_wait().unwrap();
    let ledger: Value = serde_json::from_str(&last_line).unwrap();
    assert_eq!((status.code(), &ledger["journal"][0]["requests"]), (Some(0), &REQUESTS.into()), "{ledger}");

    gateway.configure(&CONFIG.replace("{out}", THERE)).unwrap();
    gateway.start_again_as(reader).unwrap();
    let ledger = gateway.balanced_ledger(Duration::from_secs(30)).unwrap();
    assert_eq!((ledger.recovered, ledger.delivered), ((REQUESTS * BATCH) as f64, ledger.recovered));
    gateway.sigterm().unwrap();
    gateway.wait_for_good_end().unwrap();
    let stored = stored(&gateway.folder().join("indices"));
    assert_eq!(stored.len(), sent.len(), "not each once");
    assert_eq!(BTreeSet::from_iter(stored), sent);
}

/// Sends one request and returns the ids of its records, which were taken.
fn send(gateway: &Gateway, request: usize) -> Vec<String> {
    let ids: Vec<String> = (0..BATCH).map(|at| format!("{request}-{at}")).collect();
    let lines: String = ids.iter().map(|id| format!("{}\n", json!({"message": "kept", "id": id}))).collect();
    let address = format!("http://127.0.0.1:{}/", gateway.ports.json);
    let answer: Value = ureq::post(address).send(lines).unwrap().body_mut().read_json().unwrap();
    assert_eq!(answer["accepted"], BATCH, "{answer}");
    ids
}

/// The ids in the file of the index.
fn stored(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("taken.ndjson")).unwrap();
    let documents = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    documents.map(|document| document["id"].as_str().unwrap().to_owned()).collect()
}
