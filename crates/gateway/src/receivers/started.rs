//! The receivers that listen: from binding their addresses to the end of their last connection.

use super::handler::Handler;
use super::house::{House, behind_gate};
use super::http_connection::Protocol;
use super::listener::{BindError, Connections, Listener, Signals};
use super::overhead::Overhead;
use super::tenants::Tenants;
use super::watch::Look;
use super::{Receivers, bind_all};
use forebay_pipeline::admit::{Acknowledge, Intake};
use forebay_pipeline::budget::Budget;
use forebay_pipeline::ledger::Ledger;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// How long clients that are told to try again, at the end of the drain, may take to hear it.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);
/// How long connections that were cut may take to notice.
const CUT_WITHIN: Duration = Duration::from_secs(1);

/// Receivers that are listening.
#[derive(Debug)]
pub struct Started {
    receivers: Vec<Receiver>,
    overhead: Arc<Overhead>,
    tenants: Arc<Tenants>,
    health: HealthReporter,
    /// Requests under way are refused.
    ending: CancellationToken,
    cut: CancellationToken,
}

/// One that is listening.
struct Receiver {
    address: SocketAddr,
    connections: Connections,
    adopt: Adopt,
}

/// Has requests from now on answered as new settings say.
pub type Adopt = Box<dyn Fn(&House<'_>) + Send + Sync>;

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("address", &self.address)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

/// One whose address is bound, and how it is served.
pub struct Bound {
    listener: Listener,
    serve: Box<dyn FnOnce(Listener) -> (Connections, Adopt) + Send>,
}

impl Bound {
    /// `serve` is for later: nothing is served before all are bound.
    pub fn new(
        listener: Listener,
        serve: impl FnOnce(Listener) -> (Connections, Adopt) + Send + 'static,
    ) -> Self {
        Self { listener, serve: Box::new(serve) }
    }

    fn serve(mut self, tenants: &Arc<Tenants>) -> Receiver {
        let address = self.listener.address;
        self.listener.tenants = Arc::clone(tenants);
        let (connections, adopt) = (self.serve)(self.listener);
        Receiver { address, connections, adopt }
    }
}

/// What receivers share while they are bound.
pub struct Binding<'h> {
    pub house: House<'h>,
    pub overhead: Arc<Overhead>,
    pub signals: Signals,
}

impl Binding<'_> {
    /// Binds a receiver of HTTP that answers by what `make` makes, if there is one.
    ///
    /// # Errors
    /// The address is taken, or a file of TLS or of secrets cannot be used.
    pub async fn http<H, M>(
        &self,
        receiver: &str,
        protocol: Protocol,
        make: M,
    ) -> Result<Option<Bound>, BindError>
    where
        H: Handler,
        M: Fn(&House<'_>) -> Option<H> + Send + Sync + 'static,
    {
        let (Some(port), Some(handler)) = (self.house.config.port(receiver), make(&self.house)) else {
            return Ok(None);
        };
        let listener = Listener::bind(port.receiver, port.listen, port.tls, protocol.names()).await?;
        let swap = behind_gate(port, handler)?;
        let (overhead, signals) = (Arc::clone(&self.overhead), self.signals.clone());
        let config = port.connections.clone();
        Ok(Some(Bound::new(listener, move |listener| {
            let connections = listener.serve_http(protocol, config, overhead, Arc::clone(&swap), signals);
            let adopt = move |house: &House<'_>| {
                if let Some(handler) = make(house) {
                    swap.put(handler);
                }
            };
            (connections, Box::new(adopt))
        })))
    }
}

