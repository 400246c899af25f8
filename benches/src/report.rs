//! What was measured, as a table for people and one line of JSON for programs.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::cpu::Cpu;
use crate::load::Protocol;
use crate::settings::{Plan, Settings};

/// With less CPU time than this in a run, the 10 ms of a clock tick are more than 5 % of it.
const COARSE: Duration = Duration::from_millis(200);

/// One run.
#[derive(Debug, Clone)]
pub struct Round {
    pub records: u64,
    /// CPU time of the gateway from the first byte to the last acknowledgement.
    pub cpu: Cpu,
    pub wall: Duration,
    /// Time from first byte of a request to its acknowledgement.
    pub p50: Duration,
    pub p99: Duration,
    pub retries: u64,
    /// Largest resident set of the gateway so far, in bytes.
    pub peak_memory: u64,
    /// Bytes of request bodies as sent.
    pub bytes_in: u64,
    pub bulks: u64,
    /// Bytes of bulk bodies, uncompressed.
    pub bytes_out: u64,
    /// Bytes of bulk bodies as they came.
    pub wire_out: u64,
}

impl Round {
    fn per_million(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.records as f64
    }

    /// CPU-seconds of the gateway per million records.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.per_million(self.cpu.total())
    }

    fn rate(&self) -> f64 {
        self.records as f64 / self.wall.as_secs_f64()
    }

    fn each(&self, bytes: u64) -> f64 {
        bytes as f64 / self.records as f64
    }

    fn json(&self) -> Json {
        json!({
            "cpu_s_per_million": rounded(self.cost()),
            "user_s_per_million": rounded(self.per_million(self.cpu.user)),
            "system_s_per_million": rounded(self.per_million(self.cpu.system)),
            "records_per_second": self.rate().round(),
            "ack_p50_ms": rounded(millis(self.p50)),
            "ack_p99_ms": rounded(millis(self.p99)),
            "retries": self.retries,
            "peak_rss_bytes": self.peak_memory,
            "bytes_in_per_record": rounded(self.each(self.bytes_in)),
            "bytes_out_per_record": rounded(self.each(self.bytes_out)),
            "wire_bytes_out_per_record": rounded(self.each(self.wire_out)),
            "bulks": self.bulks,
        })
    }
}

/// The measurement and its verdict.
#[derive(Debug)]
pub struct Report {
    pub plan: Plan,
    pub rounds: Vec<Round>,
    /// Everything that was not as it must be; empty is good.
    pub faults: Vec<String>,
    /// Records sent, warm-up included.
    pub sent: u64,
    /// What the gateway's own ledger says was delivered, if it says so.
    pub delivered: Option<u64>,
    pub indices: Vec<(String, u64)>,
    /// Documents that came with an `_id`.
    pub ids: u64,
    /// Documents compared with the oracle.
    pub samples: usize,
}

impl Report {
    /// The run of median cost (of an even number, the dearer of the two in the middle).
    #[must_use]
    pub fn median(&self) -> Option<&Round> {
        let mut rounds: Vec<&Round> = self.rounds.iter().collect();
        rounds.sort_by(|one, other| one.cost().total_cmp(&other.cost()));
        rounds.get(rounds.len() / 2).copied()
    }

    /// Why the measurement fails, if it does: the faults, and a median above `limit`.
    #[must_use]
    pub fn failures(&self, limit: Option<f64>) -> Vec<String> {
        let mut failures = self.faults.clone();
        if let (Some(limit), Some(median)) = (limit, self.median())
            && median.cost() > limit
        {
            failures.push(format!("{:.3} CPU-s per million records, the limit is {limit}", median.cost()));
        }
        failures
    }

    /// The table.
    #[must_use]
    pub fn table(&self, settings: &Settings) -> String {
        let mut text = String::new();
        // Writing to a `String` cannot fail.
        let _ = self.write_settings(&mut text, settings);
        let _ = writeln!(
            text,
            "{:>7} {:>9} {:>7} {:>7} {:>10} {:>8} {:>8} {:>8} {:>9} {:>7} {:>7}",
            "run",
            "CPU-s/M",
            "user",
            "sys",
            "records/s",
            "p50 ms",
            "p99 ms",
            "retries",
            "peak MiB",
            "B in",
            "B out"
        );
        for (number, round) in self.rounds.iter().enumerate() {
            let _ = write_round(&mut text, &(number + 1).to_string(), round);
        }
        if let Some(median) = self.median() {
            let _ = write_round(&mut text, "median", median);
            if median.cpu.total() < COARSE {
                let _ = writeln!(text, "CPU time is read to 10 ms: use more --records for a finer figure");
            }
        }
        let _ = self.write_books(&mut text);
        text
    }

