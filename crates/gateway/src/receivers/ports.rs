//! What the settings of every receiver have alike: where it listens, to how many, and whom it lets in.

use super::auth::AuthConfig;
use super::listener::ConnectionConfig;
use super::tls::TlsConfig;
use super::{BEATS, ELASTICSEARCH, JSON, OTLP_GRPC, OTLP_HTTP, Receivers};
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
    /// The ports of all receivers that there are.
    pub fn ports(&self) -> Vec<Port<'_>> {
        let mut ports = Vec::new();
        if let Some(grpc) = self.otlp.as_ref().and_then(|otlp| otlp.grpc.as_ref()) {
            let (tls, auth) = (grpc.tls.as_ref(), grpc.auth.as_ref());
            let (path, listen, connections) = ("otlp.grpc", grpc.listen, &grpc.connections);
            ports.push(Port { receiver: OTLP_GRPC, path, listen, connections, tls, auth });
        }
        if let Some(http) = self.otlp.as_ref().and_then(|otlp| otlp.http.as_ref()) {
            let (tls, auth) = (http.tls.as_ref(), http.auth.as_ref());
            let (path, listen, connections) = ("otlp.http", http.listen, &http.connections);
            ports.push(Port { receiver: OTLP_HTTP, path, listen, connections, tls, auth });
        }
        if let Some(json) = &self.json {
            let (tls, auth) = (json.tls.as_ref(), json.auth.as_ref());
            let (path, listen, connections) = ("json", json.listen, &json.connections);
            ports.push(Port { receiver: JSON, path, listen, connections, tls, auth });
        }
        if let Some(beats) = &self.beats {
            let (path, listen, connections) = ("beats", beats.listen, &beats.connections);
            let tls = beats.tls.as_ref();
            ports.push(Port { receiver: BEATS, path, listen, connections, tls, auth: None });
        }
        if let Some(bulk) = &self.elasticsearch {
            let (tls, auth) = (bulk.tls.as_ref(), bulk.auth.as_ref());
            let (path, listen, connections) = ("elasticsearch", bulk.listen, &bulk.connections);
            ports.push(Port { receiver: ELASTICSEARCH, path, listen, connections, tls, auth });
        }
        ports
    }

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
