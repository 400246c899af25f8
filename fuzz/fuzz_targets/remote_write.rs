//! Any bytes as a request of remote-write, of either version: accepted exactly when prost accepts them, and records, refusals and documents are those
//! that the oracle makes of prost's structs.

#![no_main]

#[path = "../../crates/pipeline/tests/remote_write_oracle/oracle.rs"]
mod oracle;

use bytes::Bytes;
use forebay_pipeline::Signal;
use forebay_pipeline::body::Body;
use forebay_pipeline::budget::Budget;
use forebay_pipeline::document::DocumentWriter;
use forebay_pipeline::ids::Ids;
use forebay_pipeline::route::{Matcher, Mode, Plan, RouteConfig};
use forebay_pipeline::time::EventWindow;
use forebay_pipeline::wire::remote_write::{self, Version};
use forebay_pipeline::wire::{CheckContext, Index, Limits, Malformed, WireId};
use forebay_proto::prometheus::{one, two};
use libfuzzer_sys::fuzz_target;
use oracle::Outcome;
use prost::Message as _;
use std::sync::LazyLock;
use std::time::Duration;

const ARRIVED: i64 = 1_795_249_564_580_000_000;

static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    let routes = r#"[
        {"name": "some", "signals": ["metrics"], "when": {"any": [{"field": "metric.name", "glob": "a*"}, {"field": "job", "exists": true}]},
            "to": ["sink"], "index": "some"},
        {"name": "rest", "signals": ["metrics"], "to": ["sink"], "index": "rest"}
    ]"#;
    let routes: Vec<RouteConfig> = serde_json::from_str(routes).expect("routes");
    Plan::build(&routes, Mode::FirstMatch, &[], &["sink"]).expect("a plan")
});

fn outcome(bytes: &[u8], version: Version, wire: WireId) -> Result<Outcome, Malformed> {
    let window = EventWindow::new(Duration::from_secs(86_400), Duration::from_secs(86_400));
    let context = CheckContext { limits: &Limits::default(), arrived: ARRIVED, window: &window };
    let mut index = Index::default();
    let matcher = &mut Matcher::of(Signal::Metrics, &PLAN);
    let exemplars = remote_write::check(bytes, version, &context, matcher, &mut index)?;
    let mut ids = 0;
    remote_write::identities(bytes, version, &index, |text| text.len() as u128, &mut |_| ids += 1);
    assert_eq!(ids, index.records.len());
    let rejected = index.rejected.count;
    let lease = Budget::new(0).lease(0).expect("nothing");
    let bytes = Bytes::copy_from_slice(bytes);
    let body = Body { bytes, wire, index, ids: Ids::None, arrived: ARRIVED, receiver: "fuzz".into(), lease };
    let mut writer = DocumentWriter::new(&[]);
    let document = |item| serde_json::from_slice(&writer.document(&body, item)).expect("JSON");
    let documents = (0..body.index.records.len() as u32).map(document).collect();
    Ok(Outcome { documents, rejected, exemplars: exemplars.iter().map(|(_, count)| u64::from(*count)).sum() })
}

fuzz_target!(|bytes: &[u8]| {
    let one = one::WriteRequest::decode(bytes).ok().map(|request| oracle::of_one(&request, ARRIVED));
    let two = two::Request::decode(bytes).ok().and_then(|request| oracle::of_two(&request));
    for (version, wire, theirs) in
        [(Version::One, WireId::RemoteWrite1, one), (Version::Two, WireId::RemoteWrite2, two)]
    {
        match (outcome(bytes, version, wire), theirs) {
            (Ok(ours), Some(theirs)) => assert_eq!(ours.sorted(), theirs.read_back().sorted()),
            (Err(_), None) => {}
            (ours, theirs) => panic!("{version:?}: we say {ours:?}, the oracle says {theirs:?}"),
        }
    }
});
