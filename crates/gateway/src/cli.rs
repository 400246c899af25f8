//! The command line.

use crate::config;
use crate::demo::DemoArgs;
use crate::dlq;
use crate::graph::Blueprint;
use crate::health::{self, HealthArgs};
use crate::journal;
use crate::settings::Settings;
use crate::source::Source;
use crate::terminal::{complain, say};
use crate::version::VERSION;
use clap::{Args, Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The exit code of a configuration with faults.
const EXIT_FAULTS: u8 = 2;

/// A telemetry gateway that loses nothing it acknowledged.
#[derive(Debug, Parser)]
#[command(version = VERSION, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    Run(RunArgs),
    /// Check a configuration file and report every fault in it (exit code 2).
    Check {
        /// The file to check.
        file: PathBuf,
    },
    /// Ask a running gateway whether it is ready (exit code 0: it is, 1: it is not).
    Health(HealthArgs),
    /// Start a gateway that needs no server, send a realistic mix through it and show where it went.
    Demo(DemoArgs),
    /// Work with dead letters: records that a sink refused for good.
    #[command(subcommand)]
    Dlq(dlq::Command),
    /// Work with a disk journal that no gateway has open.
    #[command(subcommand)]
    Journal(journal::Command),
    /// Print the reference of all settings (Markdown) or their JSON schema.
    ConfigReference {
        /// Print the JSON schema instead.
        #[arg(long)]
        schema: bool,
    },
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The configuration file. Without one: OTLP and JSON on the loopback address, files in ./forebay-data.
    #[arg(long, env = "FOREBAY_CONFIG")]
    config: Option<PathBuf>,
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Run(RunArgs { config }) => {
                let source = Source::new(config.as_deref());
                match draw(&source) {
                    Ok(blueprint) => report(crate::run::run(blueprint, &source)),
                    Err(code) => code,
                }
            }
            Command::Check { file } => match load(Some(&file)) {
                Ok(blueprint) => {
                    for warning in blueprint.unknown_abandoned() {
                        complain(&format!("{}: warning: {warning}", file.display()));
                    }
                    say(&format!("{}: good", file.display()));
                    ExitCode::SUCCESS
                }
                Err(code) => code,
            },
            Command::Health(args) => report(health::run(&args)),
            Command::Demo(args) => report(crate::demo::run(&args)),
            Command::Dlq(command) => report(dlq::run(&command, load)),
            Command::Journal(command) => journal::run(&command),
            Command::ConfigReference { schema } => {
                let settings = config::schema_of::<Settings>();
                let text = match schema {
                    true => Ok(config::schema_json(&settings)),
                    false => config::reference_markdown(&settings),
                };
                match text {
                    Ok(text) => say(text.trim_end()),
                    Err(constructs) => {
                        complain(&format!(
                            "forebay: the schema cannot be described: {}",
                            constructs.join(", ")
                        ));
                        return ExitCode::FAILURE;
                    }
                }
                ExitCode::SUCCESS
            }
        }
    }
}

fn report(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        complain(&format!("forebay: {error:#}"));
        ExitCode::FAILURE
    })
}

/// Reads and checks a file; its faults have been printed when this fails.
fn load(file: Option<&Path>) -> Result<Blueprint, ExitCode> {
    draw(&Source::new(file))
}

fn draw(source: &Source) -> Result<Blueprint, ExitCode> {
    source.draw().map_err(|faults| {
        for fault in &faults {
            complain(fault);
        }
        let plural = if faults.len() == 1 { "" } else { "s" };
        complain(&format!("{}: {} fault{plural}", source.name(), faults.len()));
        ExitCode::from(EXIT_FAULTS)
    })
}
