//! Message types of the protocols that Forebay speaks, for test oracles and for the rare answers that are not written by
//! hand. The hot path does not use them: it reads the wire itself.
//!
//! The types are generated from the official `.proto` files by the `opentelemetry-proto` and `tonic-types` crates, so that
//! no `protoc` is needed here.

/// `opentelemetry/proto/collector/logs/v1/logs_service.proto`.
pub use opentelemetry_proto::tonic::collector::logs::v1 as collector;
/// `opentelemetry/proto/common/v1/common.proto`.
pub use opentelemetry_proto::tonic::common::v1 as common;
/// `opentelemetry/proto/logs/v1/logs.proto`.
pub use opentelemetry_proto::tonic::logs::v1 as logs;
/// `opentelemetry/proto/resource/v1/resource.proto`.
pub use opentelemetry_proto::tonic::resource::v1 as resource;

/// `pkg/push/push.proto` of Loki. No crate offers it; it stands here as `prost-build` would write it.
pub mod loki;

/// `google/rpc/status.proto` and `google/rpc/error_details.proto`.
pub mod rpc {
    pub use tonic_types::pb::{RetryInfo, Status};
}
