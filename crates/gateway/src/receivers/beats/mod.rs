//! Lumberjack version 2: what Filebeat, Winlogbeat and Logstash's `lumberjack` output speak (logstash-input-beats, PROTOCOL.md).
//!
//! A window of events becomes one body or several, each a line of JSON an event, so that the first of them can be acknowledged while the last are still
//! on their way. `reader` takes events off the wire, `acks` answers for them in order.

mod acks;
mod reader;

use super::BEATS;
use super::answer::Fault;
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
use forebay_pipeline::admit::Acknowledge;
use forebay_pipeline::rules::JsonRules;
use forebay_pipeline::units::{ByteSize, Period};
use jiff::tz::TimeZone;
use parking_lot::RwLock;
use reader::{Batch, Next, Reader};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, ReadHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// Batches of one connection that wait for their receipts. Beats keep two windows on their way, of some batches each.
const MAX_PENDING: usize = 16;
/// What a connection takes beside its events, in bytes: what was read and not taken yet, and its state.
const CONNECTION_BYTES: usize = 2 * reader::READ_BYTES + (16 << 10);
/// How often it is asked again whether there is room.
const ROOM_EVERY: Duration = Duration::from_millis(50);

/// Events of Beats (Filebeat, Winlogbeat and others), and of Logstash's `lumberjack` output: Lumberjack version 2 over TCP.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BeatsConfig {
    /// Address and port to listen on. In a container: `0.0.0.0:5044`. Port 0 takes a free one.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// The time zone of times that name none, as in the IANA database: `UTC`, `Europe/Berlin`.
    pub timezone: String,
    /// What an acknowledgement waits for. Default: what `acknowledge` of the whole file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<Acknowledge>,
    /// How long events are held that cannot be delivered. While sinks take others, or its tenant is over its quota, the agent is told every 5 seconds that it
    /// is not forgotten. Past it the connection is closed, and the agent sends all that was not acknowledged again, perhaps to another replica.
    pub hold_max: Period,
    /// A connection on which nothing comes for this long in the middle of a window is closed.
    pub body_timeout: Period,
    /// Largest frame, before and after decompression. An event that is larger is refused for good; a compressed frame that is larger ends its
    /// connection. At most 1GiB.
    pub max_request_bytes: ByteSize,
    /// Bounds on its connections. One is told to go between two windows only.
    pub connections: ConnectionConfig,
    /// TLS. Default: none. Lumberjack has no other word for who sends than a client's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
}

impl Default for BeatsConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 5044)),
            timezone: "UTC".to_owned(),
            acknowledge: None,
            hold_max: Period::secs(60),
            body_timeout: Period::secs(30),
            max_request_bytes: ByteSize::mib(64),
            connections: ConnectionConfig::default(),
            tls: None,
        }
    }
}

impl BeatsConfig {
    /// Its port.
    pub(super) fn port(&self) -> Port<'_> {
        let (tls, auth) = (self.tls.as_ref(), None);
        Port {
            receiver: BEATS,
            path: "beats",
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

    /// How it reads what it gets.
    pub(super) fn rules(&self) -> JsonRules {
        JsonRules { timezone: self.timezone.clone(), beats: true, ..JsonRules::default() }
    }

    /// The zone of times that name none.
    ///
    /// # Errors
    /// There is no zone of this name.
    pub(super) fn zone(&self) -> Result<TimeZone, String> {
        TimeZone::get(&self.timezone).map_err(|_| format!("there is no time zone `{}`", self.timezone))
    }
}

/// Serves connections on the Beats port.
#[derive(Debug)]
pub struct Beats {
    pub endpoint: Arc<RwLock<Arc<Endpoint>>>,
    pub config: ConnectionConfig,
    pub overhead: Arc<Overhead>,
    pub signals: Signals,
}

impl House<'_> {
    /// What admits there, if there is such a receiver.
    fn beats(&self) -> Option<Arc<Endpoint>> {
        let beats = self.config.beats.as_ref()?;
        Some(Arc::new(self.endpoint(BEATS, beats.bounds(self.acknowledge))))
    }
}

impl Binding<'_> {
    /// Binds the receiver, if there is one.
    ///
    /// # Errors
    /// The address is taken, or a file of TLS cannot be used.
    pub async fn beats(&self) -> Result<Option<Bound>, BindError> {
        let (Some(port), Some(endpoint)) = (self.house.config.port(BEATS), self.house.beats()) else {
            return Ok(None);
        };
        let listener = Listener::bind(BEATS, port.listen, port.tls, &[]).await?;
        let endpoint = Arc::new(RwLock::new(endpoint));
        let beats = Beats {
            endpoint: Arc::clone(&endpoint),
            config: port.connections.clone(),
            overhead: Arc::clone(&self.overhead),
            signals: self.signals.clone(),
        };
        Ok(Some(Bound::new(listener, move |listener| {
            let adopt = move |house: &House<'_>| {
                if let Some(new) = house.beats() {
                    *endpoint.write() = new;
                }
            };
            (listener.serve(beats), Box::new(adopt))
        })))
    }
}

/// What reading and acknowledging know of each other.
#[derive(Debug, Default)]
struct Owed {
    /// Windows whose head has been read, and windows that are acknowledged in full.
    begun: AtomicU64,
    acknowledged: AtomicU64,
}

impl Owed {
    /// Whether the agent waits for an acknowledgement.
    fn is_any(&self) -> bool {
        self.begun.load(Relaxed) > self.acknowledged.load(Relaxed)
    }
}

impl Serve for Beats {
    fn config(&self) -> &ConnectionConfig {
        &self.config
    }

