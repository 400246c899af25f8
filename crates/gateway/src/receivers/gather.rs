//! One payload as it comes, over the wire or out of a decompressor: it grows under a lease, and stops at a limit.

use super::answer::{Fault, Kind};
use super::buffer::Payload;
use super::mapped::Mapped;
use crate::allocator;
use forebay_pipeline::budget::{Budget, Lease};
use std::sync::Arc;

/// A payload of more bytes lies in a mapping. A smaller one is cheaper in the allocator's memory.
pub const MAPPED_FROM_BYTES: usize = 256 << 10;
/// A payload of unknown length that has outgrown this goes into a mapping at once: each vector that it grows out of stays with the allocator.
const GROWN_BYTES: usize = 64 << 10;
/// How much larger a mapping is than what did not do. What is not written to takes nothing, so it may be much.
const GROWTH: usize = 8;
/// A mapping is leased as it is written to, in steps of so many bytes.
const STEP_BYTES: usize = 64 << 10;

/// What has come of a payload. The memory that it takes is under lease at any time.
#[derive(Debug)]
pub struct Gathered {
    store: Store,
    lease: Lease,
    /// Bytes that are leased whether they have come or not.
    least: usize,
    limit: usize,
    /// Bytes that the same request holds elsewhere until this is filled.
    beside: usize,
}

#[derive(Debug)]
enum Store {
    Heap(Vec<u8>),
    Mapped(Mapped),
}

impl Gathered {
    /// Nothing yet of a payload of at most `limit` bytes.
    ///
    /// # Errors
    /// None, as long as the budget is not overdrawn.
    pub fn up_to(budget: &Arc<Budget>, limit: usize) -> Result<Self, Fault> {
        Self::whole(0, budget, 0, limit)
    }

    /// Nothing yet of a payload of `len` bytes. The budget is asked for all of them, so that what would find no room now is refused before it
    /// is read; but then no more is leased than has come: whoever declares much and sends little must not keep others out.
    ///
    /// # Errors
    /// The budget has no room for it.
    pub fn of_len(budget: &Arc<Budget>, len: usize) -> Result<Self, Fault> {
        let mut gathered = Self::whole(0, budget, len, len)?;
        if let Store::Mapped(_) = gathered.store {
            gathered.least = STEP_BYTES;
            gathered.lease.resize(STEP_BYTES)?;
        }
        Ok(gathered)
    }

    /// Nothing yet of a payload of at most `limit` bytes, `expected` of which are leased at once, beside those that its request holds elsewhere
    /// until this is filled.
    ///
    /// # Errors
    /// `expected` is over the limit, or the budget has no room for it.
    pub fn whole(beside: usize, budget: &Arc<Budget>, expected: usize, limit: usize) -> Result<Self, Fault> {
        if expected > limit {
            return Err(Fault::too_large(limit));
        }
        let lease = budget.lease(expected).map_err(|exhausted| exhausted.beside(beside))?;
        Ok(Self { store: Store::with_capacity(expected)?, lease, least: expected, limit, beside })
    }

    /// Bytes that have come.
    pub fn len(&self) -> usize {
        self.store.as_slice().len()
    }

    /// Bytes that can come without a move.
    pub fn spare(&self) -> usize {
        self.store.capacity() - self.len()
    }

    /// Makes room for `more` bytes, and for more than that, so that the bytes move a few times only.
    ///
    /// # Errors
    /// Over the limit, or the budget has no room.
    pub fn reserve(&mut self, more: usize) -> Result<(), Fault> {
        let wanted = self.len().saturating_add(more);
        if wanted > self.limit {
            return Err(Fault::too_large(self.limit));
        }
        let old = self.store.capacity();
        if wanted <= old {
            return self.charge(self.store.takes(wanted));
        }
        // The old bytes stay until they are moved.
        let held = self.lease.bytes();
        let doubled = wanted.max(old.saturating_mul(2)).min(self.limit);
        let mut store = if doubled <= GROWN_BYTES {
            self.charge(held + doubled)?;
            Store::Heap(Vec::with_capacity(doubled))
        } else {
            self.charge(held + self.len())?;
            Store::mapped(wanted.max(old.saturating_mul(GROWTH)).min(self.limit))?
        };
        store.extend(self.store.as_slice());
        self.store = store;
        self.lease.resize(self.store.takes(self.len()).max(self.least))?;
        self.charge(self.store.takes(wanted))
    }

