//! What can be configured: the file as a whole. Each component's settings live beside the component.

mod checks;
mod places;
#[cfg(test)]
mod tests;

use crate::receivers::Receivers;
use forebay_pipeline::Signal;
use forebay_pipeline::admit::Acknowledge;
use forebay_pipeline::dead_letter::DeadLetterConfig;
use forebay_pipeline::journal::JournalConfig;
use forebay_pipeline::route::{Mode, RouteConfig, Scalar, When};
use forebay_pipeline::rules::RulesConfig;
use forebay_pipeline::units::{ByteSize, Period};
use forebay_pipeline::wire::Limits;
use forebay_sinks::SinkConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The configuration of one Forebay. An empty file is a working default: OTLP and JSON on the loopback address, files in
/// `./forebay-data`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What is listened to. Default: OTLP (gRPC and HTTP) and JSON on 127.0.0.1.
    pub receivers: Receivers,
    /// Where records can be sent, by a name of your choice. Default: `files`, NDJSON files in `./forebay-data`.
    pub sinks: BTreeMap<String, SinkConfig>,
    /// Which records go where, in order. Default: the indices of the document model, all to the first sink of the file in
    /// alphabetical order.
    pub routes: Vec<RouteConfig>,
    /// Whether a record takes the first route that matches or all that do.
    pub route_mode: Mode,
    /// How records become documents.
    pub documents: DocumentSettings,
    /// What a client's answer waits for, where its receiver says nothing else.
    pub acknowledge: Acknowledge,
    /// The disk journal. Needed for `acknowledge: durable`, and used by nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalConfig>,
    /// Where records are kept that a sink refuses for good.
    pub dead_letters: DeadLetterConfig,
    /// Bounds on memory and on single requests.
    pub limits: LimitSettings,
    /// Whose records they are, and how fast each tenant may send. Default: nobody is told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenants: Option<crate::receivers::TenantsConfig>,
    /// The port for probes and metrics.
    pub admin: AdminSettings,
    /// Whether a changed file is taken on without a signal.
    pub reload: ReloadSettings,
    /// How the process ends.
    pub drain: DrainSettings,
    /// Threads.
    pub runtime: RuntimeSettings,
    /// Forebay's own log.
    pub log: LogSettings,
}

/// How records become documents.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DocumentSettings {
    /// Resource attributes that also appear at top level of a document, where the record has none of that name.
    pub promote: Vec<String>,
    /// An event older than this on arrival goes to the destination of its arrival day, so that wild clocks do not make an
    /// index for every day of the past. It keeps its own time, and is counted.
    pub max_event_age: Period,
    /// The same for events from the future.
    pub max_event_lead: Period,
}

/// Bounds on memory and on single requests.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// What payloads and connections take in memory together. Three quarters are for payloads: request bodies with their indexes, inflation,
    /// batches on their way. Requests over it are refused and may be sent again; one that alone needs more is refused for good. Batches of what
    /// was taken already may exceed it, by each sink's `concurrency.max` times `batch.max_bytes` at most, or by documents that are larger
    /// than a batch. One quarter is for connections: 2 KiB for one that is silent, 34 to 82 KiB for HTTP/1.1, 114 KiB to 2 MiB for HTTP/2 and 8 KiB for
    /// each of its calls, 146 KiB for Beats, 176 KiB for Fluent Forward, 80 KiB for lines over TCP and syslog. What finds no room there is told to come back.
    /// Default: 40 % of the container's memory limit, or of the machine's memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Most records in one request. A larger one is refused for good. Default: 1000000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16_000_000))]
    pub max_records_per_request: Option<u32>,
    /// Largest single record. A larger one is refused for good. Default: 16MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_record_size: Option<ByteSize>,
}

/// The port for probes and metrics.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminSettings {
    /// Address and port of `/livez`, `/readyz`, `/startupz` and `/metrics`. It has no authentication: keep it off public networks.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
}

/// Whether a changed configuration is taken on without a signal. SIGHUP always does it. A file with a fault, or that changes what
/// only a restart can change (addresses, `journal` but for `journal.abandon`, `dead_letters`, `limits.memory`, `admin`, `runtime`, `log`), changes
/// nothing, and the log says why.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReloadSettings {
    /// Whether the file is looked at again and again. Default `false`.
    pub watch: bool,
    /// How often. A changed file is taken on when it was found the same twice. Files of certificates and secrets are looked at
    /// as often, whether or not `watch` is set. Default `5s`.
    pub interval: Period,
}

/// How the process ends: on SIGTERM or SIGINT, readiness fails at once, and the door stays open for a while.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DrainSettings {
    /// How long requests are still taken after the signal, so that load balancers notice.
    pub door_open: Period,
    /// How long, from the closing of the door, what was taken may be on its way. What is left then is abandoned: its clients
    /// are told to try again.
    pub deadline: Period,
}

