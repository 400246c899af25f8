//! The command line of `forebay-bench`. The defaults are the headline setting.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};

use crate::corpus::{Corpus, Keys};
use crate::load::{Protocol, Shape};

/// Most records of one request: about 33 MB of OTLP.
const MAX_RECORDS: usize = 100_000;

/// Part of a round that the default warm-up sends.
const WARMUP_PART: u64 = 5;

/// Measures a gateway end to end: CPU per record, with acknowledgements awaited and every document accounted for.
#[derive(Debug, Parser)]
#[command(name = "forebay-bench")]
pub struct Settings {
    /// The `forebay` binary to measure.
    #[arg(long)]
    pub gateway: PathBuf,
    /// What the load generator speaks.
    #[arg(long, value_enum, default_value = "otlp-grpc")]
    pub protocol: Protocol,
    /// Records in each request.
    #[arg(long, default_value_t = 500)]
    pub records_per_request: usize,
    /// Instead: as many records as fit into a body of so many bytes, on average.
    #[arg(long, conflicts_with = "records_per_request")]
    pub body_bytes: Option<usize>,
    /// Members of a JSON line: 10 (about 344 bytes) or 18 (about 571 bytes).
    #[arg(long, default_value_t = 10)]
    pub ndjson_keys: u8,
    /// Records of each run, rounded to whole requests.
    #[arg(long, default_value_t = 1_000_000)]
    pub records: u64,
    /// Instead: requests of each run.
    #[arg(long, conflicts_with = "records")]
    pub requests: Option<u64>,
    /// Requests sent before the first run and not measured [default: a fifth of a run].
    #[arg(long)]
    pub warmup_requests: Option<u64>,
    /// Runs; the median is what counts.
    #[arg(long, default_value_t = 3)]
    pub runs: usize,
    /// Connections of the load generator [default: 16 for gRPC, 64 for the others].
    #[arg(long)]
    pub connections: Option<usize>,
    /// Requests under way per connection [default: 4 for gRPC, 1 for the others, which allow no more].
    #[arg(long)]
    pub in_flight: Option<usize>,
    /// Largest HTTP/2 DATA frame that the load generator sends, in bytes.
    #[arg(long, default_value_t = 16_384)]
    pub frame_bytes: usize,
    /// Compress requests.
    #[arg(long)]
    pub gzip: bool,
    /// What the gateway does with its bulks.
    #[arg(long, value_enum, default_value = "none")]
    pub bulk_compression: Compression,
    /// Milliseconds between the last byte of a bulk and the sink's answer.
    #[arg(long, default_value_t = 20)]
    pub sink_delay: u64,
    /// Seed of the corpus: the same seed gives the same records, but for their times.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// CPUs of the gateway, as taskset reads them.
    #[arg(long, default_value = "0")]
    pub gateway_cpu: String,
    /// CPUs of the load generator and the sink (they are one thread).
    #[arg(long, default_value = "1")]
    pub load_cpu: String,
    /// Worker threads of the gateway.
    #[arg(long, default_value_t = 1)]
    pub gateway_threads: usize,
    /// Memory for the bodies of one run, in MiB; a run that would need more is made shorter, and says so.
    #[arg(long, default_value_t = 1_024)]
    pub max_body_mib: u64,
    /// Fail if the median run costs more CPU-seconds per million records.
    #[arg(long)]
    pub limit: Option<f64>,
}

/// Compression of the bulks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    None,
    Gzip,
}

impl Compression {
    /// Its name in the gateway's configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
        }
    }
}

/// The settings with every default and limit applied.
#[derive(Debug)]
pub struct Plan {
    pub shape: Shape,
    pub requests: u64,
    pub warmup_requests: u64,
    /// The run was made shorter to keep its bodies within `max_body_mib`.
    pub shortened: bool,
    pub connections: usize,
    pub in_flight: usize,
    pub sink_delay: Duration,
    pub entropy: f64,
}

