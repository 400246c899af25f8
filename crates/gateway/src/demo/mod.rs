//! `forebay demo`: a gateway that needs no server, a realistic mix sent through its real ports, and a table of where it went.
//!
//! The gateway runs as a process of its own, so that the CPU time shown is its alone.

mod client;
mod gateway;
mod mix;
mod table;

use crate::terminal::say;
use crate::version::VERSION;
use anyhow::{Context as _, bail};
use clap::Args;
use client::Client;
use gateway::Gateway;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Records per request.
const BATCH: u64 = 500;
/// Requests on their way at once, of each protocol.
const IN_FLIGHT: usize = 8;

/// Settings of the demo.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Stop after the table instead of serving until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// How many records to send; half by OTLP/gRPC, half as JSON lines.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1_000..=50_000_000))]
    records: u64,
    /// Where the demo keeps its files. It is emptied first if an earlier demo made it.
    #[arg(long, default_value = "demo-data")]
    dir: PathBuf,
}

/// Runs the demo.
pub fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(demonstrate(args))
}

/// A SIGTERM ends the demo and, with it, its gateway, which would otherwise stay behind.
async fn demonstrate(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        shown = show(args) => shown,
        _ = terminate.recv() => bail!("ended by SIGTERM"),
    }
}

async fn show(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let mut gateway = Gateway::start(&args.dir).await?;
    say(&format!("Forebay {} is running; its configuration is {}", VERSION, gateway.config.display()));
    say(&format!(
        "  OTLP gRPC {}   OTLP HTTP {}   JSON {}",
        gateway.otlp_grpc, gateway.otlp_http, gateway.json
    ));
    say(&format!("  metrics http://{}/metrics", gateway.admin));
    let begin = Instant::now();
    let sent = send(&gateway, args.records).await?;
    let took = begin.elapsed();
    let report = table::Report::gather(&gateway, sent, took)?;
    say(&report.to_string());
    if !args.once {
        say("Still serving. Try it:");
        say(&format!(
            "  curl -d '{{\"component\":\"security\",\"severity\":\"critical\",\"message\":\"hello\"}}' http://{}/",
            gateway.json
        ));
        say("Ctrl-C ends it.");
        tokio::signal::ctrl_c().await?;
    }
    say("Draining ...");
    let last = gateway.stop().await?;
    say(&format!("Ledger at exit: {last}"));
    Ok(if report.complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sends the mix and waits for every answer. Returns how many records were acknowledged.
async fn send(gateway: &Gateway, records: u64) -> anyhow::Result<u64> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} records  {per_sec}  {elapsed}")?;
    let progress = ProgressBar::new(records).with_style(style);
    let half = (records / 2).div_ceil(BATCH);
    let requests = records.div_ceil(BATCH);
    let (grpc, http) = (Client::otlp(gateway.otlp_grpc), Client::json(gateway.json));
    let otlp = client::spread(0..half, IN_FLIGHT, |request| {
        let (client, progress) = (grpc.clone(), progress.clone());
        async move {
            let records = size_of_request(request, records);
            client.export(mix::otlp(request * BATCH, records)).await?;
            progress.inc(records);
            anyhow::Ok(records)
        }
    });
    let json = client::spread(half..requests, IN_FLIGHT, |request| {
        let (client, progress) = (http.clone(), progress.clone());
        async move {
            let records = size_of_request(request, records);
            client.post_lines(mix::json(request * BATCH, records)).await?;
            progress.inc(records);
            anyhow::Ok(records)
        }
    });
    let both = async { tokio::try_join!(otlp, json) };
    let (otlp, json) =
        tokio::time::timeout(Duration::from_secs(600), both).await.context("no answer for ten minutes")??;
    progress.finish();
    Ok(otlp + json)
}

fn size_of_request(request: u64, records: u64) -> u64 {
    BATCH.min(records - request * BATCH)
}
