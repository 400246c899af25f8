//! Bodies of Fluent Forward against rmpv, and what is refused. Does not prove that real clients write such bodies: black-box tests do.
#![allow(clippy::unwrap_used)]

mod golden;
mod oracle;
mod refusals;

use super::*;
use crate::body::Body;
use crate::budget::Budget;
use crate::document::DocumentWriter;
use crate::ids::Ids;
use crate::route::{Matcher, Plan, RouteConfig};
use crate::time::EventWindow;
use crate::wire::{CheckContext, Index, Limits, Malformed, WireId};
use proptest::prelude::*;
use rmpv::Value;
use serde_json::{Value as Json, json};
use std::time::Duration;

const ARRIVED: i64 = 1_795_000_000_123_456_789;
const TAG: &str = "app.web";
/// Stamps that records may have of their own, and what they say.
const STAMPS: [(&str, oracle::Moment); 5] = [
    ("2026-11-21T08:26:04.580Z", Some((1_795_249_564_580_000_000, true))),
    ("2026-11-21 08:26:04,580", Some((1_795_249_564_580_000_000, false))),
    ("yesterday", None),
    ("", None),
    ("1795249564", Some((1_795_249_564_000_000_000, false))),
];

fn own(stamp: &Value) -> oracle::Moment {
    match stamp {
        Value::Integer(_) => Some((1_795_249_564_580_000_000, true)),
        _ => STAMPS.iter().find(|(text, _)| stamp.as_str() == Some(text)).and_then(|(_, moment)| *moment),
    }
}

fn plan(routes: &Json) -> Plan {
    let routes: Vec<RouteConfig> = serde_json::from_value(routes.clone()).unwrap();
    Plan::build(&routes, crate::route::Mode::FirstMatch, &[], &["sink"]).unwrap()
}

fn packed(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    for value in values {
        rmpv::encode::write_value(&mut out, value).unwrap();
    }
    out
}

fn body_of(entries: &[u8], chunk: Option<&[u8]>) -> Vec<u8> {
    let mut body = entries.to_vec();
    write_trailer(TAG.as_bytes(), chunk, &mut body);
    body
}

fn checked_by(plan: &Plan, body: &[u8], limits: &Limits) -> Result<Index, Malformed> {
    let window = EventWindow::new(Duration::from_secs(86_400), Duration::from_secs(86_400));
    let context = CheckContext { limits, arrived: ARRIVED, window: &window };
    let mut index = Index::default();
    check(body, &context, &mut Matcher::of(WireId::Forward.signal(), plan), &mut index).map(|()| index)
}

fn checked(body: &[u8]) -> Result<Index, Malformed> {
    let all = plan(&json!([{"name": "all", "to": ["sink"], "index": "logs"}]));
    checked_by(&all, body, &Limits::default())
}

/// The documents of all entries that are taken.
fn documents(entries: &[u8]) -> Vec<serde_json::Map<String, Json>> {
    let bytes = body_of(entries, None);
    let index = checked(&bytes).unwrap();
    let records = index.records.len() as u32;
    let body = Body {
        bytes: bytes.into(),
        wire: WireId::Forward,
        index,
        ids: Ids::None,
        arrived: ARRIVED,
        receiver: "test".into(),
        lease: Budget::new(0).lease(0).unwrap(),
    };
    let mut writer = DocumentWriter::new(&[]);
    (0..records).map(|item| serde_json::from_slice(&writer.document(&body, item)).unwrap()).collect()
}

/// Names that mean something, and some that do not.
const NAMES: [&str; 16] = [
    "@timestamp",
    "level",
    "levelname",
    "log",
    "log.level",
    "loglevel",
    "levelno",
    "tag",
    "metadata",
    "message",
    "attributes.tag",
    "attributes.metadata",
    "attributes.@timestamp",
    "a",
    "b",
    "",
];