    /// Appends `chunk`.
    ///
    /// # Errors
    /// As [`Self::reserve`].
    pub fn extend(&mut self, chunk: &[u8]) -> Result<(), Fault> {
        self.reserve(chunk.len())?;
        self.store.extend(chunk);
        Ok(())
    }

    /// Lets `write` fill up to `most` bytes of the spare room, and keeps as many as it says that it wrote.
    ///
    /// # Errors
    /// The budget has no room.
    pub fn fill<T>(&mut self, most: usize, write: impl FnOnce(&mut [u8]) -> (usize, T)) -> Result<T, Fault> {
        let most = most.min(self.spare());
        self.reserve(most)?;
        Ok(match &mut self.store {
            Store::Mapped(mapped) => mapped.fill(most, write),
            Store::Heap(bytes) => {
                let len = bytes.len();
                bytes.resize(len + most, 0);
                let (written, result) = write(&mut bytes[len..]);
                bytes.truncate(len + written);
                result
            }
        })
    }

    /// The payload, with what was reserved in excess given back if it is much.
    ///
    /// # Errors
    /// None: what it holds has become less.
    pub fn finish(mut self) -> Result<Payload, Fault> {
        let bytes = match self.store {
            Store::Mapped(mapped) => {
                self.lease.resize(mapped.len().next_multiple_of(STEP_BYTES).min(mapped.capacity()))?;
                mapped.into()
            }
            Store::Heap(mut bytes) => {
                if bytes.capacity() - bytes.len() > bytes.len() / 4 {
                    bytes.shrink_to_fit();
                    self.lease.resize(bytes.capacity())?;
                }
                bytes.into()
            }
        };
        Ok(Payload { bytes, lease: self.lease })
    }

    /// Leases `bytes`, if that is more than is leased.
    fn charge(&mut self, bytes: usize) -> Result<(), Fault> {
        if bytes > self.lease.bytes() {
            self.lease.resize(bytes).map_err(|exhausted| exhausted.beside(self.beside))?;
            // A mapping does not take what the allocator keeps.
            if matches!(self.store, Store::Mapped(_)) && self.lease.is_getting_short() {
                allocator::give_back();
            }
        }
        Ok(())
    }
}

impl Store {
    fn with_capacity(capacity: usize) -> Result<Self, Fault> {
        if capacity <= MAPPED_FROM_BYTES {
            return Ok(Self::Heap(Vec::with_capacity(capacity)));
        }
        Self::mapped(capacity)
    }

