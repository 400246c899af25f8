//! The messages of OTLP as tables: what each field is, and what it is called in JSON. For all that is not hot: checking spans and data
//! points, putting scattered requests in order, and reading OTLP's JSON.
//!
//! Source: opentelemetry-proto 1.10, the `.proto` files named in `fields.rs`; names in JSON: <https://protobuf.dev/programming-guides/json/>.

use crate::Signal;

/// A message.
#[derive(Debug)]
pub(super) struct Schema {
    /// Each field at the place of its number.
    fields: &'static [Option<Field>],
    /// A bit for each field that belongs to the message's oneof with messages in it, of which only one may be there.
    pub(super) oneof: u64,
    /// A bit for each field that the wire wants before all others.
    pub(super) first: u64,
}

/// A field.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    /// Its name in JSON: lowerCamelCase.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    /// Texts, any number.
    Texts,
    /// Bytes, base64 in JSON.
    Blob,
    /// Bytes, hexadecimal in JSON.
    Id,
    Bool,
    /// `int32` and enumerations, `uint32`, `sint32`, `int64`: as varints.
    Int32,
    Uint32,
    Sint32,
    Int64,
    /// `fixed32`, `fixed64`, `sfixed64`, `double`.
    Fixed32,
    Fixed64,
    Sfixed64,
    Double,
    /// Numbers, any number of them, packed or one by one: `fixed64`, `double`, `uint64`.
    Fixed64s,
    Doubles,
    Uint64s,
    /// At most one message.
    Message(&'static Schema),
    /// Messages, any number.
    Messages(&'static Schema),
}

impl Schema {
    /// The request of this signal.
    pub(super) const fn request(signal: Signal) -> &'static Self {
        match signal {
            Signal::Logs => &LOGS,
            Signal::Traces => &TRACES,
            Signal::Metrics => &METRICS,
        }
    }

    /// The field with this number.
    pub(super) fn field(&self, number: u64) -> Option<&'static Field> {
        self.fields.get(usize::try_from(number).ok()?)?.as_ref()
    }

    /// The field with this name in JSON.
    pub(super) fn named(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().flatten().find(|field| field.name == name)
    }
}

