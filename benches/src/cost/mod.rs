//! What durable acknowledgement costs: the same load through gateways that differ in nothing but when they acknowledge, in turn.

mod report;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::Parser;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::corpus::{Corpus, Keys};
use crate::cpu::Cpu;
use crate::gateway::{Gateway, Launch};
use crate::load::{Load, Protocol, Sending, Shape};
use crate::sink::{Ledger, Sink};
use crate::verify::Expectation;

pub use report::{Cost, Course, Run};

/// Between the last byte of a bulk and the sink's answer.
const SINK_DELAY: Duration = Duration::from_millis(20);
/// Everything must have been delivered this long after its acknowledgement.
const DELIVERED_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);
/// Part of a run that is sent before the first one.
const WARMUP_PART: u64 = 5;
/// The kernel's numbers of file systems that keep nothing (`linux/magic.h`): tmpfs and ramfs.
const MEMORY_FILE_SYSTEMS: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// Measures what durable acknowledgement costs, on a real file system.
#[derive(Debug, Parser)]
pub struct CostSettings {
    /// The `forebay` binary to measure.
    #[arg(long)]
    pub gateway: PathBuf,
    /// Where the journals lie; not in memory.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    pub folder: PathBuf,
    /// Runs of each mode, in turn.
    #[arg(long, default_value_t = 5)]
    pub runs: u64,
    /// Requests of a run.
    #[arg(long, default_value_t = 1_000)]
    pub requests: u64,
    /// Records offered a second; 0: as many as are acknowledged. Beyond what a sink keeps up with, a journal feeds it from disk, which
    /// is dearer: that is the cost of absorbing a burst, not of durability.
    #[arg(long, default_value_t = 250_000.0)]
    pub rate: f64,
    /// Records in each request.
    #[arg(long, default_value_t = 500)]
    pub records_per_request: usize,
    /// gRPC connections, and requests under way on each.
    #[arg(long, default_value_t = 16)]
    pub connections: usize,
    #[arg(long, default_value_t = 4)]
    pub in_flight: usize,
    /// Fail if the median of durable over memory is more.
    #[arg(long)]
    pub most: Option<f64>,
    /// CPUs of the gateways, as taskset reads them.
    #[arg(long, default_value = "0")]
    pub gateway_cpu: String,
    /// CPUs of the load generator and the sinks (they are one thread).
    #[arg(long, default_value = "1")]
    pub load_cpu: String,
    /// Worker threads of each gateway.
    #[arg(long, default_value_t = 1)]
    pub gateway_threads: usize,
    /// Seed of the corpus.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// When clients are answered, and what lies on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Memory,
    Durable,
    DurableZstd,
}

impl Mode {
    /// All of them, in the order in which they take turns.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Durable, Self::DurableZstd];

    /// As the table names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Durable => "durable",
            Self::DurableZstd => "durable zstd",
        }
    }

    fn configuration(self, journal: &Path) -> String {
        let compression = match self {
            Self::Memory => return String::new(),
            Self::Durable => "none",
            Self::DurableZstd => "zstd",
        };
        let path = journal.display();
        format!("acknowledge: durable\njournal: {{path: \"{path}\", compression: {compression}}}\n")
    }
}

/// One gateway with its sink and its clients.
#[derive(Debug)]
struct Candidate {
    mode: Mode,
    gateway: Gateway,
    sink: Sink,
    load: Load,
    /// Of each request.
    records: u64,
    /// Between two requests.
    period: Duration,
    _journal: TempDir,
}

