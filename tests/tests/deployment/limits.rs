//! The limits of a container, as the kernel sets them: what the gateway makes of them, and that it lives within them under more load than
//! there is room for.

use crate::rollout::node;
use forebay_tests::cgroup::ControlGroup;
use forebay_tests::{Gateway, gateway};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

const MIB: u64 = 1 << 20;
const MEMORY: u64 = 128 * MIB;
/// Fewer than any machine has that runs the tests.
const CPUS: u64 = 1;
/// Of the memory: what payloads and connections may hold.
const BUDGET: u64 = MEMORY / 100 * 40;

/// More clients than the budget has room for, with a request of about a mebibyte each.
const CLIENTS: usize = 64;
const LINES: usize = 500;
const TEXT_BYTES: usize = 2_000;
/// How long Elasticsearch hangs under this load, and how long it has it after that.
const HANGS: Duration = Duration::from_secs(8);
const ANSWERS: Duration = Duration::from_secs(4);
const BACKOFF: Duration = Duration::from_millis(200);
const SETTLED_WITHIN: Duration = Duration::from_secs(90);
/// More than are stored.
const MOST_DOCUMENTS: usize = 1_000_000;

/// What clients were told, by status, and the ids of the records that were taken.
#[derive(Debug, Default)]
struct Book {
    answers: BTreeMap<u16, u64>,
    acknowledged: Vec<String>,
}

fn config(endpoint: &str, index: &str, more: &str) -> String {
    format!(
        r#"
receivers: {{json: {{listen: "127.0.0.1:{{json}}", ack_timeout: 4s, id_field: id}}}}
sinks: {{es: {{type: elasticsearch, endpoints: ["{endpoint}"]}}}}
routes: [{{name: all, to: [es], index: {index}}}]
dead_letters: {{path: "{{dir}}/letters"}}
admin: {{listen: "127.0.0.1:{{admin}}"}}
drain: {{door_open: 0s}}
{more}"#
    )
}

#[test]
fn the_shape_gateway_lives_within_the_limits_of_its_container() {
    live("project-ai-limits", "");
}

/// What is full here is the journal.
#[test]
fn the_shape_durable_lives_within_the_limits_of_its_container() {
    let journal =
        "acknowledge: durable\njournal: {path: \"{dir}/journal\", max_bytes: 32MiB, segment_bytes: 4MiB}\n";
    live("project-ai-limits-durable", journal);
}

fn live(index: &'static str, more: &str) {
    let node = node();
    let group = match ControlGroup::new(MEMORY, CPUS) {
        Ok(group) => group,
        Err(error) => return println!("SKIPPED: limits are not set: {error:#}"),
    };
    let mut gateway = Gateway::prepare().unwrap();
    gateway.configure(&config(&node.url(), index, more)).unwrap();
    let mut command = group.command(gateway::binary().unwrap());
    command.args(["run", "--config"]).arg(gateway.folder().join("forebay.yaml"));
    gateway.launch(command).unwrap();
    let pid = gateway.pid().unwrap();
    assert_limits_are_known(&gateway);

    node.pause().unwrap();
    let clients = Clients::start(gateway.ports.json);
    thread::sleep(HANGS);
    let used = gateway.metrics().unwrap().sum("forebay_memory_budget_used_bytes", &[]);
    node.resume().unwrap();
    thread::sleep(ANSWERS);
    let book = clients.finish();
    gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
    println!(
        "limits, {index}: {} records taken, answers {:?}; payloads had {:.1} MiB while Elasticsearch hung; the group took at most {:.1} of {} MiB",
        book.acknowledged.len(),
        book.answers,
        used / MIB as f64,
        group.peak_bytes().unwrap() as f64 / MIB as f64,
        MEMORY / MIB
    );
    assert_eq!((group.killed().unwrap(), gateway.pid().unwrap()), (0, pid));
    // Taken or told to try again, and nothing else.
    assert_eq!(book.answers.keys().copied().collect::<Vec<u16>>(), [200, 503]);
    gateway.sigterm().unwrap();
    gateway.wait_for_good_end().unwrap();

    node.refresh().unwrap();
    let stored = node.field_values(index, "*", "id", MOST_DOCUMENTS).unwrap();
    let missing = book.acknowledged.iter().filter(|id| stored.binary_search(id).is_err()).count();
    assert!(missing == 0 && !stored.is_empty(), "{missing} of {} are missing", book.acknowledged.len());
}

/// What it says at its start, and the budget that it has.
fn assert_limits_are_known(gateway: &Gateway) {
    let log = fs::read_to_string(gateway.folder().join("stderr.log")).unwrap();
    let mut lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let start = lines.find(|line| line["message"] == "starting").unwrap();
    let said = ["threads", "memory_available_bytes", "memory_budget_bytes"].map(|what| start[what].as_u64());
    assert_eq!(said, [Some(CPUS), Some(MEMORY), Some(BUDGET)], "{start}");
    let metrics = gateway.metrics().unwrap();
    let parts = ["forebay_memory_budget_bytes", "forebay_connection_memory_bytes"];
    let budget: f64 = parts.iter().map(|part| metrics.sum(part, &[])).sum();
    assert!(budget <= BUDGET as f64 && budget > BUDGET as f64 * 0.8, "{budget}");
}

/// Clients at work, each in a thread with a connection of its own.
struct Clients {
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<Book>>,
}

impl Clients {
    fn start(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let work = |number: usize| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || work(port, number, &stop))
        };
        let threads = (0..CLIENTS).map(work).collect();
        Self { stop, threads }
    }

    fn finish(self) -> Book {
        self.stop.store(true, Relaxed);
        let mut all = Book::default();
        for thread in self.threads {
            let book = thread.join().unwrap();
            all.acknowledged.extend(book.acknowledged);
            for (status, count) in book.answers {
                *all.answers.entry(status).or_default() += count;
            }
        }
        all
    }
}

/// Sends batch after batch, each until it is taken, or until the end.
fn work(port: u16, number: usize, stop: &AtomicBool) -> Book {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let (mut book, text) = (Book::default(), "x".repeat(TEXT_BYTES));
    for batch in 0_u64.. {
        let ids: Vec<String> = (0..LINES).map(|line| format!("{number}-{batch}-{line}")).collect();
        let lines = ids.iter().map(|id| format!("{{\"id\":\"{id}\",\"message\":\"{text}\"}}\n"));
        let body: String = lines.collect();
        loop {
            if stop.load(Relaxed) {
                return book;
            }
            let status =
                agent.post(format!("http://127.0.0.1:{port}/")).send(&body).unwrap().status().as_u16();
            *book.answers.entry(status).or_default() += 1;
            if status == 200 {
                break;
            }
            thread::sleep(BACKOFF);
        }
        book.acknowledged.extend(ids);
    }
    book
}
