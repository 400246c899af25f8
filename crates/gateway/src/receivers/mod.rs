//! Receivers: what listens, how it reads a request within bounds, and what it answers. One file for each; `started` binds and serves
//! them, `house` makes what answers, `listener` has the connections, `endpoint` what they do alike, `answer` the table of answers.

mod ahead;
mod answer;
mod auth;
mod beats;
mod buffer;
mod caller;
mod elasticsearch;
mod endpoint;
mod forward;
mod gather;
mod handler;
mod house;
mod http_connection;
mod inflate;
mod inflate_zstd;
mod json_http;
mod lines;
mod linger;
mod listener;
mod loki;
mod mapped;
mod otlp;
mod otlp_grpc;
mod otlp_http;
mod overhead;
mod ports;
mod read;
mod remote_write;
mod reply;
mod started;
mod status;
mod stream;
mod syslog;
mod tcp;
mod tenants;
#[cfg(test)]
mod tests;
mod tls;
mod watch;

use endpoint::Bounds;
use forebay_pipeline::admit::Acknowledge;
use forebay_pipeline::rules::JsonRules;
use http_connection::Protocol;
use ports::Port;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use started::{Binding, Bound};
use std::collections::BTreeMap;
use tonic_health::server::HealthReporter;

pub use auth::Gate;
pub use beats::BeatsConfig;
pub use elasticsearch::ElasticsearchConfig;
pub use forward::ForwardConfig;
pub use json_http::JsonConfig;
pub use listener::{BindError, Connections};
pub use loki::LokiConfig;
pub use otlp::OtlpConfig;
pub use overhead::Overhead;
pub use remote_write::RemoteWriteConfig;
pub use started::{Started, start};
pub use syslog::SyslogConfig;
pub use tcp::TcpConfig;
pub use tenants::{Tenants, TenantsConfig};
pub use tls::Tls;
pub use watch::Look;

/// The largest `max_request_bytes`. An index of records counts in 32 bits.
const MAX_REQUEST_BYTES: u64 = 1 << 30;

const OTLP_GRPC: &str = "otlp_grpc";
const OTLP_HTTP: &str = "otlp_http";
const JSON: &str = "json";
const BEATS: &str = "beats";
const ELASTICSEARCH: &str = "elasticsearch";
const REMOTE_WRITE: &str = "remote_write";
const FORWARD: &str = "forward";
const TCP: &str = "tcp";
const SYSLOG: &str = "syslog";
const LOKI: &str = "loki";

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
    /// Samples of Prometheus and of whatever else speaks its remote-write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_write: Option<RemoteWriteConfig>,
    /// Events of Fluentd and Fluent Bit: their `forward` output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward: Option<ForwardConfig>,
    /// JSON logs over TCP, one object a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpConfig>,
    /// Messages of syslog over TCP and TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syslog: Option<SyslogConfig>,
    /// Logs pushed as to Loki.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loki: Option<LokiConfig>,
}