/// Runs the whole measurement.
///
/// # Errors
/// It could not be made. What a gateway did wrong is in the result.
pub async fn measure(settings: &CostSettings) -> Result<Cost> {
    let file_system =
        rustix::fs::statfs(&settings.folder).context("asking for the file system")?.f_type as u64;
    if MEMORY_FILE_SYSTEMS.contains(&file_system) {
        bail!("{} is in memory: name a folder on a disk with --folder", settings.folder.display());
    }
    let start = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?.as_nanos() as u64;
    let corpus = Corpus::new(settings.seed, start);
    let records = settings.records_per_request;
    let shape = Shape { protocol: Protocol::OtlpGrpc, records, keys: Keys::Ten, gzip: false };
    let warmup = settings.requests.div_ceil(WARMUP_PART);
    let all = warmup + settings.runs * settings.requests;
    let mut candidates = Vec::new();
    for mode in Mode::ALL {
        candidates.push(candidate(settings, mode, all * records as u64).await?);
    }
    let bodies = shape.bodies(&corpus, 0, warmup)?;
    for candidate in &mut candidates {
        candidate.run(bodies.clone(), 0).await?;
    }
    let mut courses: Vec<Course> = Mode::ALL.map(|mode| Course { mode, runs: Vec::new() }).into();
    let mut first = warmup;
    for _ in 0..settings.runs {
        let bodies = shape.bodies(&corpus, first, settings.requests)?;
        for (candidate, course) in candidates.iter_mut().zip(&mut courses) {
            course.runs.push(candidate.run(bodies.clone(), first * records as u64).await?);
        }
        first += settings.requests;
    }
    let mut faults = Vec::new();
    for candidate in candidates {
        let (mode, sink) = (candidate.mode.name(), candidate.sink);
        if let Err(fault) = candidate.gateway.stop().await {
            faults.push(format!("{mode}: {fault:#}"));
        }
        let ledger = sink.ledger();
        let found = Expectation { corpus: &corpus, shape, requests: all }.faults(&mut ledger.lock());
        faults.extend(found.into_iter().map(|fault| format!("{mode}: {fault}")));
    }
    Ok(Cost { courses, faults, file_system })
}

async fn candidate(settings: &CostSettings, mode: Mode, records: u64) -> Result<Candidate> {
    let sink = Sink::start(SINK_DELAY, Ledger::new(records)).await?;
    let journal = tempfile::tempdir_in(&settings.folder).context("a folder for the journal")?;
    let gateway = Gateway::start(&Launch {
        program: &settings.gateway,
        cpus: &settings.gateway_cpu,
        threads: settings.gateway_threads,
        sink: sink.address(),
        compression: "none",
        extra: &mode.configuration(&journal.path().canonicalize()?),
    })
    .await?;
    let load = Load::connect(Sending {
        protocol: Protocol::OtlpGrpc,
        address: gateway.ports().grpc,
        connections: settings.connections,
        in_flight: settings.in_flight,
        frame_bytes: 16_384,
        gzip: false,
    })
    .await?;
    let records = settings.records_per_request as u64;
    let period = match settings.rate {
        rate if rate > 0.0 => Duration::from_secs_f64(records as f64 / rate),
        _ => Duration::ZERO,
    };
    Ok(Candidate { mode, gateway, sink, load, records, period, _journal: journal })
}

impl Candidate {
    /// Sends these requests; `before` records were sent before them. The clock of the CPU stops when all are delivered.
    async fn run(&mut self, bodies: Vec<Bytes>, before: u64) -> Result<Run> {
        let accepted: usize = bodies.iter().map(Bytes::len).sum();
        let pid = self.gateway.pid();
        let metrics = self.metrics().await?;
        let (cpu, began) = (Cpu::of_tree(pid)?, Instant::now());
        let records = bodies.len() as u64 * self.records;
        let sent =
            self.load.send_every(self.period, bodies).await.with_context(|| self.gateway.log_tail())?;
        let acknowledged = began.elapsed();
        while self.sink.ledger().lock().documents < before + records {
            if began.elapsed() > acknowledged + DELIVERED_WITHIN {
                bail!("{}: not everything was delivered in {DELIVERED_WITHIN:?}", self.mode.name());
            }
            sleep(POLL).await;
        }
        let (cpu, wall) = (Cpu::of_tree(pid)?.since(cpu), began.elapsed());
        let after = self.metrics().await?;
        Ok(Run {
            records,
            cpu,
            wall,
            p50: sent.percentile(50.0),
            p99: sent.percentile(99.0),
            retries: sent.retries,
            accepted: accepted as u64,
            syncs: after.0 - metrics.0,
            written: after.1 - metrics.1,
        })
    }

    /// Syncs of the journal, and bytes written to it.
    async fn metrics(&self) -> Result<(f64, f64)> {
        let syncs = self.gateway.metric("forebay_journal_syncs_total").await?;
        Ok((syncs, self.gateway.metric("forebay_journal_written_bytes_total").await?))
    }
}
