//! Takes events off the wire: frame by frame, under leases, into batches of lines.

use super::super::answer::{Fault, Kind};
use super::super::buffer::{Buffer, Payload};
use super::super::endpoint::Endpoint;
use super::super::gather::Gathered;
use super::super::inflate;
use bytes::{Buf as _, BytesMut};
use forebay_pipeline::wire::lumberjack::{Events, Head, Violation, write_line};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

/// What is read at once from the socket, in bytes. As much again may wait to be taken.
pub const READ_BYTES: usize = 64 << 10;
/// A batch is admitted when it has this many bytes, though its window goes on: events that are safe are then acknowledged early.
const BATCH_BYTES: usize = 1 << 20;
/// What one event adds to its own bytes at most: a line break, and what stands for an empty one.
const LINE_BYTES: usize = 5;

/// Events to be admitted together.
#[derive(Debug)]
pub struct Batch {
    /// A line of JSON for each.
    pub lines: Payload,
    pub events: u32,
    /// The sequence number of the last.
    pub last: u32,
}

/// What comes after a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Events of the same window, if there are any left.
    Events,
    /// Another window, though this one promised more: its end was not sent.
    Window,
}

/// Reads what an agent sends.
#[derive(Debug)]
pub struct Reader<'e, R> {
    read: R,
    endpoint: &'e Endpoint,
    buffer: BytesMut,
}

/// A batch as it grows.
struct Growing {
    lines: Buffer,
    events: u32,
    last: u32,
}

impl<'e, R: AsyncRead + Unpin> Reader<'e, R> {
    pub fn new(read: R, endpoint: &'e Endpoint) -> Self {
        Self { read, endpoint, buffer: BytesMut::new() }
    }

    /// How many events the next window has; `None` if the agent leaves, or says nothing for `idle`.
    ///
    /// # Errors
    /// It says something else.
    pub async fn window(&mut self, idle: Duration) -> Result<Option<u32>, Fault> {
        // Nobody is owed an answer yet, so silence is no fault.
        let Ok(head) = timeout(idle, self.peek()).await else { return Ok(None) };
        match head? {
            None => Ok(None),
            Some((Head::Window { events }, len)) => {
                self.buffer.advance(len);
                self.endpoint.door.count_bytes(len as u64);
                Ok(Some(events))
            }
            Some(_) => Err(Fault::new(Kind::Framing, "events without a window before them")),
        }
    }

    /// The next batch of a window of which `left` events are to come, at least one.
    ///
    /// # Errors
    /// Over a bound, too slow, cut, or no Lumberjack.
    pub async fn batch(&mut self, left: u32) -> Result<(Batch, Next), Fault> {
        let limits = self.endpoint.intake.rules().limits();
        let most = left.min(u32::try_from(limits.max_records).unwrap_or(u32::MAX));
        let lines = Buffer::with_capacity(self.endpoint.budget(), 0, usize::MAX)?;
        let mut batch = Growing { lines, events: 0, last: 0 };
        let mut next = Next::Events;
        while batch.events < most && batch.lines.len() < BATCH_BYTES {
            let (head, len) = self.head().await?;
            match head {
                Head::Window { .. } if batch.events > 0 => {
                    next = Next::Window;
                    break;
                }
                Head::Window { .. } => return Err(Fault::new(Kind::Framing, "a window inside a window")),
                Head::Json { sequence, len: document } => {
                    self.buffer.advance(len);
                    self.event(sequence, document as usize, &mut batch).await?;
                }
                Head::Compressed { len: packed } => {
                    self.buffer.advance(len);
                    self.compressed(packed as usize, most, &mut batch).await?;
                }
            }
            self.endpoint.door.count_bytes(len as u64);
        }
        Ok((Batch { lines: batch.lines.finish()?, events: batch.events, last: batch.last }, next))
    }

