//! Journals to be damaged, and ways to damage them.

#![allow(clippy::unwrap_used)]

use super::LABEL;
use super::sim::Sim;
use crate::journal::BALLAST;
use crate::journal::log::{Entry, Log, LogConfig};
use crate::journal::offline::finding::Finding;
use crate::journal::offline::inspect::{Inspection, Reading, Report};
use crate::journal::storage::{Appender, Storage};
use crate::journal::{Journal, Opened};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

pub(super) const CONFIG: LogConfig = LogConfig { segment_bytes: 1_000, max_bytes: 1 << 20, block_bytes: 32 };
pub(super) const FRAMES: u64 = 40;

/// Bodies by their frames' numbers.
pub(super) type Bodies = BTreeMap<u64, Vec<u8>>;

/// What a disk may do to a file.
#[derive(Clone, Debug)]
pub(super) enum Harm {
    Overwrite(Vec<u8>),
    Cut,
    /// Bytes that were not there.
    Insert(Vec<u8>),
    Remove,
}

/// Which file, where in it, and what.
pub(super) type Blow = (prop::sample::Index, prop::sample::Index, Harm);

pub(super) fn blows() -> impl Strategy<Value = Vec<Blow>> {
    let bytes = || prop::collection::vec(any::<u8>(), 1..60);
    let harm = prop_oneof![
        8 => bytes().prop_map(Harm::Overwrite),
        2 => any::<u8>().prop_map(|byte| Harm::Overwrite(vec![byte])),
        1 => Just(Harm::Cut),
        1 => bytes().prop_map(Harm::Insert),
        1 => Just(Harm::Remove),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), harm), 0..5)
}

pub(super) fn open(sim: &Sim) -> (Journal<Sim>, Opened) {
    Journal::open(Arc::new(sim.clone()), CONFIG, &["es".to_owned()]).unwrap()
}

/// Forty durable frames in several segments, every third as zstd, the first `finished` and some others finished.
pub(super) fn filled(seed: u64, finished: u64) -> (Sim, Bodies) {
    let sim = Sim::new(seed);
    let (mut journal, _) = open(&sim);
    let mut bodies = Bodies::new();
    for number in 0..FRAMES {
        let body = vec![number as u8; 10 + (number * 7 % 90) as usize];
        let zstd = zstd::bulk::compress(&body, 1).unwrap();
        let is_zstd = number % 3 == 0;
        let stored = if is_zstd { &zstd } else { &body };
        let entry =
            Entry { label: LABEL, receiver: b"json", stored, zstd: is_zstd.then_some(body.len() as u32) };
        journal.append(&[entry]).unwrap();
        journal.sync().unwrap();
        bodies.insert(number, body);
    }
    (0..finished).chain([finished + 3]).for_each(|number| journal.finish("es", number));
    journal.checkpoint().unwrap();
    (sim, bodies)
}

/// The bytes of a file; none if it is not there.
pub(super) fn bytes_of(sim: &Sim, name: &str) -> Vec<u8> {
    sim.read(name, 0, 1 << 20).unwrap_or_default()
}

pub(super) fn overwrite(sim: &Sim, name: &str, bytes: &[u8]) {
    let mut file = sim.create(name).unwrap();
    file.append(bytes).unwrap();
    file.sync().unwrap();
    sim.sync_names().unwrap();
}

pub(super) fn copy(sim: &Sim) -> Sim {
    let copy = Sim::new(7);
    for (name, _) in sim.list().unwrap() {
        overwrite(&copy, &name, &bytes_of(sim, &name));
    }
    copy
}

/// The files of the journal, without what was put aside.
pub(super) fn files(sim: &Sim) -> Vec<String> {
    sim.list()
        .unwrap()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| !name.contains('/') && name != BALLAST)
        .collect()
}

pub(super) fn strike(sim: &Sim, blows: &[Blow]) {
    for (which, place, harm) in blows {
        let files = files(sim);
        if files.is_empty() {
            return;
        }
        let name = &files[which.index(files.len())];
        let mut bytes = bytes_of(sim, name);
        let place = place.index(bytes.len() + 1);
        match harm {
            Harm::Overwrite(with) => {
                for (byte, with) in bytes[place..].iter_mut().zip(with) {
                    *byte = *with;
                }
            }
            Harm::Cut => bytes.truncate(place),
            Harm::Insert(more) => {
                bytes.splice(place..place, more.iter().copied());
            }
            Harm::Remove => {
                sim.remove(name).unwrap();
                sim.sync_names().unwrap();
                continue;
            }
        }
        overwrite(sim, name, &bytes);
    }
}

/// The report, and the numbers of the sound frames.
pub(super) fn inspect(sim: &Sim) -> (Report, Vec<u64>) {
    let Some(journal) = Inspection::of(sim).unwrap() else { return (Report::default(), Vec::new()) };
    let mut numbers = Vec::new();
    let report = journal.read(Reading { bodies: true, in_use: false }, |position, _| {
        numbers.push(position.sequence);
        ControlFlow::Continue(())
    });
    (report, numbers)
}

pub(super) fn damages(sim: &Sim) -> Vec<Finding> {
    inspect(sim).0.damages().cloned().collect()
}

/// The numbers that a log finds, on a copy.
pub(super) fn found_by_log(sim: &Sim) -> Vec<u64> {
    let mut numbers = Vec::new();
    Log::open(Arc::new(copy(sim)), CONFIG, 0, |position| numbers.push(position.sequence)).unwrap();
    numbers
}
