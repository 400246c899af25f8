//! OTLP over HTTP, byte by byte.

use super::raw::{Wire, call, once};
use super::*;
use forebay_proto::collector::ExportLogsServiceResponse;

const POST: &str = "POST /v1/logs";
const PROTOBUF: &str = "content-type: application/x-protobuf\r\n";

#[tokio::test]
async fn records_arrive_over_http_1_and_2_plain_and_gzipped() {
    let house = house(Mood::Delivers).await;
    let body = logs(10).encode_to_vec();
    let answer = once(house.http(), POST, PROTOBUF, &body).await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: application/x-protobuf"));
    assert_eq!(ExportLogsServiceResponse::decode(&answer.body[..]).unwrap().partial_success, None);
    let headers = format!("{PROTOBUF}content-encoding: gzip\r\n");
    assert_eq!(once(house.http(), POST, &headers, &gzip(&body)).await.status, 200);
    let called = call(house.http(), "/v1/logs", &[("content-type", "application/x-protobuf")], body).await;
    assert_eq!(called.http.as_u16(), 200);
    assert_eq!(house.settled(Outcome::Delivered), 30);
    assert_eq!(house.told("otlp_http"), [3, 0, 0, 0]);
}

#[tokio::test]
async fn a_chunked_body_is_taken_without_a_length() {
    let house = house(Mood::Delivers).await;
    let body = logs(3).encode_to_vec();
    let (first, second) = body.split_at(7);
    let mut wire = Wire::connect(house.http()).await;
    wire.send(format!("{POST} HTTP/1.1\r\nhost: x\r\n{PROTOBUF}transfer-encoding: chunked\r\n\r\n")).await;
    for chunk in [first, second, b""] {
        wire.send(format!("{:x}\r\n", chunk.len())).await;
        wire.send(chunk).await;
        wire.send("\r\n").await;
    }
    assert_eq!(wire.answer().await.status, 200);
    assert_eq!(house.settled(Outcome::Delivered), 3);
}

#[tokio::test]
async fn what_is_not_a_request_for_logs_is_refused_in_its_own_content_type() {
    let house = house(Mood::Delivers).await;
    let json = "content-type: application/json\r\n";
    let brotli = format!("{PROTOBUF}content-encoding: br\r\n");
    for (request, headers, status) in [
        ("POST /v1/traces", PROTOBUF, 404),
        ("POST /v1/metrics", PROTOBUF, 404),
        ("POST /", PROTOBUF, 404),
        ("PUT /v1/logs", PROTOBUF, 405),
        (POST, "", 415),
        (POST, brotli.as_str(), 415),
    ] {
        let answer = once(house.http(), request, headers, b"").await;
        assert_eq!(answer.status, status, "{request} {headers}");
        assert_eq!(answer.head.contains("allow: post"), status == 405);
        assert!(!answer.status_message().message.is_empty());
    }
    let answer = once(house.http(), "POST /v1/traces", json, b"{}").await;
    assert_eq!(answer.status, 404);
    assert!(answer.head.contains("content-type: application/json"));
    assert!(answer.json()["message"].as_str().unwrap().contains("signals: [traces]"));
}

#[tokio::test]
async fn malformed_is_400_with_a_status() {
    let house = house(Mood::Delivers).await;
    let answer = once(house.http(), POST, PROTOBUF, b"\xff\xff\xff").await;
    assert_eq!((answer.status, answer.status_message().code), (400, 3));
    assert!(!answer.head.contains("retry-after"));
    assert_eq!((house.told("otlp_http"), house.door("otlp_http").unread()), ([0, 0, 1, 0], 1));
}

#[tokio::test]
async fn too_large_is_413_by_its_declared_length_alone() {
    let house = house(Mood::Delivers).await;
    let mut wire = Wire::connect(house.http()).await;
    let length = 65 * MIB;
    wire.send(format!("{POST} HTTP/1.1\r\nhost: x\r\n{PROTOBUF}content-length: {length}\r\n\r\n")).await;
    let answer = wire.answer().await;
    assert_eq!((answer.status, answer.status_message().code), (413, 8));
    assert!(!answer.head.contains("retry-after"));
    // The body was not read, so nothing more can be asked on this connection.
    assert!(answer.head.contains("connection: close\r\n"), "{}", answer.head);
}

#[tokio::test]
async fn a_connection_whose_request_was_read_and_refused_goes_on() {
    let house = house_with(Mood::Delivers, 4096, |_| ()).await;
    let mut wire = Wire::connect(house.http()).await;
    for _ in 0..3 {
        let others = house.intake.budget().lease(4096).unwrap();
        let answer = wire.request(POST, PROTOBUF, &logs(10).encode_to_vec()).await;
        assert_eq!(answer.status, 503);
        assert!(!answer.head.contains("connection: close"), "{}", answer.head);
        drop(others);
        assert_eq!(wire.request(POST, PROTOBUF, &logs(1).encode_to_vec()).await.status, 200);
    }
}

#[tokio::test]
async fn without_memory_it_is_503_with_retry_after() {
    let house = house_with(Mood::Delivers, 4096, |_| ()).await;
    let others = house.intake.budget().lease(4096).unwrap();
    let answer = once(house.http(), POST, PROTOBUF, &logs(10).encode_to_vec()).await;
    assert_eq!((answer.status, answer.status_message().code), (503, 14));
    assert!(answer.head.contains("retry-after: 1\r\n"));
    assert_eq!(answer.status_message().details.len(), 1);
    drop(others);
    // What would not fit into the whole budget is not to be sent again.
    let answer = once(house.http(), POST, PROTOBUF, &logs(1000).encode_to_vec()).await;
    assert_eq!((answer.status, answer.status_message().code), (413, 8));
    assert!(!answer.head.contains("retry-after"));
    assert!(answer.status_message().details.is_empty());
    // The body, far over the budget once it is inflated, is small on the wire.
    let headers = format!("{PROTOBUF}content-encoding: gzip\r\n");
    let packed = gzip(&vec![0; 64 << 10]);
    assert!(packed.len() < 4096);
    assert_eq!(once(house.http(), POST, &headers, &packed).await.status, 413);
    assert_eq!(house.told("otlp_http"), [0, 1, 2, 0]);
    eventually("every lease is back", || house.intake.budget().used() == 0).await;
}

#[tokio::test]
async fn an_answer_that_came_before_the_body_was_sent_survives_the_rest_of_it() {
    let house = house_with(Mood::Delivers, 4096, |_| ()).await;
    let mut wire = Wire::connect(house.http()).await;
    let length = 4 * MIB;
    wire.send(format!("{POST} HTTP/1.1\r\nhost: x\r\n{PROTOBUF}content-length: {length}\r\n\r\n")).await;
    // As a client that looks at the answer only when it has sent everything.
    assert!(wire.try_send(&vec![0; length]).await);
    assert_eq!(wire.answer().await.status, 413);
}

#[tokio::test]
async fn a_silent_sink_is_503_after_the_ack_timeout() {
    let house = house_with(Mood::Hangs, 64 * MIB, |config| {
        config.otlp.as_mut().unwrap().ack_timeout = Period::millis(100);
    })
    .await;
    let answer = once(house.http(), POST, PROTOBUF, &logs(2).encode_to_vec()).await;
    assert_eq!((answer.status, answer.status_message().code), (503, 14));
    assert_eq!(house.told("otlp_http"), [0, 1, 0, 0]);
}
