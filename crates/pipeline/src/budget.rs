//! One budget in bytes for everything that holds a payload. Whoever holds bytes holds a [`Lease`] on them.
//!
//! A lease grows or the request is refused; it never waits while it is held, so two requests cannot starve each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The bytes that all payloads of this process may hold at once.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    /// The part of it that new requests do not get.
    reserve: usize,
    used: AtomicUsize,
}

/// The budget has no room for so many bytes. Retryable, unless [`Self::is_hopeless`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("memory budget exhausted: {wanted} bytes wanted, {used} of {limit} in use")]
pub struct Exhausted {
    /// Bytes beyond those that the lease had.
    pub wanted: usize,
    /// Bytes that whoever asked would have held in all.
    pub total: usize,
    pub used: usize,
    pub limit: usize,
}

impl Exhausted {
    /// The same for one who holds `held` bytes under another lease and cannot do without them.
    pub fn beside(self, held: usize) -> Self {
        Self { total: self.total.saturating_add(held), ..self }
    }

    /// Whether there would be no room even if nobody else held anything.
    pub fn is_hopeless(&self) -> bool {
        self.total > self.limit
    }
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Self::with_reserve(limit, 0)
    }

    /// A budget of `limit` bytes, of which `reserve` are for what is owed already: what a journal holds must find memory on its way
    /// out while new requests take all they can get.
    pub fn with_reserve(limit: usize, reserve: usize) -> Arc<Self> {
        Arc::new(Self { limit, reserve: reserve.min(limit), used: AtomicUsize::new(0) })
    }

    /// Takes `bytes`, or says that there is no room.
    pub fn lease(self: &Arc<Self>, bytes: usize) -> Result<Lease, Exhausted> {
        self.take(bytes, bytes, self.limit())?;
        Ok(Lease { budget: Arc::clone(self), bytes })
    }

    /// Takes `bytes` for what is owed already, if need be from the reserve.
    pub fn lease_owed(self: &Arc<Self>, bytes: usize) -> Result<Lease, Exhausted> {
        self.take(bytes, bytes, self.limit)?;
        Ok(Lease { budget: Arc::clone(self), bytes })
    }

    /// Takes `bytes` whether or not there is room: for what is owed already and must be sent to free its body (an encoded batch).
    /// Bounded by the callers: slots of a sink times its largest batch.
    pub fn lease_over(self: &Arc<Self>, bytes: usize) -> Lease {
        self.used.fetch_add(bytes, Relaxed);
        Lease { budget: Arc::clone(self), bytes }
    }

    /// Takes `bytes`, for a lease that will be `total` large.
    fn take(&self, bytes: usize, total: usize, limit: usize) -> Result<(), Exhausted> {
        self.used
            .fetch_update(Relaxed, Relaxed, |used| used.checked_add(bytes).filter(|after| *after <= limit))
            .map(|_| ())
            .map_err(|used| Exhausted { wanted: bytes, total, used, limit })
    }

    /// Bytes under lease now.
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Bytes that requests may have under lease.
    pub fn limit(&self) -> usize {
        self.limit - self.reserve
    }
}

/// Bytes taken from a [`Budget`]; given back on drop.
#[derive(Debug)]
pub struct Lease {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Lease {
    /// Makes the lease `bytes` large: grows (or fails, unchanged) or gives back.
    pub fn resize(&mut self, bytes: usize) -> Result<(), Exhausted> {
        if bytes > self.bytes {
            self.budget.take(bytes - self.bytes, bytes, self.budget.limit())?;
        } else {
            self.budget.used.fetch_sub(self.bytes - bytes, Relaxed);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Whether all leases together take more than a quarter of the budget: memory that nobody has under lease may then be missing.
    pub fn is_getting_short(&self) -> bool {
        self.budget.used() > self.budget.limit / 4
    }

    /// Bytes under this lease.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_lease_never_exceeds_the_limit_and_gives_back_on_drop() {
        let budget = Budget::new(100);
        let mut lease = budget.lease(60).unwrap();
        let refused = budget.lease(41).unwrap_err();
        assert_eq!(refused, Exhausted { wanted: 41, total: 41, used: 60, limit: 100 });
        assert_eq!(
            [refused.is_hopeless(), refused.beside(59).is_hopeless(), refused.beside(60).is_hopeless()],
            [false, false, true]
        );
        let refused = lease.resize(101).unwrap_err();
        assert_eq!((refused.wanted, refused.is_hopeless()), (41, true));
        assert_eq!((lease.bytes(), budget.used()), (60, 60));
        lease.resize(100).unwrap();
        lease.resize(10).unwrap();
        assert_eq!(budget.used(), 10);
        drop(lease);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_sum_over_the_address_space_is_refused() {
        let budget = Budget::new(usize::MAX);
        let _held = budget.lease(10).unwrap();
        assert!(budget.lease(usize::MAX).is_err());
    }
}
