//! How connections end: half requests, slow ones, old age, the drain.

use super::raw::{Wire, call, frame, once};
use super::*;
use crate::receivers::listener::ConnectionConfig;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use tonic::Code;
use tonic_types::StatusExt as _;

const HALF: &str = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{\"a\":";

fn json_connections(config: &mut Receivers) -> &mut ConnectionConfig {
    &mut config.json.as_mut().unwrap().connections
}

/// One byte of HTTP/2's first, and the end: nothing more can come.
#[tokio::test]
async fn a_torn_beginning_that_ends_holds_no_slot() {
    let house = house(Mood::Delivers).await;
    let mut wire = Wire::connect(house.json()).await;
    wire.send("P").await;
    wire.finish().await;
    eventually("no slot is held", || house.started.connections().all(|all| all.open() <= 1)).await;
}

#[tokio::test]
async fn half_a_request_is_never_taken() {
    let house = house(Mood::Delivers).await;
    let mut wire = Wire::connect(house.json()).await;
    wire.send(HALF).await;
    eventually("the lease is taken", || house.intake.budget().used() == 100).await;
    drop(wire);
    eventually("the visit ends", || house.told("json") == [0, 0, 0, 1]).await;
    assert_eq!((house.door("json").unread(), house.door("json").received()), (1, 0));
    eventually("the lease is back", || house.intake.budget().used() == 0).await;
}

#[tokio::test]
async fn a_slow_body_is_answered_with_try_again() {
    let house = house_with(Mood::Delivers, MIB, |config| {
        config.json.as_mut().unwrap().body_timeout = Period::millis(100);
    })
    .await;
    let mut wire = Wire::connect(house.json()).await;
    wire.send(HALF).await;
    let answer = wire.answer().await;
    assert_eq!(answer.status, 503);
    assert!(answer.head.contains("retry-after: 1"));
    assert!(wire.is_closed().await);
    assert_eq!((house.told("json"), house.door("json").unread()), ([0, 1, 0, 0], 1));
}

#[tokio::test]
async fn silent_connections_are_closed() {
    let house = house_with(Mood::Delivers, MIB, |config| {
        json_connections(config).idle_timeout = Period::millis(100);
    })
    .await;
    assert!(Wire::connect(house.json()).await.is_closed().await);
    let mut wire = Wire::connect(house.json()).await;
    wire.send("POST / HTTP/1.1\r\nhos").await;
    assert!(wire.is_closed().await);
    assert_eq!(house.told("json"), [0; 4]);
}

#[tokio::test]
async fn old_connections_are_told_to_go_and_clients_come_back() {
    let house = house_with(Mood::Delivers, MIB, |config| {
        json_connections(config).max_age = Period::millis(200);
        config.otlp.as_mut().unwrap().grpc.as_mut().unwrap().connections.max_age = Period::millis(100);
    })
    .await;
    let mut wire = Wire::connect(house.json()).await;
    assert_eq!(wire.request("POST /", "", b"{}").await.status, 200);
    assert!(wire.is_closed().await);

    // Many connections long: not one call may fail, since the client waits for an answer whenever it is told to go.
    let mut answered = 0;
    let mut client = LogsServiceClient::connect(format!("http://{}", house.grpc())).await.unwrap();
    let end = tokio::time::Instant::now() + Duration::from_millis(600);
    while tokio::time::Instant::now() < end {
        client.export(logs(1)).await.unwrap();
        answered += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(answered > 10);
    assert_eq!(house.told("otlp_grpc"), [answered, 0, 0, 0]);
    assert_eq!(house.door("otlp_grpc").received(), answered);
}

/// Its next request would else cross the end of the connection.
#[tokio::test]
async fn over_http_1_a_client_that_keeps_asking_is_told_to_go_by_an_answer() {
    let house = house_with(Mood::Delivers, MIB, |config| {
        json_connections(config).max_age = Period::millis(100);
    })
    .await;
    let mut wire = Wire::connect(house.json()).await;
    let mut answers = 0;
    loop {
        let answer = wire.request("POST /", "", b"{}").await;
        assert_eq!(answer.status, 200);
        answers += 1;
        if answer.head.contains("connection: close") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!((2..100).contains(&answers), "{answers}");
    assert!(wire.is_closed().await);
}

#[tokio::test]
async fn at_the_limit_a_connection_waits_until_one_leaves() {
    let house = house_with(Mood::Delivers, MIB, |config| json_connections(config).max = 1).await;
    let mut first = Wire::connect(house.json()).await;
    assert_eq!(first.request("POST /", "", b"{}").await.status, 200);
    let second = once(house.json(), "POST /", "", b"{}");
    tokio::pin!(second);
    assert!(tokio::time::timeout(Duration::from_millis(150), second.as_mut()).await.is_err());
    drop(first);
    assert_eq!(second.await.status, 200);
}

#[tokio::test]
async fn a_connection_without_memory_is_told_to_come_back_and_let_go() {
    let house = house(Mood::Delivers).await;
    // Enough to be silent.
    let crowd = house.crowd(10 << 10);
    for (address, path) in [(house.json(), "POST /"), (house.http(), "POST /v1/logs")] {
        let mut wire = Wire::connect(address).await;
        let answer = wire.request(path, "content-type: application/x-protobuf\r\n", b"{}").await;
        let status = if address == house.json() { 415 } else { 503 };
        assert_eq!(answer.status, status, "{}", answer.head);
        assert!(answer.head.contains("connection: close"), "{}", answer.head);
        assert!(wire.is_closed().await);
    }
    let answer = once(house.json(), "POST /", "", b"{}").await;
    assert_eq!((answer.status, answer.head.contains("retry-after: 1")), (503, true));
    let mut client = LogsServiceClient::connect(format!("http://{}", house.grpc())).await.unwrap();
    let status = client.export(logs(1)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status.get_details_retry_info().is_some());
    assert_eq!([house.told("json"), house.told("otlp_grpc")], [[0, 1, 1, 0], [0, 1, 0, 0]]);
    drop(crowd);
    assert_eq!(once(house.json(), "POST /", "", b"{}").await.status, 200);
    client.export(logs(1)).await.unwrap();
}

#[tokio::test]
async fn a_call_without_memory_is_refused_and_the_connection_stays() {
    let house = house(Mood::Delivers).await;
    let mut client = LogsServiceClient::connect(format!("http://{}", house.grpc())).await.unwrap();
    client.export(logs(1)).await.unwrap();
    let others = house.connections.used();
    let crowd = house.crowd(0);
    let status = client.export(logs(1)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.get_details_retry_info().is_some());
    drop(crowd);
    client.export(logs(1)).await.unwrap();
    assert_eq!(house.told("otlp_grpc"), [2, 1, 0, 0]);
    eventually("the call's memory is back", || house.connections.used() == others).await;
    drop(client);
    eventually("the connection's memory is back", || house.connections.used() < others).await;
}

#[tokio::test]
async fn what_a_client_speaks_is_heard_even_if_its_first_bytes_are_torn() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let house = house(Mood::Delivers).await;
    for (first, rest) in [("P", "RI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), ("PR", "I * HTTP/2.0\r\n\r\nSM\r\n\r\n")]
    {
        let mut stream = tokio::net::TcpStream::connect(house.http()).await.unwrap();
        stream.write_all(first.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_all(rest.as_bytes()).await.unwrap();
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        let mut frame = [0; 9];
        stream.read_exact(&mut frame).await.unwrap();
        assert_eq!(frame[3], 4, "SETTINGS: {frame:?}");
    }
    let mut wire = Wire::connect(house.json()).await;
    wire.send("P").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    wire.send("OST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}").await;
    assert_eq!(wire.answer().await.status, 200);
}

#[tokio::test]
async fn the_drain_answers_what_is_under_way_and_takes_nothing_new() {
    let house = house(Mood::Hangs).await;
    let mut wire = Wire::connect(house.json()).await;
    wire.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}").await;
    eventually("the record is owed", || house.door("json").admitted() == 1).await;
    house.shutdown.cancel();
    let address = house.json();
    let closed = house.started.closed(Duration::from_secs(5));
    let client = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
        house.gate.add_permits(1);
        let answer = wire.answer().await;
        assert!(wire.is_closed().await);
        drop(wire);
        answer
    };
    let (closed, answer) = tokio::join!(closed, client);
    assert_eq!((closed, answer.status), (true, 200));
    assert!(answer.head.contains("connection: close"));
}

#[tokio::test]
async fn a_connection_on_which_nothing_was_asked_does_not_hold_up_the_drain() {
    let house = house(Mood::Delivers).await;
    let _silent = [Wire::connect(house.json()).await, Wire::connect(house.grpc()).await];
    // Accepted, and waiting for a first byte.
    tokio::time::sleep(Duration::from_millis(50)).await;
    house.shutdown.cancel();
    assert!(house.started.closed(Duration::from_secs(5)).await, "cut at the deadline");
}

#[tokio::test]
async fn what_outlives_the_drain_is_told_to_try_again() {
    let house = house(Mood::Hangs).await;
    let mut wire = Wire::connect(house.json()).await;
    wire.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}").await;
    let mut half = Wire::connect(house.http()).await;
    half.send("POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 9\r\n\r\nhalf").await;
    let grpc = house.grpc();
    let message = frame(0, &logs(3).encode_to_vec());
    let called = forebay_pipeline::task::spawn("client", async move {
        call(grpc, super::grpc::EXPORT, &[("content-type", "application/grpc")], message).await
    });
    let is_owed = || house.door("json").admitted() == 1 && house.door("otlp_grpc").admitted() == 3;
    eventually("the records are owed", is_owed).await;
    house.shutdown.cancel();
    assert!(!house.started.closed(Duration::from_millis(200)).await);
    for (wire, said) in
        [(&mut wire, "before the records were delivered"), (&mut half, "before the request is here")]
    {
        let answer = wire.answer().await;
        assert_eq!(answer.status, 503);
        assert!(
            answer.head.contains("retry-after: 1") && answer.head.contains("connection: close"),
            "{answer:?}"
        );
        assert!(String::from_utf8_lossy(&answer.body).contains(said), "{answer:?}");
        assert!(wire.is_closed().await);
    }
    let status = called.await.unwrap().status.unwrap();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert!(status.get_details_retry_info().is_some(), "{status:?}");
    for receiver in ["json", "otlp_http", "otlp_grpc"] {
        assert_eq!(house.told(receiver), [0, 1, 0, 0], "{receiver}");
    }
}

/// A connection that has only begun to speak, and whose client has no answer to wait for, does not end by itself.
#[tokio::test]
async fn a_connection_that_does_not_end_is_cut() {
    let house = house_with(Mood::Delivers, MIB, |_| ()).await;
    let mut wire = Wire::connect(house.grpc()).await;
    wire.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    house.shutdown.cancel();
    assert!(!house.started.closed(Duration::from_millis(100)).await);
    // The server's own preface comes first.
    let ends = async { while !wire.is_closed().await {} };
    tokio::time::timeout(Duration::from_secs(5), ends).await.unwrap();
}
