//! `forebay journal info`.

use super::{Place, Source, count, numbers, time, wire_name};
use crate::terminal::say;
use anyhow::Result;
use forebay_pipeline::journal::cursors::{Cursor, Cursors, Found};
use forebay_pipeline::journal::frame::Frame;
use forebay_pipeline::journal::offline::inspect::{Report, SegmentFound};
use forebay_pipeline::journal::offline::runs::Runs;
use forebay_pipeline::journal::segment;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::process::ExitCode;

/// Frames, with what is in them.
#[derive(Debug, Default)]
struct Tally {
    frames: u64,
    records: u64,
    /// Bytes of the bodies as they arrived.
    bytes: u64,
}

impl Tally {
    fn add(&mut self, frame: &Frame) {
        self.frames += 1;
        self.records += u64::from(frame.head.label.records);
        self.bytes += u64::from(frame.head.body_len);
    }

    fn json(&self) -> Value {
        json!({"frames": self.frames, "records": self.records, "bytes": self.bytes})
    }
}

/// Frames that were admitted under one route table.
#[derive(Debug)]
struct Plan {
    frames: u64,
    first: u64,
    last: u64,
}

/// What the frames of a journal add up to.
#[derive(Debug, Default)]
struct Contents {
    all: Tally,
    stored_bytes: u64,
    wires: BTreeMap<&'static str, Tally>,
    /// First and last, nanoseconds since 1970.
    arrived: Option<(i64, i64)>,
    owed: BTreeMap<String, Tally>,
    plans: BTreeMap<u32, Plan>,
}

impl Contents {
    fn add(&mut self, number: u64, frame: &Frame, cursors: &Cursors) {
        let label = frame.head.label;
        self.all.add(frame);
        self.stored_bytes += frame.stored.len() as u64;
        self.wires.entry(wire_name(label.wire)).or_default().add(frame);
        let (first, last) = self.arrived.unwrap_or((label.arrived, label.arrived));
        self.arrived = Some((first.min(label.arrived), last.max(label.arrived)));
        for (sink, cursor) in &cursors.0 {
            if !cursor.is_finished(number)
                && let Some(owed) = self.owed.get_mut(sink)
            {
                owed.add(frame);
            }
        }
        let plan = self.plans.entry(label.plan).or_insert(Plan { frames: 0, first: number, last: number });
        plan.frames += 1;
        plan.last = number;
    }
}

/// All that is told.
struct Told<'t> {
    place: &'t Place,
    in_use: bool,
    report: &'t Report,
    contents: &'t Contents,
    cursors: &'t Cursors,
    found: Found,
    stored_plans: &'t BTreeMap<u32, u64>,
    given_up: &'t Runs,
    cursors_error: Option<&'t str>,
}

pub(super) fn info(place: &Place, json: bool) -> Result<ExitCode> {
    let source = Source::open(place)?;
    let journal = source.inspection()?;
    let owed = journal.cursors.0.keys().map(|sink| (sink.clone(), Tally::default())).collect();
    let mut contents = Contents { owed, ..Contents::default() };
    let report = journal.read(source.reading(false), |position, frame| {
        contents.add(position.sequence, frame, &journal.cursors);
        ControlFlow::Continue(())
    });
    source.tell_if_taken();
    let told = Told {
        place,
        in_use: source.in_use,
        report: &report,
        contents: &contents,
        cursors: &journal.cursors,
        found: journal.cursors_found,
        stored_plans: &journal.plans,
        given_up: &journal.given_up,
        cursors_error: journal.cursors_error.as_deref(),
    };
    if json {
        say(&told.json().to_string());
    } else {
        told.table();
    }
    Ok(ExitCode::SUCCESS)
}

