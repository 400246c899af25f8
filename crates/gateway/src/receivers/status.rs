//! A fault as `google.rpc.Status` (`google/rpc/status.proto`), with `RetryInfo` where the client may try again.

use super::answer::Fault;
use bytes::Bytes;
use std::time::Duration;
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt as _};

/// The fault as a gRPC status. Its details are a whole `google.rpc.Status`, as `grpc-status-details-bin` wants it.
pub fn grpc(fault: &Fault) -> Status {
    match fault.retry_after() {
        None => Status::new(fault.code(), &fault.message),
        Some(delay) => Status::with_error_details(
            fault.code(),
            &fault.message,
            ErrorDetails::with_retry_info(Some(delay)),
        ),
    }
}

/// The fault as a protobuf `google.rpc.Status`.
pub fn protobuf(fault: &Fault) -> Bytes {
    let details = match fault.retry_after() {
        None => ErrorDetails::new(),
        Some(delay) => ErrorDetails::with_retry_info(Some(delay)),
    };
    Bytes::copy_from_slice(Status::with_error_details(fault.code(), &fault.message, details).details())
}

/// The fault as a `google.rpc.Status` in the JSON of protobuf.
pub fn json(fault: &Fault) -> Bytes {
    let mut status = serde_json::json!({ "code": fault.code() as i32, "message": fault.message });
    if let Some(delay) = fault.retry_after() {
        status["details"] = serde_json::json!([{
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": proto_duration(delay),
        }]);
    }
    status.to_string().into()
}

/// `google.protobuf.Duration` in JSON: seconds with no, three, six or nine digits.
fn proto_duration(delay: Duration) -> String {
    match delay.subsec_nanos() {
        0 => format!("{}s", delay.as_secs()),
        nanos => format!("{}.{nanos:09}s", delay.as_secs()),
    }
}

/// `Retry-After` in whole seconds (RFC 9110, 10.2.3), never 0: that would ask for a storm.
pub fn retry_after_seconds(delay: Duration) -> u64 {
    (delay.as_secs() + u64::from(delay.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::answer::{Kind, RETRY_AFTER};
    use super::*;
    use prost::Message as _;
    use tonic::Code;

    #[test]
    fn what_may_be_retried_carries_retry_info_and_what_may_not_carries_none() {
        let busy = grpc(&Fault::new(Kind::Busy, "full"));
        assert_eq!(busy.code(), Code::Unavailable);
        assert_eq!(busy.get_details_retry_info().unwrap().retry_delay, Some(RETRY_AFTER));
        let large = grpc(&Fault::too_large(5));
        assert_eq!(large.code(), Code::ResourceExhausted);
        assert!(large.details().is_empty());
    }

    #[test]
    fn the_protobuf_body_is_a_whole_status_even_without_details() {
        let status = tonic_types::Status::decode(protobuf(&Fault::new(Kind::Malformed, "byte 3"))).unwrap();
        assert_eq!((status.code, status.message.as_str(), status.details.len()), (3, "byte 3", 0));
        let status = tonic_types::Status::decode(protobuf(&Fault::new(Kind::Busy, "full"))).unwrap();
        assert_eq!((status.code, status.details.len()), (14, 1));
        assert_eq!(status.details[0].type_url, "type.googleapis.com/google.rpc.RetryInfo");
    }

    #[test]
    fn the_json_body_says_the_same() {
        let status: serde_json::Value =
            serde_json::from_slice(&json(&Fault::new(Kind::Busy, "a \"b\""))).unwrap();
        assert_eq!(status["code"], 14);
        assert_eq!(status["message"], "a \"b\"");
        assert_eq!(status["details"][0]["retryDelay"], "1s");
        let status: serde_json::Value = serde_json::from_slice(&json(&Fault::too_large(1))).unwrap();
        assert!(status.get("details").is_none());
        assert_eq!(proto_duration(Duration::from_millis(1_500)), "1.500000000s");
    }

    #[test]
    fn retry_after_is_rounded_up_and_never_zero() {
        let seconds = [0, 1, 1_000, 1_001].map(|millis| retry_after_seconds(Duration::from_millis(millis)));
        assert_eq!(seconds, [1, 1, 1, 2]);
    }
}
