//! How many payloads may be on their way at once: additive increase, multiplicative decrease.

use super::config::ConcurrencyConfig;
use std::time::Duration;
use tokio::time::Instant;

/// What is left of the limit when the sink says that it is overloaded.
const AFTER_OVERLOAD: f64 = 0.5;
/// What is left of it when answers have become slow.
const AFTER_SLOWNESS: f64 = 0.9;

/// The limit on payloads in flight. Starts at its maximum.
#[derive(Debug)]
pub(super) struct Limiter {
    min: f64,
    max: f64,
    limit: f64,
    decreased_at: Option<Instant>,
    latency: Latency,
}

impl Limiter {
    pub(super) fn new(config: &ConcurrencyConfig) -> Self {
        let (min, max) = (f64::from(config.min), f64::from(config.max));
        Self { min, max, limit: max, decreased_at: None, latency: Latency::default() }
    }

    /// Payloads that may be in flight.
    pub(super) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Payloads that may ever be in flight.
    pub(super) fn most(&self) -> usize {
        self.max as usize
    }

    /// Payloads that one destination may have in flight: a quarter is left to the others, because payloads that hang cannot be
    /// called back when somebody else needs their place.
    pub(super) fn window(&self) -> usize {
        let limit = self.limit();
        limit - limit / 4
    }

    /// A payload of `bytes`, sent at `started`, was answered well after `latency`.
    pub(super) fn delivered(&mut self, started: Instant, now: Instant, bytes: usize, latency: Duration) {
        if self.latency.is_slow(bytes, latency) {
            self.decrease(started, now, AFTER_SLOWNESS);
        } else {
            self.limit = (self.limit + self.limit.recip()).min(self.max);
        }
    }

    /// The sink called itself overloaded in answer to a payload sent at `started`.
    pub(super) fn overloaded(&mut self, started: Instant, now: Instant) {
        self.decrease(started, now, AFTER_OVERLOAD);
    }

    /// Once per round trip: a payload that left before the last decrease says nothing about the limit since.
    fn decrease(&mut self, started: Instant, now: Instant, factor: f64) {
        if self.decreased_at.is_some_and(|at| started <= at) {
            return;
        }
        self.limit = (self.limit * factor).max(self.min);
        self.decreased_at = Some(now);
        self.latency.forget_recent();
    }
}

/// Answers quicker than this are all the same: below it, the noise of this machine is louder than the sink.
const QUICK: Duration = Duration::from_millis(5);
/// Answers are slow when, on the recent average, they take so many times as long as they used to.
const SLOW_RATIO: f64 = 2.0;
/// A single answer counts as at most so many times the usual, so that one outlier decides nothing.
const MOST_RATIO: f64 = 4.0;
/// Answers over which the usual and the recent are averaged.
const USUAL: f64 = 64.0;
const RECENT: f64 = 8.0;
/// Payloads are compared with those of their size: one class for each power of two.
const SIZE_CLASSES: usize = usize::BITS as usize + 1;

/// Tells slow answers from usual ones.
#[derive(Debug)]
struct Latency {
    classes: [Class; SIZE_CLASSES],
    /// The recent average of an answer's time over the usual one.
    recent: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Class {
    usual: f64,
    seen: f64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { classes: [Class::default(); SIZE_CLASSES], recent: 1.0 }
    }
}

impl Latency {
    fn is_slow(&mut self, bytes: usize, latency: Duration) -> bool {
        let seconds = latency.max(QUICK).as_secs_f64();
        let class = &mut self.classes[(usize::BITS - bytes.leading_zeros()) as usize];
        if class.seen == 0.0 {
            class.usual = seconds;
        }
        let ratio = (seconds / class.usual).min(MOST_RATIO);
        class.seen = (class.seen + 1.0).min(USUAL);
        class.usual += (ratio - 1.0) * class.usual / class.seen;
        self.recent += (ratio - self.recent) / RECENT;
        self.recent > SLOW_RATIO
    }

    fn forget_recent(&mut self) {
        self.recent = 1.0;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn limiter(min: u32, max: u32) -> Limiter {
        Limiter::new(&ConcurrencyConfig { min, max })
    }

    #[derive(Clone, Debug)]
    enum Event {
        Delivered { trip: u64, bytes: usize },
        Overloaded { trip: u64 },
    }

    fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
        let event = prop_oneof![
            (1u64..5_000, any::<usize>()).prop_map(|(trip, bytes)| Event::Delivered { trip, bytes }),
            (1u64..5_000).prop_map(|trip| Event::Overloaded { trip }),
        ];
        prop::collection::vec((0u64..500, event), 1..300)
    }

    proptest! {
        #[test]
        fn the_limit_stays_in_its_bounds_and_falls_once_per_round_trip(
            min in 1u32..5,
            more in 0u32..60,
            events in events(),
        ) {
            let mut limiter = limiter(min, min + more);
            let mut now = Instant::now() + Duration::from_secs(10);
            let mut fell_at: Option<Instant> = None;
            for (pause, event) in events {
                now += MS * pause as u32;
                let (Event::Delivered { trip, .. } | Event::Overloaded { trip }) = event;
                let started = now - MS * trip as u32;
                let before = limiter.limit;
                match event {
                    Event::Delivered { bytes, .. } => limiter.delivered(started, now, bytes, MS * trip as u32),
                    Event::Overloaded { .. } => limiter.overloaded(started, now),
                }
                prop_assert!((min as usize..=(min + more) as usize).contains(&limiter.limit()));
                prop_assert!((1..=limiter.limit()).contains(&limiter.window()));
                if limiter.limit < before {
                    prop_assert!(limiter.limit >= before * 0.5);
                    prop_assert!(fell_at.is_none_or(|at| started > at), "fell twice in one round trip");
                    fell_at = Some(now);
                }
            }
        }
    }

    #[test]
    fn overload_halves_and_successes_restore_one_by_one() {
        let mut limiter = limiter(1, 8);
        let now = Instant::now() + MS;
        limiter.overloaded(now, now + MS);
        assert_eq!(limiter.limit(), 4);
        for _ in 0..5 {
            limiter.delivered(now + MS, now + 2 * MS, 1_000, MS);
        }
        assert_eq!(limiter.limit(), 5);
        for _ in 0..100 {
            limiter.delivered(now + MS, now + 2 * MS, 1_000, MS);
        }
        assert_eq!(limiter.limit(), 8);
    }

    #[test]
    fn a_lone_outlier_changes_nothing_but_lasting_slowness_does() {
        let mut limiter = limiter(1, 8);
        let mut now = Instant::now();
        let mut answer = |bytes, latency: Duration| {
            now += latency;
            limiter.delivered(now - latency + Duration::from_nanos(1), now, bytes, latency);
            limiter.limit()
        };
        for _ in 0..64 {
            assert_eq!(answer(1 << 20, 20 * MS), 8);
        }
        assert_eq!(answer(1 << 20, 20_000 * MS), 8);
        let slow: Vec<usize> = (0..12).map(|_| answer(1 << 20, 100 * MS)).collect();
        assert!(slow.iter().min().unwrap() < &8, "{slow:?}");
        assert!(slow.iter().min().unwrap() >= &4, "gently: {slow:?}");
    }

    #[test]
    fn large_payloads_are_not_slow_because_small_ones_are_quick() {
        let mut limiter = limiter(1, 8);
        let now = Instant::now();
        for _ in 0..64 {
            limiter.delivered(now, now, 1_000, 10 * MS);
        }
        for _ in 0..64 {
            limiter.delivered(now, now, 4 << 20, 400 * MS);
        }
        assert_eq!(limiter.limit(), 8);
    }
}
