//! Any bytes as an `ExportLogsServiceRequest`: accepted exactly when prost accepts them, and every document is the one that
//! the oracle makes of prost's structs.

#![no_main]

#[path = "../../crates/pipeline/tests/document_oracle/oracle.rs"]
mod oracle;

use bytes::Bytes;
use forebay_pipeline::body::Body;
use forebay_pipeline::budget::Budget;
use forebay_pipeline::document::DocumentWriter;
use forebay_pipeline::ids::{Ids, content_ids};
use forebay_pipeline::route::{Matcher, Mode, Plan, RouteConfig};
use forebay_pipeline::time::EventWindow;
use forebay_pipeline::wire::otlp::{self, Layout};
use forebay_pipeline::wire::{CheckContext, Index, Limits, Malformed, WireId};
use forebay_proto::collector::ExportLogsServiceRequest;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;
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
        {"name": "some", "when": {"any": [{"field": "body.a.b", "exists": true}, {"field": "component", "glob": "a*"},
            {"field": "scope.schema_url", "equals": "x"}]}, "to": ["sink"], "index": "some"},
        {"name": "rest", "to": ["sink"], "index": "rest"}
    ]"#;
    let routes: Vec<RouteConfig> = serde_json::from_str(routes).expect("routes");
    Plan::build(&routes, Mode::FirstMatch, &promoted(), &["sink"]).expect("a plan")
});

fn check(bytes: &[u8], index: &mut Index) -> Result<Layout, Malformed> {
    let window = EventWindow::new(Duration::from_secs(86_400), Duration::from_secs(86_400));
    let context = CheckContext { limits: &Limits::default(), arrived: ARRIVED, window: &window };
    otlp::check(bytes, &context, &mut Matcher::new(&PLAN), index)
}

/// What the intake does with a request's bytes.
fn admit(bytes: &[u8]) -> Result<Body, Malformed> {
    let (mut bytes, mut index) = (Bytes::copy_from_slice(bytes), Index::default());
    if check(&bytes, &mut index)? == Layout::Scattered {
        bytes = otlp::normalize(forebay_pipeline::Signal::Logs, &bytes)?.into();
        index = Index::default();
        assert_eq!(check(&bytes, &mut index)?, Layout::Canonical, "what was put in order is in order");
    }
    let lease = Budget::new(0).lease(0).expect("nothing");
    Ok(Body { bytes, wire: WireId::OtlpLogs, index, ids: Ids::None, arrived: ARRIVED, receiver: "fuzz".into(), lease })
}

fuzz_target!(|bytes: &[u8]| {
    match (admit(bytes), ExportLogsServiceRequest::decode(bytes)) {
        (Ok(body), Ok(request)) => {
            let mut writer = DocumentWriter::new(&promoted());
            let expected = oracle::documents(&request, ARRIVED);
            assert_eq!(body.index.records.len(), expected.len());
            assert_eq!(content_ids(&body.bytes, &body.index).len(), expected.len());
            for (item, expected) in expected.iter().enumerate() {
                let document = String::from_utf8(writer.document(&body, item as u32)).expect("UTF-8");
                assert_eq!(&document, expected);
            }
        }
        (Err(_), Err(_)) => {}
        (ours, theirs) => panic!("we say {:?}, prost says {theirs:?}", ours.map(|_| ())),
    }
});