/// Threads.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuntimeSettings {
    /// Worker threads. Default: one for each CPU that the container's quota or the affinity of the process allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub threads: Option<u32>,
}

/// Forebay's own log, JSON lines on standard error.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// The least severity that is written.
    pub level: LogLevel,
}

/// Severities of Forebay's own log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            receivers: Receivers::default(),
            sinks: BTreeMap::from([(
                "files".to_owned(),
                SinkConfig::File(forebay_sinks::file::Config::default()),
            )]),
            routes: Vec::new(),
            route_mode: Mode::default(),
            documents: DocumentSettings::default(),
            acknowledge: Acknowledge::default(),
            journal: None,
            dead_letters: DeadLetterConfig::default(),
            limits: LimitSettings::default(),
            tenants: None,
            admin: AdminSettings::default(),
            reload: ReloadSettings::default(),
            drain: DrainSettings::default(),
            runtime: RuntimeSettings::default(),
            log: LogSettings::default(),
        }
    }
}

impl Default for DocumentSettings {
    fn default() -> Self {
        Self {
            promote: vec!["component".to_owned(), "service.name".to_owned()],
            max_event_age: Period::secs(30 * 86_400),
            max_event_lead: Period::secs(86_400),
        }
    }
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9600)) }
    }
}

impl Default for ReloadSettings {
    fn default() -> Self {
        Self { watch: false, interval: Period::secs(5) }
    }
}

impl Default for DrainSettings {
    fn default() -> Self {
        Self { door_open: Period::secs(5), deadline: Period::secs(25) }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { level: LogLevel::Info }
    }
}

impl Settings {
    /// What decides how requests are read and routed.
    pub fn rules(&self) -> RulesConfig {
        let default = Limits::default();
        let limits = &self.limits;
        RulesConfig {
            routes: self.routes(),
            route_mode: self.route_mode,
            promote: self.documents.promote.clone(),
            max_event_age: self.documents.max_event_age,
            max_event_lead: self.documents.max_event_lead,
            max_records: limits.max_records_per_request.map_or(default.max_records, |most| most as usize),
            max_record_bytes: limits.max_record_size.map_or(default.max_record_bytes, |size| size.as_usize()),
            json: self.receivers.json_rules(),
        }
    }

    /// The routes of the file, or else the shipped ones to the first sink.
    pub fn routes(&self) -> Vec<RouteConfig> {
        if !self.routes.is_empty() {
            return self.routes.clone();
        }
        self.sinks.keys().next().map(|sink| shipped_routes(sink)).unwrap_or_default()
    }
}

/// What stands for settings that cannot be read, so that the others are checked nevertheless: a sink is still a sink, and not at fault where a
/// route names it; and a route without a name is still a route.
pub fn stand_in(path: &str) -> Option<serde_json::Value> {
    if let Some(name) = path.strip_prefix("sinks.") {
        return (!name.contains(['.', '['])).then(|| json!({ "type": "blackhole" }));
    }
    let (_, part) = path.strip_prefix("routes[")?.split_once(']')?;
    let is_sink = || part.starts_with(".to[") || part.starts_with(".best_effort[");
    match part {
        "" => Some(json!({ "name": path, "to": [], "index": "any" })),
        // The path is a name that no other route has.
        ".name" => Some(json!(path)),
        ".to" => Some(json!([])),
        ".index" => Some(json!("any")),
        _ => is_sink().then(|| json!("")),
    }
}

/// The indices: persona, security, ethics, all other logs, traces and metrics.
fn shipped_routes(sink: &str) -> Vec<RouteConfig> {
    let text = |value: &str| Scalar::Text(value.to_owned());
    let component = || When { field: Some("component".to_owned()), ..When::default() };
    let is = |value: &str| Some(When { equals: Some(text(value)), ..component() });
    let security =
        When { one_of: Some(vec![text("security"), text("cerberus")]), ignore_case: true, ..component() };
    let route = |name: &str, signal: Signal, when: Option<When>| RouteConfig {
        name: name.to_owned(),
        signals: vec![signal],
        when,
        to: vec![sink.to_owned()],
        index: format!("project-ai-{name}-%Y.%m.%d"),
        best_effort: Vec::new(),
        on_refused: Default::default(),
    };
    vec![
        route("persona", Signal::Logs, is("ai-persona")),
        route("security", Signal::Logs, Some(security)),
        route("ethics", Signal::Logs, is("four-laws")),
        route("logs", Signal::Logs, None),
        route("traces", Signal::Traces, None),
        route("metrics", Signal::Metrics, None),
    ]
}
