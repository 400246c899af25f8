//! Arbitrary requests of traces and metrics.

use crate::arbitrary::{attributes, key, resource, scope, text, times};
use forebay_proto::common::KeyValue;
use forebay_proto::metrics::exponential_histogram_data_point::Buckets;
use forebay_proto::metrics::metric::Data;
use forebay_proto::metrics::number_data_point::Value as Number;
use forebay_proto::metrics::summary_data_point::ValueAtQuantile;
use forebay_proto::metrics::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar,
};
use forebay_proto::metrics_collector::ExportMetricsServiceRequest;
use forebay_proto::trace::span::{Event, Link};
use forebay_proto::trace::{ResourceSpans, ScopeSpans, Span, Status};
use forebay_proto::trace_collector::ExportTraceServiceRequest;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

pub fn traces() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let scopes = (scope(), vec(span(), 0..4), text()).prop_map(|(scope, spans, schema_url)| ScopeSpans {
        scope,
        spans,
        schema_url,
    });
    let resources = (resource(), vec(scopes, 0..3), text())
        .prop_map(|(resource, scope_spans, schema_url)| ResourceSpans { resource, scope_spans, schema_url });
    vec(resources, 0..3).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

pub fn metrics() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let scopes = (scope(), vec(metric(), 0..4), text())
        .prop_map(|(scope, metrics, schema_url)| ScopeMetrics { scope, metrics, schema_url });
    let resources =
        (resource(), vec(scopes, 0..3), text()).prop_map(|(resource, scope_metrics, schema_url)| {
            ResourceMetrics { resource, scope_metrics, schema_url }
        });
    vec(resources, 0..3).prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}

fn id() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..18)
}

fn flags() -> impl Strategy<Value = u32> {
    select(vec![0, 1, 2, 3, 0x300, u32::MAX])
}

fn few_attributes() -> BoxedStrategy<Vec<KeyValue>> {
    prop_oneof![2 => Just(Vec::new()), 1 => attributes()].boxed()
}

fn span() -> impl Strategy<Value = Span> {
    let event = (times(), text(), few_attributes(), 0..2_u32).prop_map(
        |(time_unix_nano, name, attributes, dropped_attributes_count)| Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    );
    let link = (id(), id(), text(), few_attributes(), 0..2_u32, flags()).prop_map(
        |(trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags)| Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count,
            flags,
        },
    );
    let status =
        (text(), prop_oneof![0..4, any::<i32>()]).prop_map(|(message, code)| Status { message, code });
    let head = (id(), id(), id(), text(), key(), prop_oneof![0..7, any::<i32>()], flags());
    let lists = (few_attributes(), vec(event, 0..3), vec(link, 0..3), option::of(status));
    (head, times(), times(), lists, (0..2_u32, 0..2_u32, 0..2_u32)).prop_map(
        |(head, start_time_unix_nano, end_time_unix_nano, (attributes, events, links, status), dropped)| {
            let (trace_id, span_id, parent_span_id, trace_state, name, kind, flags) = head;
            Span {
                trace_id,
                span_id,
                parent_span_id,
                trace_state,
                name,
                kind,
                flags,
                start_time_unix_nano,
                end_time_unix_nano,
                attributes,
                dropped_attributes_count: dropped.0,
                events,
                dropped_events_count: dropped.1,
                links,
                dropped_links_count: dropped.2,
                status,
            }
        },
    )
}

fn double() -> impl Strategy<Value = f64> {
    let special = select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1.0, 5e-324]);
    prop_oneof![any::<f64>(), special]
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..1_000_u64, any::<u64>()]
}

fn exemplars() -> impl Strategy<Value = Vec<Exemplar>> {
    let value = prop_oneof![
        double().prop_map(exemplar::Value::AsDouble),
        any::<i64>().prop_map(exemplar::Value::AsInt)
    ];
    let exemplar = (few_attributes(), times(), id(), id(), option::of(value)).prop_map(
        |(filtered_attributes, time_unix_nano, span_id, trace_id, value)| Exemplar {
            filtered_attributes,
            time_unix_nano,
            span_id,
            trace_id,
            value,
        },
    );
    vec(exemplar, 0..3)
}

