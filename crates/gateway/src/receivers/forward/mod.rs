//! Fluent Forward, version 1: what the `forward` outputs of Fluentd and Fluent Bit speak, and the loggers of many languages (fluentd wiki,
//! "Forward Protocol Specification v1").
//!
//! A message becomes one body, whose events stay the bytes that came. `reader` takes messages off the wire, `auth` shakes hands where that is asked
//! for, `acks` answers for chunks in order.

mod acks;
mod auth;
mod reader;

use super::FORWARD;
use super::answer::{Fault, Kind};
use super::buffer::Payload;
use super::caller::Identity;
use super::endpoint::{Bounds, Endpoint, Visit};
use super::house::House;
use super::listener::{BindError, ConnectionConfig, Listener, Serve, Signals};
use super::overhead::Overhead;
use super::ports::Port;
use super::started::{Binding, Bound};
use super::stream::{Connection, Stream};
use super::tls::TlsConfig;
use acks::Pending;
use auth::ForwardAuth;
use forebay_pipeline::admit::{Acknowledge, Admitted};
use forebay_pipeline::units::{ByteSize, Period};
use parking_lot::RwLock;
use reader::{Message, Reader};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// Messages of one connection that wait for their receipts.
const MAX_PENDING: usize = 16;
/// What a connection takes beside its events, in bytes: what was read and not taken yet, options, and its state.
const CONNECTION_BYTES: usize = 2 * reader::READ_BYTES + (48 << 10);
/// How often it is asked again whether there is room.
const ROOM_EVERY: Duration = Duration::from_millis(50);
/// A client that waits for no acknowledgement, and is to go, is read until it pauses for so long.
const LAST_PAUSE: Duration = Duration::from_millis(100);

/// Events of Fluentd and Fluent Bit (their `forward` output), and of Fluentd's loggers in many languages: Fluent Forward version 1 over TCP.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ForwardConfig {
    /// Address and port to listen on. In a container: `0.0.0.0:24224`. Port 0 takes a free one.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// What an acknowledgement waits for, where the client asks for one (`require_ack_response`). Default: what `acknowledge` of the whole file
    /// says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<Acknowledge>,
    /// How long a chunk is held that cannot be delivered. Past it the connection is closed, and the client sends what was not acknowledged again,
    /// perhaps to another replica. Keep it below the client's own patience (`ack_response_timeout`, 190 s in Fluentd). Events of clients that
    /// ask for no acknowledgement are held for as long as it takes, and no more of them is read meanwhile.
    pub hold_max: Period,
    /// A connection on which nothing comes for this long in the middle of a message is closed.
    pub body_timeout: Period,
    /// Largest message, before and after decompression. One that is larger ends its connection. At most 1GiB.
    pub max_request_bytes: ByteSize,
    /// Bounds on its connections. One is told to go between two messages only.
    pub connections: ConnectionConfig,
    /// TLS. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// The handshake. Default: none, and everybody may send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<ForwardAuth>,
}

impl Default for ForwardConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 24224)),
            acknowledge: None,
            hold_max: Period::secs(60),
            body_timeout: Period::secs(30),
            max_request_bytes: ByteSize::mib(64),
            connections: ConnectionConfig::default(),
            tls: None,
            auth: None,
        }
    }
}

impl ForwardConfig {
    /// Its port.
    pub(super) fn port(&self) -> Port<'_> {
        let (tls, auth) = (self.tls.as_ref(), None);
        Port {
            receiver: FORWARD,
            path: FORWARD,
            listen: self.listen,
            connections: &self.connections,
            tls,
            auth,
        }
    }

    pub(super) fn bounds(&self, acknowledge: Acknowledge) -> Bounds {
        Bounds {
            acknowledge: self.acknowledge.unwrap_or(acknowledge),
            max_bytes: self.max_request_bytes.as_usize(),
            body_timeout: self.body_timeout.0,
            ack_timeout: self.hold_max.0,
        }
    }

    /// What is wrong with the files of the handshake, each with the path of its setting.
    pub(super) fn auth_faults(&self) -> Vec<(String, String)> {
        let faults = self.auth.as_ref().map(ForwardAuth::faults).unwrap_or_default();
        faults.into_iter().map(|(field, why)| (format!("{FORWARD}.auth.{field}"), why)).collect()
    }
}

/// What answers: one for all connections, until the configuration changes.
#[derive(Debug)]
struct Desk {
    endpoint: Endpoint,
    auth: Option<ForwardAuth>,
}

