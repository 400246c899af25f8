//! OpenSearch 2, which lacks two features of the template: a dotted name is a path there.

use crate::otlp::an_hour_ago;
use crate::send::{Stage, any, attribute, request, text};
use forebay_proto::common::InstrumentationScope;
use forebay_proto::common::any_value::Value as Any;
use forebay_proto::logs::LogRecord;
use forebay_proto::resource::Resource;
use forebay_tests::elasticsearch::{Distribution, Options};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn opensearch() -> Options {
    Options { distribution: Distribution::OpenSearch, ..Options::default() }
}

fn record(message: &str, component: &str, method: &str, duration: f64) -> LogRecord {
    LogRecord {
        time_unix_nano: an_hour_ago(),
        severity_number: 9,
        body: Some(any(text(message))),
        attributes: vec![
            attribute("component", text(component)),
            attribute("http.method", text(method)),
            attribute("api.duration", Any::DoubleValue(duration)),
        ],
        ..LogRecord::default()
    }
}

#[test]
fn records_land_in_their_indices_and_dotted_names_are_found_as_written() {
    let tracer = ("logger.org.opensearch.http.HttpTracer".to_owned(), "TRACE".to_owned());
    let stage = Stage::set_with(Options { settings: vec![tracer], ..opensearch() });
    let resource =
        Resource { attributes: vec![attribute("service.name", text("shop"))], ..Resource::default() };
    let records = vec![
        record("otlp persona", "ai-persona", "GET", 1_500.5),
        record("otlp security", "Cerberus", "GET", 999.5),
        record("otlp other", "checkout", "PUT", 1_000.0),
    ];
    let answer = stage.export(&request(resource, InstrumentationScope::default(), records));
    assert_eq!(answer.partial_success, None);
    let lines = [
        json!({"message": "json ethics", "component": "four-laws", "http.method": "GET", "api.duration": 2_000}),
        json!({"message": "json other", "level": "error", "http": {"method": "PUT"}, "api.duration": 12}),
    ];
    assert_eq!(stage.post(&lines.map(|line| format!("{line}\n")).concat())["accepted"], 2);

    let stored = stage.stored();
    let index = |hit: &forebay_tests::elasticsearch::Hit| {
        hit.index.trim_start_matches("project-ai-").split('-').next().unwrap().to_owned()
    };
    let indices: BTreeMap<String, String> =
        stored.iter().map(|hit| (hit.source["message"].as_str().unwrap().to_owned(), index(hit))).collect();
    let expected = [
        ("json ethics", "ethics"),
        ("json other", "logs"),
        ("otlp other", "logs"),
        ("otlp persona", "persona"),
        ("otlp security", "security"),
    ];
    assert_eq!(stored.len(), expected.len());
    assert_eq!(indices, expected.map(|(message, index)| (message.to_owned(), index.to_owned())).into());
    // Stored as they were written, whatever the server's fields are.
    let persona = &stored.iter().find(|hit| hit.source["message"] == "otlp persona").unwrap().source;
    assert_eq!((&persona["http.method"], &persona["service.name"]), (&json!("GET"), &json!("shop")));
    for (query, count) in [
        ("api.duration:>1000", 2),
        ("api.duration:[999 TO 1000]", 2),
        ("http.method:GET", 3),
        ("http.method:PUT", 2),
        ("service.name:shop AND level:INFO", 3),
        ("resource.service.name:shop", 3),
        ("level:error AND http.method:PUT", 1),
        ("@timestamp:[now-2h TO now]", 5),
    ] {
        assert_eq!(stage.node.count("project-ai-*", query).unwrap(), count, "{query}");
    }
    let log = stage.node.log().unwrap();
    assert!(log.contains("[forebay-1][POST][/project-ai-"), "the server's log names no bulk of ours: {log}");
}

#[test]
fn the_template_is_installed_without_what_it_lacks() {
    let stage = Stage::set_with(opensearch());
    stage.post(r#"{"message":"one","component":"four-laws","day":"2026-11-21","api.duration":"soon"}"#);
    let installed = stage.node.get("/_index_template/forebay").unwrap();
    let template = &installed["index_templates"][0]["index_template"]["template"];
    assert_eq!(template["mappings"].get("subobjects"), None);
    let traces = stage.node.get("/_index_template/forebay-traces").unwrap();
    let traces = &traces["index_templates"][0]["index_template"]["template"]["mappings"]["properties"];
    assert_eq!((traces["kind"]["type"].as_str(), traces.get("events")), (Some("keyword"), None));
    assert_eq!(template["settings"]["index"]["mapping"]["total_fields"], json!({"limit": "1000"}));

    let index = stage.stored().remove(0).index;
    let settings = stage.node.get(&format!("/{index}/_settings")).unwrap();
    assert_eq!(settings[&index]["settings"]["index"]["refresh_interval"], "30000ms");
    let mappings = stage.node.get(&format!("/{index}/_mapping")).unwrap();
    let properties = &mappings[&index]["mappings"]["properties"];
    assert_eq!(properties["component"]["type"], "keyword");
    assert_eq!(properties["day"]["type"], "keyword");
    assert_eq!(properties["api"]["properties"]["duration"]["type"], "double");
}

/// Where a dotted name is a path, `http` cannot be a text in one record and have `http.method` under it in another.
#[test]
fn a_text_where_others_have_an_object_is_a_dead_letter_and_the_others_are_found() {
    const RECORDS: usize = 500;
    const POISONED: usize = 250;
    let stage = Stage::set_with(opensearch());
    let mut lines = String::new();
    for number in 0..RECORDS {
        let mut line = json!({"message": format!("record {number}"), "http.method": "GET"});
        if number == POISONED {
            line = json!({"message": "poisoned", "http": "a text"});
        }
        lines.push_str(&format!("{line}\n"));
    }
    let answer = stage.post(&lines);
    assert_eq!((&answer["accepted"], &answer["dead_lettered"]), (&json!(RECORDS), &json!(1)), "{answer}");

    let stored = stage.stored_by_message();
    assert_eq!(stored.len(), RECORDS - 1);
    assert!(!stored.contains_key("poisoned"));
    assert_eq!(stage.node.count("project-ai-logs-*", "http.method:GET").unwrap(), RECORDS as u64 - 1);
    let letter: Value = stage.only_dead_letter();
    assert_eq!(letter["document"]["http"], "a text", "{letter}");
    let reason = letter["reason"].as_str().unwrap();
    assert!(reason.contains("mapper_parsing_exception") && reason.contains("[http]"), "{letter}");
    let ledger = stage.ledger();
    let expected = ((RECORDS - 1) as f64, 1.0);
    assert_eq!((ledger.delivered, ledger.dead_lettered), expected, "{ledger:?}");
}
