//! Sinks that nobody waits for: they get what fits into their window, and the rest is dropped and counted.

use crate::admit::Outlet;
use crate::body::Body;
use crate::journal::segment::Position;
use crate::ledger::Outcome;
use crate::receipt::{Keeper, Kept, Receipt, Settled};
use crate::rules::{Duty, Parcels, Rules};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What is on its way to one sink by best effort.
#[derive(Debug, Default)]
pub struct Spare {
    /// Bytes of bodies.
    used: AtomicUsize,
}

impl Keeper for Spare {
    fn settled(&self, kept: Kept, _: &Settled) {
        self.used.fetch_sub(kept.bytes, Relaxed);
    }

    fn recalls(&self) -> bool {
        false
    }

    fn unspoken(&self) -> Outcome {
        Outcome::BestEffort
    }
}

/// Hands a body that was taken to those sinks that are to have it if they keep up.
pub(crate) fn hand_over(rules: &Rules, outlets: &[Outlet], body: &Arc<Body>, parcels: &Parcels) {
    for (sink, shares) in rules.shares_per_sink(Duty::BestEffort, parcels).into_iter().enumerate() {
        let Some(outlet) = outlets.get(sink).filter(|_| shares > 0) else { continue };
        let bytes = body.lease.bytes();
        let used = outlet.spare.used.fetch_add(bytes, Relaxed);
        let keeper = Arc::clone(&outlet.spare) as Arc<dyn Keeper>;
        let receipt = Receipt::kept(keeper, Kept { position: Position::default(), bytes, again: false });
        let claim = |account: &_, records| receipt.claim(account, records);
        let all = rules.shares(Duty::BestEffort, sink, body, parcels, claim);
        let has_room = used == 0 || used + bytes <= outlet.window;
        match outlet.handle.reserve(shares) {
            Ok(mut permits) if has_room => all.for_each(|share| permits.send(share)),
            // Dropped, each says what became of it.
            _ => all.for_each(drop),
        }
        receipt.seal();
    }
}
