//! Requests of every shape that the messages allow, most of them sound.

use forebay_proto::prometheus::{BucketSpan, Count, Histogram, ZeroCount, one, two};
use proptest::prelude::*;

const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Milliseconds since 1970, mostly of these years.
fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        20 => 1_700_000_000_000i64..1_800_000_000_000,
        1 => Just(0),
        1 => any::<i64>(),
        1 => -9_300_000_000_000i64..9_300_000_000_000,
    ]
}

fn start() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0), 1 => time()]
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        10 => any::<f64>(),
        5 => (-1000i32..1000).prop_map(f64::from),
        1 => Just(STALE),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
    ]
}

/// Names that meet each other and those that are taken.
fn name() -> impl Strategy<Value = String> {
    const NAMES: [&str; 14] = [
        "__name__",
        "job",
        "instance",
        "le",
        "value",
        "metric",
        "metric.name",
        "_id",
        "resource.x",
        "trace_id",
        "span_id",
        "attributes.value",
        "é\"\\",
        "",
    ];
    prop::sample::select(&NAMES[..]).prop_map(str::to_owned)
}

fn labels() -> impl Strategy<Value = Vec<one::Label>> {
    let label = (name(), "[a-c\"\n]{0,4}").prop_map(|(name, value)| one::Label { name, value });
    let sorted = prop::collection::btree_map("[a-f]{1,2}|__name__|value", "[x-z]{1,3}", 1..6)
        .prop_map(|map| map.into_iter().map(|(name, value)| one::Label { name, value }).collect());
    prop_oneof![4 => sorted, 1 => prop::collection::vec(label, 0..5)]
}

fn sample() -> impl Strategy<Value = two::Sample> {
    (double(), time(), start()).prop_map(|(value, timestamp, start_timestamp)| two::Sample {
        value,
        timestamp,
        start_timestamp,
    })
}

fn spans() -> impl Strategy<Value = Vec<BucketSpan>> {
    let span = (0i32..5, 0u32..4).prop_map(|(offset, length)| BucketSpan { offset, length });
    (prop::collection::vec(span, 0..4), -9i32..9).prop_map(|(mut spans, first)| {
        if let Some(span) = spans.first_mut() {
            span.offset = first;
        }
        spans
    })
}

/// A histogram that is sound, but for what `histogram` spoils.
fn sound() -> impl Strategy<Value = Histogram> {
    let counts = prop::collection::vec(0u32..1000, 12);
    let parts = (spans(), spans(), counts, any::<bool>(), any::<bool>(), -9i32..=10, double(), 0..5i32);
    (parts, time(), start()).prop_map(|(parts, timestamp, start_timestamp)| {
        let (mut positive, mut negative, counts, is_float, is_custom, schema, sum, reset_hint) = parts;
        let mut bounds = Vec::new();
        if is_custom {
            negative.clear();
            if let Some(span) = positive.first_mut() {
                span.offset = span.offset.abs();
            }
            let end: i32 = positive.iter().map(|span| span.offset + span.length as i32).sum();
            bounds = (0..end).map(|at| f64::from(at) / 2.0).collect();
        }
        let of = |spans: &[BucketSpan]| {
            let buckets = spans.iter().map(|span| span.length as usize).sum();
            let counts: Vec<i64> =
                counts.iter().cycle().take(buckets).map(|count| i64::from(*count)).collect();
            let deltas = counts.iter().scan(0, |last, count| Some(count - std::mem::replace(last, *count)));
            let (floats, ints): (Vec<f64>, Vec<i64>) = if is_float {
                (counts.iter().map(|count| *count as f64 / 4.0).collect(), Vec::new())
            } else {
                (Vec::new(), deltas.collect())
            };
            (floats, ints)
        };
        let (positive_counts, positive_deltas) = of(&positive);
        let (negative_counts, negative_deltas) = of(&negative);
        let zeros = if is_custom { 0 } else { 7 };
        Histogram {
            count: Some(if is_float { Count::CountFloat(4.5) } else { Count::CountInt(u64::MAX) }),
            sum,
            schema: if is_custom { -53 } else { schema },
            zero_threshold: 1e-128,
            zero_count: Some(if is_float {
                ZeroCount::ZeroCountFloat(f64::from(zeros))
            } else {
                ZeroCount::ZeroCountInt(zeros as u64)
            }),
            negative_spans: negative,
            negative_deltas,
            negative_counts,
            positive_spans: positive,
            positive_deltas,
            positive_counts,
            reset_hint,
            timestamp,
            custom_values: bounds,
            start_timestamp,
        }
    })
}

