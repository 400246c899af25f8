//! A socket that closes without swallowing its last answer.
//!
//! A request that is refused before its body was read leaves bytes unread in the socket. Closing it then resets the
//! connection, and the client, still sending, may never see why. So the writing half is closed first, and what the client still
//! sends is read and forgotten for a moment.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// How long, and how many bytes, a client may go on sending after it was answered.
const LINGER: Duration = Duration::from_secs(2);
const MAX_FORGOTTEN_BYTES: usize = 64 << 20;
/// What is forgotten is read in pieces of this size, in bytes.
const PIECE: usize = 16 << 10;

/// A TCP stream whose shutdown waits for the client to close as well, within bounds, and whose client must take what is written to it.
#[derive(Debug)]
pub struct Lingering {
    stream: TcpStream,
    end: Option<End>,
    /// A client that takes nothing of an answer for so long is gone, or wants to keep its memory taken.
    patience: Duration,
    /// Until when it is waited for.
    stalled: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
struct End {
    until: Pin<Box<Sleep>>,
    left: usize,
}

impl Lingering {
    /// Takes over the stream. Writing fails after `patience` in which nothing could be written.
    pub fn new(stream: TcpStream, patience: Duration) -> Self {
        Self { stream, end: None, patience, stalled: None }
    }

    /// Ends our side of the stream, and leaves the client's open.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn close_half(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// What writing came to, unless it has been waited for too long.
    fn unless_stalled(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.unless_stalled(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.unless_stalled(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.end.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        }
        let end =
            this.end.get_or_insert_with(|| End { until: Box::pin(sleep(LINGER)), left: MAX_FORGOTTEN_BYTES });
        let mut piece = [0; PIECE];
        while end.left > 0 {
            if end.until.as_mut().poll(context).is_ready() {
                break;
            }
            let mut buffer = ReadBuf::new(&mut piece);
            let read = ready!(Pin::new(&mut this.stream).poll_read(context, &mut buffer));
            let count = buffer.filled().len();
            if read.is_err() || count == 0 {
                break;
            }
            end.left = end.left.saturating_sub(count);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut lingering = Lingering::new(stream, Duration::from_millis(200));
        let much = vec![7; 32 << 20];
        let slowly = async {
            let mut piece = vec![0; 4 << 20];
            for _ in 0..8 {
                client.read_exact(&mut piece).await.unwrap();
                sleep(Duration::from_millis(50)).await;
            }
        };
        let (written, ()) = tokio::join!(lingering.write_all(&much), slowly);
        written.unwrap();
        let given_up =
            tokio::time::timeout(Duration::from_secs(10), lingering.write_all(&much)).await.unwrap();
        assert_eq!(given_up.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
