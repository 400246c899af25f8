//! `cargo xtask torture`: the oracle for the whole binary, for longer than CI has time for.

use crate::command;
use anyhow::{Result, ensure};

#[derive(clap::Args)]
pub struct Options {
    /// How long it lasts at least
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Decides every fault and event; default: a new one, which is printed
    #[arg(long)]
    seed: Option<u64>,
    /// Least SIGKILLs of a valid run
    #[arg(long, default_value_t = 20)]
    kills: u64,
    /// Least acknowledged records of a valid run
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// When the gateway tells its clients success; `durable` puts the journal's disk at stake too
    #[arg(long, default_value = "delivered", value_parser = ["delivered", "durable"])]
    acknowledge: String,
    /// Leave the configuration as it is
    #[arg(long)]
    no_reload: bool,
    /// NAME=value for the gateway's environment; may be given more than once
    #[arg(long, value_name = "NAME=value")]
    env: Vec<String>,
}

/// Runs the test of that name with these bounds; its table is the output.
///
/// # Errors
/// Something was lost, altered, stored twice or invented; or the run was not valid.
pub fn run(options: &Options) -> Result<()> {
    ensure!(options.minutes > 0.0, "--minutes must be more than 0");
    let mut test = command::cargo(&["test", "--package", "forebay-tests", "--test", "torture", "--"]);
    let name = format!("what_was_acknowledged_as_{}_is_found_whatever_happens", options.acknowledge);
    test.args(["--exact", &name, "--nocapture"]);
    test.env("FOREBAY_TORTURE_MINUTES", options.minutes.to_string());
    test.env("FOREBAY_TORTURE_SEED", options.seed.unwrap_or_else(new_seed).to_string());
    test.env("FOREBAY_TORTURE_KILLS", options.kills.to_string());
    test.env("FOREBAY_TORTURE_RECORDS", options.records.to_string());
    test.env("FOREBAY_TORTURE_RELOAD", if options.no_reload { "0" } else { "1" });
    test.env("FOREBAY_TORTURE_ENV", options.env.join(","));
    command::show(&mut test)
}

fn new_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) ^ now.as_secs() << 20
}