impl Default for Receivers {
    fn default() -> Self {
        let (otlp, json) = (Some(OtlpConfig::default()), Some(JsonConfig::default()));
        Self {
            otlp,
            json,
            beats: None,
            elasticsearch: None,
            remote_write: None,
            forward: None,
            tcp: None,
            syslog: None,
            loki: None,
        }
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
            self.remote_write.as_ref().map(|write| ("remote_write.acknowledge", write.acknowledge)),
            self.forward.as_ref().map(|forward| ("forward.acknowledge", forward.acknowledge)),
            self.tcp.as_ref().map(|tcp| ("tcp.acknowledge", Some(tcp.acknowledge.admission()))),
            self.syslog.as_ref().map(|syslog| ("syslog.acknowledge", Some(syslog.acknowledge.admission()))),
            self.loki.as_ref().map(|loki| ("loki.acknowledge", loki.acknowledge)),
        ];
        own.into_iter()
            .flatten()
            .filter(|(_, own)| own.unwrap_or(acknowledge) == Acknowledge::Durable)
            .map(|(path, own)| own.map(|_| path))
            .collect()
    }

    /// The ports of all receivers that there are.
    pub fn ports(&self) -> Vec<Port<'_>> {
        let otlp = self.otlp.as_ref();
        let ports = [
            otlp.and_then(OtlpConfig::grpc_port),
            otlp.and_then(OtlpConfig::http_port),
            self.json.as_ref().map(JsonConfig::port),
            self.beats.as_ref().map(BeatsConfig::port),
            self.elasticsearch.as_ref().map(ElasticsearchConfig::port),
            self.remote_write.as_ref().map(RemoteWriteConfig::port),
            self.forward.as_ref().map(ForwardConfig::port),
            self.tcp.as_ref().map(TcpConfig::port),
            self.syslog.as_ref().map(SyslogConfig::port),
            self.loki.as_ref().map(LokiConfig::port),
        ];
        ports.into_iter().flatten().collect()
    }

    /// What is listened to, how connections are bounded, and TLS: what only a restart can change, by the path of the port's settings.
    pub fn listening(&self) -> serde_json::Value {
        let ports = self.ports().into_iter();
        ports
            .map(|port| (port.path.to_owned(), serde_json::json!(port)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    /// How each receiver of JSON reads it, by receiver.
    pub fn json_rules(&self) -> BTreeMap<String, JsonRules> {
        let json = self.json.iter().map(|json| (JSON.to_owned(), json.rules()));
        let beats = self.beats.iter().map(|beats| (BEATS.to_owned(), beats.rules()));
        let bulk = self.elasticsearch.iter().map(|bulk| (ELASTICSEARCH.to_owned(), bulk.rules()));
        let tcp = self.tcp.iter().map(|tcp| (TCP.to_owned(), tcp.rules()));
        let syslog = self.syslog.iter().map(|syslog| (SYSLOG.to_owned(), syslog.rules()));
        json.chain(beats).chain(bulk).chain(tcp).chain(syslog).collect()
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
        if let Some(write) = &self.remote_write {
            faults.extend(bounds_faults(REMOTE_WRITE, &write.bounds(Acknowledge::default())));
            if !write.path.starts_with('/') {
                faults.push(("remote_write.path".to_owned(), "a path begins with `/`".to_owned()));
            }
        }
        if let Some(forward) = &self.forward {
            faults.extend(bounds_faults(FORWARD, &forward.bounds(Acknowledge::default())));
            faults.extend(forward.auth_faults());
        }
        if let Some(tcp) = &self.tcp {
            faults.extend(tcp.faults());
        }
        if let Some(syslog) = &self.syslog {
            faults.extend(syslog.faults());
        }
        if let Some(loki) = &self.loki {
            faults.extend(bounds_faults(LOKI, &loki.bounds(Acknowledge::default())));
        }
        faults.extend(self.guard_faults());
        faults
    }
}

/// Binds every receiver that the configuration names.
async fn bind_all(binding: &Binding<'_>, health: HealthReporter) -> Result<Vec<Bound>, BindError> {
    let bound = [
        binding.http(OTLP_GRPC, Protocol::Http2, move |house| house.otlp_grpc(&health)).await?,
        binding.http(OTLP_HTTP, Protocol::Http, |house| house.otlp_http()).await?,
        binding.http(JSON, Protocol::Http, |house| house.json()).await?,
        binding.beats().await?,
        binding.http(ELASTICSEARCH, Protocol::Http, |house| house.elasticsearch()).await?,
        binding.http(REMOTE_WRITE, Protocol::Http, |house| house.remote_write()).await?,
        binding.forward().await?,
        binding.lines(TCP, |house| house.tcp()).await?,
        binding.lines(SYSLOG, |house| house.syslog()).await?,
        binding.http(LOKI, Protocol::Http, |house| house.loki()).await?,
    ];
    Ok(bound.into_iter().flatten().collect())
}

fn bounds_faults(receiver: &str, bounds: &Bounds) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    let mut fault =
        |field: &str, message: &str| faults.push((format!("{receiver}.{field}"), message.to_owned()));
    if bounds.max_bytes == 0 || bounds.max_bytes as u64 > MAX_REQUEST_BYTES {
        fault("max_request_bytes", "must be from 1 to 1GiB");
    }
    if bounds.ack_timeout.is_zero() {
        let field = if matches!(receiver, BEATS | FORWARD) { "hold_max" } else { "ack_timeout" };
        fault(field, "with no time to deliver, every request would fail");
    }
    if bounds.body_timeout.is_zero() {
        fault("body_timeout", "with no time to arrive, every request would fail");
    }
    faults
}
