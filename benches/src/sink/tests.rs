#![allow(clippy::unwrap_used)]

use std::io::Write as _;

use super::*;
use crate::load::http::{HttpClient, Target};

/// A bulk with the given sequence numbers, in the order of a gateway's fields.
fn bulk_of(sequences: &[u64], id_base: u64) -> Vec<u8> {
    let mut body = Vec::new();
    for (position, sequence) in sequences.iter().enumerate() {
        let id = id_base + position as u64;
        let index = if sequence.is_multiple_of(2) { "even" } else { "odd" };
        writeln!(body, r#"{{"create":{{"_index":"{index}","_id":"id-{id}"}}}}"#).unwrap();
        writeln!(body, r#"{{"message":"a \"bench.seq\":7 b","bench.seq":{sequence},"x":1}}"#).unwrap();
    }
    body
}

fn scanned(body: &[u8], piece: usize) -> Result<(Tally, Vec<u8>)> {
    let mut scanner = Scanner::default();
    for part in body.chunks(piece) {
        scanner.feed(part)?;
    }
    scanner.finish()
}

#[test]
fn an_index_may_stand_in_the_path() {
    let body = b"{\"create\":{\"_id\":\"a\"}}\n{\"bench.seq\":1}\n";
    let mut scanner = Scanner::of_path("/logs-1/_bulk");
    scanner.feed(body).unwrap();
    assert_eq!(scanner.finish().unwrap().0.indices["logs-1"], 1);
    assert!(Scanner::of_path("/_bulk").feed(body).is_err(), "nobody names an index");
}

#[test]
fn pieces_of_any_size_count_the_same() {
    let body = bulk_of(&[0, 1, 2, 1000], 0);
    for piece in [1, 2, 7, 64, 100_000] {
        let (tally, answer) = scanned(&body, piece).unwrap();
        assert_eq!((tally.documents, tally.strangers), (4, 0), "pieces of {piece}");
        assert_eq!(tally.sequences, [0, 1, 2, 1000]);
        assert_eq!(tally.bytes, body.len() as u64);
        assert_eq!(tally.indices["even"], 3);
        assert_eq!(tally.samples.len(), 2, "0 and 1000");
        assert_eq!(tally.samples[1].index, "even");
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["items"].as_array().unwrap().len(), 4);
        assert_eq!(answer["items"][3]["create"]["status"], 201);
    }
}

#[test]
fn a_bulk_out_of_step_is_refused() {
    let body = bulk_of(&[1, 2], 0);
    assert!(scanned(&body[..body.len() - 1], 50).is_err(), "ends inside a line");
    let after_action = body.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    assert!(scanned(&body[..after_action], 50).is_err(), "an action without a document");
    assert!(scanned(&body[after_action..], 50).is_err(), "a document without an action");
    assert!(scanned(&vec![b'x'; 3 << 20], 1 << 16).is_err(), "a line without end");
}

#[test]
fn missing_duplicate_and_foreign_documents_are_found() {
    let mut ledger = Ledger::new(4);
    ledger.commit(scanned(&bulk_of(&[0, 1, 3], 0), 64).unwrap().0, 1);
    assert_eq!(ledger.missing(4), (1, Some(2)));
    assert_eq!((ledger.duplicates, ledger.strangers, ledger.ids()), (0, 0, (3, 0)));

    ledger.commit(scanned(&bulk_of(&[2, 3], 2), 64).unwrap().0, 1);
    assert_eq!(ledger.missing(4), (0, None));
    assert_eq!((ledger.duplicates, ledger.ids()), (1, (5, 1)), "3 came twice, and so did id-2");

    ledger.commit(scanned(&bulk_of(&[9999], 9), 64).unwrap().0, 1);
    assert_eq!(ledger.strangers, 1);
    let nameless = b"{\"create\":{\"_index\":\"x\"}}\n{\"message\":\"\\\"bench.seq\\\":1\"}\n";
    ledger.commit(scanned(nameless, 64).unwrap().0, 1);
    assert_eq!((ledger.strangers, ledger.duplicates), (2, 1), "the text of a message is no member");
}

#[tokio::test]
async fn it_answers_over_http_plain_and_compressed() {
    let sink = Sink::start(Duration::from_millis(1), Ledger::new(100)).await.unwrap();
    let target =
        Target { path: "/_bulk?filter_path=errors", content_type: "application/x-ndjson", gzip: false };
    let mut client = HttpClient::connect(sink.address(), target).await.unwrap();
    let (status, _, answer) = client.post(bulk_of(&[0, 1], 0).into()).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    assert!(answer.starts_with(b"{\"errors\":false"));
    assert_eq!(client.post(Bytes::from_static(b"nonsense\n")).await.unwrap().0, StatusCode::BAD_REQUEST);

    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&bulk_of(&[2, 3], 2)).unwrap();
    let mut client = HttpClient::connect(sink.address(), Target { gzip: true, ..target }).await.unwrap();
    let (status, ..) = client.post(encoder.finish().unwrap().into()).await.unwrap();
    assert_eq!(status, StatusCode::OK);

    let ledger = sink.ledger();
    let ledger = ledger.lock();
    assert_eq!((ledger.documents, ledger.bulks, ledger.malformed), (4, 2, 1));
    assert_eq!(ledger.missing(4), (0, None));
    assert!(ledger.wire_bytes < ledger.bytes);
}
