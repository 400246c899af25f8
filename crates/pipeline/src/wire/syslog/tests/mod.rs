//! Syslog against the examples of its RFCs, and against what was meant when a message was written.

#![allow(clippy::unwrap_used)]

mod examples;
mod golden;
mod property;

use super::{check, head};
use crate::body::Body;
use crate::budget::Budget;
use crate::document::DocumentWriter;
use crate::ids::Ids;
use crate::route::{Matcher, Mode, Plan};
use crate::time::EventWindow;
use crate::wire::{CheckContext, Index, Limits, Malformed, WireId};
use jiff::tz::TimeZone;
use serde_json::Value;
use std::time::Duration;

/// 2026-11-21T08:26:04.580Z.
const ARRIVED: i64 = 1_795_249_564_580_000_000;

fn body_of(messages: &[&[u8]]) -> Vec<u8> {
    messages.iter().flat_map(|text| [&head(text.len(), false)[..], text].concat()).collect()
}

fn check_in(body: &[u8], zone: &TimeZone, limits: &Limits, routes: &str) -> Result<(Index, u64), Malformed> {
    let window = EventWindow::new(Duration::from_secs(86_400), Duration::from_secs(86_400));
    let context = CheckContext { limits, arrived: ARRIVED, window: &window };
    let routes: Vec<crate::route::RouteConfig> = serde_json::from_str(routes).unwrap();
    let plan = Plan::build(&routes, Mode::FirstMatch, &[], &["sink"]).unwrap();
    let mut index = Index::default();
    let unparsed = check(body, &context, zone, &mut Matcher::new(&plan), &mut index)?;
    Ok((index, unparsed))
}

const ALL: &str = r#"[{"name": "all", "to": ["sink"], "index": "logs"}]"#;

/// The documents of a body whose times are those of `zone`, and how many messages have no known form.
fn documents_in(body: &[u8], zone: &TimeZone) -> (Vec<Value>, u64) {
    let (index, unparsed) = check_in(body, zone, &Limits::default(), ALL).unwrap();
    let records = index.records.len() as u32;
    let body = Body {
        bytes: body.to_vec().into(),
        wire: WireId::Syslog,
        index,
        ids: Ids::None,
        arrived: ARRIVED,
        receiver: "syslog".into(),
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
    ((0..records).map(document).collect(), unparsed)
}

/// The document of one message, and whether its form is known.
fn document(message: &[u8]) -> (Value, bool) {
    let (mut documents, unparsed) = documents_in(&body_of(&[message]), &TimeZone::UTC);
    assert_eq!(documents.len(), 1);
    (documents.remove(0), unparsed == 0)
}
