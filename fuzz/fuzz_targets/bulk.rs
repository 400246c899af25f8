//! Any bytes as a bulk of Elasticsearch's: what is taken and what is refused makes all of its items, in order; places lie in the body; and every
//! document is the one that the oracle of JSON expects of its line.

#![no_main]

#[allow(dead_code)]
#[path = "../../crates/pipeline/src/wire/json/tests/oracle.rs"]
mod oracle;

use forebay_pipeline::route::{Matcher, Mode, Plan, RouteConfig};
use forebay_pipeline::time::{EventWindow, TimestampWriter};
use forebay_pipeline::wire::json::bulk::{Item, Op, check};
use forebay_pipeline::wire::json::{Format, JsonOptions, splice};
use forebay_pipeline::wire::{CheckContext, Index, Limits};
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

const ROUTES: &str = r#"[{"name":"named","when":{"field":"@metadata._index","glob":"a*"},"to":["sink"],"index":"logs"}]"#;
const ARRIVED: i64 = 1_795_249_564_580_000_000;

fuzz_target!(|bytes: &[u8]| {
    let routes: Vec<RouteConfig> = serde_json::from_str(ROUTES).expect("routes");
    let plan = Plan::build(&routes, Mode::FirstMatch, &[], &["sink"]).expect("a plan");
    let window = EventWindow::new(Duration::from_secs(86_400), Duration::from_secs(86_400));
    let context = CheckContext { limits: &Limits::default(), arrived: ARRIVED, window: &window };
    let options = JsonOptions { format: Format::Bulk, ..JsonOptions::default() };
    let (mut index, mut items) = (Index::default(), Vec::new());
    let told = &mut |item| items.push(item);
    if check(bytes, &context, &options, &mut Matcher::new(&plan), &mut index, told).is_err() {
        return;
    }
    let taken: Vec<&Item> = items.iter().filter(|item| item.refused.is_none()).collect();
    assert_eq!(taken.len(), index.records.len());
    assert_eq!((items.len() - taken.len()) as u64, index.rejected.count);
    assert!(taken.iter().all(|item| matches!(item.op, Op::Index | Op::Create)));
    let mut time = TimestampWriter::default();
    for (number, item) in taken.iter().enumerate() {
        assert_eq!((index.client_ids[number].id, index.client_ids[number].index), (item.id, item.index));
        for (offset, len) in [item.index, item.id] {
            let inside = std::str::from_utf8(&bytes[offset as usize..(offset + len) as usize]).expect("text");
            serde_json::from_str::<String>(&format!("\"{inside}\"")).expect("the inside of a string");
        }
        let mut document = Vec::new();
        splice(bytes, &index, number as u32, &mut time, &mut document);
        let document = std::str::from_utf8(&document).expect("text");
        assert!(!document.contains('\n'));
        let line = std::str::from_utf8(&bytes[index.records[number].range()]).expect("text");
        let expected = oracle::document(line, ARRIVED).expect("a record that is taken");
        assert_eq!((oracle::members(document), index.records[number].time), expected, "{line}");
    }
});
