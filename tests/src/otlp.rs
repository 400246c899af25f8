//! OTLP over gRPC as tests speak it: requests made by hand, and the Export call itself, so that its status is seen as it is
//! on the wire.

use crate::runtime::RUNTIME;
use anyhow::Result;
use forebay_proto::collector::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use forebay_proto::common::any_value::Value as Any;
use forebay_proto::common::{AnyValue, KeyValue};
use forebay_proto::logs::{LogRecord, ResourceLogs, ScopeLogs};
use forebay_proto::resource::Resource;
use forebay_proto::rpc;
use prost::Message;
use std::time::Duration;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

/// Longer than any gateway's `ack_timeout`: it is to answer by itself.
const PATIENCE: Duration = Duration::from_secs(30);
const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// A client with a channel of its own, which stays open between calls and is dialled anew when it has ended.
#[derive(Debug)]
pub struct LogsClient(Grpc<Channel>);

impl LogsClient {
    /// For a server at `address` (`127.0.0.1:4317`); connects with the first call.
    pub fn new(address: &str) -> Result<Self> {
        let _inside = RUNTIME.enter();
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        Ok(Self(Grpc::new(endpoint.timeout(PATIENCE).connect_lazy())))
    }

    /// Makes the call and waits for its answer.
    ///
    /// # Errors
    /// The status that the server answered, or that the client made up because nobody did.
    pub fn export(&mut self, message: ExportLogsServiceRequest) -> Result<ExportLogsServiceResponse, Status> {
        RUNTIME.block_on(async {
            // A channel that cannot connect is an answer that never came.
            self.0.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let path = PathAndQuery::from_static(EXPORT);
            Ok(self.0.unary(Request::new(message), path, ProstCodec::default()).await?.into_inner())
        })
    }
}

/// The delay of the `RetryInfo` in an encoded `google.rpc.Status`.
pub fn retry_info(status: &[u8]) -> Option<Duration> {
    let details = rpc::Status::decode(status).ok()?.details;
    let info = details.iter().find(|detail| detail.type_url == "type.googleapis.com/google.rpc.RetryInfo")?;
    let delay = rpc::RetryInfo::decode(info.value.as_slice()).ok()?.retry_delay?;
    Duration::try_from(delay).ok()
}

/// A request of one resource with this `service.name`.
pub fn request(service: &str, log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let name = attribute("service.name", Any::StringValue(service.to_owned()));
    let resource = Resource { attributes: vec![name], ..Resource::default() };
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { resource: Some(resource), scope_logs, ..ResourceLogs::default() }],
    }
}

/// A record of level INFO. `time` is in nanoseconds since 1970.
pub fn record(time: u64, message: &str, attributes: Vec<KeyValue>) -> LogRecord {
    LogRecord {
        time_unix_nano: time,
        severity_text: "INFO".to_owned(),
        body: Some(AnyValue { value: Some(Any::StringValue(message.to_owned())) }),
        attributes,
        ..LogRecord::default()
    }
}

/// An attribute of a record or a resource.
pub fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
