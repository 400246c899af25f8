//! `cargo xtask guard`: instructions per record against a committed baseline.
//!
//! Counted by callgrind, so a loaded machine gives the same figure as an idle one, which wall time never does. It says
//! nothing about caches and branch misses: those are the benches' business.

use crate::baseline::{self, Baselines, Entry};
use crate::report::Outcome;
use crate::{command, setup};
use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use std::process::Command;

/// The measured program: `forebay-ir list` names the stages, `forebay-ir <stage> <iterations>` prints `records=<n>`.
const PROGRAM: &str = "forebay-ir";
const PROFILE: &str = "release";

/// Iterations of the shorter run. The longer has twice as many; their difference holds no start-up.
const ITERATIONS: u64 = 4;

/// Above the baseline by more than this many per cent is a regression. The counts themselves vary by far less.
const TOLERANCE_PERCENT: u64 = 3;

/// Room above its first figure, in per cent, that a new stage's ceiling is given until someone sets it.
const FIRST_CEILING_PERCENT: u64 = 10;

#[derive(clap::Args)]
pub struct Options {
    /// Write the measured figures as the new baselines
    #[arg(long)]
    update: bool,
}

pub fn run(options: &Options) -> Result<()> {
    match measure_and_judge(options.update)? {
        Outcome::Passed => println!("guard: passed"),
        Outcome::Skipped(reason) => println!("guard: SKIPPED ({reason})"),
    }
    Ok(())
}

/// The guard as a step of the tests.
pub fn check() -> Result<Outcome> {
    measure_and_judge(false)
}

fn measure_and_judge(update: bool) -> Result<Outcome> {
    if !command::in_path("valgrind") {
        // A failure to install is not a failure of the guard; the next look decides.
        let _ = setup::install_packages(&["valgrind"]);
    }
    if !command::in_path("valgrind") {
        return Ok(Outcome::Skipped("valgrind is missing: apt-get install valgrind".to_owned()));
    }
    let build = ["build", "--profile", PROFILE, "--package", "forebay-bench", "--bin", PROGRAM];
    command::show(&mut command::cargo(&build))?;
    let program = command::built(PROFILE, PROGRAM);

    let known = baseline::read()?;
    let mut measured = Vec::new();
    for stage in stages(&program)? {
        let instructions = instructions_per_record(&program, &stage)?;
        measured.push((stage, instructions));
    }
    if update {
        baseline::write(&renew(&known, &measured)?)?;
        return Ok(Outcome::Passed);
    }
    let faults = judge(&known, &measured);
    ensure!(faults.is_empty(), "{}", faults.join("; "));
    Ok(Outcome::Passed)
}

/// Prints a line per stage and returns what is wrong.
fn judge(known: &Baselines, measured: &[(String, u64)]) -> Vec<String> {
    let mut faults = Vec::new();
    println!("{:<28} {:>9} {:>9} {:>9}", "instructions per record", "now", "baseline", "ceiling");
    for (stage, now) in measured {
        let Some(entry) = known.get(stage) else {
            faults.push(format!("{stage} has no baseline: run `cargo xtask guard --update`"));
            println!("{stage:<28} {now:>9} {:>9} {:>9}", "-", "-");
            continue;
        };
        println!("{stage:<28} {now:>9} {:>9} {:>9}", entry.baseline, entry.ceiling);
        if *now > entry.ceiling {
            faults.push(format!("{stage}: {now} is above the ceiling {}", entry.ceiling));
        } else if now * 100 > entry.baseline * (100 + TOLERANCE_PERCENT) {
            faults.push(format!(
                "{stage}: {now} is over {TOLERANCE_PERCENT} % above the baseline {}",
                entry.baseline
            ));
        }
    }
    for stage in known.keys() {
        if !measured.iter().any(|(name, _)| name == stage) {
            faults.push(format!("{stage} has a baseline, but {PROGRAM} does not know it"));
        }
    }
    faults
}

