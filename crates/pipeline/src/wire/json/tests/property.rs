//! Arbitrary documents and arbitrary bytes, held against the oracle.

use super::super::{check_value, unescape, walk_nested, write_single_line};
use super::{ARRIVED, documents, index, oracle};
use crate::record::{Key, NestedVisitor, Value};
use proptest::prelude::*;

/// A JSON string literal: any text, every kind of escape.
fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(|char| serde_json::to_string(&char).unwrap().trim_matches('"').to_owned()),
        "[ -!#-\\[\\]-~]{0,40}",
        "\\\\[bfnrt/]",
        "\\\\u[0-9a-fA-Cef][0-9a-fA-F]{3}"
            .prop_filter("a lone surrogate", |text| oracle::accepts(format!("\"{text}\"").as_bytes())),
        Just("\\ud83d\\uDE00".to_owned()),
    ];
    prop::collection::vec(piece, 0..5)
        .prop_map(|pieces| format!("\"{}\"", pieces.concat().replace('"', "\\\"")))
        .prop_filter("trimmed escape", |text| oracle::accepts(text.as_bytes()))
}

fn scalar() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec!["null", "true", "false", "0", "{}", "[]"]).prop_map(str::to_owned);
    prop_oneof![3 => string(), 2 => "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,12})?([eE][+-]?[0-9]{1,3})?", 1 => word]
}

fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "", "", " ", "\n", "\r\n\t "])
}

fn join(open: &str, members: &[String], space: &str, close: &str) -> String {
    format!("{open}{space}{}{space}{close}", members.join(&format!("{space},{space}")))
}

fn value() -> impl Strategy<Value = String> {
    scalar().prop_recursive(5, 40, 5, |inner| {
        let member = (string(), space(), inner.clone())
            .prop_map(|(key, space, value)| format!("{key}{space}:{space}{value}"));
        prop_oneof![
            (prop::collection::vec(inner, 0..5), space())
                .prop_map(|(items, space)| join("[", &items, space, "]")),
            (prop::collection::vec(member, 0..5), space())
                .prop_map(|(items, space)| join("{", &items, space, "}")),
        ]
    })
}

/// A value that the fields for time and level may hold, or nearly.
fn telling() -> impl Strategy<Value = String> {
    let exact = vec![
        "null",
        "\"\"",
        "10",
        "20",
        "\"30\"",
        "\"ERROR\"",
        "\"w\\u0061rn\"",
        "{\"level\":\"info\"}",
        "{\"level\":\"\"}",
        "1795249564580",
        "{ \"x\":[1], \"le\\u0076el\" : \"i\\n\" }",
        "\"2026-11-20T07:06:05Z\"",
        "\"2026-11-20 07:06:05,123\"",
        "\"2026-11-2\\u0030\"",
    ];
    prop_oneof![
        4 => prop::sample::select(exact).prop_map(str::to_owned),
        2 => "\"20[0-9]{2}-0[1-9]-[0-2][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-6][0-9]([.,][0-9]{1,11})?(Z|[+-][01][0-9]:[0-5][0-9])?\"",
        2 => "\"?[1-9][0-9]{7,18}(\\.[0-9]{1,20})?\"?".prop_filter("unbalanced", |text| text.matches('"').count() != 1),
        1 => value(),
    ]
}

/// An object with an inclination to the fields that matter. Keys may be written twice.
fn record() -> impl Strategy<Value = String> {
    let names = vec![
        "@timestamp",
        "@timestamp",
        "timestamp",
        "time",
        "ts",
        "asctime",
        "level",
        "level",
        "levelname",
        "log.level",
        "log",
        "loglevel",
        "levelno",
        "\\u0074ime",
        "attributes.@timestamp",
    ];
    let known = (prop::sample::select(names), space(), telling())
        .prop_map(|(key, space, value)| format!("\"{key}\"{space}:{space}{value}"));
    let other = (string(), value()).prop_map(|(key, value)| format!("{key}:{value}"));
    (prop::collection::vec(prop_oneof![2 => known, 1 => other], 0..7), space())
        .prop_map(|(members, space)| join("{", &members, space, "}"))
}

/// A few bytes of a text changed, left out or put in.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (
        any::<prop::sample::Index>(),
        0..3u8,
        prop_oneof![any::<u8>(), prop::sample::select(b"\"\\{}[]:,0u \n".to_vec())],
    );
    (record(), prop::collection::vec(change, 1..4)).prop_map(|(text, changes)| {
        let mut bytes = text.into_bytes();
        for (place, kind, byte) in changes {
            let at = place.index(bytes.len() + 1);
            match kind {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                _ if at < bytes.len() => bytes[at] = byte,
                _ => {}
            }
        }
        bytes
    })
}

