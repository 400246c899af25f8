//! What an overload showed: the table, and what of it fails.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::{OverloadSettings, Phase, Short};
use crate::load::clients::{PROTOCOLS, Told, Traffic};
use crate::sink::Ledger;

/// The overload must be this many times the capacity, in truth and not by intention.
const LEAST_OFFERED: f64 = 2.0;
/// The resident set may exceed what it was at rest by the budget and this part of it.
const MEMORY_OVER: f64 = 0.05;
/// All must be well again this long after the overload.
const RECOVERS_WITHIN: Duration = Duration::from_secs(5);

/// Capacity and overload, once.
#[derive(Debug)]
pub struct Round {
    /// Of each request.
    pub records: u64,
    pub capacity: Phase,
    pub overload: Phase,
    /// What came after the overload, the light load included.
    pub late: [Told; 3],
    /// The 99th percentile of a light load before.
    pub usual: Duration,
    /// From the end of the overload until the last refusal of a light load.
    pub refused: Duration,
    /// From the end of the overload until the last answer to a light load that was later than usual.
    pub slow: Duration,
}

impl Round {
    /// Goodput under overload in parts of the capacity.
    #[must_use]
    pub fn kept(&self) -> f64 {
        self.overload.goodput(self.records) / self.capacity.goodput(self.records)
    }

    fn told(&self) -> impl Iterator<Item = &Told> {
        self.capacity.told.iter().chain(&self.overload.told).chain(&self.late)
    }
}

/// What clients were told against what the sink has.
#[derive(Debug, Default)]
pub struct Books {
    pub acknowledged: u64,
    pub delivered: u64,
    /// Records acknowledged more often than they were delivered.
    pub missing: u64,
    pub strangers: u64,
    pub malformed: u64,
}

impl Books {
    /// Compares them, record by record.
    #[must_use]
    pub fn of(traffic: &Traffic, ledger: &Ledger) -> Self {
        let mut books = Self { strangers: ledger.strangers, malformed: ledger.malformed, ..Self::default() };
        for (first, acknowledged) in traffic.acknowledged() {
            for sequence in first..first + traffic.records() {
                let delivered = u64::from(ledger.arrivals(sequence));
                books.acknowledged += acknowledged;
                books.delivered += delivered;
                books.missing += acknowledged.saturating_sub(delivered);
            }
        }
        books
    }
}

/// One thing that is short, and all that was seen.
#[derive(Debug)]
pub struct Scenario {
    pub short: Short,
    pub rounds: Vec<Round>,
    /// The resident set of the gateway before its first request.
    pub idle_memory: u64,
    pub books: Books,
    pub bytes_per_record: f64,
    pub faults: Vec<String>,
}

