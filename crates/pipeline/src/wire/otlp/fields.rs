//! Fields of the messages of OTLP as tags (number and wire type); for those of a log request also a mask of the numbers known in each message.
//!
//! Source: opentelemetry-proto 1.10, `collector/logs/v1/logs_service.proto`, `logs/v1/logs.proto`, `trace/v1/trace.proto`, `metrics/v1/metrics.proto`,
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

pub(super) mod span {
    use crate::wire::otlp::cursor::{BYTES, FIXED32, FIXED64, VARINT, tag};
    pub const TRACE_ID: u64 = tag(1, BYTES);
    pub const SPAN_ID: u64 = tag(2, BYTES);
    pub const TRACE_STATE: u64 = tag(3, BYTES);
    pub const PARENT_SPAN_ID: u64 = tag(4, BYTES);
    pub const NAME: u64 = tag(5, BYTES);
    pub const KIND: u64 = tag(6, VARINT);
    pub const START: u64 = tag(7, FIXED64);
    pub const END: u64 = tag(8, FIXED64);
    pub const ATTRIBUTE: u64 = tag(9, BYTES);
    pub const DROPPED_ATTRIBUTES: u64 = tag(10, VARINT);
    pub const EVENT: u64 = tag(11, BYTES);
    pub const DROPPED_EVENTS: u64 = tag(12, VARINT);
    pub const LINK: u64 = tag(13, BYTES);
    pub const DROPPED_LINKS: u64 = tag(14, VARINT);
    pub const STATUS: u64 = tag(15, BYTES);
    pub const FLAGS: u64 = tag(16, FIXED32);
}

pub(super) mod event {
    use crate::wire::otlp::cursor::{BYTES, FIXED64, VARINT, tag};
    pub const TIME: u64 = tag(1, FIXED64);
    pub const NAME: u64 = tag(2, BYTES);
    pub const ATTRIBUTE: u64 = tag(3, BYTES);
    pub const DROPPED_ATTRIBUTES: u64 = tag(4, VARINT);
}

pub(super) mod link {
    use crate::wire::otlp::cursor::{BYTES, FIXED32, VARINT, tag};
    pub const TRACE_ID: u64 = tag(1, BYTES);
    pub const SPAN_ID: u64 = tag(2, BYTES);
    pub const TRACE_STATE: u64 = tag(3, BYTES);
    pub const ATTRIBUTE: u64 = tag(4, BYTES);
    pub const DROPPED_ATTRIBUTES: u64 = tag(5, VARINT);
    pub const FLAGS: u64 = tag(6, FIXED32);
}

/// `Status` of a span.
pub(super) mod status {
    use crate::wire::otlp::cursor::{BYTES, VARINT, tag};
    pub const MESSAGE: u64 = tag(2, BYTES);
    pub const CODE: u64 = tag(3, VARINT);
}

pub(super) mod metric {
    use crate::wire::otlp::cursor::{BYTES, tag};
    pub const NAME: u64 = tag(1, BYTES);
    pub const DESCRIPTION: u64 = tag(2, BYTES);
    pub const UNIT: u64 = tag(3, BYTES);
    pub const GAUGE: u64 = tag(5, BYTES);
    pub const SUM: u64 = tag(7, BYTES);
    pub const HISTOGRAM: u64 = tag(9, BYTES);
    pub const EXPONENTIAL: u64 = tag(10, BYTES);
    pub const SUMMARY: u64 = tag(11, BYTES);
    pub const METADATA: u64 = tag(12, BYTES);
}

/// `Gauge`, `Sum`, `Histogram`, `ExponentialHistogram` and `Summary`: where two have a field, it has one number.
pub(super) mod data {
    use crate::wire::otlp::cursor::{BYTES, VARINT, tag};
    pub const POINT: u64 = tag(1, BYTES);
    pub const TEMPORALITY: u64 = tag(2, VARINT);
    pub const MONOTONIC: u64 = tag(3, VARINT);
}

