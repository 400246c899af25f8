//! One buffer for one payload: it grows under a lease, and stops at a limit.

use super::answer::Fault;
use bytes::Bytes;
use forebay_pipeline::budget::{Budget, Lease};
use std::sync::Arc;

/// Bytes of a request, and the lease on them.
#[derive(Debug)]
pub struct Payload {
    pub bytes: Bytes,
    pub lease: Lease,
}

/// What a payload is gathered in. Its whole capacity is under lease at any time.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    lease: Lease,
    limit: usize,
}

impl Buffer {
    /// An empty buffer with room for `capacity` bytes, to hold at most `limit`.
    ///
    /// # Errors
    /// `capacity` is over the limit, or the budget has no room for it.
    pub fn with_capacity(budget: &Arc<Budget>, capacity: usize, limit: usize) -> Result<Self, Fault> {
        if capacity > limit {
            return Err(Fault::too_large(limit));
        }
        Ok(Self { bytes: Vec::with_capacity(capacity), lease: budget.lease(capacity)?, limit })
    }

    /// Makes room for `more` bytes, at least doubling, so that the bytes move a few times only.
    ///
    /// # Errors
    /// Over the limit, or the budget has no room.
    pub fn reserve(&mut self, more: usize) -> Result<(), Fault> {
        let wanted = self.bytes.len().saturating_add(more);
        if wanted > self.limit {
            return Err(Fault::too_large(self.limit));
        }
        let old = self.bytes.capacity();
        if wanted <= old {
            return Ok(());
        }
        let new = wanted.max(old.saturating_mul(2)).min(self.limit);
        // The old bytes stay until they are moved.
        self.lease.resize(old + new)?;
        self.bytes.reserve_exact(new - self.bytes.len());
        self.lease.resize(self.bytes.capacity())?;
        Ok(())
    }

    /// Lets `write` append at most `most` bytes.
    ///
    /// # Errors
    /// As [`Self::reserve`].
    pub fn append(&mut self, most: usize, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Fault> {
        self.reserve(most)?;
        write(&mut self.bytes);
        debug_assert!(self.bytes.capacity() <= self.lease.bytes(), "more was written than was said");
        Ok(())
    }

    /// Bytes in it.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that fit without growing.
    pub fn spare(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    /// The payload, with what was reserved in excess given back if it is much.
    pub fn finish(mut self) -> Result<Payload, Fault> {
        if self.spare() > self.bytes.len() / 4 {
            self.bytes.shrink_to_fit();
            self.lease.resize(self.bytes.capacity())?;
        }
        Ok(Payload { bytes: self.bytes.into(), lease: self.lease })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::answer::Kind;
    use super::*;

    #[test]
    fn it_grows_under_its_lease_and_gives_back_the_excess() {
        let budget = Budget::new(1 << 20);
        let mut buffer = Buffer::with_capacity(&budget, 10, 1000).unwrap();
        assert_eq!(budget.used(), 10);
        buffer.append(11, |bytes| bytes.extend([1; 11])).unwrap();
        assert_eq!(budget.used(), 20);
        buffer.append(300, |bytes| bytes.extend([2; 300])).unwrap();
        buffer.append(1, |bytes| bytes.push(3)).unwrap();
        assert_eq!(budget.used(), 622);
        let payload = buffer.finish().unwrap();
        assert_eq!((payload.bytes.len(), payload.lease.bytes(), budget.used()), (312, 312, 312));
        drop(payload);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn it_stops_at_the_limit_before_it_asks_for_memory() {
        let budget = Budget::new(100);
        assert_eq!(Buffer::with_capacity(&budget, 51, 50).unwrap_err().kind, Kind::TooLarge);
        let mut buffer = Buffer::with_capacity(&budget, 0, 50).unwrap();
        buffer.append(50, |bytes| bytes.extend([0; 50])).unwrap();
        assert_eq!(buffer.reserve(1).unwrap_err().kind, Kind::TooLarge);
        assert_eq!(budget.used(), 50);
    }

    #[test]
    fn it_stops_where_the_budget_ends() {
        let budget = Budget::new(100);
        let mut buffer = Buffer::with_capacity(&budget, 30, 1000).unwrap();
        let other = budget.lease(20).unwrap();
        assert_eq!(buffer.reserve(60).unwrap_err().kind, Kind::Busy);
        assert_eq!(buffer.reserve(71).unwrap_err().kind, Kind::TooLarge, "whatever others hold");
        drop((buffer, other));
        assert_eq!(Buffer::with_capacity(&budget, 101, 1000).unwrap_err().kind, Kind::TooLarge);
        assert_eq!(budget.used(), 0);
    }
}