/// Binds every receiver of `config`, then serves them until `shutdown`. `acknowledge` is for those that say nothing of it;
/// `tenants` tells whose requests are; `connections` is the budget for what connections take beside payloads.
///
/// # Errors
/// The first address that could not be bound, or file that could not be used. Then nothing is served.
pub async fn start(
    config: &Receivers,
    acknowledge: Acknowledge,
    tenants: Arc<Tenants>,
    intake: Arc<Intake>,
    ledger: &Ledger,
    connections: Arc<Budget>,
    shutdown: CancellationToken,
) -> Result<Started, BindError> {
    let ending = CancellationToken::new();
    let signals = Signals { closing: shutdown, cut: CancellationToken::new() };
    let cut = signals.cut.clone();
    let overhead = Overhead::new(connections);
    let house = House { config, acknowledge, intake: &intake, ledger, tenants: &tenants, ending: &ending };
    let binding = Binding { house, overhead: Arc::clone(&overhead), signals };
    let health = HealthReporter::new();
    let bound = bind_all(&binding, health.clone()).await?.into_iter();
    let receivers = bound.map(|bound| bound.serve(&tenants)).collect();
    Ok(Started { receivers, overhead, tenants, health, ending, cut })
}

impl Started {
    /// Has requests from now on answered as `config` says; those under way are finished as they began. Addresses and bounds on
    /// connections stay.
    pub fn adopt(&self, config: &Receivers, acknowledge: Acknowledge, intake: &Arc<Intake>, ledger: &Ledger) {
        let (tenants, ending) = (&self.tenants, &self.ending);
        let house = House { config, acknowledge, intake, ledger, tenants, ending };
        for Receiver { connections, adopt, .. } in &self.receivers {
            if let Some(gate) = &connections.gate {
                let auth = config.port(connections.receiver).and_then(|port| port.auth);
                for (setting, reason) in gate.adopt(auth).err().into_iter().flatten() {
                    let receiver = connections.receiver;
                    tracing::error!(
                        receiver,
                        setting,
                        reason,
                        "secrets could not be read; those of before stay"
                    );
                }
            }
            adopt(&house);
        }
    }

    /// Takes on files of certificates and secrets that have changed.
    pub fn look(&self, look: Look) {
        for connections in self.connections() {
            if let Some(tls) = &connections.tls {
                tls.look(look);
            }
            if let Some(gate) = &connections.gate {
                gate.look(look);
            }
        }
    }

    /// Where a receiver listens.
    #[cfg(test)]
    pub fn address(&self, receiver: &str) -> Option<SocketAddr> {
        self.receivers.iter().find(|it| it.connections.receiver == receiver).map(|it| it.address)
    }

    /// The connections of each listener.
    pub fn connections(&self) -> impl Iterator<Item = &Connections> {
        self.receivers.iter().map(|receiver| &receiver.connections)
    }

    /// What all connections take beside payloads.
    pub fn overhead(&self) -> &Arc<Overhead> {
        &self.overhead
    }

    /// Whose requests came.
    pub fn tenants(&self) -> &Arc<Tenants> {
        &self.tenants
    }

    /// The gRPC health service says NOT_SERVING from now on, so that clients that ask it go elsewhere.
    pub async fn fail_health(&self) {
        self.health.set_service_status("", ServingStatus::NotServing).await;
    }

    /// Waits, after `shutdown`, until every connection has ended. What is under way after `deadline` is refused in its protocol's
    /// retryable way, and a connection that does not end with that is cut. Returns whether nothing had to be refused or cut.
    pub async fn closed(&self, deadline: Duration) -> bool {
        self.fail_health().await;
        // A watch on the service never ends by itself, and would hold its connection to the deadline.
        self.health.clone().clear_service_status("").await;
        if timeout(deadline, self.ended()).await.is_ok() {
            return true;
        }
        tracing::warn!(
            connections = self.open(),
            "the time to drain is up: clients that wait are told to try again"
        );
        self.ending.cancel();
        if timeout(REFUSED_WITHIN, self.ended()).await.is_ok() {
            return false;
        }
        tracing::warn!(connections = self.open(), "connections were cut at the end of the drain");
        self.cut.cancel();
        // They only have to notice; the answer is known.
        let _ = timeout(CUT_WITHIN, self.ended()).await;
        false
    }

    fn open(&self) -> usize {
        self.connections().map(Connections::open).sum()
    }

    async fn ended(&self) {
        for connections in self.connections() {
            connections.ended().await;
        }
    }
}

impl fmt::Display for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for Receiver { address, connections, .. } in &self.receivers {
            write!(f, "{separator}{} {address}", connections.receiver)?;
            separator = ", ";
        }
        Ok(())
    }
}
