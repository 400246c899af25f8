//! Listening sockets and the connections that come in: how many, how old, and how they end.

use super::auth::Gate;
use super::handler::{Handler, Swap};
use super::linger::Lingering;
use super::stream::{Connection, Stream};
use super::tls::{Tls, TlsConfig};
use crate::rate_limit::RateLimited;
use forebay_pipeline::budget::{Budget, Lease};
use forebay_pipeline::planted;
use forebay_pipeline::task;
use forebay_pipeline::units::Period;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rand::Rng as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Receive windows of HTTP/2, in bytes, for a connection opened while the budget for windows has room. A stream's window bounds
/// what one request gets through in a round trip.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// The same for all others: what HTTP/2 starts with anyhow (RFC 9113, 6.9.2).
const NARROW_WINDOW: u32 = (1 << 16) - 1;
/// Most calls at once on one connection.
const MAX_STREAMS: u32 = 256;
/// Most bytes of header fields in one HTTP/2 request.
const MAX_HEADER_BYTES: u32 = 16 << 10;
/// The read buffer of an HTTP/1.1 connection, which also bounds its header. No lease counts it.
const READ_BUFFER_BYTES: usize = 64 << 10;
/// An HTTP/2 connection is asked for a sign of life this often, and closed when none comes for that long.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// The age at which a connection is told to go varies by this fraction in both directions, so that clients that came together
/// do not leave together.
const AGE_JITTER: f64 = 0.1;
/// How long a connection that is to go may wait for a call: see [`Calls`].
const LULL: Duration = Duration::from_millis(500);
/// How long to wait after `accept` failed: mostly for a file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bounds on the connections of one listener.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectionConfig {
    /// Most connections at once. At the limit, no further one is accepted until one leaves: it waits in the kernel's queue.
    /// Lower it where memory is scarce; raise it for many thousands of clients.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max: u32,
    /// A connection of this age (give or take 10 %) is told to go: GOAWAY in HTTP/2, `Connection: close` in HTTP/1.1.
    /// Clients come back, and find replicas that were added meanwhile. `0s`: never.
    pub max_age: Period,
    /// How long requests under way may take to end on a connection that was told to go, before it is cut.
    pub grace: Period,
    /// A connection on which no request head has come in full for this long is closed (HTTP/2: before its first byte only).
    /// Raise it above the pause between two requests of your clients, if they mind new connections.
    pub idle_timeout: Period,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            max: 4096,
            max_age: Period::secs(300),
            grace: Period::secs(30),
            idle_timeout: Period::secs(60),
        }
    }
}

/// A receiver could not listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({receiver})")]
pub struct BindError {
    pub receiver: &'static str,
    pub address: SocketAddr,
    pub source: io::Error,
}

impl BindError {
    /// A section of the receiver's settings names files that cannot be used.
    pub fn unusable(
        receiver: &'static str,
        address: SocketAddr,
        section: &str,
        faults: &[(&'static str, String)],
    ) -> Self {
        let faults: Vec<String> =
            faults.iter().map(|(field, why)| format!("{section}.{field}: {why}")).collect();
        let source = io::Error::new(io::ErrorKind::InvalidInput, faults.join("; "));
        Self { receiver, address, source }
    }
}

/// Serves connections of one listener.
pub trait Serve: Send + Sync + 'static {
    /// Their bounds.
    fn config(&self) -> &ConnectionConfig;
    /// When they must end.
    fn signals(&self) -> &Signals;
    /// Serves one whose client has begun to speak, until it ends.
    fn serve(&self, connection: Connection) -> impl Future<Output = ()> + Send;

    /// Waits until a connection has to be told to go: it is of age, or all are to end.
    fn leave(&self) -> impl Future<Output = ()> + Send {
        async {
            tokio::select! {
                () = self.config().of_age() => {}
                () = self.signals().closing.cancelled() => {}
            }
        }
    }
}

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

/// When connections must end.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// No new connections; those there are told to go.
    pub closing: CancellationToken,
    /// What is left is cut.
    pub cut: CancellationToken,
}

/// A socket that is bound but not served yet.
#[derive(Debug)]
pub struct Listener {
    pub receiver: &'static str,
    pub address: SocketAddr,
    socket: TcpListener,
    tls: Option<Arc<Tls>>,
}

impl Listener {
    /// Binds `listen`; port 0 takes a free one. With `tls`, every connection shakes hands first, and agrees on one of `protocols` (none:
    /// whatever the client says).
    ///
    /// # Errors
    /// The address is taken, not ours, or not permitted; or a file of `tls` cannot be used.
    pub async fn bind(
        receiver: &'static str,
        listen: SocketAddr,
        tls: Option<&TlsConfig>,
        protocols: &[&[u8]],
    ) -> Result<Self, BindError> {
        let failed = |source| BindError { receiver, address: listen, source };
        let tls = tls.map(|tls| Tls::new(receiver, tls, protocols)).transpose();
        let tls = tls.map_err(|faults| BindError::unusable(receiver, listen, "tls", &faults))?;
        let socket = TcpListener::bind(listen).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { receiver, address, socket, tls: tls.map(Arc::new) })
    }

    /// Serves HTTP until `signals.closing`. `windows` bounds the sum of receive windows.
    pub fn serve_http<H: Handler>(
        self,
        protocol: Protocol,
        config: ConnectionConfig,
        windows: Arc<Budget>,
        handler: Arc<Swap<H>>,
        signals: Signals,
    ) -> Connections {
        let gate = Some(Arc::clone(&handler.gate));
        Connections { gate, ..self.serve(Server { protocol, config, windows, handler, signals }) }
    }

    /// Serves connections until the server's signal to close.
    pub fn serve<S: Serve>(self, server: S) -> Connections {
        let max = server.config().max;
        let slots = Arc::new(Semaphore::new(max as usize));
        let (receiver, tls) = (self.receiver, self.tls.clone());
        let connections = Connections { receiver, tls, gate: None, max, slots: Arc::clone(&slots) };
        let (listener, server) = (Arc::new(self), Arc::new(server));
        task::supervise("listener", move || {
            accept(Arc::clone(&listener), Arc::clone(&slots), Arc::clone(&server))
        });
        connections
    }
}

