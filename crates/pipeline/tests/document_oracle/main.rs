//! The documents of OTLP logs against an oracle made of prost and serde_json, and what is accepted against prost.
//!
//! Proves that for any request which prost accepts, our documents are what `docs/document-model.md` says, to the byte, whatever
//! the order and the splitting of protobuf fields. Does not prove that any server takes them.
#![allow(clippy::unwrap_used)]

mod arbitrary;
mod oracle;
mod scatter;

use arbitrary::request;
use bytes::Bytes;
use forebay_pipeline::body::{Body, OnRefused, Share};
use forebay_pipeline::budget::Budget;
use forebay_pipeline::document::{DocumentWriter, Framing};
use forebay_pipeline::ids::Ids;
use forebay_pipeline::ledger::Ledger;
use forebay_pipeline::receipt::Receipt;
use forebay_pipeline::route::{Matcher, Mode, Plan, RouteConfig};
use forebay_pipeline::time::EventWindow;
use forebay_pipeline::wire::otlp::{self, Layout};
use forebay_pipeline::wire::{CheckContext, Index, Limits, Malformed, WireId};
use forebay_proto::collector::ExportLogsServiceRequest;
use proptest::prelude::*;
use prost::Message as _;
use std::sync::Arc;
use std::time::Duration;

/// When every request of these tests arrives, in nanoseconds since 1970.
const ARRIVED: i64 = 1_795_000_000_123_456_789;
/// Names that are promoted; the last two are not free, so they must not be.
const PROMOTED: [&str; 4] = ["component", "service.name", "level", "resource.x"];

fn promoted() -> Vec<String> {
    PROMOTED.map(str::to_owned).to_vec()
}

fn plan() -> Plan {
    let route = RouteConfig {
        name: "all".to_owned(),
        signals: vec![forebay_pipeline::Signal::Logs],
        when: None,
        to: vec!["sink".to_owned()],
        index: "logs".to_owned(),
        best_effort: Vec::new(),
        on_refused: OnRefused::default(),
    };
    Plan::build(&[route], Mode::default(), &promoted(), &["sink"]).unwrap()
}

/// What the intake does with a request's bytes.
fn admit(bytes: &[u8]) -> Result<Arc<Body>, Malformed> {
    let (mut bytes, mut index) = (Bytes::copy_from_slice(bytes), Index::default());
    if check(&bytes, &mut index)? == Layout::Scattered {
        bytes = otlp::normalize(&bytes)?.into();
        index = Index::default();
        assert_eq!(check(&bytes, &mut index)?, Layout::Canonical, "what was put in order is in order");
    }
    Ok(Arc::new(Body {
        bytes,
        wire: WireId::OtlpLogs,
        index,
        ids: Ids::None,
        arrived: ARRIVED,
        receiver: "test".into(),
        lease: Budget::new(0).lease(0).unwrap(),
    }))
}

fn check(bytes: &[u8], index: &mut Index) -> Result<Layout, Malformed> {
    let (plan, limits) = (plan(), Limits::default());
    let window = EventWindow::new(Duration::from_secs(86_400), Duration::from_secs(86_400));
    let context = CheckContext { limits: &limits, arrived: ARRIVED, window: &window };
    otlp::check(bytes, &context, &mut Matcher::new(&plan), index)
}

fn share(body: &Arc<Body>) -> Share {
    let records = body.index.records.len() as u32;
    let account = Ledger::default().account("sink", "all");
    Share {
        body: Arc::clone(body),
        ranges: std::iter::once(0..records).collect(),
        claim: Receipt::open().claim(&account, records),
        destination: "logs".into(),
        on_refused: OnRefused::default(),
    }
}

#[derive(Debug, Default)]
struct NoFraming {
    items: Vec<u32>,
}

impl Framing for NoFraming {
    fn begin(&mut self, _: &Body, item: u32, _: &mut Vec<u8>) {
        self.items.push(item);
    }

    fn end(&mut self, _: usize, _: &mut Vec<u8>) -> bool {
        true
    }
}

