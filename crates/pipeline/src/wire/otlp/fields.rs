//! Fields of the messages in a log request as tags (number and wire type), with a mask of the numbers known in each message.
//!
//! Source: opentelemetry-proto 1.10, `collector/logs/v1/logs_service.proto`, `logs/v1/logs.proto`,
//! `common/v1/common.proto`, `resource/v1/resource.proto`.

pub(super) mod request {
    use crate::wire::otlp::cursor::{BYTES, tag};
    pub const RESOURCE_LOGS: u64 = tag(1, BYTES);
    pub const KNOWN: u64 = 0b10;
}

pub(super) mod resource_logs {
    use crate::wire::otlp::cursor::{BYTES, tag};
    pub const RESOURCE: u64 = tag(1, BYTES);
    pub const SCOPE_LOGS: u64 = tag(2, BYTES);
    pub const SCHEMA_URL: u64 = tag(3, BYTES);
    pub const KNOWN: u64 = 0b1110;
}

pub(super) mod resource {
    use crate::wire::otlp::cursor::{BYTES, VARINT, tag};
    pub const ATTRIBUTE: u64 = tag(1, BYTES);
    pub const DROPPED_ATTRIBUTES: u64 = tag(2, VARINT);
    pub const ENTITY_REF: u64 = tag(3, BYTES);
    pub const KNOWN: u64 = 0b1110;
}

pub(super) mod entity_ref {
    use crate::wire::otlp::cursor::{BYTES, tag};
    pub const SCHEMA_URL: u64 = tag(1, BYTES);
    pub const KIND: u64 = tag(2, BYTES);
    pub const ID_KEY: u64 = tag(3, BYTES);
    pub const DESCRIPTION_KEY: u64 = tag(4, BYTES);
    pub const KNOWN: u64 = 0b1_1110;
}

pub(super) mod scope_logs {
    use crate::wire::otlp::cursor::{BYTES, tag};
    pub const SCOPE: u64 = tag(1, BYTES);
    pub const LOG_RECORD: u64 = tag(2, BYTES);
    pub const SCHEMA_URL: u64 = tag(3, BYTES);
    pub const KNOWN: u64 = 0b1110;
}

pub(super) mod scope {
    use crate::wire::otlp::cursor::{BYTES, VARINT, tag};
    pub const NAME: u64 = tag(1, BYTES);
    pub const VERSION: u64 = tag(2, BYTES);
    pub const ATTRIBUTE: u64 = tag(3, BYTES);
    pub const DROPPED_ATTRIBUTES: u64 = tag(4, VARINT);
    pub const KNOWN: u64 = 0b1_1110;
}

pub(super) mod log_record {
    use crate::wire::otlp::cursor::{BYTES, FIXED32, FIXED64, VARINT, tag};
    pub const TIME: u64 = tag(1, FIXED64);
    pub const SEVERITY_NUMBER: u64 = tag(2, VARINT);
    pub const SEVERITY_TEXT: u64 = tag(3, BYTES);
    pub const BODY: u64 = tag(5, BYTES);
    pub const ATTRIBUTE: u64 = tag(6, BYTES);
    pub const DROPPED_ATTRIBUTES: u64 = tag(7, VARINT);
    pub const FLAGS: u64 = tag(8, FIXED32);
    pub const TRACE_ID: u64 = tag(9, BYTES);
    pub const SPAN_ID: u64 = tag(10, BYTES);
    pub const OBSERVED_TIME: u64 = tag(11, FIXED64);
    pub const EVENT_NAME: u64 = tag(12, BYTES);
    /// Number 4 was a field once; it is reserved now and skipped like any unknown one.
    pub const KNOWN: u64 = 0b1_1111_1110_1110;
}

pub(super) mod key_value {
    use crate::wire::otlp::cursor::{BYTES, VARINT, tag};
    pub const KEY: u64 = tag(1, BYTES);
    pub const VALUE: u64 = tag(2, BYTES);
    pub const KEY_STRINDEX: u64 = tag(3, VARINT);
    pub const KNOWN: u64 = 0b1110;
}

pub(super) mod any_value {
    use crate::wire::otlp::cursor::{BYTES, FIXED64, VARINT, tag};
    pub const STRING: u64 = tag(1, BYTES);
    pub const BOOL: u64 = tag(2, VARINT);
    pub const INT: u64 = tag(3, VARINT);
    pub const DOUBLE: u64 = tag(4, FIXED64);
    pub const ARRAY: u64 = tag(5, BYTES);
    pub const KVLIST: u64 = tag(6, BYTES);
    pub const BLOB: u64 = tag(7, BYTES);
    pub const STRINDEX: u64 = tag(8, VARINT);
    pub const KNOWN: u64 = 0b1_1111_1110;
}

/// `ArrayValue` and `KeyValueList`: one repeated message.
pub(super) mod list {
    use crate::wire::otlp::cursor::{BYTES, tag};
    pub const MEMBER: u64 = tag(1, BYTES);
    pub const KNOWN: u64 = 0b10;
}
