//! Settings of the Elasticsearch sink, and the sink built from them.

use super::bulk::BulkShape;
use super::nodes::Nodes;
use super::{Elasticsearch, FILTER, bulk_headers};
use crate::{BuildContext, Fault, Secret};
use elasticsearch::auth::Credentials;
use elasticsearch::cert::Certificate;
use elasticsearch::http::Url;
use elasticsearch::http::headers::HeaderValue;
use forebay_pipeline::deliver::{DeliveryConfig, Sink};
use forebay_pipeline::document::DocumentWriter;
use forebay_pipeline::units::Period;
use reqwest::Client;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Settings of the `elasticsearch` sink.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "ElasticsearchSink")]
pub struct Config {
    /// Base addresses of nodes of one cluster, used in turn; one that cannot be reached rests for a while. Default
    /// `http://localhost:9200`. No user or password in them: see `auth`. Everybody sets this.
    pub endpoints: Vec<String>,
    /// Who Forebay is to the cluster. Default: nobody, for a cluster without security.
    pub auth: Auth,
    /// How an `https` endpoint is verified. Default: by the well-known authorities.
    pub tls: Tls,
    /// `create` (default) never overwrites and is what data streams accept; a record that is there already counts as
    /// delivered. `index` overwrites: for indices whose documents other programs replace.
    pub op_type: OpType,
    /// Whether documents are stored under Forebay's ids. Default `true`: a retry stores nothing twice. `false` lets the
    /// cluster invent them, which indexes faster; a retry after a lost answer then stores twice.
    pub ids: bool,
    /// Compression of requests. Default `none`: within a rack, CPU is dearer than the network. `gzip` for metered or slow
    /// links.
    pub compression: Compression,
    /// Refuse to store into anything but a data stream. Default `false`; needs Elasticsearch 8.13. Turn it on where a
    /// missing template must not make plain indices.
    pub require_data_stream: bool,
    /// How long one request may take, answer included. Default `60s`, which is longer than a busy cluster takes for a
    /// bulk. A request that runs out of it is sent again.
    pub timeout: Period,
    /// The index templates that are installed at start.
    pub template: Box<Template>,
    /// How records reach it: batches, concurrency, retries.
    pub delivery: DeliveryConfig,
}

/// Credentials. At most one of user and key.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "ElasticsearchAuth")]
pub struct Auth {
    /// User of HTTP basic authentication. Default empty: no such authentication.
    pub username: String,
    /// The user's password.
    pub password: Secret,
    /// An API key in the encoded form in which Kibana shows it (base64 of `id:key`). Default empty: none.
    pub api_key: Secret,
}

/// Verification of an `https` endpoint.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "ElasticsearchTls")]
pub struct Tls {
    /// A PEM file with authorities to trust beside the well-known ones. Default: none. Set it for a cluster with a
    /// certificate of its own making, to the authority's file (Elasticsearch's own is `http_ca.crt`).
    pub ca_file: Option<PathBuf>,
    /// Trust any certificate. Default `false`. Only for trying things out: whoever answers gets the records.
    pub insecure_skip_verify: bool,
}

/// Operation of each document in a bulk request.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum OpType {
    #[default]
    Create,
    Index,
}

/// Compression of request bodies.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ElasticsearchCompression")]
pub enum Compression {
    #[default]
    None,
    Gzip,
}

/// The index template that Forebay installs at start, so that the first document of a day is mapped like the last.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "ElasticsearchTemplate")]
pub struct Template {
    /// Whether it is installed. Default `true`, which replaces a template of this name. `false` for those who keep
    /// templates elsewhere.
    pub install: bool,
    /// Its name. Default `forebay`.
    pub name: String,
    /// Index names that it applies to, with `*`. Default `project-ai-*`. Change it together with the routes.
    pub patterns: Vec<String>,
    /// Index names of traces, with `*`: they have a template of their own, `<name>-traces`. Default `project-ai-traces-*` where `patterns` is
    /// left at its default, else none: two templates of one rank for the same names are refused by the cluster. An empty list installs none.
    pub traces: Option<Vec<String>>,
    /// Index names of metrics, in the same way: `<name>-metrics`. Default `project-ai-metrics-*`, or none.
    pub metrics: Option<Vec<String>>,
    /// Which template wins where several apply: the highest; those of traces and metrics are one and two above. Default 200, above those that ship with Elasticsearch.
    pub priority: u32,
    /// How soon a stored document can be found. Default `30s`: refreshing is a large part of the cost of indexing. Shorter
    /// for those who watch searches live.
    pub refresh_interval: Period,
    /// Primary shards of each index. Default: the cluster's own (one).
    pub shards: Option<u32>,
    /// Copies of each shard. Default: the cluster's own (one).
    pub replicas: Option<u32>,
    /// Most fields of one index. Default 1000. Where the server can (Elasticsearch 8.14), fields beyond it are stored but
    /// not searchable; elsewhere their documents are refused.
    pub total_fields_limit: u32,
    /// Whether matching names are data streams. Default `false`: plain indices, named by the routes.
    pub data_stream: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoints: vec!["http://localhost:9200".to_owned()],
            auth: Auth::default(),
            tls: Tls::default(),
            op_type: OpType::default(),
            ids: true,
            compression: Compression::default(),
            require_data_stream: false,
            timeout: Period::secs(60),
            template: Box::default(),
            delivery: DeliveryConfig::default(),
        }
    }
}

