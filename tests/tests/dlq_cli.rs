//! `forebay dlq` on letters that were laid down by hand, with sinks that need no server.

#![allow(clippy::unwrap_used)]

use forebay_tests::gateway;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Letters for each sink: more than the smallest queue has room for.
const EACH: usize = 600;

/// A folder with a configuration of two file sinks, `a` and `b`, and a sink that nobody listens to.
struct Scene {
    folder: TempDir,
}

fn letter(sink: &str, number: usize, document: &Value) -> String {
    json!({
        "buried_at": "2026-11-21T08:26:04.580000000Z", "arrived_at": "2026-11-21T08:26:04.580000000Z",
        "receiver": "json", "route": "all", "sink": sink, "destination": "there", "id": format!("id-{number}"),
        "reason": "400: \u{1b}[2Jparsing: text\r\nmore", "document": document,
    })
    .to_string()
}

fn document(number: usize) -> Value {
    json!({"@timestamp": "2026-11-21T08:26:04.580000000Z", "n": number})
}

impl Scene {
    fn set(letters: &str) -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(scene.path("letters")).unwrap();
        fs::write(scene.path("letters/dead-letters-1.jsonl"), letters).unwrap();
        let config = "\
            dead_letters: {path: letters}\n\
            sinks:\n  \
              a: {type: file, path: a, delivery: {max_queued_shares: 256}}\n  \
              b: {type: file, path: b}\n  \
              es: {type: elasticsearch, endpoints: ['http://127.0.0.1:9']}\n\
            routes: [{name: all, to: [a], index: there}]\n";
        fs::write(scene.path("forebay.yaml"), config).unwrap();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn dlq(&self, args: &[&str]) -> Output {
        let mut command = Command::new(gateway::binary().unwrap());
        command.arg("dlq").args(args).args(["--config", "forebay.yaml"]);
        command.current_dir(self.folder.path()).output().unwrap()
    }

    fn lines(&self, name: &str) -> usize {
        fs::read_to_string(self.path(name)).map_or(0, |text| text.lines().count())
    }
}

/// The last line of a replay.
fn counts(delivered: usize, unsent: usize) -> String {
    format!(
        "{delivered} arrived and were removed (0 of them were there already), 0 were refused again, {unsent} were not sent\n"
    )
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_sink_that_is_in_use_is_given_up_in_time_and_the_others_go_on() {
    let letters: Vec<String> =
        (0..2 * EACH).map(|at| letter(["a", "b"][at % 2], at, &document(at)) + "\n").collect();
    let scene = Scene::set(&letters.concat());
    fs::create_dir(scene.path("a")).unwrap();
    let lock = File::open(scene.path("a")).unwrap();
    lock.lock().unwrap();
    // Building the binary is not a part of it.
    gateway::binary().unwrap();
    let begun = Instant::now();
    let output = scene.dlq(&["replay", "--patience", "1"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), &*counts(EACH, EACH)), "{output:?}");
    // The queue is full long before the last letter, and waiting for room has an end too.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let told = text(&output.stderr);
    assert!(
        told.contains("sink \"a\": nothing has arrived for 1 s, giving up: a: this directory is in use"),
        "{told}"
    );
    assert!(
        !told.contains("sink \"es\"") && !told.contains("\"sink\":\"es\""),
        "a sink without letters was started: {told}"
    );
    assert_eq!((scene.lines("b/there.ndjson"), scene.lines("a/there.ndjson")), (EACH, 0));
    assert_eq!(scene.lines("letters/dead-letters-1.jsonl"), EACH);
    drop(lock);
    let output = scene.dlq(&["replay"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), &*counts(EACH, 0)), "{output:?}");
    assert_eq!(scene.lines("a/there.ndjson"), EACH);
    assert!(!scene.path("letters/dead-letters-1.jsonl").exists());
}

#[test]
fn a_last_letter_without_a_line_break_is_listed_shown_and_replayed_as_it_stands() {
    let odd = json!({"@timestamp": "2400-01-01T00:00:00.000000000Z", "levelname": "ERROR", "message": "m"});
    let scene = Scene::set(&format!("{}\n{}", letter("a", 0, &document(0)), letter("a", 1, &odd)));
    let listed = scene.dlq(&["list"]);
    let table = text(&listed.stdout);
    assert!(table.contains("        2  in letters\n") && table.contains("\\u{1b}[2Jparsing"), "{table}");
    assert!(!table.contains('\u{1b}') && !table.contains('\r'), "{table:?}");
    assert_eq!(text(&scene.dlq(&["show"]).stdout).lines().count(), 2);
    let output = scene.dlq(&["replay", "--to", "b"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), &*counts(2, 0)), "{output:?}");
    let stored = fs::read_to_string(scene.path("b/there.ndjson")).unwrap();
    assert_eq!(stored.lines().last(), Some(&*odd.to_string()));
    assert!(!scene.path("a").exists(), "a sink that was not asked for was started");
}
