//! A body as it is gathered, frame by frame, under leases on it and on the index that admission makes of it.

use super::super::answer::Fault;
use super::super::buffer::Payload;
use super::super::gather::Gathered;
use super::{FRAME_BYTES, Framing, Manner};
use forebay_pipeline::budget::Lease;
use std::sync::Arc;
use tokio::time::Instant;

/// What one record may take in an index, in bytes: its entry, its edits, its run and its id. Leased beforehand, because what is held by
/// those who wait for memory must be enough for one of them to go on.
const RECORD_BYTES: usize = 128;

/// Frames to be admitted together.
#[derive(Debug)]
pub struct Gathering {
    frames: Gathered,
    index: Lease,
    records: usize,
    since: Instant,
}

impl Gathering {
    /// Nothing yet.
    ///
    /// # Errors
    /// None, as long as the budget is not overdrawn.
    pub fn new(manner: &Manner) -> Result<Self, Fault> {
        let budget = manner.endpoint.budget();
        let limit = manner.sizes.batch_bytes.as_usize() + manner.sizes.max.as_usize() + FRAME_BYTES;
        let frames = Gathered::up_to(budget, limit)?;
        Ok(Self { frames, index: Arc::clone(budget).lease(0)?, records: 0, since: Instant::now() })
    }

    /// Appends a frame.
    ///
    /// # Errors
    /// There is no room for it; then nothing has changed.
    pub fn push(&mut self, framing: &dyn Framing, frame: &[u8], is_cut: bool) -> Result<(), Fault> {
        self.index.resize((self.records + 1) * RECORD_BYTES)?;
        self.frames.reserve(frame.len() + FRAME_BYTES)?;
        let mut written = Ok(());
        framing.write(frame, is_cut, &mut |bytes| {
            if written.is_ok() {
                written = self.frames.extend(bytes);
            }
        });
        self.records += 1;
        written
    }

    /// Whether it is to be admitted whatever comes.
    pub fn is_full(&self, manner: &Manner) -> bool {
        let most = manner.endpoint.intake.rules().limits().max_records;
        self.frames.len() >= manner.sizes.batch_bytes.as_usize() || self.records >= most
    }

    /// When it is to be admitted.
    pub fn due(&self, manner: &Manner) -> Instant {
        self.since + manner.sizes.batch_age.0
    }

    /// The body, with its lease.
    ///
    /// # Errors
    /// None: what it holds becomes less.
    pub fn finish(self) -> Result<Payload, Fault> {
        let Self { frames, index, .. } = self;
        let mut payload = frames.finish()?;
        let index_bytes = index.bytes();
        drop(index);
        // What was given back just now. If somebody else was quicker, admission asks for what it really needs.
        let _ = payload.lease.resize(payload.lease.bytes() + index_bytes);
        Ok(payload)
    }
}
