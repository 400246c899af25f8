//! Has the allocator give back what it keeps, where memory is getting short.
//!
//! What it keeps is memory that no lease counts: bodies of less than 256 KiB that have gone, beside large ones that have come in their place and lie in mappings,
//! took the process to nearly twice its budget. `tests/tests/faults/stalled.rs` shows that it does not now. mimalloc's delay before it gives back
//! by itself (a second) stays as it is: shorter ones, from 10 to 250 ms, cost 0.05 to 0.13 CPU-seconds per million records in loads that are far from any limit.

// mimalloc's crate has no safe call for it.
#![allow(unsafe_code)]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Least time between two times, in milliseconds: each looks at all that is kept.
const PAUSE_MS: u64 = 50;

unsafe extern "C" {
    fn mi_collect(force: bool);
}

/// Has memory without content given back, unless that was done a moment ago.
pub fn give_back() {
    static LAST: AtomicU64 = AtomicU64::new(0);
    if is_due(&LAST, now()) {
        // SAFETY: `mimalloc.h` declares it so, and the allocator is linked. It may be called by any thread at any time, and frees nothing that is in use.
        unsafe { mi_collect(true) }
    }
}

/// Whether `last` is long enough ago; then it is `now`, and nobody else is told so.
fn is_due(last: &AtomicU64, now: u64) -> bool {
    let before = last.load(Relaxed);
    now >= before + PAUSE_MS && last.compare_exchange(before, now, Relaxed, Relaxed).is_ok()
}

/// Milliseconds of this process, from [`PAUSE_MS`] on.
fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as u64 + PAUSE_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_many_gives_back_and_not_again_at_once() {
        let last = AtomicU64::new(0);
        let told: Vec<bool> = [50, 50, 99, 100, 149, 150].map(|now| is_due(&last, now)).into();
        assert_eq!(told, [true, false, false, true, false, true]);
        give_back();
    }
}
