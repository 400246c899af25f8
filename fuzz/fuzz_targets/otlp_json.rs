//! Any text as a request in OTLP's JSON: what is translated is a request that prost reads, and is leased to the last byte.

#![no_main]

use forebay_pipeline::Signal;
use forebay_pipeline::budget::Budget;
use forebay_pipeline::wire::otlp::from_json;
use forebay_proto::collector::ExportLogsServiceRequest;
use forebay_proto::metrics_collector::ExportMetricsServiceRequest;
use forebay_proto::trace_collector::ExportTraceServiceRequest;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

fuzz_target!(|json: &[u8]| {
    let budget = Budget::new(64 << 20);
    for signal in Signal::ALL {
        let mut lease = budget.lease(json.len()).expect("room");
        let Ok(protobuf) = from_json(signal, json, &mut lease) else { continue };
        assert!(lease.bytes() >= json.len() + protobuf.capacity());
        let read = match signal {
            Signal::Logs => ExportLogsServiceRequest::decode(&*protobuf).map(|_| ()),
            Signal::Traces => ExportTraceServiceRequest::decode(&*protobuf).map(|_| ()),
            Signal::Metrics => ExportMetricsServiceRequest::decode(&*protobuf).map(|_| ()),
        };
        assert_eq!(read, Ok(()));
    }
});
