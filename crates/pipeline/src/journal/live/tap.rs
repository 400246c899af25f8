//! A tap: what one sink draws from the journal, how much of it is on its way, and what came back.
//!
//! While a sink keeps up, each body is handed to it straight from memory as soon as it is durable. A sink that falls behind is fed
//! from disk by its [consumer](super::consumer), within a window of memory, until it has caught up.

use crate::body::Body;
use crate::deliver::{Handle, LagConfig};
use crate::journal::SharedCursors;
use crate::journal::segment::Position;
use crate::journal::walk::Extent;
use crate::ledger::Outcome;
use crate::planted;
use crate::receipt::{Keeper, Kept, Receipt, Settled};
use crate::rules::{Duty, Parcels, Rules};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// What a body weighs beside its bytes and its index: shares, receipts, places in queues.
const OVERHEAD_BYTES: usize = 1 << 10;
/// What came back takes at most this part of the window, so that a destination that is blocked leaves room for the others.
const RETURNED_SHARE: usize = 8;
/// Most frames that came back and wait. Beyond, the sink is fed no more until some of them are delivered.
const MAX_PARKED: usize = 262_144;

/// One sink's tap.
#[derive(Debug)]
pub(super) struct Tap {
    pub sink: Arc<str>,
    pub handle: Handle,
    /// Deliveries under this sink's name that were before it, and may not have ended yet.
    pub before: Vec<Handle>,
    cursors: SharedCursors,
    /// Most bytes on their way at once.
    window: usize,
    /// How long what came back rests.
    pause: Duration,
    flow: Mutex<Flow>,
    /// Something changed that the consumer may wait for.
    pub moved: Notify,
    /// The same, for the writer.
    eased: Condvar,
    recalls: AtomicBool,
    closed: AtomicBool,
    /// How far it may fall behind.
    pub cap: LagConfig,
    pub losses: Arc<Losses>,
    pub returned: AtomicU64,
}

/// What a sink has lost, from the process's start on, through all its taps.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// Frames that were gone when the journal was opened, or damaged when they were to be read.
    pub lost: AtomicU64,
    /// Frames and records that it lost because it was too far behind.
    pub lagged: AtomicU64,
    pub lagged_records: AtomicU64,
}

#[derive(Debug, Default)]
struct Flow {
    /// The first frame that was not handed over yet, in the journal's order.
    next: u64,
    /// Frames are handed over as they are written.
    caught_up: bool,
    used: usize,
    /// The part of `used` that has come back before.
    used_again: usize,
    parked: VecDeque<(Position, Instant)>,
}

/// How the next body is to be taken on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Debt {
    /// For the first time.
    New,
    /// By this sink before: in an earlier process, or until it came back.
    Known,
}

impl Tap {
    pub(super) fn new(
        sink: Arc<str>,
        handle: Handle,
        before: Vec<Handle>,
        cursors: SharedCursors,
        (window, pause): (usize, Duration),
        cap: LagConfig,
        losses: Arc<Losses>,
    ) -> Arc<Self> {
        let next = cursors.lock().0.get(&*sink).map_or(0, |cursor| cursor.low());
        Arc::new(Self {
            sink,
            handle,
            before,
            cursors,
            window,
            pause,
            flow: Mutex::new(Flow { next, ..Flow::default() }),
            moved: Notify::new(),
            eased: Condvar::new(),
            recalls: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            cap,
            losses,
            returned: AtomicU64::new(0),
        })
    }

    /// What a body weighs in the window.
    pub(super) fn weight(body: &Body) -> usize {
        body.lease.bytes() + OVERHEAD_BYTES
    }

    /// Waits for room for so many bytes of its own, if the sink keeps up: it soon has some then, and what does not find any must be read
    /// from disk and checked once more.
    pub(super) fn wait_for_room(&self, bytes: usize, until: std::time::Instant) {
        if bytes == 0 || bytes > self.window {
            return;
        }
        let mut flow = self.flow.lock();
        while flow.caught_up && !self.fits(&flow, bytes) {
            if self.eased.wait_until(&mut flow, until).timed_out() {
                return;
            }
        }
    }

