//! Logs pushed as to Loki (HTTP API, "Ingest logs"): `POST /loki/api/v1/push` of protobuf in a block of Snappy, or of JSON.

use super::LOKI;
use super::answer::{Fault, Kind, Taken};
use super::auth::AuthConfig;
use super::buffer::Payload;
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
use forebay_pipeline::admit::Acknowledge;
use forebay_pipeline::units::{ByteSize, Period};
use forebay_pipeline::wire::loki::{json, tenant_bytes, write_tenant};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

const PUSH: &str = "/loki/api/v1/push";
/// What agents and probes ask before they push.
const READY: &str = "/ready";
const TEXT: &str = "text/plain; charset=utf-8";
const TENANT: &str = "x-scope-orgid";
/// Longest tenant, in bytes, as Loki has it.
const MAX_TENANT_BYTES: usize = 150;
/// What a push in JSON takes beside its expansion, in bytes.
const LEAST_ROOM: usize = 64;

/// Logs pushed as to Loki: `POST /loki/api/v1/push` of protobuf or JSON, as Promtail, Alloy and Fluent Bit send them.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LokiConfig {
    /// Address and port to listen on. In a container: `0.0.0.0:3100`. Port 0 takes a free one.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// What a client's answer waits for. Default: what `acknowledge` of the whole file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<Acknowledge>,
    /// How long a client waits for its answer. Past it, what is not sent yet is given up and the client is told to try again.
    /// Keep it below your clients' timeouts.
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

impl Default for LokiConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3100)),
            acknowledge: None,
            ack_timeout: Period::secs(8),
            body_timeout: Period::secs(30),
            max_request_bytes: ByteSize::mib(64),
            connections: ConnectionConfig::default(),
            tls: None,
            auth: None,
        }
    }
}

impl LokiConfig {
    /// Its port.
    pub(super) fn port(&self) -> Port<'_> {
        let (tls, auth) = (self.tls.as_ref(), self.auth.as_ref());
        Port { receiver: LOKI, path: "loki", listen: self.listen, connections: &self.connections, tls, auth }
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

/// Answers requests on the port of Loki.
#[derive(Debug)]
pub struct Loki {
    endpoint: Endpoint,
}

impl House<'_> {
    /// What answers there, if there is such a receiver.
    pub fn loki(&self) -> Option<Loki> {
        let loki = self.config.loki.as_ref()?;
        Some(Loki { endpoint: self.endpoint(LOKI, loki.bounds(self.acknowledge)) })
    }
}

/// How a push is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Protobuf in a block of Snappy.
    Message,
    Json(Coding),
}

impl Loki {
    async fn take<B>(&self, request: Request<B>, visit: &mut Visit<'_>) -> Result<Taken, Fault>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let accepted = accept(request.method(), request.uri().path(), request.headers());
        let (form, tenant) = accepted.map_err(|fault| fault.unread(&request))?;
        let message = match form {
            Form::Message => {
                let packed = self.endpoint.read(request, Coding::Identity).await?;
                inflate::snappy(packed, self.endpoint.budget(), self.endpoint.bounds.max_bytes)?
            }
            Form::Json(coding) => self.message_of(&self.endpoint.read(request, coding).await?)?,
        };
        let message = self.of_tenant(message, &tenant)?;
        visit.counted();
        let request = self.endpoint.request(message);
        let admitted = self.endpoint.intake.admit_loki(request, &self.endpoint.door)?;
        self.endpoint.settle(admitted, None).await
    }

    /// The message that a push in JSON stands for.
    fn message_of(&self, push: &Payload) -> Result<Payload, Fault> {
        let most = json::EXPANSION * push.bytes.len() + LEAST_ROOM;
        let lease = self.endpoint.budget().lease(most);
        let mut lease = lease.map_err(|exhausted| exhausted.beside(push.lease.bytes()))?;
        let message = json::transcode(&push.bytes)
            .map_err(|malformed| Fault::new(Kind::Malformed, malformed.to_string()))?;
        lease.resize(message.capacity())?;
        Ok(Payload { bytes: message.into(), lease })
    }

    /// The message with its tenant behind it.
    fn of_tenant(&self, message: Payload, tenant: &str) -> Result<Payload, Fault> {
        if tenant.is_empty() {
            return Ok(message);
        }
        let len = message.bytes.len() + tenant_bytes(tenant);
        // The old bytes stay until they are copied.
        let lease = self.endpoint.budget().lease(len);
        let lease = lease.map_err(|exhausted| exhausted.beside(message.lease.bytes()))?;
        let mut bytes = Vec::with_capacity(len);
        bytes.extend_from_slice(&message.bytes);
        write_tenant(tenant, &mut bytes);
        Ok(Payload { bytes: bytes.into(), lease })
    }
}

/// Everything that can be said before the body is read: how it is written, and whose it is.
fn accept(method: &Method, path: &str, headers: &HeaderMap) -> Result<(Form, String), Fault> {
    if path != PUSH {
        return Err(Fault::new(Kind::Unknown, format!("nothing is here: logs go to {PUSH}")));
    }
    if method != Method::POST {
        return Err(Fault::new(Kind::Method, "logs are sent with POST"));
    }
    let tenant = match headers.get(TENANT) {
        None => "",
        Some(tenant) => {
            tenant.to_str().ok().filter(|tenant| tenant.len() <= MAX_TENANT_BYTES).ok_or_else(|| {
                Fault::new(Kind::Malformed, "X-Scope-OrgID must be ASCII of at most 150 bytes")
            })?
        }
    };
    let media_type = media_type(headers);
    // As Loki: what does not say that it is JSON is protobuf.
    if media_type.eq_ignore_ascii_case(b"application/json") {
        return Ok((Form::Json(Coding::of_http(headers)?), tenant.to_owned()));
    }
    if !media_type.is_empty() && !media_type.eq_ignore_ascii_case(b"application/x-protobuf") {
        let message = "Content-Type must be application/x-protobuf or application/json";
        return Err(Fault::new(Kind::MediaType, message));
    }
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    if !codings.all(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"snappy")) {
        return Err(Fault::new(Kind::Encoding, "Content-Encoding of protobuf must be snappy"));
    }
    Ok((Form::Message, tenant.to_owned()))
}

impl Handler for Loki {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn refuse(&self, _: &Request<()>, fault: &Fault) -> Response<Reply> {
        failure(fault)
    }

    fn is_public(&self, request: &Request<Incoming>) -> bool {
        request.uri().path() == READY
    }

    async fn handle(&self, request: Request<Incoming>, caller: Caller) -> Response<Reply> {
        if request.uri().path() == READY {
            return answer(StatusCode::OK, TEXT, Bytes::from_static(b"ready\n"));
        }
        let mut visit = self.endpoint.visit(caller.as_deref());
        let outcome = self.take(request, &mut visit).await;
        visit.close(&outcome);
        match outcome {
            // In Loki's way: the rest is taken, and the client is not to send any of it again.
            Ok(taken) if taken.rejected > 0 => answer(StatusCode::BAD_REQUEST, TEXT, taken.message().into()),
            Ok(_) => {
                let mut response = answer(StatusCode::NO_CONTENT, TEXT, Bytes::new());
                response.headers_mut().remove(CONTENT_TYPE);
                response
            }
            Err(fault) => failure(&fault),
        }
    }
}

fn failure(fault: &Fault) -> Response<Reply> {
    http_fault(fault, TEXT, fault.message.clone().into())
}
