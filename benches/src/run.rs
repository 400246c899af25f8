//! One measurement from start to verdict: sink, gateway, warm-up, runs, and the books.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::corpus::Corpus;
use crate::cpu::{self, Cpu};
use crate::gateway::{Gateway, Launch};
use crate::load::{Load, Protocol, Sending};
use crate::report::{Report, Round};
use crate::settings::{Plan, Settings};
use crate::sink::{Ledger, Sink};
use crate::verify::Expectation;

/// A duplicate would come after the acknowledgements: the sink is left open for this long.
const AFTERMATH: Duration = Duration::from_millis(300);

/// Runs the whole measurement.
///
/// # Errors
/// The measurement could not be made: the gateway did not start, a request failed for good. What the gateway did wrong
/// with requests that it acknowledged is in the report.
pub async fn measure(settings: &Settings) -> Result<Report> {
    let start = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?.as_nanos() as u64;
    let corpus = Corpus::new(settings.seed, start);
    let plan = settings.plan(&corpus)?;
    let requests = plan.all_requests(settings.runs);
    let sink = Sink::start(plan.sink_delay, Ledger::new(requests * plan.shape.records as u64)).await?;
    let gateway = Gateway::start(&Launch {
        program: &settings.gateway,
        cpus: &settings.gateway_cpu,
        threads: settings.gateway_threads,
        sink: sink.address(),
        compression: settings.bulk_compression.name(),
        extra: "",
    })
    .await?;

    let rounds = match rounds(settings, &plan, &corpus, &sink, &gateway).await {
        Ok(rounds) => rounds,
        Err(fault) => {
            return Err(fault.context(format!("the gateway's log ends with:\n{}", gateway.log_tail())));
        }
    };
    let mut faults = Vec::new();
    tokio::time::sleep(AFTERMATH).await;
    let sent = requests * plan.shape.records as u64;
    let delivered = gateway.delivered().await?;
    if delivered.is_some_and(|count| count != sent) {
        faults.push(format!("the gateway's ledger says {delivered:?} records delivered, not {sent}"));
    }
    if let Err(fault) = gateway.stop().await {
        faults.push(format!("{fault:#}"));
    }
    let ledger = sink.ledger();
    let mut ledger = ledger.lock();
    faults.extend(Expectation { corpus: &corpus, shape: plan.shape, requests }.faults(&mut ledger));
    let mut indices: Vec<(String, u64)> = ledger.indices.drain().collect();
    indices.sort();
    let (ids, _) = ledger.ids();
    let samples = ledger.samples.len();
    Ok(Report { plan, rounds, faults, sent, delivered, indices, ids, samples })
}

async fn rounds(
    settings: &Settings,
    plan: &Plan,
    corpus: &Corpus,
    sink: &Sink,
    gateway: &Gateway,
) -> Result<Vec<Round>> {
    let ports = gateway.ports();
    let mut load = Load::connect(Sending {
        protocol: settings.protocol,
        address: match settings.protocol {
            Protocol::OtlpGrpc => ports.grpc,
            Protocol::OtlpHttp => ports.http,
            Protocol::Ndjson => ports.json,
            Protocol::Bulk => ports.elasticsearch,
            Protocol::Beats => ports.beats,
        },
        connections: plan.connections,
        in_flight: plan.in_flight,
        frame_bytes: settings.frame_bytes,
        gzip: settings.gzip,
    })
    .await?;
    load.send(plan.shape.bodies(corpus, 0, plan.warmup_requests)?).await.context("warming up")?;
    let mut first = plan.warmup_requests;
    let mut rounds = Vec::new();
    for _ in 0..settings.runs {
        let bodies = plan.shape.bodies(corpus, first, plan.requests)?;
        first += plan.requests;
        let bytes_in = bodies.iter().map(|body| body.len() as u64).sum();
        let (bulks_before, bytes_before, wire_before) = sink_totals(sink);
        let cpu_before = Cpu::of_tree(gateway.pid())?;
        let sent = load.send(bodies).await?;
        let cpu = Cpu::of_tree(gateway.pid())?.since(cpu_before);
        let (bulks, bytes_out, wire_out) = sink_totals(sink);
        rounds.push(Round {
            records: plan.requests * plan.shape.records as u64,
            cpu,
            wall: sent.wall,
            p50: sent.percentile(50.0),
            p99: sent.percentile(99.0),
            retries: sent.retries,
            peak_memory: cpu::peak_memory(gateway.pid())?,
            bytes_in,
            bulks: bulks - bulks_before,
            bytes_out: bytes_out - bytes_before,
            wire_out: wire_out - wire_before,
        });
    }
    Ok(rounds)
}

fn sink_totals(sink: &Sink) -> (u64, u64, u64) {
    let ledger = sink.ledger();
    let ledger = ledger.lock();
    (ledger.bulks, ledger.bytes, ledger.wire_bytes)
}
