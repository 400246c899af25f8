//! Any bytes as two messages of syslog: each is a document that serde_json reads, in which no field is there twice and nothing of a message in no known
//! form is missing; and any bytes as a body are divided into messages or refused.

#![no_main]

use forebay_pipeline::body::Body;
use forebay_pipeline::budget::Budget;
use forebay_pipeline::document::DocumentWriter;
use forebay_pipeline::ids::Ids;
use forebay_pipeline::route::{Matcher, Mode, Plan, RouteConfig};
use forebay_pipeline::time::EventWindow;
use forebay_pipeline::wire::syslog::{Message, check, head};
use forebay_pipeline::wire::{CheckContext, Index, Limits, WireId};
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

const ROUTES: &str = r#"[{"name":"named","when":{"field":"structured_data.a.b","glob":"a*"},"to":["sink"],"index":"logs"}]"#;
const ARRIVED: i64 = 1_795_249_564_580_000_000;

fuzz_target!(|bytes: &[u8]| {
    let routes: Vec<RouteConfig> = serde_json::from_str(ROUTES).expect("routes");
    let plan = Plan::build(&routes, Mode::FirstMatch, &[], &["sink"]).expect("a plan");
    let window = EventWindow::new(Duration::from_secs(86_400), Duration::from_secs(86_400));
    let context = CheckContext { limits: &Limits::default(), arrived: ARRIVED, window: &window };
    let read = |body: &[u8], index: &mut Index| {
        check(body, &context, &TimeZone::UTC, &mut Matcher::new(&plan), index)
    };
    let _ = read(bytes, &mut Index::default());

    let mut body = Vec::new();
    for is_cut in [false, true] {
        body.extend(head(bytes.len(), is_cut));
        body.extend(bytes);
    }
    let mut index = Index::default();
    let unparsed = read(&body, &mut index).expect("a body of two");
    let message = Message::parse(bytes);
    assert_eq!((index.records.len(), unparsed), (2, if message.is_parsed { 0 } else { 2 }));
    let lease = Budget::new(0).lease(0).expect("nothing");
    let (wire, receiver) = (WireId::Syslog, "fuzz".into());
    let body = Body { bytes: body.into(), wire, index, ids: Ids::None, arrived: ARRIVED, receiver, lease };
    for item in 0..2 {
        let text = String::from_utf8(DocumentWriter::new(&[]).document(&body, item)).expect("text");
        let document: serde_json::Value = serde_json::from_str(&text).expect("a document");
        assert_eq!(serde_json::to_string(&document).expect("text"), text);
        assert_eq!(document.get("syslog.truncated").is_some(), item == 1);
        if !message.is_parsed {
            let end = bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0)).map_or(0, |last| last + 1);
            assert_eq!(document["message"], String::from_utf8_lossy(&bytes[..end]).as_ref());
        }
    }
});
