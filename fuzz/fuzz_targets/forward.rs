//! Any bytes as packed events of Fluent Forward: the end of a value is found where rmpv finds it, whether it comes whole or in pieces; what is taken and what is
//! refused is what the oracle says; and every document is the one that it expects.

#![no_main]

#[path = "../../crates/pipeline/src/wire/forward/tests/oracle.rs"]
mod oracle;

use forebay_pipeline::body::Body;
use forebay_pipeline::budget::Budget;
use forebay_pipeline::document::DocumentWriter;
use forebay_pipeline::ids::Ids;
use forebay_pipeline::route::{Matcher, Mode, Plan, RouteConfig};
use forebay_pipeline::time::EventWindow;
use forebay_pipeline::wire::forward::message::{Opening, Options, Ping};
use forebay_pipeline::wire::forward::{Skipper, check, write_trailer};
use forebay_pipeline::wire::{CheckContext, Index, Limits, WireId};
use libfuzzer_sys::fuzz_target;
use rmpv::Value;
use serde_json::{Map, Value as Json};
use std::time::Duration;

const ROUTES: &str = r#"[{"name":"named","when":{"field":"tag","glob":"a*"},"to":["sink"],"index":"logs"}]"#;
const ARRIVED: i64 = 1_795_249_564_580_000_000;
const TAG: &str = "app";
/// What the oracle is not asked about: how a text reads as a time.
const STAMPS: [&str; 2] = ["@timestamp", "attributes.@timestamp"];

fuzz_target!(|bytes: &[u8]| {
    let _ = Opening::parse(bytes);
    let _ = Options::parse(bytes);
    let _ = Ping::parse(bytes);
    let entries = values(bytes);
    let mut body = bytes.to_vec();
    write_trailer(TAG.as_bytes(), None, &mut body);
    let routes: Vec<RouteConfig> = serde_json::from_str(ROUTES).expect("routes");
    let plan = Plan::build(&routes, Mode::FirstMatch, &[], &["sink"]).expect("a plan");
    let window = EventWindow::new(Duration::from_secs(86_400), Duration::from_secs(86_400));
    let context = CheckContext { limits: &Limits::default(), arrived: ARRIVED, window: &window };
    let mut index = Index::default();
    check(&body, &context, &mut Matcher::of(WireId::Forward.signal(), &plan), &mut index).expect("a trailer");
    let Some((entries, is_whole)) = entries else { return };
    let rest = u64::from(!is_whole);
    assert_eq!(index.records.len() as u64 + index.rejected.count, entries.len() as u64 + rest);
    let count = index.records.len() as u32;
    let lease = Budget::new(0).lease(0).expect("nothing");
    let body = Body { bytes: body.into(), wire: WireId::Forward, index, ids: Ids::None, arrived: ARRIVED, receiver: "fuzz".into(), lease };
    if entries.iter().any(|entry| has_stamp(entry) || has_double(entry)) {
        // Written all the same.
        (0..count).for_each(|item| drop(document(&body, item)));
        return;
    }
    let expected: Vec<_> = entries.iter().filter_map(|entry| oracle::expected(entry, TAG, &|_| None)).collect();
    assert_eq!(count as usize, expected.len());
    for (item, expected) in expected.into_iter().enumerate() {
        let mut document = document(&body, item as u32);
        assert_eq!(body.entry(item as u32).time, expected.time.unwrap_or(ARRIVED));
        document.remove("@timestamp").expect("a time");
        assert_eq!(document, expected.document);
    }
});

fn document(body: &Body, item: u32) -> Map<String, Json> {
    let document = DocumentWriter::new(&[]).document(body, item);
    assert!(!document.contains(&b'\n'));
    serde_json::from_slice(&document).expect("a document is JSON")
}

/// The values in front, and whether nothing follows them; `None` where rmpv and the wire may differ in where they end.
fn values(bytes: &[u8]) -> Option<(Vec<Value>, bool)> {
    let (mut values, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let mut skipper = Skipper::new(1);
        let end = skipper.pass(&bytes[at..]).ok().filter(|_| skipper.is_done());
        let mut pieces = Skipper::new(1);
        let (mut taken, mut seen) = (at, at);
        while end.is_some() && !pieces.is_done() {
            seen = (seen + 3).min(bytes.len());
            taken += pieces.pass(&bytes[taken..seen]).expect("the same values");
        }
        let mut rest = &bytes[at..];
        match (rmpv::decode::read_value(&mut rest), end) {
            (Ok(value), Some(len)) => {
                assert_eq!(bytes.len() - rest.len(), at + len, "a value ends where it ends");
                assert_eq!(taken, at + len, "in pieces as well");
                values.push(value);
                at += len;
            }
            (Err(rmpv::decode::Error::DepthLimitExceeded), _) => return None,
            // The one byte that the format has no use for is nil to rmpv.
            (Ok(_), None) if bytes[at..].contains(&0xc1) => return None,
            (Err(_), None) => return Some((values, false)),
            (one, other) => panic!("rmpv says {one:?}, the wire {other:?}"),
        }
    }
    Some((values, true))
}

fn has_stamp(entry: &Value) -> bool {
    let record = entry.as_array().and_then(|entry| entry.get(1)?.as_map().cloned()).unwrap_or_default();
    record.iter().any(|(key, _)| {
        let key = key.as_str().map(str::as_bytes).or(key.as_slice()).unwrap_or_default();
        STAMPS.iter().any(|stamp| stamp.as_bytes() == key)
    })
}

/// Whether the event's time is a float, of which the oracle knows usual sizes only.
fn has_double(entry: &Value) -> bool {
    let time = entry.as_array().and_then(|entry| entry.first().cloned()).unwrap_or(Value::Nil);
    let time = time.as_array().and_then(|both| both.first().cloned()).unwrap_or(time);
    matches!(time, Value::F32(_) | Value::F64(_))
}
