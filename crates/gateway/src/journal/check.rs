//! `forebay journal check`.

use super::{EXIT_DAMAGED, EXIT_UNREADABLE, Place, Source, count, line};
use crate::terminal::{complain, say};
use anyhow::Result;
use std::ops::ControlFlow;
use std::process::ExitCode;

pub(super) fn check(place: &Place) -> Result<ExitCode> {
    let source = Source::open(place)?;
    let journal = source.inspection()?;
    let mut report = journal.read(source.reading(true), |_, _| ControlFlow::Continue(()));
    report.findings.extend(journal.plan_findings(&report));
    for finding in &report.findings {
        let line = line(finding);
        if finding.what.is_fault() { complain(&line) } else { say(&line) }
    }
    source.tell_if_taken();
    let path = place.folder.display();
    let held = format!(
        "{} in {}, {} bytes",
        count(report.frames, "sound frame"),
        count(report.segments.len() as u64, "segment"),
        report.bytes
    );
    let unreadable = report.unreadable().count() as u64;
    let faults = report.findings.iter().filter(|finding| finding.what.is_fault());
    let known = faults.filter(|finding| !finding.what.is_unreadable());
    let (places, bytes) = known.fold((0, 0), |(places, bytes), finding| (places + 1, bytes + finding.bytes));
    if places > 0 {
        let lost = count(report.lost().count(), "frame");
        complain(&format!(
            "{path}: damaged in {}: {bytes} bytes, {lost} lost; {held}",
            count(places, "place")
        ));
    }
    if unreadable > 0 {
        let files = count(unreadable, "file");
        complain(&format!(
            "{path}: {files} cannot be read, and nothing is known of what is in there; {held}"
        ));
        return Ok(ExitCode::from(EXIT_UNREADABLE));
    }
    if places > 0 {
        return Ok(ExitCode::from(EXIT_DAMAGED));
    }
    say(&format!("{path}: sound: {held}"));
    Ok(ExitCode::SUCCESS)
}
