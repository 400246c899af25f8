//! After a failure: wait, try with a single payload, and return to full use once that succeeds.

use super::config::RetryConfig;
use super::stats::DeliveryState;
use std::time::Duration;
use tokio::time::Instant;

/// The longest wait that a sink may ask for. A slip in somebody's `Retry-After` must not stop delivery for a day.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

/// Beyond so many doublings every wait is at its maximum.
const MOST_DOUBLINGS: u32 = 20;

/// Exponential backoff with full jitter: after `failures` of them in a row (from 1), anything up to `initial` doubled for each
/// further failure, at most `max`. Jitter over the whole span keeps many senders from coming back together.
pub(super) fn delay(retry: &RetryConfig, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(MOST_DOUBLINGS);
    retry.initial.0.saturating_mul(1 << doublings).min(retry.max.0).mul_f64(rand::random())
}

/// How one destination recovers from failures.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    failures: u32,
    failed_at: Option<Instant>,
    until: Option<Instant>,
    state: DeliveryState,
}

impl Recovery {
    /// Nothing is sent before this.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Waiting still.
    pub(super) fn is_paused(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until > now)
    }

    /// One payload at a time, until one succeeds.
    pub(super) fn is_probing(&self) -> bool {
        self.failures > 0
    }

    /// What is wrong, if anything is.
    pub(super) fn state(&self) -> &DeliveryState {
        &self.state
    }

    /// A payload sent at `started` failed as a whole.
    pub(super) fn failed(&mut self, started: Instant, now: Instant, reason: String, wait: Wait<'_>) {
        // Payloads that were on their way together fail together: one failure, not several in a row.
        let is_new = self.failures == 0 || self.proves(started);
        if is_new {
            self.failures = self.failures.saturating_add(1);
            self.failed_at = Some(now);
        }
        let pause = match wait {
            Wait::Blocked(pause) => pause,
            Wait::Backoff(retry, after) if is_new => delay(retry, self.failures).max(after),
            Wait::Backoff(_, after) => after,
        };
        self.state = match wait {
            Wait::Blocked(_) => DeliveryState::Blocked { reason },
            Wait::Backoff(..) => DeliveryState::Retrying { reason },
        };
        self.pause(now + pause);
    }

    /// Some records of a payload failed while others were taken: a breath, but the destination is alive.
    pub(super) fn stumbled(&mut self, started: Instant, now: Instant, reason: String, retry: &RetryConfig) {
        if self.succeeded(started) {
            self.failed_at = Some(now);
            self.pause(now + delay(retry, 1));
            self.state = DeliveryState::Retrying { reason };
        }
    }

    /// A payload sent at `started` was taken. False if it left before the last failure, so that it proves nothing.
    pub(super) fn succeeded(&mut self, started: Instant) -> bool {
        let proves = self.proves(started);
        if proves {
            *self = Self::default();
        }
        proves
    }

    /// Whether a payload of this time left after the last failure, so that its fate says something new.
    pub(super) fn proves(&self, started: Instant) -> bool {
        self.failed_at.is_none_or(|at| started >= at)
    }

    fn pause(&mut self, until: Instant) {
        self.until = self.until.max(Some(until));
    }
}

/// How long to wait after a failure.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait<'r> {
    /// By exponential backoff, and at least so long as the sink asked for.
    Backoff(&'r RetryConfig, Duration),
    /// For as long as a blocked destination rests.
    Blocked(Duration),
}

impl<'r> Wait<'r> {
    /// By backoff, and at least for `after`, if the sink asked for that.
    pub(super) fn backoff(retry: &'r RetryConfig, after: Option<Duration>) -> Self {
        Self::Backoff(retry, after.unwrap_or_default().min(LONGEST_RETRY_AFTER))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn wait(retry: &RetryConfig) -> Wait<'_> {
        Wait::backoff(retry, None)
    }

    #[test]
    fn delays_grow_to_their_maximum_and_are_spread_over_the_whole_span() {
        let retry = RetryConfig::default();
        for (failures, longest) in [(1, 100), (2, 200), (4, 800), (6, 3_200), (7, 5_000), (u32::MAX, 5_000)] {
            let longest = Duration::from_millis(longest);
            let delays: Vec<Duration> = (0..200).map(|_| delay(&retry, failures)).collect();
            assert!(delays.iter().all(|delay| *delay <= longest));
            // Each of these is missed by chance once in 10^9.
            assert!(delays.iter().any(|delay| *delay > longest.mul_f64(0.9)));
            assert!(delays.iter().any(|delay| *delay < longest.mul_f64(0.1)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_together_is_one_failure() {
        let retry = RetryConfig::default();
        let mut recovery = Recovery::default();
        let started = Instant::now();
        for _ in 0..6 {
            tokio::time::advance(Duration::from_millis(1)).await;
            recovery.failed(started, Instant::now(), "down".to_owned(), wait(&retry));
        }
        assert_eq!(recovery.failures, 1);
        recovery.failed(Instant::now(), Instant::now(), "down".to_owned(), wait(&retry));
        assert_eq!(recovery.failures, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_from_before_the_failure_proves_nothing() {
        let mut recovery = Recovery::default();
        let early = Instant::now();
        tokio::time::advance(Duration::from_millis(1)).await;
        recovery.failed(early, Instant::now(), "down".to_owned(), wait(&RetryConfig::default()));
        recovery.succeeded(early);
        assert!(recovery.is_probing());
        recovery.succeeded(Instant::now());
        assert!(!recovery.is_probing());
        assert_eq!(*recovery.state(), DeliveryState::Ok);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sink_may_ask_for_a_longer_wait_but_not_for_ever() {
        let retry = RetryConfig::default();
        let now = Instant::now();
        for (after, least) in [(20, 20), (u64::MAX, 600)] {
            let mut recovery = Recovery::default();
            let after = Some(Duration::from_secs(after));
            recovery.failed(now, now, "busy".to_owned(), Wait::backoff(&retry, after));
            assert_eq!(recovery.until().unwrap() - now, Duration::from_secs(least));
        }
    }
}
