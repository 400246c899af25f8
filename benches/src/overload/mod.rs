//! More than the gateway can take: what it still delivers, how it refuses the rest, what memory that takes, and how soon all is well
//! again. Twice: with a slow sink, and with too little CPU.

mod report;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::corpus::Corpus;
use crate::cpu::{self, Cpu};
use crate::gateway::{Gateway, Launch};
use crate::load::clients::{self, Open, Told, Traffic};
use crate::sink::{Ledger, Pace, Sink};

pub use report::{Books, Round, Scenario};
pub use settings::{OverloadSettings, Short};

/// Between the last byte of a bulk and the answer of a sink that is fast.
const SINK_DELAY: Duration = Duration::from_millis(5);
/// The beginning of a phase, which does not count: queues fill.
const SETTLING: Duration = Duration::from_secs(2);
/// gRPC connections under overload.
const GRPC_CONNECTIONS: usize = 16;
/// The light load: one request this often.
const PROBE_EVERY: Duration = Duration::from_millis(50);
/// How long the light load goes on before an overload, and after it.
const PROBE_BEFORE: Duration = Duration::from_secs(3);
const PROBE_AFTER: Duration = Duration::from_secs(8);
/// A request of the light load is as usual when it takes no longer than this many times the 99th percentile before, and a little.
const USUAL_TIMES: u32 = 2;
const USUAL_PLUS: Duration = Duration::from_millis(100);
/// How often the gateway's memory is looked at.
const MEMORY_EVERY: Duration = Duration::from_millis(100);
/// For what was given up but had left already.
const AFTERMATH: Duration = Duration::from_secs(2);
/// Warms the gateway up before anything is measured.
const WARMUP: Duration = Duration::from_secs(3);

/// Runs the scenarios that are asked for.
///
/// # Errors
/// One could not be run. What the gateway did wrong is in the scenarios.
pub async fn measure(settings: &OverloadSettings) -> Result<Vec<Scenario>> {
    let all = [Short::Sink, Short::Cpu];
    let mut scenarios = Vec::new();
    for short in all.into_iter().filter(|short| settings.short == Short::Both || settings.short == *short) {
        scenarios.push(scenario(settings, short).await?);
    }
    Ok(scenarios)
}

async fn scenario(settings: &OverloadSettings, short: Short) -> Result<Scenario> {
    let start = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?.as_nanos() as u64;
    let corpus = Corpus::new(settings.seed, start);
    let ledger = Ledger::counting(Traffic::sequences(settings.records_per_request));
    let rate = (short == Short::Sink).then_some(settings.sink_rate);
    let sink = Sink::paced(Pace::of(SINK_DELAY, rate), ledger).await?;
    let gateway = Gateway::start(&Launch {
        program: &settings.gateway,
        cpus: &settings.gateway_cpu,
        threads: settings.gateway_threads,
        sink: sink.address(),
        compression: "none",
        extra: &format!("limits: {{memory: {}MiB}}\n", settings.memory_mib),
    })
    .await?;
    let idle_memory = cpu::resident_memory(gateway.pid())?;
    let ports = gateway.ports();
    let addresses = [ports.grpc, ports.http, ports.json];
    let traffic = Traffic::new(&corpus, settings.records_per_request, !settings.plain, addresses)?;
    let neighbours = if short == Short::Cpu { settings.neighbours } else { 0 };
    let neighbours: Result<Vec<Child>> = (0..neighbours).map(|_| neighbour(&settings.gateway_cpu)).collect();
    let neighbours = neighbours?;

    clients::closed_loop(&traffic, settings.clients, WARMUP).await;
    let warm = traffic.take_told();
    let mut rounds = Vec::new();
    for _ in 0..settings.rounds {
        let round = one_round(settings, &traffic, &gateway).await;
        let tail = || format!("the gateway's log ends with:\n{}", gateway.log_tail());
        rounds.push(round.with_context(tail)?);
    }
    drop(neighbours);
    sleep(AFTERMATH).await;
    let mut faults = Vec::new();
    if let Err(fault) = gateway.stop().await {
        faults.push(format!("{fault:#}"));
    }
    let books = Books::of(&traffic, &sink.ledger().lock());
    let bytes = traffic.mean_bytes() as f64 / traffic.records() as f64;
    let failed = warm.iter().flat_map(|told| told.failed.keys().cloned());
    faults.extend(failed.map(|why| format!("while warming up: {why}")));
    Ok(Scenario { short, rounds, idle_memory, books, bytes_per_record: bytes, faults })
}

/// A process that is always busy. It is killed when dropped.
fn neighbour(cpus: &str) -> Result<Child> {
    let mut command = Command::new("taskset");
    command.args(["-c", cpus, "sh", "-c", "while :; do :; done"]).kill_on_drop(true);
    command.spawn().context("a busy neighbour, with taskset (package util-linux)")
}