/// The indices of the shipped routes, and which of them hold traces and metrics.
const PATTERN: &str = "project-ai-*";
const TRACES: &str = "project-ai-traces-*";
const METRICS: &str = "project-ai-metrics-*";

impl Template {
    /// Index names of traces, if they have a template of their own.
    pub(super) fn traces(&self) -> Vec<String> {
        self.patterns_of(self.traces.as_ref(), TRACES)
    }

    /// The same of metrics.
    pub(super) fn metrics(&self) -> Vec<String> {
        self.patterns_of(self.metrics.as_ref(), METRICS)
    }

    fn patterns_of(&self, named: Option<&Vec<String>>, shipped: &str) -> Vec<String> {
        match named {
            Some(patterns) => patterns.clone(),
            None if self.patterns == [PATTERN] => vec![shipped.to_owned()],
            None => Vec::new(),
        }
    }
}

impl Default for Template {
    fn default() -> Self {
        Self {
            install: true,
            name: "forebay".to_owned(),
            patterns: vec![PATTERN.to_owned()],
            traces: None,
            metrics: None,
            priority: 200,
            refresh_interval: Period::secs(30),
            shards: None,
            replicas: None,
            total_fields_limit: 1_000,
            data_stream: false,
        }
    }
}

impl Config {
    /// Whether this sink and another install different templates of one name on one cluster, as far as their endpoints tell.
    pub fn overwrites_template(&self, other: &Self) -> bool {
        let (own, others) = (&self.template, &other.template);
        let both = own.install && others.install && own.name == others.name;
        let urls = |config: &Self| -> Vec<Url> {
            config.endpoints.iter().filter_map(|endpoint| Url::parse(endpoint).ok()).collect()
        };
        both && own != others && urls(self).iter().any(|url| urls(other).contains(url))
    }

    pub(crate) fn build(&self, name: &str, context: &BuildContext) -> Result<Arc<dyn Sink>, Vec<Fault>> {
        let mut faults = Vec::new();
        if self.timeout.0.is_zero() {
            faults.push(Fault::new("timeout", "must be longer than 0s"));
        }
        if self.op_type == OpType::Index && self.writes_to_data_streams() {
            faults.push(Fault::new("op_type", "data streams take only `create`"));
        }
        self.check_template(&mut faults);
        let credentials = self.credentials(&mut faults);
        let authorities = self.authorities(&mut faults);
        let endpoints = self.endpoints(&mut faults);
        let client = client(self.tls.insecure_skip_verify, authorities.as_deref());
        let client = client.map_err(|error| faults.push(Fault::new("tls", error)));
        let (true, Ok(client)) = (faults.is_empty(), client) else { return Err(faults) };
        let gzip = self.compression == Compression::Gzip;
        let mut query = vec![("filter_path", FILTER)];
        if self.require_data_stream {
            query.push(("require_data_stream", "true"));
        }
        Ok(Arc::new(Elasticsearch {
            name: name.to_owned(),
            nodes: Nodes::new(endpoints, client, credentials, self.timeout.0),
            writer: DocumentWriter::new(&context.promote),
            shape: BulkShape::new(self.op_type, self.ids, gzip),
            headers: bulk_headers(gzip),
            query,
            template: Template::clone(&self.template),
            payloads: Arc::new(AtomicU64::new(1)),
        }))
    }

    fn writes_to_data_streams(&self) -> bool {
        self.require_data_stream || self.template.install && self.template.data_stream
    }

