//! What real clients sent, byte by byte: fluent-logger 0.11.1 for Python, and fluent-logger-golang 1.10.2 without and with acknowledgements. Two events each.

use super::message::{Compression, Events, Opening, Options};
use super::*;

fn first() -> Json {
    json!({
        "@timestamp": "2026-11-21T08:26:04.580000000Z", "level": "INFO", "tag": "app.web", "message": "hello \"you\"", "n": 7, "d": 1.5,
        "deep": {"a": {"b": true}}, "none": null})
}

fn second() -> Json {
    json!({"@timestamp": "2026-11-21T08:26:05.000000000Z", "tag": "app.web", "message": "wörld"})
}

type Chunk = Option<Box<[u8]>>;

/// The entries of all messages, and the names of their chunks.
fn read(mut bytes: &[u8]) -> (Vec<u8>, Vec<Chunk>) {
    let (mut entries, mut chunks) = (Vec::new(), Vec::new());
    while !bytes.is_empty() {
        let (opening, len) = Opening::parse(bytes).unwrap().unwrap();
        assert_eq!((opening.tag, opening.events), (&b"app.web"[..], Events::One));
        bytes = &bytes[len..];
        let mut skip = |values| {
            let mut skipper = Skipper::new(values);
            let (passed, rest) = bytes.split_at(skipper.pass(bytes).unwrap());
            assert!(skipper.is_done());
            bytes = rest;
            passed
        };
        entries.extend([&[0x92][..], skip(2)].concat());
        let options = if opening.has_options { Options::parse(skip(1)).unwrap() } else { Options::default() };
        assert_eq!(options.compression, Compression::None);
        chunks.push(options.chunk);
    }
    (entries, chunks)
}

#[test]
fn what_loggers_send_is_what_documents_say() {
    let python: &[u8] = include_bytes!("golden/fluent_logger_python.bin");
    let go: &[u8] = include_bytes!("golden/fluent_logger_go.bin");
    let go_ack: &[u8] = include_bytes!("golden/fluent_logger_go_ack.bin");
    let named =
        [b"\xb8nFUBawAAAADlMKZWAabqVA==", b"\xb8nVUBawAAAABoj6rZJDIMdg=="].map(|name| Some(name[..].into()));
    for (sent, is_go, names) in
        [(python, false, [None, None]), (go, true, [None, None]), (go_ack, true, named)]
    {
        let (entries, chunks) = read(sent);
        assert_eq!(chunks, names);
        let mut found = documents(&entries);
        let mut expected = first();
        if is_go {
            // The program that sent this had its time as a double.
            let stamp = found[0]["@timestamp"].take();
            assert_eq!(stamp, "2026-11-21T08:26:04.579999923Z");
            expected["@timestamp"] = Json::Null;
        }
        assert_eq!(found.remove(0), *expected.as_object().unwrap());
        assert_eq!(found.remove(0), *second().as_object().unwrap());
    }
}
