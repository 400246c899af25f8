//! Elasticsearch hangs (SIGSTOP): connections stand, nothing is answered.

use crate::load::Tally;
use crate::watch::Watch;
use crate::world::{Config, lasting, node, settled_ledger, stored_ids};
use forebay_tests::python::{self, Python};
use forebay_tests::wait_until;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

const CLIENTS: usize = 10;
const BATCH: usize = 500;
const RECORDS: usize = 20_000;
const MIB: f64 = (1 << 20) as f64;
/// Bytes in memory, as so many requests of each client: two on the way to Elasticsearch, which are there as they came with
/// their index, and encoded; and one that waits.
const MOST_ROUNDS: f64 = 8.0;
/// What connections and the allocator may take beside payloads, in bytes.
const SLACK: f64 = 32.0 * MIB;

/// Ten SDK clients at their default timeout (10 s) send the same batches again and again while nothing is answered. What is
/// given up makes room for what comes next, so the memory does not grow with the time that the fault lasts.
#[test]
fn copies_do_not_pile_up_and_each_record_is_stored_once() {
    let node = node();
    let python = Python::install().unwrap();
    let lasts = lasting("Elasticsearch hangs", Duration::from_secs(60), Duration::from_secs(15));
    // In the short form copies come faster, so that there are as many.
    let ack_timeout = if lasts > Duration::from_secs(30) { "8s" } else { "1s" };
    let index = "project-ai-hang";
    let gateway = Config { ack_timeout, ..Config::new(&node.url(), index) }.start();
    let endpoint = format!("http://127.0.0.1:{}", gateway.ports.otlp_grpc);
    let numbers = [CLIENTS, BATCH, RECORDS].map(|number| number.to_string());
    let mut command = python.command("otlp_retry.py", &["--protocol", "grpc", "--endpoint", &endpoint]);
    command.args(["--clients", &numbers[0], "--batch-size", &numbers[1], "--count", &numbers[2]]);
    let clients = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();

    wait_until("the first records", Duration::from_secs(60), || {
        Ok((gateway.ledger()?.delivered > 0.0).then_some(()))
    })
    .unwrap();
    let base = gateway.rss_bytes().unwrap();
    node.pause().unwrap();
    let [early, late] = [(); 2].map(|()| {
        let watch = Watch::over(&gateway);
        thread::sleep(lasts / 2);
        watch.peak()
    });
    let hung = gateway.metrics().unwrap();
    node.resume().unwrap();

    let output = clients.wait_with_output().unwrap();
    let summary = python::summary(&output).unwrap();
    assert!(output.status.success(), "{}", summary["acknowledged"]);
    let retries = hung.sum("forebay_receiver_answers_total", &[("answer", "retry")]);
    let answers = hung.sum("forebay_receiver_answers_total", &[]);
    let round = CLIENTS as f64 * hung.sum("forebay_receiver_bytes_total", &[]) / answers;
    println!(
        "hang: told {retries} times to try again; a round of requests has {:.1} MiB; budget at most {:.1} MiB in the \
         first half, {:.1} MiB in the second; resident {:.1} MiB at most, {:.1} MiB before",
        round / MIB,
        early.budget_used / MIB,
        late.budget_used / MIB,
        late.rss as f64 / MIB,
        base as f64 / MIB
    );
    assert!(retries >= 4.0 * CLIENTS as f64, "too few copies: if they piled up, it would not be seen");
    assert!(early.budget_used > 0.0 && late.budget_used <= MOST_ROUNDS * round, "{early:?}, {late:?}");
    assert!(late.budget_used <= 1.25 * early.budget_used, "it grows: {early:?}, then {late:?}");
    assert!(late.rss as f64 <= base as f64 + MOST_ROUNDS * round + SLACK, "{late:?}, {base} before");

    let ids = summary["acknowledged_ids"].as_array().unwrap().iter();
    let tally =
        Tally { acknowledged: ids.map(|id| id.as_str().unwrap().to_owned()).collect(), ..Tally::default() };
    assert_eq!(tally.acknowledged.len(), RECORDS);
    settled_ledger(&gateway, &tally);
    tally.assert_exactly_once(&stored_ids(&node, index));
}
