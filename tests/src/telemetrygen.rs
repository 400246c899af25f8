//! `telemetrygen`, the OpenTelemetry Collector's own load generator: an OTLP client in Go, so not of our making.

use crate::{cache, process};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::{Command, Output};

const MODULE: &str = "github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen";
const VERSION: &str = "v0.161.0";

/// The program, built on first use.
pub fn install() -> Result<PathBuf> {
    let folder = cache::install("telemetrygen", VERSION, |place| {
        let mut go = Command::new("go");
        go.args(["install", &format!("{MODULE}@{VERSION}")]);
        // The machine's own Go, not one fetched for the purpose; two compilers at a time leave memory for the rest.
        go.env("GOBIN", place).env("GOTOOLCHAIN", "local").env("GOFLAGS", "-p=2").env("CGO_ENABLED", "0");
        process::run(&mut go).context("telemetrygen needs Go (golang)").map(drop)
    })?;
    Ok(folder.join("telemetrygen"))
}

/// Runs it to its end with these arguments, for example
/// `["logs", "--otlp-endpoint", "127.0.0.1:4317", "--otlp-insecure", "--logs", "1000"]`.
pub fn run(args: &[&str]) -> Result<Output> {
    process::run(Command::new(install()?).args(args))
}
