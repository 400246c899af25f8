//! The documents of remote-write against an oracle made of prost and serde_json, and what is accepted against prost.
//!
//! Proves that of any request which prost accepts, the same records are taken and refused as the rules say, and that documents say of each what
//! the message does. Does not prove that any server takes them, or that any client writes such requests.
#![allow(clippy::unwrap_used)]

mod arbitrary;
mod oracle;

use arbitrary::{request_one, request_two};
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
use oracle::Outcome;
use proptest::prelude::*;
use prost::Message as _;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// When every request of these tests arrives, in nanoseconds since 1970.
const ARRIVED: i64 = 1_795_000_000_123_456_789;

fn outcome(bytes: &[u8], wire: WireId) -> Result<Outcome, Malformed> {
    let route = r#"[{"name": "all", "signals": ["metrics"], "to": ["sink"], "index": "metrics"}]"#;
    let routes: Vec<RouteConfig> = serde_json::from_str(route).unwrap();
    let plan = Plan::build(&routes, Mode::FirstMatch, &[], &["sink"]).unwrap();
    let window = EventWindow::new(Duration::from_secs(86_400), Duration::from_secs(86_400));
    let context = CheckContext { limits: &Limits::default(), arrived: ARRIVED, window: &window };
    let mut index = Index::default();
    let version = if wire == WireId::RemoteWrite1 { Version::One } else { Version::Two };
    let mut matcher = Matcher::of(Signal::Metrics, &plan);
    let exemplars = remote_write::check(bytes, version, &context, &mut matcher, &mut index)?;
    drop(matcher);
    let rejected = index.rejected.count;
    let lease = Budget::new(0).lease(0).unwrap();
    let bytes = Bytes::copy_from_slice(bytes);
    let body = Body { bytes, wire, index, ids: Ids::None, arrived: ARRIVED, receiver: "test".into(), lease };
    let mut writer = DocumentWriter::new(&[]);
    let mut document = |item: u32| -> Value {
        let text = writer.document(&body, item);
        serde_json::from_slice(&text)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&text)))
    };
    let documents = (0..body.index.records.len() as u32).map(&mut document).collect();
    Ok(Outcome { documents, rejected, exemplars: exemplars.iter().map(|(_, count)| u64::from(*count)).sum() })
}

fn compare_one(bytes: &[u8]) -> Result<(), TestCaseError> {
    match (outcome(bytes, WireId::RemoteWrite1), one::WriteRequest::decode(bytes)) {
        (Ok(ours), Ok(request)) => {
            prop_assert_eq!(ours.sorted(), oracle::of_one(&request, ARRIVED).read_back().sorted());
        }
        (Err(_), Err(_)) => {}
        (ours, theirs) => prop_assert!(false, "we say {:?}, prost says {:?}", ours, theirs),
    }
    Ok(())
}

fn compare_two(bytes: &[u8]) -> Result<(), TestCaseError> {
    let theirs = two::Request::decode(bytes).ok().and_then(|request| oracle::of_two(&request));
    match (outcome(bytes, WireId::RemoteWrite2), theirs) {
        (Ok(ours), Some(theirs)) => prop_assert_eq!(ours.sorted(), theirs.read_back().sorted()),
        (Err(_), None) => {}
        (ours, theirs) => prop_assert!(false, "we say {:?}, the oracle says {:?}", ours, theirs),
    }
    Ok(())
}

/// Bodies as Prometheus 3.15 sent them (inflated), and their documents.
#[test]
fn what_prometheus_sends_becomes_these_documents() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/remote_write_oracle/golden");
    for name in ["v1-metadata", "v1-samples", "v1-stale", "v2-samples", "v2-stale"] {
        let body = fs::read(folder.join(format!("prometheus-3.15-{name}.bin"))).unwrap();
        let is_one = name.starts_with("v1");
        let compared = if is_one { compare_one(&body) } else { compare_two(&body) };
        compared.unwrap_or_else(|error| panic!("{name}: {error}"));
        let wire = if is_one { WireId::RemoteWrite1 } else { WireId::RemoteWrite2 };
        let ours = outcome(&body, wire).unwrap();
        assert_eq!(ours.rejected, 0, "{name}");
        let lines: String = ours.documents.iter().map(|document| format!("{document}\n")).collect();
        let expected = fs::read_to_string(folder.join(format!("prometheus-3.15-{name}.ndjson"))).unwrap();
        assert_eq!(lines, expected, "{name}");
    }
}

/// Those of native histograms of every kind are made by hand: Prometheus' own are integers.
#[test]
fn seeds_of_the_fuzz_target_become_what_the_oracle_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/remote_write");
    let mut histograms = 0;
    for seed in fs::read_dir(folder).unwrap() {
        let body = fs::read(seed.unwrap().path()).unwrap();
        compare_one(&body).unwrap();
        compare_two(&body).unwrap();
        for wire in [WireId::RemoteWrite1, WireId::RemoteWrite2] {
            let documents = outcome(&body, wire).unwrap().documents;
            let is_histogram = |document: &&Value| document.get("count").is_some();
            histograms += documents.iter().filter(is_histogram).count();
        }
    }
    assert_eq!(histograms, 6);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn requests_of_version_one_become_what_the_oracle_says(request in request_one()) {
        compare_one(&request.encode_to_vec())?;
    }

    #[test]
    fn requests_of_version_two_become_what_the_oracle_says(request in request_two()) {
        compare_two(&request.encode_to_vec())?;
    }

    /// Also what one version makes of the other's messages.
    #[test]
    fn damaged_requests_are_accepted_as_by_prost(
        one in request_one(), two in request_two(), place in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        for mut bytes in [one.encode_to_vec(), two.encode_to_vec()] {
            if bytes.is_empty() {
                continue;
            }
            let place = place.index(bytes.len());
            if cut { bytes.truncate(place) } else { bytes[place] = byte }
            compare_one(&bytes)?;
            compare_two(&bytes)?;
        }
    }
}
