//! Settings of delivery, the same for every sink.

use crate::units::{ByteSize, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How records reach a sink: batches, concurrency, retries. The defaults are meant to be left alone.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct DeliveryConfig {
    /// What one payload holds, and whether it waits for more.
    pub batch: BatchConfig,
    /// How many payloads are on their way at once.
    pub concurrency: ConcurrencyConfig,
    /// What happens after a failure.
    pub retry: RetryConfig,
    /// Most shares (one for each request and destination) that may wait for this sink. A request that finds no room for all
    /// of its shares is refused, and may be sent again. Half of them wait unsorted, so a single request has at most half as
    /// many shares as this. Default 65536; at least 256. For those with very many small requests and much memory.
    pub max_queued_shares: usize,
    /// With a disk journal: most bytes of requests that may be on their way to this sink at once. What is beyond waits on disk.
    /// Default `64MiB`; never more than an eighth of the memory budget.
    pub window_bytes: ByteSize,
    /// With a disk journal: how far this sink may fall behind.
    pub lag: LagConfig,
}

/// How far a sink may fall behind in the journal, and what happens then.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "DeliveryLag")]
pub struct LagConfig {
    /// Most bytes of the journal, in whole files of `journal.segment_bytes`, that may be kept for this sink; at least two such files.
    /// Default: as much as the journal may hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<ByteSize>,
    /// What happens beyond.
    pub on_lag: OnLag,
}

/// What happens when a sink has fallen too far behind.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum OnLag {
    /// Clients are told to try again, until the sink has caught up.
    #[default]
    Refuse,
    /// The sink loses the oldest requests that it has not had, a file at a time, and they are counted. The other sinks get them.
    DropOldest,
}

/// Bounds of one payload. A payload leaves as soon as there is room on the way, and grows only while there is none.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "DeliveryBatch")]
pub struct BatchConfig {
    /// Largest payload before compression; a single record may exceed it. Default `4MiB`. Lower it where something on the way
    /// has a smaller limit (a payload that proves too large is split, but has then been sent in vain).
    pub max_bytes: ByteSize,
    /// Most records in a payload. Default 20000.
    pub max_records: u32,
    /// Bytes, as they arrived, that a destination gathers before it sends. Default `0`: nothing waits while there is room on
    /// the way. Raise it for sinks that charge by the request.
    pub min_bytes: ByteSize,
    /// Longest wait for `min_bytes`. Default `200ms`. Without effect while `min_bytes` is 0. Keep it well below the receivers'
    /// acknowledgement time limit.
    pub max_age: Period,
}

/// Payloads on their way at once. The number adapts: it falls by half when the sink says that it is overloaded, a little when
/// answers take twice as long as they used to, and grows by one for every round of successes.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "DeliveryConcurrency")]
pub struct ConcurrencyConfig {
    /// It never falls below this. Default 1.
    pub min: u32,
    /// It starts here and never exceeds it. Default 8; at most 1024. One destination uses at most three quarters of it, so that
    /// a slow one does not hold up the others. Each may hold `batch.max_bytes` of memory beside the bodies it was made from.
    pub max: u32,
}

/// Waiting after failures: exponential, with jitter over the whole span.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "DeliveryRetry")]
pub struct RetryConfig {
    /// Longest wait after the first failure; doubled by each further one. Default `100ms`.
    pub initial: Period,
    /// Longest wait of all, unless the sink asks for a longer one. Default `5s`: a wait is one probe, and clients that wait for their
    /// answer are refused meanwhile.
    pub max: Period,
    /// Records that arrived longer ago than this and still fail are given up: their client is told to send them again. Default
    /// `1h`. Clients that wait for their answer give up much sooner (the receivers' acknowledgement time limit).
    pub max_age: Period,
    /// How long a destination rests that takes nothing until somebody mends it (wrong credentials, a closed index). Default `30s`.
    pub blocked_pause: Period,
}

impl Default for DeliveryConfig {
    fn default() -> Self {
        Self {
            batch: BatchConfig::default(),
            concurrency: ConcurrencyConfig::default(),
            retry: RetryConfig::default(),
            max_queued_shares: 65_536,
            window_bytes: ByteSize::mib(64),
            lag: LagConfig::default(),
        }
    }
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self {
            max_bytes: ByteSize::mib(4),
            max_records: 20_000,
            min_bytes: ByteSize(0),
            max_age: Period::millis(200),
        }
    }
}

impl Default for ConcurrencyConfig {
    fn default() -> Self {
        Self { min: 1, max: 8 }
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            initial: Period::millis(100),
            max: Period::secs(5),
            max_age: Period::secs(3_600),
            blocked_pause: Period::secs(30),
        }
    }
}

