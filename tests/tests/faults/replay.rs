//! Dead letters are listed, mended by hand, and sent again.

use crate::client::client;
use crate::event::Event;
use crate::world::{Config, SETTLED_WITHIN, letter_files, letters, node, stored_ids};
use forebay_tests::{Gateway, gateway};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const RECORDS: usize = 40;
const POISONED: usize = 10;

fn dlq(gateway: &Gateway, args: &[&str]) -> Output {
    let mut command = Command::new(gateway::binary().unwrap());
    command.arg("dlq").args(args).arg("--config").arg(gateway.folder().join("forebay.yaml"));
    command.current_dir(gateway.folder()).output().unwrap()
}

/// What a command says at its end, and its exit code.
fn verdict(output: &Output) -> (String, Option<i32>) {
    let text = String::from_utf8_lossy(&output.stdout);
    (text.lines().last().unwrap_or_default().to_owned(), output.status.code())
}

fn counts(delivered: usize, duplicates: usize, refused: usize) -> String {
    format!(
        "{delivered} arrived and were removed ({duplicates} of them were there already), {refused} were refused again, \
         0 were not sent"
    )
}

/// Makes a number of the text that was refused, in the first `count` letters.
fn mend(file: &Path, count: usize) {
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, text.replacen("\"teapot\"", "418", count)).unwrap();
}

#[test]
fn letters_that_were_mended_arrive_once_and_the_others_stay() {
    let node = node();
    let index = "project-ai-letters-replay";
    let mapping = json!({"mappings": {"properties": {"status": {"type": "integer"}}}});
    node.put(&format!("/{index}"), &mapping).unwrap();
    let mut gateway = Config::new(&node.url(), index).start();
    let mut events = Event::batch("replay", RECORDS);
    events[..POISONED].iter_mut().for_each(|event| event.poisoned = true);
    client("otlp_grpc", gateway.ports).send(&events).taken();
    let kept = letters(&gateway);
    assert_eq!(kept.len(), POISONED);

    let listed = dlq(&gateway, &["list", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!((&listed["letters"], &listed["sink"]), (&json!(POISONED), &json!("es")));
    assert_eq!(
        (&listed["destination"], &listed["reason"]),
        (&json!(index), &json!("document_parsing_exception"))
    );
    let shown = dlq(&gateway, &["show", "--limit", "3", "--destination", "project-ai-*"]);
    let shown: Vec<Value> = shown
        .stdout
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(shown, kept[..3]);
    assert!(dlq(&gateway, &["show", "--reason", "another"]).stdout.is_empty());

    let refused = dlq(&gateway, &["replay"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("this directory is in use"), "{refused:?}");
    gateway.sigterm_and_wait().unwrap();

    let file = &letter_files(&gateway)[0];
    let before = fs::read(file).unwrap();
    let output = dlq(&gateway, &["replay"]);
    assert_eq!(verdict(&output), (counts(0, 0, POISONED), Some(1)), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("refused again: ") && told.contains("document_parsing_exception"), "{told}");
    assert_eq!(fs::read(file).unwrap(), before, "a letter that was refused again is not what it was");

    mend(file, 4);
    let mended = fs::read(file).unwrap();
    let output = dlq(&gateway, &["replay"]);
    assert_eq!(verdict(&output), (counts(4, 0, POISONED - 4), Some(1)), "{output:?}");
    assert_eq!(letters(&gateway), kept[4..]);
    // The same letters once more, as after a crash before they were removed.
    fs::write(file, mended).unwrap();
    mend(file, POISONED);
    let output = dlq(&gateway, &["replay"]);
    assert_eq!(verdict(&output), (counts(POISONED, 4, 0), Some(0)), "{output:?}");
    assert_eq!(letter_files(&gateway), Vec::<std::path::PathBuf>::new());

    let mut all: Vec<String> = events.iter().map(|event| event.id.clone()).collect();
    all.sort_unstable();
    assert_eq!(stored_ids(&node, index), all);
    // The directory is free again, and a client's retry of the request finds its records there, under the same ids.
    gateway.start_again().unwrap();
    client("otlp_grpc", gateway.ports).send(&events[POISONED..]).taken();
    assert_eq!(gateway.balanced_ledger(SETTLED_WITHIN).unwrap().duplicate, (RECORDS - POISONED) as f64);
    assert_eq!(stored_ids(&node, index), all);
}
