//! Sinks that have fallen further behind than they may: those that make clients wait, and those that lose the oldest.

use super::tap::Tap;
use crate::deliver::OnLag;
use crate::journal::log;
use crate::journal::storage::Storage;
use crate::journal::walk::{self, Extent, Place};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Whether some sink is so far behind that clients are to wait for it.
pub(super) fn makes_clients_wait(taps: &[Arc<Tap>], extents: &[Extent]) -> Option<Arc<str>> {
    let waits = |tap: &&Arc<Tap>| tap.cap.on_lag == OnLag::Refuse && excess(tap, extents) > 0;
    taps.iter().find(waits).map(|tap| Arc::clone(&tap.sink))
}

/// Has sinks that lose the oldest lose as many whole segments as they are too far behind. The segment that is being written stays.
pub(super) fn drop_oldest(storage: &impl Storage, taps: &[Arc<Tap>], extents: &[Extent]) {
    for tap in taps.iter().filter(|tap| tap.cap.on_lag == OnLag::DropOldest && !tap.is_closed()) {
        let mut excess = excess(tap, extents);
        // What is on its way holds its segments. Unsent, it comes back, and can be dropped the next time.
        tap.recall(excess > 0);
        for extent in extents.iter().take(extents.len().saturating_sub(1)) {
            if excess == 0 {
                break;
            }
            if drop_segment(storage, tap, extent) {
                excess = excess.saturating_sub(extent.len);
            }
        }
    }
}

fn excess(tap: &Tap, extents: &[Extent]) -> u64 {
    let Some(most) = &tap.cap.max_bytes else { return 0 };
    tap.held_bytes(extents).saturating_sub(most.0)
}

/// Drops what was not handed over yet of a segment; whether there was any of it.
fn drop_segment(storage: &impl Storage, tap: &Tap, extent: &Extent) -> bool {
    let mut place = Place::default();
    let (mut frames, mut records) = (0, 0);
    while let Ok(found) = walk::positions(storage, extent, tap.next().max(extent.base), &mut place)
        && !found.is_empty()
    {
        for position in found.into_iter().filter(|position| !tap.is_taken(position.sequence)) {
            records += log::read_head(storage, position).map_or(0, |head| u64::from(head.label.records));
            frames += 1;
            tap.finish(position.sequence);
        }
    }
    for position in tap.forget_parked(extent.base..extent.end) {
        records += log::read_head(storage, position).map_or(0, |head| u64::from(head.label.records));
        frames += 1;
        tap.finish(position.sequence);
    }
    tap.losses.lagged.fetch_add(frames, Relaxed);
    tap.losses.lagged_records.fetch_add(records, Relaxed);
    if frames > 0 {
        tracing::error!(sink = %tap.sink, requests = frames, records, "too far behind: the oldest requests are dropped");
    }
    frames > 0
}