impl RetryConfig {
    /// What arrived before this and still fails is given up, nanoseconds since 1970.
    pub(super) fn horizon(&self) -> i64 {
        crate::time::now().saturating_sub(i64::try_from(self.max_age.0.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// Fewer waiting shares than this would refuse ordinary requests.
const LEAST_QUEUED_SHARES: usize = 256;
/// The inbox is a semaphore at heart, which has an upper bound of its own; this one is far below it.
const MOST_QUEUED_SHARES: usize = 1 << 24;
/// More payloads at once than any sink is known to want.
const MOST_CONCURRENCY: u32 = 1_024;
/// A longer wait is a slip, and its end might be more than a clock can count.
const LONGEST_WAIT: Period = Period::secs(86_400);
/// An Elasticsearch node refuses a request of 100 MiB; a limit in the gigabytes is a slip.
const LARGEST_BATCH: ByteSize = ByteSize::mib(1_024);

impl DeliveryConfig {
    /// Settings that cannot be right: path, seen from here, and what is wrong.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let Self { batch, concurrency, retry, max_queued_shares, window_bytes, lag } = self;
        let checks = [
            (batch.max_bytes.0 > 0, "batch.max_bytes", "must be at least 1".to_owned()),
            (lag.max_bytes.is_none_or(|most| most.0 > 0), "lag.max_bytes", "must be at least 1".to_owned()),
            (window_bytes.0 > 0, "window_bytes", "must be at least 1".to_owned()),
            (batch.max_bytes <= LARGEST_BATCH, "batch.max_bytes", format!("must be at most {LARGEST_BATCH}")),
            (batch.max_records > 0, "batch.max_records", "must be at least 1".to_owned()),
            (
                batch.min_bytes <= batch.max_bytes,
                "batch.min_bytes",
                "must not exceed `batch.max_bytes`".to_owned(),
            ),
            (
                batch.min_bytes.0 == 0 || !batch.max_age.0.is_zero(),
                "batch.max_age",
                "must be longer than 0s where `batch.min_bytes` is set".to_owned(),
            ),
            (concurrency.min > 0, "concurrency.min", "must be at least 1".to_owned()),
            (
                concurrency.min <= concurrency.max,
                "concurrency.max",
                "must not be below `concurrency.min`".to_owned(),
            ),
            (
                concurrency.max <= MOST_CONCURRENCY,
                "concurrency.max",
                format!("must be at most {MOST_CONCURRENCY}"),
            ),
            (batch.max_age <= LONGEST_WAIT, "batch.max_age", format!("must be at most {LONGEST_WAIT}")),
            (retry.max <= LONGEST_WAIT, "retry.max", format!("must be at most {LONGEST_WAIT}")),
            (
                retry.blocked_pause <= LONGEST_WAIT,
                "retry.blocked_pause",
                format!("must be at most {LONGEST_WAIT}"),
            ),
            (!retry.initial.0.is_zero(), "retry.initial", "must be longer than 0s".to_owned()),
            (retry.initial <= retry.max, "retry.max", "must not be shorter than `retry.initial`".to_owned()),
            (!retry.blocked_pause.0.is_zero(), "retry.blocked_pause", "must be longer than 0s".to_owned()),
            (
                (LEAST_QUEUED_SHARES..=MOST_QUEUED_SHARES).contains(max_queued_shares),
                "max_queued_shares",
                format!("must be between {LEAST_QUEUED_SHARES} and {MOST_QUEUED_SHARES}"),
            ),
        ];
        checks.into_iter().filter(|(holds, ..)| !holds).map(|(_, path, message)| (path, message)).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_defaults_are_sound_and_read_back() {
        let config = DeliveryConfig::default();
        assert_eq!(config.faults(), []);
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<DeliveryConfig>(&text).unwrap(), config);
    }

    #[test]
    fn every_fault_is_reported_with_its_path() {
        let config = DeliveryConfig {
            batch: BatchConfig {
                max_bytes: ByteSize(0),
                max_records: 0,
                min_bytes: ByteSize(1),
                max_age: Period::secs(0),
            },
            concurrency: ConcurrencyConfig { min: 4, max: 2 },
            retry: RetryConfig {
                initial: Period::secs(40),
                blocked_pause: Period(std::time::Duration::MAX),
                ..RetryConfig::default()
            },
            max_queued_shares: 1,
            window_bytes: ByteSize(0),
            lag: LagConfig { max_bytes: Some(ByteSize(0)), on_lag: OnLag::DropOldest },
        };
        let paths: Vec<&str> = config.faults().into_iter().map(|(path, _)| path).collect();
        let expected = [
            "batch.max_bytes",
            "lag.max_bytes",
            "window_bytes",
            "batch.max_records",
            "batch.min_bytes",
            "batch.max_age",
            "concurrency.max",
            "retry.blocked_pause",
            "retry.max",
            "max_queued_shares",
        ];
        assert_eq!(paths, expected);
    }

    #[test]
    fn a_misspelt_setting_is_an_error() {
        let error = serde_json::from_str::<DeliveryConfig>(r#"{"batch":{"max_size":"1MiB"}}"#).unwrap_err();
        assert!(error.to_string().contains("max_size"));
    }
}