    async fn event(&mut self, sequence: u32, len: usize, batch: &mut Growing) -> Result<(), Fault> {
        if len > self.endpoint.bounds.max_bytes {
            self.skip(len).await?;
            // It has to be acknowledged, or it would come again for ever. As a line that is no object it is counted as rejected.
            self.endpoint.warn_of_rejected(&format!("an event of {len} bytes is over the limit"));
            return batch.push(sequence, b"");
        }
        let document = self.payload(len).await?;
        batch.push(sequence, &document.bytes)
    }

    async fn compressed(&mut self, len: usize, most: u32, batch: &mut Growing) -> Result<(), Fault> {
        let limit = self.endpoint.bounds.max_bytes;
        if len > limit {
            return Err(Fault::too_large(limit));
        }
        let packed = self.payload(len).await?;
        let frames = inflate::zlib(packed, self.endpoint.budget(), limit).await?;
        for event in Events(&frames.bytes) {
            let (sequence, document) = event.map_err(violation)?;
            if batch.events == most {
                return Err(Fault::new(Kind::Framing, "more events than their window announces"));
            }
            batch.push(sequence, document)?;
        }
        Ok(())
    }

    /// The next `len` bytes.
    async fn payload(&mut self, len: usize) -> Result<Payload, Fault> {
        let mut payload = Gathered::of_len(self.endpoint.budget(), len)?;
        while payload.len() < len {
            if self.buffer.is_empty() {
                self.fill().await?;
            }
            let taken = self.buffer.len().min(len - payload.len());
            payload.extend(&self.buffer[..taken])?;
            self.buffer.advance(taken);
        }
        self.endpoint.door.count_bytes(len as u64);
        payload.finish()
    }

    /// Passes over `len` bytes.
    async fn skip(&mut self, len: usize) -> Result<(), Fault> {
        let mut left = len;
        while left > 0 {
            if self.buffer.is_empty() {
                self.fill().await?;
            }
            let taken = self.buffer.len().min(left);
            self.buffer.advance(taken);
            left -= taken;
        }
        self.endpoint.door.count_bytes(len as u64);
        Ok(())
    }

    /// The next head, which stays in the buffer.
    async fn head(&mut self) -> Result<(Head, usize), Fault> {
        let bounds = &self.endpoint.bounds;
        let head = timeout(bounds.body_timeout, self.peek()).await.map_err(|_| slow())??;
        head.ok_or_else(cut)
    }

    /// The head that comes next; `None` at the end of the stream.
    async fn peek(&mut self) -> Result<Option<(Head, usize)>, Fault> {
        loop {
            if let Some(head) = Head::parse(&self.buffer).map_err(violation)? {
                return Ok(Some(head));
            }
            if !self.read_more().await? {
                return if self.buffer.is_empty() { Ok(None) } else { Err(cut()) };
            }
        }
    }

    async fn fill(&mut self) -> Result<(), Fault> {
        let bounds = &self.endpoint.bounds;
        let more = timeout(bounds.body_timeout, self.read_more()).await.map_err(|_| slow())??;
        if more { Ok(()) } else { Err(cut()) }
    }

    /// Reads what has come, and says whether there will be more.
    async fn read_more(&mut self) -> Result<bool, Fault> {
        self.buffer.reserve(READ_BYTES);
        let read = self.read.read_buf(&mut self.buffer).await;
        read.map(|bytes| bytes > 0).map_err(|_| cut())
    }
}

impl Growing {
    fn push(&mut self, sequence: u32, document: &[u8]) -> Result<(), Fault> {
        self.lines.append(document.len() + LINE_BYTES, |lines| write_line(document, lines))?;
        self.events += 1;
        self.last = sequence;
        Ok(())
    }
}

fn violation(violation: Violation) -> Fault {
    Fault::new(Kind::Framing, violation.to_string())
}

fn cut() -> Fault {
    Fault::new(Kind::Cut, "the connection ended in the middle of a window")
}

fn slow() -> Fault {
    Fault::new(Kind::TooSlow, "the window did not arrive in time")
}
