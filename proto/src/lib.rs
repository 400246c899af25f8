//! Message types of the protocols that Forebay speaks, for test oracles and for the rare answers that are not written by
//! hand. The hot path does not use them: it reads the wire itself.
//!
//! The types are generated from the official `.proto` files by the `opentelemetry-proto` and `tonic-types` crates, so that
//! no `protoc` is needed here. No crate offers those of Prometheus; they stand here as `prost-build` would write them.

/// `opentelemetry/proto/collector/logs/v1/logs_service.proto`.
pub use opentelemetry_proto::tonic::collector::logs::v1 as collector;
/// `opentelemetry/proto/collector/metrics/v1/metrics_service.proto`.
pub use opentelemetry_proto::tonic::collector::metrics::v1 as metrics_collector;
/// `opentelemetry/proto/collector/trace/v1/trace_service.proto`.
pub use opentelemetry_proto::tonic::collector::trace::v1 as trace_collector;
/// `opentelemetry/proto/common/v1/common.proto`.
pub use opentelemetry_proto::tonic::common::v1 as common;
/// `opentelemetry/proto/logs/v1/logs.proto`.
pub use opentelemetry_proto::tonic::logs::v1 as logs;
/// `opentelemetry/proto/metrics/v1/metrics.proto`.
pub use opentelemetry_proto::tonic::metrics::v1 as metrics;
/// `opentelemetry/proto/resource/v1/resource.proto`.
pub use opentelemetry_proto::tonic::resource::v1 as resource;
/// `opentelemetry/proto/trace/v1/trace.proto`.
pub use opentelemetry_proto::tonic::trace::v1 as trace;

/// `prometheus/prompb`: the messages of remote-write 1.0 and 2.0.
pub mod prometheus;

/// `pkg/push/push.proto` of Loki. No crate offers it; it stands here as `prost-build` would write it.
pub mod loki;

/// `google/rpc/status.proto` and `google/rpc/error_details.proto`.
pub mod rpc {
    pub use tonic_types::pb::{RetryInfo, Status};
}