/// Serves connections on the port of Fluent Forward.
#[derive(Debug)]
struct Forward {
    desk: Arc<RwLock<Arc<Desk>>>,
    config: ConnectionConfig,
    overhead: Arc<Overhead>,
    signals: Signals,
}

impl House<'_> {
    /// What answers there, if there is such a receiver.
    fn forward(&self) -> Option<Arc<Desk>> {
        let forward = self.config.forward.as_ref()?;
        let endpoint = self.endpoint(FORWARD, forward.bounds(self.acknowledge));
        Some(Arc::new(Desk { endpoint, auth: forward.auth.clone() }))
    }
}

impl Binding<'_> {
    /// Binds the receiver, if there is one.
    ///
    /// # Errors
    /// The address is taken, or a file of TLS or of secrets cannot be used.
    pub async fn forward(&self) -> Result<Option<Bound>, BindError> {
        let (Some(port), Some(desk)) = (self.house.config.port(FORWARD), self.house.forward()) else {
            return Ok(None);
        };
        let faults = desk.auth.as_ref().map(ForwardAuth::faults).unwrap_or_default();
        if !faults.is_empty() {
            return Err(BindError::unusable(FORWARD, port.listen, "auth", &faults));
        }
        let listener = Listener::bind(FORWARD, port.listen, port.tls, &[]).await?;
        let desk = Arc::new(RwLock::new(desk));
        let forward = Forward {
            desk: Arc::clone(&desk),
            config: port.connections.clone(),
            overhead: Arc::clone(&self.overhead),
            signals: self.signals.clone(),
        };
        Ok(Some(Bound::new(listener, move |listener| {
            let adopt = move |house: &House<'_>| {
                if let Some(new) = house.forward() {
                    *desk.write() = new;
                }
            };
            (listener.serve(forward), Box::new(adopt))
        })))
    }
}

impl Serve for Forward {
    fn config(&self) -> &ConnectionConfig {
        &self.config
    }

    fn signals(&self) -> &Signals {
        &self.signals
    }

    fn overhead(&self) -> &Overhead {
        &self.overhead
    }

    fn speaks_first(&self) -> bool {
        self.desk.read().auth.is_some()
    }

    /// A client for which there is no room is let go: it comes back.
    async fn serve(&self, connection: Connection) {
        if let Ok(_lease) = self.overhead.other(CONNECTION_BYTES) {
            Box::pin(self.attend(connection)).await;
        }
    }
}

/// What is known of a client from message to message.
#[derive(Debug)]
struct Client {
    reader: Reader<ReadHalf<Stream>>,
    caller: Option<Arc<Identity>>,
    /// Its last message asked for an acknowledgement, so it sends again what has none.
    asks: bool,
}

/// When a connection is to go.
struct Leaving<F> {
    signal: Pin<Box<F>>,
    is_due: bool,
}

/// What comes after the messages that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Others, in the way that the configuration has now.
    Anew,
    End,
}

impl Forward {
    /// Reads and acknowledges until the client leaves, it breaks the protocol, or something of it cannot be taken. What was admitted by then is
    /// still acknowledged.
    async fn attend(&self, Connection { stream, caller, .. }: Connection) {
        let (read, mut write) = tokio::io::split(stream);
        let mut client = Client { reader: Reader::new(read), caller, asks: false };
        tokio::select! {
            () = self.converse(&mut client, &mut write) => {
                // The client sends again what it has no acknowledgement for.
                let _ = write.shutdown().await;
            }
            () = self.is_overdue() => tracing::debug!("a client of Fluent Forward was cut in the middle of a message"),
            () = self.signals.cut.cancelled() => {}
        }
    }

    async fn converse(&self, client: &mut Client, write: &mut WriteHalf<Stream>) {
        let desk = Arc::clone(&self.desk.read());
        if let Some(auth) = &desk.auth {
            let shaking = auth.shake_hands(&mut client.reader, write, &desk.endpoint);
            let shaken = tokio::select! {
                shaken = timeout(desk.endpoint.bounds.body_timeout, shaking) => shaken,
                // Nobody is owed an answer yet.
                () = self.signals.closing.cancelled() => return,
            };
            let slow = |_| Err(Fault::new(Kind::TooSlow, "the handshake did not end in time"));
            match shaken.unwrap_or_else(slow) {
                Ok(identity) => client.caller = Some(identity),
                Err(fault) => return desk.endpoint.visit(client.caller.as_deref()).refuse(&fault),
            }
        }
        let mut leaving = Leaving { signal: Box::pin(self.leave()), is_due: false };
        let mut next = Next::Anew;
        while next == Next::Anew {
            let desk = Arc::clone(&self.desk.read());
            let caller = client.caller.clone();
            let visitor = Visitor { endpoint: &desk.endpoint, caller: caller.as_deref() };
            let (pending, mut waiting) = mpsc::channel(MAX_PENDING);
            let acking = acks::write(visitor.endpoint, write, &mut waiting);
            let reading = self.read(&desk, visitor, client, &mut leaving, pending);
            tokio::pin!(acking, reading);
            next = tokio::select! {
                _ = &mut acking => Next::End,
                // What was read is still answered for.
                next = &mut reading => if acking.await { next } else { Next::End },
            };
        }
    }

