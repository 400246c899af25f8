//! Prometheus remote-write over HTTP: samples, native histograms, exemplars and metadata, in either version of the protocol.

use super::REMOTE_WRITE;
use super::answer::{Fault, Kind, Taken};
use super::auth::AuthConfig;
use super::caller::Caller;
use super::endpoint::{Bounds, Coding, Endpoint, Visit};
use super::handler::Handler;
use super::house::House;
use super::inflate;
use super::listener::ConnectionConfig;
use super::otlp_http::media_type;
use super::ports::Port;
use super::reply::{Reply, http as answer, http_fault};
use super::tls::TlsConfig;
use bytes::Bytes;
use forebay_pipeline::Signal;
use forebay_pipeline::admit::{Acknowledge, WrittenCounts};
use forebay_pipeline::units::{ByteSize, Period};
use forebay_pipeline::wire::WireId;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

const TEXT: &str = "text/plain; charset=utf-8";
const PROTOBUF: &str = "application/x-protobuf";
/// The messages by the names that a `proto` parameter gives them (2.0, "Content-Type").
const MESSAGES: [(&str, WireId); 2] = [
    ("prometheus.WriteRequest", WireId::RemoteWrite1),
    ("io.prometheus.write.v2.Request", WireId::RemoteWrite2),
];
const SAMPLES: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS: HeaderName = HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS: HeaderName = HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

/// Prometheus remote-write, 1.0 and 2.0: `POST` of a protobuf message in a block of Snappy. Prometheus needs one `remote_write` with this address.
/// It has records only where a route takes `metrics`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RemoteWriteConfig {
    /// Address and port to listen on. In a container: `0.0.0.0:9201`. Port 0 takes a free one.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// The path that samples are sent to.
    pub path: String,
    /// What a client's answer waits for. Default: what `acknowledge` of the whole file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<Acknowledge>,
    /// How long a client waits for its answer. Past it, what is not sent yet is given up and the client is told to try again.
    /// Keep it below your clients' timeouts (`remote_timeout` of Prometheus: 30s).
    pub ack_timeout: Period,
    /// How long the body of one request may take to arrive. Past it, or after 10 to 20 seconds without a byte, the client
    /// is told to try again. Raise it for clients on slow lines.
    pub body_timeout: Period,
    /// Largest request, before and after decompression. A larger one is refused for good. At most 1GiB.
    pub max_request_bytes: ByteSize,
    /// Bounds on its connections.
    pub connections: ConnectionConfig,
    /// TLS. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// Who may send. Default: everybody who can reach the port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthConfig>,
}

impl Default for RemoteWriteConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9201)),
            path: "/api/v1/write".to_owned(),
            acknowledge: None,
            ack_timeout: Period::secs(20),
            body_timeout: Period::secs(30),
            max_request_bytes: ByteSize::mib(64),
            connections: ConnectionConfig::default(),
            tls: None,
            auth: None,
        }
    }
}

impl RemoteWriteConfig {
    /// Its port.
    pub(super) fn port(&self) -> Port<'_> {
        let (tls, auth) = (self.tls.as_ref(), self.auth.as_ref());
        let connections = &self.connections;
        Port { receiver: REMOTE_WRITE, path: "remote_write", listen: self.listen, connections, tls, auth }
    }

    pub(super) fn bounds(&self, acknowledge: Acknowledge) -> Bounds {
        Bounds {
            acknowledge: self.acknowledge.unwrap_or(acknowledge),
            max_bytes: self.max_request_bytes.as_usize(),
            body_timeout: self.body_timeout.0,
            ack_timeout: self.ack_timeout.0,
        }
    }
}

/// Answers requests on the remote-write port.
#[derive(Debug)]
pub struct RemoteWrite {
    endpoint: Endpoint,
    path: String,
}

impl House<'_> {
    /// What answers there, if there is such a receiver.
    pub fn remote_write(&self) -> Option<RemoteWrite> {
        let write = self.config.remote_write.as_ref()?;
        let endpoint = self.endpoint(REMOTE_WRITE, write.bounds(self.acknowledge));
        Some(RemoteWrite { endpoint, path: write.path.clone() })
    }
}

