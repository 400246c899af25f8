//! OTLP over gRPC: with tonic's client, and with bytes that no client would send.

use super::raw::{Called, call, call_with, frame};
use super::*;
use futures_util::StreamExt as _;
use http_body_util::StreamBody;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

pub(super) const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const CHECK: &str = "/grpc.health.v1.Health/Check";
const GRPC: (&str, &str) = ("content-type", "application/grpc");

async fn client(house: &House) -> LogsServiceClient<Channel> {
    LogsServiceClient::connect(format!("http://{}", house.grpc())).await.unwrap()
}

async fn export(house: &House, headers: &[(&'static str, &str)], body: Vec<u8>) -> Called {
    call(house.grpc(), EXPORT, &[&[GRPC], headers].concat(), body).await
}

fn code(called: &Called) -> Code {
    called.status.as_ref().unwrap().code()
}

#[tokio::test]
async fn records_are_delivered_before_the_client_hears_ok() {
    let house = house(Mood::Delivers).await;
    let mut client = client(&house).await;
    for _ in 0..2 {
        let response = client.export(logs(500)).await.unwrap();
        assert!(response.into_inner().partial_success.is_none());
    }
    assert_eq!(
        client.export(ExportLogsServiceRequest::default()).await.unwrap().into_inner().partial_success,
        None
    );
    assert_eq!(house.settled(Outcome::Delivered), 1000);
    assert_eq!(house.told("otlp_grpc"), [3, 0, 0, 0]);
    let door = house.door("otlp_grpc");
    assert_eq!((door.received(), door.admitted(), door.unread()), (1000, 1000, 0));
    assert_eq!(door.bytes(), 3 * 5 + 2 * logs(500).encoded_len() as u64);
    eventually("the budget is free again", || house.intake.budget().used() == 0).await;
}

#[tokio::test]
async fn gzip_and_identity_are_understood() {
    let house = house(Mood::Delivers).await;
    let plain = logs(20).encode_to_vec();
    let gzipped = ("grpc-encoding", "gzip");
    let called = export(&house, &[gzipped], frame(1, &gzip(&plain))).await;
    assert_eq!((code(&called), &called.message[..]), (Code::Ok, &[0; 5][..]));
    assert_eq!(code(&export(&house, &[gzipped], frame(0, &plain)).await), Code::Ok);
    assert_eq!(code(&export(&house, &[("grpc-encoding", "identity")], frame(0, &plain)).await), Code::Ok);
    assert_eq!(house.settled(Outcome::Delivered), 60);
}

/// Headers, body, and the code of the answer.
type Case<'c> = (&'c [(&'static str, &'c str)], Vec<u8>, Code);

#[tokio::test]
async fn framing_faults_are_never_to_be_repeated() {
    let house = house(Mood::Delivers).await;
    let plain = logs(1).encode_to_vec();
    let whole = frame(0, &plain);
    let cases: [Case<'_>; 8] = [
        (&[], frame(1, &gzip(&plain)), Code::Internal),
        (&[("grpc-encoding", "identity")], frame(1, &plain), Code::Internal),
        (&[], frame(2, &plain), Code::Internal),
        (&[], whole.repeat(2), Code::Internal),
        (&[], whole[..whole.len() - 1].to_vec(), Code::Internal),
        (&[], whole[..3].to_vec(), Code::Internal),
        (&[("grpc-encoding", "gzip")], frame(1, &plain), Code::InvalidArgument),
        (&[], frame(0, b"\xff\xff\xff"), Code::InvalidArgument),
    ];
    for (headers, body, expected) in cases.clone() {
        let called = export(&house, headers, body).await;
        assert_eq!(code(&called), expected, "{headers:?} {called:?}");
        assert!(called.status.unwrap().get_details_retry_info().is_none());
    }
    assert_eq!(house.told("otlp_grpc"), [0, 0, cases.len() as u64, 0]);
    assert_eq!(house.door("otlp_grpc").unread(), cases.len() as u64);
}

#[tokio::test]
async fn an_unknown_coding_is_answered_with_those_that_are_known() {
    let house = house(Mood::Delivers).await;
    let called = export(&house, &[("grpc-encoding", "snappy")], frame(1, b"x")).await;
    assert_eq!(code(&called), Code::Unimplemented);
    assert_eq!(called.headers["grpc-accept-encoding"], "identity,gzip,zstd");
}

#[tokio::test]
async fn too_large_is_final_before_and_after_inflation() {
    let house = house_with(Mood::Delivers, 64 * MIB, |config| {
        config.otlp.as_mut().unwrap().max_request_bytes = ByteSize::kib(16);
    })
    .await;
    let status = client(&house).await.export(logs(2000)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().is_none());
    let bomb = frame(1, &gzip(&logs(2000).encode_to_vec()));
    assert!(bomb.len() < 16 << 10);
    let called = export(&house, &[("grpc-encoding", "gzip")], bomb).await;
    assert_eq!(code(&called), Code::ResourceExhausted);
    assert!(called.status.unwrap().get_details_retry_info().is_none());
    assert_eq!(house.told("otlp_grpc"), [0, 0, 2, 0]);
}

#[tokio::test]
async fn without_memory_the_client_is_told_when_to_come_back() {
    let house = house_with(Mood::Delivers, 4096, |_| ()).await;
    let mut client = client(&house).await;
    let others = house.intake.budget().lease(4096).unwrap();
    let status = client.export(logs(10)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(Duration::from_secs(1)));
    assert_eq!(house.told("otlp_grpc"), [0, 1, 0, 0]);
    assert_eq!(house.intake.budget().used(), 4096);
    let status = client.export(logs(1000)).await.unwrap_err();
    assert_eq!((status.code(), status.details()), (Code::ResourceExhausted, &[][..]), "it would never fit");
    drop(others);
    client.export(logs(1)).await.unwrap();
}

#[tokio::test]
async fn what_is_not_here_is_unimplemented_and_says_why() {
    let house = house(Mood::Delivers).await;
    let traces = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    for (path, reason) in [(traces, "traces are not accepted here"), ("/a.B/C", "unknown method /a.B/C")] {
        let called = call(house.grpc(), path, &[GRPC], frame(0, b"")).await;
        assert_eq!(code(&called), Code::Unimplemented);
        assert!(called.status.unwrap().message().contains(reason));
    }
    let called = call(house.grpc(), EXPORT, &[("content-type", "application/json")], b"{}".to_vec()).await;
    assert_eq!((called.http.as_u16(), called.status.is_none()), (415, true));
}

#[tokio::test]
async fn health_is_served_until_the_drain() {
    let house = house(Mood::Delivers).await;
    let channel = Channel::from_shared(format!("http://{}", house.grpc())).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel);
    let check = || HealthCheckRequest { service: String::new() };
    assert_eq!(health.check(check()).await.unwrap().into_inner().status, 1);
    let mut watch = health.watch(check()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 1);
    house.started.fail_health().await;
    assert_eq!(health.check(check()).await.unwrap().into_inner().status, 2);
    assert_eq!(watch.message().await.unwrap().unwrap().status, 2);
    // A watch, which would never end by itself, does not hold up the drain.
    house.shutdown.cancel();
    assert!(house.started.closed(Duration::from_secs(5)).await);
}

