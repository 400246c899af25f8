//! Any bytes as a compressed frame of Lumberjack, inflated: what is read as events lies in them in order, every event becomes one line that serde_json
//! reads as it reads the event, and what follows a fault is not read.

#![no_main]

use forebay_pipeline::wire::lumberjack::{Events, Head, write_line};
use libfuzzer_sys::fuzz_target;

const HEAD_BYTES: usize = 10;

fuzz_target!(|bytes: &[u8]| {
    let mut at = 0;
    let mut is_over = false;
    for event in Events(bytes) {
        assert!(!is_over, "an event after a fault");
        let Ok((sequence, document)) = event else {
            is_over = true;
            continue;
        };
        let head = Head::Json { sequence, len: document.len() as u32 };
        assert_eq!(Head::parse(&bytes[at..]), Ok(Some((head, HEAD_BYTES))));
        at += HEAD_BYTES;
        assert_eq!(&bytes[at..at + document.len()], document);
        at += document.len();
        line(document);
    }
    assert!(is_over || at == bytes.len());
});

fn line(document: &[u8]) {
    let mut line = Vec::new();
    write_line(document, &mut line);
    assert_eq!(line.pop(), Some(b'\n'));
    assert!(!line.contains(&b'\n'));
    match serde_json::from_slice::<serde_json::Value>(document) {
        Ok(value) => assert_eq!(serde_json::from_slice::<serde_json::Value>(&line).ok(), Some(value)),
        Err(_) => assert!(!serde_json::from_slice::<serde_json::Value>(&line).is_ok_and(|value| value.is_object())),
    }
}
