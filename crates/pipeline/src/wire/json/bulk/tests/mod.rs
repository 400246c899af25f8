//! Bulks against serde_json, tables of cases, and what real clients sent.

mod golden;

use super::*;
use crate::route::{Mode, Plan, RouteConfig};
use crate::time::{EventWindow, TimestampWriter};
use crate::wire::Limits;
use crate::wire::json::{Format, splice};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// 2026-11-21T08:26:04.580Z.
const ARRIVED: i64 = 1_795_249_564_580_000_000;
/// One for bulks whose metadata names an index, one for the rest.
const ROUTES: &str = r#"[
    {"name": "named", "when": {"field": "@metadata._index", "glob": "app-*"}, "to": ["sink"], "index": "named"},
    {"name": "piped", "when": {"field": "@metadata.pipeline", "exists": true}, "to": ["sink"], "index": "piped"},
    {"name": "all", "to": ["sink"], "index": "all"}]"#;

/// A bulk that was read.
#[derive(Debug)]
struct Read {
    body: Vec<u8>,
    index: Index,
    items: Vec<Item>,
}

impl Read {
    fn documents(&self) -> Vec<Value> {
        let mut time = TimestampWriter::default();
        let items = 0..self.index.records.len() as u32;
        items
            .map(|item| {
                let mut out = Vec::new();
                splice(&self.body, &self.index, item, &mut time, &mut out);
                serde_json::from_slice(&out).unwrap()
            })
            .collect()
    }

    fn text(&self, (offset, len): (u32, u32)) -> &str {
        std::str::from_utf8(&self.body[offset as usize..(offset + len) as usize]).unwrap()
    }

    /// The route of each record, by its number in `ROUTES`.
    fn routes(&self) -> Vec<usize> {
        let run =
            |run: &crate::wire::Run| vec![run.routes.iter().next().unwrap(); (run.end - run.first) as usize];
        self.index.runs.iter().flat_map(run).collect()
    }
}

fn read_within(body: &[u8], limits: &Limits) -> Result<Read, Malformed> {
    read_as(body, limits, false)
}

fn read_as(body: &[u8], limits: &Limits, keep_index: bool) -> Result<Read, Malformed> {
    let routes: Vec<RouteConfig> = serde_json::from_str(ROUTES).unwrap();
    let plan = Plan::build(&routes, Mode::FirstMatch, &[], &["sink"]).unwrap();
    let window = EventWindow::new(Duration::from_secs(86_400), Duration::from_secs(86_400));
    let context = CheckContext { limits, arrived: ARRIVED, window: &window };
    let options = JsonOptions { format: Format::Bulk, keep_index, ..JsonOptions::default() };
    let (mut index, mut items) = (Index::default(), Vec::new());
    check(body, &context, &options, &mut Matcher::new(&plan), &mut index, &mut |item| items.push(item))?;
    Ok(Read { body: body.to_vec(), index, items })
}

fn read(body: &str) -> Result<Read, Malformed> {
    read_within(body.as_bytes(), &Limits::default())
}

fn told(body: &str) -> String {
    read(body).unwrap_err().to_string()
}

#[test]
fn actions_and_documents_come_by_turns() {
    let body = "{\"index\":{\"_index\":\"app-1\",\"_id\":\"a\\u0062\"}}\n{\"n\":1}\n\r\n\
                {\"create\":{\"_id\":7,\"_type\":\"_doc\"}}\r\n{\"n\":2,\"@timestamp\":\"2026-11-21T08:26:04Z\"}\r\n\
                {\"index\":{\"op_type\":\"create\",\"pipeline\":\"p\",\"dynamic_templates\":{\"n\":\"long\"}}}\n{\"n\":3}\n";
    let bulk = read(body).unwrap();
    let items: Vec<_> =
        bulk.items.iter().map(|item| (item.op, bulk.text(item.index), bulk.text(item.id))).collect();
    assert_eq!(items, [(Op::Index, "app-1", "a\\u0062"), (Op::Create, "", "7"), (Op::Create, "", "")]);
    assert!(bulk.items.iter().all(|item| item.refused.is_none()));
    let ids: Vec<&str> = bulk.index.client_ids.iter().map(|named| bulk.text(named.id)).collect();
    assert_eq!(ids, ["a\\u0062", "7", ""]);
    assert_eq!(bulk.routes(), [0, 2, 1]);
    let documents = bulk.documents();
    assert_eq!(documents[1], json!({"n": 2, "@timestamp": "2026-11-21T08:26:04Z"}));
    assert_eq!(documents[2], json!({"n": 3, "@timestamp": "2026-11-21T08:26:04.580000000Z"}));
}