fn key() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => prop::sample::select(&NAMES[..]).prop_map(Value::from),
        4 => "[a-z\"\\\\\n]{0,40}".prop_map(Value::from),
        1 => any::<Vec<u8>>().prop_map(Value::Binary),
        1 => any::<i8>().prop_map(Value::from),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::sample::select(&[10_i64, 20, 30, 40, 50][..]).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<f32>().prop_map(Value::from),
        "(?s:.{0,60})".prop_map(Value::from),
        prop::sample::select(&["", "level", "ERROR"][..]).prop_map(Value::from),
        any::<Vec<u8>>().prop_map(Value::Binary),
        (any::<i8>(), any::<Vec<u8>>()).prop_map(|(kind, data)| Value::Ext(kind, data)),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 24, 4, |inner| {
        let pair = (prop_oneof![key(), Just(Value::from("level"))], inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::Array),
            prop::collection::vec(pair, 0..4).prop_map(Value::Map),
        ]
    })
}

fn stamp() -> impl Strategy<Value = Value> {
    let time = prop_oneof![
        4 => (any::<u32>(), 0..1_000_000_000_u32)
            .prop_map(|(s, n)| Value::Ext(0, [s.to_be_bytes(), n.to_be_bytes()].concat())),
        2 => (0..i64::from(u32::MAX)).prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        2 => (1_000_000_000..2_000_000_000_u32, 0..1000_u32)
            .prop_map(|(s, ms)| Value::from(f64::from(s) + f64::from(ms) / 1000.0)),
        1 => scalar().prop_filter("of a size that the oracle knows", |value| !matches!(value, Value::F32(_) | Value::F64(_))),
    ];
    prop_oneof![
        3 => time.clone(),
        1 => (time, value()).prop_map(|(time, metadata)| Value::Array(vec![time, metadata])),
    ]
}

fn record() -> impl Strategy<Value = Value> {
    let own = prop::sample::select(&STAMPS[..]).prop_map(|(text, _)| Value::from(text));
    let own = prop_oneof![own, Just(Value::from(1_795_249_564_580_i64)), Just(Value::Nil)];
    let member = prop_oneof![
        6 => (key(), value()).prop_filter("stamps are the other kind", |(key, _)| key.as_str() != Some("@timestamp")),
        1 => own.prop_map(|stamp| (Value::from("@timestamp"), stamp)),
    ];
    prop::collection::vec(member, 0..8).prop_map(Value::Map)
}

proptest! {
    /// What rmpv reads of an entry is what its document says, and what the model refuses is refused by itself.
    #[test]
    fn documents_say_what_rmpv_says(entries in prop::collection::vec((stamp(), record()), 0..6)) {
        let entries: Vec<Value> =
            entries.into_iter().map(|(stamp, record)| Value::Array(vec![stamp, record])).collect();
        let expected: Vec<_> =
            entries.iter().filter_map(|entry| oracle::expected(entry, TAG, &own)).collect();
        let bytes = packed(&entries);
        let index = checked(&body_of(&bytes, None)).unwrap();
        prop_assert_eq!(index.records.len() as u64 + index.rejected.count, entries.len() as u64);
        let documents = documents(&bytes);
        prop_assert_eq!(documents.len(), expected.len());
        for ((mut document, expected), entry) in documents.into_iter().zip(expected).zip(&index.records) {
            prop_assert_eq!(entry.time, expected.time.unwrap_or(ARRIVED));
            if !expected.document.contains_key("@timestamp") {
                let stamp = document.remove("@timestamp").unwrap();
                let stamp: jiff::Timestamp = stamp.as_str().unwrap().parse().unwrap();
                prop_assert_eq!(stamp.as_nanosecond(), i128::from(entry.time));
            }
            prop_assert_eq!(document, expected.document);
        }
    }

    /// However its bytes are damaged, a body is checked without a panic, and what was taken is walked without one.
    #[test]
    fn damaged_bytes_are_harmless(
        entries in prop::collection::vec((stamp(), record()), 1..4),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in 0..20_usize,
    ) {
        let entries: Vec<Value> =
            entries.into_iter().map(|(stamp, record)| Value::Array(vec![stamp, record])).collect();
        let mut bytes = packed(&entries);
        for (place, byte) in damage {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len() - cut.min(bytes.len()));
        documents(&bytes);
        let _ = checked(&bytes);
    }

    #[test]
    fn arbitrary_bytes_are_harmless(bytes in any::<Vec<u8>>()) {
        let _ = checked(&bytes);
        documents(&bytes);
        let _ = message::Opening::parse(&bytes);
        let _ = message::Options::parse(&bytes);
        let _ = message::Ping::parse(&bytes);
    }
}
