//! Rules that an oracle cannot tell: limits, identities, routes.

#![allow(clippy::unwrap_used)]

use super::{ExemplarCounts, Version, check, identities};
use crate::Signal;
use crate::ledger::Ledger;
use crate::route::{Matcher, Mode, Plan, RouteConfig};
use crate::rules::{Rules, RulesConfig};
use crate::time::EventWindow;
use crate::wire::{CheckContext, Entry, Index, Limits, Malformed, WireId};
use forebay_proto::prometheus::{Histogram, one, two};
use prost::Message as _;
use std::collections::BTreeSet;
use std::time::Duration;

const ROUTES: &str = r#"[
    {"name": "logs", "to": ["sink"], "index": "logs"},
    {"name": "up", "signals": ["metrics"], "when": {"all": [{"field": "metric.name", "equals": "up"}, {"field": "job", "equals": "x"},
        {"field": "metric.type", "equals": "gauge"}]}, "to": ["sink"], "index": "up"},
    {"name": "rest", "signals": ["metrics"], "to": ["sink"], "index": "rest"}]"#;

fn checked(body: &[u8], version: Version, limits: &Limits) -> Result<(Index, ExemplarCounts), Malformed> {
    let routes: Vec<RouteConfig> = serde_json::from_str(ROUTES).unwrap();
    let plan = Plan::build(&routes, Mode::FirstMatch, &[], &["sink"]).unwrap();
    let window = EventWindow::new(Duration::MAX, Duration::MAX);
    let context = CheckContext { limits, arrived: 0, window: &window };
    let mut index = Index::default();
    let matcher = &mut Matcher::of(Signal::Metrics, &plan);
    check(body, version, &context, matcher, &mut index).map(|exemplars| (index, exemplars))
}

fn request(symbols: &[&str], timeseries: Vec<two::TimeSeries>) -> Vec<u8> {
    let symbols = symbols.iter().map(|symbol| (*symbol).to_owned()).collect();
    two::Request { symbols, timeseries }.encode_to_vec()
}

fn series(labels_refs: &[u32], timestamps: &[i64]) -> two::TimeSeries {
    let sample = |timestamp: &i64| two::Sample { value: 1.0, timestamp: *timestamp, start_timestamp: 0 };
    let samples = timestamps.iter().map(sample).collect();
    two::TimeSeries { labels_refs: labels_refs.to_vec(), samples, ..two::TimeSeries::default() }
}

fn ids(body: &[u8]) -> Vec<u128> {
    let (index, _) = checked(body, Version::Two, &Limits::default()).unwrap();
    let mut ids = Vec::new();
    let hash = |text: &[u8]| xxhash_rust::xxh3::xxh3_128(text);
    identities(body, Version::Two, &index, hash, &mut |id| ids.push(id));
    assert_eq!(ids.len(), index.records.len());
    ids
}

#[test]
fn one_bad_series_takes_no_other_along() {
    let mixed = two::TimeSeries { histograms: vec![Histogram::default()], ..series(&[1, 2], &[1]) };
    let all = vec![
        series(&[1, 2], &[1, 2]),
        series(&[1, 2, 3], &[1, 2, 3]),
        series(&[1, 99], &[1]),
        series(&[1, 2], &[3, i64::MAX, i64::MIN]),
        series(&[1, 2, 1, 3], &[1]),
        series(&[0, 2], &[1]),
        series(&[], &[1]),
        series(&[1, 2], &[]),
        mixed,
        series(&[3, 2, 1, 4], &[4]),
    ];
    let body = request(&["", "__name__", "up", "job", "x"], all);
    let (index, _) = checked(&body, Version::Two, &Limits::default()).unwrap();
    let times: Vec<i64> = index.records.iter().map(|entry| entry.time / 1_000_000).collect();
    assert_eq!((times, index.rejected.count), (vec![1, 2, 3, 4], 3 + 1 + 2 + 1 + 1 + 1 + 1 + 2));
    let told: Vec<String> = index.rejected.reasons.iter().map(|(at, why)| format!("{at}: {why}")).collect();
    let expected = [
        "2: an odd number of label references",
        "3: a label refers to a symbol that is not there",
        "4: a time outside of the years 1678 to 2261",
        "5: a label that is there twice",
        "6: a label without a name",
        "7: a series without labels",
        "8: a series without samples and histograms",
        "9: a series with both samples and histograms",
    ];
    assert_eq!(told, expected);
}