    fn check_template(&self, faults: &mut Vec<Fault>) {
        let Template { install, name, patterns, .. } = &*self.template;
        if !install {
            return;
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || !name.bytes().all(is_plain) {
            faults.push(Fault::new("template.name", "must be letters, digits, `-`, `_` and `.`"));
        }
        if patterns.is_empty() {
            faults.push(Fault::new(
                "template.patterns",
                "names no index; set `install: false` to install none",
            ));
        }
    }

    fn credentials(&self, faults: &mut Vec<Fault>) -> Option<Credentials> {
        let Auth { username, password, api_key } = &self.auth;
        if !username.is_empty() && !api_key.is_empty() {
            faults.push(Fault::new("auth.api_key", "a user and an API key are both given; keep one of them"));
        }
        match (username.is_empty(), password.is_empty()) {
            (false, true) if api_key.is_empty() => {
                faults.push(Fault::new("auth.password", "is missing, although there is a user"));
            }
            (true, false) => {
                faults.push(Fault::new("auth.username", "is missing, although there is a password"));
            }
            _ => {}
        }
        if HeaderValue::from_str(api_key.reveal()).is_err() {
            faults.push(Fault::new("auth.api_key", "holds characters that no HTTP header can hold"));
            return None;
        }
        if !api_key.is_empty() {
            return Some(Credentials::EncodedApiKey(api_key.reveal().to_owned()));
        }
        (!username.is_empty()).then(|| Credentials::Basic(username.clone(), password.reveal().to_owned()))
    }

    /// The authorities to trust beside the well-known ones, as PEM.
    fn authorities(&self, faults: &mut Vec<Fault>) -> Option<Vec<u8>> {
        let path = self.tls.ca_file.as_ref()?;
        let read = std::fs::read(path).map_err(|error| error.to_string());
        let pem = read.and_then(|pem| usable(&pem).map(|()| pem));
        pem.map_err(|error| faults.push(Fault::new("tls.ca_file", error))).ok()
    }

    fn endpoints(&self, faults: &mut Vec<Fault>) -> Vec<(String, Url)> {
        if self.endpoints.is_empty() {
            faults.push(Fault::new("endpoints", "at least one is needed"));
        }
        let mut endpoints = Vec::new();
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            match endpoint_url(endpoint) {
                Ok(url) => endpoints.push((endpoint.clone(), url)),
                Err(message) => faults.push(Fault::new(format!("endpoints[{at}]"), message)),
            }
        }
        endpoints
    }
}

/// What speaks to all nodes, and trusts these authorities (PEM) beside the well-known ones, or any if `trusts_all`.
fn client(trusts_all: bool, authorities: Option<&[u8]>) -> Result<Client, String> {
    // A proxy out of the environment would be a setting that nobody sees in the configuration.
    let mut builder = Client::builder().no_proxy().danger_accept_invalid_certs(trusts_all);
    if let Some(pem) = authorities {
        let certificates = Certificate::from_pem(pem).map_err(|error| error.to_string())?;
        builder = certificates.into_iter().fold(builder, |builder, one| builder.add_root_certificate(one));
    }
    builder.build().map_err(|error| error.to_string())
}

/// Whether TLS can be had with these authorities: what is between the lines of PEM is first read when a client is made.
fn usable(pem: &[u8]) -> Result<(), String> {
    Certificate::from_pem(pem).map_err(|error| error.to_string())?;
    client(false, Some(pem)).map(drop).map_err(|_| "holds a certificate that cannot be read".to_owned())
}

fn endpoint_url(endpoint: &str) -> Result<Url, String> {
    let url = Url::parse(endpoint).map_err(|error| format!("not an address: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must begin with http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("put user and password under `auth`".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not have a query or a fragment".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn faults(json: &str) -> Vec<String> {
        let config: Config = serde_json::from_str(json).unwrap();
        let built = config.build("es", &BuildContext::default());
        built.map_or_else(|faults| faults.into_iter().map(|fault| fault.path).collect(), |_| Vec::new())
    }

    #[test]
    fn the_defaults_build() {
        assert_eq!(faults("{}"), [""; 0]);
        assert_eq!(
            faults(r#"{"auth":{"username":""},"endpoints":["http://a:9200/prefix","http://b"]}"#),
            [""; 0]
        );
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let json = r#"{
            "endpoints": ["http://ok:9200", "ftp://a", "http://u:p@a", "nonsense"],
            "auth": {"username": "elastic", "api_key": "x"},
            "tls": {"ca_file": "/does/not/exist"},
            "timeout": "0s",
            "template": {"name": "a/b", "patterns": []}
        }"#;
        let expected = [
            "timeout",
            "template.name",
            "template.patterns",
            "auth.api_key",
            "tls.ca_file",
            "endpoints[1]",
            "endpoints[2]",
            "endpoints[3]",
        ];
        assert_eq!(faults(json), expected);
        assert_eq!(faults(r#"{"endpoints":[]}"#), ["endpoints"]);
    }

    #[test]
    fn an_authority_that_is_none_is_a_fault_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.crt");
        for text in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&file, text).unwrap();
            let json = serde_json::json!({"tls": {"ca_file": file}, "endpoints": ["https://a:9200"]});
            assert_eq!(faults(&json.to_string()), ["tls.ca_file"], "{text:?}");
        }
    }

    #[test]
    fn a_user_and_a_password_come_together() {
        assert_eq!(faults(r#"{"auth":{"username":"u"}}"#), ["auth.password"]);
        assert_eq!(faults(r#"{"auth":{"password":"p"}}"#), ["auth.username"]);
        assert_eq!(faults(r#"{"auth":{"password":"p","api_key":"k"}}"#), ["auth.username"]);
        for good in [r#"{"auth":{"username":"u","password":"p"}}"#, r#"{"auth":{"api_key":"k"}}"#] {
            assert_eq!(faults(good), [""; 0]);
        }
    }

    #[test]
    fn secrets_do_not_appear_in_what_is_printed() {
        let config: Config =
            serde_json::from_str(r#"{"auth":{"username":"u","password":"hunter2"}}"#).unwrap();
        let sink = config.build("es", &BuildContext::default()).unwrap();
        assert!(!format!("{config:?}{sink:?}").contains("hunter2"));
    }
}
