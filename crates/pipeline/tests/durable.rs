//! Durable acknowledgement inside the process: what was answered for is delivered, whatever becomes of sinks and processes.
#![allow(clippy::unwrap_used)]

mod house;

use forebay_pipeline::admit::Acknowledge;
use forebay_pipeline::deliver::OnLag;
use forebay_pipeline::journal::frame::HEAD_BYTES;
use forebay_pipeline::journal::segment::SEGMENT_HEAD_BYTES;
use forebay_pipeline::journal::{Compression, JournalError};
use forebay_pipeline::ledger::Outcome;
use house::{House, MIB, Mood, Plan, line, lines};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_answered_while_the_sink_is_down_and_the_next_process_delivers() {
    let folder = tempfile::tempdir().unwrap();
    let first = House::new(folder.path(), Plan::default()).await;
    first.mood("a", Mood::Down);
    first.json(&lines(0..30)).await.unwrap();
    first.json(&lines(30..50)).await.unwrap();
    let door = first.ledger.door("json");
    assert_eq!((door.received(), door.admitted()), (50, 50));
    let before = first.crash().await;

    let second = House::new(folder.path(), Plan::default()).await;
    second.delivered("a", 50).await;
    assert_eq!(second.stored("a"), (0..50).map(line).collect());
    assert_eq!(second.ids("a").len(), 50);
    assert!(before.is_empty());
    assert_eq!((second.owed(), second.recovered()), (0, 50));
    second.emptied().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_the_same_in_every_process() {
    let folder = tempfile::tempdir().unwrap();
    let first = House::new(folder.path(), Plan::default()).await;
    first.mood("a", Mood::Forgetful);
    first.json(&lines(0..20)).await.unwrap();
    first.delivered("a", 20).await;
    let ids = first.ids("a");
    first.crash().await;
    let second = House::new(folder.path(), Plan::default()).await;
    second.delivered("a", 20).await;
    assert_eq!(second.ids("a"), ids);
}

/// Also what stands in no line of it: the index that its address names.
#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_is_delivered_by_the_next_process_as_it_was_taken() {
    let folder = tempfile::tempdir().unwrap();
    let first = House::new(folder.path(), Plan::default()).await;
    first.mood("a", Mood::Down);
    let body =
        "{\"index\":{\"_id\":\"one\"}}\n{\"n\":1}\n{\"create\":{}}\nbroken\n{\"create\":{}}\n{\"n\":3}\n";
    first.bulk(body, "{\"_index\":\"app\"}").await.unwrap();
    let door = first.ledger.door("bulk");
    assert_eq!((door.admitted(), door.rejected()), (2, 1));
    first.crash().await;
    let second = House::new(folder.path(), Plan::default()).await;
    second.delivered("a", 2).await;
    assert_eq!(second.stored("a"), BTreeSet::from(["{\"n\":1}".to_owned(), "{\"n\":3}".to_owned()]));
    assert_eq!(second.destinations("a"), BTreeSet::from(["named".to_owned()]));
    assert_eq!(second.ids("a").len(), 2);
    second.emptied().await;
}

