//! Reads a request body into one buffer, under a lease, a limit and a clock.

use super::answer::{Fault, Kind};
use super::buffer::Payload;
use super::gather::{Gathered, MAPPED_FROM_BYTES};
use super::overhead::READ_BUFFER_BYTES;
use bytes::{Buf as _, Bytes};
use forebay_pipeline::budget::Budget;
use http_body::Body;
use http_body_util::BodyExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// A body of which nothing has come for this long has stalled. It is looked at that often, so it may take twice as long.
const STALLED_AFTER: Duration = Duration::from_secs(10);

/// The rest of a body that is refused is read and forgotten if it has at most so many bytes and comes so soon.
const MAX_FORGOTTEN_BYTES: u64 = 1 << 20;
const FORGET_WITHIN: Duration = Duration::from_secs(1);

/// A smaller chunk is copied even if it is the whole body: it would pin the connection's read buffer, which is larger.
const KEEP_FROM_BYTES: usize = 32 << 10;
const _: () = assert!(KEEP_FROM_BYTES * 2 == READ_BUFFER_BYTES);

/// A body of a larger declared length is leased as it comes. Most requests are smaller, and are not copied as they grow.
const LEASED_WHOLE_BYTES: usize = MAPPED_FROM_BYTES;

/// The chunks of a body, with an eye on the clock.
#[derive(Debug)]
pub struct Chunks<B> {
    body: B,
    tick: Pin<Box<Sleep>>,
    deadline: Instant,
    received: u64,
    received_at_tick: u64,
    is_ended: bool,
}

impl<B> Chunks<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    /// The chunks of `body`, all of which must have come within `timeout`.
    pub fn new(body: B, timeout: Duration) -> Self {
        let now = Instant::now();
        let deadline = now + timeout;
        let tick = Box::pin(sleep_until(deadline.min(now + STALLED_AFTER)));
        Self { body, tick, deadline, received: 0, received_at_tick: 0, is_ended: false }
    }

    /// Bytes received so far, as they came over the wire.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Whether all of it has been read.
    pub fn is_ended(&self) -> bool {
        self.is_ended || self.body.is_end_stream()
    }

    /// The length that the request declares, if it does.
    pub fn declared(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next chunk, never empty; `None` at the end.
    ///
    /// # Errors
    /// The client went away, or is too slow.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            // The clock is looked at only when there is nothing to read.
            tokio::select! {
                biased;
                frame = self.body.frame() => match frame {
                    None => {
                        self.is_ended = true;
                        return Ok(None);
                    }
                    Some(Err(_)) => return Err(Fault::new(Kind::Cut, "the request ended early")),
                    Some(Ok(frame)) => {
                        if let Ok(chunk) = frame.into_data() && !chunk.is_empty() {
                            self.received += chunk.len() as u64;
                            return Ok(Some(chunk));
                        }
                    }
                },
                () = &mut self.tick => self.check_progress()?,
            }
        }
    }

    /// Reads the rest of a body that will not be taken, if it is short, and keeps none of it. Over HTTP/1.1 the connection can then be used
    /// again: closing it would read as much, and cost the client a new one.
    pub async fn forget(&mut self) {
        if self.declared().is_some_and(|bytes| bytes <= MAX_FORGOTTEN_BYTES) {
            // What fails here fails again where the connection notices.
            let _ = timeout(FORGET_WITHIN, async { while let Ok(Some(_)) = self.next().await {} }).await;
        }
    }

    fn check_progress(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        if now >= self.deadline || self.received == self.received_at_tick {
            return Err(Fault::new(Kind::TooSlow, "the body did not arrive in time"));
        }
        self.received_at_tick = self.received;
        self.tick.as_mut().reset(self.deadline.min(now + STALLED_AFTER));
        Ok(())
    }

    /// The whole body in one buffer of at most `limit` bytes. A declared length for which there is no room is refused before the first
    /// byte is read.
    ///
    /// # Errors
    /// Over the limit or the budget, or as [`Self::next`].
    pub async fn collect(&mut self, budget: &Arc<Budget>, limit: usize) -> Result<Payload, Fault> {
        if let Some(declared) = self.declared() {
            let declared = usize::try_from(declared).map_err(|_| Fault::too_large(limit))?;
            return self.collect_exactly(Bytes::new(), declared, budget, limit).await;
        }
        let mut gathered = Gathered::up_to(budget, limit)?;
        while let Some(chunk) = self.next().await? {
            gathered.extend(&chunk)?;
        }
        gathered.finish()
    }

    /// The rest of the body, of which `first` has been read, in one buffer. It must be `len` bytes long.
    ///
    /// # Errors
    /// `Framing` for another length; over the limit or the budget; or as [`Self::next`].
    pub async fn collect_exactly(
        &mut self,
        first: Bytes,
        len: usize,
        budget: &Arc<Budget>,
        limit: usize,
    ) -> Result<Payload, Fault> {
        if len > limit {
            return Err(Fault::too_large(limit));
        }
        if len > LEASED_WHOLE_BYTES {
            return self.collect_as_it_comes(first, len, budget).await;
        }
        let mut lease = budget.lease(len)?;
        let mut chunk = first;
        if chunk.is_empty() && len > 0 {
            chunk = self.next().await?.unwrap_or_default();
        }
        // It holds the read buffer that it lies in, so that is what it is charged with.
        let pinned = len.max(READ_BUFFER_BYTES);
        if chunk.len() == len && len >= KEEP_FROM_BYTES && lease.resize(pinned).is_ok() {
            return match self.next().await? {
                None => Ok(Payload { bytes: chunk, lease }),
                Some(_) => Err(longer(len)),
            };
        }
        let mut bytes = Vec::with_capacity(len);
        loop {
            if chunk.len() > len - bytes.len() {
                return Err(longer(len));
            }
            bytes.extend_from_slice(&chunk);
            match self.next().await? {
                Some(next) => chunk = next,
                None => break,
            }
        }
        if bytes.len() < len {
            return Err(shorter(bytes.len(), len));
        }
        Ok(Payload { bytes: bytes.into(), lease })
    }

    /// The same for a large body, of which no more is leased than has come.
    async fn collect_as_it_comes(
        &mut self,
        first: Bytes,
        len: usize,
        budget: &Arc<Budget>,
    ) -> Result<Payload, Fault> {
        let mut gathered = Gathered::of_len(budget, len)?;
        let mut chunk = first;
        loop {
            if chunk.len() > len - gathered.len() {
                return Err(longer(len));
            }
            gathered.extend(&chunk)?;
            match self.next().await? {
                Some(next) => chunk = next,
                None => break,
            }
        }
        if gathered.len() < len {
            return Err(shorter(gathered.len(), len));
        }
        gathered.finish()
    }

    /// The first `N` bytes, and what came with them.
    ///
    /// # Errors
    /// `Framing` if there are fewer, or as [`Self::next`].
    pub async fn prefix<const N: usize>(&mut self) -> Result<([u8; N], Bytes), Fault> {
        let mut prefix = [0; N];
        let mut filled = 0;
        let mut chunk = Bytes::new();
        while filled < N {
            if chunk.is_empty() {
                let short =
                    || Fault::new(Kind::Framing, format!("there is no message: {filled} bytes in all"));
                chunk = self.next().await?.ok_or_else(short)?;
            }
            let taken = chunk.len().min(N - filled);
            chunk.copy_to_slice(&mut prefix[filled..filled + taken]);
            filled += taken;
        }
        Ok((prefix, chunk))
    }
}

