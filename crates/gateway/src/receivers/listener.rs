//! Listening sockets and the connections that come in: how many, how old, and how they end.

use super::http_connection::{Protocol, Server};
use super::overhead::{Overhead, Spoken};
use super::reply::Reply;
use crate::rate_limit::RateLimited;
use forebay_pipeline::budget::Lease;
use forebay_pipeline::planted;
use forebay_pipeline::task;
use forebay_pipeline::units::Period;
use http::{Request, Response};
use hyper::body::Incoming;
use parking_lot::RwLock;
use rand::Rng as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The age at which a connection is told to go varies by this fraction in both directions, so that clients that came together
/// do not leave together.
const AGE_JITTER: f64 = 0.1;
/// How HTTP/2 begins (RFC 9113, 3.4). No method of HTTP/1.1 does.
const PREFACE: &[u8; PREFACE_BYTES] = b"PRI";
const PREFACE_BYTES: usize = 3;
/// How long to wait for more where fewer bytes have come.
const TORN_PAUSE: Duration = Duration::from_millis(20);
/// How long to wait after `accept` failed, mostly for a file descriptor, or while there is no memory for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bounds on the connections of one listener.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectionConfig {
    /// Most connections at once. At the limit, no further one is accepted until one leaves: it waits in the kernel's queue.
    /// How many there is memory for is another matter: see `limits.memory`. Raise both for many thousands of clients.
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

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. Dropped when the client goes away.
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Response<Reply>> + Send;
}

/// A handler that can be replaced while its listener goes on.
#[derive(Debug)]
pub struct Swap<H>(RwLock<Arc<H>>);

impl<H> Swap<H> {
    /// With `handler` in it.
    pub fn new(handler: H) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Arc::new(handler))))
    }

    /// Has requests from now on answered by `handler`.
    pub fn put(&self, handler: H) {
        *self.0.write() = Arc::new(handler);
    }
}

impl<H: Handler> Handler for Swap<H> {
    async fn handle(&self, request: Request<Incoming>) -> Response<Reply> {
        let handler = Arc::clone(&self.0.read());
        handler.handle(request).await
    }
}

/// Serves connections of one listener.
pub trait Serve: Send + Sync + 'static {
    /// Their bounds.
    fn config(&self) -> &ConnectionConfig;
    /// When they must end.
    fn signals(&self) -> &Signals;
    /// What its connections take beside payloads.
    fn overhead(&self) -> &Overhead;
    /// Serves one whose client has begun to speak, until it ends. What it needs for that belongs on the heap: a silent connection must take
    /// little. `spoken` is what it speaks, if that is HTTP.
    fn serve(&self, stream: TcpStream, spoken: Spoken) -> impl Future<Output = ()> + Send;

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
}

impl Listener {
    /// Binds `listen`; port 0 takes a free one.
    ///
    /// # Errors
    /// The address is taken, not ours, or not permitted.
    pub async fn bind(receiver: &'static str, listen: SocketAddr) -> Result<Self, BindError> {
        let failed = |source| BindError { receiver, address: listen, source };
        let socket = TcpListener::bind(listen).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { receiver, address, socket })
    }

    /// Serves HTTP until `signals.closing`. `overhead` bounds what connections take.
    pub fn serve_http<H: Handler>(
        self,
        protocol: Protocol,
        config: ConnectionConfig,
        overhead: Arc<Overhead>,
        handler: Arc<H>,
        signals: Signals,
    ) -> Connections {
        self.serve(Server { protocol, config, overhead, handler, signals })
    }

    /// Serves connections until the server's signal to close.
    pub fn serve<S: Serve>(self, server: S) -> Connections {
        let max = server.config().max;
        let slots = Arc::new(Semaphore::new(max as usize));
        let connections = Connections { receiver: self.receiver, max, slots: Arc::clone(&slots) };
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

async fn accept<S: Serve>(listener: Arc<Listener>, slots: Arc<Semaphore>, server: Arc<S>) {
    let failures = RateLimited::default();
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            let room = room_for_one(&*server, listener.receiver, &failures).await;
            ((slot, room), listener.socket.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = server.signals().closing.cancelled() => return,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                let server = Arc::clone(&server);
                planted::pass("listener");
                task::spawn("connection", async move {
                    planted::pass("connection");
                    let _place = place;
                    if let Some(spoken) = begins_to_speak(&stream, &*server).await {
                        server.serve(stream, spoken).await;
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

/// Waits until there is memory for one more connection that says nothing.
async fn room_for_one<S: Serve>(server: &S, receiver: &str, failures: &RateLimited) -> Lease {
    loop {
        match server.overhead().silent() {
            Ok(lease) => return lease,
            Err(error) => {
                if let Some(suppressed) = failures.permit() {
                    tracing::warn!(receiver, %error, suppressed, "no memory for another connection");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Waits for the first bytes, and says what they are if there are any. A connection that never says anything must not hold its slot.
async fn begins_to_speak<S: Serve>(stream: &TcpStream, server: &S) -> Option<Spoken> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    tokio::select! {
        spoken = timeout(server.config().idle_timeout.0, first_words(stream)) => spoken.ok()?.ok()?,
        // Nothing was asked on it, so nobody is owed an answer.
        () = server.signals().closing.cancelled() => None,
    }
}

/// What a client speaks, by its first bytes; `None` if there are none.
async fn first_words(stream: &TcpStream) -> io::Result<Option<Spoken>> {
    let mut first = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut first).await? {
            0 => return Ok(None),
            PREFACE_BYTES if first == *PREFACE => return Ok(Some(Spoken::Http2)),
            few if few < PREFACE_BYTES && PREFACE.starts_with(&first[..few]) => sleep(TORN_PAUSE).await,
            _ => return Ok(Some(Spoken::Http1)),
        }
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
