//! The index templates: what the fields of our documents are, and a bound on how many there may be. Spans and data points have other fields than
//! log records, so their indices have templates of their own, which outrank the one for all.

mod mappings;

use super::answer::request_reason;
use super::nodes::{Answer, Call, Nodes};
use super::{Template, common_headers, json_body};
use elasticsearch::http::headers::{CONTENT_TYPE, HeaderValue};
use reqwest::Method;
use serde_json::{Value, json};

/// What only some servers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Features {
    /// Elasticsearch 8.3, not OpenSearch 2. Without it, `http` and `http.method` cannot be in one index.
    flat_names: bool,
    /// Elasticsearch 8.14. Without it, a document with a field too many is refused.
    field_overflow: bool,
    /// Elasticsearch 7.3, not OpenSearch, which calls its own otherwise. Without it, what is in events, links and exemplars is mapped like any
    /// other field.
    flattened: bool,
}

/// Whose documents a template is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Those of all indices that have no template of their own.
    All,
    Traces,
    Metrics,
}

impl Kind {
    fn name(self, template: &Template) -> String {
        match self {
            Self::All => template.name.clone(),
            Self::Traces => format!("{}-traces", template.name),
            Self::Metrics => format!("{}-metrics", template.name),
        }
    }

    fn patterns(self, template: &Template) -> Vec<String> {
        match self {
            Self::All => template.patterns.clone(),
            Self::Traces => template.traces(),
            Self::Metrics => template.metrics(),
        }
    }

    /// Two that apply to one index must not be of one rank.
    fn priority(self, template: &Template) -> u32 {
        match self {
            Self::All => template.priority,
            Self::Traces => template.priority.saturating_add(1),
            Self::Metrics => template.priority.saturating_add(2),
        }
    }
}

/// Installs the templates, or replaces them by themselves.
///
/// # Errors
/// What the server or the network said. Trying again is harmless.
pub(super) async fn install(sink: &str, nodes: &Nodes, template: &Template) -> Result<(), String> {
    let mut features = Features { flat_names: true, field_overflow: true, flattened: true };
    for kind in [Kind::All, Kind::Traces, Kind::Metrics] {
        if !kind.patterns(template).is_empty() {
            install_one(sink, nodes, template, kind, &mut features).await?;
        }
    }
    Ok(())
}

/// Installs one of them, without the features that the server turns out to lack.
async fn install_one(
    sink: &str,
    nodes: &Nodes,
    template: &Template,
    kind: Kind,
    features: &mut Features,
) -> Result<(), String> {
    let name = kind.name(template);
    loop {
        let answer = put(nodes, &name, &render(template, kind, *features)).await?;
        if answer.status.is_success() {
            tracing::info!(sink, template = name, ?features, "index template installed");
            return Ok(());
        }
        let reason = request_reason(&answer);
        let Some(less) = without_refused(*features, answer.status.as_u16(), &answer.body) else {
            return Err(format!("index template {name}: {reason}"));
        };
        tracing::debug!(sink, reason, "the server lacks a feature of the index template");
        *features = less;
    }
}

async fn put(nodes: &Nodes, name: &str, rendered: &Value) -> Result<Answer, String> {
    let mut headers = common_headers();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let path = format!("/_index_template/{name}");
    let call = Call { method: Method::PUT, path: &path, headers, query: &[], records: 0 };
    nodes.send(call, json_body(rendered)).await.map_err(|failure| failure.reason)
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
    if features.flattened && names("flattened") {
        return Some(Features { flattened: false, ..features });
    }
    None
}