/// Everybody may ask, so that a question must cost little.
#[tokio::test]
async fn a_question_for_health_is_short_and_comes_soon() {
    let house = house_with(Mood::Delivers, MIB, |config| {
        config.otlp.as_mut().unwrap().body_timeout = Period::millis(200);
    })
    .await;
    let channel = Channel::from_shared(format!("http://{}", house.grpc())).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel);
    let long = HealthCheckRequest { service: "x".repeat(5 << 10) };
    assert_eq!(health.check(long).await.unwrap_err().code(), Code::OutOfRange);
    // A message that is announced and does not come.
    let prefix = Ok(http_body::Frame::data(Bytes::from_static(&[0, 0, 0, 1, 0])));
    let body = futures_util::stream::iter([prefix]).chain(futures_util::stream::pending());
    let called = call_with(house.grpc(), CHECK, &[GRPC], StreamBody::new(body));
    let called = timeout(Duration::from_secs(10), called).await.unwrap();
    assert_eq!(code(&called), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_silent_sink_is_answered_for_before_the_client_gives_up() {
    let house = house(Mood::Hangs).await;
    let mut client = client(&house).await;
    let mut request = Request::new(logs(3));
    request.metadata_mut().insert("grpc-timeout", "2000m".parse().unwrap());
    // Had the client given up first, it would say so itself, with another code.
    let status = client.export(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.get_details_retry_info().is_some());
    assert_eq!(house.told("otlp_grpc"), [0, 1, 0, 0]);
}

#[tokio::test]
async fn a_client_that_hangs_up_is_counted_as_gone() {
    let house = house(Mood::Hangs).await;
    let mut client = client(&house).await;
    let call = tokio::time::timeout(Duration::from_millis(200), client.export(logs(3)));
    assert!(call.await.is_err());
    eventually("the visit ends", || house.told("otlp_grpc") == [0, 0, 0, 1]).await;
    assert_eq!(house.door("otlp_grpc").unread(), 0);
}

#[tokio::test]
async fn dead_letters_are_a_success_with_a_message() {
    let house = house(Mood::Refuses).await;
    let partial = client(&house).await.export(logs(7)).await.unwrap().into_inner().partial_success.unwrap();
    assert_eq!(partial.rejected_log_records, 0);
    assert!(partial.error_message.contains("7 records"), "{}", partial.error_message);
    assert!(partial.error_message.contains("no mapping for it"), "{}", partial.error_message);
    assert_eq!(house.settled(Outcome::DeadLettered), 7);
    assert_eq!(house.told("otlp_grpc"), [1, 0, 0, 0]);
}
