//! Spans and data points: arbitrary ones, what their documents are, and that ours are the same.

mod arbitrary;
mod json;
mod oracle;

use super::scatter::{self, Message as Kind};
use super::{compare_as, documents, promoted};
use forebay_pipeline::Signal;
use forebay_pipeline::document::DocumentWriter;
use forebay_proto::metrics_collector::ExportMetricsServiceRequest as Metrics;
use forebay_proto::trace_collector::ExportTraceServiceRequest as Traces;
use proptest::prelude::*;
use prost::Message as _;

fn compare_traces(bytes: &[u8]) -> Result<(), TestCaseError> {
    compare_as(Signal::Traces, bytes, |request: &Traces| oracle::spans(request))
}

fn compare_metrics(bytes: &[u8]) -> Result<(), TestCaseError> {
    compare_as(Signal::Metrics, bytes, |request: &Metrics| oracle::points(request))
}

fn damaged(mut bytes: Vec<u8>, damages: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    for (place, byte) in damages {
        if !bytes.is_empty() {
            let place = place.index(bytes.len());
            bytes[place] = *byte;
        }
    }
    bytes
}

fn damages() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn spans_equal_the_oracles(request in arbitrary::traces(), seed in any::<u64>()) {
        let bytes = request.encode_to_vec();
        compare_traces(&bytes)?;
        compare_traces(&scatter::request(&bytes, Kind::TraceRequest, seed))?;
    }

    #[test]
    fn data_points_equal_the_oracles(request in arbitrary::metrics(), seed in any::<u64>()) {
        let bytes = request.encode_to_vec();
        compare_metrics(&bytes)?;
        compare_metrics(&scatter::request(&bytes, Kind::MetricsRequest, seed))?;
    }

    #[test]
    fn damaged_traces_and_metrics_are_accepted_exactly_when_prost_accepts_them(
        traces in arbitrary::traces(),
        metrics in arbitrary::metrics(),
        damages in damages(),
    ) {
        compare_traces(&damaged(traces.encode_to_vec(), &damages))?;
        compare_metrics(&damaged(metrics.encode_to_vec(), &damages))?;
    }

    /// One writer serves all signals, and each has names of its own.
    #[test]
    fn a_writer_does_not_mix_signals_up(
        logs in super::arbitrary::request(),
        traces in arbitrary::traces(),
        metrics in arbitrary::metrics(),
    ) {
        // As it is read: prost writes no -0.0.
        let traces = Traces::decode(&*traces.encode_to_vec()).unwrap();
        let metrics = Metrics::decode(&*metrics.encode_to_vec()).unwrap();
        let mut writer = DocumentWriter::new(&promoted());
        for _ in 0..2 {
            let body = super::admit(Signal::Logs, &logs.encode_to_vec()).unwrap();
            prop_assert_eq!(documents(&mut writer, &body), super::oracle::documents(&logs, super::ARRIVED));
            let body = super::admit(Signal::Traces, &traces.encode_to_vec()).unwrap();
            prop_assert_eq!(documents(&mut writer, &body), oracle::spans(&traces));
            let body = super::admit(Signal::Metrics, &metrics.encode_to_vec()).unwrap();
            prop_assert_eq!(documents(&mut writer, &body), oracle::points(&metrics));
        }
    }
}

/// Among the fuzz targets' seeds are requests of the OpenTelemetry SDK for Python.
#[test]
fn what_clients_sent_equals_the_oracles() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/otlp_signals");
    let mut records = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        compare_traces(&bytes).unwrap();
        compare_metrics(&bytes).unwrap();
        let read = [Signal::Traces, Signal::Metrics].map(|signal| super::admit(signal, &bytes));
        records += read.iter().flatten().map(|body| body.index.records.len()).sum::<usize>();
    }
    assert!(records >= 10, "{records}");
}
