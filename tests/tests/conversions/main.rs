//! The table of conversions: one event by every input, and the document that it becomes in every sink.
//!
//! An input whose wire says less than JSON, or says it in another way, has its differences in its row, and nowhere else.

#![allow(clippy::unwrap_used)]

mod inputs;
mod rows;

use forebay_tests::elasticsearch::Options;
use forebay_tests::{Elasticsearch, Gateway, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

const SETTLED_WITHIN: Duration = Duration::from_secs(30);

/// Every receiver, and one route to a sink of each kind.
fn configuration(node: &Elasticsearch) -> String {
    format!(
        r#"receivers:
  otlp: {{grpc: {{listen: "127.0.0.1:{{otlp_grpc}}"}}, http: {{listen: "127.0.0.1:{{otlp_http}}"}}}}
  json: {{listen: "127.0.0.1:{{json}}"}}
  beats: {{listen: "127.0.0.1:{{beats}}"}}
  elasticsearch: {{listen: "127.0.0.1:{{elasticsearch}}"}}
  forward: {{listen: "127.0.0.1:{{forward}}"}}
  remote_write: {{listen: "127.0.0.1:{{remote_write}}"}}
  tcp: {{listen: "127.0.0.1:{{tcp}}"}}
  syslog: {{listen: "127.0.0.1:{{syslog}}"}}
  loki: {{listen: "127.0.0.1:{{loki}}"}}
sinks:
  es: {{type: elasticsearch, endpoints: ["{}"]}}
  files: {{type: file, path: "{{dir}}/files"}}
  out: {{type: stdout}}
routes:
- name: security
  signals: [logs, traces, metrics]
  when:
    any:
    - {{field: component, equals: security}}
    - {{field: structured_data.event@32473.component, equals: security}}
  to: [es, files, out]
  index: project-ai-security
- {{name: others, signals: [logs, traces, metrics], to: [es], index: project-ai-others}}
drain: {{door_open: 0s}}
admin: {{listen: "127.0.0.1:{{admin}}"}}
"#,
        node.url()
    )
}

/// The documents of one sink, by the input that each came by.
type Documents = BTreeMap<String, Value>;

fn by_input(documents: impl Iterator<Item = Value>) -> Documents {
    let mut all = Documents::new();
    for document in documents {
        let input = document["input"].as_str().or(document["app_name"].as_str()).unwrap().to_owned();
        let before = all.insert(input.clone(), document);
        assert!(before.is_none(), "two documents came by {input}");
    }
    all
}

fn lines(text: &str) -> impl Iterator<Item = Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

#[test]
fn one_event_becomes_the_same_document_by_every_input_in_every_sink() {
    let node = Elasticsearch::start(Options::default()).unwrap();
    let mut gateway = Gateway::start(&configuration(&node)).unwrap();
    for row in rows::ALL {
        (row.send)(&gateway, &rows::event(row.input));
    }
    // Some inputs have no word for an acknowledgement.
    wait_until("every event to be admitted", SETTLED_WITHIN, || {
        Ok((gateway.ledger()?.admitted as usize >= rows::ALL.len()).then_some(()))
    })
    .unwrap();
    gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
    node.refresh().unwrap();
    gateway.sigterm().unwrap();
    gateway.wait_for_good_end().unwrap();

    let expected: Documents = rows::ALL.iter().map(|row| (row.input.to_owned(), row.document())).collect();
    let stored = node.documents("project-ai-security", "*", rows::ALL.len() + 1).unwrap();
    let files = fs::read_to_string(gateway.folder().join("files/project-ai-security.ndjson")).unwrap();
    let printed = fs::read_to_string(gateway.folder().join("stdout.log")).unwrap();
    let sinks = [
        ("elasticsearch", by_input(stored.into_iter().map(|hit| hit.source))),
        ("file", by_input(lines(&files))),
        ("stdout", by_input(lines(&printed))),
    ];
    for (sink, documents) in sinks {
        for (input, document) in &expected {
            assert_eq!(documents.get(input), Some(document), "{input} to {sink}");
        }
        assert_eq!(documents.len(), expected.len(), "{sink} has more than was sent");
    }
}