/// A table of fields, each at the place of its number.
const fn table<const N: usize, const M: usize>(fields: [(u32, &'static str, Kind); N]) -> [Option<Field>; M] {
    let mut table = [const { None }; M];
    let mut at = 0;
    while at < N {
        let (number, name, kind) = fields[at];
        table[number as usize] = Some(Field { number, name, kind });
        at += 1;
    }
    table
}

/// A message: its name, how long its table is, its fields; if need be its oneof and what comes first.
macro_rules! schema {
    ($name:ident, $len:literal, [$($field:expr),* $(,)?]) => { schema!($name, $len, [$($field),*], 0, 0); };
    ($name:ident, $len:literal, [$($field:expr),* $(,)?], $oneof:expr, $first:expr) => {
        static $name: Schema = {
            static FIELDS: [Option<Field>; $len] = table([$($field),*]);
            Schema { fields: &FIELDS, oneof: $oneof, first: $first }
        };
    };
}

use Kind::{
    Blob, Bool, Double, Doubles, Fixed32, Fixed64, Fixed64s, Id, Int32, Int64, Message, Messages, Sfixed64,
    Sint32, Text, Texts, Uint32, Uint64s,
};

/// Resource or scope, and the schema URL, come before the records.
const GROUP_FIRST: u64 = 0b1010;

schema!(LOGS, 2, [(1, "resourceLogs", Messages(&RESOURCE_LOGS))]);
schema!(TRACES, 2, [(1, "resourceSpans", Messages(&RESOURCE_SPANS))]);
schema!(METRICS, 2, [(1, "resourceMetrics", Messages(&RESOURCE_METRICS))]);

schema!(
    RESOURCE_LOGS,
    4,
    [(1, "resource", Message(&RESOURCE)), (2, "scopeLogs", Messages(&SCOPE_LOGS)), (3, "schemaUrl", Text)],
    0,
    GROUP_FIRST
);
schema!(
    RESOURCE_SPANS,
    4,
    [(1, "resource", Message(&RESOURCE)), (2, "scopeSpans", Messages(&SCOPE_SPANS)), (3, "schemaUrl", Text)],
    0,
    GROUP_FIRST
);
schema!(
    RESOURCE_METRICS,
    4,
    [
        (1, "resource", Message(&RESOURCE)),
        (2, "scopeMetrics", Messages(&SCOPE_METRICS)),
        (3, "schemaUrl", Text)
    ],
    0,
    GROUP_FIRST
);
schema!(
    SCOPE_LOGS,
    4,
    [(1, "scope", Message(&SCOPE)), (2, "logRecords", Messages(&LOG_RECORD)), (3, "schemaUrl", Text)],
    0,
    GROUP_FIRST
);
schema!(
    SCOPE_SPANS,
    4,
    [(1, "scope", Message(&SCOPE)), (2, "spans", Messages(&SPAN)), (3, "schemaUrl", Text)],
    0,
    GROUP_FIRST
);
schema!(
    SCOPE_METRICS,
    4,
    [(1, "scope", Message(&SCOPE)), (2, "metrics", Messages(&METRIC)), (3, "schemaUrl", Text)],
    0,
    GROUP_FIRST
);

schema!(
    RESOURCE,
    4,
    [
        (1, "attributes", Messages(&KEY_VALUE)),
        (2, "droppedAttributesCount", Uint32),
        (3, "entityRefs", Messages(&ENTITY_REF)),
    ]
);
schema!(
    ENTITY_REF,
    5,
    [(1, "schemaUrl", Text), (2, "type", Text), (3, "idKeys", Texts), (4, "descriptionKeys", Texts)]
);
schema!(
    SCOPE,
    5,
    [
        (1, "name", Text),
        (2, "version", Text),
        (3, "attributes", Messages(&KEY_VALUE)),
        (4, "droppedAttributesCount", Uint32),
    ]
);
schema!(KEY_VALUE, 4, [(1, "key", Text), (2, "value", Message(&ANY_VALUE)), (3, "keyStrindex", Int32)]);
schema!(
    ANY_VALUE,
    9,
    [
        (1, "stringValue", Text),
        (2, "boolValue", Bool),
        (3, "intValue", Int64),
        (4, "doubleValue", Double),
        (5, "arrayValue", Message(&ARRAY)),
        (6, "kvlistValue", Message(&KEY_VALUES)),
        (7, "bytesValue", Blob),
        (8, "stringValueStrindex", Int32),
    ],
    0b1_1111_1110,
    0
);
schema!(ARRAY, 2, [(1, "values", Messages(&ANY_VALUE))]);
schema!(KEY_VALUES, 2, [(1, "values", Messages(&KEY_VALUE))]);

schema!(
    LOG_RECORD,
    13,
    [
        (1, "timeUnixNano", Fixed64),
        (2, "severityNumber", Int32),
        (3, "severityText", Text),
        (5, "body", Message(&ANY_VALUE)),
        (6, "attributes", Messages(&KEY_VALUE)),
        (7, "droppedAttributesCount", Uint32),
        (8, "flags", Fixed32),
        (9, "traceId", Id),
        (10, "spanId", Id),
        (11, "observedTimeUnixNano", Fixed64),
        (12, "eventName", Text),
    ]
);

schema!(
    SPAN,
    17,
    [
        (1, "traceId", Id),
        (2, "spanId", Id),
        (3, "traceState", Text),
        (4, "parentSpanId", Id),
        (5, "name", Text),
        (6, "kind", Int32),
        (7, "startTimeUnixNano", Fixed64),
        (8, "endTimeUnixNano", Fixed64),
        (9, "attributes", Messages(&KEY_VALUE)),
        (10, "droppedAttributesCount", Uint32),
        (11, "events", Messages(&EVENT)),
        (12, "droppedEventsCount", Uint32),
        (13, "links", Messages(&LINK)),
        (14, "droppedLinksCount", Uint32),
        (15, "status", Message(&STATUS)),
        (16, "flags", Fixed32),
    ]
);
schema!(
    EVENT,
    5,
    [
        (1, "timeUnixNano", Fixed64),
        (2, "name", Text),
        (3, "attributes", Messages(&KEY_VALUE)),
        (4, "droppedAttributesCount", Uint32),
    ]
);
schema!(
    LINK,
    7,
    [
        (1, "traceId", Id),
        (2, "spanId", Id),
        (3, "traceState", Text),
        (4, "attributes", Messages(&KEY_VALUE)),
        (5, "droppedAttributesCount", Uint32),
        (6, "flags", Fixed32),
    ]
);
schema!(STATUS, 4, [(2, "message", Text), (3, "code", Int32)]);

schema!(
    METRIC,
    13,
    [
        (1, "name", Text),
        (2, "description", Text),
        (3, "unit", Text),
        (5, "gauge", Message(&GAUGE)),
        (7, "sum", Message(&SUM)),
        (9, "histogram", Message(&HISTOGRAM)),
        (10, "exponentialHistogram", Message(&EXPONENTIAL)),
        (11, "summary", Message(&SUMMARY)),
        (12, "metadata", Messages(&KEY_VALUE)),
    ],
    0b1110_1010_0000,
    0
);
schema!(GAUGE, 2, [(1, "dataPoints", Messages(&NUMBER_POINT))]);
schema!(
    SUM,
    4,
    [
        (1, "dataPoints", Messages(&NUMBER_POINT)),
        (2, "aggregationTemporality", Int32),
        (3, "isMonotonic", Bool),
    ]
);
schema!(HISTOGRAM, 3, [(1, "dataPoints", Messages(&HISTOGRAM_POINT)), (2, "aggregationTemporality", Int32)]);
schema!(
    EXPONENTIAL,
    3,
    [(1, "dataPoints", Messages(&EXPONENTIAL_POINT)), (2, "aggregationTemporality", Int32)]
);
schema!(SUMMARY, 2, [(1, "dataPoints", Messages(&SUMMARY_POINT))]);
schema!(
    NUMBER_POINT,
    9,
    [
        (2, "startTimeUnixNano", Fixed64),
        (3, "timeUnixNano", Fixed64),
        (4, "asDouble", Double),
        (5, "exemplars", Messages(&EXEMPLAR)),
        (6, "asInt", Sfixed64),
        (7, "attributes", Messages(&KEY_VALUE)),
        (8, "flags", Uint32),
    ]
);
schema!(
    HISTOGRAM_POINT,
    13,
    [
        (2, "startTimeUnixNano", Fixed64),
        (3, "timeUnixNano", Fixed64),
        (4, "count", Fixed64),
        (5, "sum", Double),
        (6, "bucketCounts", Fixed64s),
        (7, "explicitBounds", Doubles),
        (8, "exemplars", Messages(&EXEMPLAR)),
        (9, "attributes", Messages(&KEY_VALUE)),
        (10, "flags", Uint32),
        (11, "min", Double),
        (12, "max", Double),
    ]
);
schema!(
    EXPONENTIAL_POINT,
    15,
    [
        (1, "attributes", Messages(&KEY_VALUE)),
        (2, "startTimeUnixNano", Fixed64),
        (3, "timeUnixNano", Fixed64),
        (4, "count", Fixed64),
        (5, "sum", Double),
        (6, "scale", Sint32),
        (7, "zeroCount", Fixed64),
        (8, "positive", Message(&BUCKETS)),
        (9, "negative", Message(&BUCKETS)),
        (10, "flags", Uint32),
        (11, "exemplars", Messages(&EXEMPLAR)),
        (12, "min", Double),
        (13, "max", Double),
        (14, "zeroThreshold", Double),
    ]
);
schema!(BUCKETS, 3, [(1, "offset", Sint32), (2, "bucketCounts", Uint64s)]);
schema!(
    SUMMARY_POINT,
    9,
    [
        (2, "startTimeUnixNano", Fixed64),
        (3, "timeUnixNano", Fixed64),
        (4, "count", Fixed64),
        (5, "sum", Double),
        (6, "quantileValues", Messages(&QUANTILE)),
        (7, "attributes", Messages(&KEY_VALUE)),
        (8, "flags", Uint32),
    ]
);
schema!(QUANTILE, 3, [(1, "quantile", Double), (2, "value", Double)]);
schema!(
    EXEMPLAR,
    8,
    [
        (2, "timeUnixNano", Fixed64),
        (3, "asDouble", Double),
        (4, "spanId", Id),
        (5, "traceId", Id),
        (6, "asInt", Sfixed64),
        (7, "filteredAttributes", Messages(&KEY_VALUE)),
    ]
);

/// The schema of a span, and of a metric with its data points.
pub(super) static SPAN_SCHEMA: &Schema = &SPAN;
pub(super) static METRIC_SCHEMA: &Schema = &METRIC;
