//! `forebay journal`: what lies in a disk journal that no gateway has open, and what to do when it is damaged.

mod abandoned;
mod check;
mod export;
mod info;
mod repair;

pub use abandoned::unknown_abandoned;

use crate::terminal::complain;
use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use forebay_pipeline::journal::offline::finding::Finding;
use forebay_pipeline::journal::offline::inspect::{Inspection, Reading};
use forebay_pipeline::journal::offline::look::ReadOnly;
use forebay_pipeline::journal::offline::runs::Runs;
use forebay_pipeline::journal::storage::Folder;
use forebay_pipeline::wire::WireId;
use std::path::PathBuf;
use std::process::ExitCode;

/// The exit code where there is damage.
const EXIT_DAMAGED: u8 = 1;
/// The exit code where nothing could be done.
const EXIT_UNREADABLE: u8 = 2;
/// Runs of numbers that one line tells.
const MOST_RUNS_TOLD: usize = 8;

/// Reads and repairs a disk journal.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Tell what a journal holds, and what each sink is still owed. Changes nothing.
    Info {
        #[command(flatten)]
        place: Place,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Verify every byte: exit code 0 if the journal is sound, 1 if it is damaged, 2 if it cannot be read. Changes nothing.
    Check {
        #[command(flatten)]
        place: Place,
    },
    /// Write bodies as they arrived into files, one for each request, with an index of them. Changes nothing in the journal.
    Export {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        wanted: export::Wanted,
    },
    /// Make a damaged journal sound again: what is sound stays, what is changed or removed is kept in a folder beside it. The
    /// gateway must be stopped.
    Repair {
        /// The journal's folder.
        folder: PathBuf,
        /// Say what would be done, and do nothing (exit code 1 if there is something to do).
        #[arg(long)]
        dry_run: bool,
    },
}

/// A journal to be read.
#[derive(Debug, Args)]
pub struct Place {
    /// The journal's folder, or a copy of it.
    folder: PathBuf,
    /// Read it even while a gateway has it: what is being written may look torn, and what is finished may go meanwhile.
    #[arg(long)]
    force: bool,
}

/// Runs a command.
pub fn run(command: &Command) -> ExitCode {
    let outcome = match command {
        Command::Info { place, json } => info::info(place, *json),
        Command::Check { place } => check::check(place),
        Command::Export { place, wanted } => export::export(place, wanted),
        Command::Repair { folder, dry_run } => repair::repair(folder, *dry_run),
    };
    outcome.unwrap_or_else(|error| {
        complain(&format!("forebay: {error:#}"));
        ExitCode::from(EXIT_UNREADABLE)
    })
}

/// A journal's folder, opened for reading.
struct Source<'p> {
    place: &'p Place,
    folder: ReadOnly<Folder>,
    /// A gateway had it when it was opened.
    in_use: bool,
}

impl<'p> Source<'p> {
    fn open(place: &'p Place) -> Result<Self> {
        let path = place.folder.display();
        let folder = ReadOnly::look(&place.folder).with_context(|| format!("cannot read {path}"))?;
        let in_use = folder.in_use().unwrap_or_else(|error| {
            complain(&format!("{path}: cannot tell whether a gateway has it: {error}"));
            false
        });
        if in_use && !place.force {
            bail!(
                "{path} is in use by a running gateway: stop it, or read a copy, or read it all the same with --force"
            );
        }
        if in_use {
            complain(&format!(
                "{path} is in use by a running gateway: its end may look torn, and what is finished may go meanwhile"
            ));
        }
        Ok(Self { place, folder, in_use })
    }

    fn inspection(&self) -> Result<Inspection<'_, ReadOnly<Folder>>> {
        let path = self.place.folder.display();
        Inspection::of(&self.folder)
            .with_context(|| format!("cannot read {path}"))?
            .with_context(|| format!("{path} holds no journal"))
    }

    fn reading(&self, bodies: bool) -> Reading {
        Reading { bodies, in_use: self.in_use }
    }

    /// To be called after reading: what was said may be wrong if a gateway came.
    fn tell_if_taken(&self) {
        if !self.in_use && self.folder.in_use().unwrap_or(false) {
            complain(&format!(
                "{}: a gateway has started on it meanwhile; what is said here may be out of date",
                self.place.folder.display()
            ));
        }
    }
}

/// RFC 3339 of nanoseconds since 1970.
fn time(nanos: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(nanos)).map(|time| time.to_string()).unwrap_or_default()
}

/// A wire's name, and what its files end with.
fn wire_name(wire: WireId) -> &'static str {
    match wire {
        WireId::OtlpLogs => "otlp",
        WireId::Json => "json",
        WireId::JsonLines => "ndjson",
        WireId::Bulk => "bulk",
        WireId::OtlpTraces => "otlp_traces",
        WireId::OtlpMetrics => "otlp_metrics",
        WireId::RemoteWrite1 => "remote_write_1",
        WireId::RemoteWrite2 => "remote_write_2",
        WireId::Forward => "forward",
        WireId::LokiProto => "loki",
        WireId::Syslog => "syslog",
    }
}

/// Numbers of frames as text: `5 to 7, 9`.
fn numbers(runs: &Runs) -> String {
    let text = |run: &std::ops::Range<u64>| match run.end - run.start {
        1 => run.start.to_string(),
        _ => format!("{} to {}", run.start, run.end - 1),
    };
    let told: Vec<String> = runs.iter().take(MOST_RUNS_TOLD).map(text).collect();
    let more = runs.iter().count().saturating_sub(MOST_RUNS_TOLD);
    let more = if more > 0 { format!(" and {more} more runs") } else { String::new() };
    format!("{}{more}", told.join(", "))
}

/// A finding in one line.
fn line(finding: &Finding) -> String {
    let Finding { file, offset, bytes, what, .. } = finding;
    let lost = finding.lost();
    let lost = match lost.count() {
        0 => String::new(),
        1 => format!("; 1 frame is lost: {}", numbers(&lost)),
        count => format!("; {count} frames are lost: {}", numbers(&lost)),
    };
    format!("{file}:{offset}: {what}; {bytes} bytes{lost}")
}

/// A number of things.
fn count(number: u64, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}
