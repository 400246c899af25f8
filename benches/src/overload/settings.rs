//! The command line of `forebay-bench overload`.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Offers a gateway more than it can take, and asserts that it goes on doing what it can.
#[derive(Debug, Parser)]
pub struct OverloadSettings {
    /// The `forebay` binary to measure.
    #[arg(long)]
    pub gateway: PathBuf,
    /// What is short.
    #[arg(long, value_enum, default_value = "both")]
    pub short: Short,
    /// Records a second that the sink takes where it is what is short.
    #[arg(long, default_value_t = 50_000.0)]
    pub sink_rate: f64,
    /// What is offered, in parts of the capacity measured just before.
    #[arg(long, default_value_t = 2.2)]
    pub factor: f64,
    /// Length of each overload, in seconds.
    #[arg(long, default_value_t = 120)]
    pub seconds: u64,
    /// Length of each measurement of capacity, in seconds.
    #[arg(long, default_value_t = 20)]
    pub capacity_seconds: u64,
    /// Rounds of capacity and overload in turn; the median of their ratios is what counts.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Goodput under overload that is asked for, in parts of the capacity.
    #[arg(long, default_value_t = 0.95)]
    pub least: f64,
    /// `limits.memory` of the gateway, in MiB.
    #[arg(long, default_value_t = 256)]
    pub memory_mib: u64,
    /// Records in each request.
    #[arg(long, default_value_t = 500)]
    pub records_per_request: usize,
    /// Do not compress requests. Compressed, as exporters send them, a request costs much to take and little to refuse.
    #[arg(long)]
    pub plain: bool,
    /// Requests under way in the closed loop that finds the capacity.
    #[arg(long, default_value_t = 48)]
    pub clients: usize,
    /// Connections for each of OTLP over HTTP and JSON under overload. gRPC has 16, with as many calls at once together.
    #[arg(long, default_value_t = 320)]
    pub connections: usize,
    /// Busy processes beside the gateway on its CPU where CPU is short, so that it is short before the load generator's is.
    #[arg(long, default_value_t = 3)]
    pub neighbours: usize,
    /// CPUs of the gateway, as taskset reads them.
    #[arg(long, default_value = "0")]
    pub gateway_cpu: String,
    /// CPUs of the load generator and the sink (they are one thread).
    #[arg(long, default_value = "1")]
    pub load_cpu: String,
    /// Worker threads of the gateway.
    #[arg(long, default_value_t = 1)]
    pub gateway_threads: usize,
    /// Seed of the corpus.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// What there is too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Short {
    Sink,
    Cpu,
    /// One after the other.
    Both,
}