fn number() -> impl Strategy<Value = NumberDataPoint> {
    let value = prop_oneof![double().prop_map(Number::AsDouble), any::<i64>().prop_map(Number::AsInt)];
    (attributes(), times(), times(), exemplars(), flags(), option::of(value)).prop_map(
        |(attributes, start_time_unix_nano, time_unix_nano, exemplars, flags, value)| NumberDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            exemplars,
            flags,
            value,
        },
    )
}

fn histogram() -> impl Strategy<Value = HistogramDataPoint> {
    let head = (few_attributes(), times(), times(), count(), exemplars(), flags());
    let buckets = (vec(count(), 0..6), vec(double(), 0..6));
    (head, buckets, (option::of(double()), option::of(double()), option::of(double()))).prop_map(
        |((attributes, start, time, count, exemplars, flags), (bucket_counts, explicit_bounds), doubles)| {
            HistogramDataPoint {
                attributes,
                start_time_unix_nano: start,
                time_unix_nano: time,
                count,
                sum: doubles.0,
                bucket_counts,
                explicit_bounds,
                exemplars,
                flags,
                min: doubles.1,
                max: doubles.2,
            }
        },
    )
}

fn exponential() -> impl Strategy<Value = ExponentialHistogramDataPoint> {
    let side = || {
        (any::<i32>(), vec(count(), 0..6))
            .prop_map(|(offset, bucket_counts)| Buckets { offset, bucket_counts })
    };
    let head = (few_attributes(), times(), times(), count(), exemplars(), flags());
    let rest = (any::<i32>(), count(), double(), option::of(side()), option::of(side()));
    (head, rest, (option::of(double()), option::of(double()), option::of(double()))).prop_map(
        |((attributes, start, time, count, exemplars, flags), rest, doubles)| ExponentialHistogramDataPoint {
            attributes,
            start_time_unix_nano: start,
            time_unix_nano: time,
            count,
            sum: doubles.0,
            scale: rest.0,
            zero_count: rest.1,
            positive: rest.3,
            negative: rest.4,
            flags,
            exemplars,
            min: doubles.1,
            max: doubles.2,
            zero_threshold: rest.2,
        },
    )
}

fn summary() -> impl Strategy<Value = SummaryDataPoint> {
    let quantile = (double(), double()).prop_map(|(quantile, value)| ValueAtQuantile { quantile, value });
    (few_attributes(), times(), times(), count(), double(), vec(quantile, 0..3), flags()).prop_map(
        |(attributes, start, time, count, sum, quantile_values, flags)| SummaryDataPoint {
            attributes,
            start_time_unix_nano: start,
            time_unix_nano: time,
            count,
            sum,
            quantile_values,
            flags,
        },
    )
}

fn metric() -> impl Strategy<Value = Metric> {
    let temporality = || prop_oneof![0..4, any::<i32>()];
    let data = prop_oneof![
        vec(number(), 0..4).prop_map(|data_points| Data::Gauge(Gauge { data_points })),
        (vec(number(), 0..4), temporality(), any::<bool>()).prop_map(
            |(data_points, aggregation_temporality, is_monotonic)| Data::Sum(Sum {
                data_points,
                aggregation_temporality,
                is_monotonic
            })
        ),
        (vec(histogram(), 0..4), temporality()).prop_map(|(data_points, aggregation_temporality)| {
            Data::Histogram(Histogram { data_points, aggregation_temporality })
        }),
        (vec(exponential(), 0..4), temporality()).prop_map(|(data_points, aggregation_temporality)| {
            Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality })
        }),
        vec(summary(), 0..4).prop_map(|data_points| Data::Summary(Summary { data_points })),
    ];
    (text(), text(), text(), few_attributes(), option::weighted(0.9, data)).prop_map(
        |(name, description, unit, metadata, data)| Metric { name, description, unit, metadata, data },
    )
}
