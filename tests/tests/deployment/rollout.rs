//! A drill on one machine that stands for the cluster: a process is added, and each in turn is upgraded to another build, under load.

use crate::clients::{Book, Clients};
use crate::cluster::{CONNECTION_AGE, Cluster};
use anyhow::Result;
use forebay_tests::elasticsearch::Options;
use forebay_tests::python::{self, Python};
use forebay_tests::{Elasticsearch, gateway};
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::Instant;
use tempfile::TempDir;

/// Processes at first, and clients of our own.
const PROCESSES: usize = 3;
const CLIENTS: usize = 14;
/// More than are stored.
const MOST_DOCUMENTS: usize = 1_000_000;
/// The share of its fair share that an added process must get at least.
const LEAST_SHARE: f64 = 0.5;
/// Records that are acknowledged between two steps.
const FLOW: u64 = 1_500;

/// A success means that Elasticsearch has the records.
#[test]
fn the_shape_gateway_is_scaled_out_and_upgraded_under_load() {
    drill("project-ai-rollout", "gateway", false);
}

/// A success means that they are in the journal, whose folder the next process takes over.
#[test]
fn the_shape_durable_is_scaled_out_and_upgraded_under_load() {
    drill("project-ai-rollout-durable", "durable", true);
}

fn drill(index: &'static str, shape: &'static str, is_durable: bool) {
    let node = node();
    let mut cluster = Cluster::start(PROCESSES, &node.url(), index, is_durable);
    let sdk = Sdk::start(&cluster.proxy.address());
    let clients = Clients::start(CLIENTS, shape, &cluster.proxy.address());
    clients.wait_for(FLOW);

    let share = share_of_an_added_process(&mut cluster);
    let fair = 1.0 / cluster.gateways.len() as f64;
    assert!(share >= LEAST_SHARE * fair, "{share:.3} of the requests, where {fair:.3} is fair");

    let all = cluster.gateways.len();
    assert_eq!(cluster.versions(), BTreeMap::from([(version(gateway::other_binary()), all)]));
    let mut ends = Vec::new();
    for number in 0..cluster.gateways.len() {
        ends.push(cluster.upgrade(number).as_secs_f64());
        clients.wait_for(FLOW);
        cluster.wait_for_route(number, "new");
    }
    assert_eq!(cluster.versions(), BTreeMap::from([(version(gateway::binary()), all)]));
    let mut book = clients.finish();
    let transient = sdk.finish(&mut book);
    let (connections, in_vain) = (cluster.proxy.given(), cluster.proxy.in_vain());
    let answered = cluster.answered();
    for ledger in cluster.end() {
        for account in ledger["accounts"].as_array().unwrap() {
            assert_eq!(
                (&account["abandoned"], &account["dead_lettered"]),
                (&0.into(), &0.into()),
                "{ledger}"
            );
        }
    }
    println!(
        "rollout, {shape}: {} records acknowledged over {connections} connections; the added process has {share:.2} of \
         the requests; ends took {ends:.1?} s; last processes answered {answered:?}; told to try again: {:?}, the SDK's \
         own: {transient}",
        book.acknowledged.len(),
        book.retryable
    );
    assert_eq!(book.wrong, Vec::<String>::new(), "not to be tried again");
    assert_eq!(in_vain, 0, "connections were given to a process that had closed its door");
    assert_stored_once(&node, index, book);
}

fn version(binary: Result<&Path>) -> String {
    gateway::version_of(binary.unwrap()).unwrap()
}

/// Adds a process; returns its share of requests between the age that no connection outlives and twice the configured age.
fn share_of_an_added_process(cluster: &mut Cluster) -> f64 {
    cluster.add();
    let began = Instant::now();
    // Ages vary by 10 %, and a call may be under way.
    thread::sleep(CONNECTION_AGE.mul_f64(1.2));
    let before = cluster.answered();
    thread::sleep((2 * CONNECTION_AGE).saturating_sub(began.elapsed()));
    let new: Vec<f64> = cluster.answered().iter().zip(&before).map(|(now, before)| now - before).collect();
    println!("requests by process after one was added: {new:?}");
    new.last().unwrap() / new.iter().sum::<f64>()
}

fn assert_stored_once(node: &Elasticsearch, index: &str, book: Book) {
    node.refresh().unwrap();
    let stored = node.field_values(index, "*", "id", MOST_DOCUMENTS).unwrap();
    let mut acknowledged = book.acknowledged;
    acknowledged.sort_unstable();
    assert!(!acknowledged.is_empty());
    let missing = acknowledged.iter().filter(|id| stored.binary_search(id).is_err()).count();
    let twice = stored.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!((missing, twice), (0, 0), "acknowledged and not stored; stored twice");
    // Every batch was taken in the end, so there is nothing else.
    assert_eq!(stored.len(), acknowledged.len());
}

/// The OpenTelemetry SDK for Python beside our own clients.
#[derive(Debug)]
struct Sdk {
    clients: Child,
    folder: TempDir,
}

impl Sdk {
    const CLIENTS: &str = "2";
    const BATCH: usize = 20;

    fn start(address: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let python = Python::install().unwrap();
        let endpoint = format!("http://{address}");
        let batch = Self::BATCH.to_string();
        let mut command = python.command("otlp_retry.py", &["--protocol", "grpc", "--endpoint", &endpoint]);
        // More than it gets through.
        command.args([
            "--clients",
            Self::CLIENTS,
            "--batch-size",
            &batch,
            "--pause",
            "0.05",
            "--count",
            "60000",
        ]);
        command.arg("--stop").arg(folder.path().join("stop"));
        let [out, err] = ["out", "err"].map(|name| File::create(folder.path().join(name)).unwrap());
        let clients = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap();
        Self { clients, folder }
    }

    /// Ends it and adds what it was told to the book; returns how many of its calls were tried again.
    fn finish(mut self, book: &mut Book) -> usize {
        fs::write(self.folder.path().join("stop"), "").unwrap();
        let status = self.clients.wait().unwrap();
        let [stdout, stderr] = ["out", "err"].map(|name| fs::read(self.folder.path().join(name)).unwrap());
        let output = std::process::Output { status, stdout, stderr };
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        let summary = python::summary(&output).unwrap_or_else(|error| panic!("{error:#}: {log}"));
        let ids = summary["acknowledged_ids"].as_array().unwrap().iter();
        let ids: Vec<String> = ids.map(|id| id.as_str().unwrap().to_owned()).collect();
        assert_eq!((output.status.code(), &summary["sent"]), (Some(0), &Value::from(ids.len())), "{log}");
        assert!(ids.len() > 100 * Self::BATCH, "it hardly sent anything: {}", ids.len());
        // An export that fails was told something final, or nothing within its time limit.
        assert_eq!(summary["attempts"], ids.len().div_ceil(Self::BATCH), "{log}");
        book.acknowledged.extend(ids);
        log.matches("Transient error").count()
    }
}

impl Drop for Sdk {
    fn drop(&mut self) {
        // One that has ended already is what was wanted.
        let _ = self.clients.kill();
        let _ = self.clients.wait();
    }
}

/// The Elasticsearch that tests share which do not need security, one after the other.
pub fn node() -> MutexGuard<'static, Elasticsearch> {
    static NODE: OnceLock<Mutex<Elasticsearch>> = OnceLock::new();
    NODE.get_or_init(|| Mutex::new(Elasticsearch::start(Options::default()).unwrap())).lock()
}