/// What `walk_nested` finds, as serde_json would have it.
#[derive(Default)]
struct Collected {
    members: Vec<(Option<String>, serde_json::Value)>,
}

impl<'a> NestedVisitor<'a> for Collected {
    fn member(&mut self, key: Option<Key<'a>>, value: Value<'a>) {
        let key = key.map(|key| match key {
            Key::Plain(key) => key.as_str().to_owned(),
            Key::Escaped(inside) => unescape(inside).into_owned(),
        });
        self.members.push((key, owned(value)));
    }
}

struct Ignored;

impl<'a> NestedVisitor<'a> for Ignored {
    fn member(&mut self, _key: Option<Key<'a>>, _value: Value<'a>) {}
}

fn owned(value: Value<'_>) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => value.into(),
        Value::Str(text) => text.as_str().into(),
        Value::Escaped(inside) => unescape(inside).into(),
        Value::Number(digits) => serde_json::from_str(digits).unwrap(),
        Value::Array(nested) | Value::Map(nested) => {
            let is_map = matches!(value, Value::Map(_));
            let mut inner = Collected::default();
            nested.walk(is_map, &mut inner);
            if is_map {
                return inner.members.into_iter().map(|(key, value)| (key.unwrap(), value)).collect();
            }
            inner.members.into_iter().map(|(_, value)| value).collect()
        }
        other => panic!("{other:?} is no JSON"),
    }
}

proptest! {
    #[test]
    fn documents_are_what_the_oracle_says(record in record()) {
        let accepted = oracle::accepts(record.as_bytes());
        let expected = if accepted { oracle::document(&record, ARRIVED) } else { None };
        let index = index(record.as_bytes()).unwrap();
        prop_assert_eq!(index.records.len(), usize::from(expected.is_some()));
        prop_assert_eq!(index.rejected.count, u64::from(expected.is_none()));
        if let Some((members, time)) = expected {
            let document = documents(record.as_bytes(), &index).remove(0);
            prop_assert!(!document.contains(['\n', '\r']));
            prop_assert!(oracle::accepts(document.as_bytes()), "{}", document);
            prop_assert_eq!(oracle::members(&document), members);
            prop_assert_eq!(index.records[0].time, time);
        }
    }

    #[test]
    fn bodies_are_the_same_as_lines_and_as_an_array(records in prop::collection::vec(record(), 1..5)) {
        let lines: Vec<String> = records.iter().map(|record| record.replace(['\r', '\n'], "")).collect();
        let in_lines = lines.join("\r\n");
        let in_array = format!("[{}]", lines.join(" ,\n"));
        let (by_line, by_element) = (index(in_lines.as_bytes()).unwrap(), index(in_array.as_bytes()).unwrap());
        prop_assert_eq!(documents(in_lines.as_bytes(), &by_line), documents(in_array.as_bytes(), &by_element));
        prop_assert_eq!(by_line.rejected.count, by_element.rejected.count);
        prop_assert_eq!(by_line.records.len() + by_line.rejected.count as usize, records.len());
    }

    #[test]
    fn values_are_accepted_and_walked(value in value()) {
        prop_assert_eq!(check_value(value.as_bytes()).is_ok(), oracle::accepts(value.as_bytes()));
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(&value);
        if let (Ok(parsed), true) = (parsed, value.starts_with(['{', '['])) {
            let mut found = Collected::default();
            walk_nested(value.as_bytes(), &mut found);
            let walked: serde_json::Value = match parsed {
                serde_json::Value::Object(_) => {
                    found.members.into_iter().map(|(key, value)| (key.unwrap(), value)).collect()
                }
                _ => found.members.into_iter().map(|(_, value)| value).collect(),
            };
            prop_assert_eq!(walked, parsed);
        }
        let mut line = Vec::new();
        write_single_line(value.as_bytes(), &mut line);
        prop_assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
    }

    #[test]
    fn changed_texts_are_accepted_when_the_oracle_does(text in mutated()) {
        prop_assert_eq!(check_value(&text).is_ok(), oracle::accepts(&text), "{}", String::from_utf8_lossy(&text));
        let _ = index(&text);
        walk_nested(&text, &mut Ignored);
    }

    #[test]
    fn arbitrary_bytes_never_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(check_value(&text).is_ok(), oracle::accepts(&text));
        let _ = index(&text);
        walk_nested(&text, &mut Ignored);
    }

    #[test]
    fn unescape_is_what_serde_json_reads(literal in string()) {
        let read: String = serde_json::from_str(&literal).unwrap();
        prop_assert_eq!(unescape(&literal[1..literal.len() - 1]), read);
    }
}
