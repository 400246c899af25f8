//! The document of a data point.

use super::Scratch;
use super::record::{Head, write_fields};
use super::span::{push_count, push_text};
use crate::Signal;
use crate::record::{MetricHead, PointHead, Value};

impl<'a> Head<'a> for PointHead<'a> {
    const SIGNAL: Signal = Signal::Metrics;

    fn write(&self, arrived: u64, scratch: &mut Scratch) {
        let time = if self.time == 0 { arrived } else { self.time };
        write_fields(time, scratch, |write| point_fields(self, write));
    }
}

/// Hands over each of a data point's fixed fields but `@timestamp`, as they are called in its document.
pub(crate) fn point_fields<'a>(head: &PointHead<'a>, out: &mut dyn FnMut(&'static str, Value<'a>)) {
    if head.start != 0 {
        out("start_timestamp", Value::Time(head.start));
    }
    metric_fields(&head.metric, out);
    if head.stale {
        out("metric.stale", Value::Bool(true));
    }
    if head.flags & PointHead::NO_RECORDED_VALUE != 0 {
        out("metric.no_recorded_value", Value::Bool(true));
    }
    push_count("metric.flags", head.flags & !PointHead::NO_RECORDED_VALUE, out);
    match head.value {
        // No index takes one of these as a number.
        Some(Value::Double(number)) if !number.is_finite() => out("metric.non_finite", Value::Double(number)),
        Some(value) => out("value", value),
        None => {}
    }
    let doubles = [("sum", head.sum), ("min", head.min), ("max", head.max)];
    push("count", head.count, out);
    for (name, number) in doubles {
        push(name, number.map(Value::Double), out);
    }
    push("bucket_counts", head.bucket_counts.map(Value::Part), out);
    push("explicit_bounds", head.explicit_bounds.map(Value::Part), out);
    push("scale", head.scale.map(int), out);
    push("zero_count", head.zero_count, out);
    push("zero_threshold", head.zero_threshold.map(Value::Double), out);
    push("positive.offset", head.positive.offset.map(int), out);
    push("positive.bucket_counts", head.positive.counts.map(Value::Part), out);
    push("negative.offset", head.negative.offset.map(int), out);
    push("negative.bucket_counts", head.negative.counts.map(Value::Part), out);
    push("quantile_values", head.quantile_values.map(Value::Part), out);
    push("exemplars", head.exemplars.map(Value::Part), out);
}

fn metric_fields<'a>(metric: &MetricHead<'a>, out: &mut dyn FnMut(&'static str, Value<'a>)) {
    push_text("metric.name", metric.name, out);
    push_text("metric.description", metric.description, out);
    push_text("metric.unit", metric.unit, out);
    push_text("metric.type", metric.kind, out);
    match metric.temporality {
        0 => {}
        1 => push_text("metric.temporality", "delta".into(), out),
        2 => push_text("metric.temporality", "cumulative".into(), out),
        other => out("metric.temporality", Value::Int(other.into())),
    }
    push("metric.monotonic", metric.monotonic.map(Value::Bool), out);
    push("metric.metadata", metric.metadata.map(Value::Part), out);
}

fn int<'a>(number: i32) -> Value<'a> {
    Value::Int(number.into())
}

fn push<'a>(name: &'static str, value: Option<Value<'a>>, out: &mut dyn FnMut(&'static str, Value<'a>)) {
    if let Some(value) = value {
        out(name, value);
    }
}