async fn one_round(settings: &OverloadSettings, traffic: &Arc<Traffic>, gateway: &Gateway) -> Result<Round> {
    let pid = gateway.pid();
    let usual = clients::probe(traffic, PROBE_EVERY, Instant::now() + PROBE_BEFORE).await;
    let mut usual: Vec<Duration> = usual.into_iter().map(|(_, after, _)| after).collect();
    usual.sort_unstable();
    let usual = usual.get(usual.len() * 99 / 100).copied().unwrap_or_default();

    let capacity = phase(traffic, pid, async {
        clients::closed_loop(traffic, settings.clients, SETTLING).await;
        let _ = traffic.take_told();
        let began = Instant::now();
        let time = Duration::from_secs(settings.capacity_seconds);
        clients::closed_loop(traffic, settings.clients, time).await;
        Ok((began.elapsed(), traffic.take_told()))
    })
    .await?;

    let per_second = capacity.goodput(traffic.records()) * settings.factor;
    let rate = per_second / traffic.records() as f64 / clients::PROTOCOLS.len() as f64;
    let calls = settings.connections.div_ceil(GRPC_CONNECTIONS);
    let open = Open::start(traffic, settings.connections, GRPC_CONNECTIONS, calls).await?;
    let overload = phase(traffic, pid, async {
        open.offer(rate, SETTLING).await;
        let _ = traffic.take_told();
        let began = Instant::now();
        open.offer(rate, Duration::from_secs(settings.seconds)).await;
        Ok((began.elapsed(), traffic.take_told()))
    })
    .await?;

    let ended = Instant::now();
    let (after, ()) = tokio::join!(clients::probe(traffic, PROBE_EVERY, ended + PROBE_AFTER), open.end());
    let (refused, slow) = recovered(&after, usual * USUAL_TIMES + USUAL_PLUS, ended);
    Ok(Round {
        records: traffic.records(),
        capacity,
        overload,
        late: traffic.take_told(),
        usual,
        refused,
        slow,
    })
}

/// From the end of an overload to the last answer to a light load that was a refusal, and to the end of the last second in which
/// most answers came later than `bound`: single late ones happen on any machine.
fn recovered(probes: &[(Instant, Duration, bool)], bound: Duration, ended: Instant) -> (Duration, Duration) {
    let refused = probes.iter().filter(|(.., acknowledged)| !acknowledged);
    let refused = refused.map(|(at, after, _)| *at + *after - ended).max();
    let mut seconds: BTreeMap<u64, (u32, u32)> = BTreeMap::new();
    for (at, after, _) in probes.iter().filter(|(.., acknowledged)| *acknowledged) {
        let (all, late) = seconds.entry((*at - ended).as_secs()).or_default();
        *all += 1;
        *late += u32::from(*after > bound);
    }
    let slow = seconds.iter().filter(|(_, (all, late))| late * 2 > *all).map(|(second, _)| second + 1).max();
    (refused.unwrap_or_default(), Duration::from_secs(slow.unwrap_or(0)))
}

/// What clients were told in one phase, and what it took.
#[derive(Debug)]
pub struct Phase {
    pub time: Duration,
    pub told: [Told; 3],
    /// CPU time of the gateway, in parts of the time.
    pub cpu: f64,
    /// The largest resident set seen, in bytes.
    pub memory: u64,
}

impl Phase {
    /// Records acknowledged a second.
    #[must_use]
    pub fn goodput(&self, records: u64) -> f64 {
        let requests: u64 = self.told.iter().map(|told| told.acknowledged).sum();
        (requests * records) as f64 / self.time.as_secs_f64()
    }

    /// Records offered a second.
    #[must_use]
    pub fn offered(&self, records: u64) -> f64 {
        let requests: u64 = self.told.iter().map(|told| told.offered).sum();
        (requests * records) as f64 / self.time.as_secs_f64()
    }
}

async fn phase(
    traffic: &Arc<Traffic>,
    pid: u32,
    load: impl Future<Output = Result<(Duration, [Told; 3])>>,
) -> Result<Phase> {
    let _ = traffic.take_told();
    let (peak, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut watch = JoinSet::new();
    let (seen, until) = (Arc::clone(&peak), Arc::clone(&ended));
    watch.spawn(async move {
        while !until.load(Relaxed) {
            seen.fetch_max(cpu::resident_memory(pid).unwrap_or(0), Relaxed);
            sleep(MEMORY_EVERY).await;
        }
    });
    let (before, began) = (Cpu::of_tree(pid)?, Instant::now());
    let (time, told) = load.await?;
    let cpu = Cpu::of_tree(pid)?.since(before).total().as_secs_f64() / began.elapsed().as_secs_f64();
    ended.store(true, Relaxed);
    watch.join_all().await;
    Ok(Phase { time, told, cpu, memory: peak.load(Relaxed) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_well_after_the_last_refusal_and_the_last_slow_second() {
        let ended = Instant::now();
        let bound = Duration::from_millis(100);
        let probe = |at: u64, after: u64, acknowledged| {
            (ended + Duration::from_millis(at), Duration::from_millis(after), acknowledged)
        };
        let mut probes: Vec<_> = (0..100).map(|number| probe(50 * number, 20, true)).collect();
        assert_eq!(recovered(&probes, bound, ended), (Duration::ZERO, Duration::ZERO));
        for (number, late) in (60..70).zip(&mut probes[60..70]) {
            *late = probe(50 * number, 200, true);
        }
        assert_eq!(recovered(&probes, bound, ended).1, Duration::ZERO, "half a second is let pass");
        probes[70] = probe(3_500, 200, true);
        assert_eq!(recovered(&probes, bound, ended).1, Duration::from_secs(4));
        probes[80] = probe(4_000, 10, false);
        assert_eq!(recovered(&probes, bound, ended).0, Duration::from_millis(4_010));
    }
}
