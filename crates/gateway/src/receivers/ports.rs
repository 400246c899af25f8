//! What the settings of every receiver have alike: where it listens, to how many, and whom it lets in.

use super::Receivers;
use super::auth::AuthConfig;
use super::listener::ConnectionConfig;
use super::tls::TlsConfig;
use serde::Serialize;
use std::net::SocketAddr;

/// One receiver's port.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Port<'c> {
    pub receiver: &'static str,
    /// Where its settings are, seen from `receivers`.
    pub path: &'static str,
    pub listen: SocketAddr,
    pub connections: &'c ConnectionConfig,
    pub tls: Option<&'c TlsConfig>,
    /// The one part that a reload can change.
    #[serde(skip)]
    pub auth: Option<&'c AuthConfig>,
}

impl Receivers {
    /// The port of this receiver, if there is one.
    pub(super) fn port(&self, receiver: &str) -> Option<Port<'_>> {
        self.ports().into_iter().find(|port| port.receiver == receiver)
    }

    /// What is wrong with certificates, keys and secrets, each with the path of its setting.
    pub(super) fn guard_faults(&self) -> Vec<(String, String)> {
        let of_port = |port: Port<'_>| {
            let tls = port.tls.map(|tls| ("tls", tls.faults()));
            let auth = port.auth.map(|auth| ("auth", auth.faults()));
            let both = tls.into_iter().chain(auth);
            both.flat_map(move |(section, faults)| {
                faults.into_iter().map(move |(field, why)| {
                    let path = format!("{}.{section}.{field}", port.path);
                    (path.trim_end_matches('.').to_owned(), why)
                })
            })
        };
        self.ports().into_iter().flat_map(of_port).collect()
    }
}
