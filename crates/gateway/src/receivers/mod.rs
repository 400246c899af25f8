//! Receivers: what listens, how it reads a request within bounds, and what it answers. One file for each; `listener` has the
//! connections, `endpoint` what they do alike, `answer` the table of answers.

mod ahead;
mod answer;
mod auth;
mod beats;
mod buffer;
mod caller;
mod elasticsearch;
mod endpoint;
mod gather;
mod handler;
mod http_connection;
mod inflate;
mod json_http;
mod linger;
mod listener;
mod mapped;
mod otlp;
mod otlp_grpc;
mod otlp_http;
mod overhead;
mod ports;
mod read;
mod reply;
mod status;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod watch;

use beats::Beats;
use elasticsearch::Elasticsearch;
use endpoint::{Bounds, Endpoint};
use forebay_pipeline::admit::{Acknowledge, Intake};
use forebay_pipeline::budget::Budget;
use forebay_pipeline::ledger::Ledger;
use forebay_pipeline::rules::JsonRules;
use handler::{Handler, Swap};
use http_connection::Protocol;
use json_http::JsonHttp;
use listener::{Listener, Signals};
use otlp_grpc::OtlpGrpc;
use otlp_http::OtlpHttp;
use parking_lot::RwLock;
use ports::Port;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tls::config::ClientAuth;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

pub use auth::Gate;
pub use beats::BeatsConfig;
pub use elasticsearch::ElasticsearchConfig;
pub use json_http::JsonConfig;
pub use listener::{BindError, ConnectionConfig, Connections};
pub use otlp::OtlpConfig;
pub use overhead::Overhead;
pub use tls::Tls;
pub use watch::Look;

/// The largest `max_request_bytes`. An index of records counts in 32 bits.
const MAX_REQUEST_BYTES: u64 = 1 << 30;
/// How long clients that are told to try again, at the end of the drain, may take to hear it.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);
/// How long connections that were cut may take to notice.
const CUT_WITHIN: Duration = Duration::from_secs(1);

const OTLP_GRPC: &str = "otlp_grpc";
const OTLP_HTTP: &str = "otlp_http";
const JSON: &str = "json";
const BEATS: &str = "beats";
const ELASTICSEARCH: &str = "elasticsearch";

/// What is listened to. Without this section: OTLP (gRPC and HTTP) and JSON on 127.0.0.1. With it: what it names, and
/// nothing else.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Receivers {
    /// OTLP logs, over gRPC and over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otlp: Option<OtlpConfig>,
    /// JSON logs over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonConfig>,
    /// Events of Beats (Filebeat, Winlogbeat and others), and of Logstash's `lumberjack` output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beats: Option<BeatsConfig>,
    /// `_bulk` of Elasticsearch, and what agents ask before they use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elasticsearch: Option<ElasticsearchConfig>,
}

impl Default for Receivers {
    fn default() -> Self {
        let (otlp, json) = (Some(OtlpConfig::default()), Some(JsonConfig::default()));
        Self { otlp, json, beats: None, elasticsearch: None }
    }
}

