//! After a repair a journal is sound and holds exactly the frames that were.

#![allow(clippy::unwrap_used)]

use super::LABEL;
use super::damage::{
    Bodies, FRAMES, blows, bytes_of, copy, damages, filled, found_by_log, inspect, open, overwrite, strike,
};
use super::sim::{Sim, SimFile};
use crate::journal::frame;
use crate::journal::inflate::Inflater;
use crate::journal::offline::repair::{RepairError, Repaired, Shelves, repair};
use crate::journal::offline::runs::Runs;
use crate::journal::segment;
use crate::journal::storage::{Appender, Storage};
use proptest::prelude::*;
use std::io::{self, ErrorKind};

impl Shelves for Sim {
    fn begin(&self, shelf: &str) -> io::Result<()> {
        let is_there = self.list()?.iter().any(|(name, _)| name.starts_with(shelf));
        if is_there { Err(ErrorKind::AlreadyExists.into()) } else { Ok(()) }
    }

    fn keep(&self, name: &str, shelf: &str) -> io::Result<()> {
        let bytes = self.read(name, 0, 1 << 20)?;
        let mut file = self.create(&format!("{shelf}/{name}"))?;
        file.append(&bytes)?;
        file.sync()?;
        self.sync_names()
    }
}

/// Repairs, and says what was left; a journal of which nothing is left is one.
fn mend(sim: &Sim, shelf: &str) -> Repaired {
    match repair(sim, shelf, false) {
        Ok(repaired) => repaired,
        Err(RepairError::NoJournal) => Repaired::default(),
        Err(error) => panic!("{error}"),
    }
}

fn assert_bodies(sim: &Sim, expected: &[u64], bodies: &Bodies) {
    let (journal, opened) = open(&copy(sim));
    let mut inflater = Inflater::default();
    let positions: Vec<_> = journal.owed("es").flat_map(Result::unwrap).collect();
    assert!(positions.len() as u64 <= opened.log.frames);
    assert_eq!(found_by_log(sim), expected);
    for position in positions {
        let frame = journal.read(position).unwrap();
        assert_eq!(inflater.body(&frame).unwrap(), bodies[&position.sequence]);
    }
}

proptest! {
    #[test]
    fn exactly_the_sound_frames_are_left(finished in 0u64..40, blows in blows()) {
        let (sim, bodies) = filled(1, finished);
        strike(&sim, &blows);
        let sound = found_by_log(&sim);
        let struck = copy(&sim);
        let (is_damaged, files) = (!damages(&sim).is_empty(), sim.list().unwrap());
        let promised = repair(&sim, "shelf", true);
        prop_assert_eq!(&sim.list().unwrap(), &files);
        let repaired = mend(&sim, "shelf");
        prop_assert_eq!(repaired.changes.is_empty() && !repaired.cursors && repaired.lost.is_empty(), !is_damaged);
        prop_assert_eq!(&promised.unwrap_or_default(), &repaired);
        prop_assert_eq!(damages(&sim), []);
        prop_assert_eq!(repaired.frames() as usize, sound.len());
        assert_bodies(&sim, &sound, &bodies);
        // What was changed is still there as it was.
        for (name, _) in files {
            if bytes_of(&sim, &format!("shelf/{name}")) != bytes_of(&struck, &name) {
                prop_assert_eq!(bytes_of(&sim, &name), bytes_of(&struck, &name), "{}", name);
            }
        }
        let once = sim.list().unwrap();
        let again = mend(&sim, "again");
        prop_assert!(again.shelf.is_none() && again.lost.is_empty());
        prop_assert_eq!(sim.list().unwrap(), once);
    }

    #[test]
    fn a_repair_that_is_cut_off_at_any_time_loses_nothing(
        seed in any::<u64>(),
        finished in 0u64..20,
        blows in blows(),
    ) {
        let (sound_sim, bodies) = filled(seed, finished);
        strike(&sound_sim, &blows);
        let sim = copy(&sound_sim);
        let sound = found_by_log(&sim);
        let mut attempts = 0;
        loop {
            attempts += 1;
            sim.fail_one_in(if attempts < 20 { 6 } else { 0 });
            let outcome = repair(&sim, &format!("shelf-{attempts}"), false);
            sim.fail_one_in(0);
            match outcome {
                Ok(_) | Err(RepairError::NoJournal) => break,
                Err(RepairError::Io { .. }) => {}
                Err(error) => prop_assert!(false, "{error}"),
            }
            if attempts % 2 == 0 {
                sim.crash();
            }
            prop_assert_eq!(&found_by_log(&sim), &sound);
        }
        sim.crash();
        prop_assert_eq!(damages(&sim), []);
        assert_bodies(&sim, &sound, &bodies);
    }
}

