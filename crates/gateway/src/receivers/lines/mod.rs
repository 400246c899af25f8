//! Receivers of frames over a connection on which nobody is ever answered: lines of JSON, messages of syslog.
//!
//! What cannot be taken cannot be refused either, so it is left where it is: a connection is not read while there is no room for what it
//! sends. `inbox` divides what comes into frames, `gathering` makes bodies of them, `outbox` admits those and sees them settled.

mod connections;
mod gathering;
mod inbox;
mod outbox;

use super::endpoint::{Bounds, Endpoint};
use super::house::House;
use super::listener::{BindError, ConnectionConfig, Listener, Serve, Signals};
use super::overhead::Overhead;
use super::started::{Binding, Bound};
use super::stream::Connection;
use forebay_pipeline::admit::{Acknowledge, Admitted, Refusal, Request};
use forebay_pipeline::units::{ByteSize, Period};
use inbox::Inbox;
use outbox::Outbox;
use parking_lot::RwLock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

pub use connections::{StreamConnectionConfig, read as stream_connections};

/// Bodies of one connection that are on their way while it is read on.
const MAX_PENDING: usize = 16;
/// What a connection takes beside its frames, in bytes: what was read and not taken yet, and its state.
const CONNECTION_BYTES: usize = inbox::READ_BYTES + (16 << 10);
/// A client that was told to go and says nothing for this long has heard it, or will not.
const QUIET: Duration = Duration::from_secs(1);
/// Nobody waits for an answer, so nothing is given up for being late.
const FOR_EVER: Duration = Duration::from_secs(365 * 86_400);

/// How far a connection is read on before what it sent is safe. Its client is not told of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamAcknowledge {
    /// It is read as long as there is memory. What is in memory is lost when the process is killed.
    #[default]
    None,
    /// It is read on when every sink has taken what was read before.
    Delivered,
    /// It is read on when what was read before is in the disk journal.
    Durable,
}

impl StreamAcknowledge {
    /// What a body's settlement waits for.
    pub fn admission(self) -> Acknowledge {
        match self {
            Self::None | Self::Delivered => Acknowledge::Delivered,
            Self::Durable => Acknowledge::Durable,
        }
    }

    /// Bodies that may be on their way when the connection is read on.
    fn window(self) -> usize {
        match self {
            Self::None => MAX_PENDING,
            Self::Delivered | Self::Durable => 1,
        }
    }
}

/// How long frames are, and how many of them make a body.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Longest frame, in bytes.
    pub max: ByteSize,
    /// A body of so many bytes is admitted.
    pub batch_bytes: ByteSize,
    /// A body whose first frame is so old is admitted.
    pub batch_age: Period,
    pub acknowledge: StreamAcknowledge,
}

impl Sizes {
    /// Bounds of the receiver that has these.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            acknowledge: self.acknowledge.admission(),
            max_bytes: self.max.as_usize(),
            body_timeout: FOR_EVER,
            ack_timeout: FOR_EVER,
        }
    }

    /// What is wrong with them, each with its setting; `max` is the name of the longest frame's.
    pub fn faults(&self, receiver: &str, max: &str) -> Vec<(String, String)> {
        let fields = [(max, self.max), ("batch_bytes", self.batch_bytes)];
        let bad = fields.into_iter().filter(|(_, size)| size.0 == 0 || size.0 > super::MAX_REQUEST_BYTES);
        bad.map(|(field, _)| (format!("{receiver}.{field}"), "must be from 1 to 1GiB".to_owned())).collect()
    }
}

/// What a buffer begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A frame whose content is at `at`; with it go the first `used` bytes.
    Frame { at: Range<usize>, used: usize },
    /// The beginning of one whose content starts at `start` and is `len` bytes long, if that is known.
    More { start: usize, len: Option<usize> },
}

/// How a connection's bytes are divided into frames, and frames are put together to a body.
pub trait Framing: fmt::Debug + Send + Sync {
    /// What `buffer` begins with. In its first `from` bytes no end was found before; after `is_end` nothing comes.
    fn find(&self, buffer: &[u8], from: usize, is_end: bool) -> Found;

    /// Where the frame ends that `bytes` are a part of, if it does: the place behind its last byte. For frames that do not say how long they
    /// are.
    fn end_of_rest(&self, bytes: &[u8]) -> Option<usize>;

