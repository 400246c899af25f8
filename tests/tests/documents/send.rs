//! Requests made by hand, and the node and gateway that they go to.

use forebay_proto::collector::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use forebay_proto::common::any_value::Value as Any;
use forebay_proto::common::{AnyValue, InstrumentationScope, KeyValue};
use forebay_proto::logs::{LogRecord, ResourceLogs, ScopeLogs};
use forebay_proto::resource::Resource;
use forebay_tests::elasticsearch::{Hit, Options};
use forebay_tests::metrics::Ledger;
use forebay_tests::{Elasticsearch, Gateway, config};
use prost::Message;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// More than any test of this file stores.
const MANY: usize = 1_000;

/// A node and a gateway in front of it.
pub struct Stage {
    pub node: Elasticsearch,
    pub gateway: Gateway,
}

impl Stage {
    pub fn set() -> Self {
        Self::set_with(Options::default())
    }

    pub fn set_with(options: Options) -> Self {
        let node = Elasticsearch::start(options).unwrap();
        let gateway = Gateway::start(&config::into_elasticsearch(&node, "")).unwrap();
        Self { node, gateway }
    }

    /// Sends one request of OTLP/HTTP and expects success.
    pub fn export(&self, request: &ExportLogsServiceRequest) -> ExportLogsServiceResponse {
        let address = format!("http://127.0.0.1:{}/v1/logs", self.gateway.ports.otlp_http);
        let post = ureq::post(address).header("Content-Type", "application/x-protobuf");
        let mut answer = post.send(request.encode_to_vec()).unwrap();
        let body = answer.body_mut().read_to_vec().unwrap();
        ExportLogsServiceResponse::decode(body.as_slice()).unwrap()
    }

    /// Posts JSON and expects success; returns the answer.
    pub fn post(&self, body: &str) -> Value {
        post_json(&self.gateway, body)
    }

    pub fn ledger(&self) -> Ledger {
        self.gateway.balanced_ledger(Duration::from_secs(10)).unwrap()
    }

    /// Everything that is stored.
    pub fn stored(&self) -> Vec<Hit> {
        stored(&self.node)
    }

    /// The one entry of the dead letters.
    pub fn only_dead_letter(&self) -> Value {
        let folder = self.gateway.folder().join("dead-letters");
        let files = std::fs::read_dir(folder).unwrap();
        let lines: String =
            files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
        assert_eq!(lines.lines().count(), 1, "{lines}");
        serde_json::from_str(&lines).unwrap()
    }

    /// Everything that is stored, by the field `message`.
    pub fn stored_by_message(&self) -> BTreeMap<String, Value> {
        let message = |hit: &Hit| hit.source["message"].as_str().unwrap().to_owned();
        self.stored().into_iter().map(|hit| (message(&hit), hit.source)).collect()
    }
}

pub fn post_json(gateway: &Gateway, body: &str) -> Value {
    let address = format!("http://127.0.0.1:{}/", gateway.ports.json);
    let post = ureq::post(address).header("Content-Type", "application/json");
    post.send(body).unwrap().body_mut().read_json().unwrap()
}

pub fn stored(node: &Elasticsearch) -> Vec<Hit> {
    node.refresh().unwrap();
    node.documents("project-ai-*", "*", MANY).unwrap()
}

/// A request with one resource and one scope.
pub fn request(
    resource: Resource,
    scope: InstrumentationScope,
    records: Vec<LogRecord>,
) -> ExportLogsServiceRequest {
    let scope_logs = ScopeLogs {
        scope: Some(scope),
        log_records: records,
        schema_url: "https://opentelemetry.io/schemas/scope".to_owned(),
    };
    let resource_logs = ResourceLogs {
        resource: Some(resource),
        scope_logs: vec![scope_logs],
        schema_url: "https://opentelemetry.io/schemas/resource".to_owned(),
    };
    ExportLogsServiceRequest { resource_logs: vec![resource_logs] }
}

pub fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), ..KeyValue::default() }
}

pub fn any(value: Any) -> AnyValue {
    AnyValue { value: Some(value) }
}

pub fn text(text: &str) -> Any {
    Any::StringValue(text.to_owned())
}
