//! Delivery: the one place with batching, concurrency, backoff, splitting and dead letters.
//!
//! A sink supplies three things: an [`Encoder`] for its format, `send`, and the verdict for each item. Everything that
//! can go wrong between them is handled here, the same for every sink.
//!
//! The way of a share: [`Handle`] takes it in, `dispatch` sorts it into the lane of its destination, `attempt` encodes and
//! sends what a lane has gathered, `settle` reads the verdicts, `burial` keeps what is refused for good. What must be sent
//! again goes back to the front of its lane, which then waits (`recovery`); how many payloads are on their way at once is
//! found out by `limiter`.

mod attempt;
mod burial;
mod config;
mod dispatch;
mod flight;
mod handle;
mod landing;
mod lane;
mod lanes;
mod limiter;
mod pace;
mod queued;
mod recovery;
mod settle;
mod stats;
#[cfg(test)]
mod tests;
mod throttle;

pub use config::{BatchConfig, ConcurrencyConfig, DeliveryConfig, LagConfig, OnLag, RetryConfig};
pub use handle::{Delivery, Full, Handle, Permits};
pub use lanes::MAX_LANES;
pub use stats::{DeliveryState, DeliveryStats, DeliveryTotals, RetryKind};

use crate::body::Share;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::fmt::Debug;
use std::time::Duration;

/// One destination's format and transport.
pub trait Sink: Debug + Send + Sync + 'static {
    /// A new payload for `destination`, to hold at most `limit` bytes before compression (one record may exceed it).
    fn encoder(&self, destination: &str, limit: usize) -> Box<dyn Encoder>;

    /// Sends one payload and says what became of it. Must end by itself (a time limit of its own).
    fn send<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, Verdicts>;

    /// One record as a person would want to read it: a JSON document on one line, for the dead letters.
    fn render(&self, share: &Share, item: u32) -> Vec<u8>;

    /// What must be in place before the first send (templates). Retried, with backoff, until it succeeds.
    fn prepare(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}

/// Writes one payload, share by share.
pub trait Encoder: Debug + Send {
    /// Appends records of `share` in order and returns how many fitted. Fewer than all means: full, finish now.
    /// At least one record is taken when the payload is empty. A record that does not fit leaves no trace.
    fn push(&mut self, share: &Share) -> u32;

    /// Bytes written so far, before compression.
    fn len(&self) -> usize;

    /// Whether nothing was written yet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The payload.
    fn finish(self: Box<Self>) -> Payload;
}

/// The longest reason, in bytes, that is kept of what a sink said; sinks are known to quote whole documents.
const MAX_REASON_BYTES: usize = 1_024;

/// `reason`, cut to its bound.
fn bounded(mut reason: String) -> String {
    if reason.len() > MAX_REASON_BYTES {
        reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
    }
    reason
}

/// Bytes ready to be sent for one destination.
#[derive(Clone, Debug)]
pub struct Payload {
    pub destination: std::sync::Arc<str>,
    pub bytes: Bytes,
    /// `bytes` is gzip.
    pub gzip: bool,
    /// Records in it, in the order in which their shares were pushed.
    pub records: u32,
    /// Identifies this attempt in the sink's logs (`X-Opaque-Id`).
    pub id: u64,
}

/// What a sink said of one payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdicts {
    /// Every record is stored.
    Delivered,
    /// One verdict per record, in the payload's order. A wrong length is treated as `Retry`.
    Each(Vec<Verdict>),
    /// Nothing is known to be stored: the whole payload again, later. `overloaded` lowers the concurrency.
    Retry { reason: String, after: Option<Duration>, overloaded: bool },
    /// Too large for the sink: split it. A single record is refused for good.
    TooLarge { reason: String },
    /// This destination takes nothing until somebody mends it (credentials, a closed index): pause it and raise an alert.
    Blocked { reason: String },
}

/// What a sink said of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    /// Stored before, under the same id.
    Duplicate,
    /// Stored elsewhere by the sink (a failure store).
    Diverted,
    Retry {
        reason: String,
    },
    /// As [`Verdicts::Blocked`], said of one item.
    Blocked {
        reason: String,
    },
    /// It can never be stored.
    Refused {
        reason: String,
    },
}
