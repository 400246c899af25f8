//! Clients that send most of a large body and then nothing more, on every protocol at once, and come back whenever they are turned away. Two
//! thousand connections beside them say nothing. Memory stays in its budget, and when the stalled are given up, honest clients get in.

use crate::watch::Watch;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use forebay_tests::gateway::Ports;
use forebay_tests::runtime::RUNTIME;
use forebay_tests::{Gateway, otlp, wait_until};
use futures_util::{StreamExt as _, future, stream};
use http::{Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const MIB: u64 = 1 << 20;
/// A client's body: one that lies in a mapping, and one that lies on the heap.
const BODY_BYTES: usize = 4 << 20;
const SMALL_BODY_BYTES: usize = 256 << 10;
/// Connections that never say anything, over the three ports.
const SILENT: usize = 2_000;
/// Calls at once on one gRPC connection.
const CALLS: usize = 4;
const PIECE_BYTES: usize = 64 << 10;
/// How long the stalled go on coming back.
const LASTS: Duration = Duration::from_secs(15);
const COME_BACK_AFTER: Duration = Duration::from_millis(200);

const CONFIG: &str = r#"
receivers:
  otlp:
    grpc: {listen: "127.0.0.1:{otlp_grpc}"}
    http: {listen: "127.0.0.1:{otlp_http}"}
    body_timeout: 5s
    max_request_bytes: 16MiB
  json: {listen: "127.0.0.1:{json}", body_timeout: 5s, max_request_bytes: 16MiB}
sinks: {none: {type: blackhole}}
limits: {memory: {budget}}
dead_letters: {path: "{dir}/letters"}
admin: {listen: "127.0.0.1:{admin}"}
"#;

type Body = StreamBody<stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// What a stalled client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// JSON over HTTP/1.1, of a known length.
    Json,
    /// The same in chunks.
    Chunked,
    /// OTLP over HTTP/1.1, compressed.
    Gzip,
    /// OTLP over gRPC.
    Grpc,
}

/// How stalled clients were answered, by kind and status.
type Answers = Arc<Mutex<BTreeMap<String, usize>>>;

/// How much of a body is sent: seven eighths, or less than the half.
fn sent_bytes(body: usize) -> [usize; 2] {
    [body / 8 * 7, body / 5 * 2]
}

/// Bytes that do not compress.
fn noise(bytes: usize) -> Bytes {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..bytes).map(|_| next()).collect()
}

fn gzipped(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap().into()
}

/// The first `sent` bytes of `bytes`, and then nothing.
fn stalled(bytes: &Bytes, sent: usize) -> Body {
    let bytes = bytes.slice(..sent);
    let pieces = (0..sent.div_ceil(PIECE_BYTES))
        .map(move |piece| bytes.slice(piece * PIECE_BYTES..sent.min((piece + 1) * PIECE_BYTES)));
    let frames = stream::iter(pieces.map(|piece| Ok(Frame::data(piece))));
    StreamBody::new(frames.chain(stream::pending()).boxed())
}

impl Kind {
    fn port(self, ports: Ports) -> u16 {
        match self {
            Self::Json | Self::Chunked => ports.json,
            Self::Gzip => ports.otlp_http,
            Self::Grpc => ports.otlp_grpc,
        }
    }

