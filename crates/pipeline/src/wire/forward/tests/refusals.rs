//! What is refused, by itself or with its body, what meets in one name, and where records go.

use super::*;
use crate::ids::content_ids;

fn entry(record: Value) -> Value {
    Value::Array(vec![Value::from(1_795_249_564), record])
}

fn map<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    Value::Map(pairs.map(|(key, value)| (Value::from(key), value)).to_vec())
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(Value::Nil, |inner, _| Value::Array(vec![inner]))
}

/// Each of these costs itself, and the good ones around it are taken.
#[test]
fn a_bad_entry_does_not_take_the_others_along() {
    let good = entry(map([("n", Value::from(1))]));
    let bad = [
        Value::from("no entry"),
        Value::Array(vec![Value::from(1)]),
        Value::Array(vec![Value::from(1), map([]), Value::Nil]),
        Value::Array(vec![Value::from("then"), map([])]),
        Value::Array(vec![Value::from(-1), map([])]),
        Value::Array(vec![Value::from(10_000_000_000_i64), map([])]),
        Value::Array(vec![Value::F64(f64::NAN), map([])]),
        Value::Array(vec![Value::Ext(1, vec![0; 8]), map([])]),
        Value::Array(vec![Value::Array(vec![Value::from(1), Value::from("no map")]), map([])]),
        entry(Value::from("no record")),
        entry(Value::Map(vec![(Value::from(7), Value::Nil)])),
        entry(map([("a", Value::Map(vec![(Value::Nil, Value::Nil)]))])),
        entry(Value::Map(vec![(Value::Binary(vec![0xff]), Value::Nil)])),
        entry(map([("deep", nested(64))])),
        entry(map([("@timestamp", Value::from("never")), ("attributes.@timestamp", Value::Nil)])),
        entry(map([("tag", Value::Nil), ("attributes.tag", Value::Nil)])),
        entry(map([("long", Value::from("x".repeat(2000)))])),
    ];
    let mut entries = vec![good.clone()];
    for bad in &bad {
        entries.extend([bad.clone(), good.clone()]);
    }
    let all = plan(&json!([{"name": "all", "to": ["sink"], "index": "logs"}]));
    let limits = Limits { max_record_bytes: 1000, ..Limits::default() };
    let index = checked_by(&all, &body_of(&packed(&entries), None), &limits).unwrap();
    assert_eq!(index.rejected.count, bad.len() as u64, "{:?}", index.rejected);
    assert_eq!(index.records.len(), bad.len() + 1);
    let places: Vec<usize> = index.rejected.reasons.iter().map(|(place, _)| *place).collect();
    assert_eq!(places, (1..=10).map(|number| 2 * number).collect::<Vec<_>>());
    assert!(
        checked(&body_of(&packed(&[entry(map([("deep", nested(63))]))]), None)).unwrap().rejected.count == 0
    );
}

/// From where nothing can be delimited any more, what is left is one that is rejected, and what came before is taken.
#[test]
fn what_cannot_be_delimited_costs_itself_and_what_follows() {
    let good = packed(&[entry(map([("n", Value::from(1))]))]);
    let lies: [&[u8]; 6] = [
        b"\xc1",
        b"\x92\x01",
        b"\x92\x01\xdf\xff\xff\xff\xff\xa1a",
        b"\xdd\xff\xff\xff\xff",
        b"\x92\x01\x81\xa1a\xdb\xff\xff\xff\xff",
        b"\x92\x01\x81\xa1a\xc9\xff\xff\xff\xff",
    ];
    for lie in lies {
        let index = checked(&body_of(&[&good[..], &good, lie].concat(), None)).unwrap();
        assert_eq!((index.records.len(), index.rejected.count), (2, 1), "{lie:x?}");
    }
}

#[test]
fn a_body_without_its_trailer_or_with_too_many_entries_is_refused() {
    let good = packed(&[entry(map([])), entry(map([]))]);
    for bad in [
        &b""[..],
        b"\0\0\0\0",
        b"\0\0\0\x09",
        b"\xa1t\0\0\0\x02",
        b"\xc0\xc0\0\0\0\x02",
        b"\xa1\xff\xc0\0\0\0\x03",
        b"\xa1t\x01\0\0\0\x03",
        &good,
    ] {
        assert!(checked(bad).is_err(), "{bad:x?}");
    }
    assert_eq!(checked(b"\xa1t\xc0\0\0\0\x03").unwrap().records.len(), 0);
    let all = plan(&json!([{"name": "all", "to": ["sink"], "index": "logs"}]));
    let limits = Limits { max_records: 1, ..Limits::default() };
    let refused = checked_by(&all, &body_of(&good, None), &limits).unwrap_err();
    assert_eq!(refused, Malformed::TooManyRecords { limit: 1 });
}

