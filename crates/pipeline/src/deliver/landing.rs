//! What the dispatcher does when a task comes back.

use super::attempt::{self, Encoded, Sent};
use super::bounded;
use super::burial;
use super::dispatch::{Dispatcher, Prepared};
use super::flight::{Cargo, Flight, Step};
use super::queued::Queued;
use super::recovery::{Wait, delay};
use super::settle::{Answer, Settlement};
use super::stats::{DeliveryState, RetryKind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::time::Instant;

/// Weight of one payload in the learned expansion.
const EXPANSION_WEIGHT: f64 = 0.125;
/// No format makes a record smaller or larger than by this.
const EXPANSION_BOUNDS: (f64, f64) = (0.1, 100.0);

impl Dispatcher {
    /// A task is back with its step, or with none if it panicked.
    pub(super) fn landed(&mut self, cargo: Option<Cargo>, step: Option<Step>) {
        let now = Instant::now();
        self.is_stirred = true;
        let Some(cargo) = cargo else {
            return match step {
                Some(Step::Prepared(Ok(()))) => {
                    self.prepared = Prepared::Yes;
                    self.publish_state();
                }
                Some(Step::Prepared(Err(reason))) => self.prepare_again(now, reason),
                _ => self.prepare_again(now, "preparing it panicked".to_owned()),
            };
        };
        match step {
            Some(Step::Encoded(encoded)) => self.encoded(cargo, encoded, now),
            Some(Step::Sent(sent)) => self.sent(cargo, *sent, now),
            Some(Step::Buried | Step::Prepared(_)) => self.free(&cargo, now),
            None => {
                // What the task held is abandoned already; the wait keeps a poisonous payload from coming back in a circle.
                self.context.stats.panics.fetch_add(1, Relaxed);
                self.fail(&cargo.destination, now, "delivery panicked".to_owned());
                self.free(&cargo, now);
            }
        }
    }

    fn prepare_again(&mut self, now: Instant, reason: String) {
        let failures = match self.prepared {
            Prepared::Trying { failures } | Prepared::Again { failures, .. } => failures.saturating_add(1),
            Prepared::Yes => 1,
        };
        let name = &self.context.name;
        self.failures.log(now, |withheld| {
            tracing::warn!(sink = %name, %reason, withheld, "the sink cannot be prepared yet");
        });
        self.context.stats.set_sending(DeliveryState::Retrying { reason: bounded(reason) });
        self.prepared = Prepared::Again { failures, at: now + delay(&self.context.config.retry, failures) };
    }

    fn encoded(&mut self, cargo: Cargo, encoded: Encoded, now: Instant) {
        let Encoded { parcel, rest } = encoded;
        self.lanes.put_back(&cargo.destination, rest);
        let Some(parcel) = parcel else {
            self.fail(&cargo.destination, now, "the encoder took no record".to_owned());
            return self.free(&cargo, now);
        };
        if parcel.raw_bytes > 0 {
            let expansion = parcel.encoded_bytes as f64 / parcel.raw_bytes as f64;
            let expansion = expansion.clamp(EXPANSION_BOUNDS.0, EXPANSION_BOUNDS.1);
            self.expansion += (expansion - self.expansion) * EXPANSION_WEIGHT;
        }
        let context = Arc::clone(&self.context);
        let send = async move { Step::Sent(Box::new(attempt::send(context, parcel).await)) };
        self.flights.push(Flight::start("send", Some(cargo), send));
    }

    fn sent(&mut self, cargo: Cargo, sent: Sent, now: Instant) {
        let Sent { settlement: Settlement { answer, again, graves }, bytes, started, latency, lease } = sent;
        let destination = &cargo.destination;
        self.put_back(destination, again, answer.reason());
        if matches!(answer, Answer::Well) {
            self.limiter.delivered(started, now, bytes, latency);
        }
        self.heed(destination, started, now, answer);
        if graves.is_empty() {
            return self.free(&cargo, now);
        }
        let bury = burial::bury(Arc::clone(&self.context), graves, lease);
        let bury = async move {
            bury.await;
            Step::Buried
        };
        self.flights.push(Flight::start("bury", Some(cargo), bury));
    }

    /// What an answer means for its lane and for the number of payloads on their way.
    fn heed(&mut self, destination: &Arc<str>, started: Instant, now: Instant, answer: Answer) {
        let retry = &self.context.config.retry;
        let stats = &self.context.stats;
        let recovery = &mut self.lanes.lane(destination).recovery;
        match answer {
            Answer::TooLarge => {}
            Answer::Well => {
                let was_failing = recovery.state().reason().is_some();
                recovery.succeeded(started);
                if was_failing {
                    self.publish_state();
                }
            }
            Answer::Partly { reason } => {
                stats.count_retry(RetryKind::Partial);
                self.limiter.overloaded(started, now);
                recovery.stumbled(started, now, reason, retry);
                self.publish_state();
            }
            Answer::Failed { reason, after, overloaded } => {
                stats.count_retry(if overloaded { RetryKind::Overloaded } else { RetryKind::Failed });
                if overloaded {
                    self.limiter.overloaded(started, now);
                }
                self.log_failure(destination, now, &reason);
                let wait = Wait::backoff(&self.context.config.retry, after);
                self.lanes.lane(destination).recovery.failed(started, now, reason, wait);
                self.publish_state();
            }
            Answer::Blocked { reason } => {
                stats.count_retry(RetryKind::Blocked);
                let name = &self.context.name;
                self.blocks.log(now, |withheld| {
                    tracing::error!(sink = %name, %destination, %reason, withheld, "destination is blocked");
                });
                recovery.failed(started, now, reason, Wait::Blocked(retry.blocked_pause.0));
                self.publish_state();
            }
        }
    }

    /// A failure of this house, not of the sink.
    fn fail(&mut self, destination: &Arc<str>, now: Instant, reason: String) {
        self.log_failure(destination, now, &reason);
        let wait = Wait::backoff(&self.context.config.retry, None);
        self.lanes.lane(destination).recovery.failed(now, now, reason, wait);
        self.publish_state();
    }

    fn log_failure(&mut self, destination: &str, now: Instant, reason: &str) {
        let name = &self.context.name;
        self.failures.log(now, |withheld| {
            tracing::warn!(sink = %name, destination, reason, withheld, "delivery failed and is tried again");
        });
    }

    /// What must be sent again goes to the front of its lane, unless it has failed for too long.
    fn put_back(&mut self, destination: &Arc<str>, mut shares: Vec<Queued>, reason: Option<&str>) {
        let horizon = self.context.config.retry.horizon();
        let stats = &self.context.stats;
        shares.retain_mut(|queued| {
            let is_expired = queued.is_expired(horizon);
            if is_expired {
                queued.expire(reason, stats);
            }
            !is_expired
        });
        self.lanes.put_back(destination, shares);
    }

    /// A payload's place on the way is free again.
    fn free(&mut self, cargo: &Cargo, now: Instant) {
        self.busy -= 1;
        self.lanes.landed(&cargo.destination, cargo.left, now);
    }
}
