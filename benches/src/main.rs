//! `forebay-bench`: the gateway end to end, with a load generator and a bulk sink of its own. See `benches/README.md`.

// A program for people: its result belongs on the terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use forebay_bench::cost::{self, CostSettings};
use forebay_bench::overload::{self, OverloadSettings};
use forebay_bench::settings::Settings;
use forebay_bench::{cpu, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(name = "forebay-bench", args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Line {
    #[command(subcommand)]
    mode: Option<Mode>,
    #[command(flatten)]
    settings: Option<Settings>,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// More than the gateway can take, with a slow sink and with too little CPU
    Overload(OverloadSettings),
    /// What durable acknowledgement costs, on a real file system
    Cost(CostSettings),
}

fn main() -> ExitCode {
    let line = Line::parse();
    let failures = match line.mode {
        Some(Mode::Overload(settings)) => overloaded(&settings),
        Some(Mode::Cost(settings)) => cost_of_safety(&settings),
        // Without any argument there are no settings; parsing them by themselves says what is missing.
        None => end_to_end(&line.settings.unwrap_or_else(Settings::parse)),
    };
    match failures {
        Ok(failures) if failures.is_empty() => ExitCode::SUCCESS,
        Ok(failures) => {
            failures.iter().for_each(|failure| eprintln!("FAILED: {failure}"));
            ExitCode::FAILURE
        }
        Err(fault) => {
            eprintln!("FAILED: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

fn end_to_end(settings: &Settings) -> Result<Vec<String>> {
    let report = pinned(&settings.load_cpu, run::measure(settings))?;
    let failures = report.failures(settings.limit);
    print!("{}", report.table(settings));
    println!("{}", report.json(settings, &failures));
    Ok(failures)
}

fn overloaded(settings: &OverloadSettings) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    for scenario in pinned(&settings.load_cpu, overload::measure(settings))? {
        print!("{}", scenario.table(settings));
        let of = |failure| format!("short of {:?}: {failure}", scenario.short);
        failures.extend(scenario.failures(settings).into_iter().map(of));
    }
    Ok(failures)
}

fn cost_of_safety(settings: &CostSettings) -> Result<Vec<String>> {
    let cost = pinned(&settings.load_cpu, cost::measure(settings))?;
    print!("{}", cost.table(settings));
    Ok(cost.failures(settings))
}

fn pinned<T>(cpus: &str, measure: impl Future<Output = Result<T>>) -> Result<T> {
    cpu::pin_self(cpus)?;
    // One thread: load generator and sink share a core, and the sink's counts need no contention.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("the runtime")?;
    runtime.block_on(measure)
}
