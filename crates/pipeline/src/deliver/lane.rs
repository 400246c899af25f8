//! What waits for one destination.

use super::queued::Queued;
use super::recovery::Recovery;
use super::stats::DeliveryStats;
use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::Instant;

/// What a payload is gathered by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gather {
    /// Most bytes as they arrived, so that the payload is about as large as it may be.
    pub max_bytes: usize,
    pub max_records: u32,
    /// Bytes to wait for, and how long. Zero bytes: no waiting.
    pub min_bytes: usize,
    pub max_age: Duration,
    /// Payloads that one lane may have in flight.
    pub window: usize,
}

/// The shares that wait for one destination, oldest first, and how the destination fares.
#[derive(Debug, Default)]
pub(super) struct Lane {
    queue: VecDeque<Queued>,
    bytes: usize,
    /// When the payloads left that are on their way.
    departures: Vec<Instant>,
    pub recovery: Recovery,
}

impl Lane {
    pub(super) fn push_back(&mut self, queued: Queued) {
        self.bytes += queued.bytes;
        self.queue.push_back(queued);
    }

    pub(super) fn push_front(&mut self, queued: Queued) {
        self.bytes += queued.bytes;
        self.queue.push_front(queued);
    }

    /// Shares that wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// The share that waits longest.
    pub(super) fn front(&self) -> Option<&Queued> {
        self.queue.front()
    }

    /// A payload leaves.
    pub(super) fn departed(&mut self, now: Instant) {
        self.departures.push(now);
    }

    /// The payload that left then is on its way no more.
    pub(super) fn landed(&mut self, left: Instant) {
        if let Some(at) = self.departures.iter().position(|departure| *departure == left) {
            self.departures.swap_remove(at);
        }
    }

    /// Payloads on their way.
    pub(super) fn in_flight(&self) -> usize {
        self.departures.len()
    }

    /// Payloads on their way that left before the last failure, while the destination is probed. They may hang, and prove nothing when
    /// they come back.
    pub(super) fn stragglers(&self) -> usize {
        if !self.recovery.is_probing() {
            return 0;
        }
        self.departures.iter().filter(|left| !self.recovery.proves(**left)).count()
    }

    /// Bytes that wait for the destination to recover.
    pub(super) fn stuck_bytes(&self) -> usize {
        if self.recovery.is_probing() { self.bytes } else { 0 }
    }

    /// Nothing to do and nothing to remember.
    pub(super) fn is_spent(&self, now: Instant) -> bool {
        self.queue.is_empty() && self.in_flight() == 0 && !self.recovery.is_paused(now)
    }

    /// From when on a payload may leave, if nothing else happens; `None` if only an event can change that.
    pub(super) fn ready_at(&self, gather: &Gather, now: Instant) -> Option<Instant> {
        let oldest = self.queue.front()?;
        let window = if self.recovery.is_probing() { 1 } else { gather.window };
        // One that hangs from before the failure must not keep the probe from leaving: its time limit is a minute by default.
        if self.in_flight() - self.stragglers() >= window {
            return None;
        }
        let gathered = if self.bytes >= gather.min_bytes { now } else { oldest.since + gather.max_age };
        Some(self.recovery.until().map_or(gathered, |until| until.max(gathered)))
    }

    /// Takes the shares of the next payload. Those that nobody waits for any more are dropped, which abandons them.
    pub(super) fn take(&mut self, gather: &Gather, stats: &DeliveryStats) -> Vec<Queued> {
        let mut taken: Vec<Queued> = Vec::new();
        let mut bytes = 0;
        let mut records = 0;
        while bytes < gather.max_bytes && records < gather.max_records {
            let piece = taken.first().map(|first| first.piece);
            let Some(mut next) =
                self.queue.pop_front_if(|next| piece.is_none_or(|piece| next.piece == piece))
            else {
                break;
            };
            self.bytes -= next.bytes;
            stats.dequeued(1, next.bytes);
            if next.is_given_up() {
                stats.given_up_records.fetch_add(u64::from(next.records), Relaxed);
                continue;
            }
            if let Some(rest) = next.split_off(gather.max_records - records) {
                stats.enqueued(1, rest.bytes);
                self.push_front(rest);
            }
            bytes += next.bytes;
            records += next.records;
            stats.taken_bytes.fetch_add(next.bytes as u64, Relaxed);
            taken.push(next);
        }
        taken
    }

    /// Drops the shares that `keep` does not keep.
    pub(super) fn retain(&mut self, stats: &DeliveryStats, mut keep: impl FnMut(&mut Queued) -> bool) {
        let bytes = &mut self.bytes;
        self.queue.retain_mut(|queued| {
            let kept = keep(queued);
            if !kept {
                *bytes -= queued.bytes;
                stats.dequeued(1, queued.bytes);
            }
            kept
        });
    }
}
