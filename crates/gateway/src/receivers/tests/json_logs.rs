//! JSON over HTTP, byte by byte.

use super::raw::{Wire, once};
use super::*;
use serde_json::json;

const POST: &str = "POST /";

#[tokio::test]
async fn one_object_an_array_and_lines_are_taken() {
    let house = house(Mood::Delivers).await;
    let json = "content-type: application/json\r\n";
    let lines = "content-type: application/x-ndjson\r\n";
    let cases: [(&str, &[u8], u64); 5] = [
        (json, br#"{"a":1}"#, 1),
        (json, br#"[{"a":1},{"a":2}]"#, 2),
        (lines, b"{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n", 3),
        ("", b"{\"a\":1}\n{\"a\":2}", 2),
        (json, b"", 0),
    ];
    for (headers, body, accepted) in cases {
        let answer = once(house.json(), "POST /any/path", headers, body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(
            answer.json(),
            json!({"accepted": accepted, "rejected": 0, "errors": [], "dead_lettered": 0})
        );
    }
    let answer = once(house.json(), POST, "content-encoding: gzip\r\n", &gzip(br#"{"a":1}"#)).await;
    assert_eq!(answer.json()["accepted"], 1);
    assert_eq!(house.settled(Outcome::Delivered), 9);
    assert_eq!(house.told("json"), [6, 0, 0, 0]);
}

#[tokio::test]
async fn bad_lines_are_named_and_the_others_taken() {
    let house = house(Mood::Delivers).await;
    let answer = once(house.json(), POST, "", b"{\"a\":1}\n{\"a\":}\n{\"a\":3}\n[]\n").await;
    assert_eq!(answer.status, 200);
    let report = answer.json();
    assert_eq!((&report["accepted"], &report["rejected"]), (&json!(2), &json!(2)));
    assert_eq!((&report["errors"][0]["line"], &report["errors"][1]["line"]), (&json!(2), &json!(4)));
    let door = house.door("json");
    assert_eq!((door.received(), door.admitted(), door.rejected()), (4, 2, 2));
}

#[tokio::test]
async fn a_request_of_which_nothing_can_be_taken_is_400() {
    let house = house(Mood::Delivers).await;
    for body in [&b"{\"a\":}\n"[..], b"nonsense", b"[{\"a\":1}"] {
        let answer = once(house.json(), POST, "", body).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert_eq!(answer.json()["accepted"], 0);
        assert!(answer.json()["error"].is_string());
    }
    assert_eq!(house.told("json"), [0, 0, 3, 0]);
}

#[tokio::test]
async fn what_is_no_post_of_json_is_refused() {
    let house = house_with(Mood::Delivers, 64 * MIB, |config| {
        config.json.as_mut().unwrap().path = "/logs".to_owned();
    })
    .await;
    for (request, headers, status) in [
        ("GET /logs", "", 405),
        ("POST /other", "", 404),
        ("POST /logs", "content-type: image/png\r\n", 415),
        ("POST /logs", "content-encoding: br\r\n", 415),
    ] {
        let answer = once(house.json(), request, headers, b"").await;
        assert_eq!(answer.status, status, "{request}");
        assert!(answer.json()["error"].is_string());
    }
    assert_eq!(once(house.json(), "POST /logs/app", "", b"{}").await.status, 200);
}

#[tokio::test]
async fn dead_letters_are_accepted_and_counted() {
    let house = house(Mood::Refuses).await;
    let answer = once(house.json(), POST, "", b"{\"a\":1}\n{\"a\":2}").await;
    let report = answer.json();
    assert_eq!((answer.status, &report["accepted"], &report["dead_lettered"]), (200, &json!(2), &json!(2)));
    assert_eq!(report["errors"][0]["reason"], "no mapping for it");
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let house = house(Mood::Delivers).await;
    let mut wire = Wire::connect(house.json()).await;
    for _ in 0..3 {
        assert_eq!(wire.request(POST, "", b"{\"a\":1}").await.status, 200);
    }
    assert_eq!(wire.request(POST, "", b"bad").await.status, 400);
    assert_eq!(wire.request(POST, "connection: close\r\n", b"{}").await.status, 200);
    assert!(wire.is_closed().await);
}

#[tokio::test]
async fn a_client_that_expects_100_is_told_to_go_on_or_not_to() {
    let house = house_with(Mood::Delivers, 4096, |_| ()).await;
    let expect = |length: usize| {
        format!("POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n")
    };
    let mut wire = Wire::connect(house.json()).await;
    wire.send(expect(7)).await;
    assert_eq!(wire.answer().await.status, 100);
    wire.send(b"{\"a\":1}").await;
    assert_eq!(wire.answer().await.status, 200);

    let _others = house.intake.budget().lease(1000).unwrap();
    for (length, status) in [(4000, 503), (5000, 413), (65 * MIB, 413)] {
        let mut wire = Wire::connect(house.json()).await;
        wire.send(expect(length)).await;
        assert_eq!(wire.answer().await.status, status, "refused before a byte of the body was sent");
    }
}
