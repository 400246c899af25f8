//! The document of a log record.

use super::Scratch;
use super::draft::Draft;
use super::group::{write_count, write_text};
use super::member::{write_int, write_value};
use super::names::severity_name;
use super::record::{Head, TIMESTAMP};
use super::timestamp::write_time;
use crate::Signal;
use crate::record::{LogHead, Value};

impl<'a> Head<'a> for LogHead<'a> {
    const SIGNAL: Signal = Signal::Logs;

    #[inline]
    fn write(&self, arrived: u64, scratch: &mut Scratch) {
        let Scratch { draft, time, observed, group, attributes } = scratch;
        match (self.time, self.observed_time) {
            (0, 0) => write_time(TIMESTAMP, arrived, time, draft),
            (0, nanos) | (nanos, _) => write_time(TIMESTAMP, nanos, time, draft),
        }
        if self.observed_time != 0 {
            write_time(b",\"observed_timestamp\":\"", self.observed_time, observed, draft);
        }
        write_severity(self, draft);
        match self.body {
            None => {}
            Some(Value::Str(text)) => draft.named_string(b",\"message\":", text.as_bytes()),
            Some(value) => {
                draft.literal(b",\"body\":");
                write_value(value, attributes.slots(), draft);
            }
        }
        draft.extend(group.name.as_slice());
        write_id(b",\"trace_id\":\"", self.trace_id, draft);
        write_id(b",\"span_id\":\"", self.span_id, draft);
        write_count(b",\"trace_flags\":", self.flags, draft);
        write_text(b",\"event_name\":", self.event_name, draft);
        write_count(b",\"dropped_attributes_count\":", self.dropped_attributes, draft);
    }
}

fn write_severity(head: &LogHead<'_>, out: &mut Draft) {
    if !head.severity_text.is_empty() {
        write_text(b",\"level\":", head.severity_text, out);
    } else if let Some(name) = severity_name(head.severity_number) {
        write_text(b",\"level\":", name.into(), out);
    }
    if head.severity_number != 0 {
        out.literal(b",\"severity_number\":");
        write_int(head.severity_number.into(), out);
    }
}

#[inline(always)]
fn write_id<const N: usize>(name: &[u8; N], id: &[u8], out: &mut Draft) {
    if !id.is_empty() {
        out.literal(name);
        out.hex(id);
        out.push(b'"');
    }
}
