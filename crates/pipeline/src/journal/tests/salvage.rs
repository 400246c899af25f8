//! Files that were damaged after they were durable: what is left is found, what is gone is counted.

#![allow(clippy::unwrap_used)]

use super::LABEL;
use super::sim::Sim;
use crate::journal::cursors::Found;
use crate::journal::log::{Entry, LogConfig};
use crate::journal::offline::inspect::{Inspection, Reading};
use crate::journal::offline::runs::Runs;
use crate::journal::segment;
use crate::journal::storage::Storage;
use crate::journal::{Journal, Opened};
use std::ops::ControlFlow;
use std::sync::Arc;

const FRAMES: u64 = 60;
const CONFIG: LogConfig = LogConfig { segment_bytes: 2_000, max_bytes: 1 << 20, block_bytes: 8 };

fn open(sim: &Sim) -> (Journal<Sim>, Opened) {
    Journal::open(Arc::new(sim.clone()), CONFIG, &["es".to_owned()]).unwrap()
}

fn body(number: u64) -> Vec<u8> {
    vec![number as u8; 40 + number as usize]
}

/// Sixty frames in several segments, durable, the first `finished` of them finished.
fn filled(sim: &Sim, finished: u64) {
    let (mut journal, _) = open(sim);
    for number in 0..FRAMES {
        let entry = Entry { label: LABEL, receiver: b"json", stored: &body(number), zstd: None };
        journal.append(&[entry]).unwrap();
        journal.sync().unwrap();
    }
    (0..finished).for_each(|number| journal.finish("es", number));
    journal.checkpoint().unwrap();
}

fn owed(journal: &Journal<Sim>) -> Vec<u64> {
    let positions: Vec<_> = journal.owed("es").flat_map(Result::unwrap).collect();
    for position in &positions {
        assert_eq!(journal.read(*position).unwrap().stored, body(position.sequence));
    }
    positions.iter().map(|position| position.sequence).collect()
}

#[test]
fn every_frame_is_found_or_counted_as_lost() {
    let mut lost_some = 0;
    for seed in 0..300 {
        let sim = Sim::new(seed);
        filled(&sim, 0);
        for _ in 0..1 + seed % 3 {
            sim.damage(|name| name.ends_with(".segment")).unwrap();
        }
        let (journal, opened) = open(&sim);
        let found = owed(&journal).len() as u64;
        // Damage behind the last sound frame looks like a torn tail, which holds nothing that was answered for. A dying disk may
        // hide a loss there, and only there.
        let lost: u64 = opened.lost.iter().map(|(_, frames)| frames).sum();
        assert!(
            found + lost == FRAMES || opened.log.torn_bytes > 0,
            "seed {seed}: {found} found, {opened:?}"
        );
        lost_some += u64::from(lost > 0);
    }
    assert!(lost_some > 200, "{lost_some}");
}

#[test]
fn lost_cursors_mean_that_all_is_delivered_again() {
    let sim = Sim::new(1);
    filled(&sim, 50);
    let (journal, opened) = open(&sim);
    assert_eq!((owed(&journal), opened.cursors), ((50..FRAMES).collect(), Found::Sound));
    sim.damage(|name| name == "cursors").unwrap();
    let (journal, opened) = open(&sim);
    let oldest = owed(&journal)[0];
    assert!(oldest < 50, "frames of a segment that is still there come again");
    assert_eq!((owed(&journal), opened.cursors), ((oldest..FRAMES).collect(), Found::Damaged));
    assert_eq!(opened.lost, []);
}

#[test]
fn a_new_sink_begins_with_the_next_frame() {
    let sim = Sim::new(1);
    filled(&sim, 0);
    let sinks = ["es".to_owned(), "new".to_owned()];
    let (journal, _) = Journal::open(Arc::new(sim), CONFIG, &sinks).unwrap();
    assert_eq!(journal.owed("new").flat_map(Result::unwrap).count(), 0);
    assert_eq!(owed(&journal).len() as u64, FRAMES);
}

/// What cannot be read is not damaged: a start without it would pass over what may be sound.
#[test]
fn what_cannot_be_read_refuses_the_start_and_is_owed_at_the_next() {
    let sim = Sim::new(7);
    filled(&sim, 0);
    let (journal, _) = open(&sim);
    let segments = journal.extents().into_iter().map(|extent| segment::name_of(extent.base));
    let names: Vec<String> = segments.chain(["cursors".to_owned()]).collect();
    drop(journal);
    let before = sim.list().unwrap();
    for name in names {
        sim.refuse_to_read(Some(name.clone()));
        let refused =
            Journal::open(Arc::new(sim.clone()), CONFIG, &["es".to_owned()]).map(|_| ()).unwrap_err();
        let expected = format!("{name} cannot be read: the simulated disk refuses. Nothing");
        assert!(refused.to_string().starts_with(&expected), "{refused}");
        let found = Inspection::of(&sim).unwrap().unwrap();
        let report = found.read(Reading::default(), |_, _| ControlFlow::Continue(()));
        assert_eq!(report.unreadable().map(|finding| &finding.file).collect::<Vec<_>>(), [&name]);
        assert_eq!((report.damages().count(), report.lost()), (1, Runs::default()), "{:?}", report.findings);
        sim.refuse_to_read(None);
        assert_eq!(sim.list().unwrap(), before);
    }
    let (journal, opened) = open(&sim);
    assert_eq!((owed(&journal), opened.lost), ((0..FRAMES).collect(), vec![]));
}
