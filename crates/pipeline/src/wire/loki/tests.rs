//! Loki's push against an oracle of prost and serde_json.

#![allow(clippy::unwrap_used)]

use super::{check, json, write_tenant};
use crate::body::Body;
use crate::budget::Budget;
use crate::document::DocumentWriter;
use crate::ids::Ids;
use crate::route::{Matcher, Mode, Plan};
use crate::time::EventWindow;
use crate::wire::{CheckContext, Index, Limits, Malformed, WireId};
use forebay_proto::loki::{EntryAdapter, LabelPairAdapter, PushRequest, StreamAdapter, Timestamp};
use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// 2026-11-21T08:26:04.580Z.
const ARRIVED: i64 = 1_795_249_564_580_000_000;
const ALL: &str = r#"[{"name": "all", "to": ["sink"], "index": "logs"}]"#;

fn index_of(body: &[u8], limits: &Limits, routes: &str) -> Result<Index, Malformed> {
    let window = EventWindow::new(Duration::from_secs(86_400), Duration::from_secs(86_400));
    let context = CheckContext { limits, arrived: ARRIVED, window: &window };
    let routes: Vec<crate::route::RouteConfig> = serde_json::from_str(routes).unwrap();
    let plan = Plan::build(&routes, Mode::FirstMatch, &[], &["sink"]).unwrap();
    let mut index = Index::default();
    check(body, &context, &mut Matcher::new(&plan), &mut index)?;
    Ok(index)
}

fn documents(body: &[u8]) -> Result<Vec<Value>, Malformed> {
    let index = index_of(body, &Limits::default(), ALL)?;
    let records = index.records.len() as u32;
    let body = Body {
        bytes: body.to_vec().into(),
        wire: WireId::LokiProto,
        index,
        ids: Ids::None,
        arrived: ARRIVED,
        receiver: "loki".into(),
        lease: Budget::new(0).lease(0).unwrap(),
    };
    let mut writer = DocumentWriter::new(&[]);
    let document = |item| {
        let text = writer.document(&body, item);
        let document: Value = serde_json::from_slice(&text).unwrap();
        // Nothing is there twice, or it would be shorter.
        assert_eq!(serde_json::to_vec(&document).unwrap().len(), text.len());
        document
    };
    Ok((0..records).map(document).collect())
}

type Pairs = Vec<(String, String)>;
/// Labels, and for each entry its time, its line and its metadata.
type Meant = (Pairs, Vec<(i64, String, Pairs)>);

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_]{1,3}",
        Just("message".to_owned()),
        Just("@timestamp".to_owned()),
        Just("tenant".to_owned()),
        Just("attributes.a".to_owned()),
        Just("metadata.a".to_owned()),
        Just("_id".to_owned()),
        Just("level".to_owned()),
    ]
}

fn meant() -> impl Strategy<Value = Vec<Meant>> {
    let text = || "(?s:.{0,12})";
    let labels = prop::collection::btree_map(name(), text(), 0..5).prop_map(|map| map.into_iter().collect());
    let metadata = prop::collection::vec((prop_oneof![name(), Just(String::new())], text()), 0..5);
    let time = prop_oneof![Just(0), 1..4_000_000_000_000_000_000_i64, -1_000_000_i64..0];
    let entries = prop::collection::vec((time, text(), metadata), 0..4);
    prop::collection::vec((labels, entries), 0..4)
}

fn request(meant: &[Meant]) -> PushRequest {
    let pair =
        |(name, value): &(String, String)| LabelPairAdapter { name: name.clone(), value: value.clone() };
    let entry = |(time, line, metadata): &(i64, String, Pairs)| EntryAdapter {
        timestamp: (*time != 0).then(|| Timestamp {
            seconds: time.div_euclid(1_000_000_000),
            nanos: time.rem_euclid(1_000_000_000) as i32,
        }),
        line: line.clone(),
        structured_metadata: metadata.iter().map(pair).collect(),
    };
    let stream = |(labels, entries): &Meant| StreamAdapter {
        // Rust's own escapes differ from Go's; those of JSON do not.
        labels: format!(
            "{{{}}}",
            labels
                .iter()
                .map(|(name, value)| format!("{}={}", json!(name), json!(value)))
                .collect::<Vec<_>>()
                .join(", ")
        ),
        entries: entries.iter().map(entry).collect(),
        hash: 7,
    };
    PushRequest { streams: meant.iter().map(stream).collect() }
}

