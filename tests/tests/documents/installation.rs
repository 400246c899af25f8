//! How the sink presents itself to a cluster: credentials, compression, the template.

use crate::send::{post_json, stored};
use forebay_tests::elasticsearch::{Options, PASSWORD, USER};
use forebay_tests::{Elasticsearch, Gateway, config};
use serde_json::json;

#[test]
fn a_secured_cluster_is_written_to_with_a_password_or_an_api_key() {
    let node = Elasticsearch::start(Options { security: true, ..Options::default() }).unwrap();
    let password = format!("auth: {{username: {USER}, password: {PASSWORD}}}, compression: gzip");
    let gateway = Gateway::start(&config::into_elasticsearch(&node, &password)).unwrap();
    assert_eq!(post_json(&gateway, r#"{"message":"by password"}"#)["accepted"], 1);
    drop(gateway);

    // No more than it needs: its template, and to write its indices.
    let writer = json!({"writer": {
        "cluster": ["manage_index_templates"],
        "indices": [{"names": ["project-ai-*"], "privileges": ["create_doc", "auto_configure"]}],
    }});
    let key = node.create_api_key("writer", &writer).unwrap();
    let gateway =
        Gateway::start(&config::into_elasticsearch(&node, &format!("auth: {{api_key: \"{key}\"}}"))).unwrap();
    assert_eq!(post_json(&gateway, r#"{"message":"by key"}"#)["accepted"], 1);

    let mut messages: Vec<String> =
        stored(&node).into_iter().map(|hit| hit.source["message"].as_str().unwrap().to_owned()).collect();
    messages.sort_unstable();
    assert_eq!(messages, ["by key", "by password"]);
    let written = std::fs::read_to_string(gateway.folder().join("stderr.log")).unwrap();
    assert!(!written.contains(&key), "{written}");
}

#[test]
fn the_template_is_installed_and_new_indices_follow_it() {
    let node = Elasticsearch::start(Options::default()).unwrap();
    let gateway = Gateway::start(&config::into_elasticsearch(&node, "")).unwrap();
    post_json(&gateway, r#"{"message":"one","component":"four-laws","day":"2026-11-21"}"#);

    let installed = node.get("/_index_template/forebay").unwrap();
    let installed = &installed["index_templates"][0]["index_template"];
    assert_eq!(installed["index_patterns"], json!(["project-ai-*"]));
    assert_eq!(installed["template"]["settings"]["index"]["refresh_interval"], "30000ms");

    let index = stored(&node).remove(0).index;
    assert!(index.starts_with("project-ai-ethics-"), "{index}");
    let settings = node.get(&format!("/{index}/_settings")).unwrap();
    let settings = &settings[&index]["settings"]["index"];
    assert_eq!(settings["refresh_interval"], "30000ms");
    assert_eq!(
        settings["mapping"]["total_fields"],
        json!({"limit": "1000", "ignore_dynamic_beyond_limit": "true"})
    );
    let mappings = node.get(&format!("/{index}/_mapping")).unwrap();
    let mappings = &mappings[&index]["mappings"];
    assert_eq!(mappings["subobjects"], false);
    assert_eq!(mappings["properties"]["component"]["type"], "keyword");
    // A text that looks like a date stays a word: the next one may look like none.
    assert_eq!(mappings["properties"]["day"]["type"], "keyword");
}
