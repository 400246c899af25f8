//! `benches/ir-baseline.toml`: instructions per record of each stage, as committed.

use crate::command;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

const HEADER: &str = "\
# Instructions per record, written by `cargo xtask guard --update`. Above the ceiling, or more than 3 % above the
# baseline, the guard fails. Ceilings are set by hand. Changed in a commit of its own, with the reason.
";

/// One stage's figures, in instructions per record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    pub baseline: u64,
    pub ceiling: u64,
}

pub type Baselines = BTreeMap<String, Entry>;

/// The committed baselines; none if there is no file yet.
pub fn read() -> Result<Baselines> {
    let path = path();
    if !path.exists() {
        return Ok(Baselines::new());
    }
    parse(&fs::read_to_string(&path)?).with_context(|| path.display().to_string())
}

/// Replaces the file.
pub fn write(baselines: &Baselines) -> Result<()> {
    fs::write(path(), render(baselines)?).with_context(|| path().display().to_string())
}

fn path() -> PathBuf {
    command::root().join("benches/ir-baseline.toml")
}

fn render(baselines: &Baselines) -> Result<String> {
    let mut text = HEADER.to_owned();
    for (stage, entry) in baselines {
        write!(text, "\n[{stage}]\nbaseline = {}\nceiling = {}\n", entry.baseline, entry.ceiling)?;
    }
    Ok(text)
}

/// Reads the subset of TOML that [`render`] writes; anything else is an error with its line.
fn parse(text: &str) -> Result<Baselines> {
    let mut baselines = Baselines::new();
    let mut stage = None;
    let mut baseline = None;
    for (index, raw) in text.lines().enumerate() {
        let line = raw.split('#').next().unwrap_or_default().trim();
        let wrong = || format!("line {}: {raw}", index + 1);
        if line.is_empty() {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            stage = Some(name.to_owned());
            continue;
        }
        let (key, value) = line.split_once('=').with_context(wrong)?;
        let value: u64 = value.trim().parse().with_context(wrong)?;
        match key.trim() {
            "baseline" => baseline = Some(value),
            "ceiling" => {
                let name = stage.take().with_context(wrong)?;
                let entry = Entry { baseline: baseline.take().with_context(wrong)?, ceiling: value };
                baselines.insert(name, entry);
            }
            _ => bail!(wrong()),
        }
    }
    if let Some(name) = stage {
        bail!("[{name}] has no baseline and ceiling");
    }
    Ok(baselines)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let baselines = Baselines::from([
            ("check-otlp".to_owned(), Entry { baseline: 1070, ceiling: 1400 }),
            ("walk-otlp".to_owned(), Entry { baseline: 2430, ceiling: 2500 }),
        ]);
        assert_eq!(parse(&render(&baselines).unwrap()).unwrap(), baselines);
    }

    #[test]
    fn anything_else_is_an_error() {
        for text in [
            "baseline = 1",
            "[a]",
            "[a]\nbaseline = x",
            "[a]\nceiling = 1",
            "ceiling = 1",
            "[a]\nother = 1",
            "word",
        ] {
            // A lone `baseline` before any section is caught when its section is missing.
            let text = format!("{text}\nceiling = 2\nceiling = 3");
            assert!(parse(&text).is_err(), "{text}");
        }
    }
}
