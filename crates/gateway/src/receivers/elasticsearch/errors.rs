//! Refusals in Elasticsearch's words: `{"error":{"root_cause":[...],"type":...,"reason":...},"status":...}`.

use super::super::answer::{Fault, Kind};
use forebay_pipeline::wire::Malformed;
use http::StatusCode;
use serde_json::{Value, json};

/// Elasticsearch's type and status for a request that was not taken.
///
/// What may be sent again is 429 `es_rejected_execution_exception`: all clients send again after it, some of them after no other status.
pub fn of_fault(fault: &Fault) -> (&'static str, StatusCode) {
    match fault.kind {
        Kind::Busy | Kind::OverQuota | Kind::Undelivered => {
            ("es_rejected_execution_exception", StatusCode::TOO_MANY_REQUESTS)
        }
        Kind::TooSlow => ("timeout_exception", StatusCode::SERVICE_UNAVAILABLE),
        Kind::Unauthenticated => ("security_exception", StatusCode::UNAUTHORIZED),
        Kind::TooLarge => ("status_exception", StatusCode::PAYLOAD_TOO_LARGE),
        Kind::MediaType => ("media_type_header_exception", StatusCode::NOT_ACCEPTABLE),
        Kind::Encoding => ("status_exception", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        Kind::Method => ("status_exception", StatusCode::METHOD_NOT_ALLOWED),
        Kind::Malformed | Kind::Framing | Kind::Unknown | Kind::Cut => {
            ("illegal_argument_exception", StatusCode::BAD_REQUEST)
        }
    }
}

/// The same for an item.
pub fn of_item(malformed: &Malformed) -> (&'static str, StatusCode) {
    match malformed {
        Malformed::Unsupported { .. } | Malformed::Action { .. } => {
            ("illegal_argument_exception", StatusCode::BAD_REQUEST)
        }
        Malformed::RecordTooLarge { .. } => ("status_exception", StatusCode::PAYLOAD_TOO_LARGE),
        _ => ("document_parsing_exception", StatusCode::BAD_REQUEST),
    }
}

/// The body of a refusal.
pub fn body(kind: &str, reason: &str, status: StatusCode) -> Value {
    json!({
        "error": {"root_cause": [{"type": kind, "reason": reason}], "type": kind, "reason": reason},
        "status": status.as_u16(),
    })
}
