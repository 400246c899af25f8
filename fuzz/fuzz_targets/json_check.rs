//! Any bytes as a body of JSON logs: accepted exactly when serde_json accepts them (less the closed list), and every document
//! that comes out is the one that the oracle expects.

#![no_main]

#[path = "../../crates/pipeline/src/wire/json/tests/oracle.rs"]
mod oracle;

use forebay_pipeline::route::{Matcher, Mode, Plan, RouteConfig};
use forebay_pipeline::time::{EventWindow, TimestampWriter};
use forebay_pipeline::wire::json::{JsonOptions, check, check_value, splice};
use forebay_pipeline::wire::{CheckContext, Index, Limits};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use std::time::Duration;

const ARRIVED: i64 = 1_795_249_564_580_000_000;

/// One route that takes some records, and one for the others.
static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    let routes = r#"[
        {"name": "some", "when": {"field": "log.level", "glob": "E*"}, "to": ["sink"], "index": "some"},
        {"name": "rest", "to": ["sink"], "index": "rest"}
    ]"#;
    let routes: Vec<RouteConfig> = serde_json::from_str(routes).expect("routes");
    Plan::build(&routes, Mode::FirstMatch, &[], &["sink"]).expect("a plan")
});

fuzz_target!(|body: &[u8]| {
    assert_eq!(check_value(body).is_ok(), oracle::accepts(body));

    let day = Duration::from_secs(86_400);
    let window = EventWindow::new(day, day);
    let context = CheckContext { limits: &Limits::default(), arrived: ARRIVED, window: &window };
    let mut index = Index::default();
    if check(body, &context, &JsonOptions::default(), &mut Matcher::new(&PLAN), &mut index).is_err() {
        return;
    }
    assert_eq!(index.runs.last().map_or(0, |run| run.end) as usize, index.records.len());
    let mut time = TimestampWriter::default();
    for (item, entry) in index.records.iter().enumerate() {
        let record = std::str::from_utf8(&body[entry.range()]).expect("UTF-8");
        let (members, event_time) = oracle::document(record, ARRIVED).expect("no clash");
        let mut document = Vec::new();
        splice(body, &index, item as u32, &mut time, &mut document);
        let document = String::from_utf8(document).expect("UTF-8");
        assert!(oracle::accepts(document.as_bytes()) && !document.contains(['\r', '\n']), "{document}");
        assert_eq!(oracle::members(&document), members);
        assert_eq!(entry.time, event_time);
    }
});
