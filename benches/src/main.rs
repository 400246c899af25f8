//! `forebay-bench`: the gateway end to end, with a load generator and a bulk sink of its own. See `benches/README.md`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use forebay_bench::report::Report;
use forebay_bench::settings::Settings;
use forebay_bench::{cpu, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// A program for people: its result belongs on the terminal.
#[allow(clippy::print_stdout, clippy::print_stderr)]
fn main() -> ExitCode {
    let settings = Settings::parse();
    let report = match measure(&settings) {
        Ok(report) => report,
        Err(fault) => {
            eprintln!("FAILED: {fault:#}");
            return ExitCode::FAILURE;
        }
    };
    let failures = report.failures(settings.limit);
    print!("{}", report.table(&settings));
    println!("{}", report.json(&settings, &failures));
    for failure in &failures {
        eprintln!("FAILED: {failure}");
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn measure(settings: &Settings) -> Result<Report> {
    cpu::pin_self(&settings.load_cpu)?;
    // One thread: load generator and sink share a core, and the sink's counts need no contention.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("the runtime")?;
    runtime.block_on(run::measure(settings))
}
