//! Names: which fields of the document are taken, and what severity numbers are called.

use crate::Signal;

/// Where an attribute goes whose name is taken.
pub(super) const ATTRIBUTES: &str = "attributes.";
pub(super) const RESOURCE: &str = "resource.";
pub(super) const RESOURCE_ATTRIBUTES: &str = "resource.attributes.";
pub(super) const SCOPE: &str = "scope.";
pub(super) const SCOPE_ATTRIBUTES: &str = "scope.attributes.";

/// The fixed fields of a span's document.
const OF_SPANS: [&str; 17] = [
    "end_timestamp",
    "duration",
    "trace_id",
    "span_id",
    "parent_span_id",
    "trace_state",
    "name",
    "kind",
    "status.code",
    "status.message",
    "flags",
    "events",
    "links",
    "dropped_attributes_count",
    "dropped_events_count",
    "dropped_links_count",
    "@timestamp",
];
/// The fixed fields of a data point's document, beside those that begin with [`METRIC`].
const OF_POINTS: [&str; 18] = [
    "start_timestamp",
    "value",
    "count",
    "sum",
    "min",
    "max",
    "bucket_counts",
    "explicit_bounds",
    "scale",
    "zero_count",
    "zero_threshold",
    "positive.offset",
    "positive.bucket_counts",
    "negative.offset",
    "negative.bucket_counts",
    "quantile_values",
    "exemplars",
    "@timestamp",
];
const METRIC: &str = "metric.";

/// Metadata fields of Elasticsearch, which refuses them inside a document or answers searches for them itself.
const METADATA: [&str; 19] = [
    "_id",
    "_index",
    "_source",
    "_type",
    "_routing",
    "_version",
    "_seq_no",
    "_primary_term",
    "_size",
    "_ignored",
    "_field_names",
    "_doc_count",
    "_tier",
    "_meta",
    "_nested_path",
    "_ignored_source",
    "_data_stream_timestamp",
    "_ts_routing_hash",
    "_inference_fields",
];

/// Whether a record attribute of this name would meet a field of another source.
pub(crate) fn is_taken(signal: Signal, name: &[u8]) -> bool {
    let is_in = |fields: &[&str]| fields.iter().any(|field| field.as_bytes() == name);
    match signal {
        Signal::Logs => is_taken_in_logs(name),
        Signal::Traces => is_taken_anywhere(name) || is_in(&OF_SPANS),
        Signal::Metrics => {
            is_taken_anywhere(name) || is_in(&OF_POINTS) || name.starts_with(METRIC.as_bytes())
        }
    }
}

/// Whether documents of every signal have this field, or may have it.
fn is_taken_anywhere(name: &[u8]) -> bool {
    let prefixes = [ATTRIBUTES, RESOURCE, SCOPE];
    name.is_empty()
        || prefixes.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
        || METADATA.iter().any(|field| field.as_bytes() == name)
}

/// The first byte decides for nearly every name, so that no more than two comparisons are made.
fn is_taken_in_logs(name: &[u8]) -> bool {
    let Some(first) = name.first() else { return true };
    match first {
        b'@' => name == b"@timestamp",
        b'_' => METADATA.iter().any(|field| field.as_bytes() == name),
        b'a' => name.starts_with(ATTRIBUTES.as_bytes()),
        b'b' => name == b"body",
        b'd' => name == b"dropped_attributes_count",
        b'e' => name == b"event_name",
        b'l' => name == b"level",
        b'm' => name == b"message",
        b'n' => name == b"name",
        b'o' => name == b"observed_timestamp",
        b'r' => name.starts_with(RESOURCE.as_bytes()),
        b's' => matches!(name, b"severity_number" | b"span_id") || name.starts_with(SCOPE.as_bytes()),
        b't' => matches!(name, b"trace_id" | b"trace_flags"),
        _ => false,
    }
}

/// The prefix of a resource attribute of this name.
pub(super) fn resource_prefix(name: &[u8]) -> &'static str {
    match name {
        b"" | b"schema_url" | b"dropped_attributes_count" | b"entity_refs" => RESOURCE_ATTRIBUTES,
        _ if name.starts_with(ATTRIBUTES.as_bytes()) => RESOURCE_ATTRIBUTES,
        _ => RESOURCE,
    }
}

/// The prefix of a scope attribute of this name.
pub(super) fn scope_prefix(name: &[u8]) -> &'static str {
    match name {
        b"" | b"name" | b"version" | b"schema_url" | b"dropped_attributes_count" => SCOPE_ATTRIBUTES,
        _ if name.starts_with(ATTRIBUTES.as_bytes()) => SCOPE_ATTRIBUTES,
        _ => SCOPE,
    }
}

/// The name of a severity number (`opentelemetry/proto/logs/v1/logs.proto`, enum `SeverityNumber`), if it has one.
pub(crate) fn severity_name(number: i32) -> Option<&'static str> {
    const NAMES: [&str; 24] = [
        "TRACE", "TRACE2", "TRACE3", "TRACE4", "DEBUG", "DEBUG2", "DEBUG3", "DEBUG4", "INFO", "INFO2",
        "INFO3", "INFO4", "WARN", "WARN2", "WARN3", "WARN4", "ERROR", "ERROR2", "ERROR3", "ERROR4", "FATAL",
        "FATAL2", "FATAL3", "FATAL4",
    ];
    let place = usize::try_from(number).ok()?.checked_sub(1)?;
    NAMES.get(place).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_names_are_the_fixed_ones_their_prefixes_and_metadata() {
        let fixed = "@timestamp observed_timestamp level severity_number message body name trace_id span_id \
                     trace_flags event_name dropped_attributes_count";
        for name in fixed.split(' ').chain(METADATA).chain(["", "resource.", "scope.x", "attributes.a"]) {
            assert!(is_taken(Signal::Logs, name.as_bytes()), "{name}");
        }
        for name in
            ["levels", "resource", "_ids", "Level", "severity", "component", "http.method", "scope", "é"]
        {
            assert!(!is_taken(Signal::Logs, name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn severity_names_end_with_their_ranges() {
        let names = [0, 1, 4, 9, 10, 24, 25, -1].map(severity_name);
        let expected =
            [None, Some("TRACE"), Some("TRACE4"), Some("INFO"), Some("INFO2"), Some("FATAL4"), None, None];
        assert_eq!(names, expected);
    }
}