impl RemoteWrite {
    async fn take<B>(
        &self,
        request: Request<B>,
        visit: &mut Visit<'_>,
    ) -> Result<(Taken, WrittenCounts), Fault>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let wire = self.accept(request.method(), request.uri().path(), request.headers());
        let wire = wire.map_err(|fault| fault.unread(&request))?;
        let packed = self.endpoint.read(request, Coding::Identity).await?;
        let payload = inflate::snappy(packed, self.endpoint.budget(), self.endpoint.bounds.max_bytes)?;
        visit.counted();
        let message = self.endpoint.request(payload);
        let (admitted, written) =
            self.endpoint.intake.admit_remote_write(message, wire, &self.endpoint.door)?;
        let taken = self.endpoint.settle(admitted, None).await?;
        let counts = written.without(&taken.refused);
        Ok((taken, counts))
    }

    /// Everything that can be said before the body is read.
    fn accept(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<WireId, Fault> {
        if path != self.path {
            let message = format!("nothing is here: samples go to {}", self.path);
            return Err(Fault::new(Kind::Unknown, message));
        }
        if !self.endpoint.intake.rules().takes(Signal::Metrics) {
            let message = "no route takes metrics: name one with `signals: [metrics]` under `routes`";
            return Err(Fault::new(Kind::Unknown, message));
        }
        if method != Method::POST {
            return Err(Fault::new(Kind::Method, "samples are sent with POST"));
        }
        let mut codings = headers.get_all(CONTENT_ENCODING).iter();
        // Prometheus takes requests without one as well, for senders that came before the specification.
        let is_snappy = codings.all(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"snappy"));
        if !is_snappy || headers.get_all(CONTENT_ENCODING).iter().count() > 1 {
            return Err(Fault::new(Kind::Encoding, "Content-Encoding must be snappy"));
        }
        message_of(headers)
    }
}

/// Which message a request says that it is; without a word the one of 1.0.
fn message_of(headers: &HeaderMap) -> Result<WireId, Fault> {
    let unknown = || {
        let [(one, _), (two, _)] = MESSAGES;
        let expected = format!("Content-Type must be {PROTOBUF}, with proto={one} or proto={two}");
        Fault::new(Kind::MediaType, expected)
    };
    let Some(content_type) = headers.get(CONTENT_TYPE) else { return Ok(WireId::RemoteWrite1) };
    if !media_type(headers).eq_ignore_ascii_case(PROTOBUF.as_bytes()) {
        return Err(unknown());
    }
    let parameters = content_type.to_str().map_err(|_| unknown())?.split(';').skip(1);
    let mut names = parameters.filter_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case("proto").then(|| value.trim().trim_matches('"'))
    });
    match (names.next(), names.next()) {
        (None, _) => Ok(WireId::RemoteWrite1),
        (Some(name), None) => {
            let known = MESSAGES.into_iter().find(|(known, _)| *known == name);
            known.map(|(_, wire)| wire).ok_or_else(unknown)
        }
        (Some(_), Some(_)) => Err(unknown()),
    }
}

impl Handler for RemoteWrite {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn refuse(&self, _: &Request<()>, fault: &Fault) -> Response<Reply> {
        failure(fault, WrittenCounts::default())
    }

    async fn handle(&self, request: Request<Incoming>, caller: Caller) -> Response<Reply> {
        let mut visit = self.endpoint.visit(caller.as_deref());
        match self.take(request, &mut visit).await {
            Ok((taken, counts)) if taken.rejected > 0 => {
                // Whoever is told 2xx believes that all of it was written (2.0, "Response").
                let fault = Fault::new(Kind::Malformed, partial(&taken, counts));
                visit.refuse(&fault);
                failure(&fault, counts)
            }
            Ok((taken, counts)) => {
                visit.close(&Ok(taken));
                let mut response = answer(StatusCode::NO_CONTENT, TEXT, Bytes::new());
                response.headers_mut().remove(CONTENT_TYPE);
                counted(response, counts)
            }
            // Nothing is known of what was sent before it was given up, and the client sends all of it again.
            Err(fault) => {
                visit.refuse(&fault);
                failure(&fault, WrittenCounts::default())
            }
        }
    }
}

/// What became of a request of which not everything was taken.
fn partial(taken: &Taken, counts: WrittenCounts) -> String {
    let WrittenCounts { samples, histograms, exemplars } = counts;
    let mut text = format!(
        "{} records rejected; written: {samples} samples, {histograms} histograms, {exemplars} exemplars",
        taken.rejected
    );
    for (position, reason) in &taken.reasons {
        text.push_str(&format!("; series {position}: {reason}"));
    }
    if let Some(reason) = &taken.sink_reason {
        text.push_str(&format!("; the sink said: {reason}"));
    }
    text
}

fn failure(fault: &Fault, counts: WrittenCounts) -> Response<Reply> {
    counted(http_fault(fault, TEXT, fault.message.clone().into()), counts)
}

fn counted(mut response: Response<Reply>, counts: WrittenCounts) -> Response<Reply> {
    let WrittenCounts { samples, histograms, exemplars } = counts;
    for (name, count) in [(SAMPLES, samples), (HISTOGRAMS, histograms), (EXEMPLARS, exemplars)] {
        response.headers_mut().insert(name, count.into());
    }
    response
}
