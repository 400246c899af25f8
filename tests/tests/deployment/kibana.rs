//! Kibana's saved objects: that they are whole, belong together, and ask what users ask.

use forebay_tests::Elasticsearch;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// How many searches there are.
const SEARCHES: usize = 5;
const DATA_VIEW: &str = "project-ai-*";

/// A search, as it is saved.
pub struct Search {
    pub query: String,
    pub columns: Vec<String>,
}

fn objects() -> Vec<Value> {
    let text = fs::read_to_string(deployed("kibana/project-ai.ndjson")).unwrap();
    assert!(text.ends_with('\n') && !text.contains("\n\n"), "not one object a line");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A file of `deploy/elasticsearch`.
pub fn deployed(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/elasticsearch").join(file)
}

/// The saved searches; everything about them that needs no server is checked.
pub fn searches() -> Vec<Search> {
    let objects = objects();
    let (views, searches): (Vec<&Value>, Vec<&Value>) =
        objects.iter().partition(|object| object["type"] == "index-pattern");
    assert_eq!((views.len(), searches.len()), (1, SEARCHES));
    assert_eq!(views[0]["attributes"]["title"], DATA_VIEW);
    assert_eq!(views[0]["attributes"]["timeFieldName"], "@timestamp");
    let mut ids: Vec<&str> = objects.iter().map(|object| object["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1 + SEARCHES, "two objects have one id");
    searches.into_iter().map(|search| read(search, &views[0]["id"])).collect()
}

fn read(search: &Value, view: &Value) -> Search {
    let attributes = &search["attributes"];
    assert_eq!(search["type"], "search");
    // The search names its data view by a reference, and the reference by its name.
    let source = attributes["kibanaSavedObjectMeta"]["searchSourceJSON"].as_str().unwrap();
    let source: Value = serde_json::from_str(source).unwrap();
    let reference = json!({"id": view, "name": source["indexRefName"], "type": "index-pattern"});
    assert_eq!(search["references"], json!([reference]));
    assert_eq!(source["query"]["language"], "lucene");
    let query = source["query"]["query"].as_str().unwrap().to_owned();
    assert_eq!(attributes["description"], *query);
    let columns = attributes["columns"].as_array().unwrap().iter();
    Search { query, columns: columns.map(|name| name.as_str().unwrap().to_owned()).collect() }
}

/// Whether Elasticsearch can parse a Lucene query string; its own words if not.
pub fn parse(node: &Elasticsearch, query: &str) -> Result<(), String> {
    let body = json!({"query": {"query_string": {"query": query}}});
    let answer = node.post(&format!("/{DATA_VIEW}/_validate/query?explain=true"), &body).unwrap();
    if answer["valid"] == true { Ok(()) } else { Err(answer.to_string()) }
}

/// What the clients of `tests/inputs` are searched for is what is saved.
#[test]
fn the_saved_searches_are_the_ones_that_clients_are_tested_with() {
    let scenario = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("python/scenario.py");
    let scenario = fs::read_to_string(scenario).unwrap();
    for Search { query, .. } in searches() {
        assert!(scenario.contains(&format!("\"{query}\"")), "not among them: {query}");
    }
}
