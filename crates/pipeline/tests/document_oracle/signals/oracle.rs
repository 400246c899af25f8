//! The documents of spans and data points, written down a second time.

use crate::oracle::{Object, add, add_resource, add_scope, hex, is_fixed, members, rfc3339};
use crate::{ARRIVED, PROMOTED};
use forebay_proto::common::{InstrumentationScope, KeyValue};
use forebay_proto::metrics::exponential_histogram_data_point::Buckets;
use forebay_proto::metrics::metric::Data;
use forebay_proto::metrics::number_data_point::Value as Number;
use forebay_proto::metrics::{Exemplar, Metric, exemplar};
use forebay_proto::metrics_collector::ExportMetricsServiceRequest;
use forebay_proto::resource::Resource;
use forebay_proto::trace::Span;
use forebay_proto::trace_collector::ExportTraceServiceRequest;
use serde_json::{Value, json};

const SPAN_FIELDS: &str = "end_timestamp duration trace_id span_id parent_span_id trace_state name kind status.code \
    status.message flags events links dropped_attributes_count dropped_events_count dropped_links_count @timestamp";
const POINT_FIELDS: &str = "start_timestamp value count sum min max bucket_counts explicit_bounds scale zero_count \
    zero_threshold positive.offset positive.bucket_counts negative.offset negative.bucket_counts quantile_values \
    exemplars @timestamp";
/// Fixed in the documents of logs alone.
const LOG_FIELDS: &str = "@timestamp observed_timestamp level severity_number message body name trace_id span_id \
    trace_flags event_name dropped_attributes_count";

fn is_one_of(fields: &str, name: &str) -> bool {
    fields.split_whitespace().any(|field| field == name)
}

/// Whether no document of any signal has room for an attribute of this name.
fn is_reserved(name: &str) -> bool {
    is_fixed(name) && !is_one_of(LOG_FIELDS, name)
}

fn is_span_field(name: &str) -> bool {
    is_reserved(name) || is_one_of(SPAN_FIELDS, name)
}

fn is_point_field(name: &str) -> bool {
    is_reserved(name) || is_one_of(POINT_FIELDS, name) || name.starts_with("metric.")
}

/// What records of a scope share.
struct Shared<'s> {
    resource: Option<&'s Resource>,
    resource_url: &'s str,
    scope: Option<&'s InstrumentationScope>,
    scope_url: &'s str,
    is_taken: fn(&str) -> bool,
}

impl Shared<'_> {
    fn complete(&self, mut fields: Object, attributes: &[KeyValue]) -> String {
        for (key, value) in members(attributes) {
            let prefix = if (self.is_taken)(&key) { "attributes." } else { "" };
            fields.insert(format!("{prefix}{key}"), value);
        }
        let resource = self.resource.cloned().unwrap_or_default();
        let lent = members(&resource.attributes);
        for name in PROMOTED {
            if let Some(value) = lent.get(name)
                && !(self.is_taken)(name)
                && !attributes.iter().any(|attribute| attribute.key == name)
            {
                fields.insert(name.to_owned(), value.clone());
            }
        }
        add_resource(&resource, lent, self.resource_url, &mut fields);
        add_scope(&self.scope.cloned().unwrap_or_default(), self.scope_url, &mut fields);
        Value::Object(fields).to_string()
    }
}

fn time_or_arrival(time: u64) -> Value {
    rfc3339(if time == 0 { ARRIVED as u64 } else { time })
}

fn add_time(fields: &mut Object, name: &str, time: u64) {
    if time != 0 {
        fields.insert(name.to_owned(), rfc3339(time));
    }
}

fn add_attributes(fields: &mut Object, attributes: &[KeyValue]) {
    if !attributes.is_empty() {
        fields.insert("attributes".to_owned(), Value::Object(members(attributes)));
    }
}

/// A number of an open enumeration: its name, or the number.
fn named(number: i32, names: &[&str]) -> Value {
    usize::try_from(number).ok().and_then(|at| names.get(at)).map_or(json!(number), |name| json!(name))
}

fn double(number: f64) -> Value {
    match number {
        _ if number.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        _ => json!(number),
    }
}

pub fn spans(request: &ExportTraceServiceRequest) -> Vec<String> {
    let mut documents = Vec::new();
    for resource_spans in &request.resource_spans {
        for scope_spans in &resource_spans.scope_spans {
            let shared = Shared {
                resource: resource_spans.resource.as_ref(),
                resource_url: &resource_spans.schema_url,
                scope: scope_spans.scope.as_ref(),
                scope_url: &scope_spans.schema_url,
                is_taken: is_span_field,
            };
            let document = |span| shared.complete(span_fields(span), &span.attributes);
            documents.extend(scope_spans.spans.iter().map(document));
        }
    }
    documents
}