fn render(template: &Template, kind: Kind, features: Features) -> Value {
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
        "index_patterns": kind.patterns(template),
        "priority": kind.priority(template),
        "_meta": { "managed_by": "forebay" },
        "template": { "settings": { "index": index }, "mappings": mappings::mappings(kind, features) },
    });
    if template.data_stream {
        rendered["data_stream"] = json!({});
    }
    rendered
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ALL: Features = Features { flat_names: true, field_overflow: true, flattened: true };

    #[test]
    fn what_a_server_refuses_is_left_out_one_by_one() {
        let opensearch = br#"{"error":{"type":"mapper_parsing_exception","reason":"Root mapping definition has unsupported parameters:  [subobjects : false]"},"status":400}"#;
        let less = without_refused(ALL, 400, opensearch).unwrap();
        assert_eq!(less, Features { flat_names: false, ..ALL });
        let unknown = b"unknown setting [index.mapping.total_fields.ignore_dynamic_beyond_limit]";
        let least = without_refused(less, 400, unknown).unwrap();
        assert_eq!(least, Features { field_overflow: false, ..less });
        let flat = br#"No handler for type [flattened] declared on field [events]"#;
        assert_eq!(without_refused(least, 400, flat), Some(Features { flattened: false, ..least }));
        assert_eq!(without_refused(least, 400, unknown), None);
        assert_eq!(without_refused(ALL, 403, opensearch), None);
        assert_eq!(without_refused(ALL, 400, b"composable template [x] is broken"), None);
    }

    #[test]
    fn settings_and_features_show_in_the_template() {
        let rendered = render(&Template::default(), Kind::All, ALL);
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
        let rendered = render(
            &template,
            Kind::All,
            Features { flat_names: false, field_overflow: false, flattened: false },
        );
        assert_eq!(rendered["template"]["mappings"].get("subobjects"), None);
        assert_eq!(
            rendered["template"]["settings"]["index"]["mapping"],
            json!({ "total_fields": { "limit": 1_000 } })
        );
        assert_eq!(rendered["template"]["settings"]["index"]["number_of_shards"], json!(2));
        assert_eq!(rendered["template"]["settings"]["index"]["number_of_replicas"], json!(0));
        assert_eq!(rendered["data_stream"], json!({}));
    }

    #[test]
    fn spans_and_data_points_have_templates_that_outrank_the_one_for_all() {
        let [all, traces, metrics] =
            [Kind::All, Kind::Traces, Kind::Metrics].map(|kind| render(&Template::default(), kind, ALL));
        assert_eq!(traces["index_patterns"], json!(["project-ai-traces-*"]));
        assert_eq!(metrics["index_patterns"], json!(["project-ai-metrics-*"]));
        let priorities = [all, traces.clone(), metrics.clone()].map(|template| template["priority"].as_u64());
        assert!(priorities.is_sorted_by(|one, other| one < other), "{priorities:?}");
        assert_eq!(traces["template"]["mappings"]["properties"]["events"]["type"], "flattened");
        assert_eq!(metrics["template"]["mappings"]["properties"]["value"]["type"], "double");
        let less = render(&Template::default(), Kind::Traces, Features { flattened: false, ..ALL });
        assert_eq!(less["template"]["mappings"]["properties"].get("events"), None);
    }

    /// Two templates of one rank that could apply to one index are refused, so a second sink with names of its own must not install those
    /// of the shipped names again.
    #[test]
    fn whoever_names_indices_names_those_of_traces_and_metrics_too() {
        let own = Template { patterns: vec!["team-a-*".to_owned()], ..Template::default() };
        assert_eq!([own.traces(), own.metrics()], [const { Vec::<String>::new() }; 2]);
        let named = Template { traces: Some(vec!["team-a-traces-*".to_owned()]), ..own };
        assert_eq!((named.traces(), named.metrics()), (vec!["team-a-traces-*".to_owned()], vec![]));
    }

    /// The files for those who set the cluster up by themselves say the same.
    #[test]
    fn the_component_templates_have_the_same_mappings() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/elasticsearch/component-templates");
        for (file, kind) in [
            ("forebay-mappings", Kind::All),
            ("forebay-mappings-traces", Kind::Traces),
            ("forebay-mappings-metrics", Kind::Metrics),
        ] {
            let text = std::fs::read_to_string(format!("{folder}/{file}.json")).unwrap();
            let component: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(component["template"]["mappings"], mappings::mappings(kind, ALL), "{file}");
        }
    }
}