    fn mapped(capacity: usize) -> Result<Self, Fault> {
        let refused = |error| Fault::new(Kind::Busy, format!("no room for {capacity} bytes: {error}"));
        Ok(Self::Mapped(Mapped::with_capacity(capacity).map_err(refused)?))
    }

    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Heap(bytes) => bytes,
            Self::Mapped(mapped) => mapped.as_ref(),
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Heap(bytes) => bytes.capacity(),
            Self::Mapped(mapped) => mapped.capacity(),
        }
    }

    /// Bytes of memory that it takes with `len` bytes in it.
    fn takes(&self, len: usize) -> usize {
        match self {
            Self::Heap(bytes) => bytes.capacity(),
            Self::Mapped(mapped) => len.next_multiple_of(STEP_BYTES).min(mapped.capacity()),
        }
    }

    fn extend(&mut self, chunk: &[u8]) {
        match self {
            Self::Heap(bytes) => bytes.extend_from_slice(chunk),
            Self::Mapped(mapped) => mapped.extend(chunk),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn whatever_comes_in_whatever_pieces_is_there_in_the_end() {
        let budget = Budget::new(16 * MIB);
        for len in [0, 1, 100_000, MAPPED_FROM_BYTES, MAPPED_FROM_BYTES + 1, 3 * MIB + 17] {
            let body: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            for piece in [1_000, 16 << 10, MIB] {
                let known = Gathered::of_len(&budget, len).unwrap();
                for mut gathered in [known, Gathered::up_to(&budget, len).unwrap()] {
                    for chunk in body.chunks(piece) {
                        gathered.extend(chunk).unwrap();
                        assert!(budget.used() >= gathered.len());
                    }
                    assert_eq!(gathered.extend(b"x").unwrap_err().kind, Kind::TooLarge);
                    let payload = gathered.finish().unwrap();
                    assert!(
                        payload.lease.bytes() >= len && payload.lease.bytes() < len + STEP_BYTES.max(len / 4)
                    );
                    assert!(payload.bytes == body, "{len} bytes in pieces of {piece}");
                }
            }
        }
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn of_what_is_announced_no_more_is_leased_than_has_come() {
        let budget = Budget::new(64 * MIB);
        let mut known = Gathered::of_len(&budget, 60 * MIB).unwrap();
        for sent in (0..16 * MIB).step_by(STEP_BYTES / 4) {
            assert!(budget.used() <= sent + STEP_BYTES, "{sent}: {}", budget.used());
            known.extend(&[7; STEP_BYTES / 4]).unwrap();
        }
        // Small ones double, as vectors do.
        let mut unknown = Gathered::up_to(&budget, 60 * MIB).unwrap();
        let others = budget.used();
        for sent in (0..16 * MIB).step_by(1 << 10) {
            let most = if sent < GROWN_BYTES { 2 * sent + (1 << 10) } else { sent + STEP_BYTES };
            assert!(budget.used() - others <= most, "{sent}: {}", budget.used() - others);
            unknown.extend(&[7; 1 << 10]).unwrap();
        }
    }

    #[test]
    fn it_grows_under_its_lease_and_gives_back_the_excess() {
        let budget = Budget::new(MIB);
        let mut gathered = Gathered::whole(0, &budget, 10, 1000).unwrap();
        assert_eq!(budget.used(), 10);
        gathered.extend(&[1; 11]).unwrap();
        assert_eq!(budget.used(), 20);
        gathered.extend(&[2; 300]).unwrap();
        gathered.extend(&[3; 1]).unwrap();
        assert_eq!(budget.used(), 622);
        let payload = gathered.finish().unwrap();
        assert_eq!((payload.bytes.len(), payload.lease.bytes(), budget.used()), (312, 312, 312));
        let mut filled = Gathered::up_to(&budget, MIB / 2).unwrap();
        filled.reserve(MIB / 2).unwrap();
        let result = filled.fill(MIB, |out| {
            out[..3].copy_from_slice(b"abc");
            (3, out.len())
        });
        assert_eq!((result.unwrap(), filled.len()), (MIB / 2, 3));
        assert_eq!(&filled.finish().unwrap().bytes[..], b"abc");
    }

    #[test]
    fn it_stops_where_the_budget_ends() {
        let budget = Budget::new(4 * MIB);
        assert_eq!(Gathered::of_len(&budget, 4 * MIB + 1).unwrap_err().kind, Kind::TooLarge);
        assert_eq!(Gathered::whole(0, &budget, 51, 50).unwrap_err().kind, Kind::TooLarge);
        let other = budget.lease(2 * MIB).unwrap();
        assert_eq!(Gathered::of_len(&budget, 3 * MIB).unwrap_err().kind, Kind::Busy);
        assert_eq!(Gathered::whole(MIB, &budget, 3 * MIB, 3 * MIB).unwrap_err().kind, Kind::Busy);
        assert_eq!(Gathered::whole(2 * MIB, &budget, 3 * MIB, 3 * MIB).unwrap_err().kind, Kind::TooLarge);
        let mut gathered = Gathered::up_to(&budget, 3 * MIB).unwrap();
        assert_eq!(gathered.extend(&vec![0; 2 * MIB + 1]).unwrap_err().kind, Kind::Busy);
        drop((gathered, other));
        assert_eq!(budget.used(), 0);
    }
}
