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
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// How long, and how many bytes, a client may go on sending after it was answered.
const LINGER: Duration = Duration::from_secs(2);
const MAX_FORGOTTEN_BYTES: usize = 64 << 20;
/// What is forgotten is read in pieces of this size, in bytes.
const PIECE: usize = 16 << 10;

/// A TCP stream whose shutdown waits for the client to close as well, within bounds.
#[derive(Debug)]
pub struct Lingering {
    stream: TcpStream,
    end: Option<End>,
}

#[derive(Debug)]
struct End {
    until: Pin<Box<Sleep>>,
    left: usize,
}

impl Lingering {
    /// Takes over the stream.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, end: None }
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
