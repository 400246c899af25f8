//! What the process itself uses, and how near it is to what it can do.

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::time::{Duration, Instant};

/// Two looks that are closer than this are one: a share of so short a time says nothing.
const SHORTEST_LOOK: Duration = Duration::from_secs(1);

/// Looks at the process from time to time.
#[derive(Debug)]
pub struct Process {
    cpus: f64,
    last: Mutex<Look>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    cpu: Duration,
    /// Of the time before it, in parts of all CPUs.
    busy: f64,
}

impl Process {
    /// Begins to look.
    pub fn new() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1.0, |cpus| cpus.get() as f64);
        Self { cpus, last: Mutex::new(Look { at: Instant::now(), cpu: cpu_time(), busy: 0.0 }) }
    }

    /// The part of the CPU time that this process may have which it had since the last look.
    pub fn busy(&self) -> f64 {
        let mut last = self.last.lock();
        let (now, cpu) = (Instant::now(), cpu_time());
        let passed = now - last.at;
        if passed >= SHORTEST_LOOK {
            let busy = (cpu - last.cpu).as_secs_f64() / passed.as_secs_f64() / self.cpus;
            *last = Look { at: now, cpu, busy: busy.min(1.0) };
        }
        last.busy
    }
}

/// User and system time of all threads so far.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Bytes of memory that are really there; 0 where that cannot be read.
pub fn resident_bytes() -> u64 {
    // proc(5), /proc/pid/statm: the second field, in pages.
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_seen() {
        let process = Process::new();
        let until = Instant::now() + SHORTEST_LOOK;
        let before = cpu_time();
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        let busy = process.busy();
        assert!(busy > 0.0 && busy <= 1.0, "{busy}");
        assert_eq!(process.busy().to_bits(), busy.to_bits(), "a second look at once says the same");
        assert!(cpu_time() > before && resident_bytes() > 1 << 20);
    }
}
