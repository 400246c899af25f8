//! `cargo xtask planted`: tests of the tests. Bugs that others have made are planted one by one, and each must be found, by the crash
//! model or by the torture. Then panics are planted in every task, and must cost nothing.

use crate::command;
use crate::report::Outcome;
use anyhow::{Context as _, Result, ensure};
use std::path::PathBuf;

/// Bugs that show in the whole binary, with the acknowledgement under which they do.
const BUGS: [(&str, &str); 8] = [
    ("answer-before-receipt", "delivered"),
    ("conflict-is-refused", "delivered"),
    ("short-answer-is-success", "delivered"),
    ("retry-is-success", "delivered"),
    ("no-content-ids", "delivered"),
    ("answer-before-sync", "durable"),
    ("no-fdatasync", "durable"),
    ("finish-on-hand-over", "durable"),
];

/// Places that panic, each whenever so many have passed it.
const PANICS: &str = "writer:300+consumer:40+dispatcher:3000+send:60+listener:40+connection:30+request:300";

/// The start of the line in which the torture says what was wrong.
const VERDICT: &str = "seed ";

/// Plants each bug, and then panics.
///
/// # Errors
/// A bug was not found, or the honest binary did not pass.
pub fn run() -> Result<()> {
    let model = ["test", "-p", "forebay-pipeline", "--lib", "planted_bugs", "--", "--nocapture"];
    command::show(&mut command::cargo(&model))?;
    let honest = [("", "delivered"), ("", "durable")];
    plant(&[&honest[..], &BUGS].concat(), &["delivered", "durable"])
}

/// A bug and the panics, as a step of the tests. The honest binary is another step's, and the model's bugs are a unit test's.
pub fn slice() -> Result<Outcome> {
    plant(&[("no-fdatasync", "durable")], &["durable"])?;
    Ok(Outcome::Passed)
}

fn plant(bugs: &[(&str, &str)], panic_modes: &[&str]) -> Result<()> {
    let binary = build()?;
    let mut missed = Vec::new();
    println!("{:<26} {:<10} found by", "bug", "mode");
    for &(bug, mode) in bugs {
        let said = torture(&binary, &format!("FOREBAY_PLANT={bug}"), mode)?;
        let is_found = said.is_some();
        let name = if bug.is_empty() { "(none)" } else { bug };
        println!("{name:<26} {mode:<10} {}", said.as_deref().unwrap_or("-"));
        if is_found == bug.is_empty() {
            missed.push(format!("{name} ({mode})"));
        }
    }
    for mode in panic_modes {
        let said = torture(&binary, &format!("FOREBAY_PANIC={PANICS}"), mode)?;
        println!("{:<26} {mode:<10} {}", "panics everywhere", said.as_deref().unwrap_or("survived"));
        if let Some(said) = said {
            missed.push(format!("panics ({mode}): {said}"));
        }
    }
    ensure!(missed.is_empty(), "not as it should be: {}", missed.join(", "));
    Ok(())
}

/// A binary that can be told to be wrong.
fn build() -> Result<PathBuf> {
    let folder = command::target().join("planted");
    let mut build =
        command::cargo(&["build", "--package", "forebay", "--features", "planted", "--target-dir"]);
    command::show(build.arg(&folder))?;
    Ok(folder.join("debug").join("forebay"))
}

/// One short run; what the torture found wrong, if anything.
fn torture(binary: &std::path::Path, environment: &str, mode: &str) -> Result<Option<String>> {
    let test = format!("what_was_acknowledged_as_{mode}_is_found_whatever_happens");
    let mut run =
        command::cargo(&["test", "--quiet", "--package", "forebay-tests", "--test", "torture", "--"]);
    run.args(["--exact", &test, "--nocapture"]).env("FOREBAY_BIN", binary);
    run.env("RUST_BACKTRACE", "0").env("FOREBAY_TORTURE_ENV", environment);
    let output = run.output().context("starting the torture")?;
    if output.status.success() {
        return Ok(None);
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let said = text.lines().rev().find(|line| line.trim_start().starts_with(VERDICT));
    let last = || text.lines().rev().find(|line| !line.trim().is_empty());
    Ok(Some(said.or_else(last).unwrap_or("it failed without a word").trim().to_owned()))
}
