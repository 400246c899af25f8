//! `forebay-ir`: runs one stage a number of times, for callgrind to count its instructions.
//!
//! `forebay-ir list` names the stages that are guarded. `forebay-ir <stage> <iterations>` makes the stage's inputs, passes
//! over them so often, and prints `records=<n>`, the records of these passes. Two runs of different length differ by
//! passes alone, so what the inputs cost cancels out (`cargo xtask guard`).

// A program for people and for xtask: its result belongs on the terminal.
#![allow(clippy::print_stdout)]

use anyhow::{Context, Result, bail};
use forebay_bench::stages::{self, STAGES};

/// The gateway's, because allocation is part of the count.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: forebay-ir list | forebay-ir <stage> <iterations>";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["list"] => {
            for stage in STAGES {
                println!("{}", stage.name);
            }
            Ok(())
        }
        [stage, iterations] => run(stage, iterations.parse().context(USAGE)?),
        _ => bail!(USAGE),
    }
}

fn run(name: &str, iterations: u64) -> Result<()> {
    let stage = stages::find(name).with_context(|| format!("there is no stage {name}"))?;
    let mut pass = stage.prepare()?;
    let mut records = 0;
    for _ in 0..iterations {
        records += pass()?;
    }
    println!("records={records}");
    Ok(())
}
