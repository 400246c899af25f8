//! Keeps a fault that repeats from flooding the log.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// The shortest time between two lines of one call site.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// One call site's permission to log: at most one line per [`INTERVAL`].
#[derive(Debug, Default)]
pub struct RateLimited(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    suppressed: u64,
}

impl RateLimited {
    /// Whether a line may be written now. If so: how many were suppressed since the last one.
    pub fn permit(&self) -> Option<u64> {
        self.permit_at(Instant::now())
    }

    fn permit_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        if state.last.is_some_and(|last| now.saturating_duration_since(last) < INTERVAL) {
            state.suppressed += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_interval_and_it_counts_those_left_out() {
        let limit = RateLimited::default();
        let start = Instant::now();
        assert_eq!(limit.permit_at(start), Some(0));
        assert_eq!(limit.permit_at(start + INTERVAL / 2), None);
        assert_eq!(limit.permit_at(start + INTERVAL / 2), None);
        assert_eq!(limit.permit_at(start + INTERVAL), Some(2));
        assert_eq!(limit.permit_at(start + INTERVAL * 2), Some(0));
    }
}
