//! An inspection sees what a start would see, and says what is wrong.

#![allow(clippy::unwrap_used)]

use super::damage::{blows, bytes_of, copy, damages, filled, found_by_log, inspect, open, overwrite, strike};
use super::{LABEL, sim::Sim};
use crate::journal::BALLAST;
use crate::journal::cursors::{Cursors, Found};
use crate::journal::log::Entry;
use crate::journal::offline::finding::What;
use crate::journal::offline::runs::Runs;
use crate::journal::segment;
use crate::journal::storage::Storage;
use proptest::prelude::*;

/// What a log counts as lost, as soon as it opens.
fn lost_by_journal(sim: &Sim) -> u64 {
    open(&copy(sim)).1.lost.iter().map(|(_, frames)| frames).sum()
}

proptest! {
    #[test]
    fn it_sees_the_frames_that_a_start_would(finished in 0u64..40, blows in blows()) {
        let (sim, _) = filled(1, finished);
        strike(&sim, &blows);
        let before: Vec<_> = sim.list().unwrap();
        let (report, numbers) = inspect(&sim);
        prop_assert_eq!(report.frames as usize, numbers.len());
        prop_assert_eq!(&numbers, &found_by_log(&sim));
        prop_assert_eq!(sim.list().unwrap(), before);
        // Without cursors a start does not miss what lies before the oldest frame; and it does not ask a last segment without
        // frames for the number that it would have begun with.
        let is_last_empty = report.segments.last().is_none_or(|last| last.frames == 0);
        let has_cursors = Cursors::load(&sim).unwrap().1 == Found::Sound;
        if has_cursors && !is_last_empty {
            prop_assert_eq!(report.lost().count(), lost_by_journal(&sim), "{:?}", report.findings);
        }
    }

    #[test]
    fn any_byte_that_changes_is_noticed(
        finished in 0u64..30,
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let (sim, _) = filled(1, finished);
        prop_assert_eq!(inspect(&sim).0.findings, []);
        let files: Vec<_> = sim.list().unwrap().into_iter().filter(|(name, _)| name != BALLAST).collect();
        let (name, len) = &files[which.index(files.len())];
        let mut bytes = bytes_of(&sim, name);
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        overwrite(&sim, name, &bytes);
        let (report, _) = inspect(&sim);
        prop_assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
        let finding = &report.findings[0];
        prop_assert_eq!(&finding.file, name);
        prop_assert!((finding.offset..finding.offset + finding.bytes).contains(&(place as u64)), "{place} {finding:?}");
        prop_assert!(finding.offset + finding.bytes <= *len);
    }

    #[test]
    fn arbitrary_files_do_no_harm(files in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..4)) {
        let sim = Sim::new(1);
        for (at, bytes) in files.iter().enumerate() {
            overwrite(&sim, &segment::name_of(u64::MAX - at as u64 * 7), bytes);
            overwrite(&sim, "cursors", bytes);
            overwrite(&sim, "given-up", bytes);
        }
        prop_assert_eq!(inspect(&sim).1, Vec::<u64>::new());
    }
}

#[test]
fn a_body_that_does_not_inflate_is_damage_and_one_that_was_finished_is_no_loss() {
    let sim = Sim::new(1);
    let (mut journal, _) = open(&sim);
    for (stored, zstd) in [(&b"sound"[..], None), (b"no zstd", Some(9)), (b"sound", None)] {
        journal.append(&[Entry { label: LABEL, receiver: b"json", stored, zstd }]).unwrap();
    }
    journal.sync().unwrap();
    journal.checkpoint().unwrap();
    let (report, numbers) = inspect(&sim);
    assert_eq!(numbers, [0, 2]);
    assert!(matches!(report.findings[..], [ref one] if matches!(one.what, What::Body { number: 1, .. })));
    assert_eq!(report.lost(), Runs::from(1..2));
}

#[test]
fn what_a_crash_leaves_behind_is_no_damage() {
    let (sim, _) = filled(1, 5);
    let last =
        sim.list().unwrap().into_iter().map(|(name, _)| name).filter(|name| name.ends_with("segment")).max();
    let name = last.unwrap();
    let mut bytes = bytes_of(&sim, &name);
    let torn = bytes[40..100].to_vec();
    bytes.extend_from_slice(&torn);
    overwrite(&sim, &name, &bytes);
    let (report, _) = inspect(&sim);
    assert!(
        matches!(report.findings[..], [ref one] if matches!(one.what, What::TornTail { unknown: false, .. }))
    );
    assert_eq!(report.findings[0].bytes, 60);
    assert_eq!(damages(&sim), []);
}

#[test]
fn a_missing_segment_is_missed_unless_it_was_finished() {
    let (sim, _) = filled(1, 0);
    let names: Vec<String> = sim
        .list()
        .unwrap()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name.ends_with("segment"))
        .collect();
    sim.remove(&names[1]).unwrap();
    let bases: Vec<u64> = names.iter().filter_map(|name| segment::base_of(name)).collect();
    let found = damages(&sim);
    assert_eq!(found.len(), 1, "{found:?}");
    // Frame 3 was finished.
    let gone = (bases[1]..bases[2]).filter(|number| *number != 3).count();
    assert_eq!((&found[0].what, found[0].missing.count() as usize), (&What::Missing, gone));
    // A start steps over them.
    let (mut journal, _) = open(&sim);
    journal.checkpoint().unwrap();
    assert_eq!(damages(&sim), []);
}
