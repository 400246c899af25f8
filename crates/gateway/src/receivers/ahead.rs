//! Reads a socket in larger pieces than its reader asks for.
//!
//! h2 asks twice for each frame of 16 KiB: for 8,192 bytes, and for the rest. Here four frames come with one call. Their bytes are copied
//! once more, which costs less than the calls: they are in the cache by then.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read at once: four frames as most clients send them, with their heads.
pub(super) const AHEAD_BYTES: usize = 4 * ((16 << 10) + 9);
/// Buffers that a thread keeps for the next reading. A connection holds one only while its reader is behind.
const MOST_IDLE: usize = 4;

thread_local! {
    static IDLE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A stream that is read ahead.
#[derive(Debug)]
pub struct ReadAhead<S> {
    stream: S,
    /// Whoever asks for so many bytes reads the stream itself.
    enough: usize,
    ahead: Option<Ahead>,
}

/// What was read and not asked for yet. Goes back to its thread with its last byte.
#[derive(Debug)]
struct Ahead {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Ahead {
    fn empty() -> Self {
        let idle = IDLE.with_borrow_mut(Vec::pop);
        Self { buffer: idle.unwrap_or_else(|| vec![0; AHEAD_BYTES].into()), start: 0, end: 0 }
    }

    /// Hands over as much as `to` takes. True if nothing is left.
    fn give(&mut self, to: &mut ReadBuf<'_>) -> bool {
        let len = to.remaining().min(self.end - self.start);
        to.put_slice(&self.buffer[self.start..self.start + len]);
        self.start += len;
        self.start == self.end
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        // A thread that ends has no place for it any more.
        let _ = IDLE.try_with(|idle| {
            let mut idle = idle.borrow_mut();
            if idle.len() < MOST_IDLE {
                idle.push(buffer);
            }
        });
    }
}

impl<S> ReadAhead<S> {
    /// A stream that is read in small pieces.
    pub fn new(stream: S) -> Self {
        Self { stream, enough: AHEAD_BYTES / 2, ahead: None }
    }

    /// A stream that is read as it is asked for, and never ahead.
    pub fn never(stream: S) -> Self {
        Self { stream, enough: 0, ahead: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(ahead) = &mut this.ahead {
            if ahead.give(to) {
                this.ahead = None;
            }
            return Poll::Ready(Ok(()));
        }
        if to.remaining() >= this.enough {
            return Pin::new(&mut this.stream).poll_read(context, to);
        }
        let mut ahead = Ahead::empty();
        let mut buffer = ReadBuf::new(&mut ahead.buffer);
        ready!(Pin::new(&mut this.stream).poll_read(context, &mut buffer))?;
        ahead.end = buffer.filled().len();
        if !ahead.give(to) {
            this.ahead = Some(ahead);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    fn idle() -> usize {
        IDLE.with_borrow(Vec::len)
    }

    #[tokio::test]
    async fn every_byte_arrives_in_order_whatever_is_asked_for() {
        let (mut near, far) = tokio::io::duplex(3 * AHEAD_BYTES);
        let sent: Vec<u8> = (0..5 * AHEAD_BYTES).map(|at| (at * 7 % 251) as u8).collect();
        let expected = sent.clone();
        let writing = async move {
            near.write_all(&sent).await.unwrap();
            drop(near);
        };
        let mut reader = ReadAhead::new(far);
        let mut read = Vec::new();
        let reading = async {
            for size in [1, 8192, 8201, 9, AHEAD_BYTES, 3, 2 * AHEAD_BYTES, 17].into_iter().cycle() {
                let mut piece = vec![0; size];
                match reader.read(&mut piece).await.unwrap() {
                    0 => break,
                    len => read.extend_from_slice(&piece[..len]),
                }
            }
        };
        tokio::join!(writing, reading);
        assert!(read == expected);
    }

    #[tokio::test]
    async fn a_connection_holds_a_buffer_only_while_its_reader_is_behind() {
        let (mut near, far) = tokio::io::duplex(AHEAD_BYTES);
        let mut reader = ReadAhead::new(far);
        near.write_all(b"abc").await.unwrap();
        assert_eq!(reader.read_u8().await.unwrap(), b'a');
        assert!(reader.ahead.is_some());
        assert_eq!(reader.read_u16().await.unwrap(), u16::from_be_bytes(*b"bc"));
        assert!(reader.ahead.is_none());
        assert_eq!(idle(), 1);
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(10), reader.read_u8()).await;
        assert!(waiting.is_err());
        assert!(reader.ahead.is_none(), "one who waits needs none");
    }

    #[tokio::test]
    async fn what_nobody_asks_for_stays_in_a_stream_that_is_never_read_ahead() {
        let (mut near, far) = tokio::io::duplex(64);
        let mut reader = ReadAhead::never(far);
        near.write_all(b"abc").await.unwrap();
        assert_eq!(reader.read_u8().await.unwrap(), b'a');
        assert!(reader.ahead.is_none());
        assert_eq!(reader.read_u16().await.unwrap(), u16::from_be_bytes(*b"bc"));
    }
}
