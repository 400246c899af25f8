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
    /// Bytes that the same request holds elsewhere until this is filled.
    beside: usize,
}

impl Buffer {
    /// An empty buffer with room for `capacity` bytes, to hold at most `limit`.
    ///
    /// # Errors
    /// `capacity` is over the limit, or the budget has no room for it.
    pub fn with_capacity(budget: &Arc<Budget>, capacity: usize, limit: usize) -> Result<Self, Fault> {
        Self::beside(0, budget, capacity, limit)
    }

    /// The same for a request that holds `beside` bytes elsewhere until the buffer is filled.
    ///
    /// # Errors
    /// As [`Self::with_capacity`].
    pub fn beside(beside: usize, budget: &Arc<Budget>, capacity: usize, limit: usize) -> Result<Self, Fault> {
        if capacity > limit {
            return Err(Fault::too_large(limit));
        }
        let lease = budget.lease(capacity).map_err(|exhausted| exhausted.beside(beside))?;
        Ok(Self { bytes: Vec::with_capacity(capacity), lease, limit, beside })
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
        self.lease.resize(old + new).map_err(|exhausted| exhausted.beside(self.beside))?;
        self.bytes.reserve_exact(new - self.bytes.len());
        self.lease.resize(self.bytes.capacity())?;
        Ok(())
    }

    /// Appends `chunk`.
    ///
    /// # Errors
    /// As [`Self::reserve`].
    pub fn extend(&mut self, chunk: &[u8]) -> Result<(), Fault> {
        self.reserve(chunk.len())?;
        self.bytes.extend_from_slice(chunk);
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

    /// Lets `write` fill up to `most` bytes of the spare room, and keeps as many as it says that it wrote.
    pub fn fill<T>(&mut self, most: usize, write: impl FnOnce(&mut [u8]) -> (usize, T)) -> T {
        let len = self.bytes.len();
        self.bytes.resize(len + most.min(self.spare()), 0);
        let (written, result) = write(&mut self.bytes[len..]);
        self.bytes.truncate(len + written);
        result
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
        buffer.extend(&[1; 11]).unwrap();
        assert_eq!(budget.used(), 20);
        buffer.extend(&[2; 300]).unwrap();
        buffer.extend(&[3; 1]).unwrap();
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
        buffer.extend(&[0; 50]).unwrap();
        assert_eq!(buffer.extend(&[0]).unwrap_err().kind, Kind::TooLarge);
        assert_eq!(budget.used(), 50);
    }

    #[test]
    fn it_stops_where_the_budget_ends() {
        let budget = Budget::new(100);
        let mut buffer = Buffer::with_capacity(&budget, 30, 1000).unwrap();
        let other = budget.lease(20).unwrap();
        assert_eq!(buffer.reserve(60).unwrap_err().kind, Kind::Busy);
        assert_eq!(buffer.reserve(71).unwrap_err().kind, Kind::TooLarge, "whatever others hold");
        assert_eq!(Buffer::beside(20, &budget, 60, 1000).unwrap_err().kind, Kind::Busy);
        assert_eq!(Buffer::beside(50, &budget, 60, 1000).unwrap_err().kind, Kind::TooLarge);
        drop((buffer, other));
        assert_eq!(Buffer::with_capacity(&budget, 101, 1000).unwrap_err().kind, Kind::TooLarge);
        assert_eq!(budget.used(), 0);
    }
}
