//! Bounds on connections whose clients do not notice that they are told to go.

use super::super::listener::ConnectionConfig;
use forebay_pipeline::units::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// Bounds on the connections of a receiver that never answers: as those of others, with other defaults.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StreamConnectionConfig {
    /// Most connections at once. At the limit, no further one is accepted until one leaves: it waits in the kernel's queue.
    /// How many there is memory for is another matter: see `limits.memory`. Raise both for many thousands of clients.
    #[schemars(range(min = 1, max = 1_000_000))]
    max: u32,
    /// A connection of this age (give or take 10 %) is told to go: the stream ends on our side, and what the client sends until it has noticed
    /// is read. Then it comes back, and finds replicas that were added meanwhile. Only for clients that do notice, as rsyslog and Logstash do; others
    /// lose what they send after `grace`. `0s`, the default: never.
    max_age: Period,
    /// How long a client that was told to go is listened to while it goes on sending. One that falls silent for a second is let go at once.
    grace: Period,
    /// A connection on which nothing has come for this long is closed. Many clients lose the first line that they send afterwards, so keep it
    /// above the pauses of yours.
    idle_timeout: Period,
}

impl Default for StreamConnectionConfig {
    fn default() -> Self {
        Self {
            max: 4096,
            max_age: Period::secs(0),
            grace: Period::secs(30),
            idle_timeout: Period::secs(3_600),
        }
    }
}

impl From<StreamConnectionConfig> for ConnectionConfig {
    fn from(config: StreamConnectionConfig) -> Self {
        let StreamConnectionConfig { max, max_age, grace, idle_timeout } = config;
        Self { max, max_age, grace, idle_timeout }
    }
}

/// Reads bounds with these defaults.
///
/// # Errors
/// As the section's.
pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ConnectionConfig, D::Error> {
    StreamConnectionConfig::deserialize(deserializer).map(Into::into)
}