fn push(meant: &[Meant]) -> Value {
    let object = |pairs: &Pairs| -> Map<String, Value> {
        pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect()
    };
    let streams: Vec<Value> = meant
        .iter()
        .map(|(labels, entries)| {
            let values: Vec<Value> = entries
                .iter()
                .map(|(time, line, metadata)| json!([time.to_string(), line, object(metadata)]))
                .collect();
            json!({"stream": object(labels), "values": values})
        })
        .collect();
    json!({"streams": streams})
}

fn time_of(nanos: i64) -> String {
    let nanos = if nanos == 0 { ARRIVED } else { nanos };
    let time = jiff::Timestamp::from_nanosecond(i128::from(nanos)).unwrap();
    jiff::fmt::temporal::DateTimePrinter::new().precision(Some(9)).timestamp_to_string(&time)
}

fn expected(meant: &[Meant], tenant: &str) -> Vec<Value> {
    let taken = |name: &str| match name {
        "" | "message" | "@timestamp" | "tenant" | "_id" => true,
        _ => name.starts_with("attributes.") || name.starts_with("metadata."),
    };
    let mut documents = Vec::new();
    for (labels, entries) in meant {
        for (time, line, metadata) in entries {
            let mut document = json!({"@timestamp": time_of(*time), "message": line});
            if !tenant.is_empty() {
                document["tenant"] = json!(tenant);
            }
            for (pairs, is_metadata) in [(labels, false), (metadata, true)] {
                for (name, value) in pairs {
                    let prefix = if is_metadata && labels.iter().any(|(label, _)| label == name) {
                        "metadata."
                    } else if taken(name) {
                        "attributes."
                    } else {
                        ""
                    };
                    document[format!("{prefix}{name}")] = json!(value);
                }
            }
            documents.push(document);
        }
    }
    documents
}

proptest! {
    #[test]
    fn what_is_pushed_is_read(meant in meant(), tenant in "(?s:.{0,5})") {
        let mut body = request(&meant).encode_to_vec();
        write_tenant(&tenant, &mut body);
        prop_assert_eq!(documents(&body).unwrap(), expected(&meant, &tenant));
    }

    /// In JSON the last of equal names counts, and order within an object says nothing.
    #[test]
    fn a_push_in_json_says_the_same(meant in meant()) {
        let text = push(&meant).to_string();
        let message = json::transcode(text.as_bytes()).unwrap();
        prop_assert!(message.len() <= json::EXPANSION * text.len() + 64);
        prop_assert_eq!(documents(&message).unwrap(), expected(&meant, ""));
    }

    /// Accepted is what prost accepts.
    #[test]
    fn any_bytes_are_refused_or_read(meant in meant(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), cut: bool) {
        let mut body = request(&meant).encode_to_vec();
        for (place, byte) in &changes {
            if !body.is_empty() {
                let place = place.index(body.len());
                body[place] = *byte;
            }
        }
        if let (true, Some((place, _))) = (cut, changes.first()) {
            body.truncate(place.index(body.len() + 1));
        }
        prop_assert_eq!(documents(&body).is_ok(), PushRequest::decode(&*body).is_ok());
    }
}

