//! The lanes of one sink: one for each destination that has something to do, served in turn.

use super::lane::{Gather, Lane};
use super::queued::Queued;
use super::stats::{DeliveryState, DeliveryStats};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::time::Instant;

/// Most destinations of one sink that are served side by side. Further ones wait, in order of arrival, until one of these has
/// nothing left to do or is paused: a sink with very many destinations is slow, but it does not make very many small payloads.
pub const MAX_LANES: usize = 64;

/// Every destination with work, of which at most [`MAX_LANES`] are live.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: HashMap<Arc<str>, Lane>,
    /// The live ones; the front is served next.
    ring: VecDeque<Arc<str>>,
    /// The others, in order of arrival.
    behind: VecDeque<Arc<str>>,
    shares: usize,
    stats: Arc<DeliveryStats>,
}

impl Lanes {
    pub(super) fn new(stats: Arc<DeliveryStats>) -> Self {
        Self { lanes: HashMap::new(), ring: VecDeque::new(), behind: VecDeque::new(), shares: 0, stats }
    }

    /// Shares that wait.
    pub(super) fn shares(&self) -> usize {
        self.shares
    }

    /// No lane, not even one that waits for its pause to end.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Adds a share that has just come in (and is counted as waiting already).
    pub(super) fn push(&mut self, queued: Queued) {
        self.shares += 1;
        let destination = Arc::clone(&queued.share.destination);
        self.lane(&destination).push_back(queued);
    }

    /// Puts shares back where they came from, in front of all others, in their order.
    pub(super) fn put_back(&mut self, destination: &Arc<str>, shares: Vec<Queued>) {
        self.shares += shares.len();
        let stats = Arc::clone(&self.stats);
        let lane = self.lane(destination);
        for queued in shares.into_iter().rev() {
            stats.enqueued(1, queued.bytes);
            lane.push_front(queued);
        }
    }

    /// The lane of a destination, made if there is none.
    pub(super) fn lane(&mut self, destination: &Arc<str>) -> &mut Lane {
        if !self.lanes.contains_key(destination) {
            let list = if self.ring.len() < MAX_LANES { &mut self.ring } else { &mut self.behind };
            list.push_back(Arc::clone(destination));
        }
        self.lanes.entry(Arc::clone(destination)).or_default()
    }

    /// Lanes in which something waits.
    pub(super) fn waiting(&self) -> usize {
        self.lanes.values().filter(|lane| lane.len() > 0).count()
    }

    /// The next payload's shares, from the lane whose turn it is. They count as in flight from now on.
    pub(super) fn take(&mut self, gather: &Gather, now: Instant) -> Option<(Arc<str>, Vec<Queued>)> {
        for _ in 0..self.ring.len() {
            self.ring.rotate_left(1);
            let destination = Arc::clone(self.ring.back()?);
            let lane = self.lanes.get_mut(&destination)?;
            if lane.ready_at(gather, now).is_none_or(|at| at > now) {
                continue;
            }
            let before = lane.len();
            let shares = lane.take(gather, &self.stats);
            self.shares = self.shares + lane.len() - before;
            if shares.is_empty() {
                continue;
            }
            lane.departed(now);
            return Some((destination, shares));
        }
        None
    }

    /// The payload of this lane that left then is on its way no more.
    pub(super) fn landed(&mut self, destination: &Arc<str>, left: Instant, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(destination) {
            lane.landed(left);
            if lane.is_spent(now) {
                self.lanes.remove(destination);
                self.ring.retain(|name| name != destination);
            } else if lane.in_flight() == 0 && lane.recovery.is_paused(now) && !self.behind.is_empty() {
                // A destination that is not served must not keep others from being served.
                self.ring.retain(|name| name != destination);
                self.behind.push_back(Arc::clone(destination));
            }
        }
        self.promote();
    }

    fn promote(&mut self) {
        while self.ring.len() < MAX_LANES
            && let Some(destination) = self.behind.pop_front()
        {
            self.ring.push_back(destination);
        }
    }

    /// Payloads on their way that left before their destination failed. Only a live lane has any.
    pub(super) fn stragglers(&self) -> usize {
        self.ring.iter().filter_map(|name| Some(self.lanes.get(name)?.stragglers())).sum()
    }

    /// When a lane will be ready, if nothing else happens before.
    pub(super) fn ready_at(&self, gather: &Gather, now: Instant) -> Option<Instant> {
        self.ring.iter().filter_map(|name| self.lanes.get(name)?.ready_at(gather, now)).min()
    }

    /// Drops the shares that nobody waits for, and those of failing destinations (of all, if `all_fail`) that arrived before
    /// `horizon`; then the lanes that have nothing to do. Shares of a blocked destination go back to the journal that keeps them, so that
    /// they leave its window to other destinations.
    pub(super) fn sweep(&mut self, now: Instant, horizon: i64, all_fail: bool) {
        let stats = &self.stats;
        self.lanes.retain(|_, lane| {
            let reason = lane.recovery.state().reason().map(str::to_owned);
            let is_failing = all_fail || reason.is_some();
            let is_blocked = matches!(lane.recovery.state(), DeliveryState::Blocked { .. });
            lane.retain(stats, |queued| {
                if queued.is_given_up() {
                    stats.given_up_records.fetch_add(u64::from(queued.records), Relaxed);
                    return false;
                }
                if is_blocked && queued.share.claim.is_kept() {
                    return false;
                }
                let is_expired = is_failing && queued.is_expired(horizon);
                if is_expired {
                    queued.expire(reason.as_deref(), stats);
                }
                !is_expired
            });
            !lane.is_spent(now)
        });
        self.shares = self.lanes.values().map(Lane::len).sum();
        let lanes = &self.lanes;
        self.ring.retain(|name| lanes.contains_key(name));
        self.behind.retain(|name| lanes.contains_key(name));
        self.promote();
        let stuck: usize = self.lanes.values().map(Lane::stuck_bytes).sum();
        self.stats.stuck_bytes.store(stuck as u64, Relaxed);
    }

    /// The worst state of any lane.
    pub(super) fn state(&self) -> DeliveryState {
        let states = self.lanes.values().map(|lane| lane.recovery.state());
        states.fold(&DeliveryState::Ok, DeliveryState::worst).clone()
    }

    /// When the oldest of the shares arrived that are next in their lanes, nanoseconds since 1970.
    pub(super) fn oldest(&self) -> Option<i64> {
        self.lanes.values().filter_map(|lane| Some(lane.front()?.share.body.arrived)).min()
    }
}
