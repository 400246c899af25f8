//! Where what answers is made: at the start, and anew whenever the configuration is.

use super::Receivers;
use super::auth::Gate;
use super::endpoint::{Bounds, Endpoint};
use super::handler::{Handler, Swap};
use super::listener::BindError;
use super::ports::Port;
use super::tenants::Tenants;
use super::tls::config::ClientAuth;
use forebay_pipeline::admit::{Acknowledge, Intake};
use forebay_pipeline::ledger::Ledger;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Where handlers admit to and keep their books.
#[derive(Debug)]
pub struct House<'h> {
    pub config: &'h Receivers,
    /// For receivers that say nothing of it.
    pub acknowledge: Acknowledge,
    pub intake: &'h Arc<Intake>,
    pub ledger: &'h Ledger,
    pub tenants: &'h Arc<Tenants>,
    /// Requests under way are refused.
    pub ending: &'h CancellationToken,
}

impl House<'_> {
    /// What a receiver of this name does alike with the others.
    pub fn endpoint(&self, name: &str, bounds: Bounds) -> Endpoint {
        let (intake, tenants) = (Arc::clone(self.intake), Arc::clone(self.tenants));
        Endpoint::new(intake, self.ledger.door(name), bounds, tenants, self.ending.clone())
    }
}

/// A handler that answers those who may send.
///
/// # Errors
/// A file of secrets cannot be used.
pub fn behind_gate<H: Handler>(port: Port<'_>, handler: H) -> Result<Arc<Swap<H>>, BindError> {
    let takes_certificates = port.tls.is_some_and(|tls| tls.client_auth == ClientAuth::Optional);
    let gate = Gate::open(port.receiver, takes_certificates);
    match gate.adopt(port.auth) {
        Ok(()) => Ok(Swap::new(handler, gate)),
        Err(faults) => Err(BindError::unusable(port.receiver, port.listen, "auth", &faults)),
    }
}
