//! What has come on a connection and was not taken yet, and the frames in it.

use super::super::answer::Fault;
use super::super::stream::Stream;
use super::{Found, Framing};
use bytes::BufMut as _;
use forebay_pipeline::budget::{Budget, Lease};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, timeout_at};

/// Bytes that may wait to be taken. A longer frame needs a lease.
pub const READ_BYTES: usize = 64 << 10;

/// The reading side of a connection.
#[derive(Debug)]
pub struct Inbox {
    stream: Stream,
    buffer: Vec<u8>,
    /// Bytes at the front that were taken.
    taken: usize,
    /// Bytes behind those in which no frame ends.
    scanned: usize,
    /// On a buffer that is longer than [`READ_BYTES`].
    lease: Option<Lease>,
    passing: Option<Rest>,
    is_ended: bool,
}

/// The rest of a frame that is passed over.
#[derive(Clone, Copy, Debug)]
enum Rest {
    Bytes(usize),
    ToItsEnd,
}

/// A frame, or the beginning of one that is too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    at: Range<usize>,
    used: usize,
    /// There was more of it.
    pub is_cut: bool,
    /// More of it is to come: its length, if that is known.
    rest: Option<Option<usize>>,
}

impl Inbox {
    pub fn new(stream: Stream) -> Self {
        let buffer = Vec::with_capacity(READ_BYTES);
        Self { stream, buffer, taken: 0, scanned: 0, lease: None, passing: None, is_ended: false }
    }

    /// Whether nothing more will come.
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Whether the frame at hand holds memory of the budget.
    pub fn is_long(&self) -> bool {
        self.lease.is_some()
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[self.taken..]
    }

    /// The next frame of at most `max` bytes, or the beginning of a longer one.
    pub fn next(&mut self, framing: &dyn Framing, max: usize) -> Option<Frame> {
        self.pass(framing);
        match framing.find(self.bytes(), self.scanned, self.is_ended) {
            Found::Frame { at, used } => {
                let end = at.end.min(at.start + max);
                Some(Frame { is_cut: end < at.end, at: at.start..end, used, rest: None })
            }
            Found::More { start, len } => {
                let buffered = self.bytes().len();
                self.scanned = buffered;
                // Of a frame that fits nobody knows yet that it does.
                if buffered.saturating_sub(start) <= max {
                    return None;
                }
                let end = start + max;
                let rest = Some(len.map(|len| len.saturating_sub(max)));
                Some(Frame { at: start..end, used: end, is_cut: true, rest })
            }
        }
    }

    /// The bytes of a frame.
    pub fn content(&self, frame: &Frame) -> &[u8] {
        &self.bytes()[frame.at.clone()]
    }

    /// The frame is dealt with.
    pub fn take(&mut self, frame: &Frame) {
        self.taken += frame.used;
        self.scanned = 0;
        self.passing = frame.rest.map(|len| len.map_or(Rest::ToItsEnd, Rest::Bytes));
    }

    /// Gives the frame at hand up.
    pub fn give_up(&mut self, framing: &dyn Framing) {
        if let Found::More { start, len } = framing.find(self.bytes(), self.scanned, false) {
            let used = self.bytes().len();
            let rest = Some(len.map(|len| len.saturating_sub(used - start.min(used))));
            self.take(&Frame { at: 0..0, used, is_cut: true, rest });
        }
    }

    /// Passes over what has come of a frame whose beginning was dealt with.
    fn pass(&mut self, framing: &dyn Framing) {
        let Some(rest) = self.passing else { return };
        let there = self.bytes().len();
        let (passed, rest) = match rest {
            Rest::Bytes(left) if left > there => (there, Some(Rest::Bytes(left - there))),
            Rest::Bytes(left) => (left, None),
            Rest::ToItsEnd => match framing.end_of_rest(self.bytes()) {
                Some(end) => (end, None),
                None => (there, Some(Rest::ToItsEnd)),
            },
        };
        self.taken += passed;
        self.passing = rest;
    }

    /// Whether nothing more can be read before there is room for it.
    pub fn is_full(&self) -> bool {
        self.taken == 0 && self.buffer.len() == self.buffer.capacity()
    }

    /// Makes room for more of a frame that fills the buffer.
    ///
    /// # Errors
    /// The budget has none.
    pub fn grow(&mut self, budget: &Arc<Budget>, max: usize) -> Result<(), Fault> {
        let old = self.buffer.len();
        // A frame that is too long is known by its first byte too many.
        let new = (2 * old).min(old.max(READ_BYTES) + max);
        // The old bytes stay until they are moved.
        let lease = budget.lease(new)?;
        let mut buffer = Vec::with_capacity(new);
        buffer.extend_from_slice(&self.buffer);
        self.buffer = buffer;
        self.lease = Some(lease);
        Ok(())
    }

    /// Reads what has come, and says how much. It is the end if nothing comes for `quiet`, or until then.
    pub async fn fill(&mut self, quiet: Duration, until: Option<Instant>) -> usize {
        if until.is_some_and(|until| Instant::now() >= until) {
            self.is_ended = true;
            return 0;
        }
        self.tidy();
        let quiet = Instant::now() + quiet;
        let until = until.map_or(quiet, |until| until.min(quiet));
        let room = self.buffer.capacity() - self.buffer.len();
        let mut buffer = (&mut self.buffer).limit(room);
        // What a broken connection brought is as good as what another one did.
        let read = timeout_at(until, self.stream.read_buf(&mut buffer)).await;
        let read = read.map_or(0, |read| read.unwrap_or(0));
        self.is_ended = read == 0;
        read
    }

    /// Gives back what was taken.
    fn tidy(&mut self) {
        let left = self.buffer.len() - self.taken;
        if self.lease.is_some() && left < READ_BYTES {
            let mut buffer = Vec::with_capacity(READ_BYTES);
            buffer.extend_from_slice(self.bytes());
            self.buffer = buffer;
            self.lease = None;
        } else {
            self.buffer.drain(..self.taken);
        }
        self.taken = 0;
    }

    /// Ends our side of the connection, which is all that can be said on it.
    pub async fn tell_to_go(&mut self) {
        // A client that is gone already needs not be told.
        let _ = self.stream.close_half().await;
    }
}
