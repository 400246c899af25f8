//! The JSON wire against serde_json, jiff, the JSONTestSuite and tables of cases.

#![allow(clippy::unwrap_used)]

mod acceptance;
mod documents;
mod frames;
mod oracle;
mod property;
mod times;

use super::{JsonOptions, check, splice};
use crate::route::{Matcher, Mode, Plan};
use crate::time::{EventWindow, TimestampWriter};
use crate::wire::{CheckContext, Index, Limits, Malformed};
use std::time::Duration;

/// 2026-11-21T08:26:04.580Z.
const ARRIVED: i64 = 1_795_249_564_580_000_000;

/// One route that takes everything.
fn plan() -> Plan {
    let routes = serde_json::from_str(r#"[{"name": "all", "to": ["sink"], "index": "logs"}]"#).unwrap();
    let routes: Vec<crate::route::RouteConfig> = routes;
    Plan::build(&routes, Mode::FirstMatch, &[], &["sink"]).unwrap()
}

fn index_of(body: &[u8], options: &JsonOptions, limits: &Limits) -> Result<Index, Malformed> {
    let window = EventWindow::new(Duration::from_secs(86_400), Duration::from_secs(86_400));
    let context = CheckContext { limits, arrived: ARRIVED, window: &window };
    let plan = plan();
    let mut index = Index::default();
    check(body, &context, options, &mut Matcher::new(&plan), &mut index)?;
    Ok(index)
}

fn index(body: &[u8]) -> Result<Index, Malformed> {
    index_of(body, &JsonOptions::default(), &Limits::default())
}

/// Every record as the document it becomes.
fn documents(body: &[u8], index: &Index) -> Vec<String> {
    let mut time = TimestampWriter::default();
    let items = 0..index.records.len() as u32;
    let document = |item| {
        let mut out = Vec::new();
        splice(body, index, item, &mut time, &mut out);
        String::from_utf8(out).unwrap()
    };
    items.map(document).collect()
}

/// The document that a body of one record becomes.
fn document(body: &str) -> String {
    let index = index(body.as_bytes()).unwrap();
    assert_eq!((index.records.len(), index.rejected.count), (1, 0), "{body}");
    documents(body.as_bytes(), &index).remove(0)
}