fn span_fields(span: &Span) -> Object {
    let mut fields = Object::new();
    let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
    fields.insert("@timestamp".to_owned(), time_or_arrival(start));
    add_time(&mut fields, "end_timestamp", end);
    if start != 0 && end != 0 {
        fields.insert("duration".to_owned(), json!((i128::from(end) - i128::from(start)) as i64));
    }
    add(&mut fields, "trace_id", json!(hex(&span.trace_id)));
    add(&mut fields, "span_id", json!(hex(&span.span_id)));
    add(&mut fields, "parent_span_id", json!(hex(&span.parent_span_id)));
    add(&mut fields, "trace_state", json!(span.trace_state));
    add(&mut fields, "name", json!(span.name));
    let kinds = ["", "internal", "server", "client", "producer", "consumer"];
    add(&mut fields, "kind", named(span.kind, &kinds));
    let status = span.status.clone().unwrap_or_default();
    fields.insert("status.code".to_owned(), named(status.code, &["unset", "ok", "error"]));
    add(&mut fields, "status.message", json!(status.message));
    add(&mut fields, "flags", json!(span.flags));
    let event = |event: &forebay_proto::trace::span::Event| {
        let mut fields = Object::new();
        add_time(&mut fields, "@timestamp", event.time_unix_nano);
        add(&mut fields, "name", json!(event.name));
        add_attributes(&mut fields, &event.attributes);
        add(&mut fields, "dropped_attributes_count", json!(event.dropped_attributes_count));
        fields
    };
    let link = |link: &forebay_proto::trace::span::Link| {
        let mut fields = Object::new();
        add(&mut fields, "trace_id", json!(hex(&link.trace_id)));
        add(&mut fields, "span_id", json!(hex(&link.span_id)));
        add(&mut fields, "trace_state", json!(link.trace_state));
        add_attributes(&mut fields, &link.attributes);
        add(&mut fields, "dropped_attributes_count", json!(link.dropped_attributes_count));
        add(&mut fields, "flags", json!(link.flags));
        fields
    };
    add(&mut fields, "events", json!(span.events.iter().map(event).collect::<Vec<_>>()));
    add(&mut fields, "links", json!(span.links.iter().map(link).collect::<Vec<_>>()));
    add(&mut fields, "dropped_attributes_count", json!(span.dropped_attributes_count));
    add(&mut fields, "dropped_events_count", json!(span.dropped_events_count));
    add(&mut fields, "dropped_links_count", json!(span.dropped_links_count));
    fields
}

pub fn points(request: &ExportMetricsServiceRequest) -> Vec<String> {
    let mut documents = Vec::new();
    for resource_metrics in &request.resource_metrics {
        for scope_metrics in &resource_metrics.scope_metrics {
            let shared = Shared {
                resource: resource_metrics.resource.as_ref(),
                resource_url: &resource_metrics.schema_url,
                scope: scope_metrics.scope.as_ref(),
                scope_url: &scope_metrics.schema_url,
                is_taken: is_point_field,
            };
            for metric in &scope_metrics.metrics {
                documents.extend(points_of(metric, &shared));
            }
        }
    }
    documents
}

fn points_of(metric: &Metric, shared: &Shared<'_>) -> Vec<String> {
    let Some(data) = &metric.data else { return Vec::new() };
    let complete = |(fields, attributes): (Object, &[KeyValue])| shared.complete(fields, attributes);
    match data {
        Data::Gauge(gauge) => {
            let about = Object::from_iter([("metric.type".to_owned(), json!("gauge"))]);
            gauge.data_points.iter().map(|point| complete(number(metric, &about, point))).collect()
        }
        Data::Sum(sum) => {
            let mut about = Object::from_iter([("metric.type".to_owned(), json!("sum"))]);
            add_temporality(&mut about, sum.aggregation_temporality);
            about.insert("metric.monotonic".to_owned(), json!(sum.is_monotonic));
            sum.data_points.iter().map(|point| complete(number(metric, &about, point))).collect()
        }
        Data::Histogram(histogram) => {
            let mut about = Object::from_iter([("metric.type".to_owned(), json!("histogram"))]);
            add_temporality(&mut about, histogram.aggregation_temporality);
            let document = |point: &forebay_proto::metrics::HistogramDataPoint| {
                let (start, time) = (point.start_time_unix_nano, point.time_unix_nano);
                let mut fields = head(metric, &about, start, time, point.flags);
                fields.insert("count".to_owned(), json!(point.count));
                add_doubles(&mut fields, [("sum", point.sum), ("min", point.min), ("max", point.max)]);
                add(&mut fields, "bucket_counts", json!(point.bucket_counts));
                let bounds: Vec<Value> = point.explicit_bounds.iter().copied().map(double).collect();
                add(&mut fields, "explicit_bounds", json!(bounds));
                add_exemplars(&mut fields, &point.exemplars);
                shared.complete(fields, &point.attributes)
            };
            histogram.data_points.iter().map(document).collect()
        }
        Data::ExponentialHistogram(histogram) => {
            let mut about = Object::from_iter([("metric.type".to_owned(), json!("exponential_histogram"))]);
            add_temporality(&mut about, histogram.aggregation_temporality);
            let document = |point: &forebay_proto::metrics::ExponentialHistogramDataPoint| {
                let (start, time) = (point.start_time_unix_nano, point.time_unix_nano);
                let mut fields = head(metric, &about, start, time, point.flags);
                fields.insert("count".to_owned(), json!(point.count));
                add_doubles(&mut fields, [("sum", point.sum), ("min", point.min), ("max", point.max)]);
                fields.insert("scale".to_owned(), json!(point.scale));
                fields.insert("zero_count".to_owned(), json!(point.zero_count));
                if point.zero_threshold != 0.0 {
                    fields.insert("zero_threshold".to_owned(), double(point.zero_threshold));
                }
                add_buckets(&mut fields, "positive", point.positive.as_ref());
                add_buckets(&mut fields, "negative", point.negative.as_ref());
                add_exemplars(&mut fields, &point.exemplars);
                shared.complete(fields, &point.attributes)
            };
            histogram.data_points.iter().map(document).collect()
        }
        Data::Summary(summary) => {
            let about = Object::from_iter([("metric.type".to_owned(), json!("summary"))]);
            let document = |point: &forebay_proto::metrics::SummaryDataPoint| {
                let (start, time) = (point.start_time_unix_nano, point.time_unix_nano);
                let mut fields = head(metric, &about, start, time, point.flags);
                fields.insert("count".to_owned(), json!(point.count));
                fields.insert("sum".to_owned(), double(point.sum));
                let values = point.quantile_values.iter();
                let values: Vec<Value> = values
                    .map(|at| json!({"quantile": double(at.quantile), "value": double(at.value)}))
                    .collect();
                add(&mut fields, "quantile_values", json!(values));
                shared.complete(fields, &point.attributes)
            };
            summary.data_points.iter().map(document).collect()
        }
    }
}

