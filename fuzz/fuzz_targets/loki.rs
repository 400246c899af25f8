//! Any bytes as a push to Loki: as protobuf it is taken exactly when prost takes it, and every record is a document in which no field is there twice; as JSON
//! it makes a message that is taken, within the room that is leased for it.

#![no_main]

use forebay_pipeline::body::Body;
use forebay_pipeline::budget::Budget;
use forebay_pipeline::document::DocumentWriter;
use forebay_pipeline::ids::Ids;
use forebay_pipeline::route::{Matcher, Mode, Plan, RouteConfig};
use forebay_pipeline::time::EventWindow;
use forebay_pipeline::wire::loki::{check, json};
use forebay_pipeline::wire::{CheckContext, Index, Limits, WireId};
use forebay_proto::loki::PushRequest;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use std::time::Duration;

const ROUTES: &str = r#"[{"name":"named","when":{"field":"a","glob":"a*"},"to":["sink"],"index":"logs"}]"#;
const ARRIVED: i64 = 1_795_249_564_580_000_000;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = json::transcode(bytes) {
        assert!(message.len() <= json::EXPANSION * bytes.len() + 64);
        assert!(read(message), "a push in JSON is a message");
    }
    let taken = read(bytes.to_vec());
    // The field of the tenant is ours, and is looked at more closely than prost looks at what it does not know.
    if taken || !bytes.windows(2).any(|bytes| bytes == [0xc2, 0x3e]) {
        assert_eq!(taken, PushRequest::decode(bytes).is_ok());
    }
});

fn read(bytes: Vec<u8>) -> bool {
    let routes: Vec<RouteConfig> = serde_json::from_str(ROUTES).expect("routes");
    let plan = Plan::build(&routes, Mode::FirstMatch, &[], &["sink"]).expect("a plan");
    let window = EventWindow::new(Duration::from_secs(86_400), Duration::from_secs(86_400));
    let context = CheckContext { limits: &Limits::default(), arrived: ARRIVED, window: &window };
    let mut index = Index::default();
    if check(&bytes, &context, &mut Matcher::new(&plan), &mut index).is_err() {
        return false;
    }
    let records = index.records.len() as u32;
    let lease = Budget::new(0).lease(0).expect("nothing");
    let (wire, receiver) = (WireId::LokiProto, "fuzz".into());
    let body = Body { bytes: bytes.into(), wire, index, ids: Ids::None, arrived: ARRIVED, receiver, lease };
    let mut writer = DocumentWriter::new(&[]);
    for item in 0..records {
        let text = String::from_utf8(writer.document(&body, item)).expect("text");
        let document: serde_json::Value = serde_json::from_str(&text).expect("a document");
        assert_eq!(serde_json::to_string(&document).expect("text"), text);
    }
    true
}
