//! How fast a sink takes what waits for it, so that it can be told how long a newcomer would wait.

use super::stats::DeliveryStats;
use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::Instant;

/// Periods that are remembered. Together they are longer than a slow answer takes, so that the pace of a sink that takes few large
/// payloads does not jump.
const PERIODS: usize = 8;

/// What left the queue in the last few periods in which it was never empty. A queue that runs empty says what clients send and not what
/// the sink can take, so all is forgotten then.
#[derive(Debug)]
pub(super) struct Pace {
    began: Instant,
    /// Of `taken_bytes`, when the period began.
    taken: u64,
    ran_empty: bool,
    periods: VecDeque<(Duration, u64)>,
}

impl Pace {
    pub(super) fn new(now: Instant, stats: &DeliveryStats) -> Self {
        stats.pace.store(0, Relaxed);
        Self { began: now, taken: stats.taken_bytes.load(Relaxed), ran_empty: true, periods: VecDeque::new() }
    }

    /// Nothing waits.
    pub(super) fn ran_empty(&mut self, stats: &DeliveryStats) {
        if !self.ran_empty {
            self.ran_empty = true;
            self.periods.clear();
            stats.pace.store(0, Relaxed);
        }
    }

    /// Ends a period.
    pub(super) fn turn(&mut self, now: Instant, stats: &DeliveryStats) {
        let taken = stats.taken_bytes.load(Relaxed);
        let period = (now - self.began, taken - self.taken);
        (self.began, self.taken) = (now, taken);
        if std::mem::take(&mut self.ran_empty) {
            return;
        }
        if self.periods.len() == PERIODS {
            self.periods.pop_front();
        }
        self.periods.push_back(period);
        let time: Duration = self.periods.iter().map(|(time, _)| *time).sum();
        let bytes: u64 = self.periods.iter().map(|(_, bytes)| *bytes).sum();
        let pace = bytes as f64 / time.as_secs_f64().max(f64::EPSILON);
        // A sink that takes nothing has a pace too.
        stats.pace.store((pace as u64).max(1), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(500);

    #[test]
    fn the_wait_is_known_once_the_queue_was_never_empty_for_a_period() {
        let stats = DeliveryStats::default();
        let mut now = Instant::now();
        let mut pace = Pace::new(now, &stats);
        let mut turn = |pace: &mut Pace, bytes: usize| {
            stats.taken_bytes.fetch_add(bytes as u64, Relaxed);
            now += PERIOD;
            pace.turn(now, &stats);
        };
        stats.enqueued(1, 4_000);
        turn(&mut pace, 100);
        assert_eq!(stats.wait(), Duration::ZERO, "it had been empty when the period began");
        turn(&mut pace, 500);
        assert_eq!(stats.wait(), Duration::from_secs(4), "4,000 bytes at 1,000 a second");
        stats.stuck_bytes.store(3_000, Relaxed);
        assert_eq!(stats.wait(), Duration::from_secs(1));
        turn(&mut pace, 1_500);
        assert_eq!(stats.wait(), Duration::from_millis(500), "the mean of two periods");
        pace.ran_empty(&stats);
        assert_eq!(stats.wait(), Duration::ZERO);
    }

    #[test]
    fn destinations_that_share_few_slots_wait_their_turn_and_that_is_no_overload() {
        let stats = DeliveryStats::default();
        stats.enqueued(1, 4_000);
        stats.pace.store(1_000, Relaxed);
        stats.limit.store(8, Relaxed);
        for (lanes, wait) in [(0, 4_000), (8, 4_000), (16, 2_000), (32, 1_000)] {
            stats.lanes.store(lanes, Relaxed);
            assert_eq!(stats.wait(), Duration::from_millis(wait), "{lanes}");
        }
        stats.gathering_nanos.store(300_000_000, Relaxed);
        assert_eq!(stats.wait(), Duration::from_millis(700), "a third of a second is meant to pass");
    }

    #[test]
    fn a_sink_that_takes_nothing_is_waited_for_very_long() {
        let stats = DeliveryStats::default();
        let now = Instant::now();
        let mut pace = Pace::new(now, &stats);
        stats.enqueued(1, 4_000);
        pace.turn(now + PERIOD, &stats);
        pace.turn(now + 2 * PERIOD, &stats);
        assert!(stats.wait() > Duration::from_secs(3_000));
    }
}