#[test]
fn what_cannot_be_taken_is_refused_by_itself() {
    let entry = |line: &str| EntryAdapter { line: line.to_owned(), ..EntryAdapter::default() };
    let stream = |labels: &str, lines: &[&str]| StreamAdapter {
        labels: labels.to_owned(),
        entries: lines.iter().map(|line| entry(line)).collect(),
        hash: 0,
    };
    let long = "x".repeat(200);
    let streams =
        vec![stream("{a=\"b\"}", &["one", &long]), stream("no labels", &["two"]), stream("{}", &["three"])];
    let mut body = PushRequest { streams }.encode_to_vec();
    let limits = Limits { max_record_bytes: 100, ..Limits::default() };
    let index = index_of(&body, &limits, ALL).unwrap();
    let places: Vec<usize> = index.rejected.reasons.iter().map(|(place, _)| *place).collect();
    assert_eq!((index.records.len(), places), (2, vec![2, 3]));
    let few = Limits { max_records: 2, ..Limits::default() };
    assert!(index_of(&body, &few, ALL).is_err());
    body.pop();
    assert!(index_of(&body, &limits, ALL).is_err());
}

#[test]
fn routes_see_labels_metadata_line_and_tenant() {
    let routes = r#"[
        {"name": "label", "when": {"field": "path", "equals": "C:\\logs"}, "to": ["sink"], "index": "a"},
        {"name": "metadata", "when": {"field": "trace_id", "equals": "77"}, "to": ["sink"], "index": "b"},
        {"name": "line", "when": {"field": "message", "equals": "needle"}, "to": ["sink"], "index": "c"},
        {"name": "tenant", "when": {"field": "tenant", "equals": "red"}, "to": ["sink"], "index": "d"}]"#;
    let push = |text: &str| json::transcode(text.as_bytes()).unwrap();
    let values = r#""values": [["1", "x", {"trace_id": "77"}], ["2", "needle"], ["3", "x"]]"#;
    let mut body = push(&format!(
        r#"{{"streams": [{{"stream": {{}}, {values}}}, {{"stream": {{"path": "C:\\logs"}}, {values}}}]}}"#
    ));
    write_tenant("red", &mut body);
    let index = index_of(&body, &Limits::default(), routes).unwrap();
    let routed: Vec<(u32, Vec<usize>)> =
        index.runs.iter().map(|run| (run.end - run.first, run.routes.iter().collect())).collect();
    assert_eq!(routed, [(1, vec![1]), (1, vec![2]), (1, vec![3]), (3, vec![0])]);
}

/// A push as python-logging-loki 0.3.1 sent it, byte for byte.
#[test]
fn of_python_logging_loki() {
    let push = include_bytes!("golden/python-logging-loki-0.3.1.json");
    let expected = json!({"@timestamp": "2026-11-22T06:11:16.059393792Z", "message": "Something \"happened\"", "application": "my app",
        "severity": "error", "logger": "my-logger", "service": "my-service"});
    assert_eq!(documents(&json::transcode(push).unwrap()), Ok(vec![expected]));
}

#[test]
fn what_is_no_push_is_refused() {
    for (text, offset) in [
        ("", 0),
        ("{\"streams\": [\n{\"values\": []}]}", 29),
        (r#"{"streams": [{"stream": {"a": 1}}]}"#, 31),
        (r#"{"streams": [{"stream": {}, "values": [["x", "line"]]}]}"#, 44),
        (r#"{"streams": [{"stream": {}, "values": [["1"]]}]}"#, 44),
        (r#"{"streams": [{"stream": {}, "values": [["1", "x", {}, 1]]}]}"#, 0),
        (r#"{"streams": []} x"#, 17),
        (r#"{"streams": [{"stream": {"a": "b"}, "values": [["1", "x"]"#, 57),
    ] {
        let refused = json::transcode(text.as_bytes()).unwrap_err();
        let Malformed::Syntax { offset: found, .. } = refused else { panic!("{refused}") };
        assert!(offset == 0 || found.abs_diff(offset) <= 2, "{text}: {found}");
    }
    assert_eq!(json::transcode(b"{\"other\": [1], \"streams\": []}"), Ok(Vec::new()));
}