/// One document for each record, as text.
fn documents(writer: &mut DocumentWriter, body: &Arc<Body>) -> Vec<String> {
    let (mut out, mut framing) = (Vec::new(), NoFraming::default());
    let written = writer.write(&share(body), &mut out, &mut framing);
    let records = body.index.records.len() as u32;
    assert_eq!(written, records);
    assert_eq!(framing.items, (0..records).collect::<Vec<_>>());
    let text = String::from_utf8(out).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Holds our documents of `bytes` against the oracle's, or our refusal against prost's.
fn compare(bytes: &[u8]) -> Result<(), TestCaseError> {
    let by_prost = ExportLogsServiceRequest::decode(bytes);
    match (admit(bytes), by_prost) {
        (Ok(body), Ok(request)) => {
            let expected = oracle::documents(&request, ARRIVED);
            let mut writer = DocumentWriter::new(&promoted());
            prop_assert_eq!(&documents(&mut writer, &body), &expected);
            // A writer that has written before must write the same.
            prop_assert_eq!(&documents(&mut writer, &body), &expected);
        }
        (Err(_), Err(_)) => {}
        // The closed list of reasons to be stricter.
        (
            Err(
                Malformed::TooDeep { .. }
                | Malformed::RecordTooLarge { .. }
                | Malformed::TooManyRecords { .. },
            ),
            Ok(_),
        ) => {}
        (ours, theirs) => prop_assert!(false, "we say {:?}, prost says {:?}", ours.map(|_| ()), theirs),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn documents_equal_the_oracles(request in request()) {
        compare(&request.encode_to_vec())?;
    }

    #[test]
    fn the_order_and_splitting_of_fields_does_not_matter(request in request(), seed in any::<u64>()) {
        compare(&scatter::request(&request.encode_to_vec(), seed))?;
    }

    #[test]
    fn damaged_requests_are_accepted_exactly_when_prost_accepts_them(
        request in request(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut bytes = request.encode_to_vec();
        for (place, byte) in damages {
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
        }
        if is_cut && !bytes.is_empty() {
            bytes.truncate(cut.index(bytes.len()));
        }
        compare(&bytes)?;
    }

    #[test]
    fn arbitrary_bytes_are_accepted_exactly_when_prost_accepts_them(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        compare(&bytes)?;
    }
}

/// Scopes share a resource that comes in parts between them, and the next resource is another one.
#[test]
fn a_resource_in_parts_between_its_scopes_is_the_same_for_all_of_them() {
    let text = |value: &str| forebay_proto::common::AnyValue {
        value: Some(forebay_proto::common::any_value::Value::StringValue(value.to_owned())),
    };
    let one = |at: usize| {
        let mut request = arbitrary::one_record(text("x"));
        let logs = &mut request.resource_logs[0];
        let attributes = &mut logs.resource.get_or_insert_default().attributes;
        for key in ["k".to_owned(), format!("k{}", at % 7), "component".to_owned()] {
            let value = Some(text(&at.to_string()));
            attributes.push(forebay_proto::common::KeyValue { key, value, ..Default::default() });
        }
        logs.scope_logs[0].scope.get_or_insert_default().name = format!("scope {at}");
        logs.encode_to_vec()
    };
    let mut request = Vec::new();
    for range in [0..50, 50..51, 51..53, 53..53] {
        let parts: Vec<u8> = range.flat_map(one).collect();
        request.push(0x0a);
        prost::encoding::encode_varint(parts.len() as u64, &mut request);
        request.extend(parts);
    }
    compare(&request).unwrap();
}

#[test]
fn every_depth_of_nesting_is_accepted_exactly_when_prost_accepts_it() {
    for is_map in [false, true] {
        for depth in 1..70 {
            let value = arbitrary::nested(depth, is_map);
            compare(&arbitrary::one_record(value).encode_to_vec()).unwrap();
        }
    }
}

#[test]
fn a_record_that_does_not_fit_leaves_no_trace() {
    #[derive(Debug)]
    struct UpTo(usize);
    impl Framing for UpTo {
        fn begin(&mut self, _: &Body, _: u32, out: &mut Vec<u8>) {
            out.extend_from_slice(b"action\n");
        }
        fn end(&mut self, _: usize, out: &mut Vec<u8>) -> bool {
            out.len() <= self.0
        }
    }
    let value = forebay_proto::common::AnyValue::default();
    let mut request = arbitrary::one_record(value);
    let records = &mut request.resource_logs[0].scope_logs[0].log_records;
    *records = vec![records[0].clone(); 10];
    let body = admit(&request.encode_to_vec()).unwrap();
    let mut writer = DocumentWriter::new(&promoted());
    let one = b"action\n".len() + writer.document(&body, 0).len() + 1;
    let mut out = Vec::new();
    assert_eq!(writer.write(&share(&body), &mut out, &mut UpTo(3 * one + 1)), 3);
    assert_eq!(out.len(), 3 * one);
    assert!(out.ends_with(b"}\n"));
}