impl Told<'_> {
    fn cursors_state(&self) -> &'static str {
        match self.found {
            _ if self.cursors_error.is_some() => "unreadable",
            Found::Sound => "sound",
            Found::Missing => "missing",
            Found::Damaged => "damaged",
        }
    }

    fn damaged_places(&self) -> u64 {
        self.report.damages().filter(|finding| !finding.what.is_unreadable()).count() as u64
    }

    /// Cursors of the sinks, with what each is owed.
    fn sinks(&self) -> impl Iterator<Item = (&String, &Cursor, &Tally)> {
        self.cursors.0.iter().filter_map(|(sink, cursor)| Some((sink, cursor, self.contents.owed.get(sink)?)))
    }

    fn json(&self) -> Value {
        let Self { report, contents, .. } = self;
        let segments: Vec<Value> = report.segments.iter().map(segment_json).collect();
        let wires: BTreeMap<&str, Value> =
            contents.wires.iter().map(|(wire, tally)| (*wire, tally.json())).collect();
        let sinks: BTreeMap<&String, Value> = self
            .sinks()
            .map(|(sink, cursor, owed)| {
                let (low, above) = (cursor.low(), cursor.window());
                (sink, json!({"low": low, "finished_above": above, "owed": owed.json()}))
            })
            .collect();
        let plans: Vec<Value> = contents
            .plans
            .iter()
            .map(|(number, plan)| {
                json!({"plan": number, "frames": plan.frames, "first": plan.first, "last": plan.last,
                    "stored": self.stored_plans.contains_key(number)})
            })
            .collect();
        json!({
            "folder": self.place.folder.to_string_lossy(),
            "in_use": self.in_use,
            "segments": segments,
            "segment_bytes": report.bytes,
            "frames": contents.all.frames,
            "records": contents.all.records,
            "body_bytes": contents.all.bytes,
            "stored_bytes": contents.stored_bytes,
            "oldest_arrival": contents.arrived.map(|(first, _)| time(first)),
            "newest_arrival": contents.arrived.map(|(_, last)| time(last)),
            "wires": wires,
            "cursors": self.cursors_state(),
            "sinks": sinks,
            "plans": plans,
            "stored_plans": self.stored_plans.keys().collect::<Vec<_>>(),
            "given_up_frames": self.given_up.count(),
            "damaged_places": self.damaged_places(),
            "unreadable": report.unreadable().map(|finding| &finding.file).collect::<Vec<_>>(),
        })
    }

    fn table(&self) {
        let Self { report, contents, .. } = self;
        let row = |name: &str, text: &str| say(&format!("{name:<10}{text}"));
        row("folder", &self.place.folder.display().to_string());
        let begun = report.segments.iter().filter_map(|segment| segment.created);
        let begun = begun.clone().min().zip(begun.max());
        let begun = begun.map(|(first, last)| format!(", begun {} to {}", time(first), time(last)));
        let segments = report.segments.len() as u64;
        row("segments", &format!("{segments}, {} bytes{}", report.bytes, begun.unwrap_or_default()));
        let first = report.segments.iter().find_map(|segment| segment.first);
        let last = report.segments.iter().rev().find_map(|segment| segment.last);
        let range = first.zip(last).map(|(first, last)| format!(", numbers {first} to {last}"));
        row("frames", &format!("{}{}", contents.all.frames, range.unwrap_or_default()));
        row("records", &contents.all.records.to_string());
        let (bytes, stored) = (contents.all.bytes, contents.stored_bytes);
        row("bodies", &format!("{bytes} bytes as they arrived, {stored} as they are stored"));
        if let Some((first, last)) = contents.arrived {
            row("arrived", &format!("{} to {}", time(first), time(last)));
        }
        for (wire, tally) in &contents.wires {
            row("wire", &format!("{wire}: {}", sentence(tally)));
        }
        self.sink_rows(row);
        self.plan_rows(row);
        if !self.given_up.is_empty() {
            let lost = count(self.given_up.count(), "frame");
            row("given up", &format!("{lost} that an earlier repair found lost: {}", numbers(self.given_up)));
        }
        for finding in report.unreadable() {
            row("unreadable", &format!(" {}: {}; what is in it is not counted", finding.file, finding.what));
        }
        let places = self.damaged_places();
        if places > 0 {
            row("damage", &format!("in {}: see `forebay journal check`", count(places, "place")));
        }
    }

    fn sink_rows(&self, row: impl Fn(&str, &str)) {
        if self.found != Found::Sound && self.cursors_error.is_none() {
            let state = self.cursors_state();
            row("cursors", &format!("{state}: every sink begins with the oldest frame"));
        }
        for (sink, cursor, owed) in self.sinks() {
            let (low, above) = (cursor.low(), cursor.window());
            row("sink", &format!("{sink}: finished below {low} and {above} above; owed {}", sentence(owed)));
        }
    }

    fn plan_rows(&self, row: impl Fn(&str, &str)) {
        for number in self.stored_plans.keys() {
            let used = self.contents.plans.get(number);
            let used = used.map_or_else(|| "no frame refers to it".to_owned(), under);
            row("plan", &format!("{number}: {used}"));
        }
        for (number, plan) in &self.contents.plans {
            if !self.stored_plans.contains_key(number) {
                row("plan", &format!("{number}: is not there; {}", under(plan)));
            }
        }
    }
}

fn under(plan: &Plan) -> String {
    format!("{} from {} to {}", count(plan.frames, "frame"), plan.first, plan.last)
}

fn sentence(tally: &Tally) -> String {
    let Tally { frames, records, bytes } = tally;
    format!("{}, {}, {bytes} bytes", count(*frames, "frame"), count(*records, "record"))
}

fn segment_json(found: &SegmentFound) -> Value {
    json!({"file": segment::name_of(found.base), "bytes": found.bytes, "created": found.created.map(time),
        "frames": found.frames, "first": found.first, "last": found.last})
}