    /// A frame has just become durable. `shares` are what this sink owes of it; with none it is finished.
    pub(super) fn offer(
        self: &Arc<Self>,
        position: Position,
        body: &Arc<Body>,
        parcels: &Parcels,
        rules: &Rules,
        (sink, shares): (usize, usize),
    ) {
        if shares == 0 {
            self.finish(position.sequence);
        }
        let mut flow = self.flow.lock();
        if !flow.caught_up {
            return;
        }
        let bytes = Self::weight(body);
        if flow.parked.len() >= MAX_PARKED {
            flow.caught_up = false;
            return;
        }
        let permits = match self.fits(&flow, bytes) {
            true if shares == 0 => None,
            true => self.handle.reserve(shares).ok(),
            false => None,
        };
        if shares > 0 && permits.is_none() {
            flow.caught_up = false;
            drop(flow);
            return self.moved.notify_one();
        }
        flow.next = position.sequence + 1;
        if planted::is("finish-on-hand-over") {
            self.finish(position.sequence);
        }
        let Some(mut permits) = permits else { return };
        flow.used += bytes;
        drop(flow);
        let receipt = self.receipt(position, bytes, false);
        let claim = |account: &_, records| receipt.claim(account, records);
        rules.shares(Duty::Required, sink, body, parcels, claim).for_each(|share| permits.send(share));
        receipt.seal();
    }

    /// A receipt for a frame, whose bytes count as on their way already.
    fn receipt(self: &Arc<Self>, position: Position, bytes: usize, again: bool) -> Receipt {
        Receipt::kept(Arc::clone(self) as Arc<dyn Keeper>, Kept { position, bytes, again })
    }

    fn fits(&self, flow: &Flow, bytes: usize) -> bool {
        flow.used == 0 || flow.used + bytes <= self.window
    }

    /// Hands a body over that was read from disk, as soon as the window has room. `place` is the sink's number under the body's rules.
    pub(super) async fn feed(
        self: &Arc<Self>,
        position: Position,
        body: Arc<Body>,
        rules: &Rules,
        debt: Debt,
        again: bool,
    ) {
        let parcels = Parcels::of(&body.index);
        let bytes = Self::weight(&body);
        let Some(sink) = rules.sinks().iter().position(|name| *name == self.sink) else {
            return self.finish(position.sequence);
        };
        loop {
            {
                let mut flow = self.flow.lock();
                if self.fits(&flow, bytes) {
                    flow.used += bytes;
                    flow.used_again += if again { bytes } else { 0 };
                    break;
                }
            }
            if self.is_closed() {
                return;
            }
            self.moved.notified().await;
        }
        let receipt = self.receipt(position, bytes, again);
        let claim = |account: &_, records| match debt {
            Debt::New => receipt.claim(account, records),
            Debt::Known => receipt.reclaim(account, records),
        };
        // All debts are taken on before the first share may be settled, so none is missing from the books while it waits for room.
        let shares: Vec<_> = rules.shares(Duty::Required, sink, &body, &parcels, claim).collect();
        receipt.seal();
        drop(body);
        for share in shares {
            self.handle.send(share).await;
        }
    }

    /// Nobody is to have a frame that has just become durable.
    pub(super) fn pass_over(&self, sequence: u64) {
        self.finish(sequence);
        let mut flow = self.flow.lock();
        if flow.caught_up {
            flow.next = sequence + 1;
        }
    }

    /// This sink has nothing (more) to do with a frame.
    pub(super) fn finish(&self, sequence: u64) {
        if let Some(cursor) = self.cursors.lock().0.get_mut(&*self.sink) {
            cursor.finish(sequence);
        }
    }

    /// Whether this sink has nothing to do with a frame.
    pub(super) fn is_finished(&self, sequence: u64) -> bool {
        self.cursors.lock().0.get(&*self.sink).is_none_or(|cursor| cursor.is_finished(sequence))
    }

    /// The frames before `end` that this sink has not finished.
    pub(super) fn lag(&self, end: u64) -> u64 {
        self.cursors.lock().0.get(&*self.sink).map_or(0, |cursor| cursor.unfinished_in(&(0..end)))
    }

