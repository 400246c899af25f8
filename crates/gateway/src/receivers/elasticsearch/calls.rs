//! What agents and clients ask beside `_bulk`. Answers are true, as far as there is a true one: templates, policies, pipelines, data streams and
//! indices are not there (404), and who wants to put one is told that it was not kept, with a status that lets it go on.

use http::Method;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

/// The first part of the path of what sets a cluster up.
/// The longest name of an index that Elasticsearch takes, in bytes. It is told again for each item.
const MAX_INDEX_BYTES: usize = 255;
const SET_UP: [&str; 8] = [
    "_template",
    "_index_template",
    "_component_template",
    "_ilm",
    "_ingest",
    "_data_stream",
    "_alias",
    "_aliases",
];
/// The second part, behind an index.
const SET_UP_OF_INDEX: [&str; 5] = ["_alias", "_aliases", "_mapping", "_mappings", "_settings"];

/// A request, by method and path.
#[derive(Debug, PartialEq, Eq)]
pub enum Call {
    /// Documents; `index` is the one of the path.
    Bulk {
        index: Option<String>,
    },
    /// Something is asked that has an answer.
    Read(Reading),
    /// Something is asked for or to be removed that is never there.
    Absent,
    /// Something is to be set up.
    SetUp,
    /// What the path names knows other methods only.
    Method(&'static str),
    Unknown,
}

/// What has an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    Info,
    License,
    Features,
    Nodes,
    Health,
}

impl Call {
    /// Tells what a request wants.
    pub fn of(method: &Method, path: &str) -> Self {
        let decoded = path.split('/').filter(|part| !part.is_empty());
        let parts: Result<Vec<_>, _> = decoded.map(|part| percent_decode_str(part).decode_utf8()).collect();
        let Ok(parts) = parts else { return Self::Unknown };
        let parts: Vec<&str> = parts.iter().map(|part| &**part).collect();
        let bulk = match *parts.as_slice() {
            ["_bulk"] => Some(None),
            [index, "_bulk"] if is_index(index) => Some(Some(index.to_owned())),
            _ => None,
        };
        if let Some(index) = bulk {
            let writes = *method == Method::POST || *method == Method::PUT;
            return if writes { Self::Bulk { index } } else { Self::Method("POST, PUT") };
        }
        let reads = *method == Method::GET || *method == Method::HEAD;
        let reading = match *parts.as_slice() {
            [] => Some(Reading::Info),
            ["_license"] | ["_xpack", "license"] => Some(Reading::License),
            ["_xpack"] => Some(Reading::Features),
            ["_nodes"] | ["_nodes", "http" | "_all" | "_local"] | ["_nodes", _, "http"] => {
                Some(Reading::Nodes)
            }
            ["_cluster", "health"] | ["_cluster", "health", _] => Some(Reading::Health),
            _ => None,
        };
        match reading {
            Some(reading) if reads => Self::Read(reading),
            Some(_) => Self::Method("GET, HEAD"),
            None if !is_set_up(&parts) => Self::Unknown,
            None if reads || *method == Method::DELETE => Self::Absent,
            None if *method == Method::PUT || *method == Method::POST => Self::SetUp,
            None => Self::Method("GET, HEAD, PUT, POST, DELETE"),
        }
    }
}

/// Names of indices never begin with an underscore, and all else does.
fn is_index(part: &str) -> bool {
    !part.starts_with('_') && part.len() <= MAX_INDEX_BYTES
}

fn is_set_up(parts: &[&str]) -> bool {
    match parts {
        [.., "_simulate"] => false,
        [index] if is_index(index) => true,
        [index, what, ..] if is_index(index) => SET_UP_OF_INDEX.contains(what),
        [first, ..] => SET_UP.contains(first),
        [] => false,
    }
}

/// `GET /`.
pub fn info(version: &str) -> Value {
    json!({
        "name": "forebay",
        "cluster_name": "forebay",
        "cluster_uuid": "forebay",
        "version": {
            "number": version,
            "build_flavor": "default",
            "build_type": "tar",
            "build_hash": "unknown",
            "build_date": "1970-01-01T00:00:00Z",
            "build_snapshot": false,
            "lucene_version": "9.12.0",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        },
        // Clients of version 7 look for these words.
        "tagline": "You Know, for Search",
    })
}

