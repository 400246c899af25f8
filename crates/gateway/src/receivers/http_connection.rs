//! One HTTP connection: what its calls may take, and how it ends.

use super::ahead::ReadAhead;
use super::handler::{Handler, Swap};
use super::listener::{ConnectionConfig, Serve, Signals};
use super::overhead::{Overhead, Spoken, Width};
use super::stream::{Connection, Stream};
use forebay_pipeline::budget::{Exhausted, Lease};
use forebay_pipeline::task;
use http::{Request, Version};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

/// Most calls at once on one connection.
const MAX_STREAMS: u32 = 256;
/// Most bytes of header fields in one HTTP/2 request.
const MAX_HEADER_BYTES: u32 = 16 << 10;
/// An HTTP/2 connection is asked for a sign of life this often, and closed when none comes for that long.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection that is to go may wait for a call: see [`Calls`].
const LULL: Duration = Duration::from_millis(500);
/// How long it may take to tell a connection that there is no room for it.
const TURN_AWAY_WITHIN: Duration = Duration::from_secs(2);

/// Goes with a request for which there is no room: it is to be refused before it is read.
#[derive(Clone, Copy, Debug)]
pub struct NoRoom(pub Exhausted);

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, or HTTP/2 if the client begins with its preface.
    Http,
    /// HTTP/2 alone.
    Http2,
}

impl Protocol {
    /// What is agreed on inside TLS (RFC 7301), the best first.
    pub const fn names(self) -> &'static [&'static [u8]] {
        match self {
            Self::Http => &[b"h2", b"http/1.1"],
            Self::Http2 => &[b"h2"],
        }
    }
}

/// Serves the HTTP connections of one listener.
#[derive(Debug)]
pub struct Server<H> {
    pub protocol: Protocol,
    pub config: ConnectionConfig,
    pub overhead: Arc<Overhead>,
    pub handler: Arc<Swap<H>>,
    pub signals: Signals,
}

impl<H: Handler> Serve for Server<H> {
    const HAS_REQUESTS: bool = true;

    fn config(&self) -> &ConnectionConfig {
        &self.config
    }

    fn signals(&self) -> &Signals {
        &self.signals
    }

    fn overhead(&self) -> &Overhead {
        &self.overhead
    }

    async fn serve(&self, mut connection: Connection) {
        if self.protocol == Protocol::Http2 {
            connection.spoken = Spoken::Http2;
        }
        let spoken = connection.spoken;
        match self.overhead.http(spoken) {
            Ok((_lease, width)) => Box::pin(self.attend(connection, width, None)).await,
            Err(exhausted) => {
                if let Some(_turn) = self.overhead.turn_away().await {
                    Box::pin(self.attend(connection, Width::NARROW, Some(NoRoom(exhausted)))).await;
                }
            }
        }
    }
}

impl<H: Handler> Server<H> {
    /// Answers calls until the connection ends. With `turned_away` it ends with its first calls, and they are refused in their protocol.
    async fn attend(&self, connection: Connection, width: Width, turned_away: Option<NoRoom>) {
        let Connection { stream, caller, address, spoken, lease: _tls } = connection;
        let calls = Arc::new(Calls::default());
        let service = service_fn(|mut request: Request<Incoming>| {
            let (handler, caller) = (Arc::clone(&self.handler), caller.clone());
            let call = calls.begin();
            let room = self.room_for_call(&request, turned_away);
            async move {
                if let Err(no_room) = &room {
                    request.extensions_mut().insert(*no_room);
                    // It is refused at once, and whoever is to be told to go must hear of it first.
                    yield_now().await;
                }
                let response = handler.answer(request, caller, address).await;
                drop(call);
                Ok::<_, Infallible>(response.map(|reply| reply.holding(room.unwrap_or_default())))
            }
        });
        let builder = self.builder(spoken, width);
        let stream = match (spoken, &stream) {
            // What waits there is inside the connection's wide window.
            (Spoken::Http2, Stream::Plain(_)) if width != Width::NARROW => ReadAhead::new(stream),
            // These have buffers of their own, or no room for one, and what nobody reads yet is to wait in the socket.
            _ => ReadAhead::never(stream),
        };
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        tokio::select! {
            // In this order: the client must hear of it before it hears the answer.
            biased;
            () = self.time_to_go(&calls, turned_away) => {}
            ended = connection.as_mut() => return log_end(ended),
        }
        connection.as_mut().graceful_shutdown();
        let grace = if turned_away.is_some() { TURN_AWAY_WITHIN } else { self.config.grace.0 };
        tokio::select! {
            ended = connection => log_end(ended),
            () = sleep(grace) => tracing::debug!("a connection was cut with requests under way"),
            () = self.signals.cut.cancelled() => {}
        }
    }

    /// The call of an HTTP/1.1 connection is a part of it.
    fn room_for_call(
        &self,
        request: &Request<Incoming>,
        turned_away: Option<NoRoom>,
    ) -> Result<Option<Lease>, NoRoom> {
        match turned_away {
            Some(no_room) => Err(no_room),
            None if request.version() < Version::HTTP_2 => Ok(None),
            None => self.overhead.call().map(Some).map_err(NoRoom),
        }
    }

    async fn time_to_go(&self, calls: &Calls, turned_away: Option<NoRoom>) {
        if turned_away.is_none() {
            self.leave().await;
        }
        calls.one_under_way().await;
    }

    fn builder(&self, spoken: Spoken, width: Width) -> Builder<Tracked> {
        let mut builder = Builder::new(Tracked);
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.config.idle_timeout.0)
            .max_buf_size(width.read_buffer);
        builder
            .http2()
            .timer(TokioTimer::new())
            .initial_stream_window_size(width.stream)
            .initial_connection_window_size(width.connection)
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADER_BYTES)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT);
        // Only what its lease is for.
        match spoken {
            Spoken::Http1 => builder.http1_only(),
            Spoken::Http2 => builder.http2_only(),
        }
    }
}

/// The calls of one connection, so that it can be told to go while its client waits for an answer.
///
/// A call that sets out at the very moment at which its client is told to go arrives behind the end that was announced. It is
/// not handled, and may be made again (RFC 9113, 6.8); but tonic makes it INTERNAL, which OTLP's clients do not send again, and on
/// HTTP/1.1 the connection just ends. A client that waits for an answer makes no such call, if it makes one at a time.
#[derive(Debug, Default)]
struct Calls {
    under_way: AtomicUsize,
    begun: Notify,
}

impl Calls {
    fn begin(self: &Arc<Self>) -> Call {
        self.under_way.fetch_add(1, Relaxed);
        self.begun.notify_waiters();
        Call(Arc::clone(self))
    }

    /// Waits until a call is under way; at most for [`LULL`].
    async fn one_under_way(&self) {
        // Hears of every call that begins from now on, also of one before it is waited for.
        let begun = self.begun.notified();
        if self.under_way.load(Relaxed) == 0 {
            let _ = timeout(LULL, begun).await;
        }
    }
}

/// A call under way.
#[derive(Debug)]
struct Call(Arc<Calls>);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

/// A connection that ends with an error is the client's affair: its requests have been counted.
fn log_end<E: std::fmt::Display>(ended: Result<(), E>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection has failed");
    }
}

/// Runs HTTP/2 streams as tracked tasks.
#[derive(Clone, Copy, Debug)]
struct Tracked;

impl<F> Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        task::spawn("request", future);
    }
}
