//! Build, test and measure commands for people and CI: `cargo xtask --help`.

// A command-line tool: what it prints is what it is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod baseline;
mod bench;
mod command;
mod dist;
mod docs;
mod fuzz;
mod guard;
mod image;
mod planted;
mod report;
mod setup;
mod test;
mod torture;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, tests and measures Forebay")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fetch everything that the tests need: Elasticsearch, the Python clients, telemetrygen, go-lumber, fluent-logger
    Setup(setup::Options),
    /// Run every check and test; the last lines say what passed, failed and was skipped
    Test(test::Options),
    /// Kill, starve and break the gateway under load, and look for every record that it acknowledged
    Torture(torture::Options),
    /// Compare instructions per record with the committed baseline
    Guard(guard::Options),
    /// Measure end to end: `forebay-bench` with these arguments around the binary of `dist`
    Bench(bench::Options),
    /// Plant the bugs that others have made, one after the other, and see that each is found
    Planted,
    /// Offer more than the gateway can take, and assert what it does then: `forebay-bench overload`
    Overload(bench::Options),
    /// Measure what durable acknowledgement costs: `forebay-bench cost`
    Cost(bench::Options),
    /// Build the binary as it is shipped, optimised by a profile of its own work
    Dist,
    /// Build the image's root file system in target/image, without a container engine, and check its size
    Image,
    /// Run one fuzz target for a while
    Fuzz(fuzz::Options),
    /// Write the generated pages under docs/ anew
    Docs,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Setup(options) => setup::run(&options),
        // Its table has said why.
        Command::Test(options) if !test::run(&options) => return ExitCode::FAILURE,
        Command::Test(_) => Ok(()),
        Command::Torture(options) => torture::run(&options),
        Command::Guard(options) => guard::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Overload(options) => bench::run_mode("overload", &options),
        Command::Cost(options) => bench::run_mode("cost", &options),
        Command::Dist => dist::build().map(|binary| println!("{}", binary.display())),
        Command::Image => image::run(),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Planted => planted::run(),
        Command::Docs => docs::write(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