/// `GET /_license`: what Beats and Logstash look for before they ship.
pub fn license() -> Value {
    json!({"license": {
        "status": "active",
        "uid": "00000000-0000-0000-0000-000000000000",
        "type": "basic",
        "issue_date": "1970-01-01T00:00:00.000Z",
        "issue_date_in_millis": 0,
        "max_nodes": 1000,
        "issued_to": "forebay",
        "issuer": "forebay",
        "start_date_in_millis": -1,
    }})
}

/// `GET /_xpack`: none of the features that an agent may want to set up is there.
pub fn features() -> Value {
    json!({
        "build": {"hash": "unknown", "date": "1970-01-01T00:00:00Z"},
        "license": {"uid": "00000000-0000-0000-0000-000000000000", "type": "basic", "mode": "basic", "status": "active"},
        "features": {"ilm": {"available": false, "enabled": false}},
        "tagline": "You know, for X",
    })
}

/// `GET /_nodes/http`: one node, at the address by which the client found it, so that one that looks for nodes stays.
pub fn nodes(version: &str, host: &str) -> Value {
    json!({
        "_nodes": {"total": 1, "successful": 1, "failed": 0},
        "cluster_name": "forebay",
        "nodes": {"forebay": {
            "name": "forebay",
            "host": host,
            "version": version,
            "roles": ["data", "ingest"],
            "http": {"bound_address": [host], "publish_address": host},
        }},
    })
}

/// `GET /_cluster/health`: red while it would refuse documents.
pub fn health(has_room: bool) -> Value {
    json!({
        "cluster_name": "forebay",
        "status": if has_room { "green" } else { "red" },
        "timed_out": false,
        "number_of_nodes": 1,
        "number_of_data_nodes": 1,
    })
}

/// The answer to set-up: it was understood, and not kept.
pub fn not_kept() -> Value {
    json!({"acknowledged": false})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_apart_by_method_and_path() {
        let bulk = |index: Option<&str>| Call::Bulk { index: index.map(str::to_owned) };
        let cases = [
            ("POST", "/_bulk", bulk(None)),
            ("PUT", "/_bulk/", bulk(None)),
            ("POST", "/logs-app/_bulk", bulk(Some("logs-app"))),
            ("POST", "/%3Clogs-%7Bnow%2Fd%7D%3E/_bulk", bulk(Some("<logs-{now/d}>"))),
            ("GET", "/_bulk", Call::Method("POST, PUT")),
            ("POST", "/_doc/_bulk", Call::Unknown),
            ("GET", "/", Call::Read(Reading::Info)),
            ("HEAD", "/", Call::Read(Reading::Info)),
            ("POST", "/", Call::Method("GET, HEAD")),
            ("GET", "/_license", Call::Read(Reading::License)),
            ("GET", "/_nodes/http", Call::Read(Reading::Nodes)),
            ("GET", "/_nodes/_all/http", Call::Read(Reading::Nodes)),
            ("GET", "/_cluster/health", Call::Read(Reading::Health)),
            ("HEAD", "/_index_template/filebeat-8.19.0", Call::Absent),
            ("PUT", "/_index_template/filebeat-8.19.0", Call::SetUp),
            ("GET", "/_ilm/policy/filebeat", Call::Absent),
            ("PUT", "/_ingest/pipeline/apache", Call::SetUp),
            ("POST", "/_ingest/pipeline/_simulate", Call::Unknown),
            ("PUT", "/_data_stream/logs-app-default", Call::SetUp),
            ("HEAD", "/logstash", Call::Absent),
            ("PUT", "/logstash-000001", Call::SetUp),
            ("DELETE", "/logstash-000001", Call::Absent),
            ("GET", "/logs/_search", Call::Unknown),
            ("PUT", "/logs/_doc/1", Call::Unknown),
            ("POST", "/_search", Call::Unknown),
            ("PATCH", "/_template/x", Call::Method("GET, HEAD, PUT, POST, DELETE")),
            ("GET", "/%ff", Call::Unknown),
        ];
        for (method, path, expected) in cases {
            let method: Method = method.parse().unwrap_or_default();
            assert_eq!(Call::of(&method, path), expected, "{method} {path}");
        }
    }
}
