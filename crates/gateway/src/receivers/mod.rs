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
mod gather;
mod handler;
mod house;
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
mod started;
mod status;
mod stream;
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
pub use json_http::JsonConfig;
pub use listener::{BindError, Connections};
pub use otlp::OtlpConfig;
pub use overhead::Overhead;
pub use started::{Started, start};
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

    /// The ports of all receivers that there are.
    pub fn ports(&self) -> Vec<Port<'_>> {
        let otlp = self.otlp.as_ref();
        let ports = [
            otlp.and_then(OtlpConfig::grpc_port),
            otlp.and_then(OtlpConfig::http_port),
            self.json.as_ref().map(JsonConfig::port),
            self.beats.as_ref().map(BeatsConfig::port),
            self.elasticsearch.as_ref().map(ElasticsearchConfig::port),
        ];
        ports.into_iter().flatten().collect()
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

/// Binds every receiver that the configuration names.
async fn bind_all(binding: &Binding<'_>, health: HealthReporter) -> Result<Vec<Bound>, BindError> {
    let bound = [
        binding.http(OTLP_GRPC, Protocol::Http2, move |house| house.otlp_grpc(&health)).await?,
        binding.http(OTLP_HTTP, Protocol::Http, |house| house.otlp_http()).await?,
        binding.http(JSON, Protocol::Http, |house| house.json()).await?,
        binding.beats().await?,
        binding.http(ELASTICSEARCH, Protocol::Http, |house| house.elasticsearch()).await?,
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
        let field = if receiver == BEATS { "hold_max" } else { "ack_timeout" };
        fault(field, "with no time to deliver, every request would fail");
    }
    if bounds.body_timeout.is_zero() {
        fault("body_timeout", "with no time to arrive, every request would fail");
    }
    faults
}
