//! `forebay journal export`: bodies as files, so that nobody needs Forebay to get at them.

use super::{EXIT_DAMAGED, Place, Source, count, line, time, wire_name};
use crate::config::nearest;
use crate::terminal::{complain, say};
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use forebay_pipeline::journal::cursors::{Cursor, Cursors, Found};
use forebay_pipeline::journal::frame::{Frame, IdKind};
use forebay_pipeline::journal::inflate::Inflater;
use jiff::Timestamp;
use serde_json::json;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const INDEX: &str = "index.ndjson";

/// Which frames, and whereto.
#[derive(Debug, Args)]
pub struct Wanted {
    /// The folder to write to. It is made if it is not there; what is in it is not overwritten.
    #[arg(long)]
    to: PathBuf,
    /// Only what this sink has not finished.
    #[arg(long)]
    sink: Option<String>,
    /// Only what arrived at this time or later (RFC 3339).
    #[arg(long)]
    from: Option<Timestamp>,
    /// Only what arrived before this time (RFC 3339).
    #[arg(long)]
    until: Option<Timestamp>,
    /// Write this many frames at most, the oldest first.
    #[arg(long)]
    limit: Option<u64>,
}

impl Wanted {
    fn wants(&self, number: u64, frame: &Frame, cursor: Option<&Cursor>) -> bool {
        let arrived = i128::from(frame.head.label.arrived);
        cursor.is_none_or(|cursor| !cursor.is_finished(number))
            && self.from.is_none_or(|from| arrived >= from.as_nanosecond())
            && self.until.is_none_or(|until| arrived < until.as_nanosecond())
    }
}

pub(super) fn export(place: &Place, wanted: &Wanted) -> Result<ExitCode> {
    let source = Source::open(place)?;
    let journal = source.inspection()?;
    let sink = wanted.sink.as_deref();
    let cursor = sink.map(|sink| cursor_of(sink, &journal.cursors, journal.cursors_found)).transpose()?;
    let mut files = Files::create(&place.folder, &wanted.to)?;
    let mut failure = None;
    let report = journal.read(source.reading(false), |position, frame| {
        if wanted.limit.is_some_and(|limit| files.frames >= limit) {
            return ControlFlow::Break(());
        }
        if !wanted.wants(position.sequence, frame, cursor) {
            return ControlFlow::Continue(());
        }
        match files.add(position.sequence, frame) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    let (frames, unreadable) = (files.frames, files.unreadable);
    let told = format!(
        "{}, {}, {} bytes written to {}",
        count(frames, "frame"),
        count(files.records, "record"),
        files.bytes,
        wanted.to.display()
    );
    files.finish()?;
    if let Some(error) = failure {
        return Err(error.context(format!("stopped after {told}")));
    }
    report.damages().for_each(|finding| complain(&line(finding)));
    source.tell_if_taken();
    say(&told);
    let places = report.damages().count() as u64 + unreadable;
    if places == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    complain(&format!("{}: damaged in {}", place.folder.display(), count(places, "place")));
    Ok(ExitCode::from(EXIT_DAMAGED))
}

fn cursor_of<'c>(sink: &str, cursors: &'c Cursors, found: Found) -> Result<&'c Cursor> {
    ensure!(
        found == Found::Sound,
        "the journal has no sound cursors, so that nobody knows what {sink:?} has finished: leave --sink out"
    );
    let Some(cursor) = cursors.0.get(sink) else {
        let meant = nearest(sink, cursors.0.keys().map(String::as_str));
        bail!(
            "the journal knows no sink {sink:?}{}",
            meant.map(|name| format!(": did you mean {name:?}?")).unwrap_or_default()
        );
    };
    Ok(cursor)
}

/// The folder that is written to.
struct Files {
    folder: PathBuf,
    index: BufWriter<File>,
    inflater: Inflater,
    frames: u64,
    records: u64,
    bytes: u64,
    /// Sound frames whose bodies do not inflate.
    unreadable: u64,
}

impl Files {
    fn create(journal: &Path, folder: &Path) -> Result<Self> {
        let named = || folder.display().to_string();
        let whole = std::path::absolute(folder).with_context(named)?;
        // Asked of what is there before anything is made, and again of what was made: links and `..` may lead anywhere.
        let nearest = whole.ancestors().find(|part| part.exists()).unwrap_or(&whole);
        refuse_inside(journal, nearest, folder)?;
        fs::create_dir_all(folder).with_context(named)?;
        refuse_inside(journal, folder, folder)?;
        let index = BufWriter::new(create_new(&folder.join(INDEX))?);
        Ok(Self {
            folder: folder.to_owned(),
            index,
            inflater: Inflater::default(),
            frames: 0,
            records: 0,
            bytes: 0,
            unreadable: 0,
        })
    }

    fn add(&mut self, number: u64, frame: &Frame) -> Result<()> {
        let label = frame.head.label;
        let body = match self.inflater.body(frame) {
            Ok(body) => body,
            Err(bad) => {
                complain(&format!("frame {number}: {bad}"));
                self.unreadable += 1;
                return Ok(());
            }
        };
        let wire = wire_name(label.wire);
        let name = format!("{number:020}.{wire}");
        let path = self.folder.join(&name);
        let mut file = create_new(&path)?;
        let write = file.write_all(&body).and_then(|()| file.sync_data());
        write.with_context(|| path.display().to_string())?;
        let entry = json!({
            "number": number, "wire": wire, "receiver": String::from_utf8_lossy(&frame.receiver),
            "arrived": time(label.arrived), "records": label.records, "ids": ids_name(label.ids),
            "plan": label.plan, "bytes": body.len(), "file": name,
        });
        writeln!(self.index, "{entry}").with_context(|| INDEX.to_owned())?;
        self.frames += 1;
        self.records += u64::from(label.records);
        self.bytes += body.len() as u64;
        Ok(())
    }

    /// Makes the index and all names durable.
    fn finish(self) -> Result<()> {
        let index = self.index.into_inner().map_err(|error| error.into_error()).context(INDEX)?;
        index.sync_all().context(INDEX)?;
        File::open(&self.folder)?.sync_all().with_context(|| self.folder.display().to_string())
    }
}

fn refuse_inside(journal: &Path, place: &Path, folder: &Path) -> Result<()> {
    let is_inside = place.canonicalize()?.starts_with(journal.canonicalize()?);
    ensure!(!is_inside, "{} lies in the journal itself", folder.display());
    Ok(())
}

fn create_new(path: &Path) -> Result<File> {
    File::create_new(path).with_context(|| format!("{} is not overwritten", path.display()))
}

fn ids_name(ids: IdKind) -> &'static str {
    match ids {
        IdKind::None => "none",
        IdKind::Minted => "minted",
        IdKind::Content => "content",
        IdKind::Client => "client",
        IdKind::Events => "events",
    }
}
