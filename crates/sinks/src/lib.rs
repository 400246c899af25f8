//! Where records go. One module per sink: its settings, its encoder, how it sends, how it reads the answer, its tests.
//!
//! Retries, backoff, batching, concurrency and dead letters are not here: `forebay_pipeline::deliver` has them once for all.

pub mod blackhole;
pub mod elasticsearch;
pub mod file;
mod lines;
mod pool;
mod secret;
pub mod stdout;
#[cfg(test)]
mod testing;

use forebay_pipeline::deliver::{DeliveryConfig, Sink};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub use secret::Secret;

/// One sink of the configuration. `type` says which; the other settings depend on it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SinkConfig {
    /// Elasticsearch 8 and 9, OpenSearch 2 and 3, by the bulk API.
    Elasticsearch(elasticsearch::Config),
    /// Files of JSON lines, one for each index.
    File(file::Config),
    /// JSON lines on standard output.
    Stdout(stdout::Config),
    /// Takes everything and keeps nothing.
    Blackhole(blackhole::Config),
}

/// What a sink needs to know beside its own settings.
#[derive(Clone, Debug, Default)]
pub struct BuildContext {
    /// Resource attributes that documents also have at top level.
    pub promote: Vec<String>,
}

/// A setting that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The setting, seen from the sink: `endpoints[0]`.
    pub path: String,
    pub message: String,
}

impl Fault {
    /// A fault at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl SinkConfig {
    /// The sink itself. Connects to nothing. `name` is what the configuration calls it, for its logs.
    ///
    /// # Errors
    /// Every setting that is wrong.
    pub fn build(&self, name: &str, context: &BuildContext) -> Result<Arc<dyn Sink>, Vec<Fault>> {
        let built = match self {
            Self::Elasticsearch(config) => config.build(name, context),
            Self::File(config) => config.build(context),
            Self::Stdout(config) => Ok(config.build(context)),
            Self::Blackhole(config) => Ok(config.build(context)),
        };
        let delivery = self.delivery().faults().into_iter();
        let mut faults: Vec<Fault> =
            delivery.map(|(path, message)| Fault::new(format!("delivery.{path}"), message)).collect();
        match built {
            Ok(sink) if faults.is_empty() => Ok(sink),
            Ok(_) => Err(faults),
            Err(others) => {
                faults.extend(others);
                Err(faults)
            }
        }
    }

    /// How records reach it: batches, concurrency, retries.
    pub fn delivery(&self) -> &DeliveryConfig {
        match self {
            Self::Elasticsearch(config) => &config.delivery,
            Self::File(config) => &config.delivery,
            Self::Stdout(config) => &config.delivery,
            Self::Blackhole(config) => &config.delivery,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(json: &str) -> Result<SinkConfig, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn the_type_chooses_the_settings() {
        assert!(matches!(read(r#"{"type":"blackhole"}"#).unwrap(), SinkConfig::Blackhole(_)));
        let SinkConfig::File(file) = read(r#"{"type":"file","path":"/tmp/x"}"#).unwrap() else { panic!() };
        assert_eq!(file.path, std::path::Path::new("/tmp/x"));
        assert!(read(r#"{"type":"blackhole","path":"/tmp/x"}"#).unwrap_err().contains("path"));
        assert!(read(r#"{"type":"kafka"}"#).unwrap_err().contains("kafka"));
    }

    #[test]
    fn faults_of_delivery_are_told_with_the_others() {
        let config = read(r#"{"type":"file","path":"","delivery":{"concurrency":{"max":0}}}"#).unwrap();
        let faults = config.build("f", &BuildContext::default()).unwrap_err();
        let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(paths, ["delivery.concurrency.max", "path"]);
    }

    #[test]
    fn every_sink_prints_its_settings_so_that_they_read_back() {
        for kind in ["elasticsearch", "file", "stdout", "blackhole"] {
            let config = read(&format!("{{\"type\":\"{kind}\"}}")).unwrap();
            let printed = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::to_string(&read(&printed).unwrap()).unwrap(), printed);
        }
    }
}
