//! Elasticsearch is slow, and clients offer far more than it takes.

use crate::load::{Load, Shape};
use crate::watch::Watch;
use crate::world::{Config, lasting, node, settled_ledger, stored_ids};
use forebay_tests::{Elasticsearch, process};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const MIB: u64 = 1 << 20;
const BUDGET: u64 = 16 * MIB;
/// What may be on the way beyond the budget: four payloads, a little over `max_bytes` each.
const SINK: &str = "delivery: {batch: {max_bytes: 512KiB}, concurrency: {max: 4}}";
const ON_THE_WAY: u64 = 4 * MIB;
/// Connections' buffers, and pages that the allocator keeps for its threads.
const SLACK: u64 = 16 * MIB;

/// A node that is stopped for most of every second.
struct Stutter {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Stutter {
    fn start(node: &Elasticsearch) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, pid) = (Arc::clone(&stop), node.pid().unwrap());
        let thread = thread::spawn(move || {
            while !stopped.load(Relaxed) {
                process::signal(pid, "STOP").unwrap();
                thread::sleep(Duration::from_millis(800));
                process::signal(pid, "CONT").unwrap();
                thread::sleep(Duration::from_millis(200));
            }
        });
        Self { stop, thread }
    }

    fn end(self) {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap();
    }
}

fn shape(prefix: &'static str, clients: usize) -> Shape {
    let protocols = ["otlp_grpc", "json", "otlp_grpc", "otlp_http"];
    Shape {
        prefix,
        clients: (0..clients).map(|number| protocols[number % protocols.len()]).collect(),
        // 1 MB a request: more clients than the budget has room for.
        batch: 500,
        text_bytes: 2_000,
        pause: Duration::ZERO,
        easily_put_off: true,
    }
}

#[test]
fn memory_stays_flat_and_no_request_is_half_taken() {
    let node = node();
    let lasts = lasting("Elasticsearch is slow", Duration::from_secs(60), Duration::from_secs(15));
    let index = "project-ai-slow";
    let gateway = Config {
        sink: SINK.to_owned(),
        json: "id_field: id",
        more: format!("limits: {{memory: {BUDGET}}}"),
        ..Config::new(&node.url(), index)
    }
    .start();
    // Code, threads and connections are paid for once; what comes on top is to stay in the budget.
    let warm_up = Load::start(&shape("warm", 4), gateway.ports);
    warm_up.wait_for(4_000, Duration::from_secs(60));
    let mut warm = warm_up.finish();
    gateway.balanced_ledger(Duration::from_secs(60)).unwrap();
    let base = gateway.rss_bytes().unwrap();

    let stutter = Stutter::start(&node);
    let watch = Watch::over(&gateway);
    let load = Load::start(&shape("slow", 32), gateway.ports);
    let mut acknowledged = Vec::new();
    for _ in 0..3 {
        thread::sleep(lasts / 3);
        acknowledged.push(load.acknowledged());
    }
    let peak = watch.peak();
    stutter.end();
    let mut tally = load.finish();
    println!(
        "slow: acknowledged {acknowledged:?} records by thirds, {} refusals, {} records put off; \
         budget at most {:.1} MiB, resident {:.1} MiB at most, {:.1} MiB before",
        tally.again,
        tally.put_off.len(),
        peak.budget_used / MIB as f64,
        peak.rss as f64 / MIB as f64,
        base as f64 / MIB as f64
    );

    assert!(
        acknowledged[0] > 0 && acknowledged.is_sorted_by(|earlier, later| earlier < later),
        "{acknowledged:?}"
    );
    assert!(!tally.put_off.is_empty(), "the door never refused: there was no pressure");
    assert!(peak.samples >= 20, "{peak:?}");
    assert!(peak.budget_used > BUDGET as f64 / 2.0, "the budget was never half full: {peak:?}");
    assert!(peak.budget_used <= (BUDGET + ON_THE_WAY) as f64, "{peak:?}");
    assert!(peak.rss <= base + BUDGET + ON_THE_WAY + SLACK, "{peak:?}, {base} before");

    let sent = warm.acknowledged.len() + tally.acknowledged.len();
    tally.acknowledged.append(&mut warm.acknowledged);
    assert_eq!(tally.in_doubt, Vec::<String>::new());
    settled_ledger(&gateway, &tally);
    let found = stored_ids(&node, index);
    tally.assert_exactly_once(&found);
    assert_eq!(found.len(), sent);
}