    fn signals(&self) -> &Signals {
        &self.signals
    }

    fn overhead(&self) -> &Overhead {
        &self.overhead
    }

    /// An agent for which there is no room is let go: it comes back.
    async fn serve(&self, connection: Connection) {
        if let Ok(_lease) = self.overhead.other(CONNECTION_BYTES) {
            Box::pin(self.attend(connection)).await;
        } else {
            self.overhead.let_go();
        }
    }
}

impl Beats {
    /// Reads and acknowledges until the agent leaves, it breaks the protocol, or something of it cannot be taken. What was admitted by then is
    /// still acknowledged.
    async fn attend(&self, Connection { stream, caller, .. }: Connection) {
        // Windows that have begun go the way that they began; the next one after a reload ends the connection.
        let endpoint = Arc::clone(&self.endpoint.read());
        let (read, mut write) = tokio::io::split(stream);
        let (pending, waiting) = mpsc::channel(MAX_PENDING);
        let owed = Owed::default();
        let cut = async {
            let acking = acks::write(&endpoint, &mut write, waiting, &owed);
            let visitor = Visitor { endpoint: &endpoint, caller: caller.as_deref() };
            let reading = self.read(visitor, read, pending, &owed);
            tokio::pin!(acking, reading);
            tokio::select! {
                () = &mut acking => {}
                () = &mut reading => acking.await,
            }
        };
        tokio::select! {
            () = cut => {
                // The agent sends again what it has no acknowledgement for.
                let _ = write.shutdown().await;
            }
            () = self.is_overdue(&endpoint) => tracing::debug!("an agent was cut in the middle of a window"),
            () = self.signals.cut.cancelled() => {}
        }
    }

    /// Waits until a connection that was to go between two windows is still there.
    async fn is_overdue(&self, endpoint: &Endpoint) {
        self.leave().await;
        sleep(self.config.grace.0 + endpoint.bounds.ack_timeout).await;
    }
}

/// An agent at the door.
#[derive(Clone, Copy)]
struct Visitor<'e> {
    endpoint: &'e Endpoint,
    caller: Option<&'e Identity>,
}

impl<'e> Visitor<'e> {
    fn visit(self) -> Visit<'e> {
        self.endpoint.visit(self.caller)
    }

    /// Counts what was not admitted.
    fn refuse(self, fault: &Fault) {
        self.visit().refuse(fault);
    }
}

impl Beats {
    /// Reads windows and admits their events, until the agent leaves or is told to go.
    async fn read<'e>(
        &self,
        visitor: Visitor<'e>,
        read: ReadHalf<Stream>,
        pending: mpsc::Sender<Pending<'e>>,
        owed: &Owed,
    ) {
        let endpoint = visitor.endpoint;
        let mut reader = Reader::new(read, endpoint);
        let leave = self.leave();
        tokio::pin!(leave);
        loop {
            let window = tokio::select! {
                // In this order: an agent that always has a next window must go as well.
                biased;
                () = &mut leave => return,
                window = reader.window(self.config.idle_timeout.0) => window,
            };
            let events = match window {
                Ok(Some(events)) => events,
                Ok(None) => return,
                Err(fault) => return visitor.refuse(&fault),
            };
            if !std::ptr::eq(endpoint, Arc::as_ptr(&self.endpoint.read())) {
                // The configuration has changed, and its sinks may be gone: the agent comes back to the new one.
                return;
            }
            owed.begun.fetch_add(1, Relaxed);
            if !take_window(visitor, &mut reader, events, &pending).await {
                return;
            }
        }
    }
}

/// Admits the events of one window. False: the connection must end.
async fn take_window<'e>(
    visitor: Visitor<'e>,
    reader: &mut Reader<'_, ReadHalf<Stream>>,
    events: u32,
    pending: &mpsc::Sender<Pending<'e>>,
) -> bool {
    let endpoint = visitor.endpoint;
    let mut left = events;
    while left > 0 {
        let batch = match room(endpoint).await {
            Ok(()) => reader.batch(left).await,
            Err(fault) => Err(fault),
        };
        let (batch, next) = match batch {
            Ok(read) => read,
            Err(fault) => {
                visitor.refuse(&fault);
                return false;
            }
        };
        left = match next {
            Next::Window => 0,
            Next::Events => left - batch.events,
        };
        let mut visit = visitor.visit();
        let (last, is_end) = (batch.last, left == 0);
        match admit(endpoint, batch) {
            Ok(admitted) => {
                visit.counted();
                if pending.send(Pending { last, is_end, taken: Some((admitted, visit)) }).await.is_err() {
                    return false;
                }
            }
            Err(fault) => {
                visit.counted();
                visit.close(&Err(fault));
                return false;
            }
        }
    }
    if events == 0 {
        return pending.send(Pending { last: 0, is_end: true, taken: None }).await.is_ok();
    }
    true
}

/// Waits until there is room, as long as events may be held.
async fn room(endpoint: &Endpoint) -> Result<(), Fault> {
    let until = Instant::now() + endpoint.bounds.ack_timeout;
    loop {
        match endpoint.has_room() {
            Err(fault) if Instant::now() >= until => return Err(fault),
            Err(_) => sleep(ROOM_EVERY).await,
            Ok(()) => return Ok(()),
        }
    }
}

fn admit(endpoint: &Endpoint, batch: Batch) -> Result<forebay_pipeline::admit::Admitted, Fault> {
    let request = endpoint.request(batch.lines);
    let format = forebay_pipeline::wire::json::Format::Lines;
    Ok(endpoint.intake.admit_json(request, &endpoint.door, format)?)
}