    /// Bytes of the segments that are kept for this sink.
    pub(super) fn held_bytes(&self, extents: &[Extent]) -> u64 {
        let cursors = self.cursors.lock();
        let Some(cursor) = cursors.0.get(&*self.sink) else { return 0 };
        let is_held = |extent: &&Extent| cursor.unfinished_in(&(extent.base..extent.end)) > 0;
        extents.iter().filter(is_held).map(|extent| extent.len).sum()
    }

    /// Whether a frame has been handed over, or is just being, or need not be.
    pub(super) fn is_taken(&self, sequence: u64) -> bool {
        sequence <= self.flow.lock().next || self.is_finished(sequence)
    }

    /// The first frame to be handed over next, in order.
    pub(super) fn next(&self) -> u64 {
        self.flow.lock().next
    }

    /// Frames before `next` were handed over, or need not be.
    pub(super) fn advance(&self, next: u64) {
        self.flow.lock().next = next;
    }

    /// The sink has caught up, if `end` is where the journal ends. The caller keeps the journal from growing meanwhile.
    pub(super) fn catch_up(&self, end: u64) -> bool {
        let mut flow = self.flow.lock();
        flow.caught_up = flow.next >= end && flow.parked.len() < MAX_PARKED;
        flow.caught_up
    }

    /// Frames are to be looked for on disk from now on.
    pub(super) fn fall_behind(&self) {
        self.flow.lock().caught_up = false;
        self.moved.notify_one();
    }

    pub(super) fn is_caught_up(&self) -> bool {
        self.flow.lock().caught_up
    }

    /// Whether frames may be handed over in order: not while too many have come back.
    pub(super) fn may_advance(&self) -> bool {
        self.flow.lock().parked.len() < MAX_PARKED
    }

    /// A frame that came back and has rested long enough, if there is room for it.
    pub(super) fn unpark(&self, now: Instant) -> Option<Position> {
        let mut flow = self.flow.lock();
        let (_, at) = flow.parked.front()?;
        if *at > now || (flow.used_again > 0 && flow.used_again >= self.window / RETURNED_SHARE) {
            return None;
        }
        flow.parked.pop_front().map(|(position, _)| position)
    }

    /// Has another try later, at a frame that could not be handed over.
    pub(super) fn park(&self, position: Position) {
        self.flow.lock().parked.push_back((position, Instant::now() + self.pause));
    }

    /// When the first of what came back has rested long enough.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let flow = self.flow.lock();
        flow.parked.front().map(|(_, at)| *at)
    }

    /// Frames that came back and wait.
    pub(super) fn parked(&self) -> usize {
        self.flow.lock().parked.len()
    }

    /// Bytes on their way.
    pub(super) fn used(&self) -> usize {
        self.flow.lock().used
    }

    /// Hands over no more.
    pub(super) fn close(&self) {
        self.closed.store(true, Relaxed);
        self.flow.lock().caught_up = false;
        self.eased.notify_one();
        self.moved.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    /// Whether everything is wanted back that was not sent yet.
    pub(super) fn recall(&self, wanted: bool) {
        self.recalls.store(wanted, Relaxed);
    }

    /// Takes those of these frames from what came back and rests.
    pub(super) fn forget_parked(&self, frames: Range<u64>) -> Vec<Position> {
        let mut flow = self.flow.lock();
        let parked = std::mem::take(&mut flow.parked);
        let (gone, kept): (VecDeque<_>, VecDeque<_>) =
            parked.into_iter().partition(|(position, _)| frames.contains(&position.sequence));
        flow.parked = kept;
        gone.into_iter().map(|(position, _)| position).collect()
    }
}

impl Keeper for Tap {
    fn settled(&self, kept: Kept, settled: &Settled) {
        let comes_back = settled.returned > 0;
        if comes_back {
            self.returned.fetch_add(1, Relaxed);
        } else {
            self.finish(kept.position.sequence);
        }
        let mut flow = self.flow.lock();
        flow.used -= kept.bytes;
        flow.used_again -= if kept.again { kept.bytes } else { 0 };
        if comes_back {
            flow.parked.push_back((kept.position, Instant::now() + self.pause));
        }
        drop(flow);
        self.eased.notify_one();
        self.moved.notify_one();
    }

    fn recalls(&self) -> bool {
        self.recalls.load(Relaxed)
    }

    fn unspoken(&self) -> Outcome {
        Outcome::Returned
    }
}