impl Scenario {
    fn median(&self, of: impl Fn(&Round) -> f64) -> f64 {
        let mut values: Vec<f64> = self.rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn peak(&self) -> u64 {
        let peaks = self.rounds.iter().map(|round| round.capacity.memory.max(round.overload.memory));
        peaks.max().unwrap_or(0)
    }

    /// Everything that is not as it must be; empty is good.
    #[must_use]
    pub fn failures(&self, settings: &OverloadSettings) -> Vec<String> {
        let mut failures = self.faults.clone();
        let offered = self
            .median(|round| round.overload.offered(round.records) / round.capacity.goodput(round.records));
        if offered < LEAST_OFFERED {
            failures.push(format!("only {offered:.2} times the capacity was offered"));
        }
        let kept = self.median(Round::kept);
        if kept.is_nan() || kept < settings.least {
            failures.push(format!("goodput is {kept:.3} of the capacity, not {}", settings.least));
        }
        let grown = self.peak().saturating_sub(self.idle_memory) as f64;
        let bound = (settings.memory_mib << 20) as f64 * (1.0 + MEMORY_OVER);
        if grown > bound {
            failures.push(format!("{:.1} MiB above rest, the bound is {:.1}", mib(grown), mib(bound)));
        }
        // Whether it refuses is up to the gateway alone, in every round. How soon it answers is also up to who else has the
        // machine: one round may meet somebody.
        let refused = self.rounds.iter().map(|round| round.refused).max().unwrap_or_default();
        if refused > RECOVERS_WITHIN {
            failures.push(format!("still refused {:.1} s after the overload", refused.as_secs_f64()));
        }
        let slow = self.median(|round| round.slow.as_secs_f64());
        if slow > RECOVERS_WITHIN.as_secs_f64() {
            failures.push(format!("still slow {slow:.1} s after the overload"));
        }
        let without_time: u64 = self.rounds.iter().flat_map(Round::told).map(|told| told.without_time).sum();
        if without_time > 0 {
            failures.push(format!("{without_time} refusals do not say when to try again"));
        }
        for (why, count) in sums(self.rounds.iter().flat_map(Round::told), |told| &told.failed) {
            failures.push(format!("{count} times no answer to retry by: {why}"));
        }
        let Books { missing, strangers, malformed, .. } = self.books;
        if missing + strangers + malformed > 0 {
            failures.push(format!(
                "{missing} acknowledged records were not delivered, {strangers} delivered that nobody sent, {malformed} malformed bulks"
            ));
        }
        failures
    }

    /// The table.
    #[must_use]
    pub fn table(&self, settings: &OverloadSettings) -> String {
        let mut text = String::new();
        // Writing to a `String` cannot fail.
        let _ = self.write(&mut text, settings);
        text
    }

    fn write(&self, text: &mut String, settings: &OverloadSettings) -> std::fmt::Result {
        let short = match self.short {
            Short::Cpu => format!("CPU ({} busy neighbours)", settings.neighbours),
            Short::Sink | Short::Both => format!("sink ({:.0} records/s)", settings.sink_rate),
        };
        writeln!(
            text,
            "overload, short of {short}: {} s a round, {} records/request, {:.1} B/record as sent, request gzip {}, acks awaited",
            settings.seconds, settings.records_per_request, self.bytes_per_record, !settings.plain
        )?;
        writeln!(
            text,
            "{:>7} {:>11} {:>6} {:>11} {:>11} {:>6} {:>7} {:>9} {:>9} {:>9} {:>8} {:>9} {:>9}",
            "round",
            "capacity/s",
            "cpu",
            "offered/s",
            "goodput/s",
            "cpu",
            "kept",
            "ack p50",
            "ack p99",
            "ref p99",
            "RSS MiB",
            "usual p99",
            "well in s"
        )?;
        for (number, round) in self.rounds.iter().enumerate() {
            let (capacity, overload) = (&round.capacity, &round.overload);
            writeln!(
                text,
                "{:>7} {:>11.0} {:>6.2} {:>11.0} {:>11.0} {:>6.2} {:>7.3} {:>9.1} {:>9.1} {:>9.1} {:>8.1} {:>9.1} {:>9.2}",
                number + 1,
                capacity.goodput(round.records),
                capacity.cpu,
                overload.offered(round.records),
                overload.goodput(round.records),
                overload.cpu,
                round.kept(),
                percentile(&overload.told, 50, |told| &told.acknowledged_after),
                percentile(&overload.told, 99, |told| &told.acknowledged_after),
                percentile(&overload.told, 99, |told| &told.refused_after),
                mib(overload.memory as f64),
                round.usual.as_secs_f64() * 1e3,
                round.refused.max(round.slow).as_secs_f64(),
            )?;
        }
        writeln!(text, " median of goodput/capacity {:.3}; times in ms", self.median(Round::kept))?;
        writeln!(
            text,
            "  memory   {:.1} MiB at rest, {:.1} at most, so {:.1} above rest; budget {} MiB",
            mib(self.idle_memory as f64),
            mib(self.peak() as f64),
            mib(self.peak().saturating_sub(self.idle_memory) as f64),
            settings.memory_mib
        )?;
        self.write_told(text)?;
        writeln!(
            text,
            "  books    {} records acknowledged, {} delivered; {} acknowledged and not delivered",
            self.books.acknowledged, self.books.delivered, self.books.missing
        )
    }

    fn write_told(&self, text: &mut String) -> std::fmt::Result {
        for (at, protocol) in PROTOCOLS.iter().enumerate() {
            let told = || self.rounds.iter().map(move |round| &round.overload.told[at]);
            let sum = |of: fn(&Told) -> u64| told().map(of).sum::<u64>();
            writeln!(
                text,
                "  {protocol:?}: under overload {} requests, {} acknowledged; {} more found no client free",
                sum(|told| told.offered),
                sum(|told| told.acknowledged),
                sum(|told| told.unsent)
            )?;
            for (why, count) in sums(told(), |told| &told.refused) {
                writeln!(text, "  {count:>10}  {why}")?;
            }
        }
        Ok(())
    }
}

fn sums<'t>(
    told: impl Iterator<Item = &'t Told>,
    of: impl Fn(&Told) -> &BTreeMap<String, u64>,
) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for told in told {
        for (why, count) in of(told) {
            *sums.entry(why.clone()).or_default() += count;
        }
    }
    sums
}

/// In milliseconds.
fn percentile(told: &[Told; 3], percent: usize, of: impl Fn(&Told) -> &Vec<u64>) -> f64 {
    let mut all: Vec<u64> = told.iter().flat_map(|told| of(told).iter().copied()).collect();
    all.sort_unstable();
    all.get(all.len().saturating_sub(1) * percent / 100).map_or(f64::NAN, |micros| *micros as f64 / 1e3)
}

fn mib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}