impl Receivers {
    /// The receivers whose clients are answered when their records are on disk, by the path of the setting that says so, seen from
    /// here; `None` where it is the default, `acknowledge`.
    pub fn durable(&self, acknowledge: Acknowledge) -> Vec<Option<&'static str>> {
        let own = [
            self.otlp.as_ref().map(|otlp| ("otlp.acknowledge", otlp.acknowledge)),
            self.json.as_ref().map(|json| ("json.acknowledge", json.acknowledge)),
            self.beats.as_ref().map(|beats| ("beats.acknowledge", beats.acknowledge)),
            self.elasticsearch.as_ref().map(|bulk| ("elasticsearch.acknowledge", bulk.acknowledge)),
        ];
        own.into_iter()
            .flatten()
            .filter(|(_, own)| own.unwrap_or(acknowledge) == Acknowledge::Durable)
            .map(|(path, own)| own.map(|_| path))
            .collect()
    }

    /// What is listened to, how connections are bounded, and TLS: what only a restart can change.
    pub fn listening(&self) -> serde_json::Value {
        serde_json::json!(self.ports())
    }

    /// How each receiver of JSON reads it, by receiver.
    pub fn json_rules(&self) -> BTreeMap<String, JsonRules> {
        let json = self.json.iter().map(|json| (JSON.to_owned(), json.rules()));
        let beats = self.beats.iter().map(|beats| (BEATS.to_owned(), beats.rules()));
        let bulk = self.elasticsearch.iter().map(|bulk| (ELASTICSEARCH.to_owned(), bulk.rules()));
        json.chain(beats).chain(bulk).collect()
    }

    /// What a schema cannot say: each fault with the path of its setting, seen from here.
    pub fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        if let Some(otlp) = &self.otlp {
            if otlp.grpc.is_none() && otlp.http.is_none() {
                faults.push(("otlp".to_owned(), "name `grpc` or `http`, else nothing listens".to_owned()));
            }
            faults.extend(bounds_faults("otlp", &otlp.bounds(Acknowledge::default())));
        }
        if let Some(json) = &self.json {
            faults.extend(bounds_faults(JSON, &json.bounds(Acknowledge::default())));
            if !json.path.starts_with('/') {
                faults.push(("json.path".to_owned(), "a path begins with `/`".to_owned()));
            }
            if let Err(message) = json.zone() {
                faults.push(("json.timezone".to_owned(), message));
            }
        }
        if let Some(beats) = &self.beats {
            faults.extend(bounds_faults(BEATS, &beats.bounds(Acknowledge::default())));
            if let Err(message) = beats.zone() {
                faults.push(("beats.timezone".to_owned(), message));
            }
        }
        if let Some(bulk) = &self.elasticsearch {
            faults.extend(bounds_faults(ELASTICSEARCH, &bulk.bounds(Acknowledge::default())));
            if let Err(message) = bulk.zone() {
                faults.push(("elasticsearch.timezone".to_owned(), message));
            }
            if !bulk.has_version() {
                faults
                    .push(("elasticsearch.version".to_owned(), "three numbers, such as `8.19.0`".to_owned()));
            }
        }
        faults.extend(self.guard_faults());
        faults
    }
}

fn bounds_faults(receiver: &str, bounds: &Bounds) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    let mut fault =
        |field: &str, message: &str| faults.push((format!("{receiver}.{field}"), message.to_owned()));
    if bounds.max_bytes == 0 || bounds.max_bytes as u64 > MAX_REQUEST_BYTES {
        fault("max_request_bytes", "must be from 1 to 1GiB");
    }
    if bounds.ack_timeout.is_zero() {
        let field = if receiver == BEATS { "hold_max" } else { "ack_timeout" };
        fault(field, "with no time to deliver, every request would fail");
    }
    if bounds.body_timeout.is_zero() {
        fault("body_timeout", "with no time to arrive, every request would fail");
    }
    faults
}

/// Receivers that are listening.
#[derive(Debug)]
pub struct Started {
    pub otlp_grpc: Option<SocketAddr>,
    pub otlp_http: Option<SocketAddr>,
    pub json: Option<SocketAddr>,
    pub beats: Option<SocketAddr>,
    pub elasticsearch: Option<SocketAddr>,
    connections: Vec<Connections>,
    overhead: Arc<Overhead>,
    handlers: Handlers,
    health: HealthReporter,
    /// Requests under way are refused.
    ending: CancellationToken,
    cut: CancellationToken,
}

/// What answers on each address.
#[derive(Debug)]
struct Handlers {
    otlp_grpc: Option<Arc<Swap<OtlpGrpc>>>,
    otlp_http: Option<Arc<Swap<OtlpHttp>>>,
    json: Option<Arc<Swap<JsonHttp>>>,
    beats: Option<Arc<RwLock<Arc<Endpoint>>>>,
    elasticsearch: Option<Arc<Swap<Elasticsearch>>>,
}

/// Where handlers admit to and keep their books.
#[derive(Debug)]
struct House<'h> {
    config: &'h Receivers,
    /// For receivers that say nothing of it.
    acknowledge: Acknowledge,
    intake: &'h Arc<Intake>,
    ledger: &'h Ledger,
    ending: &'h CancellationToken,
}

