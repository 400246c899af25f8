//! A consumer: feeds a sink that has fallen behind from disk, and what has come back to the journal once more.

use super::service::Published;
use super::tap::{Debt, Tap};
use crate::admit::index_bytes;
use crate::body::Body;
use crate::budget::{Budget, Lease};
use crate::ids::Ids;
use crate::journal::frame::{Frame, IdKind};
use crate::journal::inflate::Inflater;
use crate::journal::log;
use crate::journal::plans::Plans;
use crate::journal::segment::Position;
use crate::journal::storage::Storage;
use crate::journal::walk::{self, Extent, Place};
use crate::ledger::Ledger;
use crate::planted;
use crate::rules::Rules;
use crate::wire::ClientId;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How long to wait before what failed is tried again: reading the disk, or finding memory for what was read.
const READ_PAUSE: Duration = Duration::from_secs(1);
const MEMORY_PAUSE: Duration = Duration::from_millis(20);
/// Looked around at least so often, whatever happens.
const IDLE: Duration = Duration::from_secs(3_600);
/// What a body's index may weigh, guessed before there is one.
const INDEX_PART: usize = 2;

/// One sink's consumer.
#[derive(Debug)]
pub(super) struct Consumer<S: Storage> {
    pub tap: Arc<Tap>,
    pub storage: Arc<S>,
    pub published: Arc<Mutex<Published>>,
    pub plans: Arc<Plans>,
    /// For frames whose own rules are lost.
    pub present: Arc<Rules>,
    pub ledger: Arc<Ledger>,
    pub budget: Arc<Budget>,
    /// Frames before this were written by an earlier process.
    pub first: u64,
    pub place: Place,
    /// The next frames in order.
    pub ahead: VecDeque<Position>,
}

/// A frame that has come back and was taken up again; it rests once more if this is dropped.
struct Held {
    tap: Arc<Tap>,
    position: Option<Position>,
}

impl Held {
    /// It was handed over.
    fn release(mut self) {
        self.position = None;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(position) = self.position {
            self.tap.park(position);
        }
    }
}

/// Why a frame cannot be handed over.
enum Unread {
    /// It is damaged, and is no more.
    Lost(String),
    /// It is whole, but this Forebay cannot make sense of it.
    Strange(String),
    /// The storage does not answer.
    Failing(io::Error),
}

// Derived, it would ask the same of the storage.
impl<S: Storage> Clone for Consumer<S> {
    fn clone(&self) -> Self {
        Self {
            tap: Arc::clone(&self.tap),
            storage: Arc::clone(&self.storage),
            published: Arc::clone(&self.published),
            plans: Arc::clone(&self.plans),
            present: Arc::clone(&self.present),
            ledger: Arc::clone(&self.ledger),
            budget: Arc::clone(&self.budget),
            first: self.first,
            place: self.place,
            ahead: self.ahead.clone(),
        }
    }
}

