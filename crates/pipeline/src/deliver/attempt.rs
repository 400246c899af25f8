//! One payload's way: encoded in one task, sent in the next, so that what did not fit is free in between.

use super::queued::Queued;
use super::settle::{self, Settlement};
use super::stats::{DeliveryStats, DeliveryTotals};
use super::{DeliveryConfig, Payload, Sink};
use crate::budget::{Budget, Lease};
use crate::dead_letter::DeadLetters;
use crate::planted;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// A worker is given back after so many bytes of a body (about a quarter of a millisecond of encoding each), so that other
/// requests on it need not wait for a whole payload.
const STRETCH_BYTES: usize = 128 << 10;
/// And after so many that were written: a record of few bytes makes a long document if it shares a large resource with others.
const STRETCH_WRITTEN_BYTES: usize = 8 * STRETCH_BYTES;

/// How far an encoding has come since it gave its worker back.
#[derive(Debug)]
struct Stretch {
    read: usize,
    written: usize,
    /// Bytes of a body that are encoded at once, so that one step is no longer than a stretch.
    step: usize,
}

impl Default for Stretch {
    fn default() -> Self {
        Self { read: 0, written: 0, step: STRETCH_BYTES }
    }
}

impl Stretch {
    /// Counts a step. True if the worker is to be given back now.
    fn step(&mut self, read: usize, written: usize) -> bool {
        self.read += read;
        self.written += written;
        // What comes next of this body is likely to grow as much.
        let growth = (written / read.max(1)).max(1);
        self.step = (STRETCH_WRITTEN_BYTES / growth).clamp(1, STRETCH_BYTES);
        let is_over = self.read >= STRETCH_BYTES || self.written >= STRETCH_WRITTEN_BYTES;
        if is_over {
            (self.read, self.written) = (0, 0);
        }
        is_over
    }
}

/// What all attempts of one sink share.
#[derive(Debug)]
pub(super) struct Context {
    pub name: Arc<str>,
    pub sink: Arc<dyn Sink>,
    pub config: DeliveryConfig,
    pub budget: Arc<Budget>,
    pub dead_letters: Arc<dyn DeadLetters>,
    pub stats: Arc<DeliveryStats>,
    pieces: AtomicU64,
}

impl Context {
    pub(super) fn new(
        name: Arc<str>,
        sink: Arc<dyn Sink>,
        config: DeliveryConfig,
        budget: Arc<Budget>,
        dead_letters: Arc<dyn DeadLetters>,
        totals: Arc<DeliveryTotals>,
    ) -> Self {
        let stats = Arc::new(DeliveryStats::counting(totals));
        Self { name, sink, config, budget, dead_letters, stats, pieces: AtomicU64::new(0) }
    }

    /// A number for a payload's half, not used before.
    pub(super) fn next_piece(&self) -> u64 {
        self.pieces.fetch_add(1, Relaxed)
    }
}

/// A payload ready to be sent.
#[derive(Debug)]
pub(super) struct Parcel {
    pub payload: Payload,
    /// What is in it, in order.
    pub shares: Vec<Queued>,
    pub records: u32,
    /// Bytes of its records, as they arrived and before compression.
    pub raw_bytes: usize,
    pub encoded_bytes: usize,
    lease: Lease,
}

/// What became of an encoding.
#[derive(Debug)]
pub(super) struct Encoded {
    /// `None` if the encoder took nothing.
    pub parcel: Option<Parcel>,
    /// What did not fit.
    pub rest: Vec<Queued>,
}

/// What became of a sending.
#[derive(Debug)]
pub(super) struct Sent {
    pub settlement: Settlement,
    /// Size of the payload, as sent.
    pub bytes: usize,
    pub started: Instant,
    pub latency: Duration,
    /// Still held for what the payload leaves to be buried.
    pub lease: Lease,
}

/// Encodes as many of `shares` as one payload holds.
pub(super) async fn encode(context: Arc<Context>, destination: Arc<str>, shares: Vec<Queued>) -> Encoded {
    let mut encoder = context.sink.encoder(&destination, context.config.batch.max_bytes.as_usize());
    let mut taken: Vec<Queued> = Vec::with_capacity(shares.len());
    let mut left = VecDeque::from(shares);
    let mut stretch = Stretch::default();
    while let Some(mut next) = left.pop_front() {
        if let Some(rest) = next.cut(stretch.step) {
            left.push_front(rest);
        }
        let before = encoder.len();
        let pushed = encoder.push(&next.share).min(next.records);
        if pushed == 0 {
            left.push_front(next);
            break;
        }
        let is_over = stretch.step(next.bytes, encoder.len().saturating_sub(before));
        let rest = next.split_off(pushed);
        taken.push(next);
        if let Some(rest) = rest {
            left.push_front(rest);
            break;
        }
        if is_over {
            tokio::task::yield_now().await;
        }
    }
    let rest = left.into();
    if taken.is_empty() {
        return Encoded { parcel: None, rest };
    }
    let encoded_bytes = encoder.len();
    let payload = encoder.finish();
    let lease = context.budget.lease_over(payload.bytes.len());
    let records = taken.iter().map(|queued| queued.records).sum();
    let raw_bytes = taken.iter().map(|queued| queued.bytes).sum();
    let parcel = Parcel { payload, shares: taken, records, raw_bytes, encoded_bytes, lease };
    Encoded { parcel: Some(parcel), rest }
}

/// Sends a payload and settles what its verdicts settle.
pub(super) async fn send(context: Arc<Context>, parcel: Parcel) -> Sent {
    let Parcel { payload, shares, records, lease, .. } = parcel;
    let bytes = payload.bytes.len();
    context.stats.attempts.fetch_add(1, Relaxed);
    context.stats.sent_bytes.fetch_add(bytes as u64, Relaxed);
    let started = Instant::now();
    planted::pass("send");
    let verdicts = context.sink.send(&payload).await;
    let latency = started.elapsed();
    drop(payload);
    let settlement = settle::settle(&context, shares, records, verdicts);
    Sent { settlement, bytes, started, latency, lease }
}
