#![allow(clippy::unwrap_used)]

use super::*;
use crate::units::ByteSize;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

fn letter(text: &str) -> Letter {
    Letter {
        document: serde_json::to_vec(&json!({ "message": text })).unwrap(),
        destination: "project-ai-logs-2026.11.21".into(),
        sink: "es".into(),
        route: "logs".into(),
        reason: "mapper_parsing_exception: \"text\"\nand more".to_owned(),
        receiver: "otlp".into(),
        arrived: 1_000_000_000,
        buried: 1_763_713_564_580_000_000,
        id: Some("abc".to_owned()),
    }
}

fn config(path: &Path) -> DeadLetterConfig {
    DeadLetterConfig { path: path.to_owned(), ..DeadLetterConfig::default() }
}

fn files(path: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn messages(path: &Path) -> Vec<String> {
    let texts = files(path).into_iter().map(|file| fs::read_to_string(file).unwrap());
    let values: Vec<Value> = texts
        .flat_map(|text| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>())
        .collect();
    values.iter().map(|value: &Value| value["document"]["message"].as_str().unwrap().to_owned()).collect()
}

fn line_bytes() -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = DeadLetterDir::open(&config(dir.path())).unwrap();
    runtime.block_on(store.bury(&[letter("0")])).unwrap();
    fs::metadata(&files(dir.path())[0]).unwrap().len()
}

#[tokio::test]
async fn a_letter_says_what_when_whence_whither_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("made/if/need/be");
    let store = DeadLetterDir::open(&config(&path)).unwrap();
    let mut pretty = letter("second");
    pretty.document = b"{\n \"message\": \"second\"\r\n}".to_vec();
    pretty.id = None;
    store.bury(&[letter("first"), pretty]).await.unwrap();
    let file = &files(&path)[0];
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("dead-letters-2") && name.ends_with("Z-0.jsonl"), "{name}");
    let text = fs::read_to_string(file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = json!({
        "buried_at": "2025-11-21T08:26:04.580000000Z",
        "arrived_at": "1970-01-01T00:00:01.000000000Z",
        "receiver": "otlp",
        "route": "logs",
        "sink": "es",
        "destination": "project-ai-logs-2026.11.21",
        "id": "abc",
        "reason": "mapper_parsing_exception: \"text\"\nand more",
        "document": { "message": "first" },
    });
    assert_eq!(lines[0], expected);
    assert_eq!(
        (lines.len(), &lines[1]["document"]["message"], &lines[1]["id"]),
        (2, &json!("second"), &Value::Null)
    );
    assert_eq!(store.stats().letters.load(Relaxed), 2);
    assert_eq!(store.stats().bytes.load(Relaxed), text.len() as u64);
}

#[tokio::test]
async fn files_are_rotated_by_size() {
    let dir = tempfile::tempdir().unwrap();
    let size = tokio::task::spawn_blocking(line_bytes).await.unwrap();
    let store =
        DeadLetterDir::open(&DeadLetterConfig { max_file_bytes: ByteSize(size * 2), ..config(dir.path()) })
            .unwrap();
    for number in 0..5 {
        store.bury(&[letter(&number.to_string())]).await.unwrap();
    }
    let sizes: Vec<u64> = files(dir.path()).iter().map(|file| fs::metadata(file).unwrap().len()).collect();
    assert_eq!(sizes, [size * 2, size * 2, size]);
    assert_eq!(messages(dir.path()), ["0", "1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_full_directory_refuses_counts_what_was_there_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let size = tokio::task::spawn_blocking(line_bytes).await.unwrap();
    let config = DeadLetterConfig { max_bytes: ByteSize(size * 2), ..config(dir.path()) };
    let before = DeadLetterDir::open(&config).unwrap();
    before.bury(&[letter("0")]).await.unwrap();
    drop(before);
    let store = DeadLetterDir::open(&config).unwrap();
    assert_eq!(store.stats().bytes.load(Relaxed), size);
    let refused = store.bury(&[letter("1"), letter("2")]).await;
    assert!(matches!(refused, Err(BuryError::Full { wanted, used, limit })
        if wanted == size * 2 && used == size && limit == size * 2));
    assert_eq!((store.stats().letters.load(Relaxed), store.stats().failures.load(Relaxed)), (0, 1));
    assert_eq!(messages(dir.path()), ["0"], "none of a refused burial is kept");
    fs::remove_file(&files(dir.path())[0]).unwrap();
    store.bury(&[letter("1"), letter("2")]).await.unwrap();
    assert_eq!(messages(dir.path()), ["1", "2"]);
}

/// As whoever owes them does it: until the store has all of them, or fails.
async fn bury_all(store: &DeadLetterDir, mut letters: &[Letter]) -> Result<(), BuryError> {
    while !letters.is_empty() {
        letters = &letters[store.bury(letters).await?..];
    }
    Ok(())
}

#[tokio::test]
async fn more_letters_than_the_directory_holds_go_in_as_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let size = tokio::task::spawn_blocking(line_bytes).await.unwrap();
    let (max_bytes, max_file_bytes) = (ByteSize(size * 4), ByteSize(size * 2));
    let store =
        DeadLetterDir::open(&DeadLetterConfig { max_bytes, max_file_bytes, ..config(dir.path()) }).unwrap();
    let letters: Vec<Letter> = (0..7).map(|number| letter(&number.to_string())).collect();
    assert!(
        matches!(bury_all(&store, &letters).await, Err(BuryError::Full { used, .. }) if used == size * 4)
    );
    assert_eq!(messages(dir.path()), ["0", "1", "2", "3"]);
    assert!(files(dir.path()).iter().all(|file| fs::metadata(file).unwrap().len() == size * 2));
    files(dir.path()).iter().for_each(|file| fs::remove_file(file).unwrap());
    bury_all(&store, &letters[4..]).await.unwrap();
    assert_eq!(messages(dir.path()), ["4", "5", "6"]);
    assert_eq!(store.stats().letters.load(Relaxed), 7);
}

#[tokio::test]
async fn a_letter_that_is_larger_than_all_may_be_is_kept_where_there_is_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let config = DeadLetterConfig {
        max_bytes: ByteSize(2_000),
        max_file_bytes: ByteSize(1_000),
        ..config(dir.path())
    };
    let store = DeadLetterDir::open(&config).unwrap();
    let large = letter(&"x".repeat(5_000));
    store.bury(&[letter("0")]).await.unwrap();
    let full = store.bury(std::slice::from_ref(&large)).await.unwrap_err();
    assert!(matches!(full, BuryError::Full { .. }), "{full}");
    fs::remove_file(&files(dir.path())[0]).unwrap();
    assert_eq!(store.bury(&[large, letter("1")]).await.unwrap(), 1);
    assert!(matches!(store.bury(&[letter("1")]).await, Err(BuryError::Full { .. })));
    assert_eq!(messages(dir.path())[0].len(), 5_000);
}