fn shorter(found: usize, len: usize) -> Fault {
    Fault::new(Kind::Framing, format!("the message ends after {found} of {len} bytes"))
}

fn longer(len: usize) -> Fault {
    Fault::new(Kind::Framing, format!("there are bytes after the one message of {len} bytes"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};
    use std::convert::Infallible;

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn chunked(chunks: &[&'static [u8]]) -> Chunks<impl Body<Data = Bytes> + Unpin> {
        let frames: Vec<_> =
            chunks.iter().map(|chunk| Ok::<_, Infallible>(Frame::data(Bytes::from_static(chunk)))).collect();
        Chunks::new(StreamBody::new(stream::iter(frames)), TIMEOUT)
    }

    #[tokio::test]
    async fn of_a_large_declared_length_no_more_is_leased_than_comes() {
        const LEN: usize = 8 << 20;
        let part = || Bytes::from(vec![7; 1 << 16]);
        for comes in [0, 1, 64, LEN >> 16] {
            let budget = Budget::new(4 * LEN);
            let seen = Arc::clone(&budget);
            let body = StreamBody::new(stream::unfold(0, move |sent| {
                assert!(seen.used() <= (sent + 1) << 16, "{sent}: {}", seen.used());
                let next = (sent < comes).then(|| (Ok::<_, Infallible>(Frame::data(part())), sent + 1));
                std::future::ready(next)
            }));
            let mut chunks = Chunks::new(body, TIMEOUT);
            let collected = chunks.collect_exactly(Bytes::new(), LEN, &budget, LEN).await;
            match collected {
                Ok(payload) => assert_eq!((payload.bytes.len(), comes), (LEN, LEN >> 16)),
                Err(fault) => assert!(fault.kind == Kind::Framing && comes < LEN >> 16, "{fault:?}"),
            }
            assert_eq!(budget.used(), 0);
        }
        let full = Budget::new(LEN - 1);
        let mut chunks = chunked(&[b"never read"]);
        assert!(chunks.collect_exactly(Bytes::new(), LEN, &full, LEN).await.is_err());
        assert_eq!(chunks.received(), 0);
    }

    #[tokio::test]
    async fn a_declared_length_is_leased_whole_and_refused_before_anything_is_read() {
        let budget = Budget::new(100);
        let mut chunks = Chunks::new(Full::new(Bytes::from(vec![7; 60])), TIMEOUT);
        let payload = chunks.collect(&budget, 80).await.unwrap();
        assert_eq!((payload.bytes.len(), payload.lease.bytes()), (60, 60));

        let mut chunks = Chunks::new(Full::new(Bytes::from(vec![7; 60])), TIMEOUT);
        assert_eq!(chunks.collect(&budget, 80).await.unwrap_err().kind, Kind::Busy);
        let small = Budget::new(59);
        assert_eq!(chunks.collect(&small, 80).await.unwrap_err().kind, Kind::TooLarge, "it never fits");
        assert_eq!(chunks.received(), 0);
        assert_eq!(chunks.collect(&budget, 59).await.unwrap_err().kind, Kind::TooLarge);
    }

    #[tokio::test]
    async fn an_undeclared_body_grows_under_its_lease() {
        let budget = Budget::new(1000);
        let payload = chunked(&[b"one ", b"two ", b"three"]).collect(&budget, 13).await.unwrap();
        assert_eq!(&payload.bytes[..], b"one two three");
        assert_eq!(budget.used(), 13);
        assert_eq!(chunked(&[b"one ", b"two "]).collect(&budget, 7).await.unwrap_err().kind, Kind::TooLarge);
        assert_eq!(budget.used(), 13);
    }

    #[tokio::test]
    async fn a_prefix_may_be_torn_over_chunks() {
        let mut chunks = chunked(&[b"a", b"bcd", b"", b"efg", b"h"]);
        let (prefix, rest) = chunks.prefix::<5>().await.unwrap();
        assert_eq!((&prefix, &rest[..]), (b"abcde", &b"fg"[..]));
        let payload = chunks.collect_exactly(rest, 3, &Budget::new(9), 9).await.unwrap();
        assert_eq!(&payload.bytes[..], b"fgh");
        assert_eq!(chunked(&[b"abcd"]).prefix::<5>().await.unwrap_err().kind, Kind::Framing);
    }

    #[tokio::test]
    async fn one_message_is_exactly_as_long_as_it_says() {
        let budget = Budget::new(1 << 20);
        for (chunks, len) in
            [(&[b"abc" as &[u8], b"d"][..], 3), (&[b"abcd"], 3), (&[b"ab"], 3), (&[], 3), (&[b"a"], 0)]
        {
            let fault = chunked(chunks).collect_exactly(Bytes::new(), len, &budget, 9).await.unwrap_err();
            assert_eq!(fault.kind, Kind::Framing, "{chunks:?}");
        }
        let empty = chunked(&[]).collect_exactly(Bytes::new(), 0, &budget, 9).await.unwrap();
        assert!(empty.bytes.is_empty());
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_large_single_chunk_is_kept_without_a_copy_and_a_small_one_is_copied() {
        let budget = Budget::new(1 << 20);
        for (len, kept) in [(KEEP_FROM_BYTES, true), (KEEP_FROM_BYTES - 1, false)] {
            let bytes = Bytes::from(vec![1; len]);
            let address = bytes.as_ptr();
            let payload = Chunks::new(Full::new(bytes), TIMEOUT).collect(&budget, 1 << 20).await.unwrap();
            assert_eq!(payload.bytes.len(), len);
            assert_eq!(payload.bytes.as_ptr() == address, kept);
        }
        let large: &'static [u8] = vec![1; KEEP_FROM_BYTES].leak();
        let fault =
            chunked(&[large, b"x"]).collect_exactly(Bytes::new(), KEEP_FROM_BYTES, &budget, 1 << 20).await;
        assert_eq!(fault.unwrap_err().kind, Kind::Framing);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_body_and_an_endless_trickle_are_both_given_up() {
        let silent = stream::pending::<Result<Frame<Bytes>, Infallible>>();
        let started = Instant::now();
        let fault = Chunks::new(StreamBody::new(silent), TIMEOUT).next().await.unwrap_err();
        assert_eq!((fault.kind, started.elapsed().as_secs()), (Kind::TooSlow, STALLED_AFTER.as_secs()));

        let trickle = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x"))), ()))
        });
        let started = Instant::now();
        let mut chunks = Chunks::new(StreamBody::new(Box::pin(trickle)), TIMEOUT);
        let fault = chunks.collect(&Budget::new(99), 99).await.unwrap_err();
        assert_eq!((fault.kind, started.elapsed()), (Kind::TooSlow, TIMEOUT));
    }
}
