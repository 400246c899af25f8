//! Loki's push, byte by byte. That real clients agree is for the black-box tests.

use super::raw::once;
use super::*;
use forebay_proto::loki::{EntryAdapter, PushRequest, StreamAdapter, Timestamp};

const PUSH: &str = "POST /loki/api/v1/push";
const JSON_HEAD: &str = "content-type: application/json\r\n";
const PROTO_HEAD: &str = "content-type: application/x-protobuf\r\ncontent-encoding: snappy\r\n";

async fn loki_house(mood: Mood, change: impl FnOnce(&mut LokiConfig)) -> House {
    house_with(mood, 64 * MIB, |receivers| {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut loki = LokiConfig { listen, ..LokiConfig::default() };
        change(&mut loki);
        receivers.loki = Some(loki);
    })
    .await
}

impl House {
    fn loki(&self) -> SocketAddr {
        self.started.address(LOKI).unwrap()
    }
}

fn message(labels: &str, lines: usize) -> Vec<u8> {
    let entry = |line: usize| EntryAdapter {
        timestamp: Some(Timestamp { seconds: 1_700_000_000, nanos: line as i32 }),
        line: format!("line {line}"),
        structured_metadata: Vec::new(),
    };
    let entries = (0..lines).map(entry).collect();
    let streams = vec![StreamAdapter { labels: labels.to_owned(), entries, hash: 0 }];
    snap::raw::Encoder::new().compress_vec(&PushRequest { streams }.encode_to_vec()).unwrap()
}

/// The example of Loki's documentation, with a second line.
const EXAMPLE: &str = r#"{"streams": [{ "stream": { "foo": "bar2" }, "values": [ [ "1570818238000000000", "fizzbuzz" ],
    [ "1570818238000000001", "more", {"trace_id": "0242ac120002"} ] ] }]}"#;

#[tokio::test]
async fn messages_and_json_are_taken_with_204() {
    let house = loki_house(Mood::Delivers, |_| ()).await;
    let tenant = format!("{JSON_HEAD}x-scope-orgid: red\r\n");
    let zipped = format!("{JSON_HEAD}content-encoding: gzip\r\n");
    let cases: [(&str, Vec<u8>); 6] = [
        (PROTO_HEAD, message("{a=\"b\"}", 3)),
        ("", message("{}", 1)),
        (JSON_HEAD, EXAMPLE.into()),
        (&tenant, EXAMPLE.into()),
        (&zipped, gzip(EXAMPLE.as_bytes())),
        (JSON_HEAD, b"{\"streams\": []}".to_vec()),
    ];
    for (headers, body) in cases {
        let answer = once(house.loki(), PUSH, headers, &body).await;
        assert_eq!((answer.status, &answer.body[..]), (204, &b""[..]), "{answer:?}");
    }
    assert_eq!((house.told(LOKI), house.settled(Outcome::Delivered)), ([6, 0, 0, 0], 10));
    let answer = once(house.loki(), "GET /ready", "", b"").await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"ready\n"[..]));
    assert_eq!(house.intake.budget().used(), 0);
}

#[tokio::test]
async fn what_cannot_be_taken_is_named_and_the_rest_is_taken() {
    let house = loki_house(Mood::Delivers, |_| ()).await;
    let streams = ["{a=\"b\"}", "nonsense"].map(|labels| StreamAdapter {
        labels: labels.to_owned(),
        entries: vec![EntryAdapter::default(); 2],
        hash: 0,
    });
    let body = PushRequest { streams: streams.to_vec() }.encode_to_vec();
    let answer =
        once(house.loki(), PUSH, PROTO_HEAD, &snap::raw::Encoder::new().compress_vec(&body).unwrap()).await;
    let text = String::from_utf8(answer.body).unwrap();
    assert_eq!(answer.status, 400);
    assert!(text.contains("2 records were rejected") && text.contains("record 3: the labels"), "{text}");
    let door = house.door(LOKI);
    assert_eq!((door.admitted(), door.rejected(), house.told(LOKI)), (2, 2, [1, 0, 0, 0]));
}

#[tokio::test]
async fn what_is_no_push_is_refused_in_the_words_of_http() {
    let house = loki_house(Mood::Delivers, |loki| loki.max_request_bytes = ByteSize(10_000)).await;
    let good = message("{}", 1);
    let long = format!("{JSON_HEAD}x-scope-orgid: {}\r\n", "x".repeat(151));
    let bomb = snap::raw::Encoder::new().compress_vec(&[0; 100_000]).unwrap();
    let cases: [(&str, &str, &[u8], u16); 11] = [
        (PUSH, PROTO_HEAD, b"no snappy", 400),
        (PUSH, PROTO_HEAD, &good[..good.len() - 1], 400),
        (PUSH, PROTO_HEAD, &bomb, 413),
        (PUSH, JSON_HEAD, b"{\"streams\": [{}]}", 400),
        (PUSH, JSON_HEAD, b"{", 400),
        (PUSH, JSON_HEAD, &[b' '; 10_001], 413),
        (PUSH, &long, EXAMPLE.as_bytes(), 400),
        (PUSH, "content-type: text/plain\r\n", &good, 415),
        (PUSH, "content-encoding: gzip\r\n", &good, 415),
        ("PUT /loki/api/v1/push", PROTO_HEAD, &good, 405),
        ("POST /loki/api/v1/query", PROTO_HEAD, &good, 404),
    ];
    let count = cases.len() as u64;
    for (request, headers, body, status) in cases {
        let answer = once(house.loki(), request, headers, body).await;
        assert_eq!(answer.status, status, "{request} {headers}: {answer:?}");
        assert!(!answer.body.is_empty());
    }
    assert_eq!((house.told(LOKI), house.door(LOKI).received()), ([0, 0, count, 0], 0));
    assert_eq!(house.intake.budget().used(), 0);
}

#[tokio::test]
async fn what_is_not_delivered_in_time_is_to_be_pushed_again() {
    let house = loki_house(Mood::Hangs, |loki| loki.ack_timeout = Period::millis(200)).await;
    let answer = once(house.loki(), PUSH, JSON_HEAD, EXAMPLE.as_bytes()).await;
    assert_eq!(answer.status, 503);
    assert!(answer.head.contains("retry-after:"), "{}", answer.head);
    assert_eq!(house.told(LOKI), [0, 1, 0, 0]);
}