impl House<'_> {
    fn endpoint(&self, name: &str, bounds: Bounds) -> Endpoint {
        Endpoint::new(Arc::clone(self.intake), self.ledger.door(name), bounds, self.ending.clone())
    }

    fn otlp_grpc(&self, health: &HealthReporter) -> Option<OtlpGrpc> {
        let otlp = self.config.otlp.as_ref().filter(|otlp| otlp.grpc.is_some())?;
        let health = HealthServer::new(HealthService::from_health_reporter(health.clone()));
        let endpoint = self.endpoint(OTLP_GRPC, otlp.bounds(self.acknowledge));
        Some(OtlpGrpc { endpoint, ids: otlp.ids, health })
    }

    fn otlp_http(&self) -> Option<OtlpHttp> {
        let otlp = self.config.otlp.as_ref().filter(|otlp| otlp.http.is_some())?;
        let endpoint = self.endpoint(OTLP_HTTP, otlp.bounds(self.acknowledge));
        Some(OtlpHttp { endpoint, ids: otlp.ids })
    }

    fn json(&self) -> Option<JsonHttp> {
        let json = self.config.json.as_ref()?;
        Some(JsonHttp::new(self.endpoint(JSON, json.bounds(self.acknowledge)), json))
    }

    /// A handler that answers those who may send.
    fn behind_gate<H: Handler>(
        &self,
        receiver: &'static str,
        handler: Option<H>,
    ) -> Result<Option<Arc<Swap<H>>>, BindError> {
        let (Some(handler), Some(port)) = (handler, self.config.port(receiver)) else { return Ok(None) };
        let takes_certificates = port.tls.is_some_and(|tls| tls.client_auth == ClientAuth::Optional);
        let gate = Gate::open(receiver, takes_certificates);
        match gate.adopt(port.auth) {
            Ok(()) => Ok(Some(Swap::new(handler, gate))),
            Err(faults) => Err(BindError::unusable(receiver, port.listen, "auth", &faults)),
        }
    }

    fn beats(&self) -> Option<Arc<Endpoint>> {
        let beats = self.config.beats.as_ref()?;
        Some(Arc::new(self.endpoint(BEATS, beats.bounds(self.acknowledge))))
    }

    fn elasticsearch(&self) -> Option<Elasticsearch> {
        let bulk = self.config.elasticsearch.as_ref()?;
        Some(Elasticsearch::new(self.endpoint(ELASTICSEARCH, bulk.bounds(self.acknowledge)), bulk))
    }
}

/// Binds every receiver of `config`, then serves them until `shutdown`. `acknowledge` is for those that say nothing of it;
/// `connections` is the budget for what connections take beside payloads.
///
/// # Errors
/// The first address that could not be bound. Then nothing is served.
pub async fn start(
    config: &Receivers,
    acknowledge: Acknowledge,
    intake: Arc<Intake>,
    ledger: &Ledger,
    connections: Arc<Budget>,
    shutdown: CancellationToken,
) -> Result<Started, BindError> {
    let otlp = config.otlp.as_ref();
    let grpc = otlp.and_then(|otlp| otlp.grpc.as_ref().map(|grpc| (otlp, grpc)));
    let http = otlp.and_then(|otlp| otlp.http.as_ref().map(|http| (otlp, http)));
    let grpc_listener = bind(config.port(OTLP_GRPC), Protocol::Http2.names()).await?;
    let http_listener = bind(config.port(OTLP_HTTP), Protocol::Http.names()).await?;
    let json_listener = bind(config.port(JSON), Protocol::Http.names()).await?;
    let beats_listener = bind(config.port(BEATS), &[]).await?;
    let bulk_listener = bind(config.port(ELASTICSEARCH), Protocol::Http.names()).await?;

    let signals = Signals { closing: shutdown, cut: CancellationToken::new() };
    let overhead = Overhead::new(connections);
    let ending = CancellationToken::new();
    let house = House { config, acknowledge, intake: &intake, ledger, ending: &ending };
    let health = HealthReporter::new();
    let handlers = Handlers {
        otlp_grpc: house.behind_gate(OTLP_GRPC, house.otlp_grpc(&health))?,
        otlp_http: house.behind_gate(OTLP_HTTP, house.otlp_http())?,
        json: house.behind_gate(JSON, house.json())?,
        beats: house.beats().map(|endpoint| Arc::new(RwLock::new(endpoint))),
        elasticsearch: house.behind_gate(ELASTICSEARCH, house.elasticsearch())?,
    };
    let mut started = Started {
        otlp_grpc: grpc_listener.as_ref().map(|listener| listener.address),
        otlp_http: http_listener.as_ref().map(|listener| listener.address),
        json: json_listener.as_ref().map(|listener| listener.address),
        beats: beats_listener.as_ref().map(|listener| listener.address),
        elasticsearch: bulk_listener.as_ref().map(|listener| listener.address),
        connections: Vec::new(),
        overhead: Arc::clone(&overhead),
        handlers,
        health,
        ending,
        cut: signals.cut.clone(),
    };
    let bounds =
        |connections: &ConnectionConfig| (connections.clone(), Arc::clone(&overhead), signals.clone());
    let Handlers { otlp_grpc, otlp_http, json, beats, elasticsearch } = &started.handlers;
    if let (Some((_, grpc)), Some(listener), Some(handler)) = (grpc, grpc_listener, otlp_grpc) {
        let (config, overhead, signals) = bounds(&grpc.connections);
        let handler = Arc::clone(handler);
        started.connections.push(listener.serve_http(Protocol::Http2, config, overhead, handler, signals));
    }
    if let (Some((_, http)), Some(listener), Some(handler)) = (http, http_listener, otlp_http) {
        let (config, overhead, signals) = bounds(&http.connections);
        let handler = Arc::clone(handler);
        started.connections.push(listener.serve_http(Protocol::Http, config, overhead, handler, signals));
    }
    if let (Some(settings), Some(listener), Some(handler)) = (&config.json, json_listener, json) {
        let (config, overhead, signals) = bounds(&settings.connections);
        let handler = Arc::clone(handler);
        started.connections.push(listener.serve_http(Protocol::Http, config, overhead, handler, signals));
    }
    if let (Some(settings), Some(listener), Some(endpoint)) = (&config.beats, beats_listener, beats) {
        let (config, overhead, signals) = bounds(&settings.connections);
        let beats = Beats { endpoint: Arc::clone(endpoint), config, overhead, signals };
        started.connections.push(listener.serve(beats));
    }
    if let (Some(settings), Some(listener), Some(handler)) =
        (&config.elasticsearch, bulk_listener, elasticsearch)
    {
        let (config, overhead, signals) = bounds(&settings.connections);
        let handler = Arc::clone(handler);
        started.connections.push(listener.serve_http(Protocol::Http, config, overhead, handler, signals));
    }
    Ok(started)
}

