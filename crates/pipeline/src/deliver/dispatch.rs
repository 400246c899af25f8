//! The dispatcher of one sink: one task that decides what is sent when, and leaves all work on payloads to others.

use super::attempt::{self, Context};
use super::flight::{Cargo, Flight, Step};
use super::lane::Gather;
use super::lanes::Lanes;
use super::limiter::Limiter;
use super::pace::Pace;
use super::queued::Queued;
use super::throttle::Throttle;
use crate::planted;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::{OwnedMutexGuard, mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// Shares taken from the inbox at a time.
const INTAKE: usize = 512;
/// How often what nobody waits for any more is looked for, and the slower gauges are set.
const SWEEP: Duration = Duration::from_millis(500);
/// The first guess at how much larger a record is as the sink takes it than as it arrived.
const FIRST_EXPANSION: f64 = 2.0;

/// Whether the sink has what it needs before the first send.
#[derive(Clone, Copy, Debug)]
pub(super) enum Prepared {
    Yes,
    Trying {
        failures: u32,
    },
    /// Failed so often; to be tried again then.
    Again {
        failures: u32,
        at: Instant,
    },
}

#[derive(Debug)]
pub(super) struct Dispatcher {
    pub(super) context: Arc<Context>,
    inbox: OwnedMutexGuard<mpsc::Receiver<Queued>>,
    /// Most shares in the lanes before the inbox is left alone.
    room: usize,
    pub(super) lanes: Lanes,
    pub(super) flights: FuturesUnordered<Flight>,
    /// Flights that carry a payload.
    pub(super) busy: usize,
    pub(super) limiter: Limiter,
    /// Encoded bytes for each byte as it arrived, learned.
    pub(super) expansion: f64,
    pub(super) prepared: Prepared,
    draining: watch::Receiver<Option<Instant>>,
    deadline: Option<Instant>,
    /// No more shares will come.
    is_closed: bool,
    sweep_at: Instant,
    pace: Pace,
    /// Something happened since the last sweep.
    pub(super) is_stirred: bool,
    pub(super) failures: Throttle,
    pub(super) blocks: Throttle,
}

impl Dispatcher {
    pub(super) fn new(
        context: Arc<Context>,
        inbox: OwnedMutexGuard<mpsc::Receiver<Queued>>,
        draining: watch::Receiver<Option<Instant>>,
        room: usize,
    ) -> Self {
        let now = Instant::now();
        let batch = &context.config.batch;
        let gathering = if batch.min_bytes.as_usize() > 0 { batch.max_age.0 } else { Duration::ZERO };
        context.stats.gathering_nanos.store(gathering.as_nanos() as u64, Relaxed);
        Self {
            limiter: Limiter::new(&context.config.concurrency),
            lanes: Lanes::new(Arc::clone(&context.stats)),
            pace: Pace::new(now, &context.stats),
            context,
            inbox,
            room,
            flights: FuturesUnordered::new(),
            busy: 0,
            expansion: FIRST_EXPANSION,
            prepared: Prepared::Again { failures: 0, at: now },
            draining,
            deadline: None,
            is_closed: false,
            sweep_at: now + SWEEP,
            is_stirred: false,
            failures: Throttle::default(),
            blocks: Throttle::default(),
        }
    }

    /// Runs until no more shares can come and all are settled (true), or until the end of a drain (false).
    pub(super) async fn run(mut self) -> bool {
        let mut received = Vec::with_capacity(INTAKE);
        loop {
            let now = Instant::now();
            if self.deadline.is_some_and(|deadline| deadline <= now) {
                self.call_off().await;
                return false;
            }
            if self.sweep_at <= now {
                self.sweep(now);
            }
            planted::pass("dispatcher");
            self.launch(now);
            self.publish();
            if self.is_closed && self.busy == 0 && self.lanes.shares() == 0 {
                return true;
            }
            let wake_at = self.wake_at(now);
            let has_room = !self.is_closed && self.lanes.shares() < self.room;
            tokio::select! {
                biased;
                asked = self.draining.changed(), if !self.inbox.is_closed() => {
                    self.inbox.close();
                    self.deadline = asked.ok().and_then(|()| *self.draining.borrow());
                }
                Some((cargo, step)) = self.flights.next(), if !self.flights.is_empty() => self.landed(cargo, step),
                count = self.inbox.recv_many(&mut received, INTAKE), if has_room => {
                    self.is_closed = count == 0;
                    received.drain(..).for_each(|queued| self.lanes.push(queued));
                }
                () = sleep_until(wake_at) => {}
            }
        }
    }

    /// When to look again, if nothing happens before.
    fn wake_at(&self, now: Instant) -> Instant {
        let lanes = if self.has_slot() { self.lanes.ready_at(&self.gather(), now) } else { None };
        let prepare = match self.prepared {
            Prepared::Again { at, .. } => Some(at),
            Prepared::Yes | Prepared::Trying { .. } => None,
        };
        let is_idle = self.lanes.is_empty() && !self.is_stirred;
        // Woken by events alone; an hour stands for never.
        let sweep = if is_idle { now + Duration::from_secs(3_600) } else { self.sweep_at };
        [lanes, prepare, self.deadline].into_iter().flatten().fold(sweep, Instant::min)
    }

    /// Whether one more payload may leave. Beyond the limit that was found out, but not beyond the configured one, it may if all that are
    /// on their way left before a failure: if these hang, nothing else could show that the sink is well again.
    fn has_slot(&self) -> bool {
        let is_free = || {
            self.busy < self.limiter.limit()
                || self.busy < self.limiter.most() && self.busy == self.lanes.stragglers()
        };
        matches!(self.prepared, Prepared::Yes) && is_free()
    }

    fn gather(&self) -> Gather {
        let batch = &self.context.config.batch;
        Gather {
            max_bytes: (batch.max_bytes.as_usize() as f64 / self.expansion) as usize,
            max_records: batch.max_records,
            min_bytes: if self.inbox.is_closed() { 0 } else { batch.min_bytes.as_usize() },
            max_age: batch.max_age.0,
            window: self.limiter.window(),
        }
    }

    /// Fills the free slots.
    fn launch(&mut self, now: Instant) {
        if let Prepared::Again { failures, at } = self.prepared
            && at <= now
        {
            self.prepared = Prepared::Trying { failures };
            let context = Arc::clone(&self.context);
            let prepare = async move { Step::Prepared(context.sink.prepare().await) };
            self.flights.push(Flight::start("prepare", None, prepare));
        }
        let gather = self.gather();
        while self.has_slot() {
            let Some((destination, shares)) = self.lanes.take(&gather, now) else { break };
            self.busy += 1;
            let oldest = shares.iter().map(|queued| queued.share.body.arrived).min().unwrap_or_default();
            let encode = attempt::encode(Arc::clone(&self.context), Arc::clone(&destination), shares);
            let encode = async move { Step::Encoded(encode.await) };
            self.flights.push(Flight::start(
                "encode",
                Some(Cargo { destination, oldest, left: now }),
                encode,
            ));
        }
    }

    fn sweep(&mut self, now: Instant) {
        let horizon = self.context.config.retry.horizon();
        self.lanes.sweep(now, horizon, !matches!(self.prepared, Prepared::Yes));
        self.sweep_at = now + SWEEP;
        if self.context.stats.all_is_stuck() {
            // What is left waits for its destination to be mended, and says nothing of how fast the others are served.
            self.pace.ran_empty(&self.context.stats);
        }
        self.pace.turn(now, &self.context.stats);
        self.context.stats.lanes.store(self.lanes.waiting() as u64, Relaxed);
        self.is_stirred = false;
        self.publish_state();
        let on_the_way = self.flights.iter().filter_map(|flight| Some(flight.cargo()?.oldest)).min();
        let oldest = [self.lanes.oldest(), on_the_way].into_iter().flatten().min();
        self.context.stats.oldest.store(oldest.unwrap_or_default(), Relaxed);
    }

    fn publish(&mut self) {
        let stats = &self.context.stats;
        if self.lanes.shares() == 0 {
            self.pace.ran_empty(stats);
        }
        stats.in_flight.store(self.busy as u64, Relaxed);
        stats.limit.store(self.limiter.limit() as u64, Relaxed);
        stats.prepared.store(matches!(self.prepared, Prepared::Yes), Relaxed);
    }

    /// Sets the state from the lanes', unless the sink cannot be prepared, which says more.
    pub(super) fn publish_state(&self) {
        if matches!(self.prepared, Prepared::Yes) {
            self.context.stats.set_sending(self.lanes.state());
        }
    }

    /// Ends all tasks, and waits until what they held is abandoned.
    async fn call_off(&mut self) {
        self.flights.iter().for_each(Flight::call_off);
        while self.flights.next().await.is_some() {}
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        let stats = &self.context.stats;
        for gauge in [&stats.in_flight, &stats.queued_shares, &stats.queued_bytes, &stats.pace] {
            gauge.store(0, Relaxed);
        }
        stats.oldest.store(0, Relaxed);
    }
}
