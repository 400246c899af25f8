//! The document of a record of remote-write, written as its request is walked.

use super::draft::Draft;
use super::group::write_text;
use super::member::{Slots, write_double, write_int, write_member};
use super::names::{ATTRIBUTES, is_taken};
use super::{Framing, Scratch};
use crate::Signal;
use crate::body::Body;
use crate::record::{Key, Text, Value};
use crate::time::TimestampWriter;
use crate::wire::Entry;
use crate::wire::remote_write::{
    Buckets, Count, Exemplar, Histogram, Label, MetricType, Point, Reading, SeriesHead, Visitor,
};
use bytes::Bytes;

const NANOS_PER_MILLI: i64 = 1_000_000;

/// Receives the records of one share.
pub(super) struct SampleDocument<'w> {
    body: &'w Body,
    scratch: &'w mut Scratch,
    out: &'w mut Vec<u8>,
    framing: &'w mut dyn Framing,
    /// What all records of the series at hand say: the metric and the labels.
    series: Draft,
    slots: Slots,
    written: u32,
}

impl<'w> SampleDocument<'w> {
    pub(super) fn new(
        body: &'w Body,
        scratch: &'w mut Scratch,
        out: &'w mut Vec<u8>,
        framing: &'w mut dyn Framing,
    ) -> Self {
        scratch.draft.clear();
        scratch.draft.read_from(body.bytes.clone());
        let mut series = Draft::default();
        series.read_from(body.bytes.clone());
        Self { body, scratch, out, framing, series, slots: Slots::default(), written: 0 }
    }

    /// The share is written; says how many records fitted.
    pub(super) fn finish(self) -> u32 {
        self.scratch.draft.read_from(Bytes::new());
        self.written
    }
}

impl<'a> Visitor<'a> for SampleDocument<'_> {
    fn series(&mut self, head: &SeriesHead<'a>, labels: &mut dyn Iterator<Item = Label<'a>>) {
        let text = &mut self.series;
        text.clear();
        write_text(b",\"metric.name\":", head.name, text);
        write_text(b",\"metric.description\":", head.help, text);
        write_text(b",\"metric.unit\":", head.unit, text);
        write_kind(head.kind, text);
        self.slots.clear();
        for (name, value) in labels {
            write_label(name, value, &mut self.slots, text);
        }
    }

    fn point(&mut self, item: u32, point: &Point<'a>) -> bool {
        let Scratch { draft, time, observed, .. } = &mut *self.scratch;
        let entry: &Entry = self.body.entry(item);
        write_time(b"{\"@timestamp\":\"", entry.time, time, draft);
        if let Some(start) = point.start {
            write_time(b",\"start_timestamp\":\"", start, observed, draft);
        }
        match &point.reading {
            reading if reading.is_stale() => draft.extend(b",\"metric.stale\":true"),
            Reading::Nothing => {}
            Reading::Sample(value) => write_number(b",\"value\":", b",\"metric.non_finite\":", *value, draft),
            Reading::Histogram(histogram) => write_histogram(histogram, draft),
        }
        if let Some(exemplars) = point.exemplars {
            draft.extend(b",\"exemplars\":");
            let start = draft.len();
            exemplars.each(|exemplar, labels| write_exemplar(exemplar, labels, time, draft));
            close(start, b'[', b']', draft);
        }
        let start = self.out.len();
        self.framing.begin(self.body, item, self.out);
        for part in [draft.as_slice(), self.series.as_slice(), b"}\n"] {
            self.out.extend_from_slice(part);
        }
        draft.clear();
        let fits = self.framing.end(start, self.out);
        if fits {
            self.written += 1;
        } else {
            self.out.truncate(start);
        }
        fits
    }
}

fn write_time<const N: usize>(name: &[u8; N], nanos: i64, writer: &mut TimestampWriter, out: &mut Draft) {
    let (second, fraction) = writer.format(nanos);
    out.named_time(name, second, &fraction);
}

/// A type that is not known by name keeps its number.
fn write_kind(kind: MetricType, out: &mut Draft) {
    if kind != MetricType::default() {
        let number = itoa::Buffer::new().format(kind.0).to_owned();
        let name = kind.name().unwrap_or(&number);
        write_text(b",\"metric.type\":", name.into(), out);
    }
}

/// Names that cannot be a label's, because they are objects: a text and an object cannot share a name in one index.
const OBJECTS: [&[u8]; 6] = [b"metric", b"positive", b"negative", b"attributes", b"resource", b"scope"];

fn write_label(name: Text<'_>, value: Text<'_>, slots: &mut Slots, out: &mut Draft) {
    let is_inside = |object: &[u8]| match name.as_bytes().strip_prefix(object) {
        Some(rest) => rest.first().is_none_or(|next| *next == b'.'),
        None => false,
    };
    let is_free =
        !is_taken(Signal::Metrics, name.as_bytes()) && !OBJECTS.iter().any(|object| is_inside(object));
    let prefix = if is_free { "" } else { ATTRIBUTES };
    write_member(prefix, Key::Plain(name), Value::Str(value), slots, out);
}

/// Appends the number, or if it is none says so under another name: an index of numbers takes no words.
fn write_number<const N: usize, const M: usize>(
    name: &[u8; N],
    non_finite: &[u8; M],
    value: f64,
    out: &mut Draft,
) {
    out.extend(if value.is_finite() { &name[..] } else { &non_finite[..] });
    write_double(value, out);
}

