//! The document of a span.

use super::Scratch;
use super::record::{Head, write_fields};
use crate::Signal;
use crate::record::{SpanHead, Text, Value};

impl<'a> Head<'a> for SpanHead<'a> {
    const SIGNAL: Signal = Signal::Traces;

    fn write(&self, arrived: u64, scratch: &mut Scratch) {
        let time = if self.start == 0 { arrived } else { self.start };
        write_fields(time, scratch, |write| span_fields(self, write));
    }
}

/// Hands over each of a span's fixed fields but `@timestamp`, as they are called in its document.
pub(crate) fn span_fields<'a>(head: &SpanHead<'a>, out: &mut dyn FnMut(&'static str, Value<'a>)) {
    if head.end != 0 {
        out("end_timestamp", Value::Time(head.end));
    }
    if head.start != 0 && head.end != 0 {
        // Clocks are set back, so it may be negative.
        out("duration", Value::Int(head.end.wrapping_sub(head.start) as i64));
    }
    let ids =
        [("trace_id", head.trace_id), ("span_id", head.span_id), ("parent_span_id", head.parent_span_id)];
    for (name, id) in ids.into_iter().filter(|(_, id)| !id.is_empty()) {
        out(name, Value::Hex(id));
    }
    push_text("trace_state", head.trace_state, out);
    push_text("name", head.name, out);
    match head.kind {
        0 => {}
        1 => push_text("kind", "internal".into(), out),
        2 => push_text("kind", "server".into(), out),
        3 => push_text("kind", "client".into(), out),
        4 => push_text("kind", "producer".into(), out),
        5 => push_text("kind", "consumer".into(), out),
        other => out("kind", Value::Int(other.into())),
    }
    match head.status_code {
        0 => push_text("status.code", "unset".into(), out),
        1 => push_text("status.code", "ok".into(), out),
        2 => push_text("status.code", "error".into(), out),
        other => out("status.code", Value::Int(other.into())),
    }
    push_text("status.message", head.status_message, out);
    push_count("flags", head.flags, out);
    for (name, part) in [("events", head.events), ("links", head.links)] {
        if let Some(part) = part {
            out(name, Value::Part(part));
        }
    }
    push_count("dropped_attributes_count", head.dropped_attributes, out);
    push_count("dropped_events_count", head.dropped_events, out);
    push_count("dropped_links_count", head.dropped_links, out);
}

/// Hands over a text that is not empty.
pub(super) fn push_text<'a>(
    name: &'static str,
    text: Text<'a>,
    out: &mut dyn FnMut(&'static str, Value<'a>),
) {
    if !text.is_empty() {
        out(name, Value::Str(text));
    }
}

/// Hands over a number that is not zero.
pub(super) fn push_count<'a>(name: &'static str, count: u32, out: &mut dyn FnMut(&'static str, Value<'a>)) {
    if count != 0 {
        out(name, Value::Int(count.into()));
    }
}
