//! `forebay`: a telemetry gateway that loses nothing it acknowledged.

mod admin;
mod allocator;
mod cgroup;
mod cli;
mod config;
mod demo;
mod dlq;
mod graph;
mod health;
mod journal;
mod logging;
mod memory;
mod rate_limit;
mod receivers;
mod run;
mod settings;
mod source;
mod terminal;
mod version;

use clap::Parser as _;
use std::process::ExitCode;

/// Request bodies and bulks come and go in megabytes on every worker; the system's allocator costs more there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::Cli::parse().run()
}
