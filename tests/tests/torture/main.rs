//! The oracle for the whole binary: clients mint records and remember what they were promised, while the gateway is killed,
//! its cluster breaks its answers and its disk fails; then every record is looked for.
//!
//! Proves nothing about speed, and nothing about faults that are not in the tables of `fault_proxy` and `schedule`.
//! Without settings it is the short run of CI; `cargo xtask torture --minutes 30` is the same for longer.

#![allow(clippy::unwrap_used, clippy::expect_used)]
// The table is what a run is for.
#![allow(clippy::print_stdout)]

mod beats;
mod book;
mod bulk;
mod client;
mod fluent;
mod load;
mod otlp;
mod record;
mod report;
mod run;
mod schedule;
mod settings;
mod verdict;
mod world;

use settings::{Acknowledge, Settings};

#[test]
fn what_was_acknowledged_as_delivered_is_found_whatever_happens() {
    torture(Acknowledge::Delivered);
}

#[test]
fn what_was_acknowledged_as_durable_is_found_whatever_happens() {
    torture(Acknowledge::Durable);
}

fn torture(acknowledge: Acknowledge) {
    let settings = Settings::from_environment(acknowledge);
    println!("torture: {settings:?}");
    let outcome = run::run(&settings);
    let faults = report::print(&settings, &outcome);
    assert!(faults.is_empty(), "seed {}: {}", settings.seed, faults.join("; "));
}
