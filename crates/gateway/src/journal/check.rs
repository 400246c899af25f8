//! `forebay journal check`.

use super::{EXIT_DAMAGED, Place, Source, count, line};
use crate::terminal::{complain, say};
use anyhow::Result;
use std::ops::ControlFlow;
use std::process::ExitCode;

pub(super) fn check(place: &Place) -> Result<ExitCode> {
    let source = Source::open(place)?;
    let journal = source.inspection()?;
    let report = journal.read(source.reading(true), |_, _| ControlFlow::Continue(()));
    for finding in &report.findings {
        let line = line(finding);
        if finding.what.is_damage() { complain(&line) } else { say(&line) }
    }
    source.tell_if_taken();
    let path = place.folder.display();
    let held = format!(
        "{} in {}, {} bytes",
        count(report.frames, "sound frame"),
        count(report.segments.len() as u64, "segment"),
        report.bytes
    );
    let places = report.damages().count() as u64;
    if places == 0 {
        say(&format!("{path}: sound: {held}"));
        return Ok(ExitCode::SUCCESS);
    }
    complain(&format!(
        "{path}: damaged in {}: {} bytes, {} lost; {held}",
        count(places, "place"),
        report.damages().map(|finding| finding.bytes).sum::<u64>(),
        count(report.lost().count(), "frame"),
    ));
    Ok(ExitCode::from(EXIT_DAMAGED))
}
