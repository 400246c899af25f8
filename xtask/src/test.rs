//! `cargo xtask test`: everything that decides whether a change is good.

use crate::report::{Outcome, Report};
use crate::{bench, command, docs, fuzz, guard, planted, setup};
use anyhow::Result;
use forebay_tests::schemas;
use forebay_tests::tools::Tool;
use std::process::Command;

/// Random cases of each property with `--all`, instead of proptest's 256.
const THOROUGH_CASES: &str = "20000";

/// How long each fuzz target runs, in seconds.
const FUZZ_SECONDS: u32 = 10;
const THOROUGH_FUZZ_SECONDS: u32 = 60;

const CARGO_DENY_VERSION: &str = "0.20.2";

#[derive(clap::Args)]
pub struct Options {
    /// Longer property and fuzz runs, and the tools that must be built from source
    #[arg(long)]
    all: bool,
    /// Run only the tests whose name contains this, and none of the other checks
    name: Option<String>,
}

/// Runs every step, whatever became of those before, and prints the table. Returns whether no step failed.
pub fn run(options: &Options) -> bool {
    let mut report = Report::default();
    let whole = options.name.is_none();
    if whole {
        report.step("format", || cargo(&["fmt", "--all", "--check"]));
        report.step("clippy", clippy);
        report.step("dependencies", || dependencies(options.all));
        // What the end-to-end tests start; the steps around build the rest.
        report.step("build", || cargo(&["build", "--package", "forebay", "--quiet"]));
    }
    report.step("unit, property, golden", || unit_tests(options));
    if whole {
        report.step("doc tests", || cargo(&["test", "--workspace", "--doc", "--quiet"]));
    }
    let ready = report.step("setup", || setup::fetch().map(|()| Outcome::Passed));
    report.step("end to end", || if ready { end_to_end(options) } else { skipped("setup failed") });
    if whole && options.all {
        report.step("kubernetes tools", || setup::fetch_kubernetes().map(|()| Outcome::Passed));
    }
    report.step("kubernetes", || kubernetes(options));
    if whole {
        report.step("generated pages", || docs::check().map(|()| Outcome::Passed));
        report.step("instruction guard", guard::check);
        report.step("overload slice", bench::overload_slice);
        report.step("planted bugs", || match (options.all, ready) {
            (true, true) => planted::slice(),
            (true, false) => skipped("setup failed"),
            (false, _) => skipped("builds another binary; --all does, and `cargo xtask planted` plants all"),
        });
        let seconds = if options.all { THOROUGH_FUZZ_SECONDS } else { FUZZ_SECONDS };
        report.step("fuzz slice", || fuzz::slice(seconds));
    }
    report.finish()
}

fn unit_tests(options: &Options) -> Result<Outcome> {
    let mut tests = command::cargo(&["test", "--workspace", "--exclude", "forebay-tests"]);
    tests.args(["--lib", "--bins", "--tests"]).args(&options.name);
    if options.all {
        tests.env("PROPTEST_CASES", THOROUGH_CASES);
    }
    show_tests(&mut tests)
}

/// One test at a time: they start servers, measure memory and stop the clock. Their output is shown as it comes,
/// because some run for minutes and because a test that skips itself says so there. One that fails does not hide what others say.
fn end_to_end(options: &Options) -> Result<Outcome> {
    let mut tests =
        command::cargo(&["test", "--package", "forebay-tests", "--lib", "--tests", "--no-fail-fast"]);
    show_tests(tests.args(&options.name).args(["--", "--test-threads=1", "--nocapture"]))
}

/// What `deploy/` has for Kubernetes, before its own programs. They take half an hour to build, so this uses what is there.
fn kubernetes(options: &Options) -> Result<Outcome> {
    let mut missing: Vec<&str> =
        Tool::ALL.into_iter().filter(|tool| tool.find().is_none()).map(Tool::name).collect();
    missing.extend(schemas::find().is_none().then_some("schemas"));
    missing.extend(setup::missing_for_kubernetes());
    if !missing.is_empty() {
        return skipped(&format!("no {}; `cargo xtask setup --all` gets them", missing.join(", ")));
    }
    let mut tests = command::cargo(&["test", "--package", "forebay-tests", "--test", "kubernetes"]);
    show_tests(tests.args(&options.name).args(["--", "--test-threads=1", "--nocapture"]))
}

/// The tests that are not run by default are no part of all targets.
fn clippy() -> Result<Outcome> {
    let strict = ["--quiet", "--", "-D", "warnings"];
    cargo(&[&["clippy", "--workspace", "--all-targets"], &strict[..]].concat())?;
    cargo(&[&["clippy", "--package", "forebay-tests", "--test", "kubernetes"], &strict[..]].concat())
}

/// Advisories are not among the checks: they depend on the day and not on the change.
fn dependencies(install: bool) -> Result<Outcome> {
    if !command::succeeds(&mut command::cargo_tool(&["deny", "--version"])?) {
        if !install {
            return skipped("no cargo-deny; --all installs it");
        }
        command::install_tool("cargo-deny", CARGO_DENY_VERSION)?;
    }
    show(&mut command::cargo_tool(&["deny", "check", "bans", "licenses", "sources"])?)
}

fn cargo(args: &[&str]) -> Result<Outcome> {
    show(&mut command::cargo(args))
}

fn show(command: &mut Command) -> Result<Outcome> {
    command::show(command).map(|()| Outcome::Passed)
}

fn show_tests(command: &mut Command) -> Result<Outcome> {
    command::show_tests(command).map(|()| Outcome::Passed)
}

fn skipped(reason: &str) -> Result<Outcome> {
    Ok(Outcome::Skipped(reason.to_owned()))
}
