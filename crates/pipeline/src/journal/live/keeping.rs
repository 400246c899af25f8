//! The way of a body into the journal, as an intake sees it.

use super::service::Service;
use super::writer::{Job, Task};
use crate::admit::{Outlet, Tally};
use crate::body::Body;
use crate::budget::{Budget, Lease};
use crate::ids::Ids;
use crate::journal::Compression;
use crate::journal::frame::{IdKind, Label, MAX_BLOCK_BYTES, frame_len};
use crate::journal::segment::SEGMENT_HEAD_BYTES;
use crate::rules::{Parcels, Rules};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::oneshot;

/// The level at which bodies are compressed: the fastest that is worth it.
const ZSTD_LEVEL: i32 = 1;

/// Why a body was not kept; to be sent again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unkept {
    #[error("the journal is full: {used} of {max} bytes")]
    Full { used: u64, max: u64 },
    #[error("the journal cannot be written: {reason}")]
    Failed { reason: String },
    #[error("too many requests wait for the journal")]
    Busy,
    #[error("sink {sink} is too far behind")]
    Behind { sink: Arc<str> },
    /// Never to be sent again: it would not fit if there were nothing else.
    #[error("the request needs {bytes} bytes of the journal, of {max} in all")]
    TooLarge { bytes: u64, max: u64 },
}

/// The journal as one intake uses it: with the rules that its bodies are admitted under.
#[derive(Clone, Debug)]
pub struct Journaled {
    service: Arc<Service>,
    rules: Arc<Rules>,
    plan: Arc<u32>,
}

impl Journaled {
    pub(super) fn new(service: Arc<Service>, rules: Arc<Rules>, plan: Arc<u32>) -> Self {
        Self { service, rules, plan }
    }

    /// Whether it would take a body now, as far as it is known.
    ///
    /// # Errors
    /// It is full.
    pub(crate) fn has_room(&self) -> Result<(), Unkept> {
        let stats = self.service.stats();
        if stats.full.load(Relaxed) {
            stats.refused_full.fetch_add(1, Relaxed);
            return Err(Unkept::Full { used: stats.bytes.load(Relaxed), max: self.service.max_bytes() });
        }
        if let Some(sink) = stats.waits_for.lock().clone() {
            stats.refused_full.fetch_add(1, Relaxed);
            return Err(Unkept::Behind { sink });
        }
        Ok(())
    }

    /// Hands a body to the writer.
    ///
    /// # Errors
    /// Too many wait for it.
    pub(crate) fn keep(
        &self,
        body: Body,
        parcels: Parcels,
        tally: Tally,
        outlets: &Arc<[Outlet]>,
    ) -> Result<Keeping, Unkept> {
        self.has_room()?;
        let (answer, kept) = oneshot::channel();
        let label = self.label(&body);
        let packed = match self.service.packing() {
            (Compression::None, _) => None,
            (Compression::Zstd, budget) => pack(&body.bytes, budget)?,
        };
        let stored = packed.as_ref().map_or(body.bytes.len(), |(packed, _)| packed.len());
        self.fits(frame_len(body.receiver.len(), stored) as u64)?;
        let rules = Arc::clone(&self.rules);
        let outlets = Arc::clone(outlets);
        let (body, _plan) = (Arc::new(body), Arc::clone(&self.plan));
        let job = Job { body, parcels, rules, _plan, outlets, label, packed, tally, answer };
        self.service.task(Task::Keep(Box::new(job)))?;
        Ok(Keeping(kept))
    }

    /// Whether a frame of so many bytes would ever find room.
    fn fits(&self, bytes: u64) -> Result<(), Unkept> {
        let max = self.service.max_bytes();
        let most = bytes + (MAX_BLOCK_BYTES + SEGMENT_HEAD_BYTES) as u64;
        if most > max { Err(Unkept::TooLarge { bytes, max }) } else { Ok(()) }
    }

    fn label(&self, body: &Body) -> Label {
        let (ids, epoch, counter) = match &body.ids {
            Ids::None => (IdKind::None, 0, 0),
            Ids::Minted { epoch, frame } => (IdKind::Minted, *epoch, *frame),
            Ids::Content(_) => (IdKind::Content, 0, 0),
            Ids::Client { epoch, frame, .. } => (IdKind::Client, *epoch, *frame),
            Ids::Events { epoch, frame, .. } => (IdKind::Events, *epoch, *frame),
        };
        let records = body.index.records.len() as u32;
        Label { wire: body.wire, ids, arrived: body.arrived, epoch, counter, plan: *self.plan, records }
    }
}

/// A body that the writer has.
#[derive(Debug)]
pub struct Keeping(oneshot::Receiver<Result<(), Unkept>>);

impl Keeping {
    /// Waits until the body is on disk.
    ///
    /// # Errors
    /// It is not.
    pub async fn kept(self) -> Result<(), Unkept> {
        self.0.await.unwrap_or_else(|_| Err(Unkept::Failed { reason: "the writer has ended".to_owned() }))
    }
}

/// The body as zstd; none where that makes it no smaller, or there is no memory for it.
fn pack(bytes: &[u8], budget: &Arc<Budget>) -> Result<Option<(Vec<u8>, Lease)>, Unkept> {
    let Ok(mut lease) = budget.lease(zstd::zstd_safe::compress_bound(bytes.len())) else {
        return Ok(None);
    };
    let packed = zstd::bulk::compress(bytes, ZSTD_LEVEL)
        .map_err(|error| Unkept::Failed { reason: error.to_string() })?;
    if packed.len() >= bytes.len() {
        return Ok(None);
    }
    // A lease always shrinks.
    let _ = lease.resize(packed.capacity());
    Ok(Some((packed, lease)))
}
