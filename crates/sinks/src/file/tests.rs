#![allow(clippy::unwrap_used)]
use super::*;
use std::fs;
use std::path::Path;

fn files(directory: &Path, max_bytes: u64, max_files: Option<u32>) -> Files {
    let rules = Rules { max_bytes, max_files, fsync: true };
    Files::new(directory.to_owned(), rules)
}

fn payload(destination: &str, text: &str) -> Payload {
    let bytes = text.to_owned().into();
    Payload { destination: destination.into(), bytes, gzip: false, records: 1, id: 0 }
}

/// Every file in the directory, with its content.
fn content(directory: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let text = fs::read_to_string(entry.path()).unwrap();
        found.push((entry.file_name().into_string().unwrap(), text));
    }
    found.sort();
    found
}

fn named(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect()
}

#[test]
fn each_destination_has_its_file_and_a_restart_appends() {
    let directory = tempfile::tempdir().unwrap();
    let first = files(directory.path(), 100, None);
    assert_eq!(first.append(&payload("a-2026.11.21", "{\"n\":1}\n")), Verdicts::Delivered);
    assert_eq!(first.append(&payload("b", "{\"n\":2}\n")), Verdicts::Delivered);
    drop(first);
    let second = files(directory.path(), 100, None);
    assert_eq!(second.append(&payload("a-2026.11.21", "{\"n\":3}\n")), Verdicts::Delivered);
    let expected = [("a-2026.11.21.ndjson", "{\"n\":1}\n{\"n\":3}\n"), ("b.ndjson", "{\"n\":2}\n")];
    assert_eq!(content(directory.path()), named(&expected));
}

#[test]
fn a_full_file_gets_the_next_number_and_all_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    for text in ["1111\n", "2222\n", "3333\n", "4444\n", "5555\n"] {
        // Opened anew each time: numbers are found in the directory, not remembered.
        let sink = files(directory.path(), 10, None);
        assert_eq!(sink.append(&payload("a", text)), Verdicts::Delivered);
    }
    let expected = [("a.ndjson", "5555\n"), ("a.ndjson.1", "1111\n2222\n"), ("a.ndjson.2", "3333\n4444\n")];
    assert_eq!(content(directory.path()), named(&expected));
}

#[test]
fn only_the_newest_files_are_kept_if_so_set() {
    let directory = tempfile::tempdir().unwrap();
    let sink = files(directory.path(), 5, Some(2));
    for number in 0..13 {
        assert_eq!(sink.append(&payload("a", &format!("{number:04}\n"))), Verdicts::Delivered);
    }
    let expected = [("a.ndjson", "0012\n"), ("a.ndjson.11", "0010\n"), ("a.ndjson.12", "0011\n")];
    assert_eq!(content(directory.path()), named(&expected));
}

#[test]
fn a_torn_last_line_is_cut_off_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let long = "x".repeat(200_000);
    fs::write(directory.path().join("a.ndjson"), format!("{{\"n\":1}}\n{{\"torn\":\"{long}")).unwrap();
    fs::write(directory.path().join("b.ndjson"), "no line at all").unwrap();
    let sink = files(directory.path(), 1 << 20, None);
    assert_eq!(sink.append(&payload("a", "{\"n\":2}\n")), Verdicts::Delivered);
    assert_eq!(sink.append(&payload("b", "{\"n\":3}\n")), Verdicts::Delivered);
    let expected = [("a.ndjson", "{\"n\":1}\n{\"n\":2}\n"), ("b.ndjson", "{\"n\":3}\n")];
    assert_eq!(content(directory.path()), named(&expected));
}

/// Two that number full files in one directory overwrite each other's.
#[test]
fn a_directory_belongs_to_one_sink_at_a_time_also_when_it_was_moved_away() {
    let outer = tempfile::tempdir().unwrap();
    let place = outer.path().join("files");
    let (first, second) = (files(&place, 5, None), files(&place, 5, None));
    assert_eq!(first.append(&payload("a", "0000\n")), Verdicts::Delivered);
    for _ in 0..2 {
        let refused = second.append(&payload("a", "1111\n"));
        assert!(matches!(&refused, Verdicts::Blocked { reason } if reason.contains("in use")), "{refused:?}");
        assert_eq!(first.append(&payload("a", "0000\n")), Verdicts::Delivered);
        if outer.path().join("moved").exists() {
            break;
        }
        fs::rename(&place, outer.path().join("moved")).unwrap();
        assert_eq!(first.append(&payload("a", "0000\n")), Verdicts::Delivered);
    }
    assert_eq!(second.own().unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    drop(first);
    assert_eq!(second.append(&payload("a", "1111\n")), Verdicts::Delivered);
}

#[tokio::test]
async fn a_sink_whose_directory_is_in_use_cannot_be_prepared() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { path: directory.path().to_owned(), ..Config::default() };
    let build = || config.build(&BuildContext::default()).unwrap();
    let (first, second) = (build(), build());
    assert_eq!(first.prepare().await, Ok(()));
    assert_eq!(first.prepare().await, Ok(()));
    assert!(second.prepare().await.unwrap_err().contains("in use"));
    drop(first);
    assert_eq!(second.prepare().await, Ok(()));
}

#[test]
fn no_name_leaves_the_directory() {
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("inner");
    let sink = files(&inner, 100, None);
    let long = "n".repeat(MAX_NAME + 1);
    for name in ["", ".", "..", "../a", "/etc/a", "a/b", "a\\b", "..\\a", "a\0b", ".hidden", long.as_str()] {
        let verdict = sink.append(&payload(name, "{}\n"));
        assert!(matches!(verdict, Verdicts::Blocked { .. }), "{name:?}: {verdict:?}");
    }
    assert!(!inner.exists());
    assert_eq!(content(outer.path()), []);
}

#[test]
fn what_cannot_be_written_is_not_delivered() {
    let directory = tempfile::tempdir().unwrap();
    let occupied = directory.path().join("file");
    fs::write(&occupied, "not a directory").unwrap();
    let verdict = files(&occupied, 100, None).append(&payload("a", "{}\n"));
    assert!(!matches!(verdict, Verdicts::Delivered), "{verdict:?}");
}

/// `/dev/full` answers every write as a full disk does.
#[test]
fn a_full_disk_means_to_try_again() {
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", directory.path().join("a.ndjson")).unwrap();
    let mut sink = files(directory.path(), 100, None);
    sink.rules.fsync = false;
    let verdict = sink.append(&payload("a", "{}\n"));
    assert!(matches!(&verdict, Verdicts::Retry { reason, .. } if reason.contains("space")), "{verdict:?}");
}

#[test]
fn many_destinations_do_not_keep_many_files_open() {
    let directory = tempfile::tempdir().unwrap();
    let sink = files(directory.path(), 100, None);
    for number in 0..MAX_OPEN + 10 {
        assert_eq!(sink.append(&payload(&format!("d{number}"), "{}\n")), Verdicts::Delivered);
    }
    assert_eq!(sink.append(&payload("d0", "{}\n")), Verdicts::Delivered);
    assert!(sink.open.lock().len() <= MAX_OPEN);
    let text = fs::read_to_string(directory.path().join("d0.ndjson")).unwrap();
    assert_eq!(text, "{}\n{}\n");
}
