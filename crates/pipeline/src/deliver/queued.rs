//! A share on its way through delivery.

use super::stats::DeliveryStats;
use crate::body::Share;
use std::sync::atomic::Ordering::Relaxed;
use tokio::time::Instant;

/// A share that waits or is being sent, with what is asked about it often.
#[derive(Debug)]
pub(super) struct Queued {
    pub share: Share,
    pub records: u32,
    /// As they arrived.
    pub bytes: usize,
    /// When it was handed over.
    pub since: Instant,
    /// Half of a payload that was too large: it is sent with shares of the same number only, else it would be too large again.
    pub piece: Option<u64>,
}

impl Queued {
    pub(super) fn new(share: Share) -> Self {
        Self { records: share.records(), bytes: share.bytes(), since: Instant::now(), piece: None, share }
    }

    /// Keeps the first `records` and parts with the rest, if there is a rest.
    pub(super) fn split_off(&mut self, records: u32) -> Option<Self> {
        let rest = self.share.split_off(records)?;
        let bytes = self.share.bytes();
        let parted = self.parted(rest, self.records - records, self.bytes - bytes);
        (self.records, self.bytes) = (records, bytes);
        Some(parted)
    }

    /// Keeps the first records up to the one that makes them `bytes` or more, and parts with the rest, if there is a rest.
    pub(super) fn cut(&mut self, bytes: usize) -> Option<Self> {
        if self.bytes <= bytes {
            return None;
        }
        let mut kept = 0;
        let mut records = 0;
        for item in self.share.items() {
            kept += self.share.body.entry(item).len as usize;
            records += 1;
            if kept >= bytes {
                break;
            }
        }
        self.split_off(records)
    }

    /// Parts with the records named, which must be records of this share in ascending order.
    pub(super) fn take(&mut self, items: &[u32]) -> Self {
        let share = self.share.take(items);
        let (records, bytes) = (items.len() as u32, share.bytes());
        self.records -= records;
        self.bytes -= bytes;
        self.parted(share, records, bytes)
    }

    fn parted(&self, share: Share, records: u32, bytes: usize) -> Self {
        Self { share, records, bytes, since: self.since, piece: self.piece }
    }

    /// Nobody waits for it any more.
    pub(super) fn is_given_up(&self) -> bool {
        self.share.claim.given_up()
    }

    /// Arrived before `horizon` (nanoseconds since 1970), so that it is not tried for ever. What the journal keeps is.
    pub(super) fn is_expired(&self, horizon: i64) -> bool {
        self.share.body.arrived < horizon && !self.share.claim.is_kept()
    }

    /// Notes that it failed for too long, before it is dropped.
    pub(super) fn expire(&mut self, last: Option<&str>, stats: &DeliveryStats) {
        stats.expired_records.fetch_add(u64::from(self.records), Relaxed);
        let last = last.unwrap_or("the sink is not ready");
        self.share.claim.note(&format!("given up after retry.max_age: {last}"), None);
    }
}
