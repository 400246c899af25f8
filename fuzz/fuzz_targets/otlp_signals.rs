//! Any bytes as an `ExportTraceServiceRequest` and as an `ExportMetricsServiceRequest`: accepted exactly when prost accepts them, and every
//! document is the one that the oracle makes of prost's structs.

#![no_main]

// Each target needs a part of the oracles.
#[allow(dead_code)]
#[path = "../../crates/pipeline/tests/document_oracle/oracle.rs"]
mod oracle;
#[path = "../../crates/pipeline/tests/document_oracle/signals/oracle.rs"]
mod signals;

use bytes::Bytes;
use forebay_pipeline::Signal;
use forebay_pipeline::body::Body;
use forebay_pipeline::budget::Budget;
use forebay_pipeline::document::DocumentWriter;
use forebay_pipeline::ids::{Ids, content_ids};
use forebay_pipeline::route::{Matcher, Mode, Plan, RouteConfig};
use forebay_pipeline::time::EventWindow;
use forebay_pipeline::wire::otlp::{self, Layout};
use forebay_pipeline::wire::{CheckContext, Index, Limits, Malformed, WireId};
use forebay_proto::metrics_collector::ExportMetricsServiceRequest;
use forebay_proto::trace_collector::ExportTraceServiceRequest;
use libfuzzer_sys::fuzz_target;
use prost::Message;
use std::sync::LazyLock;
use std::time::Duration;

const ARRIVED: i64 = 1_795_249_564_580_000_000;
/// The oracle promotes these; the last two are not free, so they must not be.
const PROMOTED: [&str; 4] = ["component", "service.name", "level", "resource.x"];

fn promoted() -> Vec<String> {
    PROMOTED.map(str::to_owned).to_vec()
}

/// Routes that look into every kind of place.
static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    let routes = r#"[
        {"name": "some", "signals": ["traces", "metrics"], "when": {"any": [{"field": "status.code", "equals": "error"},
            {"field": "metric.metadata.a", "exists": true}, {"field": "value", "at_least": 1}, {"field": "name", "glob": "a*"},
            {"field": "scope.schema_url", "equals": "x"}]}, "to": ["sink"], "index": "some"},
        {"name": "rest", "signals": ["traces", "metrics"], "to": ["sink"], "index": "rest"}
    ]"#;
    let routes: Vec<RouteConfig> = serde_json::from_str(routes).expect("routes");
    Plan::build(&routes, Mode::FirstMatch, &promoted(), &["sink"]).expect("a plan")
});

fn check(signal: Signal, bytes: &[u8], index: &mut Index) -> Result<Layout, Malformed> {
    let window = EventWindow::new(Duration::from_secs(86_400), Duration::from_secs(86_400));
    let context = CheckContext { limits: &Limits::default(), arrived: ARRIVED, window: &window };
    otlp::check(bytes, &context, &mut Matcher::of(signal, &PLAN), index)
}

/// What the intake does with a request's bytes.
fn admit(signal: Signal, wire: WireId, bytes: &[u8]) -> Result<Body, Malformed> {
    let (mut bytes, mut index) = (Bytes::copy_from_slice(bytes), Index::default());
    if check(signal, &bytes, &mut index)? == Layout::Scattered {
        bytes = otlp::normalize(signal, &bytes)?.into();
        index = Index::default();
        assert_eq!(check(signal, &bytes, &mut index)?, Layout::Canonical, "what was put in order is in order");
    }
    let lease = Budget::new(0).lease(0).expect("nothing");
    Ok(Body { bytes, wire, index, ids: Ids::None, arrived: ARRIVED, receiver: "fuzz".into(), lease })
}

fn compare<R: Message + Default>(wire: WireId, bytes: &[u8], oracle: fn(&R) -> Vec<String>) {
    match (admit(wire.signal(), wire, bytes), R::decode(bytes)) {
        (Ok(body), Ok(request)) => {
            let mut writer = DocumentWriter::new(&promoted());
            let expected = oracle(&request);
            assert_eq!(body.index.records.len(), expected.len());
            assert_eq!(content_ids(&body.bytes, &body.index).len(), expected.len());
            for (item, expected) in expected.iter().enumerate() {
                let document = String::from_utf8(writer.document(&body, item as u32)).expect("UTF-8");
                assert_eq!(&document, expected);
            }
        }
        (Err(_), Err(_)) => {}
        (ours, theirs) => panic!("we say {:?}, prost says {:?}", ours.map(|_| ()), theirs.map(|_| ())),
    }
}

fuzz_target!(|bytes: &[u8]| {
    compare::<ExportTraceServiceRequest>(WireId::OtlpTraces, bytes, signals::spans);
    compare::<ExportMetricsServiceRequest>(WireId::OtlpMetrics, bytes, signals::points);
});