/// An id is its client's, in the index that the client named.
#[tokio::test(flavor = "multi_thread")]
async fn one_id_in_several_indices_of_a_client_stays_as_many_in_one_destination_in_every_process() {
    let folder = tempfile::tempdir().unwrap();
    let first = House::new(folder.path(), Plan::default()).await;
    first.mood("a", Mood::Forgetful);
    let body = "{\"create\":{\"_id\":\"one\"}}\n{\"n\":1}\n{\"create\":{\"_id\":\"one\",\"_index\":\"y\"}}\n{\"n\":2}\n\
                {\"create\":{\"_id\":\"one\",\"_index\":\"even\"}}\n{\"n\":3}\n";
    first.bulk(body, "{\"_index\":\"x\"}").await.unwrap();
    first.delivered("a", 3).await;
    let ids = first.ids("a");
    assert_eq!((ids.len(), ids.contains("one")), (3, true));
    assert!(ids.iter().all(|id| id == "one" || id.starts_with("one~")), "{ids:?}");
    first.crash().await;
    let second = House::new(folder.path(), Plan::default()).await;
    second.delivered("a", 3).await;
    assert_eq!((second.ids("a"), second.destinations("a")), (ids, BTreeSet::from(["even".to_owned()])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_sink_delays_nobody_and_takes_no_more_memory_than_its_window() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { to: &["a", "b"], window: MIB, ..Plan::default() };
    let house = House::new(folder.path(), plan).await;
    house.mood("a", Mood::Down);
    let padding = "x".repeat(10_000);
    for number in 0..1_000 {
        house.json(&format!("{{\"n\":{number},\"padding\":\"{padding}\"}}\n")).await.unwrap();
    }
    house.delivered("b", 1_000).await;
    assert!(house.budget.used() < 2 * MIB, "{} bytes are held", house.budget.used());
    assert_eq!(house.behind("a"), 1_000);
    house.mood("a", Mood::Well);
    house.delivered("a", 1_000).await;
    assert_eq!(house.count("a"), 1_000, "each was delivered once");
    house.emptied().await;
    assert_eq!(house.owed(), 2_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_destination_does_not_hold_up_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { window: MIB / 4, ..Plan::default() };
    let house = House::new(folder.path(), plan).await;
    house.mood("a", Mood::Blocks("odd"));
    let padding = "x".repeat(10_000);
    for number in 0..200 {
        let odd = number % 2 == 1;
        house.json(&format!("{{\"n\":{number},\"odd\":{odd},\"padding\":\"{padding}\"}}\n")).await.unwrap();
    }
    house.delivered("a", 100).await;
    assert_eq!(house.behind("a"), 100);
    house.mood("a", Mood::Well);
    house.delivered("a", 200).await;
    assert_eq!(house.count("a"), 200);
    house.emptied().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_panic_tore_up_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(folder.path(), Plan::default()).await;
    house.mood("a", Mood::Panics);
    house.json(&lines(0..40)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(house.count("a"), 0);
    house.mood("a", Mood::Well);
    house.delivered("a", 40).await;
    assert_eq!(house.stored("a"), (0..40).map(line).collect());
    house.emptied().await;
    house.balanced();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_journal_refuses_and_takes_again_when_a_sink_has_caught_up() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { max_bytes: 2 * MIB, segment_bytes: MIB / 4, ..Plan::default() };
    let house = House::new(folder.path(), plan).await;
    house.mood("a", Mood::Down);
    let padding = "x".repeat(50_000);
    let mut taken = 0;
    let refused = loop {
        match house.json(&format!("{{\"n\":{taken},\"padding\":\"{padding}\"}}\n")).await {
            Ok(()) => taken += 1,
            Err(refused) => break refused,
        }
    };
    assert!(refused.contains("journal is full"), "{refused}");
    assert!((30..42).contains(&taken), "{taken}");
    let door = house.ledger.door("json");
    assert_eq!((door.admitted(), door.refused()), (taken, 1));
    house.mood("a", Mood::Well);
    house.delivered("a", taken as usize).await;
    house.eventually(|| house.has_room()).await;
    house.json(&format!("{{\"n\":{taken}}}\n")).await.unwrap();
    house.delivered("a", taken as usize + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_bodies_follow_the_routes_that_they_were_admitted_under() {
    let folder = tempfile::tempdir().unwrap();
    let first = House::new(folder.path(), Plan::default()).await;
    first.mood("a", Mood::Down);
    first.json(&lines(0..10)).await.unwrap();
    first.crash().await;
    let plan = Plan { index: "renamed", max_record_bytes: 5, ..Plan::default() };
    let second = House::new(folder.path(), plan).await;
    second.delivered("a", 10).await;
    assert_eq!(second.destinations("a"), BTreeSet::from(["even".to_owned()]));
    second.json("{}\n").await.unwrap();
    second.delivered("a", 11).await;
    assert!(second.destinations("a").contains("renamed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_may_lie_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { compression: Compression::Zstd, ..Plan::default() };
    let first = House::new(folder.path(), plan).await;
    first.mood("a", Mood::Down);
    first.json(&lines(0..5_000)).await.unwrap();
    first.crash().await;
    let bytes: u64 =
        fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < lines(0..5_000).len() as u64 / 2, "{bytes}");
    let second = House::new(folder.path(), plan).await;
    second.delivered("a", 5_000).await;
    assert_eq!(second.stored("a"), (0..5_000).map(line).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_is_owed_something_cannot_just_go() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { to: &["a", "b"], ..Plan::default() };
    let first = House::new(folder.path(), plan).await;
    first.mood("a", Mood::Down);
    first.json(&lines(0..3)).await.unwrap();
    first.delivered("b", 3).await;
    first.crash().await;
    let without = Plan { to: &["b"], ..Plan::default() };
    let refused = House::open(folder.path(), without).await.err().unwrap();
    assert!(matches!(&refused, JournalError::Orphans(sinks) if sinks == &[("a".to_owned(), 1)]), "{refused}");
    // Nor where the cursors, which named it, are damaged: the kept routes name it too.
    fs::write(folder.path().join("cursors"), b"rubbish").unwrap();
    let refused = House::open(folder.path(), without).await.err().unwrap();
    assert!(matches!(&refused, JournalError::Orphans(sinks) if sinks == &[("a".to_owned(), 1)]), "{refused}");
    let abandoned = House::new(folder.path(), Plan { abandon: &["a"], ..without }).await;
    abandoned.delivered("b", 3).await;
    abandoned.emptied().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_costs_what_it_touches_and_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let first = House::new(folder.path(), Plan::default()).await;
    first.mood("a", Mood::Down);
    for number in 0..9 {
        first.json(&lines(number..number + 1)).await.unwrap();
    }
    first.crash().await;
    let file = segment(folder.path());
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(5).position(|window| window == b"\"n\":4").unwrap();
    bytes[at] ^= 1;
    fs::write(&file, bytes).unwrap();
    let second = House::new(folder.path(), Plan::default()).await;
    second.delivered("a", 8).await;
    assert_eq!(second.stored("a"), (0..9).filter(|number| *number != 4).map(line).collect());
    assert_eq!(second.lost, [("a".to_owned(), 1)]);
    assert_eq!(second.lost("a"), 1, "in the metrics as well");
    second.emptied().await;
}

/// Routes that frames were taken under are kept for as long as there are such frames, and no longer.
#[tokio::test(flavor = "multi_thread")]
async fn routes_go_with_the_last_file_that_needs_them() {
    let folder = tempfile::tempdir().unwrap();
    let plans = || {
        let names = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with("plan-")).collect::<BTreeSet<_>>()
    };
    let plan = |index| Plan { index, segment_bytes: 8 << 10, ..Plan::default() };
    let first = House::new(folder.path(), plan("one")).await;
    first.mood("a", Mood::Down);
    first.json(&lines(0..3)).await.unwrap();
    first.crash().await;
    assert_eq!(plans(), ["plan-1.json".into()].into());
    let second = House::new(folder.path(), plan("two")).await;
    second.json(&lines(3..500)).await.unwrap();
    // What the first took is there until the sink has it.
    second.delivered("a", 500).await;
    assert_eq!(second.destinations("a"), ["one", "two"].map(str::to_owned).into());
    second.eventually(|| plans() == ["plan-2.json".into()].into()).await;
    second.emptied().await;
}

/// The oldest file of frames.
fn segment(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|suffix| suffix == "segment")).min().unwrap()
}

/// While it runs: each of several frames that lie together is counted, and nothing waits for them.
#[tokio::test(flavor = "multi_thread")]
async fn frames_damaged_under_a_running_process_are_all_counted() {
    let folder = tempfile::tempdir().unwrap();
    // What came back rests, and what comes then is read from disk.
    let house = House::new(folder.path(), Plan { window: 4_000, ..Plan::default() }).await;
    house.mood("a", Mood::Down);
    for number in 0..40 {
        house.json(&lines(number..number + 1)).await.unwrap();
    }
    let file = segment(folder.path());
    let mut bytes = fs::read(&file).unwrap();
    let place =
        |number: &str| bytes.windows(number.len()).position(|window| window == number.as_bytes()).unwrap();
    let (from, to) = (place("\"n\":30"), place("\"n\":33"));
    bytes[from..to].iter_mut().for_each(|byte| *byte ^= 0xff);
    fs::write(&file, bytes).unwrap();
    house.mood("a", Mood::Well);
    house.emptied().await;
    let stored = house.stored("a");
    let missing: Vec<usize> = (0..40).filter(|number| !stored.contains(&line(*number))).collect();
    assert_eq!(house.lost("a"), missing.len() as u64, "{missing:?}");
    assert!((3..=4).contains(&missing.len()) && missing.contains(&31), "{missing:?}");
}

/// A journal that a later Forebay has written to is left as it is.
#[tokio::test(flavor = "multi_thread")]
async fn frames_of_a_later_version_are_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let first = House::new(folder.path(), Plan::default()).await;
    first.mood("a", Mood::Down);
    for number in 0..3 {
        first.json(&lines(number..number + 1)).await.unwrap();
    }
    first.crash().await;
    let file = segment(folder.path());
    let sound = fs::read(&file).unwrap();
    let mut later = sound.clone();
    let head = &mut later[SEGMENT_HEAD_BYTES..SEGMENT_HEAD_BYTES + HEAD_BYTES];
    head[4] += 1;
    let (said, sum) = head.split_at_mut(HEAD_BYTES - 4);
    sum.copy_from_slice(&crc32c::crc32c(said).to_le_bytes());
    fs::write(&file, &later).unwrap();
    let refused = House::open(folder.path(), Plan::default()).await.err().unwrap();
    assert!(refused.to_string().contains("start the Forebay that wrote it"), "{refused}");
    assert!(fs::read(&file).unwrap() == later);
    fs::write(&file, &sound).unwrap();
    let second = House::new(folder.path(), Plan::default()).await;
    second.delivered("a", 3).await;
}

/// Kept routes that are gone cannot be followed, but no others take their number, and later requests go their own way.
#[tokio::test(flavor = "multi_thread")]
async fn no_routes_take_the_number_of_those_that_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let first = House::new(folder.path(), Plan::default()).await;
    first.mood("a", Mood::Down);
    first.json(&lines(0..1)).await.unwrap();
    first.crash().await;
    fs::remove_file(folder.path().join("plan-1.json")).unwrap();
    let second = House::new(folder.path(), Plan { index: "other", ..Plan::default() }).await;
    assert!(folder.path().join("plan-2.json").exists() && !folder.path().join("plan-1.json").exists());
    second.delivered("a", 1).await;
    assert_eq!(second.destinations("a"), BTreeSet::from(["other".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_the_whole_journal_could_not_hold_is_refused_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { max_bytes: MIB / 2, segment_bytes: MIB / 8, ..Plan::default() };
    let house = House::new(folder.path(), plan).await;
    let refused = house.json(&lines(0..20_000)).await.unwrap_err();
    assert!(refused.contains("of the journal"), "{refused}");
    house.json(&lines(0..10)).await.unwrap();
    house.delivered("a", 10).await;
}

/// In both modes: nobody waits for it, it holds no more than its window, and what it missed is counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_nobody_waits_for_costs_nobody_anything() {
    for acknowledge in [Acknowledge::Delivered, Acknowledge::Durable] {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan { best_effort: &["b"], window: 100_000, acknowledge, ..Plan::default() };
        let house = House::new(folder.path(), plan).await;
        house.mood("b", Mood::Down);
        let padding = "x".repeat(10_000);
        for number in 0..50 {
            house.json(&format!("{{\"n\":{number},\"padding\":\"{padding}\"}}\n")).await.unwrap();
        }
        house.delivered("a", 50).await;
        let dropped = house.settled("b", Outcome::BestEffort);
        assert!((40..=45).contains(&dropped), "{dropped}");
        house.mood("b", Mood::Well);
        house.delivered("b", 50 - dropped as usize).await;
        house.emptied().await;
        assert_eq!(house.settled("b", Outcome::Delivered) + dropped, 50);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_is_too_far_behind_refuses_or_loses_the_oldest() {
    for on_lag in [OnLag::Refuse, OnLag::DropOldest] {
        let folder = tempfile::tempdir().unwrap();
        let max_lag = Some((2 * MIB, on_lag));
        let plan =
            Plan { to: &["a", "b"], segment_bytes: MIB / 4, max_lag, window: 100_000, ..Plan::default() };
        let house = House::new(folder.path(), plan).await;
        house.mood("b", Mood::Down);
        let padding = "x".repeat(50_000);
        let mut refused = 0;
        let mut taken = Vec::new();
        for number in 0..200 {
            let record = format!("{{\"n\":{number},\"padding\":\"{padding}\"}}");
            match house.json(&format!("{record}\n")).await {
                Ok(()) => taken.push(record),
                Err(_) => refused += 1,
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        house.delivered("a", taken.len()).await;
        match on_lag {
            OnLag::Refuse => assert!(refused > 100 && house.lagged("b") == 0, "{refused}"),
            OnLag::DropOldest => {
                assert!(refused == 0 && house.lagged("b") > 100, "{}", house.lagged("b"));
            }
        }
        house.mood("b", Mood::Well);
        house.emptied().await;
        let lagged = house.lagged("b") as usize;
        assert_eq!(house.stored("b").len() + lagged, taken.len());
        assert!(house.stored("b").contains(taken.last().unwrap()), "the newest are kept");
        assert_eq!(house.stored("a").len(), taken.len());
    }
}

/// The newest sink is known to the disk before anything is answered for it: here nothing is checkpointed after that.
#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_is_new_on_an_old_journal_is_owed_from_its_first_moment() {
    let folder = tempfile::tempdir().unwrap();
    let first = House::new(folder.path(), Plan::default()).await;
    first.json(&lines(0..5)).await.unwrap();
    first.delivered("a", 5).await;
    first.crash().await;
    let plan = Plan { to: &["a", "b"], ..Plan::default() };
    let second = House::new(folder.path(), plan).await;
    second.mood("b", Mood::Down);
    second.json(&lines(5..9)).await.unwrap();
    // A file may be renamed between the look and the copy: then once more.
    let copy = loop {
        let copy = tempfile::tempdir().unwrap();
        let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(Result::unwrap).collect();
        let copied = |file: &fs::DirEntry| fs::copy(file.path(), copy.path().join(file.file_name())).is_ok();
        if files.iter().all(copied) {
            break copy;
        }
    };
    let third = House::new(copy.path(), plan).await;
    third.delivered("b", 4).await;
    assert_eq!(third.stored("b"), (5..9).map(line).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_goes_away_costs_what_was_in_it_and_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { segment_bytes: 40_000, window: 1, ..Plan::default() };
    let house = House::new(folder.path(), plan).await;
    house.mood("a", Mood::Down);
    for number in 0..80 {
        house.json(&lines(number..number + 1)).await.unwrap();
    }
    let mut segments: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "segment"))
        .collect();
    segments.sort();
    fs::remove_file(&segments[1]).unwrap();
    house.mood("a", Mood::Well);
    house.emptied().await;
    assert!((40..80).contains(&house.count("a")), "{}", house.count("a"));
    house.json(&lines(80..81)).await.unwrap();
    house.emptied().await;
}
