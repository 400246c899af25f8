//! What the fields of each kind of documents are.

use super::{Features, Kind};
use serde_json::{Value, json};

/// Longest text (characters) that can be searched as a whole: Lucene's limit of 32,766 bytes, at up to four bytes each.
const IGNORE_ABOVE: u32 = 8_191;
/// The same within a flattened field, where the name beside it counts too.
const FLAT_IGNORE_ABOVE: u32 = 8_000;

/// Fields that are words whatever the first document has in them.
const WORDS: [&str; 10] = [
    "level",
    "severity",
    "name",
    "component",
    "service.name",
    "mood",
    "result",
    "endpoint",
    "trace_id",
    "span_id",
];
const WORDS_OF_SPANS: [&str; 10] = [
    "name",
    "kind",
    "status.code",
    "status.message",
    "component",
    "service.name",
    "trace_id",
    "span_id",
    "parent_span_id",
    "trace_state",
];
const WORDS_OF_POINTS: [&str; 7] = [
    "metric.name",
    "metric.unit",
    "metric.type",
    "metric.temporality",
    "metric.non_finite",
    "component",
    "service.name",
];
/// What a double may be; what is not finite is a text, and stays in the document.
const DOUBLES_OF_POINTS: [&str; 6] = ["value", "sum", "min", "max", "explicit_bounds", "zero_threshold"];
/// Counts have 64 bits; the few beyond `long` stay in the document.
const COUNTS_OF_POINTS: [&str; 5] =
    ["count", "bucket_counts", "zero_count", "positive.bucket_counts", "negative.bucket_counts"];

/// The mappings of documents of this kind.
pub(super) fn mappings(kind: Kind, features: Features) -> Value {
    let word = json!({ "type": "keyword", "ignore_above": IGNORE_ABOVE });
    let mut properties = match kind {
        Kind::All => of_logs(),
        Kind::Traces => of_spans(),
        Kind::Metrics => of_points(),
    };
    let (words, flattened): (&[&str], &[&str]) = match kind {
        Kind::All => (&WORDS, &[]),
        Kind::Traces => (&WORDS_OF_SPANS, &["events", "links"]),
        Kind::Metrics => (&WORDS_OF_POINTS, &["exemplars", "quantile_values", "metric.metadata"]),
    };
    properties["@timestamp"] = date();
    for name in words {
        properties[*name] = word.clone();
    }
    // Any names and types may be inside of these, and none of them must make a later document a refused one.
    for name in flattened.iter().filter(|_| features.flattened) {
        properties[*name] = json!({ "type": "flattened", "ignore_above": FLAT_IGNORE_ABOVE });
    }
    let mut mappings = json!({
        // Else the first text that looks like a date makes every later one that does not a refused document.
        "date_detection": false,
        "dynamic_templates": [{ "words": { "match_mapping_type": "string", "mapping": word } }],
        "properties": properties,
    });
    if features.flat_names {
        mappings["subobjects"] = json!(false);
    }
    mappings
}

fn date() -> Value {
    json!({ "type": "date", "format": "strict_date_optional_time||epoch_millis" })
}

fn of_logs() -> Value {
    json!({
        "observed_timestamp": date(),
        "message": { "type": "text" },
        "severity_number": { "type": "integer" },
        // A text of digits must not be found as the number that it looks like; it stays in the document.
        "api.duration": { "type": "double", "coerce": false, "ignore_malformed": true },
    })
}

fn of_spans() -> Value {
    json!({ "end_timestamp": date(), "duration": { "type": "long" } })
}

fn of_points() -> Value {
    let mut properties = json!({
        "start_timestamp": date(),
        "metric.description": { "type": "text" },
        "metric.monotonic": { "type": "boolean" },
    });
    for name in DOUBLES_OF_POINTS {
        properties[name] = json!({ "type": "double", "ignore_malformed": true });
    }
    for name in COUNTS_OF_POINTS {
        properties[name] = json!({ "type": "long", "ignore_malformed": true });
    }
    properties
}