impl<S: Storage + 'static> Consumer<S> {
    /// Runs until the tap is closed.
    pub(super) async fn run(mut self) {
        while !self.tap.is_closed() {
            if let Some(position) = self.tap.unpark(Instant::now()) {
                // Nobody else knows of it: a panic must not forget it.
                let held = Held { tap: Arc::clone(&self.tap), position: Some(position) };
                self.feed(position, true).await;
                held.release();
            } else if !self.tap.is_caught_up() && self.tap.may_advance() {
                self.advance().await;
            } else {
                self.rest().await;
            }
        }
    }

    /// Waits until there is something to do.
    async fn rest(&self) {
        let now = Instant::now();
        // What could be taken up again but has no room waits for room.
        let wake_at = self.tap.wake_at().filter(|at| *at > now).unwrap_or(now + IDLE);
        tokio::select! {
            () = self.tap.moved.notified() => {}
            () = sleep_until(wake_at) => {}
        }
    }

    /// Hands over the next frame in order, or finds that there is none.
    async fn advance(&mut self) {
        if let Some(position) = self.ahead.pop_front() {
            let next = position.sequence + 1;
            if !self.tap.is_finished(position.sequence) {
                self.feed(position, false).await;
            }
            if !self.tap.is_closed() {
                self.tap.advance(next);
            }
            return;
        }
        let next = self.tap.next();
        let extent = {
            let published = self.published.lock();
            let extent = published.extents.iter().find(|extent| extent.end > next).copied();
            if extent.is_none() && self.tap.catch_up(published.end) {
                return;
            }
            extent
        };
        match extent {
            Some(extent) => self.look_ahead(extent, next).await,
            // Numbers that no segment has were given up by the writer, or lost and counted when the journal was opened.
            None => self.tap.advance(self.published.lock().end.max(next)),
        }
    }

    async fn look_ahead(&mut self, extent: Extent, next: u64) {
        let storage = Arc::clone(&self.storage);
        let mut place = self.place;
        let found = blocking(move || {
            let found = walk::positions(&*storage, &extent, next, &mut place)?;
            Ok((found, place))
        });
        match found.await {
            Ok((found, place)) => {
                self.place = place;
                if found.is_empty() {
                    // The rest of the segment was damaged since the journal was opened.
                    self.lose(next.max(extent.base)..extent.end, "nothing sound is left in the segment");
                    self.tap.advance(extent.end);
                } else {
                    // Numbers before the segment may be those of one that could not be read when the journal was opened.
                    let mut from = next.max(extent.base);
                    for position in &found {
                        self.lose(from..position.sequence, "no frame of this number is found any more");
                        from = position.sequence + 1;
                    }
                    self.ahead.extend(found);
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.lose(next.max(extent.base)..extent.end, "the segment is gone");
                self.tap.advance(extent.end);
            }
            Err(error) => self.wait_for_storage(&error).await,
        }
    }

    /// Counts frames that were there and are no more; those that the sink had finished are no loss.
    fn lose(&self, frames: std::ops::Range<u64>, why: &str) {
        for sequence in frames.filter(|sequence| !self.tap.is_finished(*sequence)) {
            self.tap.losses.lost.fetch_add(1, Relaxed);
            tracing::error!(sink = %self.tap.sink, frame = sequence, reason = why, "a frame of the journal is lost");
            self.tap.finish(sequence);
        }
    }

    async fn wait_for_storage(&self, error: &io::Error) {
        tracing::warn!(sink = %self.tap.sink, %error, "the journal cannot be read now");
        // Woken early by anything that moves, which may be the close.
        let _ = timeout(READ_PAUSE, self.tap.moved.notified()).await;
    }

    /// Reads a frame and hands it over.
    async fn feed(&mut self, position: Position, again: bool) {
        planted::pass("consumer");
        let body = loop {
            match self.take_up(position).await {
                Ok(body) => break body,
                Err(Unread::Lost(why)) => return self.lose(position.sequence..position.sequence + 1, &why),
                Err(Unread::Strange(why)) => {
                    tracing::error!(sink = %self.tap.sink, frame = position.sequence, reason = why,
                        "a frame of the journal cannot be understood; it stays there");
                    return self.tap.park(position);
                }
                Err(Unread::Failing(error)) => self.wait_for_storage(&error).await,
            }
            if self.tap.is_closed() {
                return;
            }
        };
        let is_known = again || position.sequence < self.first;
        let debt = if is_known { Debt::Known } else { Debt::New };
        let (body, rules) = body;
        self.tap.feed(position, Arc::new(body), &rules, debt, again).await;
    }

    /// Makes of a frame the body that it once was.
    async fn take_up(&self, position: Position) -> Result<(Body, Arc<Rules>), Unread> {
        // What is owed already is sent to free the disk: it may use the part of the budget that requests leave.
        let mut lease = self.lease(position.len as usize).await?;
        let storage = Arc::clone(&self.storage);
        let frame =
            blocking(move || log::read(&*storage, position)).await.map_err(|error| match error.kind() {
                ErrorKind::InvalidData | ErrorKind::NotFound | ErrorKind::UnexpectedEof => {
                    Unread::Lost(error.to_string())
                }
                _ => Unread::Failing(error),
            })?;
        let len = frame.head.body_len as usize;
        let known = (len + len / INDEX_PART).max(lease.bytes());
        lease = self.grow(lease, known).await?;
        let bytes = Inflater::default().body(&frame).map_err(|error| Unread::Lost(error.to_string()))?;
        let rules = self.plans.rules(frame.head.label.plan, &self.ledger);
        let rules = rules.unwrap_or_else(|| Arc::clone(&self.present));
        let mut body = restore(&frame, bytes, &rules, lease).map_err(Unread::Strange)?;
        let weight = body.bytes.len() + index_bytes(&body.index, &body.ids);
        // It exists already: that it is a little more than was guessed must not make it wait.
        if body.lease.resize(weight).is_err() {
            body.lease = self.budget.lease_over(weight);
        }
        Ok((body, rules))
    }

    async fn lease(&self, bytes: usize) -> Result<Lease, Unread> {
        loop {
            match self.budget.lease_owed(bytes) {
                Ok(lease) => return Ok(lease),
                Err(_) if self.tap.is_closed() => return Err(closed()),
                // Alone it is larger than the budget: it was taken under a larger one.
                Err(_) if bytes >= self.budget.limit() => return Ok(self.budget.lease_over(bytes)),
                Err(_) => sleep(MEMORY_PAUSE).await,
            }
        }
    }

    /// The same lease, larger. Given back before it waits, so that two consumers cannot hold each other up.
    async fn grow(&self, lease: Lease, bytes: usize) -> Result<Lease, Unread> {
        drop(lease);
        self.lease(bytes).await
    }
}

fn closed() -> Unread {
    Unread::Failing(io::Error::other("closing"))
}

/// The body of a frame as it was admitted.
fn restore(frame: &Frame, bytes: Bytes, rules: &Rules, lease: Lease) -> Result<Body, String> {
    let label = &frame.head.label;
    let receiver = std::str::from_utf8(&frame.receiver).map_err(|error| error.to_string())?;
    let checked = rules.check_again(label.wire, &bytes, label.arrived, receiver);
    let mut index = checked.map_err(|malformed| malformed.to_string())?;
    if index.records.len() != label.records as usize {
        return Err(format!("{} records, of {} that were admitted", index.records.len(), label.records));
    }
    let (epoch, frame) = (label.epoch, label.counter);
    let ids = match label.ids {
        IdKind::None => Ids::None,
        IdKind::Minted => Ids::Minted { epoch, frame },
        IdKind::Content => Ids::Content(crate::ids::content_ids_of(label.wire, &bytes, &index)),
        IdKind::Events => {
            let hashes = crate::ids::event_ids(&bytes, &index, epoch, frame);
            Ids::Events { hashes, epoch, frame }
        }
        IdKind::Client => {
            let mut named = std::mem::take(&mut index.client_ids);
            // Under rules that name no id field every id is minted.
            named.resize(index.records.len(), ClientId::default());
            Ids::Client { named, epoch, frame }
        }
    };
    let wire = label.wire;
    Ok(Body { bytes, wire, index, ids, arrived: label.arrived, receiver: receiver.into(), lease })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
