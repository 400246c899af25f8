//! A batch as an OTLP request.

use crate::record::{Kind, Origin};
use forebay_proto::collector::ExportLogsServiceRequest;
use forebay_proto::common::any_value::Value as Any;
use forebay_proto::common::{AnyValue, KeyValue};
use forebay_proto::logs::{LogRecord, ResourceLogs, ScopeLogs};
use forebay_proto::resource::Resource;

/// These records of one client, in this order, as one resource. The same numbers make the same bytes.
pub fn request(origin: &Origin, numbers: &[u32]) -> ExportLogsServiceRequest {
    let log_records = numbers.iter().map(|number| record(origin, *number)).collect();
    let service = attribute("service.name", Any::StringValue(format!("client-{}", origin.client)));
    let resource = Resource { attributes: vec![service], ..Resource::default() };
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { resource: Some(resource), scope_logs, ..ResourceLogs::default() }],
    }
}

fn record(origin: &Origin, number: u32) -> LogRecord {
    let content = origin.content(number);
    let status = match origin.kind(number) {
        Kind::Poisoned => Any::StringValue("teapot".to_owned()),
        _ => Any::IntValue(content.status),
    };
    LogRecord {
        time_unix_nano: origin.time(number),
        severity_text: "INFO".to_owned(),
        body: Some(AnyValue { value: Some(Any::StringValue(content.message)) }),
        attributes: vec![
            attribute("id", Any::StringValue(content.id)),
            attribute("lane", Any::StringValue(content.lane)),
            attribute("ratio", Any::DoubleValue(content.ratio)),
            attribute("status", status),
            attribute("sum", Any::StringValue(content.sum)),
        ],
        ..LogRecord::default()
    }
}

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