#[test]
fn what_the_address_says_counts_where_the_action_says_nothing() {
    let body = "{\"index\":{}}\n{}\n{\"index\":{\"_index\":\"other\"}}\n{}\n{\"create\":{\"_id\":null}}\n{}\n\
                {\"_index\":\"app-1\"}";
    let bulk = read(body).unwrap();
    assert_eq!(bulk.routes(), [0, 2, 0]);
    let names: Vec<&str> = bulk.items.iter().map(|item| bulk.text(item.index)).collect();
    assert_eq!(names, ["app-1", "other", "app-1"]);
    // A field of the document's own stays there, and says nothing of the action's.
    let bulk = read("{\"index\":{\"_index\":\"other\"}}\n{\"@metadata\":{\"_index\":\"app-9\"}}\n").unwrap();
    assert_eq!((bulk.routes(), &bulk.documents()[0]["@metadata"]), (vec![2], &json!({"_index": "app-9"})));
}

#[test]
fn the_index_is_kept_in_the_document_where_that_is_wished() {
    let body = "{\"index\":{}}\n{\"n\":1}\n{\"create\":{\"_index\":\"b\\\"\"}}\n{}\n{\"index\":{}}\n{\"a\":1,\"a\":2}\n\
                {\"index\":{\"_index\":7}}\n{\"@timestamp\":null}\n{\"index\":{}}\n{\"@metadata._index\":\"own\"}\n\
                {\"_index\":\"a\"}";
    let names = |body: &str| {
        let bulk = read_as(body.as_bytes(), &Limits::default(), true).unwrap();
        let documents = bulk.documents();
        assert!(documents.iter().all(|document| document["@timestamp"] == "2026-11-21T08:26:04.580000000Z"));
        documents.iter().map(|document| document["@metadata._index"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(body), ["a", "b\"", "7", "own"]);
    assert_eq!(names("{\"index\":{}}\n{}\n"), [Value::Null]);
    assert_eq!(read(body).unwrap().documents()[0].get("@metadata._index"), None);
}

#[test]
fn a_malformed_item_is_refused_by_itself() {
    let action = "{\"create\":{}}\n";
    let documents = ["{\"n\":0}", "", "[1]", "{\"n\":}", "{\"a\":1,\"a\":2}", "null", "{\"n\":6}"];
    let mut body: String = documents.map(|document| format!("{action}{document}\n")).concat();
    body.push_str("{\"update\":{\"_id\":\"x\"}}\n{\"doc\":{}}\n{\"delete\":{\"_id\":\"x\"}}\n");
    body.push_str(
        "{\"index\":{\"if_seq_no\":1,\"if_primary_term\":1}}\n{}\n{\"index\":{\"_id\":\"\"}}\n{}\n",
    );
    body.push_str(&format!("{{\"index\":{{\"_id\":\"{}\"}}}}\n{{\"n\":11}}\n", "\\u0061".repeat(512)));
    body.push_str(&format!("{{\"index\":{{\"_id\":\"{}\"}}}}\n{{}}\n", "a".repeat(513)));
    let bulk = read(&body).unwrap();
    let refused: Vec<usize> =
        (0..bulk.items.len()).filter(|number| bulk.items[*number].refused.is_some()).collect();
    assert_eq!(refused, [1, 2, 3, 4, 5, 7, 8, 9, 10, 12]);
    assert_eq!((bulk.index.records.len(), bulk.index.rejected.count), (3, 10));
    let numbers: Vec<Value> = bulk.documents().iter().map(|document| document["n"].clone()).collect();
    assert_eq!(numbers, [0, 6, 11]);
    let mut latin1 = b"{\"index\":{}}\n{\"a\":\"\xe4\"}\n{\"index\":{}}\n{\"n\":1}\n".to_vec();
    let bulk = read_within(&latin1, &Limits::default()).unwrap();
    assert_eq!(bulk.items[0].refused.as_deref(), Some(&Malformed::Utf8 { offset: 19 }));
    assert_eq!(bulk.documents()[0]["n"], 1);
    latin1.splice(2..2, b"\xe4".iter().copied());
    assert_eq!(read_within(&latin1, &Limits::default()).unwrap_err(), Malformed::Utf8 { offset: 2 });
}

/// Elasticsearch's words, as far as they do not quote what it found.
#[test]
fn a_malformed_action_refuses_the_request() {
    let good = "{\"index\":{}}\n{}\n";
    let line_3 = "Malformed action/metadata line [3], ";
    let cases = [
        ("{\"foo\":{}}\n{}\n", "expected field [create], [delete], [index] or [update]"),
        ("{}\n{}\n", "expected field [create], [delete], [index] or [update]"),
        ("[]\n{}\n", "expected START_OBJECT"),
        ("{\"index\":1}\n{}\n", "expected START_OBJECT behind the action"),
        ("{\"index\":{},\"create\":{}}\n{}\n", "expected END_OBJECT: one line is one action"),
        ("{\"index\":{}} {}\n{}\n", "expected nothing behind the action"),
        ("{\"index\":{\"_id\":[1]}}\n{}\n", "expected a simple value"),
        ("{\"index\":{\"_ix\":1}}\n{}\n", "it contains an unknown parameter"),
        ("{\"index\":{\"op_type\":\"delete\"}}\n{}\n", "opType must be 'create' or 'index'"),
        ("{\"index\":{\"_id\":\"1\",\"_id\":\"2\"}}\n{}\n", "a field is there twice"),
        ("{\"index\":{}}\n", "expected a document behind it"),
    ];
    for (bad, words) in cases {
        assert_eq!(told(&format!("{good}{bad}")), format!("{line_3}{words}"), "{bad}");
    }
    assert!(told("{\"index\":{}\n{}\n").starts_with("malformed JSON at byte "));
    assert_eq!(told("\n \n"), "no requests added");
    assert_eq!(told(""), "no requests added");
    let one = Limits { max_records: 1, ..Limits::default() };
    let too_many = read_within(format!("{good}{good}").as_bytes(), &one).unwrap_err();
    assert_eq!(too_many, Malformed::TooManyRecords { limit: 1 });
    // What is refused one by one is answered one by one.
    let refused = read_within(b"{\"delete\":{}}\n{\"delete\":{}}\n", &one).unwrap_err();
    assert_eq!(refused, Malformed::TooManyRecords { limit: 1 });
    assert_eq!(check_end(b"{}\n"), Ok(()));
    assert!(check_end(b"{}").is_err() && check_end(b"").is_err());
}

/// An item as a client means it: the action's name, its metadata and its document.
fn item() -> impl Strategy<Value = (Op, Map<String, Value>, Value)> {
    let op = prop::sample::select(Op::ALL.to_vec());
    let name = prop_oneof!["[a-z-]{1,9}", "app-[0-9]", ".{1,6}"];
    let id =
        prop_oneof![any::<u32>().prop_map(Value::from), ".{1,9}".prop_map(Value::from), Just(Value::Null)];
    let metadata = (prop::option::of(name), prop::option::of(id), prop::option::of("[a-z]{1,4}"));
    let member = prop_oneof![any::<i64>().prop_map(Value::from), ".{0,9}".prop_map(Value::from)];
    let document = prop_oneof![
        9 => prop::collection::btree_map("[a-z]{2,5}", member, 0..4).prop_map(|members| json!(members)),
        1 => any::<bool>().prop_map(Value::from),
    ];
    (op, metadata, document).prop_map(|(op, (index, id, pipeline), document)| {
        let members =
            [("_index", index.map(Value::from)), ("_id", id), ("pipeline", pipeline.map(Value::from))];
        let members = members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        (op, members.collect(), document)
    })
}

/// The index in a request's address.
fn default() -> impl Strategy<Value = String> {
    prop_oneof!["app-[a-z]", "[a-z-]{1,8}"]
}

/// The text of a scalar, as it reads; empty for none.
fn scalar(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

fn unquoted(inside: &str) -> String {
    serde_json::from_str(&format!("\"{inside}\"")).unwrap()
}

proptest! {
    /// What serde_json writes is read as it was meant: items, names, ids, routes and documents, in order.
    #[test]
    fn what_is_written_is_read(bulk in prop::collection::vec(item(), 1..12), default in prop::option::of(default())) {
        let mut body = String::new();
        for (op, metadata, document) in &bulk {
            body.push_str(&format!("{}\n", json!({ op.name(): metadata })));
            if *op != Op::Delete {
                body.push_str(&format!("{document}\n"));
            }
        }
        if let Some(name) = &default {
            body.push_str(&json!({ "_index": name }).to_string());
        }
        let read = read(&body).unwrap();
        prop_assert_eq!(read.items.len(), bulk.len());
        let (documents, routes) = (read.documents(), read.routes());
        let mut record = 0;
        for (item, (op, metadata, document)) in read.items.iter().zip(&bulk) {
            let name = metadata.get("_index").cloned().or(default.clone().map(Value::from));
            let id = scalar(metadata.get("_id"));
            prop_assert_eq!(item.op, *op);
            prop_assert_eq!(unquoted(read.text(item.index)), scalar(name.as_ref()));
            prop_assert_eq!(unquoted(read.text(item.id)), &*id);
            let is_taken = matches!(op, Op::Index | Op::Create) && document.is_object();
            prop_assert_eq!(item.refused.is_none(), is_taken);
            if is_taken {
                let mut found = documents[record].clone();
                if document.get("@timestamp").is_none() {
                    found.as_object_mut().unwrap().remove("@timestamp");
                }
                prop_assert_eq!(&found, document);
                prop_assert_eq!(unquoted(read.text(read.index.client_ids[record].id)), id);
                let route = match (scalar(name.as_ref()).starts_with("app-"), metadata.contains_key("pipeline")) {
                    (true, _) => 0,
                    (false, true) => 1,
                    (false, false) => 2,
                };
                prop_assert_eq!(routes[record], route);
                record += 1;
            }
        }
        prop_assert_eq!(record, read.index.records.len());
    }

    /// No bytes make it panic, and whatever it takes is JSON.
    #[test]
    fn any_bytes_end(lines in prop::collection::vec(piece(), 0..8)) {
        if let Ok(read) = read_within(&lines.concat(), &Limits::default()) {
            prop_assert!(read.documents().iter().all(Value::is_object));
            let refused = read.items.iter().filter(|item| item.refused.is_some()).count();
            prop_assert_eq!((read.items.len() - refused, refused as u64), (read.index.records.len(), read.index.rejected.count));
        }
    }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let parts = [
        "{\"index\":{}}\n",
        "{\"create\":{\"_id\":\"",
        "\"}}\n",
        "{}\n",
        "{\"a\":1}\n",
        "\n",
        "{\"delete\":{}}\n",
        "\\",
    ];
    let known = prop::sample::select(parts.to_vec()).prop_map(|part| part.as_bytes().to_vec());
    prop_oneof![5 => known, 1 => prop::collection::vec(any::<u8>(), 0..9)]
}