/// A folder of which one file cannot be read.
#[derive(Debug)]
struct Unreadable(Sim, String);

impl Storage for Unreadable {
    type Appender = SimFile;

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.0.list()
    }

    fn create(&self, name: &str) -> io::Result<SimFile> {
        self.0.create(name)
    }

    fn read(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        if name == self.1 { Err(io::Error::other("a bad block")) } else { self.0.read(name, offset, len) }
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        self.0.truncate(name, len)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.0.sync_names()
    }
}

impl Shelves for Unreadable {
    fn begin(&self, shelf: &str) -> io::Result<()> {
        self.0.begin(shelf)
    }

    /// As a second name is given, without reading.
    fn keep(&self, name: &str, shelf: &str) -> io::Result<()> {
        self.0.keep(name, shelf)
    }
}

#[test]
fn a_segment_that_cannot_be_read_is_put_aside_and_hides_no_other() {
    let (sim, bodies) = filled(1, 0);
    let segments: Vec<String> =
        super::damage::files(&sim).into_iter().filter(|name| name.ends_with(".segment")).collect();
    let (gone, after) = (segment::base_of(&segments[1]).unwrap(), segment::base_of(&segments[2]).unwrap());
    let kept = bytes_of(&sim, &segments[1]);
    let folder = Unreadable(sim.clone(), segments[1].clone());
    let repaired = repair(&folder, "shelf", false).unwrap();
    assert_eq!(repaired.lost, Runs::from(gone..after));
    assert_eq!(bytes_of(&sim, &format!("shelf/{}", segments[1])), kept);
    let left: Vec<u64> = (0..gone).chain(after..FRAMES).collect();
    assert_eq!(damages(&sim), []);
    assert_bodies(&sim, &left, &bodies);
}

/// A later segment overrules frames that a writer gave up; it cannot be dropped without them.
#[test]
fn what_was_given_up_stays_so_when_the_segment_behind_it_goes() {
    let sim = Sim::new(1);
    let written = |base: u64, numbers: std::ops::Range<u64>| {
        let mut bytes = segment::head(base, 5, 77);
        numbers.for_each(|number| frame::write(number, 77, &LABEL, b"json", b"body", None, &mut bytes));
        bytes
    };
    overwrite(&sim, &segment::name_of(0), &written(0, 0..4));
    let mut rubbish = written(2, 2..5);
    rubbish[40..].fill(0xee);
    overwrite(&sim, &segment::name_of(2), &rubbish);
    overwrite(&sim, &segment::name_of(5), &written(5, 5..6));
    assert_eq!(found_by_log(&sim), [0, 1, 5]);
    let repaired = mend(&sim, "shelf");
    assert_eq!(repaired.changes.iter().map(|change| change.frames).collect::<Vec<_>>(), [2, 0]);
    assert_eq!(repaired.lost.count(), 3);
    assert_eq!(inspect(&sim).1, [0, 1, 5]);
    assert_eq!(found_by_log(&sim), [0, 1, 5]);
    assert_eq!(damages(&sim), []);
}

#[test]
fn frames_of_a_later_version_are_left_alone() {
    let (sim, _) = filled(1, 0);
    let name = segment::name_of(0);
    let mut bytes = bytes_of(&sim, &name);
    // The second frame says version 2, soundly.
    let at = 40 + frame::Head::read(&bytes[40..]).unwrap().frame_len();
    bytes[at + 4] = 2;
    let sum = crc32c::crc32c(&bytes[at..at + 72]).to_le_bytes();
    bytes[at + 72..at + 76].copy_from_slice(&sum);
    overwrite(&sim, &name, &bytes);
    let before = sim.list().unwrap();
    assert!(matches!(repair(&sim, "shelf", false), Err(RepairError::LaterVersion(file)) if file == name));
    assert_eq!(sim.list().unwrap(), before);
}

#[test]
fn without_cursors_a_loss_is_told_once() {
    let (sim, bodies) = filled(1, 0);
    let name = segment::name_of(0);
    let mut bytes = bytes_of(&sim, &name);
    bytes[44] ^= 1;
    overwrite(&sim, &name, &bytes);
    let mut cursors = bytes_of(&sim, "cursors");
    cursors[9] ^= 1;
    overwrite(&sim, "cursors", &cursors);
    let repaired = mend(&sim, "shelf");
    assert!(repaired.cursors);
    assert_eq!(repaired.lost, Runs::from(0..1));
    assert_eq!(damages(&sim), []);
    assert_bodies(&sim, &(1..40).collect::<Vec<_>>(), &bodies);
    assert_eq!(open(&sim).0.owed("es").flat_map(Result::unwrap).count(), 39);
}
