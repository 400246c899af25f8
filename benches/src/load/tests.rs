#![allow(clippy::unwrap_used)]

use std::convert::Infallible;

use ::http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use tokio::net::TcpListener;

use super::*;
use crate::corpus::{Corpus, Keys};
use crate::sink::{Ledger, Sink};

/// Refuses every fifth call and counts the records of the others.
async fn toy_server(listener: TcpListener, records: Arc<AtomicUsize>, calls: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (records, calls) = (Arc::clone(&records), Arc::clone(&calls));
        let service = service_fn(move |request: Request<Incoming>| {
            let (records, calls) = (Arc::clone(&records), Arc::clone(&calls));
            async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let refused = calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(5);
                if !refused {
                    let decoded = ExportLogsServiceRequest::decode(&body[5..]).unwrap();
                    let logs = &decoded.resource_logs[0].scope_logs[0].log_records;
                    records.fetch_add(logs.len(), Ordering::Relaxed);
                }
                Ok::<_, Infallible>(toy_answer(if refused { "14" } else { "0" }))
            }
        });
        connections
            .spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service));
    }
}

fn toy_answer(status: &'static str) -> Response<BoxBody<Bytes, Infallible>> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let body = Full::new(grpc::frame(&[], false)).with_trailers(async move { Some(Ok(trailers)) });
    Response::new(BodyExt::boxed(body))
}

#[tokio::test]
async fn every_request_is_acknowledged_once_and_refusals_are_retried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (records, calls) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut server = JoinSet::new();
    server.spawn(toy_server(listener, Arc::clone(&records), Arc::clone(&calls)));

    let corpus = Corpus::new(1, 1);
    let shape = Shape { protocol: Protocol::OtlpGrpc, records: 90, keys: Keys::Ten, gzip: false };
    let sending = Sending {
        protocol: Protocol::OtlpGrpc,
        address,
        connections: 2,
        in_flight: 3,
        frame_bytes: 16_384,
        gzip: false,
    };
    let mut load = Load::connect(sending).await.unwrap();
    for round in 0..2 {
        let sent = load.send(shape.bodies(&corpus, round * 20, 20).unwrap()).await.unwrap();
        assert_eq!(sent.latencies.len(), 20);
        assert!(sent.retries > 0);
        assert!(sent.percentile(99.0) >= DEFAULT_RETRY, "a retry counts into the latency");
        assert!(sent.percentile(50.0) <= sent.percentile(99.0));
    }
    assert_eq!(records.load(Ordering::Relaxed), 2 * 20 * 90);
}

#[tokio::test]
async fn a_request_refused_for_good_ends_the_run() {
    // The sink knows no `/v1/logs`.
    let sink = Sink::start(Duration::ZERO, Ledger::new(1)).await.unwrap();
    let sending = Sending {
        protocol: Protocol::OtlpHttp,
        address: sink.address(),
        connections: 1,
        in_flight: 1,
        frame_bytes: 16_384,
        gzip: false,
    };
    let mut load = Load::connect(sending).await.unwrap();
    let fault = load.send(vec![Bytes::from_static(b"x")]).await.unwrap_err();
    assert!(format!("{fault:#}").contains("404"), "{fault:#}");
    assert!(Load::connect(Sending { in_flight: 2, ..sending }).await.is_err(), "HTTP/1.1 does not multiplex");
}

#[test]
fn percentiles_are_ranks() {
    let sent = Sent { latencies: (1..=100).collect(), ..Sent::default() };
    assert_eq!(sent.percentile(50.0), Duration::from_micros(50));
    assert_eq!(sent.percentile(99.0), Duration::from_micros(99));
    assert_eq!(Sent::default().percentile(99.0), Duration::ZERO);
}