async fn bind(port: Option<Port<'_>>, protocols: &[&[u8]]) -> Result<Option<Listener>, BindError> {
    match port {
        None => Ok(None),
        Some(port) => Listener::bind(port.receiver, port.listen, port.tls, protocols).await.map(Some),
    }
}

impl Started {
    /// Has requests from now on answered as `config` says; those under way are finished as they began. Addresses and bounds on
    /// connections stay.
    pub fn adopt(&self, config: &Receivers, acknowledge: Acknowledge, intake: &Arc<Intake>, ledger: &Ledger) {
        let house = House { config, acknowledge, intake, ledger, ending: &self.ending };
        for connections in &self.connections {
            let Some(gate) = &connections.gate else { continue };
            let auth = config.port(connections.receiver).and_then(|port| port.auth);
            for (setting, reason) in gate.adopt(auth).err().into_iter().flatten() {
                let receiver = connections.receiver;
                tracing::error!(receiver, setting, reason, "secrets could not be read; those of before stay");
            }
        }
        if let (Some(swap), Some(handler)) = (&self.handlers.otlp_grpc, house.otlp_grpc(&self.health)) {
            swap.put(handler);
        }
        if let (Some(swap), Some(handler)) = (&self.handlers.otlp_http, house.otlp_http()) {
            swap.put(handler);
        }
        if let (Some(swap), Some(handler)) = (&self.handlers.json, house.json()) {
            swap.put(handler);
        }
        if let (Some(endpoint), Some(new)) = (&self.handlers.beats, house.beats()) {
            *endpoint.write() = new;
        }
        if let (Some(swap), Some(handler)) = (&self.handlers.elasticsearch, house.elasticsearch()) {
            swap.put(handler);
        }
    }

    /// Takes on files of certificates and secrets that have changed.
    pub fn look(&self, look: Look) {
        for connections in &self.connections {
            if let Some(tls) = &connections.tls {
                tls.look(look);
            }
            if let Some(gate) = &connections.gate {
                gate.look(look);
            }
        }
    }

    /// The connections of each listener.
    pub fn connections(&self) -> &[Connections] {
        &self.connections
    }

    /// What all connections take beside payloads.
    pub fn overhead(&self) -> &Arc<Overhead> {
        &self.overhead
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
        self.connections.iter().map(Connections::open).sum()
    }

    async fn ended(&self) {
        for connections in &self.connections {
            connections.ended().await;
        }
    }
}

impl fmt::Display for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = [
            (OTLP_GRPC, self.otlp_grpc),
            (OTLP_HTTP, self.otlp_http),
            (JSON, self.json),
            (BEATS, self.beats),
            (ELASTICSEARCH, self.elasticsearch),
        ];
        let mut separator = "";
        for (name, address) in addresses {
            if let Some(address) = address {
                write!(f, "{separator}{name} {address}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}