#[test]
fn exemplars_travel_with_the_last_record_of_their_series() {
    let exemplars = vec![two::Exemplar::default(); 3];
    let with = two::TimeSeries { exemplars: exemplars.clone(), ..series(&[1, 2], &[1, 2]) };
    let alone = two::TimeSeries { exemplars, ..series(&[1, 2], &[]) };
    let body = request(&["", "__name__", "up"], vec![with, alone]);
    let (index, counts) = checked(&body, Version::Two, &Limits::default()).unwrap();
    assert_eq!(counts, [(1, 3), (2, 3)]);
    let flags: Vec<u32> = index.records.iter().map(|entry| entry.flags & !Entry::HAS_TIME).collect();
    assert_eq!(flags, [0, Entry::EXEMPLARS, Entry::EXEMPLARS | Entry::EXEMPLARS_ALONE]);
}

#[test]
fn limits_are_the_request_s_or_the_series_own() {
    let body = request(&["", "__name__", "up", &"x".repeat(100)], vec![series(&[1, 2], &[1, 2, 3])]);
    let few = |max_records| Limits { max_records, ..Limits::default() };
    assert_eq!(checked(&body, Version::Two, &few(2)).unwrap_err(), Malformed::TooManyRecords { limit: 2 });
    assert_eq!(checked(&body, Version::Two, &few(3)).unwrap_err(), Malformed::TooManyRecords { limit: 3 });
    assert_eq!(checked(&body, Version::Two, &few(4)).unwrap().0.records.len(), 3);
    let short = Limits { max_record_bytes: 100, ..Limits::default() };
    let body = request(
        &["", "__name__", "up", &"x".repeat(100)],
        vec![series(&[1, 3], &[1]), series(&[1, 2], &[1])],
    );
    let (index, _) = checked(&body, Version::Two, &short).unwrap();
    assert_eq!((index.records.len(), index.rejected.count), (1, 1));
    assert!(matches!(index.rejected.reasons[0], (1, Malformed::RecordTooLarge { bytes: 119, limit: 100 })));
}

/// One long symbol and a million references to it once were a million long documents.
#[test]
fn symbols_cannot_be_spread_without_bounds() {
    let long = "x".repeat(1 << 20);
    let all = vec![series(&[1, 2], &[1]); 100];
    let error =
        checked(&request(&["", "__name__", &long], all), Version::Two, &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("symbols are used far more often"), "{error}");
    let usual = "x".repeat(200);
    let all = vec![series(&[1, 2], &[1]); 5_000];
    assert!(checked(&request(&["", "__name__", &usual], all), Version::Two, &Limits::default()).is_ok());
    let many: Vec<u32> = (0..20_000).map(|at| at % 2 + 1).collect();
    let body = request(&["", "__name__", "up"], vec![series(&many, &[1])]);
    let (index, _) = checked(&body, Version::Two, &Limits::default()).unwrap();
    assert_eq!(index.rejected.reasons[0].1.to_string(), "more than 4096 labels");
}

