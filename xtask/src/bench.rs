//! `cargo xtask bench`: the end-to-end bench around the binary as it is shipped.

use crate::report::Outcome;
use crate::{command, dist};
use anyhow::{Context, Result};
use std::os::unix::process::CommandExt;
use std::process::Command;

#[derive(clap::Args)]
pub struct Options {
    /// Handed to forebay-bench as they are; `--help` there lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Does not return on success: the bench takes this process's place, so that nothing of ours runs beside it.
///
/// # Errors
/// A build failed, or the bench cannot be started.
pub fn run(options: &Options) -> Result<()> {
    start(None, options)
}

/// The same in one of the bench's other modes.
///
/// # Errors
/// As [`run`].
pub fn run_mode(mode: &str, options: &Options) -> Result<()> {
    start(Some(mode), options)
}

/// A short overload, as a step of the tests, around the gateway that they have built anyhow. Its figures say nothing; their ratios do,
/// with more room than the full run leaves.
///
/// # Errors
/// As [`run`], or the gateway did worse than it must.
pub fn overload_slice() -> Result<Outcome> {
    let build = ["build", "--quiet", "--package", "forebay", "--package", "forebay-bench", "--bins"];
    command::show(&mut command::cargo(&build))?;
    let mut bench = Command::new(command::built("dev", "forebay-bench"));
    // An unoptimised build with a quarter of a CPU takes seconds to come to rest; with half of one it does not.
    bench.args([
        "overload",
        "--rounds",
        "3",
        "--seconds",
        "8",
        "--capacity-seconds",
        "6",
        "--least",
        "0.85",
        "--neighbours",
        "1",
    ]);
    command::show(bench.arg("--gateway").arg(command::built("dev", "forebay")))?;
    Ok(Outcome::Passed)
}

fn start(mode: Option<&str>, options: &Options) -> Result<()> {
    let gateway = dist::build()?;
    let mut bench = Command::new(dist::bench()?);
    bench.args(mode).args(&options.arguments).arg("--gateway").arg(gateway);
    Err(bench.current_dir(command::root()).exec()).context("cannot start forebay-bench")
}