#[tokio::test]
async fn letters_go_to_a_new_file_when_the_current_one_was_moved_away() {
    let dir = tempfile::tempdir().unwrap();
    let store = DeadLetterDir::open(&config(dir.path())).unwrap();
    store.bury(&[letter("0")]).await.unwrap();
    fs::remove_file(&files(dir.path())[0]).unwrap();
    store.bury(&[letter("1")]).await.unwrap();
    assert_eq!(messages(dir.path()), ["1"]);
}

#[tokio::test]
async fn a_line_that_a_crash_tore_is_cut_off() {
    for torn in [1, 100_000] {
        let dir = tempfile::tempdir().unwrap();
        let store = DeadLetterDir::open(&config(dir.path())).unwrap();
        store.bury(&[letter("0"), letter("1")]).await.unwrap();
        drop(store);
        let file = files(dir.path()).remove(0);
        let mut bytes = fs::read(&file).unwrap();
        bytes.extend(std::iter::repeat_n(b'{', torn));
        fs::write(&file, bytes).unwrap();
        let store = DeadLetterDir::open(&config(dir.path())).unwrap();
        assert_eq!(store.stats().bytes.load(Relaxed), fs::metadata(&file).unwrap().len());
        let kept = PathBuf::from(format!("{}.torn", file.display()));
        assert_eq!(fs::read_to_string(&kept).unwrap(), "{".repeat(torn) + "\n");
        fs::remove_file(kept).unwrap();
        store.bury(&[letter("2")]).await.unwrap();
        assert_eq!(messages(dir.path()), ["0", "1", "2"]);
    }
}

#[tokio::test]
async fn a_whole_letter_without_a_line_break_stays_a_letter() {
    let dir = tempfile::tempdir().unwrap();
    let store = DeadLetterDir::open(&config(dir.path())).unwrap();
    store.bury(&[letter("0"), letter("1")]).await.unwrap();
    drop(store);
    let file = files(dir.path()).remove(0);
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    for _ in 0..2 {
        drop(DeadLetterDir::open(&config(dir.path())).unwrap());
        assert_eq!(fs::read(&file).unwrap(), whole);
        assert_eq!(files(dir.path()).len(), 1);
    }
}

#[tokio::test]
async fn a_directory_with_the_name_of_a_file_is_passed_over_and_other_faults_name_their_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("dead-letters-1.jsonl")).unwrap();
    let store = DeadLetterDir::open(&config(dir.path())).unwrap();
    store.bury(&[letter("0")]).await.unwrap();
    drop(store);
    assert_eq!(LetterFile::all(dir.path()).unwrap().len(), 1);
    std::os::unix::fs::symlink("/nowhere/at/all", dir.path().join("dead-letters-2.jsonl")).unwrap();
    let error = DeadLetterDir::open(&config(dir.path())).unwrap_err();
    assert!(error.to_string().contains("dead-letters-2.jsonl: "), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("notes.txt"), "no line break").unwrap();
    let store = DeadLetterDir::open(&config(dir.path())).unwrap();
    assert_eq!(store.stats().bytes.load(Relaxed), 0);
    assert_eq!(fs::read_to_string(dir.path().join("notes.txt")).unwrap(), "no line break");
}

#[tokio::test]
async fn a_disk_that_fails_is_an_error_until_it_works_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("letters");
    let store = DeadLetterDir::open(&config(&path)).unwrap();
    fs::remove_dir_all(&path).unwrap();
    assert!(matches!(store.bury(&[letter("0")]).await, Err(BuryError::Io(_))));
    assert_eq!(store.stats().failures.load(Relaxed), 1);
    fs::create_dir(&path).unwrap();
    store.bury(&[letter("0")]).await.unwrap();
    assert_eq!(messages(&path), ["0"]);
}

#[test]
fn faults_name_their_setting() {
    let path = PathBuf::new();
    let bad = DeadLetterConfig { path, max_bytes: ByteSize(0), max_file_bytes: ByteSize(1), to: None };
    let paths: Vec<&str> = bad.faults().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["path", "max_bytes"]);
    assert_eq!(DeadLetterConfig::default().faults(), []);
}

#[test]
fn a_directory_belongs_to_one_store_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = DeadLetterDir::open(&config(dir.path())).unwrap();
    let second = DeadLetterDir::open(&config(dir.path())).unwrap_err();
    assert_eq!(second.kind(), std::io::ErrorKind::ResourceBusy);
    assert!(lock(dir.path()).is_err());
    drop(store);
    lock(dir.path()).unwrap();
}
