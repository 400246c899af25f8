//! A virtual environment with the Python clients that users have: the OpenTelemetry SDK, python-json-logger, requests.

use crate::{cache, process};
use anyhow::{Context, Result};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Exact versions, dependencies included.
const REQUIREMENTS: &str = include_str!("../python/requirements.txt");

/// For machines whose Python has no `ensurepip`.
const VIRTUALENV: &str = "virtualenv==21.15.7";

/// The environment's interpreter.
#[derive(Clone, Debug)]
pub struct Python {
    interpreter: PathBuf,
}

impl Python {
    /// Creates the environment on first use.
    pub fn install() -> Result<Self> {
        let folder = cache::install("python", REQUIREMENTS, |place| {
            create(place)?;
            let requirements = place.join("requirements.txt");
            std::fs::write(&requirements, REQUIREMENTS)?;
            let mut pip = Command::new(place.join("bin/python"));
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
                .arg(&requirements);
            process::run(&mut pip).map(drop)
        })?;
        Ok(Self { interpreter: folder.join("bin/python") })
    }

    /// The interpreter's path.
    pub fn interpreter(&self) -> &Path {
        &self.interpreter
    }

    /// Runs a script of `tests/python` to its end.
    pub fn run(&self, script: &str, args: &[&str]) -> Result<Output> {
        process::run(&mut self.command(script, args))
    }

    /// As [`run`](Self::run), with `input` on standard input.
    pub fn run_with_input(&self, script: &str, args: &[&str], input: &str) -> Result<Output> {
        let mut file = tempfile::tempfile()?;
        file.write_all(input.as_bytes())?;
        file.rewind()?;
        process::run(self.command(script, args).stdin(file))
    }

    /// The command of [`run`](Self::run), for tests that let a client run beside other things.
    pub fn command(&self, script: &str, args: &[&str]) -> Command {
        let mut command = Command::new(&self.interpreter);
        command.arg(scripts().join(script)).args(args);
        // No __pycache__ in the checkout; times without a zone are UTC on every machine; no proxy towards loopback.
        // Nor authorities of the machine's: requests would prefer them to those that an exporter is given.
        command.env_remove("REQUESTS_CA_BUNDLE").env_remove("CURL_CA_BUNDLE");
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("TZ", "UTC").env("NO_PROXY", "127.0.0.1");
        command
    }
}

/// The last line of a script's output: its summary, one JSON object.
pub fn summary(output: &Output) -> Result<serde_json::Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().context("the script printed nothing")?;
    serde_json::from_str(line).with_context(|| format!("not a summary: {line}"))
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}

/// An empty environment with pip. Debian keeps `ensurepip` in a package of its own; where that is not installed,
/// `virtualenv` brings its own pip.
fn create(place: &Path) -> Result<()> {
    let venv = process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(place));
    let Err(error) = venv else { return Ok(()) };
    with_virtualenv(place)
        .with_context(|| format!("no Python environment: install the package python3-venv ({error:#})"))
}

fn with_virtualenv(place: &Path) -> Result<()> {
    let modules = tempfile::tempdir()?;
    let mut pip = Command::new("python3");
    // A folder of its own: Debian's Python lets pip change neither the system's modules nor the user's.
    pip.args(["-m", "pip", "install", "--quiet", VIRTUALENV, "--target"]).arg(modules.path());
    process::run(&mut pip)?;
    let mut virtualenv = Command::new("python3");
    virtualenv.args(["-m", "virtualenv", "--quiet", "--clear"]).arg(place).env("PYTHONPATH", modules.path());
    process::run(&mut virtualenv).map(drop)
}
