//! TLS of a listener, by rustls: one handshake for each connection, within bounds, counted.

pub(super) mod certificate;
pub(super) mod config;
mod failure;
pub(super) mod files;

use super::caller::{Identity, Proof};
use super::linger::Lingering;
use super::overhead::Spoken;
use super::stream::{Connection, Stream};
use super::watch::{Changes, Look, Watch};
use crate::rate_limit::RateLimited;
use failure::Failure;
use files::Loaded;
use forebay_pipeline::budget::Lease;
use parking_lot::RwLock;
use rustls::ServerConfig;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// What TLS takes of a connection, in bytes: a record each way as it comes and as it is understood (16 KiB at most, RFC 8446, 5.1), and what
/// a handshake needs for a moment.
pub const TLS_BYTES: usize = 80 << 10;

pub use config::TlsConfig;

/// TLS on one listener.
#[derive(Debug)]
pub struct Tls {
    receiver: &'static str,
    settings: TlsConfig,
    protocols: Vec<Vec<u8>>,
    watch: Watch,
    pub changes: Changes,
    current: RwLock<Arc<Loaded>>,
    done: AtomicU64,
    failed: [AtomicU64; Failure::ALL.len()],
    /// One for each kind of failure.
    warnings: [RateLimited; Failure::ALL.len()],
}

impl Tls {
    /// TLS as `settings` say. Inside it one of `protocols` is agreed on, the best first; with none of them, whatever the client says.
    ///
    /// # Errors
    /// What is wrong with the files, each with the setting that names it.
    pub fn new(
        receiver: &'static str,
        settings: &TlsConfig,
        protocols: &[&[u8]],
    ) -> Result<Self, Vec<(&'static str, String)>> {
        let watch = Watch::new(settings.files());
        let protocols: Vec<Vec<u8>> = protocols.iter().map(|name| name.to_vec()).collect();
        let loaded = files::load(settings, &protocols)?;
        Ok(Self {
            receiver,
            settings: settings.clone(),
            protocols,
            watch,
            changes: Changes::default(),
            current: RwLock::new(Arc::new(loaded)),
            done: AtomicU64::new(0),
            failed: Default::default(),
            warnings: Default::default(),
        })
    }

    /// Shakes hands on a connection whose first byte, `first`, has come, and waits for what the client says then, at most for `idle`, unless the
    /// server speaks first.
    /// `None` if either does not happen, which is counted and logged here.
    pub async fn accept(
        &self,
        stream: TcpStream,
        address: IpAddr,
        first: u8,
        idle: Duration,
        lease: Lease,
        speaks_first: bool,
    ) -> Option<Connection> {
        let config: Arc<ServerConfig> = Arc::clone(&self.current.read().config);
        let handshake = TlsAcceptor::from(config).accept(Lingering::new(stream, idle)).into_fallible();
        let mut stream = match timeout(self.settings.handshake_timeout.0, handshake).await {
            Ok(Ok(stream)) => Box::new(stream),
            Ok(Err((error, mut socket))) => {
                self.count(Failure::of(&error, first), &error);
                // Else what the client still sends resets the connection before it has read the alert.
                let _ = socket.shutdown().await;
                return None;
            }
            Err(elapsed) => {
                self.count(Failure::Timeout, &elapsed);
                return None;
            }
        };
        self.done.fetch_add(1, Relaxed);
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let caller = shown.map(|certificate| {
            let name = certificate::name(certificate).unwrap_or_default();
            Arc::new(Identity { proof: Proof::Certificate, name })
        });
        // As without TLS: who says nothing must not hold a slot.
        let spoken = match speaks_first {
            true => Spoken::Http1,
            false => match timeout(idle, stream.fill_buf()).await {
                Ok(Ok(bytes)) if !bytes.is_empty() => Spoken::by(bytes),
                _ => return None,
            },
        };
        let spoken = match stream.get_ref().1.alpn_protocol() {
            Some(agreed) if agreed == b"h2" => Spoken::Http2,
            Some(_) => Spoken::Http1,
            None => spoken,
        };
        Some(Connection { stream: Stream::Tls(stream), caller, address, spoken, lease: Some(lease) })
    }

    /// Takes on the files for new connections if they have changed. Bad ones change nothing.
    pub fn look(&self, look: Look) {
        if !self.watch.has_changed(look) {
            return;
        }
        let receiver = self.receiver;
        let loaded = files::load(&self.settings, &self.protocols);
        self.changes.count(loaded.is_ok());
        match loaded {
            Ok(loaded) => {
                let expires = certificate::date(loaded.not_after);
                tracing::info!(receiver, expires, "new certificate files are in use");
                // Sessions of before are forgotten with them, so that nobody resumes what he would not be let into now.
                *self.current.write() = Arc::new(loaded);
            }
            Err(faults) => {
                for (setting, reason) in faults {
                    tracing::error!(
                        receiver,
                        setting,
                        reason,
                        "new certificate files are not used; the old ones stay"
                    );
                }
            }
        }
    }

    fn count(&self, failure: Failure, error: &(dyn fmt::Display + Sync)) {
        self.failed[failure as usize].fetch_add(1, Relaxed);
        if let Some(suppressed) = self.warnings[failure as usize].permit() {
            let (receiver, reason) = (self.receiver, failure.name());
            tracing::warn!(receiver, reason, %error, suppressed, "a TLS handshake failed");
        }
    }

    /// Handshakes that were done.
    pub fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// Handshakes that failed, by the value of the label `reason`.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Failure::ALL.into_iter().map(|failure| (failure.name(), self.failed[failure as usize].load(Relaxed)))
    }

    /// When the first certificate of the chain in use expires, in seconds since 1970.
    pub fn not_after(&self) -> i64 {
        self.current.read().not_after
    }
}
