//! What the stages work on: request bodies of the corpus, and the shares that admission makes of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use bytes::Bytes;
use forebay_pipeline::body::{Body, Share};
use forebay_pipeline::budget::Budget;
use forebay_pipeline::ids::{Ids, content_ids};
use forebay_pipeline::ledger::Ledger;
use forebay_pipeline::receipt::Receipt;
use forebay_pipeline::route::{Matcher, Mode, Plan};
use forebay_pipeline::time::EventWindow;
use forebay_pipeline::wire::json::{self, JsonOptions};
use forebay_pipeline::wire::{CheckContext, Entry, Index, Limits, WireId, otlp};

use crate::corpus::{Corpus, Keys};

/// Requests in a set. Together they are 5 MB, so that no cache or branch predictor learns them; figures from one request
/// again and again are up to a third too good.
pub const REQUESTS: u64 = 32;

/// Records in a request, as in the headline setting of the end-to-end bench.
pub const RECORDS: usize = 500;

/// Nanoseconds since 1970 (2026-11-21T12:00Z). Constant, so that instruction counts repeat.
const START: i64 = 1_795_262_400_000_000_000;
const SEED: u64 = 1;

/// The default of the `promote` setting.
const PROMOTED: [&str; 2] = ["component", "service.name"];
const SINK: &str = "es";
const RECEIVER: &str = "bench";

/// One route that takes every record: what a check costs without routing.
const ONE_ROUTE: &str = r#"[{"name": "logs", "to": ["es"], "index": "project-ai-logs-%Y.%m.%d"}]"#;

/// The routes of the configuration that is shipped.
const SHIPPED_ROUTES: &str = r#"[
    {"name": "persona", "when": {"field": "component", "equals": "ai-persona"},
     "to": ["es"], "index": "project-ai-persona-%Y.%m.%d"},
    {"name": "security", "when": {"field": "component", "one_of": ["security", "cerberus"], "ignore_case": true},
     "to": ["es"], "index": "project-ai-security-%Y.%m.%d"},
    {"name": "ethics", "when": {"field": "component", "equals": "four-laws"},
     "to": ["es"], "index": "project-ai-ethics-%Y.%m.%d"},
    {"name": "logs", "to": ["es"], "index": "project-ai-logs-%Y.%m.%d"}
]"#;

/// OTLP bodies, no two the same.
pub fn otlp_bodies() -> Vec<Bytes> {
    let corpus = Corpus::new(SEED, START as u64);
    (0..REQUESTS).map(|number| corpus.otlp_body(number, RECORDS)).collect()
}

/// Bodies of JSON lines, no two the same.
pub fn json_bodies(keys: Keys) -> Vec<Bytes> {
    let corpus = Corpus::new(SEED, START as u64);
    (0..REQUESTS).map(|number| corpus.ndjson_body(number, RECORDS, keys)).collect()
}

/// A plan of one route without a condition.
pub fn one_route() -> Result<Plan> {
    plan(ONE_ROUTE)
}

/// The plan of the shipped configuration.
pub fn shipped_routes() -> Result<Plan> {
    plan(SHIPPED_ROUTES)
}

fn plan(routes: &str) -> Result<Plan> {
    let routes: Vec<_> = serde_json::from_str(routes)?;
    Plan::build(&routes, Mode::FirstMatch, &promoted(), &[SINK]).map_err(|faults| anyhow!("{faults:?}"))
}

/// Resource attributes that documents also have at top level.
pub fn promoted() -> Vec<String> {
    PROMOTED.map(str::to_owned).to_vec()
}

/// Checks and routes one OTLP body, as admission does.
pub fn check_otlp(plan: &Plan, body: &[u8]) -> Result<Index> {
    let mut index = Index::default();
    let (limits, window) = (Limits::default(), window());
    let context = CheckContext { limits: &limits, arrived: START, window: &window };
    let layout = otlp::check(body, &context, &mut Matcher::new(plan), &mut index)?;
    ensure!(layout == otlp::Layout::Canonical, "the corpus writes {layout:?} requests");
    Ok(index)
}

/// Checks and routes one body of JSON lines, as admission does.
pub fn check_json(plan: &Plan, options: &JsonOptions, body: &[u8]) -> Result<Index> {
    let mut index = Index::default();
    let (limits, window) = (Limits::default(), window());
    let context = CheckContext { limits: &limits, arrived: START, window: &window };
    json::check(body, &context, options, &mut Matcher::new(plan), &mut index)?;
    ensure!(index.rejected.count == 0, "the corpus writes bad lines: {:?}", index.rejected);
    Ok(index)
}

/// Wide enough for every record of the corpus.
fn window() -> EventWindow {
    const DAY: Duration = Duration::from_secs(86_400);
    EventWindow::new(DAY, DAY)
}

/// The shares of all OTLP bodies under the shipped routes, those of one destination beside each other.
pub fn otlp_shares() -> Result<Vec<Share>> {
    let plan = shipped_routes()?;
    let mut shares = Vec::new();
    for bytes in otlp_bodies() {
        let index = check_otlp(&plan, &bytes)?;
        let timed = index.records.iter().all(|entry| entry.flags & Entry::HAS_TIME != 0);
        ensure!(timed, "without a time in every record, ids would not come from the content");
        let ids = Ids::Content(content_ids(&bytes, &index));
        share_out(&plan, bytes, WireId::OtlpLogs, index, ids, &mut shares)?;
    }
    shares.sort_by(|one, other| one.destination.cmp(&other.destination));
    Ok(shares)
}

/// The shares of all bodies of JSON lines with ten keys, in the same order.
pub fn json_shares() -> Result<Vec<Share>> {
    let plan = shipped_routes()?;
    let options = JsonOptions::default();
    let mut shares = Vec::new();
    for (frame, bytes) in (0..).zip(json_bodies(Keys::Ten)) {
        let index = check_json(&plan, &options, &bytes)?;
        share_out(&plan, bytes, WireId::Json, index, Ids::Minted { epoch: SEED, frame }, &mut shares)?;
    }
    shares.sort_by(|one, other| one.destination.cmp(&other.destination));
    Ok(shares)
}

/// Adds one body's shares: one for each route and hour. Nobody waits for their receipt.
fn share_out(
    plan: &Plan,
    bytes: Bytes,
    wire: WireId,
    index: Index,
    ids: Ids,
    shares: &mut Vec<Share>,
) -> Result<()> {
    let lease = Budget::new(bytes.len()).lease(bytes.len())?;
    let mut parcels: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for run in &index.runs {
        for route in run.routes.iter() {
            parcels.entry((route, run.hour)).or_default().push(run.first..run.end);
        }
    }
    let body = Arc::new(Body { bytes, wire, index, ids, arrived: START, receiver: RECEIVER.into(), lease });
    let receipt = Receipt::open();
    for ((route, hour), ranges) in parcels {
        let config = &plan.routes()[route];
        let account = Ledger::default().account(SINK, &config.name);
        let records = ranges.iter().map(|range| range.end - range.start).sum();
        shares.push(Share {
            body: Arc::clone(&body),
            ranges,
            claim: receipt.claim(&account, records),
            destination: plan.destination(route, hour),
            on_refused: config.on_refused,
        });
    }
    Ok(())
}