/// `NumberDataPoint`.
pub(super) mod number {
    use crate::wire::otlp::cursor::{BYTES, FIXED64, VARINT, tag};
    pub const DOUBLE: u64 = tag(4, FIXED64);
    pub const EXEMPLAR: u64 = tag(5, BYTES);
    pub const INT: u64 = tag(6, FIXED64);
    pub const ATTRIBUTE: u64 = tag(7, BYTES);
    pub const FLAGS: u64 = tag(8, VARINT);
}

/// What all data points have under the same numbers; count and sum all but `NumberDataPoint`.
pub(super) mod point {
    use crate::wire::otlp::cursor::{FIXED64, tag};
    pub const START: u64 = tag(2, FIXED64);
    pub const TIME: u64 = tag(3, FIXED64);
    pub const COUNT: u64 = tag(4, FIXED64);
    pub const SUM: u64 = tag(5, FIXED64);
}

/// `HistogramDataPoint`.
pub(super) mod histogram {
    use crate::wire::otlp::cursor::{BYTES, FIXED64, VARINT, tag};
    pub const BUCKET_COUNTS: u64 = 6;
    pub const EXPLICIT_BOUNDS: u64 = 7;
    pub const EXEMPLAR: u64 = tag(8, BYTES);
    pub const ATTRIBUTE: u64 = tag(9, BYTES);
    pub const FLAGS: u64 = tag(10, VARINT);
    pub const MIN: u64 = tag(11, FIXED64);
    pub const MAX: u64 = tag(12, FIXED64);
}

/// `ExponentialHistogramDataPoint`.
pub(super) mod exponential {
    use crate::wire::otlp::cursor::{BYTES, FIXED64, VARINT, tag};
    pub const ATTRIBUTE: u64 = tag(1, BYTES);
    pub const SCALE: u64 = tag(6, VARINT);
    pub const ZERO_COUNT: u64 = tag(7, FIXED64);
    pub const POSITIVE: u64 = tag(8, BYTES);
    pub const NEGATIVE: u64 = tag(9, BYTES);
    pub const FLAGS: u64 = tag(10, VARINT);
    pub const EXEMPLAR: u64 = tag(11, BYTES);
    pub const MIN: u64 = tag(12, FIXED64);
    pub const MAX: u64 = tag(13, FIXED64);
    pub const ZERO_THRESHOLD: u64 = tag(14, FIXED64);
}

/// `ExponentialHistogramDataPoint.Buckets`.
pub(super) mod buckets {
    use crate::wire::otlp::cursor::{VARINT, tag};
    pub const OFFSET: u64 = tag(1, VARINT);
    pub const COUNTS: u64 = 2;
}

/// `SummaryDataPoint`.
pub(super) mod summary {
    use crate::wire::otlp::cursor::{BYTES, VARINT, tag};
    pub const QUANTILE: u64 = tag(6, BYTES);
    pub const ATTRIBUTE: u64 = tag(7, BYTES);
    pub const FLAGS: u64 = tag(8, VARINT);
}

/// `SummaryDataPoint.ValueAtQuantile`.
pub(super) mod quantile {
    use crate::wire::otlp::cursor::{FIXED64, tag};
    pub const QUANTILE: u64 = tag(1, FIXED64);
    pub const VALUE: u64 = tag(2, FIXED64);
}

pub(super) mod exemplar {
    use crate::wire::otlp::cursor::{BYTES, FIXED64, tag};
    pub const TIME: u64 = tag(2, FIXED64);
    pub const DOUBLE: u64 = tag(3, FIXED64);
    pub const SPAN_ID: u64 = tag(4, BYTES);
    pub const TRACE_ID: u64 = tag(5, BYTES);
    pub const INT: u64 = tag(6, FIXED64);
    pub const ATTRIBUTE: u64 = tag(7, BYTES);
}
