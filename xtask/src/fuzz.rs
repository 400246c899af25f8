//! `cargo xtask fuzz`: cargo-fuzz on the targets of `fuzz/`.

use crate::command;
use crate::report::Outcome;
use anyhow::{Context, Result, ensure};
use std::process::Command;

const CARGO_FUZZ_VERSION: &str = "0.13.2";

#[derive(clap::Args)]
pub struct Options {
    /// A target of fuzz/
    target: String,
    /// How long to look, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

pub fn run(options: &Options) -> Result<()> {
    if !installed() {
        command::install_tool("cargo-fuzz", CARGO_FUZZ_VERSION)?;
    }
    fuzz(&options.target, options.seconds)
}

/// Every target for a few seconds: finds what has just been broken, not what hides.
pub fn slice(seconds_each: u32) -> Result<Outcome> {
    if !command::root().join("fuzz/Cargo.toml").exists() {
        return Ok(Outcome::Skipped("no folder fuzz/".to_owned()));
    }
    if !installed() {
        return Ok(Outcome::Skipped("no `cargo +nightly fuzz`; `cargo xtask fuzz` installs it".to_owned()));
    }
    let list = nightly_fuzz(&["list"])?.output()?;
    ensure!(list.status.success(), "cargo fuzz list: {}", String::from_utf8_lossy(&list.stderr));
    for target in String::from_utf8(list.stdout)?.split_whitespace() {
        fuzz(target, seconds_each)?;
    }
    Ok(Outcome::Passed)
}

fn fuzz(target: &str, seconds: u32) -> Result<()> {
    let limit = format!("-max_total_time={seconds}");
    // One figure for each input it learns from would bury the output of all steps before.
    let quiet = ["-verbosity=0", "-print_final_stats=1"];
    command::show(nightly_fuzz(&["run", target, "--", &limit])?.args(quiet))
        .with_context(|| format!("fuzz target {target} found something, see fuzz/artifacts/{target}"))
}

fn installed() -> bool {
    nightly_fuzz(&["--version"]).is_ok_and(|mut probe| command::succeeds(&mut probe))
}

fn nightly_fuzz(args: &[&str]) -> Result<Command> {
    let mut cargo = command::cargo_tool(&["+nightly", "fuzz"])?;
    cargo.args(args);
    Ok(cargo)
}
