//! `forebay dlq`: what lies in the dead letters, and sending it again.

mod list;
mod replay;

use crate::graph::Blueprint;
use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use forebay_pipeline::dead_letter::{LetterFile, StoredLetter};
use globset::{Glob, GlobMatcher};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Reads dead letters, and sends them again.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Count the letters by sink, destination and kind of reason.
    List {
        #[command(flatten)]
        letters: Letters,
        /// Print JSON lines and not a table.
        #[arg(long)]
        json: bool,
    },
    /// Print letters as they are, one JSON object a line.
    Show {
        #[command(flatten)]
        letters: Letters,
        /// Print this many at most.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Send letters again, each to its destination and under its id, and remove those that arrived. The directory must not be in use:
    /// stop the gateway, or move files elsewhere and name that directory with --dir.
    Replay {
        #[command(flatten)]
        letters: Letters,
        /// Send them to this sink and not to their own.
        #[arg(long)]
        to: Option<String>,
        /// Give a sink up when nothing has arrived there for so long, in seconds.
        #[arg(long, default_value_t = 60)]
        patience: u64,
    },
}

/// Which letters.
#[derive(Debug, Args)]
pub struct Letters {
    /// The configuration, for the directory and the sinks. Without one: the default configuration.
    #[arg(long, env = "FOREBAY_CONFIG")]
    config: Option<PathBuf>,
    /// The directory, if it is not that of the configuration.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Only letters for this sink.
    #[arg(long)]
    sink: Option<String>,
    /// Only letters of this route.
    #[arg(long)]
    route: Option<String>,
    /// Only letters for destinations like this, `*` standing for anything.
    #[arg(long)]
    destination: Option<Glob>,
    /// Only letters whose reason contains this.
    #[arg(long)]
    reason: Option<String>,
}

/// Runs a command; `load` reads and checks a configuration and has told its faults if it fails.
pub fn run(
    command: &Command,
    load: impl Fn(Option<&Path>) -> Result<Blueprint, ExitCode>,
) -> Result<ExitCode> {
    let letters = match command {
        Command::List { letters, .. } | Command::Show { letters, .. } | Command::Replay { letters, .. } => {
            letters
        }
    };
    let blueprint = match load(letters.config.as_deref()) {
        Ok(blueprint) => blueprint,
        Err(code) => return Ok(code),
    };
    let dir = letters.dir.clone().unwrap_or_else(|| blueprint.settings.dead_letters.path.clone());
    let found = Found { filter: Filter::new(letters), dir };
    match command {
        Command::List { json, .. } => list::list(&found, *json),
        Command::Show { limit, .. } => list::show(&found, *limit),
        Command::Replay { to, patience, .. } => {
            replay::replay(&found, blueprint, to.as_deref(), std::time::Duration::from_secs(*patience))
        }
    }
}

/// The letters of a directory that are asked for.
struct Found {
    dir: PathBuf,
    filter: Filter,
}

struct Filter {
    sink: Option<String>,
    route: Option<String>,
    destination: Option<GlobMatcher>,
    reason: Option<String>,
}

impl Filter {
    fn new(letters: &Letters) -> Self {
        Self {
            sink: letters.sink.clone(),
            route: letters.route.clone(),
            destination: letters.destination.as_ref().map(Glob::compile_matcher),
            reason: letters.reason.clone(),
        }
    }

    fn wants(&self, letter: &StoredLetter) -> bool {
        self.sink.as_ref().is_none_or(|sink| *sink == letter.sink)
            && self.route.as_ref().is_none_or(|route| *route == letter.route)
            && self.destination.as_ref().is_none_or(|glob| glob.is_match(&letter.destination))
            && self.reason.as_ref().is_none_or(|reason| letter.reason.contains(reason))
    }
}

impl Found {
    fn files(&self) -> Result<Vec<LetterFile>> {
        LetterFile::all(&self.dir).with_context(|| format!("dead letters in {}", self.dir.display()))
    }

    /// Calls `each` for every letter that is asked for, until it says that it has enough. Lines that are no letters are told on
    /// standard error.
    fn each(&self, mut each: impl FnMut(StoredLetter) -> bool) -> Result<()> {
        for file in self.files()? {
            for line in file.letters()? {
                match line? {
                    (_, Ok(letter)) if self.filter.wants(&letter) => {
                        if !each(letter) {
                            return Ok(());
                        }
                    }
                    (_, Ok(_)) => {}
                    (number, Err(error)) => complain_of(&file, number, &error.to_string()),
                }
            }
        }
        Ok(())
    }
}

fn complain_of(file: &LetterFile, line: usize, what: &str) {
    crate::terminal::complain(&format!("{}:{}: {}", file.path().display(), line + 1, escaped(what)));
}

/// Text that others wrote, for a terminal: characters that could steer it, and those that reverse the direction of writing, are escaped.
fn escaped(text: &str) -> Cow<'_, str> {
    let steers = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if steers(letter) { out.extend(letter.escape_default()) } else { out.push(letter) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_steer_a_terminal_is_escaped_and_the_rest_is_not() {
        assert_eq!(escaped("plain: ü \\ \"q\" 😀"), "plain: ü \\ \"q\" 😀");
        assert_eq!(
            escaped("\x1b[31mred\r\n\u{7}\u{9b}2J\u{202e}x"),
            "\\u{1b}[31mred\\r\\n\\u{7}\\u{9b}2J\\u{202e}x"
        );
    }
}
