//! The vocabulary of records (log records, spans, data points): values borrowed from the bytes they arrived in, and the visitor that receives them.
//!
//! There is no event tree. A wire walks its own bytes and pushes what it finds; a sink writes its own format as it is
//! pushed to. Push, not pull, because a producer that owns its loop needs no cursor state that survives a call.

mod metric;
mod span;

use crate::wire::{WireId, otlp};

pub use metric::{Buckets, MetricHead, PointHead};
pub use span::SpanHead;

/// Text that its wire has found to be UTF-8, as bytes: sinks copy it, and proving it to the type system once more would cost as
/// much as the copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    /// Text out of a body that passed `check`.
    #[inline]
    pub(crate) fn checked(bytes: &'a [u8]) -> Self {
        debug_assert!(std::str::from_utf8(bytes).is_ok(), "a wire let invalid UTF-8 pass");
        Self(bytes)
    }

    /// The text's bytes.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The text as a string slice; checks it again.
    pub fn as_str(self) -> &'a str {
        std::str::from_utf8(self.0).unwrap_or_default()
    }

    /// Whether there is no text.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

/// A value of an attribute or of a body, borrowed from a body that passed its wire's `check`.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Unsigned(u64),
    Double(f64),
    /// Text as it reads, nothing escaped.
    Str(Text<'a>),
    /// JSON's first leak: the inside of a string literal that holds at least one escape.
    Escaped(&'a str),
    /// JSON's second leak: a number as its digits, so that none is lost.
    Number(&'a str),
    Bytes(&'a [u8]),
    /// Bytes that read as lower-case hexadecimal: an id.
    Hex(&'a [u8]),
    /// Nanoseconds since 1970, which read as RFC 3339.
    Time(u64),
    Array(Nested<'a>),
    Map(Nested<'a>),
    Part(Part<'a>),
}

/// A list or an object among the fixed fields of a span or a data point, that has not been walked yet.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    Otlp(otlp::Part<'a>),
}

impl<'a> Part<'a> {
    /// Whether it is an object; else it is a list.
    pub fn is_map(&self) -> bool {
        match self {
            Self::Otlp(part) => part.is_map(),
        }
    }

    /// Pushes every member into `visitor`, with its name if it is an object.
    pub fn walk(&self, visitor: &mut dyn NestedVisitor<'a>) {
        match self {
            Self::Otlp(part) => part.walk(visitor),
        }
    }
}

/// An array or a map that has not been walked yet: bytes of the wire it came by.
///
/// OTLP: the content of an `ArrayValue` or `KeyValueList` message. JSON: the literal from bracket to bracket. Forward:
/// the literal, of an extension too, which is a map of its `type` and its `data`. Syslog: structured
/// data, or the parameters of one element.
#[derive(Clone, Copy, Debug)]
pub struct Nested<'a> {
    pub(crate) wire: WireId,
    pub(crate) bytes: &'a [u8],
}

/// Receives the members of an array or a map, in order.
pub trait NestedVisitor<'a> {
    /// One member: `key` is present in a map only. Keys of a JSON map are raw (see [`Key`]).
    fn member(&mut self, key: Option<Key<'a>>, value: Value<'a>);
}

impl<'a> Nested<'a> {
    /// Pushes every member into `visitor`. Equal keys of a map are all pushed: the last one counts.
    pub fn walk(&self, is_map: bool, visitor: &mut dyn NestedVisitor<'a>) {
        match self.wire {
            WireId::OtlpLogs | WireId::OtlpTraces | WireId::OtlpMetrics => {
                otlp::walk_nested(self.bytes, is_map, visitor);
            }
            WireId::Forward => crate::wire::forward::walk_nested(self.bytes, visitor),
            WireId::Json | WireId::JsonLines | WireId::Bulk => {
                crate::wire::json::walk_nested(self.bytes, visitor);
            }
            // Labels are texts.
            WireId::RemoteWrite1 | WireId::RemoteWrite2 => {}
            // It has nothing nested.
            WireId::LokiProto => {}
            WireId::Syslog => crate::wire::syslog::data::walk_nested(self.bytes, visitor),
        }
    }
}

/// A field's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// As it reads.
    Plain(Text<'a>),
    /// The inside of a JSON string literal that holds at least one escape.
    Escaped(&'a str),
}

/// The fixed fields of an OTLP log record (`opentelemetry/proto/logs/v1/logs.proto`, message `LogRecord`). Absent is the proto3
/// default: zero or empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogHead<'a> {
    /// Nanoseconds since 1970, 0 when absent.
    pub time: u64,
    /// Nanoseconds since 1970, 0 when absent.
    pub observed_time: u64,
    pub severity_number: i32,
    pub severity_text: Text<'a>,
    pub body: Option<Value<'a>>,
    pub dropped_attributes: u32,
    pub flags: u32,
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub event_name: Text<'a>,
}

/// What a run of records shares: its resource and its instrumentation scope.
#[derive(Clone, Copy, Debug, Default)]
pub struct GroupHead<'a> {
    pub resource_schema_url: Text<'a>,
    pub resource_dropped_attributes: u32,
    pub scope_name: Text<'a>,
    pub scope_version: Text<'a>,
    pub scope_schema_url: Text<'a>,
    pub scope_dropped_attributes: u32,
}

/// A reference to an entity (`opentelemetry/proto/common/v1/common.proto`, message `EntityRef`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityRef<'a> {
    pub schema_url: Text<'a>,
    pub kind: Text<'a>,
    pub id_keys: Vec<Text<'a>>,
    pub description_keys: Vec<Text<'a>>,
}

/// Receives records of one kind, whose fixed fields are a `Head`: [`LogHead`], [`SpanHead`] or [`PointHead`]. The order of calls is: `group` (whenever resource or scope change), then for its attributes
/// `resource_attribute`/`entity_ref`/`scope_attribute`, `group_end`; then for each record `attribute`..., `record`.
///
/// Scopes share their resource: it is pushed with the first of them only, or a request of many scopes under a large resource would cost the
/// product of both.
///
/// A record's fixed fields come last, because on the wire some of them do, and one pass is enough then.
pub trait RecordVisitor<'a, Head> {
    /// A group begins. With `same_resource`, its resource and that one's schema URL are those of the group before: nothing of them is pushed,
    /// and `head` has nothing of them.
    fn group(&mut self, head: &GroupHead<'a>, same_resource: bool);
    fn resource_attribute(&mut self, key: Text<'a>, value: Value<'a>);
    fn entity_ref(&mut self, entity: &EntityRef<'a>);
    fn scope_attribute(&mut self, key: Text<'a>, value: Value<'a>);
    fn group_end(&mut self);
    fn attribute(&mut self, key: Text<'a>, value: Value<'a>);
    /// The record whose attributes came before; `item` is its number in its body's index. False stops the walk: the visitor has
    /// taken as much as it can hold.
    fn record(&mut self, item: u32, head: &Head) -> bool;
}