    /// Reads messages and admits their events, until the client leaves or is told to go, or the configuration changes.
    async fn read<'e, F: Future<Output = ()>>(
        &self,
        desk: &Arc<Desk>,
        visitor: Visitor<'e>,
        client: &mut Client,
        leaving: &mut Leaving<F>,
        pending: mpsc::Sender<Pending<'e>>,
    ) -> Next {
        loop {
            let patience = if leaving.is_due { LAST_PAUSE } else { self.config.idle_timeout.0 };
            let begins = tokio::select! {
                // In this order: a client that always has a next message must go as well.
                biased;
                () = &mut leaving.signal, if !leaving.is_due => {
                    leaving.is_due = true;
                    continue;
                }
                begins = client.reader.begins(patience, visitor.endpoint) => begins,
            };
            // What nobody would send again is read to its end.
            if !begins || leaving.is_due && client.asks {
                return Next::End;
            }
            if !Arc::ptr_eq(desk, &self.desk.read()) {
                return Next::Anew;
            }
            if !take_message(visitor, client, &pending).await {
                return Next::End;
            }
        }
    }

    /// Waits until a connection that was to go between two messages is still there.
    async fn is_overdue(&self) {
        self.leave().await;
        let hold_max = self.desk.read().endpoint.bounds.ack_timeout;
        sleep(self.config.grace.0 + hold_max).await;
    }
}

/// A client at the door.
#[derive(Clone, Copy)]
struct Visitor<'e> {
    endpoint: &'e Endpoint,
    caller: Option<&'e Identity>,
}

impl<'e> Visitor<'e> {
    fn visit(self) -> Visit<'e> {
        self.endpoint.visit(self.caller)
    }
}

/// Admits the events of the message that has begun. False: the connection must end.
async fn take_message<'e>(
    visitor: Visitor<'e>,
    client: &mut Client,
    pending: &mpsc::Sender<Pending<'e>>,
) -> bool {
    let endpoint = visitor.endpoint;
    let message = match room(endpoint, client.asks).await {
        Ok(()) => client.reader.message(endpoint).await,
        Err(fault) => Err(fault),
    };
    let Message { body, chunk } = match message {
        Ok(message) => message,
        Err(fault) => {
            visitor.visit().refuse(&fault);
            return false;
        }
    };
    client.asks = chunk.is_some();
    let mut visit = visitor.visit();
    let admitted = admit(endpoint, body, client.asks).await;
    visit.counted();
    match admitted {
        Ok(admitted) => pending.send(Pending { admitted, visit, chunk }).await.is_ok(),
        Err(fault) => {
            visit.close(&Err(fault));
            false
        }
    }
}

/// Waits until there is room: for a client that would send its message again as long as events may be held, for any other as long as it takes.
async fn room(endpoint: &Endpoint, asks: bool) -> Result<(), Fault> {
    let until = Instant::now() + endpoint.bounds.ack_timeout;
    loop {
        match endpoint.has_room() {
            Err(fault) if asks && Instant::now() >= until => return Err(fault),
            Err(_) => sleep(ROOM_EVERY).await,
            Ok(()) => return Ok(()),
        }
    }
}

/// Admits a body, which may wait for room at a sink if nobody would send it again.
async fn admit(endpoint: &Endpoint, body: Payload, asks: bool) -> Result<Admitted, Fault> {
    let until = Instant::now() + endpoint.bounds.ack_timeout;
    let Payload { bytes, mut lease } = body;
    loop {
        let request = endpoint.request(Payload { bytes: bytes.clone(), lease });
        let fault = match endpoint.intake.admit_forward(request, &endpoint.door) {
            Ok(admitted) => return Ok(admitted),
            Err(refusal) => Fault::from(refusal),
        };
        if asks || !matches!(fault.kind, Kind::Busy | Kind::OverQuota) || Instant::now() >= until {
            return Err(fault);
        }
        // Given back with the request that was refused, and needed while its bytes are held.
        lease = endpoint.budget().lease(bytes.len())?;
        sleep(ROOM_EVERY).await;
    }
}