fn write_count(count: Count, out: &mut Draft) {
    match count {
        Count::Int(count) => out.extend(itoa::Buffer::new().format(count).as_bytes()),
        Count::Float(count) => write_double(count, out),
    }
}

fn write_histogram(histogram: &Histogram<'_>, out: &mut Draft) {
    out.extend(b",\"count\":");
    write_count(histogram.count, out);
    write_number(b",\"sum\":", b",\"metric.non_finite\":", histogram.sum, out);
    match histogram.reset_hint {
        0 => {}
        1 => out.extend(b",\"metric.reset_hint\":\"yes\""),
        2 => out.extend(b",\"metric.reset_hint\":\"no\""),
        3 => out.extend(b",\"metric.reset_hint\":\"gauge\""),
        other => write_text(b",\"metric.reset_hint\":", itoa::Buffer::new().format(other).into(), out),
    }
    if histogram.is_custom() {
        return write_custom(histogram, out);
    }
    out.extend(b",\"scale\":");
    write_int(histogram.schema.into(), out);
    out.extend(b",\"zero_count\":");
    write_count(histogram.zero_count, out);
    out.extend(b",\"zero_threshold\":");
    write_double(histogram.zero_threshold, out);
    for (side, buckets) in [("positive", histogram.positive()), ("negative", histogram.negative())] {
        write_buckets(side, buckets, out);
    }
}

/// Buckets of one side as OTLP has them, and where there are gaps, between which buckets they are: filling them with zeros could take any amount
/// of memory.
fn write_buckets(side: &str, buckets: Buckets<'_>, out: &mut Draft) {
    let mut spans = 0;
    let mut first = 0;
    buckets.each_span(|offset, _| {
        if spans == 0 {
            first = i64::from(offset);
        }
        spans += 1;
    });
    if spans == 0 {
        return;
    }
    let name = |field: &str, out: &mut Draft| {
        for part in [",\"", side, field, "\":"] {
            out.extend(part.as_bytes());
        }
    };
    name(".offset", out);
    // Prometheus names a bucket by its upper bound, OTLP by its lower one.
    write_int(first - 1, out);
    name(".bucket_counts", out);
    write_list(out, |out| {
        buckets.each_count(|count| {
            out.push(b',');
            write_count(count, out);
        });
    });
    if spans > 1 {
        name(".spans", out);
        write_list(out, |out| {
            buckets.each_span(|offset, length| {
                out.extend(b",{\"offset\":");
                write_int(offset.into(), out);
                out.extend(b",\"length\":");
                write_int(length.into(), out);
                out.push(b'}');
            });
        });
    }
}

/// Custom buckets as those of a classic histogram: no more than one more than there are bounds, so gaps are filled.
fn write_custom(histogram: &Histogram<'_>, out: &mut Draft) {
    let mut bounds = 0i64;
    out.extend(b",\"explicit_bounds\":");
    write_list(out, |out| {
        histogram.each_bound(|bound| {
            bounds += 1;
            out.push(b',');
            write_double(bound, out);
        });
    });
    let mut spans = Vec::new();
    let mut at = 0;
    histogram.positive().each_span(|offset, length| {
        at += i64::from(offset);
        if length > 0 {
            spans.push(at..at + i64::from(length));
        }
        at += i64::from(length);
    });
    out.extend(b",\"bucket_counts\":");
    write_list(out, |out| {
        let mut next = 0;
        let mut places = spans.into_iter().flatten();
        histogram.positive().each_count(|count| {
            let place = places.next().unwrap_or(next);
            write_zeros(place - next, out);
            out.push(b',');
            write_count(count, out);
            next = place + 1;
        });
        write_zeros(bounds + 1 - next, out);
    });
}

fn write_zeros(count: i64, out: &mut Draft) {
    for _ in 0..count {
        out.extend(b",0");
    }
}

/// An array of what `write` appends, each member with a comma in front.
fn write_list(out: &mut Draft, write: impl FnOnce(&mut Draft)) {
    let start = out.len();
    write(out);
    close(start, b'[', b']', out);
}

/// Makes the comma of the first member the opening bracket.
fn close(start: usize, open: u8, close: u8, out: &mut Draft) {
    out.put(start, open);
    out.push(close);
}

fn write_exemplar(exemplar: Exemplar, labels: &[Label<'_>], time: &mut TimestampWriter, out: &mut Draft) {
    let nanos = exemplar.timestamp.saturating_mul(NANOS_PER_MILLI);
    write_time(b",{\"@timestamp\":\"", nanos, time, out);
    write_number(b",\"value\":", b",\"non_finite\":", exemplar.value, out);
    let is_own = |name: Text<'_>| matches!(name.as_bytes(), b"trace_id" | b"span_id");
    let mut slots = Slots::default();
    for (name, value) in labels.iter().filter(|(name, _)| is_own(*name)) {
        write_member("", Key::Plain(*name), Value::Str(*value), &mut slots, out);
    }
    if labels.iter().any(|(name, _)| !is_own(*name)) {
        out.extend(b",\"attributes\":");
        let start = out.len();
        for (name, value) in labels.iter().filter(|(name, _)| !is_own(*name)) {
            write_member("", Key::Plain(*name), Value::Str(*value), &mut slots, out);
        }
        close(start, b'{', b'}', out);
    }
    out.push(b'}');
}
