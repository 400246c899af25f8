//! Listening sockets and the connections that come in: how many, how old, and how they end.

use super::auth::Gate;
use super::handler::{Handler, Swap};
use super::http_connection::{Protocol, Server};
use super::overhead::{Overhead, PREFACE, Spoken};
use super::stream::Connection;
use super::tenants::{Tenants, on_behalf_of};
use super::tls::{TLS_BYTES, Tls, TlsConfig};
use crate::rate_limit::RateLimited;
use forebay_pipeline::budget::Lease;
use forebay_pipeline::planted;
use forebay_pipeline::task;
use forebay_pipeline::units::Period;
use rand::Rng as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The age at which a connection is told to go varies by this fraction in both directions, so that clients that came together
/// do not leave together.
const AGE_JITTER: f64 = 0.1;
/// How long to wait for more where fewer bytes have come.
const TORN_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_TORN_PAUSE: Duration = Duration::from_secs(1);
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
    /// A connection on which no request head has come in full for this long is closed (HTTP/2: before its first byte only), and so is one
    /// whose client takes nothing of an answer for as long. Raise it above the pause between two requests of your clients, if they mind new
    /// connections.
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
    /// Each request tells its tenant for itself; else a connection is one tenant's.
    const HAS_REQUESTS: bool = false;

    /// Their bounds.
    fn config(&self) -> &ConnectionConfig;
    /// When they must end.
    fn signals(&self) -> &Signals;
    /// What its connections take beside payloads.
    fn overhead(&self) -> &Overhead;
    /// Whether the server has the first word on a connection, over TLS after its handshake.
    fn speaks_first(&self) -> bool {
        false
    }
    /// Serves one whose client has begun to speak, until it ends. What it needs for that belongs on the heap: a silent connection must take
    /// little.
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
    /// Whose its connections may be.
    pub tenants: Arc<Tenants>,
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
        Ok(Self { receiver, address, socket, tls: tls.map(Arc::new), tenants: Arc::default() })
    }

    /// Serves HTTP until `signals.closing`. `overhead` bounds what connections take.
    pub fn serve_http<H: Handler>(
        self,
        protocol: Protocol,
        config: ConnectionConfig,
        overhead: Arc<Overhead>,
        handler: Arc<Swap<H>>,
        signals: Signals,
    ) -> Connections {
        let gate = Some(Arc::clone(&handler.gate));
        Connections { gate, ..self.serve(Server { protocol, config, overhead, handler, signals }) }
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
            Ok((stream, from)) => {
                // Not the listener itself: its socket must close before the last connection ends.
                let (tls, tenants) = (listener.tls.clone(), Arc::clone(&listener.tenants));
                let server = Arc::clone(&server);
                planted::pass("listener");
                task::spawn("connection", async move {
                    planted::pass("connection");
                    let _place = place;
                    if let Some(connection) = begin(stream, from.ip(), tls.as_deref(), &*server).await {
                        let tenant = if S::HAS_REQUESTS { None } else { tenants.of(&connection.sender()) };
                        on_behalf_of(tenant, server.serve(connection)).await;
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

/// Waits for the first bytes of a connection, and shakes hands where there is TLS; `None` if it does not come so far. A connection that
/// never says anything must not hold its slot.
async fn begin<S: Serve>(
    stream: TcpStream,
    address: IpAddr,
    tls: Option<&Tls>,
    server: &S,
) -> Option<Connection> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let idle = server.config().idle_timeout.0;
    let begins = async {
        let speaks_first = server.speaks_first();
        if tls.is_none() && speaks_first {
            return Some(Connection::plain(stream, address, Spoken::Http1, idle));
        }
        let (first, spoken) = timeout(idle, first_words(&stream)).await.ok()?.ok()??;
        match tls {
            None => Some(Connection::plain(stream, address, spoken, idle)),
            Some(tls) => {
                let Ok(lease) = server.overhead().other(TLS_BYTES) else {
                    server.overhead().let_go();
                    return None;
                };
                // Boxed: it is large, and connections without TLS are to stay small.
                Box::pin(tls.accept(stream, address, first, idle, lease, speaks_first)).await
            }
        }
    };
    tokio::select! {
        connection = begins => connection,
        // Nothing was asked on it, so nobody is owed an answer.
        () = server.signals().closing.cancelled() => None,
    }
}

/// The first byte of a client, and what it speaks by its first bytes; `None` if there are none.
async fn first_words(stream: &TcpStream) -> io::Result<Option<(u8, Spoken)>> {
    let mut first = [0; PREFACE.len()];
    let mut pause = TORN_PAUSE;
    loop {
        match stream.peek(&mut first).await? {
            0 => return Ok(None),
            few if few < PREFACE.len() && PREFACE.starts_with(&first[..few]) => {
                if stream.ready(Interest::READABLE).await?.is_read_closed() {
                    return Ok(None);
                }
                sleep(pause).await;
                pause = (2 * pause).min(LONGEST_TORN_PAUSE);
            }
            len => return Ok(Some((first[0], Spoken::by(&first[..len])))),
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
