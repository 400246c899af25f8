//! Takes messages off the wire: their events as they are, under leases, into bodies.

use super::super::answer::{Fault, Kind};
use super::super::buffer::Payload;
use super::super::endpoint::Endpoint;
use super::super::gather::Gathered;
use super::super::inflate::gather_gzip;
use super::super::inflate_zstd::gather_zstd;
use super::ROOM_EVERY;
use bytes::{Buf as _, BytesMut};
use forebay_pipeline::wire::forward::message::{
    Compression, Events, MAX_CHUNK_BYTES, MAX_OPTIONS_BYTES, Opening, Options, Violation,
};
use forebay_pipeline::wire::forward::{Skipper, TRAILER_BYTES, write_trailer};
use std::ops::Range;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::{Instant, sleep, timeout};

/// What is read at once from the socket, in bytes. As much again may wait to be taken.
pub const READ_BYTES: usize = 64 << 10;
/// Messages of one event each are taken together up to so many bytes.
const BATCH_BYTES: usize = 1 << 20;
/// A heartbeat over TCP.
const NIL: u8 = 0xc0;
/// What an entry begins with: an array of time and record.
const ENTRY: u8 = 0x92;

/// One message.
#[derive(Debug)]
pub struct Message {
    /// Its events, in a body of their wire.
    pub body: Payload,
    /// What its acknowledgement is to name. Without it nobody waits for one.
    pub chunk: Option<Box<[u8]>>,
}

/// Reads what a client sends.
#[derive(Debug)]
pub struct Reader<R> {
    read: R,
    buffer: BytesMut,
}

/// Where the bytes of one message go.
struct Filling<'e> {
    endpoint: &'e Endpoint,
    /// Until when its bytes may wait for memory.
    until: Instant,
    body: Gathered,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub fn new(read: R) -> Self {
        Self { read, buffer: BytesMut::new() }
    }

    /// Waits until a message begins, and passes over heartbeats. False: the client leaves, or says nothing for `idle`.
    pub async fn begins(&mut self, idle: Duration, endpoint: &Endpoint) -> bool {
        loop {
            while self.buffer.first() == Some(&NIL) {
                self.take(1, endpoint);
            }
            if !self.buffer.is_empty() {
                return true;
            }
            if !matches!(timeout(idle, self.read_more()).await, Ok(Ok(true))) {
                return false;
            }
        }
    }

    /// The message that has begun.
    ///
    /// # Errors
    /// Over a bound, too slow, cut, or no message.
    pub async fn message(&mut self, endpoint: &Endpoint) -> Result<Message, Fault> {
        let (tag, events, has_options) = self.opening(endpoint).await?;
        let room = tag.len() + MAX_CHUNK_BYTES + TRAILER_BYTES;
        let mut filling = Filling::new(endpoint, events, room).await?;
        match events {
            Events::One => {
                filling.extend(&[ENTRY]).await?;
                self.values(2, &mut filling).await?;
            }
            Events::Listed(count) => self.values(count, &mut filling).await?,
            Events::Packed(len) => self.bytes(len as usize, &mut filling).await?,
        }
        let options = match has_options {
            true => Options::parse(&self.value(MAX_OPTIONS_BYTES, Violation::Options, endpoint).await?),
            false => Ok(Options::default()),
        };
        let Options { chunk, compression } = options.map_err(violation)?;
        if let Events::Packed(_) = events {
            filling.inflate(compression).await?;
        }
        if chunk.is_none() && events == Events::One {
            self.more(&tag, &mut filling).await?;
        }
        let mut trailer = Vec::with_capacity(room);
        write_trailer(&tag, chunk.as_deref(), &mut trailer);
        filling.extend(&trailer).await?;
        Ok(Message { body: filling.body.finish()?, chunk })
    }

    /// One whole value of at most `most` bytes; `too_long` if it has more.
    ///
    /// # Errors
    /// Too slow, cut, or no value.
    pub async fn value(
        &mut self,
        most: usize,
        too_long: Violation,
        endpoint: &Endpoint,
    ) -> Result<Vec<u8>, Fault> {
        let mut skipper = Skipper::new(1);
        let mut value = Vec::new();
        loop {
            let passed = skipper.pass(&self.buffer).map_err(|_| violation(Violation::Broken))?;
            if (value.len() + passed) as u64 + skipper.least() > most as u64 {
                return Err(violation(too_long));
            }
            value.extend_from_slice(&self.buffer[..passed]);
            self.take(passed, endpoint);
            if skipper.is_done() {
                return Ok(value);
            }
            self.fill(endpoint).await?;
        }
    }

    /// Adds the events of messages that are here already and might as well have come in the same one: loggers send each of theirs in one of its own.
    async fn more(&mut self, tag: &[u8], filling: &mut Filling<'_>) -> Result<(), Fault> {
        let most = BATCH_BYTES.min(filling.endpoint.bounds.max_bytes);
        while let Some((event, len)) = self.one_more(tag)
            && filling.body.len() + len < most
        {
            filling.extend(&[ENTRY]).await?;
            filling.extend(&self.buffer[event]).await?;
            self.take(len, filling.endpoint);
        }
        Ok(())
    }

    /// Where the event of the next message is, and how long the message, if it is here as a whole, has one event of this tag, and nobody waits for an answer.
    fn one_more(&self, tag: &[u8]) -> Option<(Range<usize>, usize)> {
        let (opening, start) = Opening::parse(&self.buffer).ok()??;
        if opening.tag != tag || opening.events != Events::One {
            return None;
        }
        let end_of = |values, at: usize| {
            let mut skipper = Skipper::new(values);
            let passed = skipper.pass(self.buffer.get(at..)?).ok()?;
            skipper.is_done().then_some(at + passed)
        };
        let event = start..end_of(2, start)?;
        if !opening.has_options {
            return Some((event.clone(), event.end));
        }
        let end = end_of(1, event.end)?;
        let options = Options::parse(&self.buffer[event.end..end]).ok()?;
        options.chunk.is_none().then_some((event, end))
    }

    /// The tag, how the events come, and whether options follow.
    async fn opening(&mut self, endpoint: &Endpoint) -> Result<(Vec<u8>, Events, bool), Fault> {
        loop {
            if let Some((opening, len)) = Opening::parse(&self.buffer).map_err(violation)? {
                let parts = (opening.tag.to_vec(), opening.events, opening.has_options);
                self.take(len, endpoint);
                return Ok(parts);
            }
            self.fill(endpoint).await?;
        }
    }

    /// The next `count` values.
    async fn values(&mut self, count: u32, filling: &mut Filling<'_>) -> Result<(), Fault> {
        let limit = filling.endpoint.bounds.max_bytes;
        let mut skipper = Skipper::new(count.into());
        loop {
            let passed = skipper.pass(&self.buffer).map_err(|_| violation(Violation::Broken))?;
            filling.extend(&self.buffer[..passed]).await?;
            self.take(passed, filling.endpoint);
            if skipper.is_done() {
                return Ok(());
            }
            if filling.body.len() as u64 + skipper.least() > limit as u64 {
                return Err(Fault::too_large(limit));
            }
            self.fill(filling.endpoint).await?;
        }
    }

    /// The next `len` bytes.
    async fn bytes(&mut self, len: usize, filling: &mut Filling<'_>) -> Result<(), Fault> {
        let mut left = len;
        while left > 0 {
            if self.buffer.is_empty() {
                self.fill(filling.endpoint).await?;
            }
            let taken = self.buffer.len().min(left);
            filling.extend(&self.buffer[..taken]).await?;
            self.take(taken, filling.endpoint);
            left -= taken;
        }
        Ok(())
    }

    fn take(&mut self, bytes: usize, endpoint: &Endpoint) {
        self.buffer.advance(bytes);
        endpoint.door.count_bytes(bytes as u64);
    }

    /// Waits for more of what has begun.
    async fn fill(&mut self, endpoint: &Endpoint) -> Result<(), Fault> {
        let slow = |_| Fault::new(Kind::TooSlow, "the message did not arrive in time");
        let more = timeout(endpoint.bounds.body_timeout, self.read_more()).await.map_err(slow)??;
        if more { Ok(()) } else { Err(cut()) }
    }

    /// Reads what has come, and says whether there will be more.
    async fn read_more(&mut self) -> Result<bool, Fault> {
        self.buffer.reserve(READ_BYTES);
        let read = self.read.read_buf(&mut self.buffer).await;
        read.map(|bytes| bytes > 0).map_err(|_| cut())
    }
}

