//! A request body as it travels: immutable, shared, and split into what each sink owes.

use crate::budget::Lease;
use crate::ids::Ids;
use crate::receipt::Claim;
use crate::wire::{Entry, Index, WireId};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// One request's records: the bytes as they came, checked, with their index.
#[derive(Debug)]
pub struct Body {
    pub bytes: Bytes,
    pub wire: WireId,
    pub index: Index,
    pub ids: Ids,
    /// Nanoseconds since 1970.
    pub arrived: i64,
    /// The receiver it came by, for dead letters.
    pub receiver: Arc<str>,
    /// The bytes that this body (and its index) is accounted with.
    pub lease: Lease,
}

impl Body {
    /// One record's bytes as they arrived.
    pub fn record(&self, item: u32) -> &[u8] {
        &self.bytes[self.entry(item).range()]
    }

    /// Writes one record's id in `destination` as it stands in a JSON string, and says whether it has one.
    pub fn write_id(&self, item: u32, destination: &str, out: &mut Vec<u8>) -> bool {
        self.ids.write(item, self.entry(item), &self.bytes, destination, out)
    }

    /// One record's entry in the index.
    pub fn entry(&self, item: u32) -> &Entry {
        &self.index.records[item as usize]
    }
}

/// What one sink owes of one body, all for one destination. Dropped unspoken, it has failed.
#[derive(Debug)]
pub struct Share {
    pub body: Arc<Body>,
    /// Record numbers, ascending, not empty, not overlapping.
    pub ranges: Vec<Range<u32>>,
    pub claim: Claim,
    /// The destination's name: for Elasticsearch an index.
    pub destination: Arc<str>,
    /// What to do with a record that can never be delivered.
    pub on_refused: OnRefused,
}

/// What happens to records that a sink refuses for good.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OnRefused {
    /// Kept in the dead letters; the client is told success, with a message that names their number.
    #[default]
    DeadLetter,
    /// Not kept; the client is told that they were rejected. Refused where any receiver has `acknowledge: durable`, whose clients have been answered by
    /// then.
    Reject,
}

impl Share {
    /// Records in this share.
    pub fn records(&self) -> u32 {
        self.ranges.iter().map(|range| range.end - range.start).sum()
    }

    /// The record numbers in order.
    pub fn items(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges.iter().cloned().flatten()
    }

    /// Bytes of this share's records as they arrived (without what they share with others).
    pub fn bytes(&self) -> usize {
        self.items().map(|item| self.body.entry(item).len as usize).sum()
    }

    /// Keeps the first `records` records and parts with the rest, if there is a rest.
    pub fn split_off(&mut self, records: u32) -> Option<Self> {
        let all = self.records();
        if records >= all {
            return None;
        }
        let mut left = records;
        let mut kept = Vec::new();
        let mut rest = Vec::new();
        for range in self.ranges.drain(..) {
            let middle = range.start + left.min(range.end - range.start);
            left -= middle - range.start;
            if range.start < middle {
                kept.push(range.start..middle);
            }
            if middle < range.end {
                rest.push(middle..range.end);
            }
        }
        self.ranges = kept;
        Some(self.with(rest, all - records))
    }

    /// Parts with the records named, which must be records of this share in ascending order.
    pub fn take(&mut self, items: &[u32]) -> Self {
        let mut wanted = items.iter().copied().peekable();
        let mut kept: Vec<Range<u32>> = Vec::new();
        let mut taken: Vec<Range<u32>> = Vec::new();
        for item in std::mem::take(&mut self.ranges).into_iter().flatten() {
            let list = if wanted.next_if_eq(&item).is_some() { &mut taken } else { &mut kept };
            match list.last_mut() {
                Some(last) if last.end == item => last.end = item + 1,
                _ => list.push(item..item + 1),
            }
        }
        self.ranges = kept;
        self.with(taken, items.len() as u32)
    }

    fn with(&mut self, ranges: Vec<Range<u32>>, records: u32) -> Self {
        Self {
            body: Arc::clone(&self.body),
            ranges,
            claim: self.claim.split(records),
            destination: Arc::clone(&self.destination),
            on_refused: self.on_refused,
        }
    }
}