    /// Whether the beginning of a frame that is too long is worth keeping.
    fn keeps_cut(&self) -> bool;

    /// Appends a frame to a body, in at most [`FRAME_BYTES`] more than it has. `is_cut`: there was more of it.
    fn write(&self, frame: &[u8], is_cut: bool, append: &mut dyn FnMut(&[u8]));

    /// Admits a body.
    ///
    /// # Errors
    /// As admission of its wire has them.
    fn admit(&self, endpoint: &Endpoint, request: Request) -> Result<Admitted, Refusal>;
}

/// What a frame takes in a body beside its content, at most, in bytes.
pub const FRAME_BYTES: usize = 4;

/// What a reload can change of a receiver.
#[derive(Debug)]
pub struct Manner {
    pub endpoint: Endpoint,
    pub framing: Box<dyn Framing>,
    pub sizes: Sizes,
}

/// Serves connections of one receiver.
#[derive(Debug)]
struct Lines {
    manner: Arc<RwLock<Arc<Manner>>>,
    config: ConnectionConfig,
    overhead: Arc<Overhead>,
    signals: Signals,
}

impl Binding<'_> {
    /// Binds a receiver that reads as `make` says, if there is one.
    ///
    /// # Errors
    /// The address is taken, or a file of TLS cannot be used.
    pub async fn lines<M>(&self, receiver: &'static str, make: M) -> Result<Option<Bound>, BindError>
    where
        M: Fn(&House<'_>) -> Option<Manner> + Send + Sync + 'static,
    {
        let (Some(port), Some(manner)) = (self.house.config.port(receiver), make(&self.house)) else {
            return Ok(None);
        };
        let listener = Listener::bind(receiver, port.listen, port.tls, &[]).await?;
        let manner = Arc::new(RwLock::new(Arc::new(manner)));
        let lines = Lines {
            manner: Arc::clone(&manner),
            config: port.connections.clone(),
            overhead: Arc::clone(&self.overhead),
            signals: self.signals.clone(),
        };
        Ok(Some(Bound::new(listener, move |listener| {
            let adopt = move |house: &House<'_>| {
                if let Some(new) = make(house) {
                    *manner.write() = Arc::new(new);
                }
            };
            (listener.serve(lines), Box::new(adopt))
        })))
    }
}

impl Serve for Lines {
    fn config(&self) -> &ConnectionConfig {
        &self.config
    }

    fn signals(&self) -> &Signals {
        &self.signals
    }

    fn overhead(&self) -> &Overhead {
        &self.overhead
    }

    /// A client for which there is no room is let go: it comes back.
    async fn serve(&self, connection: Connection) {
        if let Ok(_lease) = self.overhead.other(CONNECTION_BYTES) {
            tokio::select! {
                () = Box::pin(self.attend(connection)) => {}
                () = self.signals.cut.cancelled() => tracing::debug!("a client was cut while it was sending"),
            }
        }
    }
}

impl Lines {
    /// As it is read from now on.
    fn manner(&self) -> Arc<Manner> {
        Arc::clone(&self.manner.read())
    }

    /// Reads until the client leaves, says nothing for too long, or is told to go and had time to hear it; then sees what it sent settled.
    ///
    /// Only the end of the stream from us tells a client to go. What it sends until it has noticed is read, and a frame that it does
    /// not end is taken as it stands.
    async fn attend(&self, Connection { stream, caller, lease: _lease, .. }: Connection) {
        let mut inbox = Inbox::new(stream);
        let mut outbox = Outbox::new(caller);
        let leave = self.leave();
        tokio::pin!(leave);
        let mut until = None;
        loop {
            let manner = self.manner();
            outbox.take_in(&mut inbox, &manner).await;
            if inbox.is_ended() {
                outbox.flush(&manner).await;
                break;
            }
            let quiet = if until.is_none() { self.config.idle_timeout.0 } else { QUIET };
            tokio::select! {
                // In this order: a client that sends all the time must go as well, and what it sent must not grow old.
                biased;
                () = &mut leave, if until.is_none() => {
                    until = Some(Instant::now() + self.config.grace.0);
                    inbox.tell_to_go().await;
                }
                () = outbox.until_due(&manner) => outbox.flush(&manner).await,
                read = inbox.fill(quiet, until) => manner.endpoint.door.count_bytes(read as u64),
            }
        }
        outbox.settle_all().await;
    }
}