fn histogram() -> impl Strategy<Value = Histogram> {
    (sound(), 0u8..40, double()).prop_map(|(mut it, spoilt, number)| {
        match spoilt {
            0 => it.positive_deltas.push(1),
            1 => it.negative_counts.push(number),
            2 => it.positive_spans.push(BucketSpan { offset: -1, length: 1 }),
            3 => it.custom_values.push(number),
            4 => it.schema = 53,
            5 => it.zero_threshold = number,
            6 => it.count = Some(Count::CountFloat(number)),
            7 => it.count = None,
            8 => it.zero_count = Some(ZeroCount::ZeroCountFloat(number)),
            9 => it.positive_deltas.iter_mut().for_each(|delta| *delta -= 500),
            10 => it.schema = -53,
            11 => it.positive_spans.push(BucketSpan { offset: i32::MAX, length: u32::MAX }),
            12 => it.negative_spans.push(BucketSpan { offset: 3, length: 0 }),
            _ => {}
        }
        it
    })
}

pub fn request_one() -> impl Strategy<Value = one::WriteRequest> {
    let exemplar = (labels(), double(), time()).prop_map(|(labels, value, timestamp)| one::Exemplar {
        labels,
        value,
        timestamp,
    });
    let samples = prop::collection::vec(sample(), 0..4);
    let histograms = prop::collection::vec(histogram(), 0..2);
    let exemplars = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(exemplar, 0..3)];
    let series =
        (labels(), samples, exemplars, histograms).prop_map(|(labels, samples, exemplars, histograms)| {
            let one = |it: two::Sample| one::Sample { value: it.value, timestamp: it.timestamp };
            let samples = samples.into_iter().map(one).collect();
            one::TimeSeries { labels, samples, exemplars, histograms }
        });
    let metadata = (-1..9i32, "[a-c]{0,2}", "[a-c]{0,2}", "[a-c]{0,2}").prop_map(
        |(r#type, metric_family_name, help, unit)| one::MetricMetadata {
            r#type,
            metric_family_name,
            help,
            unit,
        },
    );
    (prop::collection::vec(series, 0..4), prop::collection::vec(metadata, 0..2))
        .prop_map(|(timeseries, metadata)| one::WriteRequest { timeseries, metadata })
}

pub fn request_two() -> impl Strategy<Value = two::Request> {
    let exemplar = (labels(), double(), time());
    let readings = prop_oneof![
        4 => (prop::collection::vec(sample(), 1..4), Just(Vec::new())),
        2 => (Just(Vec::new()), prop::collection::vec(histogram(), 1..3)),
        1 => (prop::collection::vec(sample(), 0..2), prop::collection::vec(histogram(), 0..2)),
    ];
    let exemplars = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(exemplar, 0..3)];
    let about = prop::option::of((-1..9i32, "[a-c]{0,2}", "[a-c]{0,2}"));
    let series = (labels(), readings, exemplars, about, start(), 0u8..30);
    (prop::collection::vec(series, 0..4), 0u8..30).prop_map(|(all, spoilt)| {
        let mut symbols = vec![String::new()];
        let mut refer = |text: &str| {
            let known = symbols.iter().position(|symbol| symbol == text);
            let at = known.unwrap_or_else(|| {
                symbols.push(text.to_owned());
                symbols.len() - 1
            });
            at as u32
        };
        let mut timeseries = Vec::new();
        for (labels, (samples, histograms), exemplars, about, created_timestamp, spoilt) in all {
            let mut refs = |labels: &[one::Label]| -> Vec<u32> {
                labels.iter().flat_map(|label| [refer(&label.name), refer(&label.value)]).collect()
            };
            let mut labels_refs = refs(&labels);
            let exemplars = exemplars.iter().map(|(labels, value, timestamp)| two::Exemplar {
                labels_refs: refs(labels),
                value: *value,
                timestamp: *timestamp,
            });
            let exemplars = exemplars.collect();
            let mut metadata = about.map(|(r#type, help, unit)| two::Metadata {
                r#type,
                help_ref: refer(&help),
                unit_ref: refer(&unit),
            });
            match spoilt {
                0 => labels_refs.push(1),
                1 => labels_refs.extend([9999, 1]),
                2 => metadata = Some(two::Metadata { help_ref: 9999, ..two::Metadata::default() }),
                _ => {}
            }
            timeseries.push(two::TimeSeries {
                labels_refs,
                samples,
                histograms,
                exemplars,
                metadata,
                created_timestamp,
            });
        }
        match spoilt {
            0 => symbols[0].push('x'),
            1 => symbols.clear(),
            _ => {}
        }
        two::Request { symbols, timeseries }
    })
}
