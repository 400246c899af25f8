//! Who may send: a gate before the handlers of one listener, which asks every request for a secret if its settings say so.

mod config;
mod keyring;

use super::answer::{Fault, Kind};
use super::caller::Caller;
use super::watch::{Changes, Look, Watch};
use http::{HeaderMap, HeaderValue};
use keyring::{Keyring, Unknown};
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

pub use config::AuthConfig;

/// The gate of one listener. It outlives every reload.
#[derive(Debug)]
pub struct Gate {
    receiver: &'static str,
    /// A client's certificate will do.
    takes_certificates: bool,
    /// Looked at first, so that a listener without authentication takes no lock for it.
    is_closed: AtomicBool,
    keyring: RwLock<Arc<Keyring>>,
    source: Mutex<Option<Source>>,
    pub changes: Changes,
    refused: [AtomicU64; Unknown::ALL.len()],
}

/// Where the secrets come from.
#[derive(Debug)]
struct Source {
    settings: AuthConfig,
    watch: Watch,
}

/// A request that was turned away, and what its client may show instead.
#[derive(Debug)]
pub struct Refused {
    pub fault: Fault,
    pub challenges: Vec<HeaderValue>,
}

impl Gate {
    /// A gate that lets everybody in. With `takes_certificates`, those whose certificate was verified need no secret, whatever it is
    /// made to ask for.
    pub fn open(receiver: &'static str, takes_certificates: bool) -> Self {
        Self {
            receiver,
            takes_certificates,
            is_closed: AtomicBool::new(false),
            keyring: RwLock::default(),
            source: Mutex::default(),
            changes: Changes::default(),
            refused: Default::default(),
        }
    }

    /// Asks for the secrets of `settings` from now on; for none without them.
    ///
    /// # Errors
    /// What is wrong with the files. The secrets of before are asked for then; if there were none, nobody gets in.
    pub fn adopt(&self, settings: Option<&AuthConfig>) -> Result<(), Vec<(&'static str, String)>> {
        let source = settings.map(|settings| Source {
            settings: settings.clone(),
            // Before the files are read, so that no change falls in between.
            watch: Watch::new(settings.files()),
        });
        let loaded = settings.map(Keyring::load).transpose();
        *self.source.lock() = source;
        let loaded = loaded.map(|loaded| {
            if let Some(keyring) = loaded {
                *self.keyring.write() = Arc::new(keyring);
            }
        });
        self.is_closed.store(settings.is_some(), Relaxed);
        loaded
    }

    /// Takes on the files if they have changed. Bad ones change nothing.
    pub fn look(&self, look: Look) {
        let source = self.source.lock();
        let Some(Source { settings, .. }) = source.as_ref().filter(|source| source.watch.has_changed(look))
        else {
            return;
        };
        let receiver = self.receiver;
        let loaded = Keyring::load(settings);
        self.changes.count(loaded.is_ok());
        match loaded {
            Ok(keyring) => {
                *self.keyring.write() = Arc::new(keyring);
                tracing::info!(receiver, "new secrets are in use");
            }
            Err(faults) => {
                for (setting, reason) in faults {
                    tracing::error!(receiver, setting, reason, "new secrets are not used; the old ones stay");
                }
            }
        }
    }

    /// Who makes a request with these headers, on a connection of `caller`'s.
    ///
    /// # Errors
    /// It is nobody's who may; counted here by its reason.
    pub fn admit(&self, headers: &HeaderMap, caller: Caller) -> Result<Caller, Box<Refused>> {
        if !self.is_closed.load(Relaxed) || (self.takes_certificates && caller.is_some()) {
            return Ok(caller);
        }
        let keyring = Arc::clone(&self.keyring.read());
        match keyring.holder(headers) {
            Ok(holder) => Ok(Some(Arc::clone(holder))),
            Err(unknown) => {
                self.refused[unknown as usize].fetch_add(1, Relaxed);
                let message = match unknown {
                    Unknown::Missing => "credentials are needed here",
                    Unknown::Unsupported => "credentials of this kind are not taken here",
                    Unknown::Wrong => "nobody has these credentials",
                };
                let fault = Fault::new(Kind::Unauthenticated, message);
                Err(Box::new(Refused { fault, challenges: keyring.challenges.clone() }))
            }
        }
    }

    /// Requests that were turned away, by the value of the label `reason`.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Unknown::ALL.into_iter().map(|unknown| (unknown.name(), self.refused[unknown as usize].load(Relaxed)))
    }
}