    /// A request of which `sent` bytes come. `body` begins as its protocol wants it.
    fn request(self, body: &Bytes, sent: usize) -> Request<Body> {
        let request = Request::post(match self {
            Self::Json | Self::Chunked => "/",
            Self::Gzip => "/v1/logs",
            Self::Grpc => "http://x/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        });
        let request = match self {
            Self::Json => request.header("content-length", body.len()).header("host", "x"),
            Self::Chunked => request.header("host", "x"),
            Self::Gzip => request
                .header("host", "x")
                .header("content-length", body.len())
                .header("content-encoding", "gzip")
                .header("content-type", "application/x-protobuf"),
            Self::Grpc => request.header("content-type", "application/grpc").header("te", "trailers"),
        };
        request.body(stalled(body, sent)).unwrap()
    }
}

/// Stalls, is turned away or given up, and comes back, for ever.
async fn stall(kind: Kind, ports: Ports, body: Bytes, sent: usize, answers: Answers) {
    loop {
        match TcpStream::connect(("127.0.0.1", kind.port(ports))).await {
            Ok(stream) => stall_once(kind, stream, &body, sent, &answers).await,
            Err(error) => note(&answers, kind, &format!("no connection: {}", error.kind())),
        }
        sleep(COME_BACK_AFTER).await;
    }
}

fn note(answers: &Answers, kind: Kind, answer: &str) {
    *answers.lock().entry(format!("{kind:?}: {answer}")).or_default() += 1;
}

async fn stall_once(kind: Kind, stream: TcpStream, body: &Bytes, sent: usize, answers: &Answers) {
    let io = TokioIo::new(stream);
    if kind != Kind::Grpc {
        let (mut sender, connection) = http1::handshake::<_, Body>(io).await.unwrap();
        let answer = async {
            let answer = sender.send_request(kind.request(body, sent)).await;
            note(answers, kind, &answer.map_or("cut".to_owned(), |answer| answer.status().to_string()));
        };
        tokio::pin!(answer);
        // An end of the connection ends what waits for an answer, which may have come with it.
        tokio::select! {
            () = &mut answer => {}
            _ = connection => answer.await,
        }
        return;
    }
    let handshake = http2::Builder::new(TokioExecutor::new()).timer(TokioTimer::new()).handshake(io).await;
    let Ok((sender, connection)) = handshake else { return note(answers, kind, "no handshake") };
    let calls = stream::iter(0..CALLS).for_each_concurrent(CALLS, |_| {
        let mut sender = sender.clone();
        async move {
            let answer = sender.send_request(kind.request(body, sent)).await;
            note(answers, kind, &answer.map_or("cut".to_owned(), |answer| grpc_status(&answer)));
        }
    });
    tokio::pin!(calls);
    tokio::select! {
        () = &mut calls => {}
        _ = connection => calls.await,
    }
}

fn grpc_status(answer: &http::Response<Incoming>) -> String {
    let status = answer.headers().get("grpc-status");
    format!("grpc {}", status.map_or("none", |status| status.to_str().unwrap()))
}

/// An honest request by HTTP, and its answer if it had one.
async fn post(port: u16, path: &str, media_type: &str, body: Vec<u8>) -> Option<StatusCode> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request = Request::post(path).header("host", "x").header("content-type", media_type);
    let request = request.body(http_body_util::Full::new(Bytes::from(body))).unwrap();
    let answer = async move {
        let answer = sender.send_request(request).await.ok()?;
        let status = answer.status();
        answer.into_body().collect().await.is_ok().then_some(status)
    };
    // The connection ends when nobody has anything to ask any more.
    future::join(answer, connection).await.0
}

/// One honest request of each protocol: whether each was taken. One that was not may be sent again.
fn honest(ports: Ports) -> [bool; 3] {
    use prost::Message as _;
    let request = || otlp::request("honest", vec![otlp::record(1, "an honest line", Vec::new())]);
    let by_http = |port, path: &'static str, media_type: &'static str, body| {
        let answer = RUNTIME
            .block_on(async { timeout(Duration::from_secs(10), post(port, path, media_type, body)).await });
        // No answer, or no connection, is retryable as well.
        let status = answer.ok().flatten();
        assert!(
            matches!(status, None | Some(StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE)),
            "{path}: {status:?}"
        );
        status == Some(StatusCode::OK)
    };
    let grpc = otlp::LogsClient::new(&format!("127.0.0.1:{}", ports.otlp_grpc)).unwrap().export(request());
    if let Err(status) = &grpc {
        let retryable = [tonic::Code::Unavailable, tonic::Code::DeadlineExceeded];
        assert!(retryable.contains(&status.code()), "{status:?}");
    }
    [
        by_http(ports.json, "/", "application/json", b"{\"message\":\"honest\"}".to_vec()),
        by_http(ports.otlp_http, "/v1/logs", "application/x-protobuf", request().encode_to_vec()),
        grpc.is_ok(),
    ]
}

/// Connections that never say anything.
async fn silent(ports: Ports) -> Vec<TcpStream> {
    let ports = [ports.json, ports.otlp_http, ports.otlp_grpc];
    let mut streams = Vec::with_capacity(SILENT);
    for number in 0..SILENT {
        streams.push(TcpStream::connect(("127.0.0.1", ports[number % ports.len()])).await.unwrap());
    }
    streams
}

/// Clients of each kind, and bodies of so many bytes for them.
fn stall_all(
    ports: Ports,
    clients: &[(Kind, usize)],
    bytes: usize,
    answers: &Answers,
) -> Vec<JoinHandle<()>> {
    let plain = noise(bytes);
    let zipped = gzipped(&plain);
    let mut message = vec![0];
    message.extend((bytes as u32).to_be_bytes());
    message.extend_from_slice(&plain);
    let message = Bytes::from(message);
    let mut tasks = Vec::new();
    for (kind, count) in clients {
        let body = match kind {
            Kind::Json | Kind::Chunked => &plain,
            Kind::Gzip => &zipped,
            Kind::Grpc => &message,
        };
        tasks.extend((0..*count).map(|number| {
            let sent = sent_bytes(bytes)[usize::from(number % 4 == 3)];
            RUNTIME.spawn(stall(*kind, ports, body.clone(), sent, Arc::clone(answers)))
        }));
    }
    tasks
}

/// What the process takes at rest, when it has seen a few of these clients: code, threads and the first pages are paid for once.
fn at_rest(gateway: &Gateway, clients: &[(Kind, usize)]) -> u64 {
    let few: Vec<(Kind, usize)> = clients.iter().map(|(kind, _)| (*kind, 2)).collect();
    let warm_up = stall_all(gateway.ports, &few, BODY_BYTES, &Answers::default());
    std::thread::sleep(Duration::from_secs(2));
    warm_up.iter().for_each(JoinHandle::abort);
    wait_until("the warm-up to be forgotten", Duration::from_secs(10), || {
        let is_over = gateway.metrics()?.sum("forebay_memory_budget_used_bytes", &[]) == 0.0;
        Ok((honest(gateway.ports) == [true; 3] && is_over).then_some(()))
    })
    .unwrap();
    gateway.rss_bytes().unwrap()
}

/// The budget and the peak of what the process took above what it takes at rest, over a load of stalled clients.
fn run(budget: u64, clients: &[(Kind, usize)]) {
    let gateway = Gateway::start(&CONFIG.replace("{budget}", &budget.to_string())).unwrap();
    let ports = gateway.ports;
    let base = at_rest(&gateway, clients);
    let watch = Watch::over(&gateway);
    let silent = RUNTIME.block_on(silent(ports));
    let answers = Answers::default();
    let stalled = stall_all(ports, clients, BODY_BYTES, &answers);
    let mut taken = [0_u32; 3];
    let began = std::time::Instant::now();
    while began.elapsed() < LASTS {
        for (count, taken) in taken.iter_mut().zip(honest(ports)) {
            *count += u32::from(taken);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let peak = watch.peak();
    stalled.iter().for_each(JoinHandle::abort);
    let above = peak.rss.saturating_sub(base);
    println!(
        "stalled: budget {} MiB; {SILENT} silent and {clients:?} stalled connections; at rest {:.1} MiB, above it at most \
         {:.1} MiB ({:.2} of the budget), payloads at most {:.1} MiB; honest requests taken meanwhile {taken:?}; answers {:?}",
        budget / MIB,
        base as f64 / MIB as f64,
        above as f64 / MIB as f64,
        above as f64 / budget as f64,
        peak.budget_used / MIB as f64,
        answers.lock()
    );
    assert!(peak.budget_used > budget as f64 * 0.6, "there was no pressure: {peak:?}");
    assert!(above <= budget / 100 * 105, "{peak:?}, {base} at rest");
    // Those of the silent that are still there stay.
    wait_until("honest clients to get in again", Duration::from_secs(30), || {
        Ok((honest(ports) == [true; 3]).then_some(()))
    })
    .unwrap();
    wait_until("the stalled to be forgotten", Duration::from_secs(30), || {
        Ok((gateway.metrics()?.sum("forebay_memory_budget_used_bytes", &[]) == 0.0).then_some(()))
    })
    .unwrap();
    drop(silent);
    let again = answers.lock();
    let may_come_back =
        ["503 Service Unavailable", "grpc 14", "grpc 4", "cut", "no connection", "no handshake"];
    assert!(again.keys().all(|answer| may_come_back.iter().any(|text| answer.contains(text))), "{again:?}");
    gateway.balanced_ledger(Duration::from_secs(60)).unwrap();
}

#[test]
fn stalled_bodies_of_every_protocol_stay_inside_the_budget() {
    run(128 * MIB, &[(Kind::Json, 60), (Kind::Chunked, 30), (Kind::Gzip, 60), (Kind::Grpc, 40)]);
}

/// Bodies that the allocator has memory for, and then such as lie in mappings, by turns. What the first have left must be given back before the others
/// fill the budget.
#[test]
fn small_bodies_and_then_large_ones_stay_inside_the_budget() {
    let budget = 128 * MIB;
    let gateway = Gateway::start(&CONFIG.replace("{budget}", &budget.to_string())).unwrap();
    let used = || gateway.metrics().unwrap().sum("forebay_memory_budget_used_bytes", &[]);
    let base = at_rest(&gateway, &[(Kind::Json, 2)]);
    let watch = Watch::over(&gateway);
    for round in 0..3 {
        for (bytes, clients) in [(SMALL_BODY_BYTES, 300), (BODY_BYTES, 60)] {
            let stalled = stall_all(gateway.ports, &[(Kind::Json, clients)], bytes, &Answers::default());
            std::thread::sleep(Duration::from_secs(3));
            let used = used();
            assert!(used > budget as f64 * 0.5, "no pressure by {bytes} bytes in round {round}: {used}");
            stalled.iter().for_each(JoinHandle::abort);
        }
    }
    let peak = watch.peak();
    let above = peak.rss.saturating_sub(base);
    println!(
        "small and then large: budget {} MiB; at rest {:.1} MiB, above it at most {:.1} MiB ({:.2} of the budget)",
        budget / MIB,
        base as f64 / MIB as f64,
        above as f64 / MIB as f64,
        above as f64 / budget as f64,
    );
    assert!(above <= budget / 100 * 105, "{peak:?}, {base} at rest");
    wait_until("the stalled to be forgotten", Duration::from_secs(30), || Ok((used() == 0.0).then_some(())))
        .unwrap();
    gateway.balanced_ledger(Duration::from_secs(60)).unwrap();
}

/// For a look at one protocol alone: `STALLED="Grpc 300 256" cargo test ... one_protocol -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn one_protocol() {
    let what = std::env::var("STALLED").unwrap();
    let words: Vec<&str> = what.split(' ').collect();
    let kind = match words[0] {
        "Json" => Kind::Json,
        "Chunked" => Kind::Chunked,
        "Gzip" => Kind::Gzip,
        _ => Kind::Grpc,
    };
    run(words[2].parse::<u64>().unwrap() * MIB, &[(kind, words[1].parse().unwrap())]);
}