/// The connections of one listener.
#[derive(Clone, Debug)]
pub struct Connections {
    pub receiver: &'static str,
    pub tls: Option<Arc<Tls>>,
    pub gate: Option<Arc<Gate>>,
    max: u32,
    slots: Arc<Semaphore>,
}

impl Connections {
    /// Waits until the listener has closed and the last connection has ended.
    pub async fn ended(&self) {
        // Each connection holds one slot, and so does a listener that waits for the next one.
        let all = self.slots.acquire_many(self.max).await;
        debug_assert!(all.is_ok(), "nobody closes the semaphore");
    }

    /// Connections open now (counting the one that is waited for).
    pub fn open(&self) -> usize {
        self.max as usize - self.slots.available_permits()
    }
}

#[derive(Debug)]
struct Server<H> {
    protocol: Protocol,
    config: ConnectionConfig,
    windows: Arc<Budget>,
    handler: Arc<Swap<H>>,
    signals: Signals,
}

async fn accept<S: Serve>(listener: Arc<Listener>, slots: Arc<Semaphore>, server: Arc<S>) {
    let failures = RateLimited::default();
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.socket.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            () = server.signals().closing.cancelled() => return,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                // Not the listener itself: its socket must close before the last connection ends.
                let (tls, server) = (listener.tls.clone(), Arc::clone(&server));
                planted::pass("listener");
                task::spawn("connection", async move {
                    planted::pass("connection");
                    let _slot = slot;
                    if let Some(connection) = begin(stream, tls.as_deref(), &*server).await {
                        server.serve(connection).await;
                    }
                });
            }
            Err(error) => {
                if let Some(suppressed) = failures.permit() {
                    tracing::warn!(receiver = listener.receiver, %error, suppressed, "cannot accept a connection");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Waits for the first byte of a connection, and shakes hands where there is TLS; `None` if it does not come so far. A connection that
/// never says anything must not hold its slot.
async fn begin<S: Serve>(stream: TcpStream, tls: Option<&Tls>, server: &S) -> Option<Connection> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let idle = server.config().idle_timeout.0;
    let begins = async {
        let mut first = [0];
        let Ok(Ok(1)) = timeout(idle, stream.peek(&mut first)).await else { return None };
        match tls {
            None => Some(Connection { stream: Stream::Plain(Lingering::new(stream)), caller: None }),
            // Boxed: it is large, and connections without TLS are to stay small.
            Some(tls) => Box::pin(tls.accept(stream, first[0], idle)).await,
        }
    };
    tokio::select! {
        connection = begins => connection,
        // Nothing was asked on it, so nobody is owed an answer.
        () = server.signals().closing.cancelled() => None,
    }
}

impl ConnectionConfig {
    async fn of_age(&self) {
        if self.max_age.0.is_zero() {
            return std::future::pending().await;
        }
        let factor = rand::rng().random_range(1.0 - AGE_JITTER..=1.0 + AGE_JITTER);
        sleep(self.max_age.0.mul_f64(factor)).await;
    }
}

impl<H: Handler> Serve for Server<H> {
    fn config(&self) -> &ConnectionConfig {
        &self.config
    }

    fn signals(&self) -> &Signals {
        &self.signals
    }

    async fn serve(&self, Connection { stream, caller }: Connection) {
        let window = self.windows.lease(CONNECTION_WINDOW as usize).ok();
        let builder = self.builder(window.as_ref());
        let calls = Arc::new(Calls::default());
        let service = service_fn(|request| {
            let (handler, caller) = (Arc::clone(&self.handler), caller.clone());
            let call = calls.begin();
            async move {
                let response = handler.answer(request, caller).await;
                drop(call);
                Ok::<_, Infallible>(response)
            }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        tokio::select! {
            // In this order: the client must hear of it before it hears the answer.
            biased;
            () = self.time_to_go(&calls) => {}
            ended = connection.as_mut() => return log_end(ended),
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            ended = connection => log_end(ended),
            () = sleep(self.config.grace.0) => tracing::debug!("a connection was cut with requests under way"),
            () = self.signals.cut.cancelled() => {}
        }
    }
}

impl<H: Handler> Server<H> {
    async fn time_to_go(&self, calls: &Calls) {
        self.leave().await;
        calls.one_under_way().await;
    }

    fn builder(&self, wide: Option<&Lease>) -> Builder<Tracked> {
        let (stream_window, connection_window) = match wide {
            Some(_) => (STREAM_WINDOW, CONNECTION_WINDOW),
            None => (NARROW_WINDOW, NARROW_WINDOW),
        };
        let mut builder = Builder::new(Tracked);
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.config.idle_timeout.0)
            .max_buf_size(READ_BUFFER_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .initial_stream_window_size(stream_window)
            .initial_connection_window_size(connection_window)
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADER_BYTES)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT);
        match self.protocol {
            Protocol::Http => builder,
            Protocol::Http2 => builder.http2_only(),
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
