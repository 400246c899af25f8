//! A connection as receivers get it: its bytes, with or without TLS around them, and whose it is.

use super::caller::Caller;
use super::linger::Lingering;
use super::overhead::Spoken;
use super::tenants::Sender;
use forebay_pipeline::budget::Lease;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A connection whose client has begun to speak.
#[derive(Debug)]
pub struct Connection {
    pub stream: Stream,
    /// Whom the client's certificate names.
    pub caller: Caller,
    /// Where it comes from.
    pub address: IpAddr,
    /// What the client speaks, if that is HTTP.
    pub spoken: Spoken,
    /// For what TLS takes.
    pub lease: Option<Lease>,
}

impl Connection {
    /// Without TLS. `patience` is as in [`Lingering::new`].
    pub fn plain(stream: TcpStream, address: IpAddr, spoken: Spoken, patience: Duration) -> Self {
        let stream = Stream::Plain(Lingering::new(stream, patience));
        Self { stream, caller: None, address, spoken, lease: None }
    }

    /// Who sends all that comes on it.
    pub fn sender(&self) -> Sender<'_> {
        Sender { headers: None, identity: self.caller.as_deref(), address: Some(self.address) }
    }
}

/// The bytes of a connection. Boxed is only what TLS needs, so that a plain connection stays as small as it was.
#[derive(Debug)]
pub enum Stream {
    Plain(Lingering),
    Tls(Box<TlsStream<Lingering>>),
}

impl Stream {
    /// Tells the client that nothing more will come from here. What it sends meanwhile can still be read.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn close_half(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.close_half().await,
            Self::Tls(stream) => {
                stream.get_mut().1.send_close_notify();
                stream.flush().await
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
