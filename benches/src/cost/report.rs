//! What durable acknowledgement costs, as a table.

use std::fmt::Write;
use std::time::Duration;

use super::{CostSettings, Mode};
use crate::cpu::Cpu;

/// What is written without compression may differ from what was accepted by this part of it.
const WRITTEN_WITHIN: f64 = 0.1;

/// One run of one mode.
#[derive(Debug)]
pub struct Run {
    pub records: u64,
    /// CPU time of the gateway from the first byte until everything was delivered.
    pub cpu: Cpu,
    pub wall: Duration,
    /// From first byte to acknowledgement.
    pub p50: Duration,
    pub p99: Duration,
    pub retries: u64,
    /// Bytes of the requests.
    pub accepted: u64,
    pub syncs: f64,
    /// Bytes written to the journal.
    pub written: f64,
}

impl Run {
    /// CPU-seconds per million records.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.cpu.total().as_secs_f64() * 1e6 / self.records as f64
    }

    fn written_part(&self) -> f64 {
        self.written / self.accepted as f64
    }
}

/// All runs of one mode.
#[derive(Debug)]
pub struct Course {
    pub mode: Mode,
    pub runs: Vec<Run>,
}

impl Course {
    fn median(&self, of: impl Fn(&Run) -> f64) -> f64 {
        median(self.runs.iter().map(of))
    }
}

/// The measurement.
#[derive(Debug)]
pub struct Cost {
    /// In the order of [`Mode::ALL`].
    pub courses: Vec<Course>,
    /// Everything that was not as it must be; empty is good.
    pub faults: Vec<String>,
    /// The kernel's number of the file system.
    pub file_system: u64,
}

impl Cost {
    /// The median over the runs of this mode's cost over that of the memory's run beside it.
    fn ratio(&self, course: &Course) -> f64 {
        let Some(memory) = self.courses.first() else { return f64::NAN };
        median(course.runs.iter().zip(&memory.runs).map(|(run, memory)| run.cost() / memory.cost()))
    }

    /// Why the measurement fails, if it does.
    #[must_use]
    pub fn failures(&self, settings: &CostSettings) -> Vec<String> {
        let mut failures = self.faults.clone();
        for course in self.courses.iter().filter(|course| course.mode == Mode::Durable) {
            let part = course.median(Run::written_part);
            if (part - 1.0).abs() > WRITTEN_WITHIN {
                failures.push(format!("the journal wrote {part:.3} of the bytes that were accepted"));
            }
            let ratio = self.ratio(course);
            if settings.most.is_some_and(|most| ratio > most) {
                failures.push(format!("durable costs {ratio:.3} of memory"));
            }
        }
        failures
    }

    /// The table.
    #[must_use]
    pub fn table(&self, settings: &CostSettings) -> String {
        let mut text = String::new();
        // Writing to a `String` cannot fail.
        let _ = self.write(&mut text, settings);
        text
    }

    fn write(&self, text: &mut String, settings: &CostSettings) -> std::fmt::Result {
        let runs = || self.courses.iter().flat_map(|course| &course.runs);
        let (bytes, records) =
            runs().fold((0, 0), |(bytes, records), run| (bytes + run.accepted, records + run.records));
        writeln!(
            text,
            "cost of safety: otlp-grpc, {}, {} records/request, {:.1} B/record, no compression on the wire, acks awaited, {} x {} in flight",
            match settings.rate {
                rate if rate > 0.0 => format!("{rate:.0} records/s offered"),
                _ => "as fast as acknowledged".to_owned(),
            },
            settings.records_per_request,
            bytes as f64 / records as f64,
            settings.connections,
            settings.in_flight
        )?;
        writeln!(
            text,
            "  {} runs of {} requests in turn; gateway {} thread(s) and its journal on cpu {}; file system {:#x}",
            settings.runs,
            settings.requests,
            settings.gateway_threads,
            settings.gateway_cpu,
            self.file_system
        )?;
        writeln!(
            text,
            "{:>12} {:>6} {:>8} {:>7} {:>7} {:>7} {:>10} {:>8} {:>8} {:>7} {:>8} {:>9}",
            "mode",
            "run",
            "CPU-s/M",
            "user",
            "sys",
            "ratio",
            "records/s",
            "p50 ms",
            "p99 ms",
            "retries",
            "syncs/s",
            "written"
        )?;
        for course in &self.courses {
            for (number, run) in course.runs.iter().enumerate() {
                self.write_line(
                    text,
                    course,
                    &(number + 1).to_string(),
                    |of| of(run),
                    |memory| run.cost() / memory[number],
                )?;
            }
        }
        for course in &self.courses {
            self.write_line(text, course, "median", |of| course.median(of), |_| self.ratio(course))?;
        }
        writeln!(
            text,
            "  CPU until everything is delivered; ratio to the memory's run beside it; written in parts of the bytes accepted"
        )
    }

    fn write_line(
        &self,
        text: &mut String,
        course: &Course,
        name: &str,
        value: impl Fn(&dyn Fn(&Run) -> f64) -> f64,
        ratio: impl Fn(&[f64]) -> f64,
    ) -> std::fmt::Result {
        let memory: Vec<f64> =
            self.courses.first().map_or(Vec::new(), |course| course.runs.iter().map(Run::cost).collect());
        let per_million = |time: Duration, run: &Run| time.as_secs_f64() * 1e6 / run.records as f64;
        writeln!(
            text,
            "{:>12} {:>6} {:>8.3} {:>7.3} {:>7.3} {:>7.3} {:>10.0} {:>8.1} {:>8.1} {:>7.0} {:>8.1} {:>9.3}",
            course.mode.name(),
            name,
            value(&Run::cost),
            value(&|run| per_million(run.cpu.user, run)),
            value(&|run| per_million(run.cpu.system, run)),
            ratio(&memory),
            value(&|run| run.records as f64 / run.wall.as_secs_f64()),
            value(&|run| run.p50.as_secs_f64() * 1e3),
            value(&|run| run.p99.as_secs_f64() * 1e3),
            value(&|run| run.retries as f64),
            value(&|run| run.syncs / run.wall.as_secs_f64()),
            value(&Run::written_part),
        )
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