/// The measured figures as baselines. Ceilings stay: they are promises, not measurements.
fn renew(known: &Baselines, measured: &[(String, u64)]) -> Result<Baselines> {
    let mut renewed = Baselines::new();
    for (stage, now) in measured {
        let ceiling = match known.get(stage) {
            Some(entry) => entry.ceiling,
            None => now * (100 + FIRST_CEILING_PERCENT) / 100,
        };
        if *now > ceiling {
            bail!("{stage}: {now} is above the ceiling {ceiling}; raise it by hand, with the reason");
        }
        println!("{stage}: {now}");
        renewed.insert(stage.clone(), Entry { baseline: *now, ceiling });
    }
    Ok(renewed)
}

fn stages(program: &Path) -> Result<Vec<String>> {
    let output = Command::new(program).arg("list").output()?;
    ensure!(output.status.success(), "{PROGRAM} list: {}", output.status);
    let stages: Vec<String> =
        String::from_utf8(output.stdout)?.split_whitespace().map(str::to_owned).collect();
    ensure!(!stages.is_empty(), "{PROGRAM} list names no stage");
    Ok(stages)
}

fn instructions_per_record(program: &Path, stage: &str) -> Result<u64> {
    let short = count(program, stage, ITERATIONS)?;
    let long = count(program, stage, 2 * ITERATIONS)?;
    let records = long.records.checked_sub(short.records).filter(|more| *more > 0);
    let records = records.with_context(|| format!("{stage}: twice the iterations are not more records"))?;
    let instructions = long.instructions.checked_sub(short.instructions);
    Ok(instructions.with_context(|| format!("{stage}: twice the iterations took fewer instructions"))?
        / records)
}

struct Count {
    records: u64,
    instructions: u64,
}

fn count(program: &Path, stage: &str, iterations: u64) -> Result<Count> {
    let mut valgrind = Command::new("valgrind");
    // Only the total is wanted, and that is on standard error.
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    let output = valgrind.arg(program).arg(stage).arg(iterations.to_string()).output()?;
    let log = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind {PROGRAM} {stage}: {}\n{log}", output.status);
    let printed = String::from_utf8_lossy(&output.stdout);
    let records =
        number_after(&printed, "records=").with_context(|| format!("{stage} printed no records=<n>"))?;
    let instructions = number_after(&log, "Collected : ").context("callgrind printed no count")?;
    Ok(Count { records, instructions })
}

fn number_after(text: &str, mark: &str) -> Option<u64> {
    let (_, rest) = text.split_once(mark)?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn known() -> Baselines {
        Baselines::from([("walk".to_owned(), Entry { baseline: 1000, ceiling: 1020 })])
    }

    fn measured(now: u64) -> Vec<(String, u64)> {
        vec![("walk".to_owned(), now)]
    }

    #[test]
    fn more_than_the_tolerance_or_the_ceiling_is_a_fault() {
        assert!(judge(&known(), &measured(1000)).is_empty());
        assert!(judge(&known(), &measured(900)).is_empty());
        assert_eq!(judge(&known(), &measured(1021)).len(), 1);

        let roomy = Baselines::from([("walk".to_owned(), Entry { baseline: 1000, ceiling: 9000 })]);
        assert!(judge(&roomy, &measured(1030)).is_empty());
        assert_eq!(judge(&roomy, &measured(1031)).len(), 1);
    }

    #[test]
    fn a_stage_on_one_side_only_is_a_fault() {
        assert_eq!(judge(&Baselines::new(), &measured(1)).len(), 1);
        assert_eq!(judge(&known(), &[]).len(), 1);
    }

    #[test]
    fn an_update_keeps_ceilings_and_does_not_pass_them() {
        assert_eq!(renew(&known(), &measured(900)).unwrap()["walk"], Entry { baseline: 900, ceiling: 1020 });
        assert!(renew(&known(), &measured(1021)).is_err());
        assert_eq!(
            renew(&Baselines::new(), &measured(200)).unwrap()["walk"],
            Entry { baseline: 200, ceiling: 220 }
        );
    }

    #[test]
    fn reads_callgrinds_log() {
        assert_eq!(number_after("==7== \n==7== Collected : 1234567\n==7==", "Collected : "), Some(1_234_567));
    }
}
