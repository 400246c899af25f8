//! fluent-logger-golang, with a small program of ours around it (`tests/go/fluent`).

use crate::{cache, process};
use anyhow::{Context, Result};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program, built on first use.
pub fn install() -> Result<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("go/fluent");
    let stamp: Vec<String> = ["go.mod", "main.go"]
        .map(|file| std::fs::read_to_string(sources.join(file)))
        .into_iter()
        .collect::<Result<_, _>>()?;
    let folder = cache::install("fluent", &stamp.concat(), |place| {
        let mut go = Command::new("go");
        go.current_dir(&sources).args(["build", "-o"]).arg(place.join("fluent")).arg(".");
        // The machine's own Go, not one fetched for the purpose; two compilers at a time leave memory for the rest.
        go.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-p=2").env("CGO_ENABLED", "0");
        process::run(&mut go).context("fluent-logger-golang needs Go (golang)").map(drop)
    })?;
    Ok(folder.join("fluent"))
}

/// Sends `events`, lines of what the program reads, to this port of the loopback address. `args` are those of the program: `["-ack=false"]`.
///
/// # Errors
/// Not all of them were sent, or acknowledged where that was asked for.
pub fn send(port: u16, args: &[&str], events: &str) -> Result<Output> {
    let mut input = tempfile::tempfile()?;
    input.write_all(events.as_bytes())?;
    input.rewind()?;
    process::run(Command::new(install()?).args(["-port", &port.to_string()]).args(args).stdin(input))
}
