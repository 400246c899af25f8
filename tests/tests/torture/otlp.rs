//! A batch as an OTLP request.

use crate::record::{Kind, Origin};
use forebay_proto::collector::ExportLogsServiceRequest;
use forebay_proto::common::any_value::Value as Any;
use forebay_proto::logs::LogRecord;
use forebay_tests::otlp::{self, attribute};

/// These records of one client, in this order, as one resource. The same numbers make the same bytes.
pub fn request(origin: &Origin, numbers: &[u32]) -> ExportLogsServiceRequest {
    let records = numbers.iter().map(|number| record(origin, *number)).collect();
    otlp::request(&format!("client-{}", origin.client), records)
}

fn record(origin: &Origin, number: u32) -> LogRecord {
    let content = origin.content(number);
    let status = match origin.kind(number) {
        Kind::Poisoned => Any::StringValue("teapot".to_owned()),
        _ => Any::IntValue(content.status),
    };
    let attributes = vec![
        attribute("id", Any::StringValue(content.id)),
        attribute("lane", Any::StringValue(content.lane)),
        attribute("ratio", Any::DoubleValue(content.ratio)),
        attribute("status", status),
        attribute("sum", Any::StringValue(content.sum)),
    ];
    otlp::record(origin.time(number), &content.message, attributes)
}