    fn write_settings(&self, text: &mut String, settings: &Settings) -> std::fmt::Result {
        let plan = &self.plan;
        let shape = &plan.shape;
        let compression = |on: bool| if on { "gzip" } else { "none" };
        writeln!(text, "{} -> elasticsearch bulk, seed {}", shape.protocol.name(), settings.seed)?;
        let shortened = if plan.shortened { " (fewer than asked: --max-body-mib)" } else { "" };
        writeln!(
            text,
            "  load     {} records/request, {} requests/run{shortened}, {} to warm up, compression {}, \
             zstd ratio {:.2}",
            shape.records,
            plan.requests,
            plan.warmup_requests,
            compression(shape.gzip),
            plan.entropy
        )?;
        let frames = match shape.protocol {
            Protocol::OtlpGrpc => format!("HTTP/2 frames of {} bytes", settings.frame_bytes),
            Protocol::Beats => "windows of Lumberjack".into(),
            Protocol::OtlpHttp | Protocol::Ndjson | Protocol::Bulk => "HTTP/1.1 keep-alive".into(),
        };
        writeln!(
            text,
            "  wire     {} connections x {} in flight, {frames}, acks awaited",
            plan.connections, plan.in_flight
        )?;
        writeln!(
            text,
            "  gateway  {} thread(s) on cpu {}, bulk compression {}; load and sink on cpu {}, \
             sink answers after {} ms",
            settings.gateway_threads,
            settings.gateway_cpu,
            settings.bulk_compression.name(),
            settings.load_cpu,
            plan.sink_delay.as_millis()
        )
    }

    fn write_books(&self, text: &mut String) -> std::fmt::Result {
        for (index, count) in &self.indices {
            writeln!(text, "  {count:>10}  {index}")?;
        }
        let delivered = self.delivered.map_or("not exported".into(), |count| count.to_string());
        writeln!(
            text,
            "  {} sent, gateway's ledger: {delivered}; {} ids compared with each other, {} documents with the oracle",
            self.sent, self.ids, self.samples
        )
    }

    /// One line of JSON with the settings, each run and the median.
    #[must_use]
    pub fn json(&self, settings: &Settings, failures: &[String]) -> Json {
        let plan = &self.plan;
        json!({
            "bench": "end_to_end",
            "protocol": plan.shape.protocol.name(),
            "seed": settings.seed,
            "records_per_request": plan.shape.records,
            "requests": plan.requests,
            "warmup_requests": plan.warmup_requests,
            "zstd_ratio": rounded(plan.entropy),
            "request_gzip": plan.shape.gzip,
            "bulk_compression": settings.bulk_compression.name(),
            "acks": true,
            "connections": plan.connections,
            "in_flight": plan.in_flight,
            "frame_bytes": (plan.shape.protocol == Protocol::OtlpGrpc).then_some(settings.frame_bytes),
            "sink_delay_ms": settings.sink_delay,
            "gateway_threads": settings.gateway_threads,
            "gateway_cpu": settings.gateway_cpu,
            "load_cpu": settings.load_cpu,
            "runs": self.rounds.iter().map(Round::json).collect::<Vec<Json>>(),
            "median": self.median().map(Round::json),
            "limit_cpu_s_per_million": settings.limit,
            "sent": self.sent,
            "ledger_delivered": self.delivered,
            "samples_compared": self.samples,
            "failures": failures,
        })
    }
}

fn write_round(text: &mut String, name: &str, round: &Round) -> std::fmt::Result {
    writeln!(
        text,
        "{name:>7} {:>9.3} {:>7.3} {:>7.3} {:>10.0} {:>8.1} {:>8.1} {:>8} {:>9.1} {:>7.1} {:>7.1}",
        round.cost(),
        round.per_million(round.cpu.user),
        round.per_million(round.cpu.system),
        round.rate(),
        millis(round.p50),
        millis(round.p99),
        round.retries,
        round.peak_memory as f64 / f64::from(1 << 20),
        round.each(round.bytes_in),
        round.each(round.wire_out),
    )
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Three decimals, so that lines can be compared by eye.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::Parser;

    use super::*;
    use crate::corpus::Corpus;

    fn round(cpu_millis: u64) -> Round {
        Round {
            records: 500_000,
            cpu: Cpu { user: Duration::from_millis(cpu_millis), system: Duration::ZERO },
            wall: Duration::from_secs(1),
            p50: Duration::from_millis(24),
            p99: Duration::from_millis(50),
            retries: 0,
            peak_memory: 64 << 20,
            bytes_in: 335 * 500_000,
            bulks: 100,
            bytes_out: 777 * 500_000,
            wire_out: 777 * 500_000,
        }
    }

    #[test]
    fn the_median_is_told_and_judged() {
        let settings = Settings::parse_from(["forebay-bench", "--gateway", "x"]);
        let report = Report {
            plan: settings.plan(&Corpus::new(1, 1)).unwrap(),
            rounds: vec![round(900), round(250), round(300)],
            faults: Vec::new(),
            sent: 1_600_000,
            delivered: Some(1_600_000),
            indices: vec![("project-ai-logs-2026.11.21".into(), 1_600_000)],
            ids: 1_600_000,
            samples: 1_600,
        };
        assert_eq!(report.median().unwrap().cost(), 0.6);
        assert!(report.failures(Some(0.6)).is_empty());
        assert_eq!(report.failures(Some(0.59)).len(), 1);
        let table = report.table(&settings);
        assert!(table.contains(" median     0.600   0.600   0.000     500000     24.0     50.0"), "{table}");
        let line = report.json(&settings, &[]);
        assert_eq!(line["median"]["bytes_out_per_record"], 777.0);
        assert_eq!(line["runs"].as_array().unwrap().len(), 3);
    }
}
