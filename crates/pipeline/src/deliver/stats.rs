//! What delivery to one sink is doing, for metrics and for the operator.

use parking_lot::Mutex;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Whether a sink takes what it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeliveryState {
    #[default]
    Ok,
    /// Some destination fails and is tried again.
    Retrying { reason: String },
    /// Some destination, or the dead letters, take nothing until somebody mends it.
    Blocked { reason: String },
}

impl DeliveryState {
    /// The value of the `state` label.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Retrying { .. } => "retrying",
            Self::Blocked { .. } => "blocked",
        }
    }

    const fn severity(&self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Retrying { .. } => 1,
            Self::Blocked { .. } => 2,
        }
    }

    /// The worse of two; of equals the first.
    pub(super) fn worst<'a>(&'a self, other: &'a Self) -> &'a Self {
        if other.severity() > self.severity() { other } else { self }
    }

    /// What is wrong, if anything is.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Ok => None,
            Self::Retrying { reason } | Self::Blocked { reason } => Some(reason),
        }
    }
}

/// Why something is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum RetryKind {
    /// A whole payload: the sink said that it is overloaded.
    Overloaded,
    /// A whole payload: anything else (unreachable, timed out, a server error).
    Failed,
    /// A payload of which some records failed.
    Partial,
    /// A payload, or part of it, that met a blocked destination.
    Blocked,
}

impl RetryKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Overloaded, Self::Failed, Self::Partial, Self::Blocked];

    /// The value of the `kind` label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::Failed => "failed",
            Self::Partial => "partial",
            Self::Blocked => "blocked",
        }
    }
}

/// Counts of all deliveries to one sink. They outlive a delivery: one that takes its place goes on with them. Records are not counted here
/// but in the ledger.
#[derive(Debug, Default)]
pub struct DeliveryTotals {
    /// Payloads sent, and their bytes as sent.
    pub attempts: AtomicU64,
    pub sent_bytes: AtomicU64,
    /// Payloads cut in half because the sink found them too large.
    pub splits: AtomicU64,
    /// Records dropped unsent because nobody waited for them any more.
    pub given_up_records: AtomicU64,
    /// Records dropped because they failed for longer than `retry.max_age`.
    pub expired_records: AtomicU64,
    /// Attempts to keep dead letters that failed.
    pub burial_failures: AtomicU64,
    /// Attempts that panicked; what they held was abandoned.
    pub panics: AtomicU64,
    retries: [AtomicU64; RetryKind::ALL.len()],
}

impl DeliveryTotals {
    /// Payloads that came back to be sent again, whole or in part.
    pub fn retries(&self, kind: RetryKind) -> u64 {
        self.retries[kind as usize].load(Relaxed)
    }

    pub(super) fn count_retry(&self, kind: RetryKind) {
        self.retries[kind as usize].fetch_add(1, Relaxed);
    }
}

/// Gauges of one delivery, with the counts of its sink, which read as its own.
#[derive(Debug, Default)]
pub struct DeliveryStats {
    totals: Arc<DeliveryTotals>,
    /// Payloads being encoded, sent or buried now.
    pub in_flight: AtomicU64,
    /// Shares that wait, and their bytes as they arrived.
    pub queued_shares: AtomicU64,
    pub queued_bytes: AtomicU64,
    /// Payloads that may be on their way at once, as of now.
    pub limit: AtomicU64,
    /// When a record was last delivered, nanoseconds since 1970; 0 for never.
    pub last_success: AtomicI64,
    /// When the oldest record arrived that is not delivered yet, nanoseconds since 1970; 0 for none. Up to half a second old.
    pub oldest: AtomicI64,
    /// Bytes a second, as they arrived, that left the queue lately; 0 while it is not known to be the sink that they wait for.
    pub(super) pace: AtomicU64,
    /// The part of `queued_bytes` whose destinations fail or are blocked. Up to half a second old.
    pub(super) stuck_bytes: AtomicU64,
    /// Destinations that something waits for. Up to half a second old.
    pub(super) lanes: AtomicU64,
    /// How long shares wait on purpose, for larger payloads.
    pub(super) gathering_nanos: AtomicU64,
    /// Bytes that have left the queue to be sent.
    pub(super) taken_bytes: AtomicU64,
    /// The sink has what it needs before the first send.
    pub prepared: AtomicBool,
    sending: Mutex<DeliveryState>,
    burying: Mutex<DeliveryState>,
}

impl Deref for DeliveryStats {
    type Target = DeliveryTotals;

    fn deref(&self) -> &DeliveryTotals {
        &self.totals
    }
}

impl DeliveryStats {
    /// Whether the sink takes what it is sent.
    pub fn state(&self) -> DeliveryState {
        self.sending.lock().worst(&self.burying.lock()).clone()
    }

    /// Of a delivery that counts there.
    pub(super) fn counting(totals: Arc<DeliveryTotals>) -> Self {
        Self { totals, ..Self::default() }
    }

    /// Whether all that waits is for destinations that fail or are blocked.
    pub(super) fn all_is_stuck(&self) -> bool {
        self.queued_bytes.load(Relaxed) <= self.stuck_bytes.load(Relaxed)
    }

    /// How long a share that comes now would wait before it is sent, going by how fast those before it left. Without the part that is
    /// no sign of too much: that many destinations take turns, and that payloads are meant to gather.
    pub fn wait(&self) -> Duration {
        let queued = self.queued_bytes.load(Relaxed).saturating_sub(self.stuck_bytes.load(Relaxed));
        let pace = self.pace.load(Relaxed);
        if pace == 0 {
            return Duration::ZERO;
        }
        let (slots, lanes) = (self.limit.load(Relaxed).max(1) as f64, self.lanes.load(Relaxed).max(1) as f64);
        let wait = Duration::from_secs_f64(queued as f64 / pace as f64 * (slots / lanes).min(1.0));
        wait.saturating_sub(Duration::from_nanos(self.gathering_nanos.load(Relaxed)))
    }

    pub(super) fn set_sending(&self, state: DeliveryState) {
        *self.sending.lock() = state;
    }

    pub(super) fn set_burying(&self, state: DeliveryState) {
        *self.burying.lock() = state;
    }

    pub(super) fn enqueued(&self, shares: usize, bytes: usize) {
        self.queued_shares.fetch_add(shares as u64, Relaxed);
        self.queued_bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn dequeued(&self, shares: usize, bytes: usize) {
        self.queued_shares.fetch_sub(shares as u64, Relaxed);
        self.queued_bytes.fetch_sub(bytes as u64, Relaxed);
    }
}
