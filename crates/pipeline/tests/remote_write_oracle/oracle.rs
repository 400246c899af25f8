//! The document model of remote-write, written down a second time: from prost's structs into serde_json's.

use forebay_proto::prometheus::{BucketSpan, Count, Histogram, ZeroCount, one, two};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

type Labels = Vec<(String, String)>;

impl Outcome {
    /// With documents as they are read back: serde_json does not read every number as it wrote it.
    pub fn read_back(mut self) -> Self {
        for document in &mut self.documents {
            *document = serde_json::from_str(&document.to_string()).unwrap();
        }
        self
    }

    /// With documents in an order of their own: that of records of different kinds means nothing.
    pub fn sorted(mut self) -> Self {
        let members =
            |document: &Value| document.as_object().map(|it| format!("{:?}", BTreeMap::from_iter(it)));
        self.documents.sort_by_cached_key(members);
        self
    }
}

/// What becomes of a request.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    pub documents: Vec<Value>,
    pub rejected: u64,
    pub exemplars: u64,
}

/// A series of either version. Labels that cannot be made out are `None`.
struct Series {
    is_two: bool,
    labels: Option<Labels>,
    samples: Vec<(f64, i64, i64)>,
    histograms: Vec<Histogram>,
    exemplars: Vec<(Option<Labels>, f64, i64)>,
    kind: i32,
    /// Help and unit.
    texts: Option<(String, String)>,
    created: i64,
}

