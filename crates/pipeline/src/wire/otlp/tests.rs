//! Requests that are valid and that no serialiser writes.

#![allow(clippy::unwrap_used)]

use super::{Layout, check, normalize, walk_logs};
use crate::Signal;
use crate::record::{EntityRef, GroupHead, LogHead, RecordVisitor, Text};
use crate::route::{Matcher, Mode, Plan, RouteConfig};
use crate::time::EventWindow;
use crate::wire::{CheckContext, Index, Limits};
use forebay_proto::collector::ExportLogsServiceRequest;
use forebay_proto::common::any_value::Value;
use forebay_proto::common::{AnyValue, ArrayValue, KeyValue};
use forebay_proto::logs::{ResourceLogs, ScopeLogs};
use forebay_proto::resource::Resource;
use prost::Message as _;
use std::time::Duration;

fn checked(body: &[u8]) -> (Index, Layout) {
    let route = r#"[{"name": "all", "to": ["sink"], "index": "all"}]"#;
    let routes: Vec<RouteConfig> = serde_json::from_str(route).unwrap();
    let plan = Plan::build(&routes, Mode::FirstMatch, &[], &["sink"]).unwrap();
    let window = EventWindow::new(Duration::MAX, Duration::MAX);
    let context = CheckContext { limits: &Limits::default(), arrived: 0, window: &window };
    let mut index = Index::default();
    let layout = check(body, &context, &mut Matcher::new(&plan), &mut index).unwrap();
    (index, layout)
}

#[test]
fn scopes_without_records_take_no_room_in_the_index() {
    let scope_logs = vec![ScopeLogs::default(); 10_000];
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }],
    };
    let (index, layout) = checked(&request.encode_to_vec());
    assert_eq!((index.groups.len(), index.records.len(), layout), (0, 0, Layout::Canonical));
}

/// Each level of nesting once cost a copy or two of all that is inside of it.
#[test]
fn deep_nesting_is_put_in_order_in_little_memory() {
    let text = "x".repeat(1 << 20);
    let nest = |value| Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(value) }] });
    let value = (0..40).fold(Value::StringValue(text), |value, _| nest(value));
    let attributes = vec![KeyValue {
        key: "deep".to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }];
    let resource = Resource { attributes, ..Resource::default() };
    let logs = ResourceLogs { scope_logs: vec![ScopeLogs::default()], ..ResourceLogs::default() };
    // The resource behind its scopes: a second message with the same field number is merged into the first.
    let mut late = logs.encode_to_vec();
    late.extend(ResourceLogs { resource: Some(resource.clone()), ..ResourceLogs::default() }.encode_to_vec());
    let mut body = vec![0x0a];
    prost::encoding::encode_varint(late.len() as u64, &mut body);
    body.extend(late);
    assert_eq!(checked(&body).1, Layout::Scattered);
    let ordered = normalize(Signal::Logs, &body).unwrap();
    assert_eq!(checked(&ordered).1, Layout::Canonical);
    let expected = ResourceLogs { resource: Some(resource), ..logs };
    assert_eq!(ExportLogsServiceRequest::decode(&*ordered).unwrap().resource_logs, [expected]);
    assert_eq!((ordered.len(), ordered.capacity() < 2 * ordered.len()), (body.len(), true));
}

/// Counts what it is given.
#[derive(Debug, Default)]
struct Counts {
    groups: usize,
    resource_attributes: usize,
    records: usize,
}

impl<'a> RecordVisitor<'a, LogHead<'a>> for Counts {
    fn group(&mut self, _: &GroupHead<'a>, _: bool) {
        self.groups += 1;
    }
    fn resource_attribute(&mut self, _: Text<'a>, _: crate::record::Value<'a>) {
        self.resource_attributes += 1;
    }
    fn entity_ref(&mut self, _: &EntityRef<'a>) {}
    fn scope_attribute(&mut self, _: Text<'a>, _: crate::record::Value<'a>) {}
    fn group_end(&mut self) {}
    fn attribute(&mut self, _: Text<'a>, _: crate::record::Value<'a>) {}
    fn record(&mut self, _: u32, _: &LogHead<'a>) -> bool {
        self.records += 1;
        true
    }
}

/// A scope with a record, then a part of the resource, and so on: the resource that all of them share once was walked for each.
#[test]
fn a_resource_is_walked_once_for_all_its_scopes() {
    const SCOPES: usize = 500;
    let attribute = KeyValue { key: "k".to_owned(), ..KeyValue::default() };
    let scope = ScopeLogs { log_records: vec![Default::default()], ..ScopeLogs::default() };
    let part = ResourceLogs {
        scope_logs: vec![scope],
        resource: Some(Resource { attributes: vec![attribute], ..Resource::default() }),
        ..ResourceLogs::default()
    };
    let parts = part.encode_to_vec().repeat(SCOPES);
    let mut body = vec![0x0a];
    prost::encoding::encode_varint(parts.len() as u64, &mut body);
    body.extend(parts);
    assert_eq!(checked(&body).1, Layout::Scattered);
    let ordered = normalize(Signal::Logs, &body).unwrap();
    let (index, _) = checked(&ordered);
    let mut counts = Counts::default();
    walk_logs(&ordered, &index, &mut (0..index.records.len() as u32), &mut counts);
    assert_eq!((counts.groups, counts.records), (SCOPES, SCOPES));
    assert_eq!(counts.resource_attributes, SCOPES, "each of its parts once");
}