impl<'e> Filling<'e> {
    /// With `room` for what is added to packed events.
    async fn new(endpoint: &'e Endpoint, events: Events, room: usize) -> Result<Self, Fault> {
        let limit = endpoint.bounds.max_bytes;
        let until = Instant::now() + endpoint.bounds.ack_timeout;
        let body = loop {
            let begun = match events {
                Events::Packed(len) if len as usize > limit => return Err(Fault::too_large(limit)),
                Events::Packed(len) => Gathered::of_len(endpoint.budget(), len as usize + room),
                Events::One | Events::Listed(_) => Gathered::up_to(endpoint.budget(), limit + room),
            };
            match begun {
                Err(fault) if may_wait(&fault, until) => sleep(ROOM_EVERY).await,
                begun => break begun?,
            }
        };
        Ok(Self { endpoint, until, body })
    }

    /// Appends `piece`. Nothing more is read while there is no memory for what was.
    async fn extend(&mut self, piece: &[u8]) -> Result<(), Fault> {
        loop {
            match self.body.extend(piece) {
                Err(fault) if may_wait(&fault, self.until) => sleep(ROOM_EVERY).await,
                extended => return extended,
            }
        }
    }

    async fn inflate(&mut self, compression: Compression) -> Result<(), Fault> {
        let (budget, limit) = (self.endpoint.budget(), self.endpoint.bounds.max_bytes);
        let packed = || Gathered::up_to(budget, 0);
        self.body = match compression {
            Compression::None => return Ok(()),
            Compression::Gzip => {
                gather_gzip(std::mem::replace(&mut self.body, packed()?).finish()?, budget, limit).await?
            }
            Compression::Zstd => {
                gather_zstd(std::mem::replace(&mut self.body, packed()?).finish()?, budget, limit).await?
            }
        };
        Ok(())
    }
}

fn may_wait(fault: &Fault, until: Instant) -> bool {
    matches!(fault.kind, Kind::Busy | Kind::OverQuota) && Instant::now() < until
}

fn violation(violation: Violation) -> Fault {
    Fault::new(Kind::Framing, violation.to_string())
}

fn cut() -> Fault {
    Fault::new(Kind::Cut, "the connection ended in the middle of a message")
}
