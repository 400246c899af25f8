//! The table at the end of `cargo xtask test`.

use anyhow::Result;
use std::time::{Duration, Instant};

/// How a step ended, if it did not fail.
pub enum Outcome {
    Passed,
    /// Not run, and why.
    Skipped(String),
}

enum Mark {
    Passed,
    Failed(String),
    Skipped(String),
}

struct Step {
    name: &'static str,
    mark: Mark,
    took: Duration,
}

/// The steps so far.
#[derive(Default)]
pub struct Report {
    steps: Vec<Step>,
}

impl Report {
    /// Runs a step, shows how it ended, and goes on whatever that was. Returns whether it passed.
    pub fn step(&mut self, name: &'static str, run: impl FnOnce() -> Result<Outcome>) -> bool {
        println!("\n=== {name}");
        let started = Instant::now();
        let mark = match run() {
            Ok(Outcome::Passed) => Mark::Passed,
            Ok(Outcome::Skipped(reason)) => Mark::Skipped(reason),
            Err(error) => Mark::Failed(format!("{error:#}")),
        };
        match &mark {
            Mark::Passed => {}
            Mark::Failed(reason) => eprintln!("FAILED {name}: {reason}"),
            Mark::Skipped(reason) => println!("SKIPPED {name}: {reason}"),
        }
        let passed = matches!(mark, Mark::Passed);
        self.steps.push(Step { name, mark, took: started.elapsed() });
        passed
    }

    /// Prints the table, what failed and, as the very last line, the counts. Returns whether no step failed.
    pub fn finish(self) -> bool {
        let (mut passed, mut failed, mut skipped) = (0, 0, 0);
        println!("\n{:<24} {:>8}  result", "step", "seconds");
        for step in &self.steps {
            let seconds = step.took.as_secs_f64();
            let result = match &step.mark {
                Mark::Passed => {
                    passed += 1;
                    "PASSED".to_owned()
                }
                Mark::Failed(reason) => {
                    failed += 1;
                    format!("FAILED ({})", first_line(reason))
                }
                Mark::Skipped(reason) => {
                    skipped += 1;
                    format!("SKIPPED ({})", first_line(reason))
                }
            };
            println!("{:<24} {seconds:>8.1}  {result}", step.name);
        }
        for step in &self.steps {
            if let Mark::Failed(reason) = &step.mark {
                println!("\nFAILED {}: {reason}", step.name);
            }
        }
        println!("\n{passed} passed, {failed} failed, {skipped} skipped");
        failed == 0
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