impl Plan {
    /// Requests of the warm-up and all runs.
    #[must_use]
    pub fn all_requests(&self, runs: usize) -> u64 {
        self.warmup_requests + self.requests * runs as u64
    }
}

impl Settings {
    /// Works out what will be sent.
    ///
    /// # Errors
    /// Settings that make no sense, each with what would.
    pub fn plan(&self, corpus: &Corpus) -> Result<Plan> {
        let keys = match self.ndjson_keys {
            10 => Keys::Ten,
            18 => Keys::Eighteen,
            other => bail!("--ndjson-keys is 10 or 18, not {other}"),
        };
        let mut shape = Shape { protocol: self.protocol, records: 1, keys, gzip: self.gzip };
        shape.records = match self.body_bytes {
            None => self.records_per_request,
            Some(bytes) => records_within(bytes, shape, corpus),
        };
        if shape.records == 0 || self.runs == 0 || self.frame_bytes == 0 {
            bail!("--records-per-request, --runs and --frame-bytes are at least 1");
        }
        if shape.records > MAX_RECORDS {
            bail!("a request has at most {MAX_RECORDS} records, not {}", shape.records);
        }
        let body_bytes = shape.mean_bytes(corpus);
        let wanted = self.requests.unwrap_or(self.records.div_ceil(shape.records as u64)).max(1);
        let fitting = ((self.max_body_mib << 20) / body_bytes.max(1) as u64).max(1);
        let requests = wanted.min(fitting);
        let warmup = self.warmup_requests.unwrap_or(requests.div_ceil(WARMUP_PART)).min(fitting);
        let grpc = self.protocol == Protocol::OtlpGrpc;
        Ok(Plan {
            shape,
            requests,
            warmup_requests: warmup,
            shortened: requests < wanted,
            connections: self.connections.unwrap_or(if grpc { 16 } else { 64 }),
            in_flight: self.in_flight.unwrap_or(if grpc { 4 } else { 1 }),
            sink_delay: Duration::from_millis(self.sink_delay),
            entropy: shape.entropy(corpus)?,
        })
    }
}

/// How many records make a body of about `bytes`: what one record adds, after what any request has.
fn records_within(bytes: usize, shape: Shape, corpus: &Corpus) -> usize {
    const MANY: usize = 500;
    let one = shape.mean_bytes(corpus);
    let many = Shape { records: MANY, ..shape }.mean_bytes(corpus);
    let each = ((many - one) / (MANY - 1)).max(1);
    let overhead = one.saturating_sub(each);
    (bytes.saturating_sub(overhead) / each).max(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn plan(arguments: &str) -> Result<Plan> {
        let line = format!("forebay-bench --gateway x {arguments}");
        Settings::parse_from(line.split_whitespace()).plan(&Corpus::new(1, 1))
    }

    #[test]
    fn the_defaults_are_the_headline_setting() {
        let plan = plan("").unwrap();
        assert_eq!((plan.shape.records, plan.requests, plan.connections, plan.in_flight), (500, 2000, 16, 4));
        assert_eq!((plan.warmup_requests, plan.shortened), (400, false));
        assert_eq!(plan.sink_delay, Duration::from_millis(20));
    }

    #[test]
    fn bodies_are_of_the_asked_size() {
        for protocol in ["otlp-grpc", "ndjson", "bulk", "beats"] {
            let plan = plan(&format!("--protocol {protocol} --body-bytes 16384")).unwrap();
            let mean = plan.shape.mean_bytes(&Corpus::new(1, 1));
            assert!((15_500..17_000).contains(&mean), "{protocol}: {mean}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let plan = plan("--records-per-request 10000 --requests 5000 --max-body-mib 100").unwrap();
        assert!(plan.shortened);
        assert!(plan.requests * plan.shape.mean_bytes(&Corpus::new(1, 1)) as u64 <= 100 << 20);
        assert!(plan_fails("--ndjson-keys 11"));
        assert!(plan_fails("--records-per-request 1000000"));
    }

    fn plan_fails(arguments: &str) -> bool {
        plan(arguments).is_err()
    }
}