pub fn of_one(request: &one::WriteRequest, arrived: i64) -> Outcome {
    let mut outcome = Outcome::default();
    let labels = |labels: &[one::Label]| {
        Some(labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect::<Labels>())
    };
    for series in &request.timeseries {
        outcome.add(&Series {
            is_two: false,
            labels: labels(&series.labels),
            samples: series.samples.iter().map(|sample| (sample.value, sample.timestamp, 0)).collect(),
            histograms: series.histograms.clone(),
            exemplars: series
                .exemplars
                .iter()
                .map(|it| (labels(&it.labels), it.value, it.timestamp))
                .collect(),
            kind: 0,
            texts: Some(Default::default()),
            created: 0,
        });
    }
    for metadata in &request.metadata {
        let mut document = Map::new();
        document.insert("@timestamp".to_owned(), rfc3339(arrived));
        text("metric.name", &metadata.metric_family_name, &mut document);
        about(metadata.r#type, &metadata.help, &metadata.unit, &mut document);
        outcome.documents.push(Value::Object(document));
    }
    outcome
}

/// `None`: the request is refused whole.
pub fn of_two(request: &two::Request) -> Option<Outcome> {
    let mut outcome = Outcome::default();
    if request.symbols.first().is_some_and(|first| !first.is_empty()) {
        return None;
    }
    let symbol = |number: u32| request.symbols.get(number as usize).cloned();
    let labels = |numbers: &[u32]| {
        let texts: Option<Vec<String>> = numbers.iter().map(|number| symbol(*number)).collect();
        let texts = texts.filter(|texts| texts.len() % 2 == 0)?;
        Some(texts.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect::<Labels>())
    };
    for series in &request.timeseries {
        let about = series.metadata.unwrap_or_default();
        // References that are not written are not looked up.
        let text = |number: u32| if number == 0 { Some(String::new()) } else { symbol(number) };
        outcome.add(&Series {
            is_two: true,
            labels: labels(&series.labels_refs),
            samples: series.samples.iter().map(|it| (it.value, it.timestamp, it.start_timestamp)).collect(),
            histograms: series.histograms.clone(),
            exemplars: series
                .exemplars
                .iter()
                .map(|it| (labels(&it.labels_refs), it.value, it.timestamp))
                .collect(),
            kind: about.r#type,
            texts: text(about.help_ref).zip(text(about.unit_ref)),
            created: series.created_timestamp,
        });
    }
    Some(outcome)
}

impl Outcome {
    fn add(&mut self, series: &Series) {
        let mut records = Vec::new();
        let mut bad = 0;
        for (value, time, start) in &series.samples {
            if is_time(*time) && is_time(*start) {
                records.push(sample(*value, *time, *start));
            } else {
                bad += 1;
            }
        }
        for histogram in &series.histograms {
            let is_good = is_time(histogram.timestamp) && is_time(histogram.start_timestamp);
            if is_good && is_sound(histogram) {
                records.push(document_of(histogram));
            } else {
                bad += 1;
            }
        }
        if records.is_empty() && bad == 0 {
            if let Some((_, _, time)) = series.exemplars.first().filter(|(.., time)| is_time(*time)) {
                records.push(at(*time, 0));
            } else if series.is_two || !series.exemplars.is_empty() {
                self.rejected += 1;
                return;
            } else {
                return;
            }
        }
        let is_mixed = series.is_two && !series.samples.is_empty() && !series.histograms.is_empty();
        let labels = series.labels.as_ref().filter(|labels| are_sound(labels) && !labels.is_empty());
        let (Some(labels), Some((help, unit))) = (labels, &series.texts) else {
            self.rejected += records.len() as u64 + bad;
            return;
        };
        let has_bad_exemplar = series
            .exemplars
            .iter()
            .any(|(labels, _, time)| !is_time(*time) || !labels.as_ref().is_some_and(are_sound));
        if is_mixed || has_bad_exemplar || !is_time(series.created) {
            self.rejected += records.len() as u64 + bad;
            return;
        }
        self.rejected += bad;
        if let Some(last) = records.last_mut()
            && !series.exemplars.is_empty()
        {
            last.insert("exemplars".to_owned(), series.exemplars.iter().map(exemplar).collect());
            self.exemplars += series.exemplars.len() as u64;
        }
        for mut document in records {
            if series.created != 0 && !document.contains_key("start_timestamp") {
                document.insert("start_timestamp".to_owned(), rfc3339(series.created * 1_000_000));
            }
            about(series.kind, help, unit, &mut document);
            for (name, value) in labels {
                if name == "__name__" {
                    text("metric.name", value, &mut document);
                } else {
                    let prefix = if is_fixed(name) { "attributes." } else { "" };
                    document.insert(format!("{prefix}{name}"), json!(value));
                }
            }
            self.documents.push(Value::Object(document));
        }
    }
}

fn is_time(millis: i64) -> bool {
    i128::from(millis) * 1_000_000 == i128::from(millis.saturating_mul(1_000_000))
}

fn are_sound(labels: &Labels) -> bool {
    let names: BTreeSet<&str> = labels.iter().map(|(name, _)| name.as_str()).collect();
    names.len() == labels.len() && !names.contains("")
}

fn is_fixed(name: &str) -> bool {
    const FIXED: &str = "@timestamp start_timestamp value count sum min max bucket_counts explicit_bounds scale \
                         zero_count zero_threshold quantile_values exemplars metric positive negative attributes \
                         resource scope _id _index _source";
    let object = name.split('.').next().unwrap_or_default();
    FIXED.split_whitespace().any(|fixed| fixed == name)
        || ["metric", "positive", "negative", "attributes", "resource", "scope"].contains(&object)
}

fn is_sound(histogram: &Histogram) -> bool {
    if is_stale(histogram.sum) {
        return true;
    }
    let is_float = matches!(histogram.count, Some(Count::CountFloat(_)));
    let is_sound_side = |spans: &[BucketSpan], deltas: &[i64], counts: &[f64]| {
        let buckets: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
        let (own, other) = if is_float { (counts.len(), deltas.len()) } else { (deltas.len(), counts.len()) };
        let mut sum = 0i128;
        let are_counts = deltas.iter().all(|delta| {
            sum += i128::from(*delta);
            (0..=i128::from(i64::MAX)).contains(&sum)
        });
        other == 0
            && own as u64 == buckets
            && are_counts
            && counts.iter().all(|count| count.is_finite() && *count >= 0.0)
            && spans.iter().skip(1).all(|span| span.offset >= 0)
    };
    let are_numbers = !matches!(histogram.count, Some(Count::CountFloat(count)) if !count.is_finite())
        && !matches!(histogram.zero_count, Some(ZeroCount::ZeroCountFloat(count)) if !count.is_finite())
        && histogram.zero_threshold.is_finite();
    let has_zeros = !matches!(
        histogram.zero_count,
        None | Some(ZeroCount::ZeroCountInt(0) | ZeroCount::ZeroCountFloat(0.0))
    );
    let bounds = &histogram.custom_values;
    let places = places(&histogram.positive_spans);
    let buckets_fit = if histogram.schema == -53 {
        let is_inside = |place: &i64| (0..=bounds.len() as i64).contains(place);
        // The end of the spans counts, even if they are empty.
        let end: i64 =
            histogram.positive_spans.iter().map(|span| i64::from(span.offset) + i64::from(span.length)).sum();
        let start = histogram.positive_spans.first().map_or(0, |span| span.offset);
        let negative: u64 = histogram.negative_spans.iter().map(|span| u64::from(span.length)).sum();
        places.iter().all(is_inside)
            && start >= 0
            && end <= bounds.len() as i64 + 1
            && negative == 0
            && !has_zeros
    } else {
        (-9..=52).contains(&histogram.schema) && bounds.is_empty()
    };
    is_sound_side(&histogram.positive_spans, &histogram.positive_deltas, &histogram.positive_counts)
        && is_sound_side(&histogram.negative_spans, &histogram.negative_deltas, &histogram.negative_counts)
        && are_numbers
        && bounds.iter().all(|bound| bound.is_finite())
        && bounds.windows(2).all(|pair| pair[0] < pair[1])
        && buckets_fit
}

/// The index of each bucket, as Prometheus counts them.
fn places(spans: &[BucketSpan]) -> Vec<i64> {
    let mut places = Vec::new();
    let mut at = 0;
    for span in spans {
        at += i64::from(span.offset);
        // More than a test makes is a lie, which is found by other means.
        places.extend(at..at + i64::from(span.length.min(1000)));
        at += i64::from(span.length);
    }
    places
}

fn sample(value: f64, time: i64, start: i64) -> Map<String, Value> {
    let mut document = at(time, start);
    if is_stale(value) {
        document.insert("metric.stale".to_owned(), json!(true));
    } else {
        number("value", "metric.non_finite", value, &mut document);
    }
    document
}

fn document_of(histogram: &Histogram) -> Map<String, Value> {
    let mut document = at(histogram.timestamp, histogram.start_timestamp);
    if is_stale(histogram.sum) {
        document.insert("metric.stale".to_owned(), json!(true));
        return document;
    }
    let mut set = |name: &str, value: Value| drop(document.insert(name.to_owned(), value));
    set(
        "count",
        match histogram.count {
            None => json!(0),
            Some(Count::CountInt(count)) => json!(count),
            Some(Count::CountFloat(count)) => json!(count),
        },
    );
    match histogram.reset_hint {
        0 => {}
        1 => set("metric.reset_hint", json!("yes")),
        2 => set("metric.reset_hint", json!("no")),
        3 => set("metric.reset_hint", json!("gauge")),
        other => set("metric.reset_hint", json!(other.to_string())),
    }
    let positive = counts(&histogram.positive_deltas, &histogram.positive_counts);
    if histogram.schema == -53 {
        let mut dense = vec![json!(0); histogram.custom_values.len() + 1];
        for (place, count) in places(&histogram.positive_spans).into_iter().zip(positive) {
            dense[place as usize] = count;
        }
        set("explicit_bounds", json!(histogram.custom_values));
        set("bucket_counts", json!(dense));
    } else {
        set("scale", json!(histogram.schema));
        set("zero_threshold", json!(histogram.zero_threshold));
        set(
            "zero_count",
            match histogram.zero_count {
                None => json!(0),
                Some(ZeroCount::ZeroCountInt(count)) => json!(count),
                Some(ZeroCount::ZeroCountFloat(count)) => json!(count),
            },
        );
        let negative = counts(&histogram.negative_deltas, &histogram.negative_counts);
        for (side, spans, counts) in [
            ("positive", &histogram.positive_spans, positive),
            ("negative", &histogram.negative_spans, negative),
        ] {
            let Some(first) = spans.first() else { continue };
            set(&format!("{side}.offset"), json!(i64::from(first.offset) - 1));
            set(&format!("{side}.bucket_counts"), json!(counts));
            if spans.len() > 1 {
                let span = |span: &BucketSpan| json!({"offset": span.offset, "length": span.length});
                set(&format!("{side}.spans"), spans.iter().map(span).collect());
            }
        }
    }
    number("sum", "metric.non_finite", histogram.sum, &mut document);
    document
}

fn counts(deltas: &[i64], counts: &[f64]) -> Vec<Value> {
    let mut sum = 0;
    let ints = deltas.iter().map(|delta| {
        sum += delta;
        json!(sum)
    });
    ints.chain(counts.iter().map(|count| json!(count))).collect()
}

fn exemplar((labels, value, time): &(Option<Labels>, f64, i64)) -> Value {
    let mut exemplar = Map::new();
    exemplar.insert("@timestamp".to_owned(), rfc3339(time * 1_000_000));
    number("value", "non_finite", *value, &mut exemplar);
    let mut attributes = Map::new();
    for (name, value) in labels.iter().flatten() {
        let own = ["trace_id", "span_id"].contains(&name.as_str());
        let place = if own { &mut exemplar } else { &mut attributes };
        place.insert(name.clone(), json!(value));
    }
    if !attributes.is_empty() {
        exemplar.insert("attributes".to_owned(), Value::Object(attributes));
    }
    Value::Object(exemplar)
}

fn at(time: i64, start: i64) -> Map<String, Value> {
    let mut document = Map::new();
    document.insert("@timestamp".to_owned(), rfc3339(time * 1_000_000));
    if start != 0 {
        document.insert("start_timestamp".to_owned(), rfc3339(start * 1_000_000));
    }
    document
}

fn about(kind: i32, help: &str, unit: &str, document: &mut Map<String, Value>) {
    const KINDS: [&str; 7] =
        ["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"];
    if kind != 0 {
        let known = usize::try_from(kind - 1).ok().and_then(|at| KINDS.get(at));
        text("metric.type", &known.map_or(kind.to_string(), |name| (*name).to_owned()), document);
    }
    text("metric.description", help, document);
    text("metric.unit", unit, document);
}

fn text(name: &str, text: &str, document: &mut Map<String, Value>) {
    if !text.is_empty() {
        document.insert(name.to_owned(), json!(text));
    }
}

fn number(name: &str, otherwise: &str, value: f64, document: &mut Map<String, Value>) {
    if value.is_finite() {
        document.insert(name.to_owned(), json!(value));
    } else {
        let word =
            if value.is_nan() { "NaN".to_owned() } else { format!("{value}").replace("inf", "Infinity") };
        document.insert(otherwise.to_owned(), json!(word));
    }
}

fn is_stale(value: f64) -> bool {
    value.to_bits() == 0x7ff0_0000_0000_0002
}

fn rfc3339(nanos: i64) -> Value {
    let time = jiff::Timestamp::from_nanosecond(i128::from(nanos)).unwrap();
    let printer = jiff::fmt::temporal::DateTimePrinter::new().precision(Some(9));
    json!(printer.timestamp_to_string(&time))
}
