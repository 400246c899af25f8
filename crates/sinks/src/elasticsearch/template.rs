//! The index template: what the fields of our documents are, and a bound on how many there may be.

use super::answer::request_reason;
use super::nodes::{Answer, Call, Nodes};
use super::{Template, common_headers, json_body};
use elasticsearch::http::headers::{CONTENT_TYPE, HeaderValue};
use reqwest::Method;
use serde_json::{Value, json};

/// Longest text (characters) that can be searched as a whole: Lucene's limit of 32,766 bytes, at up to four bytes each.
const IGNORE_ABOVE: u32 = 8_191;
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

/// What only some servers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Features {
    /// Elasticsearch 8.3, not OpenSearch 2. Without it, `http` and `http.method` cannot be in one index.
    flat_names: bool,
    /// Elasticsearch 8.14. Without it, a document with a field too many is refused.
    field_overflow: bool,
}

/// Installs the template, or replaces it by itself.
///
/// # Errors
/// What the server or the network said. Trying again is harmless.
pub(super) async fn install(sink: &str, nodes: &Nodes, template: &Template) -> Result<(), String> {
    let mut features = Features { flat_names: true, field_overflow: true };
    loop {
        let answer = put(nodes, template, features).await?;
        if answer.status.is_success() {
            tracing::info!(sink, template = template.name, ?features, "index template installed");
            return Ok(());
        }
        let reason = request_reason(&answer);
        let Some(less) = without_refused(features, answer.status.as_u16(), &answer.body) else {
            return Err(format!("index template {}: {reason}", template.name));
        };
        tracing::debug!(sink, reason, "the server lacks a feature of the index template");
        features = less;
    }
}

async fn put(nodes: &Nodes, template: &Template, features: Features) -> Result<Answer, String> {
    let mut headers = common_headers();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let path = format!("/_index_template/{}", template.name);
    let call = Call { method: Method::PUT, path: &path, headers, query: &[], records: 0 };
    nodes.send(call, json_body(&render(template, features))).await.map_err(|failure| failure.reason)
}

/// What to do without, if the server refused the template because of it.
fn without_refused(features: Features, status: u16, said: &[u8]) -> Option<Features> {
    let names = |feature: &str| status == 400 && memchr::memmem::find(said, feature.as_bytes()).is_some();
    if features.flat_names && names("subobjects") {
        return Some(Features { flat_names: false, ..features });
    }
    if features.field_overflow && names("ignore_dynamic_beyond_limit") {
        return Some(Features { field_overflow: false, ..features });
    }
    None
}

fn render(template: &Template, features: Features) -> Value {
    let mut limits = json!({ "limit": template.total_fields_limit });
    if features.field_overflow {
        limits["ignore_dynamic_beyond_limit"] = json!(true);
    }
    let mut index = json!({
        "refresh_interval": format!("{}ms", template.refresh_interval.0.as_millis()),
        "mapping": { "total_fields": limits },
    });
    if let Some(shards) = template.shards {
        index["number_of_shards"] = json!(shards);
    }
    if let Some(replicas) = template.replicas {
        index["number_of_replicas"] = json!(replicas);
    }
    let mut rendered = json!({
        "index_patterns": template.patterns,
        "priority": template.priority,
        "_meta": { "managed_by": "forebay" },
        "template": { "settings": { "index": index }, "mappings": mappings(features) },
    });
    if template.data_stream {
        rendered["data_stream"] = json!({});
    }
    rendered
}

fn mappings(features: Features) -> Value {
    let word = json!({ "type": "keyword", "ignore_above": IGNORE_ABOVE });
    let mut properties = json!({
        "@timestamp": { "type": "date", "format": "strict_date_optional_time||epoch_millis" },
        "observed_timestamp": { "type": "date", "format": "strict_date_optional_time||epoch_millis" },
        "message": { "type": "text" },
        "severity_number": { "type": "integer" },
        // A text of digits must not be found as the number that it looks like; it stays in the document.
        "api.duration": { "type": "double", "coerce": false, "ignore_malformed": true },
    });
    for name in WORDS {
        properties[name] = word.clone();
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ALL: Features = Features { flat_names: true, field_overflow: true };

    #[test]
    fn what_a_server_refuses_is_left_out_one_by_one() {
        let opensearch = br#"{"error":{"type":"mapper_parsing_exception","reason":"Root mapping definition has unsupported parameters:  [subobjects : false]"},"status":400}"#;
        let less = without_refused(ALL, 400, opensearch).unwrap();
        assert_eq!(less, Features { flat_names: false, field_overflow: true });
        let unknown = b"unknown setting [index.mapping.total_fields.ignore_dynamic_beyond_limit]";
        let least = without_refused(less, 400, unknown).unwrap();
        assert_eq!(least, Features { flat_names: false, field_overflow: false });
        assert_eq!(without_refused(least, 400, unknown), None);
        assert_eq!(without_refused(ALL, 403, opensearch), None);
        assert_eq!(without_refused(ALL, 400, b"composable template [x] is broken"), None);
    }

    #[test]
    fn settings_and_features_show_in_the_template() {
        let rendered = render(&Template::default(), ALL);
        assert_eq!(rendered["index_patterns"], json!(["project-ai-*"]));
        assert_eq!(rendered["template"]["mappings"]["subobjects"], json!(false));
        assert_eq!(
            rendered["template"]["settings"]["index"],
            json!({
                "refresh_interval": "30000ms",
                "mapping": { "total_fields": { "limit": 1_000, "ignore_dynamic_beyond_limit": true } },
            })
        );
        assert_eq!(rendered.get("data_stream"), None);

        let template =
            Template { shards: Some(2), replicas: Some(0), data_stream: true, ..Template::default() };
        let rendered = render(&template, Features { flat_names: false, field_overflow: false });
        assert_eq!(rendered["template"]["mappings"].get("subobjects"), None);
        assert_eq!(
            rendered["template"]["settings"]["index"]["mapping"],
            json!({ "total_fields": { "limit": 1_000 } })
        );
        assert_eq!(rendered["template"]["settings"]["index"]["number_of_shards"], json!(2));
        assert_eq!(rendered["template"]["settings"]["index"]["number_of_replicas"], json!(0));
        assert_eq!(rendered["data_stream"], json!({}));
    }
}
