//! OTLP over gRPC, with a unary framing of our own: the budget must be asked before a message is read or inflated, and tonic
//! would do both first. The framing is that of "gRPC over HTTP2" (grpc/doc/PROTOCOL-HTTP2.md).

use super::OTLP_GRPC;
use super::answer::{Fault, Kind, Taken};
use super::caller::Caller;
use super::endpoint::{Coding, Endpoint, Visit};
use super::handler::Handler;
use super::house::House;
use super::otlp;
use super::read::Chunks;
use super::reply::Reply;
use super::status;
use bytes::{BufMut as _, Bytes, BytesMut};
use forebay_pipeline::Signal;
use forebay_pipeline::admit::OtlpIds;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tonic::Status;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tower::Service as _;

/// The method of each signal, by its number.
const EXPORT: [&str; Signal::ALL.len()] = [
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
];
const PROFILES: &str = "/opentelemetry.proto.collector.profiles.";
const HEALTH: &str = "/grpc.health.v1.Health/";
/// The largest question to the health service, in bytes: a service's name.
const MAX_HEALTH_BYTES: usize = 4 << 10;
/// The flag that says whether a message is compressed, and its length.
const PREFIX_BYTES: usize = 5;
/// The share of the client's own timeout within which it is answered: the rest is for the way.
const TIMEOUT_PERCENT: u32 = 90;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Answers calls on the OTLP/gRPC port.
#[derive(Debug)]
pub struct OtlpGrpc {
    pub endpoint: Endpoint,
    pub ids: OtlpIds,
    pub health: HealthServer<HealthService>,
}

impl House<'_> {
    /// What answers there, if there is such a receiver.
    pub fn otlp_grpc(&self, health: &HealthReporter) -> Option<OtlpGrpc> {
        let otlp = self.config.otlp.as_ref().filter(|otlp| otlp.grpc.is_some())?;
        let health = HealthServer::new(HealthService::from_health_reporter(health.clone()))
            .max_decoding_message_size(MAX_HEALTH_BYTES);
        let endpoint = self.endpoint(OTLP_GRPC, otlp.bounds(self.acknowledge));
        Some(OtlpGrpc { endpoint, ids: otlp.ids, health })
    }
}

impl Handler for OtlpGrpc {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether it is well may be asked by everybody: load balancers and probes have no credentials.
    fn is_public(&self, request: &Request<Incoming>) -> bool {
        request.uri().path().starts_with(HEALTH)
    }

    fn refuse(&self, head: &Request<()>, fault: &Fault) -> Response<Reply> {
        if is_grpc(head) { failure(fault) } else { no_grpc() }
    }

    async fn handle(&self, request: Request<Incoming>, caller: Caller) -> Response<Reply> {
        if !is_grpc(&request) {
            return no_grpc();
        }
        if self.is_public(&request) {
            return self.tell_health(request).await.unwrap_or_else(|fault| failure(&fault));
        }
        let mut visit = self.endpoint.visit(caller.as_deref());
        let outcome = match self.signal(request.uri().path()) {
            Ok(signal) => self.export(signal, request, &mut visit).await,
            Err(fault) => Err(fault),
        };
        visit.close(&outcome);
        match outcome {
            Ok(taken) => success(&taken),
            Err(fault) => failure(&fault),
        }
    }
}

impl OtlpGrpc {
    /// Everybody may ask, so nobody is waited for.
    async fn tell_health(&self, request: Request<Incoming>) -> Result<Response<Reply>, Fault> {
        self.endpoint.has_place(&request)?;
        let slow = || Fault::new(Kind::TooSlow, "the question has not come in time");
        let asked = timeout(self.endpoint.bounds.body_timeout, self.health.clone().call(request));
        let Ok(response) = self.endpoint.unless_ending(async { asked.await.map_err(|_| slow()) }).await?;
        Ok(response.map(|body| Reply::Health { body, room: None }))
    }

    /// What the method with this path takes.
    fn signal(&self, path: &str) -> Result<Signal, Fault> {
        let Some(signal) = Signal::ALL.into_iter().find(|signal| EXPORT[*signal as usize] == path) else {
            return Err(unknown(path));
        };
        match self.endpoint.intake.rules().takes(signal) {
            true => Ok(signal),
            false => Err(Fault::new(Kind::Unknown, otlp::unrouted(signal))),
        }
    }

    async fn export<B>(
        &self,
        signal: Signal,
        request: Request<B>,
        visit: &mut Visit<'_>,
    ) -> Result<Taken, Fault>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let deadline = deadline(request.headers(), Instant::now());
        let coding = message_coding(request.headers())?;
        self.endpoint.may_enter(&request)?;
        let mut chunks = Chunks::new(request.into_body(), self.endpoint.bounds.body_timeout);
        let read = self.endpoint.unless_ending(self.read_message(&mut chunks, coding)).await;
        self.endpoint.door.count_bytes(chunks.received());
        let message = self.endpoint.request(read?);
        visit.counted();
        let admitted = self.endpoint.intake.admit_otlp(signal, message, &self.endpoint.door, self.ids)?;
        self.endpoint.settle(admitted, deadline).await
    }

    /// Reads the one message of a unary call, and inflates it.
    async fn read_message<B>(
        &self,
        chunks: &mut Chunks<B>,
        coding: Option<Coding>,
    ) -> Result<super::buffer::Payload, Fault>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (prefix, rest) = chunks.prefix::<PREFIX_BYTES>().await?;
        let [flag, length @ ..] = prefix;
        let coding = match (flag, coding) {
            (0, _) => Coding::Identity,
            (1, Some(coding)) => coding,
            (1, None) => return Err(Fault::new(Kind::Framing, "a compressed message without grpc-encoding")),
            _ => return Err(Fault::new(Kind::Framing, format!("a message with the unknown flag {flag}"))),
        };
        let length = u32::from_be_bytes(length) as usize;
        let bounds = &self.endpoint.bounds;
        let payload = chunks.collect_exactly(rest, length, self.endpoint.budget(), bounds.max_bytes).await?;
        self.endpoint.inflate(payload, coding).await
    }
}

