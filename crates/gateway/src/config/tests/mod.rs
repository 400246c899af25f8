//! The configuration machinery over a small configuration with every shape that settings may have.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use forebay_pipeline::units::{ByteSize, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::substitute::tests::Fixed;
use super::*;

mod faults;
mod reference;
mod yaml;

/// Everything a gateway does.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Where records go, by a name of your choice.
    sinks: BTreeMap<String, Sink>,
    routes: Vec<Route>,
    limits: Limits,
    /// Shown in logs.
    name: Option<String>,
    labels: BTreeMap<String, String>,
    address: Option<std::net::IpAddr>,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Sink {
    /// Elasticsearch or OpenSearch.
    Elasticsearch(Elasticsearch),
    Files(Files),
    /// Throws everything away.
    Blackhole,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Elasticsearch {
    /// One URL, or several
    /// to choose from.
    endpoints: OneOrMany,
    timeout: Period,
    password: Option<String>,
    compression: Compression,
}

impl Default for Elasticsearch {
    fn default() -> Self {
        let endpoints = OneOrMany::One("http://localhost:9200".to_owned());
        Self { endpoints, timeout: Period::secs(8), password: None, compression: Compression::None }
    }
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Files {
    directory: String,
    #[serde(default)]
    rotate: ByteSize,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Compression {
    #[default]
    None,
    /// Saves network, costs CPU.
    Gzip,
}

#[derive(Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Route {
    to: OneOrMany,
    #[serde(default)]
    when: Condition,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Condition {
    #[default]
    Always,
    All(Vec<Condition>),
    Equals(Equals),
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Equals {
    field: String,
    value: OneOrMany,
}

#[derive(Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Limits {
    memory: ByteSize,
    #[schemars(range(min = 1, max = 64))]
    workers: u16,
    ratio: f64,
    pause: Option<Period>,
    connections: u32,
    enabled: bool,
}

impl Default for Limits {
    fn default() -> Self {
        let memory = ByteSize::mib(256);
        Self { memory, workers: 2, ratio: 0.5, pause: None, connections: 1024, enabled: true }
    }
}

fn environment() -> Fixed {
    Fixed(BTreeMap::from([
        ("HOST", "es1"),
        ("WORKERS", "8"),
        ("SECRET", "hunter2"),
        ("/run/key", "from-a-file\n"),
    ]))
}

/// As the gateway does, without checks of the whole.
fn load<T: serde::de::DeserializeOwned + JsonSchema>(
    text: &str,
    environment: &dyn Environment,
) -> Result<Loaded<T>, Vec<Fault>> {
    super::load(text, environment, |_| None, Ok)
}

fn loaded(text: &str) -> Loaded<Config> {
    load(text, &environment()).unwrap()
}

fn faults(text: &str) -> Vec<String> {
    let faults = load::<Config>(text, &environment()).unwrap_err();
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn an_empty_file_is_the_default() {
    for text in ["", "# only a comment\n", "---\n", "~\n", "{}"] {
        let config = loaded(text).value;
        assert!(config.sinks.is_empty());
        assert_eq!(config.limits, Limits::default());
    }
}

#[test]
fn every_shape_is_read() {
    let text = r#"
sinks:
  es: { type: elasticsearch, endpoints: [a, b], timeout: 1m30s, compression: gzip }
  disk:
    type: files
    directory: /var/tmp
    rotate: 4096
  "off": { type: blackhole }
routes:
  - to: es
    when:
      all:
        - equals: { field: component, value: [security, cerberus] }
        - always
  - { to: [es, disk] }
limits: { memory: 1 GiB, workers: 64, ratio: 1, pause: 0, enabled: false }
labels: { "a.b": c }
address: "::1"
"#;
    let config = loaded(text).value;
    let Sink::Elasticsearch(es) = &config.sinks["es"] else { panic!("another sink") };
    assert_eq!(es.endpoints, OneOrMany::Many(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(es.timeout, Period::secs(90));
    let Sink::Files(files) = &config.sinks["disk"] else { panic!("another sink") };
    assert_eq!(files.rotate, ByteSize::kib(4));
    assert!(matches!(config.sinks["off"], Sink::Blackhole));
    assert!(matches!(&config.routes[0].when, Condition::All(all) if all.len() == 2));
    assert_eq!(config.limits.memory, ByteSize::mib(1024));
    assert_eq!(config.limits.pause, Some(Period::secs(0)));
    assert_eq!(config.labels["a.b"], "c");
}
