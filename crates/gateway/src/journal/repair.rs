//! `forebay journal repair`.

use super::{EXIT_DAMAGED, count, line, numbers};
use crate::terminal::{complain, say};
use anyhow::{Context as _, Result, bail};
use forebay_pipeline::journal::offline::repair::{self, Change, RepairError, Repaired};
use forebay_pipeline::journal::storage::Folder;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

pub(super) fn repair(path: &Path, dry_run: bool) -> Result<ExitCode> {
    let folder = match Folder::open_existing(path) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            bail!("{} is in use by a running gateway: stop it first", path.display())
        }
        folder => folder.with_context(|| format!("cannot open {}", path.display()))?,
    };
    let repaired = match repair::repair(&folder, &shelf_in(path), dry_run) {
        Err(RepairError::NoJournal) => bail!("{} holds no journal", path.display()),
        Err(RepairError::StillDamaged(report)) => {
            report.damages().for_each(|finding| complain(&line(finding)));
            bail!("{} is still damaged", path.display());
        }
        repaired => repaired.with_context(|| path.display().to_string())?,
    };
    let places = repaired.before.damages().count() as u64;
    if places == 0 {
        let frames = count(repaired.frames(), "sound frame");
        say(&format!("{}: sound: {frames}, nothing to repair", path.display()));
        return Ok(ExitCode::SUCCESS);
    }
    repaired.before.damages().for_each(|finding| say(&line(finding)));
    tell(path, &repaired, dry_run);
    Ok(if dry_run { ExitCode::from(EXIT_DAMAGED) } else { ExitCode::SUCCESS })
}

/// A name that nothing in the folder has.
fn shelf_in(path: &Path) -> String {
    let name = format!("damaged-{}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"));
    let more = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.clone()).chain(more);
    names.find(|name| !path.join(name).exists()).unwrap_or(name)
}

fn tell(path: &Path, repaired: &Repaired, dry_run: bool) {
    let would = if dry_run { "would be " } else { "" };
    for Change { name, bytes, frames, frame_bytes } in &repaired.changes {
        say(&match frames {
            0 => format!("{name}: {would}removed: none of its {bytes} bytes is a sound frame"),
            _ => format!(
                "{name}: {would}written anew with {}, {frame_bytes} of its {bytes} bytes",
                count(*frames, "sound frame")
            ),
        });
    }
    if repaired.cursors {
        say(&format!("cursors: {would}removed: every sink begins with the oldest frame again"));
    }
    let salvaged: u64 = repaired.changes.iter().map(|change| change.frames).sum();
    let lost = match repaired.lost.count() {
        0 => "no frame is known to be lost".to_owned(),
        number => format!("{} lost ({})", count(number, "frame"), numbers(&repaired.lost)),
    };
    let segments = count(repaired.changes.len() as u64, "damaged segment");
    let held = count(repaired.frames(), "frame");
    say(&format!("{}: {would}sound with {held}, {salvaged} of them from {segments}; {lost}", path.display()));
    if let Some(shelf) = &repaired.shelf {
        let bytes: u64 = repaired.changes.iter().map(|change| change.bytes).sum();
        say(&format!(
            "the originals ({bytes} bytes of segments{}) {} in {}",
            if repaired.cursors { " and the cursors" } else { "" },
            if dry_run { "would be kept" } else { "are kept" },
            path.join(shelf).display()
        ));
    }
}