fn number<'p>(
    metric: &Metric,
    about: &Object,
    point: &'p forebay_proto::metrics::NumberDataPoint,
) -> (Object, &'p [KeyValue]) {
    let mut fields = head(metric, about, point.start_time_unix_nano, point.time_unix_nano, point.flags);
    match point.value {
        Some(Number::AsDouble(number)) if number.is_finite() => {
            fields.insert("value".to_owned(), json!(number));
        }
        Some(Number::AsDouble(number)) => {
            fields.insert("metric.non_finite".to_owned(), double(number));
        }
        Some(Number::AsInt(number)) => {
            fields.insert("value".to_owned(), json!(number));
        }
        None => {}
    }
    add_exemplars(&mut fields, &point.exemplars);
    (fields, &point.attributes)
}

fn head(metric: &Metric, about: &Object, start: u64, time: u64, flags: u32) -> Object {
    let mut fields = Object::new();
    fields.insert("@timestamp".to_owned(), time_or_arrival(time));
    add_time(&mut fields, "start_timestamp", start);
    add(&mut fields, "metric.name", json!(metric.name));
    add(&mut fields, "metric.description", json!(metric.description));
    add(&mut fields, "metric.unit", json!(metric.unit));
    fields.extend(about.clone());
    if !metric.metadata.is_empty() {
        fields.insert("metric.metadata".to_owned(), Value::Object(members(&metric.metadata)));
    }
    if flags & 1 == 1 {
        fields.insert("metric.no_recorded_value".to_owned(), json!(true));
    }
    add(&mut fields, "metric.flags", json!(flags & !1));
    fields
}

fn add_temporality(about: &mut Object, number: i32) {
    add(about, "metric.temporality", named(number, &["", "delta", "cumulative"]));
}

fn add_doubles(fields: &mut Object, numbers: [(&str, Option<f64>); 3]) {
    for (name, number) in numbers {
        if let Some(number) = number {
            fields.insert(name.to_owned(), double(number));
        }
    }
}

fn add_buckets(fields: &mut Object, side: &str, buckets: Option<&Buckets>) {
    if let Some(buckets) = buckets {
        fields.insert(format!("{side}.offset"), json!(buckets.offset));
        add(fields, &format!("{side}.bucket_counts"), json!(buckets.bucket_counts));
    }
}

fn add_exemplars(fields: &mut Object, exemplars: &[Exemplar]) {
    let exemplar = |exemplar: &Exemplar| {
        let mut fields = Object::new();
        add_time(&mut fields, "@timestamp", exemplar.time_unix_nano);
        let value = match exemplar.value {
            Some(exemplar::Value::AsDouble(number)) => Some(double(number)),
            Some(exemplar::Value::AsInt(number)) => Some(json!(number)),
            None => None,
        };
        fields.extend(value.map(|value| ("value".to_owned(), value)));
        add(&mut fields, "trace_id", json!(hex(&exemplar.trace_id)));
        add(&mut fields, "span_id", json!(hex(&exemplar.span_id)));
        add_attributes(&mut fields, &exemplar.filtered_attributes);
        fields
    };
    add(fields, "exemplars", json!(exemplars.iter().map(exemplar).collect::<Vec<_>>()));
}
