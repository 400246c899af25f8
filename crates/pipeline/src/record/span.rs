//! A span's fixed fields.

use super::{Part, Text};

/// The fixed fields of a span (`opentelemetry/proto/trace/v1/trace.proto`, message `Span`). Absent is the proto3 default: zero or
/// empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanHead<'a> {
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub parent_span_id: &'a [u8],
    pub trace_state: Text<'a>,
    pub flags: u32,
    pub name: Text<'a>,
    /// A number of the enum `SpanKind`, or any other: it is open.
    pub kind: i32,
    /// When it began, nanoseconds since 1970, 0 when absent.
    pub start: u64,
    /// When it ended, nanoseconds since 1970, 0 when absent.
    pub end: u64,
    /// A number of the enum `StatusCode`, or any other: it is open.
    pub status_code: i32,
    pub status_message: Text<'a>,
    /// Its events, as a list of objects.
    pub events: Option<Part<'a>>,
    /// Its links, as a list of objects.
    pub links: Option<Part<'a>>,
    pub dropped_attributes: u32,
    pub dropped_events: u32,
    pub dropped_links: u32,
}