#[test]
fn a_document_has_the_records_fields_and_what_it_is_told_beside_them() {
    let event_time = Value::Ext(0, [1_795_249_564_u32.to_be_bytes(), 580_000_000_u32.to_be_bytes()].concat());
    let stamp = Value::Array(vec![event_time, map([("otlp", map([("severity", Value::from(9))]))])]);
    let record = map([
        ("log", Value::from("it is \"done\"\n")),
        ("big", Value::from(u64::MAX)),
        ("half", Value::F32(0.5)),
        ("nan", Value::F64(f64::NAN)),
        ("latin1", Value::Binary(b"caf\xe9".to_vec())),
        ("ext", Value::Ext(7, vec![1])),
        ("a", Value::from(1)),
        ("a", Value::from(2)),
        ("levelno", Value::from(40)),
    ]);
    let found = documents(&packed(&[Value::Array(vec![stamp, record])]));
    let expected = json!({
        "@timestamp": "2026-11-21T08:26:04.580000000Z", "level": "ERROR", "tag": TAG,
        "metadata": {"otlp": {"severity": 9}}, "log": "it is \"done\"\n", "big": u64::MAX, "half": 0.5, "nan": "NaN",
        "latin1": "Y2Fm6Q==", "ext": {"type": 7, "data": "AQ=="}, "a": 2, "levelno": 40});
    assert_eq!(Json::Object(found[0].clone()), expected);
}

#[test]
fn what_would_meet_stands_beside_and_routes_see_what_the_document_says() {
    let routes = json!([
        {"name": "tag", "when": {"field": "tag", "glob": "app.*"}, "to": ["sink"], "index": "a"},
        {"name": "moved", "when": {"field": "attributes.tag", "equals": TAG}, "to": ["sink"], "index": "b"},
        {"name": "deep", "when": {"field": "k8s.pod", "equals": "p"}, "to": ["sink"], "index": "c"},
        {"name": "level", "when": {"field": "level", "equals": "ERROR"}, "to": ["sink"], "index": "d"},
        {"name": "metadata", "when": {"field": "metadata.n", "equals": 1}, "to": ["sink"], "index": "e"},
    ]);
    let mut every: Vec<RouteConfig> = serde_json::from_value(routes).unwrap();
    let pod = map([("pod", Value::from("p"))]);
    let metadata = Value::Array(vec![Value::Nil, map([("n", Value::from(1))])]);
    let entries = packed(&[
        entry(map([])),
        entry(map([("tag", Value::from("mine"))])),
        entry(map([("tag", Value::from("mine")), ("k8s", pod)])),
        entry(map([("tag", Value::Nil), ("levelname", Value::from("ERROR"))])),
        Value::Array(vec![metadata, map([("tag", Value::from(5))])]),
    ]);
    let routed = |every: &[RouteConfig]| {
        let plan = Plan::build(every, crate::route::Mode::FirstMatch, &[], &["sink"]).unwrap();
        let index = checked_by(&plan, &body_of(&entries, None), &Limits::default()).unwrap();
        let names = index.runs.iter().flat_map(|run| {
            let route = run.routes.iter().next().map(|number| every[number].name.clone());
            (run.first..run.end).map(move |_| route.clone().unwrap_or_default())
        });
        names.collect::<Vec<String>>()
    };
    assert_eq!(routed(&every), ["tag", "moved", "moved", "moved", "moved"]);
    every.remove(1);
    assert_eq!(routed(&every), ["tag", "", "deep", "level", "metadata"]);
    let found = documents(&entries);
    assert_eq!((&found[0]["tag"], found[0].get("attributes.tag")), (&json!(TAG), None));
    assert_eq!((&found[1]["tag"], &found[1]["attributes.tag"]), (&json!("mine"), &json!(TAG)));
}

/// The same chunk sent again has the same ids; the same events under another name, or twice in a chunk, are events of their own.
#[test]
fn ids_are_those_of_the_chunk_and_its_content() {
    let ids = |name: &[u8]| {
        let twice = packed(&[entry(map([("n", Value::from(1))])), entry(map([("n", Value::from(1))]))]);
        let body = body_of(&twice, Some(name));
        content_ids(&body, &checked(&body).unwrap())
    };
    assert_eq!(ids(b"\xa3one"), ids(b"\xa3one"));
    let all: std::collections::HashSet<u128> =
        [ids(b"\xa3one"), ids(b"\xc4\x03two")].concat().into_iter().collect();
    assert_eq!(all.len(), 4);
}
