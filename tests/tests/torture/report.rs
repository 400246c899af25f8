//! The table at the end of a run, and whether the run is valid and passed.

use crate::run::Outcome;
use crate::schedule::Event;
use crate::settings::Settings;
use forebay_tests::fault_proxy::Fault;

/// Prints the table and returns everything that keeps the run from having passed.
pub fn print(settings: &Settings, outcome: &Outcome) -> Vec<String> {
    println!("\n=== torture, seed {}, {:?}", settings.seed, settings.acknowledge);
    print_faults(settings, outcome);
    print_load(outcome);
    print_verdict(outcome);
    let mut faults = broken(outcome);
    for example in &outcome.verdict.examples {
        println!("  example: {example}");
    }
    if let Some(log) = &outcome.log {
        println!("  the gateway's log is kept in {}", log.display());
    }
    let invalid = invalid(settings, outcome);
    println!("{:<28} {}", "valid", if invalid.is_empty() { "yes".to_owned() } else { invalid.join("; ") });
    faults.extend(invalid.into_iter().map(|reason| format!("invalid: {reason}")));
    println!("{:<28} {}", "torture", if faults.is_empty() { "PASSED" } else { "FAILED" });
    faults
}

fn print_faults(settings: &Settings, outcome: &Outcome) {
    row("bulk requests passed", outcome.passed);
    for (fault, count) in Fault::ALL.into_iter().zip(outcome.fired) {
        row(fault.name(), count);
    }
    for (event, count) in Event::ALL.into_iter().zip(outcome.happened) {
        if event.is_part_of(settings) {
            row(event.name(), count);
        }
    }
    row("calls that the disk failed", outcome.disk_hits);
    row("bytes cut by power cuts", outcome.cut);
    row("panics survived", outcome.panics);
}

fn print_load(outcome: &Outcome) {
    row("rounds", outcome.rounds);
    row("quiet points, books exact", outcome.quiet_points);
    let Some(progress) = outcome.progress else { return };
    row("records acknowledged", progress.acknowledged);
    row("records rejected", progress.rejected);
    row("told to try again", progress.again);
    row("attempts unanswered", progress.unanswered);
    let seconds = outcome.worked.as_secs_f64();
    row("goodput, records a second", (progress.acknowledged as f64 / seconds.max(1.0)) as u64);
}

fn print_verdict(outcome: &Outcome) {
    let verdict = &outcome.verdict;
    row("documents", verdict.documents);
    row("dead letters", verdict.letters);
    row("honest twins found", verdict.honest_twins);
    row("in doubt and found", verdict.in_doubt_found);
    row("minted ids, sent again", verdict.minted_copies);
    row("letters buried again", verdict.letters_again);
    for (name, count) in verdict.faults() {
        println!("{name:<28} {count:>10}  {}", if count == 0 { "ok" } else { "FAILED" });
    }
}

fn row(name: &str, count: u64) {
    println!("{name:<28} {count:>10}");
}

fn broken(outcome: &Outcome) -> Vec<String> {
    let mut broken = outcome.complaints.clone();
    for complaint in &broken {
        println!("  {complaint}");
    }
    for (name, count) in outcome.verdict.faults() {
        if count > 0 {
            broken.push(format!("{count} {name}"));
        }
    }
    broken
}

/// What is missing for the run to mean something.
fn invalid(settings: &Settings, outcome: &Outcome) -> Vec<String> {
    let mut reasons = Vec::new();
    let acknowledged = outcome.progress.map_or(0, |progress| progress.acknowledged);
    if acknowledged < settings.records {
        reasons.push(format!("{acknowledged} of {} records acknowledged", settings.records));
    }
    if outcome.kills() < settings.kills {
        reasons.push(format!("{} of {} kills", outcome.kills(), settings.kills));
    }
    for (fault, count) in Fault::ALL.into_iter().zip(outcome.fired) {
        if count == 0 {
            reasons.push(format!("no {}", fault.name()));
        }
    }
    for (event, count) in Event::ALL.into_iter().zip(outcome.happened) {
        if count == 0 && event.is_part_of(settings) {
            reasons.push(format!("no {}", event.name()));
        }
    }
    if outcome.disk_hits == 0 {
        reasons.push("the disk never failed".to_owned());
    }
    let verdict = &outcome.verdict;
    if verdict.honest_twins == 0 || verdict.letters == 0 {
        reasons.push("no twin or no dead letter was found".to_owned());
    }
    if settings.panics() && outcome.panics == 0 {
        reasons.push("no panic".to_owned());
    }
    if !outcome.was_judged {
        reasons.push("nothing was read back".to_owned());
    }
    reasons
}
