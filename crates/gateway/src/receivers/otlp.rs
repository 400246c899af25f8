//! What OTLP over gRPC and OTLP over HTTP have in common.

use super::answer::Taken;
use super::auth::AuthConfig;
use super::endpoint::Bounds;
use super::listener::ConnectionConfig;
use super::ports::Port;
use super::tls::TlsConfig;
use super::{OTLP_GRPC, OTLP_HTTP};
use bytes::Bytes;
use forebay_pipeline::Signal;
use forebay_pipeline::admit::{Acknowledge, OtlpIds};
use forebay_pipeline::units::{ByteSize, Period};
use forebay_proto::collector::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use prost::Message as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// OTLP: logs, traces and metrics, over gRPC and over HTTP. What no route takes is answered as if it were not there. Name at least one of the two.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpConfig {
    /// OTLP/gRPC, with the health service (`grpc.health.v1`) beside it. Without it nothing listens for gRPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<OtlpGrpcConfig>,
    /// OTLP/HTTP with bodies of protobuf or JSON: `POST /v1/logs`, `/v1/traces`, `/v1/metrics`. Without it nothing listens for OTLP/HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<OtlpHttpConfig>,
    /// How records get the ids under which sinks store them. `content` recognises a client's retry and stores its records once;
    /// `minted` keeps records apart that are equal in every byte and in time; `none` is for those who prefer speed.
    pub ids: OtlpIds,
    /// What a client's answer waits for. Default: what `acknowledge` of the whole file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<Acknowledge>,
    /// How long a client waits for its answer. Past it, what is not sent yet is given up and the client is told to try again.
    /// A gRPC client that says how long it will wait is answered before that. Keep it below your clients' timeouts (10s in
    /// most SDKs), else they give up first and send again while their records are on the way.
    pub ack_timeout: Period,
    /// How long the body of one request may take to arrive. Past it, or after 10 to 20 seconds without a byte, the client
    /// is told to try again. Raise it for clients on slow lines.
    pub body_timeout: Period,
    /// Largest request, before and after decompression. A larger one is refused for good. The OTLP specification
    /// recommends 64MiB. Lower it where memory is scarce; at most 1GiB.
    pub max_request_bytes: ByteSize,
}

/// OTLP over gRPC.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpGrpcConfig {
    /// Address and port to listen on. In a container: `0.0.0.0:4317`. Port 0 takes a free one.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Bounds on its connections.
    pub connections: ConnectionConfig,
    /// TLS. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// Who may send. Default: everybody who can reach the port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthConfig>,
}

/// OTLP over HTTP/1.1 and HTTP/2.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpHttpConfig {
    /// Address and port to listen on. In a container: `0.0.0.0:4318`. Port 0 takes a free one.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Bounds on its connections.
    pub connections: ConnectionConfig,
    /// TLS. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// Who may send. Default: everybody who can reach the port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthConfig>,
}

impl Default for OtlpConfig {
    fn default() -> Self {
        Self {
            grpc: Some(OtlpGrpcConfig::default()),
            http: Some(OtlpHttpConfig::default()),
            ids: OtlpIds::default(),
            acknowledge: None,
            ack_timeout: Period::secs(8),
            body_timeout: Period::secs(30),
            max_request_bytes: ByteSize::mib(64),
        }
    }
}

impl Default for OtlpGrpcConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4317)),
            connections: ConnectionConfig::default(),
            tls: None,
            auth: None,
        }
    }
}

impl Default for OtlpHttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4318)),
            connections: ConnectionConfig::default(),
            tls: None,
            auth: None,
        }
    }
}

impl OtlpConfig {
    /// The port of gRPC, if it has one.
    pub(super) fn grpc_port(&self) -> Option<Port<'_>> {
        let OtlpGrpcConfig { listen, connections, tls, auth } = self.grpc.as_ref()?;
        let (tls, auth) = (tls.as_ref(), auth.as_ref());
        Some(Port { receiver: OTLP_GRPC, path: "otlp.grpc", listen: *listen, connections, tls, auth })
    }

    /// The port of HTTP, if it has one.
    pub(super) fn http_port(&self) -> Option<Port<'_>> {
        let OtlpHttpConfig { listen, connections, tls, auth } = self.http.as_ref()?;
        let (tls, auth) = (tls.as_ref(), auth.as_ref());
        Some(Port { receiver: OTLP_HTTP, path: "otlp.http", listen: *listen, connections, tls, auth })
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

/// The one signal that OTLP has and nobody here reads.
pub const PROFILES: &str = "profiles are not accepted here, only logs, traces and metrics";

/// What a client is told that sends what no route takes.
pub fn unrouted(signal: Signal) -> String {
    let name = signal.name();
    format!("{name} are not accepted here: no route has `signals: [{name}]`")
}

/// The `ExportLogsServiceResponse`, `ExportTraceServiceResponse` or `ExportMetricsServiceResponse`, which are written alike: empty if there is nothing to say, which is how full success looks on the wire.
///
/// Rejected records are counted, so that the client does not send them again. Records in the dead letters are not rejected:
/// a message alone is a warning (OTLP specification, "Partial Success").
pub fn response(taken: &Taken) -> Bytes {
    let error_message = taken.message();
    if taken.rejected == 0 && error_message.is_empty() {
        return Bytes::new();
    }
    let rejected_log_records = i64::try_from(taken.rejected).unwrap_or(i64::MAX);
    let partial = ExportLogsPartialSuccess { rejected_log_records, error_message };
    ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec().into()
}

/// The same in OTLP's JSON, where an `int64` is a string.
pub fn json_response(signal: Signal, taken: &Taken) -> Bytes {
    let message = taken.message();
    if taken.rejected == 0 && message.is_empty() {
        return Bytes::from_static(b"{}");
    }
    let name = match signal {
        Signal::Logs => "rejectedLogRecords",
        Signal::Traces => "rejectedSpans",
        Signal::Metrics => "rejectedDataPoints",
    };
    let partial = serde_json::json!({ name: taken.rejected.to_string(), "errorMessage": message });
    serde_json::json!({ "partialSuccess": partial }).to_string().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn decode(taken: &Taken) -> ExportLogsServiceResponse {
        ExportLogsServiceResponse::decode(response(taken)).unwrap()
    }

    #[test]
    fn full_success_leaves_partial_success_unset() {
        assert!(decode(&Taken { accepted: 5, ..Taken::default() }).partial_success.is_none());
    }

    #[test]
    fn dead_letters_are_a_warning_and_rejected_records_are_counted() {
        let letters =
            decode(&Taken { accepted: 5, dead_lettered: 2, ..Taken::default() }).partial_success.unwrap();
        assert_eq!(letters.rejected_log_records, 0);
        assert!(letters.error_message.starts_with("2 records"), "{}", letters.error_message);
        let rejected =
            decode(&Taken { accepted: 5, rejected: 3, ..Taken::default() }).partial_success.unwrap();
        assert_eq!(rejected.rejected_log_records, 3);
        assert!(rejected.error_message.starts_with("3 records"), "{}", rejected.error_message);
    }
}