/// Whether the request speaks gRPC with protobuf messages.
fn is_grpc<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let Some(format) = content_type.strip_prefix(b"application/grpc") else { return false };
    let named = format.is_empty() || format.starts_with(b";") || format.starts_with(b"+proto");
    named && request.method() == Method::POST
}

/// The answer to what is no gRPC ("gRPC over HTTP2").
fn no_grpc() -> Response<Reply> {
    let mut response = Response::new(Reply::default());
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response
}

fn unknown(path: &str) -> Fault {
    match path.starts_with(PROFILES) {
        true => Fault::new(Kind::Unknown, otlp::PROFILES),
        false => Fault::new(Kind::Unknown, format!("unknown method {path}")),
    }
}

/// The coding of compressed messages; `None` if the client names none, or says that it does not compress.
fn message_coding(headers: &HeaderMap) -> Result<Option<Coding>, Fault> {
    let Some(name) = headers.get(GRPC_ENCODING) else { return Ok(None) };
    match Coding::parse(name.as_bytes()) {
        Some(Coding::Identity) => Ok(None),
        Some(coding) => Ok(Some(coding)),
        None => Err(Fault::new(Kind::Encoding, "grpc-encoding must be gzip, zstd or identity")),
    }
}

/// When the client must have its answer, if it says so. A timeout that cannot be read is as good as none.
fn deadline(headers: &HeaderMap, now: Instant) -> Option<Instant> {
    let timeout = parse_timeout(headers.get(GRPC_TIMEOUT)?.as_bytes())?;
    now.checked_add(timeout / 100 * TIMEOUT_PERCENT)
}

/// `grpc-timeout`: one to eight digits and a unit.
fn parse_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(count * 3600)),
        b'M' => Some(Duration::from_secs(count * 60)),
        b'S' => Some(Duration::from_secs(count)),
        b'm' => Some(Duration::from_millis(count)),
        b'u' => Some(Duration::from_micros(count)),
        b'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

fn success(taken: &Taken) -> Response<Reply> {
    let message = otlp::response(taken);
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    bytes.put_u8(0);
    // `otlp::response` is far below 4 GiB: its text is cut.
    bytes.put_u32(message.len() as u32);
    bytes.put(message);
    let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
    let mut response = Response::new(Reply::Whole { bytes: bytes.freeze(), trailers: Some(trailers) });
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

/// A fault as headers alone ("Trailers-Only").
fn failure(fault: &Fault) -> Response<Reply> {
    let mut response: Response<Reply> = Status::into_http(status::grpc(fault));
    if fault.kind == Kind::Encoding {
        response.headers_mut().insert(GRPC_ACCEPT_ENCODING, HeaderValue::from_static("identity,gzip,zstd"));
    }
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn grpc_timeouts_are_read_as_the_protocol_writes_them() {
        let cases = [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("10S", Some(Duration::from_secs(10))),
            ("250m", Some(Duration::from_millis(250))),
            ("7u", Some(Duration::from_micros(7))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("123456789S", None),
            ("10", None),
            ("S", None),
            ("", None),
            ("-1S", None),
            ("1s", None),
            ("+1S", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_timeout(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_client_is_answered_a_little_before_it_gives_up() {
        let now = Instant::now();
        let headers = HeaderMap::from_iter([(GRPC_TIMEOUT, HeaderValue::from_static("10S"))]);
        assert_eq!(deadline(&headers, now), Some(now + Duration::from_secs(9)));
        assert_eq!(deadline(&HeaderMap::new(), now), None);
    }

    #[test]
    fn only_protobuf_over_grpc_is_grpc() {
        let request = |method: Method, content_type: &str| {
            Request::builder().method(method).header(CONTENT_TYPE, content_type).body(()).unwrap()
        };
        for good in ["application/grpc", "application/grpc+proto", "application/grpc;x=y"] {
            assert!(is_grpc(&request(Method::POST, good)), "{good}");
        }
        for bad in ["application/grpc-web", "application/grpc+json", "application/json", ""] {
            assert!(!is_grpc(&request(Method::POST, bad)), "{bad}");
        }
        assert!(!is_grpc(&request(Method::GET, "application/grpc")));
    }

    #[test]
    fn a_message_with_any_bytes_arrives_as_it_was_written() {
        let fault = Fault::new(Kind::Malformed, "100% of \u{fc}\n");
        let response = failure(&fault);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["grpc-status"], "3");
        assert_eq!(response.headers()["grpc-message"], "100%25%20of%20%C3%BC%0A");
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.message(), fault.message);
    }
}