#[test]
fn an_id_is_of_what_the_references_say() {
    let twice =
        ids(&request(&["", "__name__", "up", "down"], vec![series(&[1, 2], &[1]), series(&[1, 3], &[1])]));
    assert_ne!(twice[0], twice[1]);
    let other_table = ids(&request(&["", "up", "__name__"], vec![series(&[2, 1], &[1])]));
    assert_eq!(other_table[0], twice[0]);
    let same_bytes = ids(&request(&["", "__name__", "sideways"], vec![series(&[1, 2], &[1])]));
    assert_ne!(same_bytes[0], twice[0]);
    let later = ids(&request(&["", "__name__", "up"], vec![series(&[1, 2], &[0, 1])]));
    assert_eq!((later[0] == later[1], later[1]), (false, twice[0]));
    let exemplars = vec![two::Exemplar { value: 1.0, ..two::Exemplar::default() }];
    let more = two::TimeSeries { exemplars, ..series(&[1, 2], &[1]) };
    assert_ne!(ids(&request(&["", "__name__", "up"], vec![more]))[0], twice[0], "nothing of it may be lost");
}

#[test]
fn routes_see_the_metric_and_its_labels() {
    let gauge = Some(two::Metadata { r#type: 2, ..two::Metadata::default() });
    let up = two::TimeSeries { metadata: gauge, ..series(&[1, 2, 3, 4], &[1]) };
    let all = vec![up, series(&[1, 2, 3, 4], &[2]), series(&[1, 3], &[3])];
    let body = request(&["", "__name__", "up", "job", "x"], all);
    let (index, _) = checked(&body, Version::Two, &Limits::default()).unwrap();
    let runs: Vec<(u32, u32, bool)> =
        index.runs.iter().map(|run| (run.first, run.end, run.routes.contains(1))).collect();
    assert_eq!(runs, [(0, 1, true), (1, 3, false)]);
}

#[test]
fn metadata_of_version_one_is_a_record_without_a_time_of_its_own() {
    let metadata = one::MetricMetadata { metric_family_name: "up".to_owned(), ..Default::default() };
    let body = one::WriteRequest { timeseries: Vec::new(), metadata: vec![metadata] }.encode_to_vec();
    let (index, counts) = checked(&body, Version::One, &Limits::default()).unwrap();
    assert_eq!((index.records.len(), index.records[0].flags, counts.len()), (1, Entry::METADATA, 0));
    // As a message of the other version it is empty, by the numbers of its fields.
    assert!(checked(&body, Version::Two, &Limits::default()).unwrap().0.records.is_empty());
}

#[test]
fn a_body_in_the_journal_is_read_as_it_was_admitted() {
    let config: RulesConfig = serde_json::from_value(serde_json::json!({
        "routes": serde_json::from_str::<serde_json::Value>(ROUTES).unwrap(), "route_mode": "first_match", "promote": [],
        "max_event_age": "1h", "max_event_lead": "1h", "max_records": 100, "max_record_bytes": 1000, "json": {},
    }))
    .unwrap();
    let rules = Rules::build(&config, &["sink".into()], &Ledger::default()).unwrap();
    let samples = vec![one::Sample::default()];
    let label = |name: &str| one::Label { name: name.to_owned(), value: "x".to_owned() };
    let timeseries = vec![one::TimeSeries { labels: vec![label("a")], samples, ..Default::default() }; 2];
    let one =
        one::WriteRequest { timeseries, metadata: vec![one::MetricMetadata::default()] }.encode_to_vec();
    let two = request(&["", "__name__", "up"], vec![series(&[1, 2], &[1, 2]), series(&[1], &[1])]);
    for (wire, body, records) in [(WireId::RemoteWrite1, one, 3), (WireId::RemoteWrite2, two, 2)] {
        let (index, _) = rules.check_remote_write(wire, &body, 7).unwrap();
        let again = rules.check_again(wire, &body, 7, "remote_write").unwrap();
        assert_eq!((index.records.len(), again.records.len(), &again.runs), (records, records, &index.runs));
        assert!(index.runs.iter().all(|run| !run.routes.is_empty()));
        let ids = |index: &Index| crate::ids::content_ids_of(wire, &body, index);
        assert_eq!(ids(&index), ids(&again));
        assert_eq!(ids(&index).iter().collect::<BTreeSet<_>>().len(), records, "twins are told apart");
    }
}
