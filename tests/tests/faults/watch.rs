//! Looks at a running gateway all the time: the largest memory that it reported or took.

use forebay_tests::metrics::Metrics;
use forebay_tests::{Gateway, process};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const EVERY: Duration = Duration::from_millis(200);

/// The largest values seen, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peak {
    pub budget_used: f64,
    pub rss: u64,
    pub samples: u32,
}

/// Watches until it is asked.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Peak>,
}

impl Watch {
    pub fn over(gateway: &Gateway) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, pid, address) =
            (Arc::clone(&stop), gateway.pid().unwrap(), gateway.admin_url("/metrics"));
        let thread = thread::spawn(move || {
            let mut peak = Peak::default();
            while !stopped.load(Relaxed) {
                let page = ureq::get(&address).call().unwrap().body_mut().read_to_string().unwrap();
                let used = Metrics::parse(&page).unwrap().sum("forebay_memory_budget_used_bytes", &[]);
                peak.budget_used = peak.budget_used.max(used);
                peak.rss = peak.rss.max(process::rss_bytes(pid).unwrap());
                peak.samples += 1;
                thread::sleep(EVERY);
            }
            peak
        });
        Self { stop, thread }
    }

    /// What it has seen.
    pub fn peak(self) -> Peak {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap()
    }
}
