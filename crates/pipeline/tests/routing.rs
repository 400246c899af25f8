//! Routes over real OTLP requests and JSON lines: which fields a condition sees, and which values it takes for equal.
#![allow(clippy::unwrap_used)]

use forebay_pipeline::Signal;
use forebay_pipeline::route::{Matcher, Mode, Plan, RouteConfig, RouteSet, When};
use forebay_pipeline::time::EventWindow;
use forebay_pipeline::wire::json::{self, JsonOptions};
use forebay_pipeline::wire::{CheckContext, Index, Limits, otlp};
use forebay_proto::collector::ExportLogsServiceRequest;
use forebay_proto::common::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
};
use forebay_proto::logs::{LogRecord, ResourceLogs, ScopeLogs};
use forebay_proto::resource::Resource;
use prost::Message as _;
use std::time::Duration;

const SINKS: [&str; 1] = ["es"];

fn when(condition: &str) -> When {
    serde_json::from_str(condition).unwrap()
}

fn plan(conditions: &[&str], mode: Mode) -> Plan {
    let route = |(i, condition): (usize, &&str)| RouteConfig {
        name: format!("r{i}"),
        signals: vec![Signal::Logs],
        when: Some(when(condition)),
        to: vec!["es".to_owned()],
        index: "logs".to_owned(),
        best_effort: Vec::new(),
        on_refused: Default::default(),
    };
    let routes: Vec<_> = conditions.iter().enumerate().map(route).collect();
    Plan::build(&routes, mode, &["component".to_owned(), "service.name".to_owned()], &SINKS).unwrap()
}

fn value(value: Value) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

fn attribute(key: &str, of: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: value(of), ..KeyValue::default() }
}

fn text(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}

fn map(members: Vec<KeyValue>) -> Value {
    Value::KvlistValue(KeyValueList { values: members })
}

fn request(
    resource: Vec<KeyValue>,
    scope: InstrumentationScope,
    records: Vec<LogRecord>,
) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(Resource { attributes: resource, ..Resource::default() }),
            scope_logs: vec![ScopeLogs {
                scope: Some(scope),
                log_records: records,
                schema_url: String::new(),
            }],
            schema_url: "https://example.test/1".to_owned(),
        }],
    }
}

fn record(attributes: Vec<KeyValue>) -> LogRecord {
    LogRecord { attributes, ..LogRecord::default() }
}

/// The routes of each record in an index.
fn routes_in(index: &Index) -> Vec<Vec<usize>> {
    index.runs.iter().flat_map(|run| (run.first..run.end).map(|_| run.routes.iter().collect())).collect()
}

fn with_context<T>(run: impl FnOnce(&CheckContext<'_>) -> T) -> T {
    let window = EventWindow::new(Duration::from_secs(1), Duration::from_secs(1));
    run(&CheckContext { limits: &Limits::default(), arrived: 0, window: &window })
}

fn otlp_routes(plan: &Plan, request: &ExportLogsServiceRequest) -> Vec<Vec<usize>> {
    let mut body = request.encode_to_vec();
    with_context(|context| {
        let layout = otlp::check(&body, context, &mut Matcher::new(plan), &mut Index::default()).unwrap();
        if layout == otlp::Layout::Scattered {
            body = otlp::normalize(Signal::Logs, &body).unwrap();
        }
        let mut index = Index::default();
        let layout = otlp::check(&body, context, &mut Matcher::new(plan), &mut index).unwrap();
        assert_eq!(layout, otlp::Layout::Canonical);
        routes_in(&index)
    })
}

fn json_routes(plan: &Plan, lines: &str) -> Vec<Vec<usize>> {
    with_context(|context| {
        let mut index = Index::default();
        let mut matcher = Matcher::new(plan);
        json::check(lines.as_bytes(), context, &JsonOptions::default(), &mut matcher, &mut index).unwrap();
        assert_eq!(index.rejected.count, 0, "{:?}", index.rejected);
        routes_in(&index)
    })
}

/// Whether one JSON line satisfies one condition.
fn json_holds(condition: &str, line: &str) -> bool {
    json_routes(&plan(&[condition], Mode::FirstMatch), line) == [[0]]
}

#[test]
fn first_match_takes_one_route_and_fan_out_all() {
    let conditions = [r#"{"field":"component","equals":"api"}"#, r#"{"field":"component","exists":true}"#];
    let lines = "{\"component\":\"api\"}\n{\"component\":\"x\"}\n{}\n";
    assert_eq!(json_routes(&plan(&conditions, Mode::FirstMatch), lines), [vec![0], vec![1], vec![]]);
    assert_eq!(json_routes(&plan(&conditions, Mode::FanOut), lines), [vec![0, 1], vec![1], vec![]]);
}

#[test]
fn the_shipped_rules_see_the_records_own_component_before_its_resources() {
    let plan = plan(
        &[
            r#"{"field":"component","equals":"ai-persona"}"#,
            r#"{"field":"component","one_of":["security","cerberus"],"ignore_case":true}"#,
        ],
        Mode::FirstMatch,
    );
    let of = |component: &str| record(vec![attribute("component", text(component))]);
    let other = record(vec![attribute("x", Value::IntValue(1))]);
    let request = request(
        vec![attribute("component", text("ai-persona"))],
        InstrumentationScope::default(),
        vec![record(vec![]), of("Cerberus"), of("other"), other, of("Ai-persona")],
    );
    assert_eq!(otlp_routes(&plan, &request), [vec![0], vec![1], vec![], vec![0], vec![]]);
}

#[test]
fn a_field_is_found_dotted_and_nested() {
    let condition = r#"{"field":"http.request.method","equals":"GET"}"#;
    for line in [
        r#"{"http.request.method":"GET"}"#,
        r#"{"http":{"request":{"method":"GET"}}}"#,
        r#"{"http.request":{"method":"GET"}}"#,
        r#"{"http":{"request.method":"\u0047ET"}}"#,
        r#"{"ht\u0074p":{"request.method":"GET"}}"#,
    ] {
        assert!(json_holds(condition, line), "{line}");
    }
    for line in [
        r#"{"http":{"request":"GET"}}"#,
        r#"{"http":[{"request":{"method":"GET"}}]}"#,
        r#"{"x":{"http.request.method":"GET"}}"#,
        r#"{"http.request.method":"GET "}"#,
    ] {
        assert!(!json_holds(condition, line), "{line}");
    }
    let nested = map(vec![attribute("request", map(vec![attribute("method", text("GET"))]))]);
    let request =
        request(vec![], InstrumentationScope::default(), vec![record(vec![attribute("http", nested)])]);
    assert_eq!(otlp_routes(&plan(&[condition], Mode::FirstMatch), &request), [[0]]);
}

#[test]
fn numbers_text_and_booleans_do_not_equal_each_other() {
    let cases = [
        (r#"{"field":"v","equals":5}"#, r#"{"v":5}"#, true),
        (r#"{"field":"v","equals":5}"#, r#"{"v":5.0}"#, true),
        (r#"{"field":"v","equals":5}"#, r#"{"v":"5"}"#, false),
        (r#"{"field":"v","equals":"5"}"#, r#"{"v":5}"#, false),
        (r#"{"field":"v","equals":9007199254740993}"#, r#"{"v":9007199254740993}"#, true),
        (r#"{"field":"v","equals":true}"#, r#"{"v":true}"#, true),
        (r#"{"field":"v","equals":"true"}"#, r#"{"v":true}"#, false),
        (r#"{"field":"v","greater_than":1000}"#, r#"{"v":1000.5}"#, true),
        (r#"{"field":"v","greater_than":1000}"#, r#"{"v":1000}"#, false),
        (r#"{"field":"v","at_least":1000}"#, r#"{"v":1e3}"#, true),
        (r#"{"field":"v","greater_than":1000}"#, r#"{"v":"2000"}"#, false),
        (r#"{"field":"v","at_least":1,"less_than":2}"#, r#"{"v":1.5}"#, true),
        (r#"{"field":"v","at_least":1,"less_than":2}"#, r#"{"v":2}"#, false),
        (r#"{"field":"v","at_most":-1}"#, r#"{"v":-1}"#, true),
    ];
    for (condition, line, expected) in cases {
        assert_eq!(json_holds(condition, line), expected, "{condition} {line}");
    }
}

#[test]
fn globs_regular_expressions_and_existence() {
    let cases = [
        (r#"{"field":"v","glob":"api-*"}"#, r#"{"v":"api-a/b"}"#, true),
        (r#"{"field":"v","glob":"api-*"}"#, r#"{"v":"xapi-a"}"#, false),
        (r#"{"field":"v","glob":"API-?","ignore_case":true}"#, r#"{"v":"api-é"}"#, true),
        (r#"{"field":"v","glob":"{a,b}[12]"}"#, r#"{"v":"b2"}"#, true),
        (r#"{"field":"v","glob":"a*z"}"#, r#"{"v":"a\nz"}"#, true),
        (r#"{"field":"v","regex":"^err(or)?$"}"#, r#"{"v":"err"}"#, true),
        (r#"{"field":"v","regex":"^err(or)?$"}"#, r#"{"v":"errors"}"#, false),
        (r#"{"field":"v","exists":true}"#, r#"{"v":false}"#, true),
        (r#"{"field":"v","exists":true}"#, r#"{"v":null}"#, false),
        (r#"{"field":"v","exists":true}"#, r#"{"v":""}"#, true),
        (r#"{"field":"v","equals":""}"#, r#"{"v":""}"#, true),
        (r#"{"field":"v.w","equals":1}"#, r#"{"v.w":null,"v":{"w":1}}"#, true),
        (r#"{"field":"v","exists":false}"#, r#"{"w":1}"#, true),
        (r#"{"not":{"field":"v","equals":"a"}}"#, r#"{"w":1}"#, true),
        (r#"{"any":[{"field":"v","equals":1},{"field":"w","equals":1}]}"#, r#"{"w":1}"#, true),
        (r#"{"all":[{"field":"v","equals":1},{"field":"w","equals":1}]}"#, r#"{"w":1}"#, false),
    ];
    for (condition, line, expected) in cases {
        assert_eq!(json_holds(condition, line), expected, "{condition} {line}");
    }
}

/// One document after the other, and the `level` that it is stored with (`docs/document-model.md`).
#[test]
fn the_level_of_a_route_is_that_of_the_document() {
    let documents = [
        (r#"{"level":"ERROR"}"#, Some("ERROR")),
        (r#"{"level":"INFO","levelname":"ERROR"}"#, Some("INFO")),
        (r#"{"level":null,"levelname":"ERROR"}"#, Some("ERROR")),
        (r#"{"levelname":"ERROR","level":""}"#, Some("ERROR")),
        (r#"{"levelno":40}"#, Some("ERROR")),
        (r#"{"level":null,"levelno":40}"#, Some("ERROR")),
        (r#"{"levelno":40,"loglevel":"INFO"}"#, Some("INFO")),
        (r#"{"levelno":41}"#, None),
        (r#"{"levelname":5,"loglevel":"ERROR"}"#, Some("ERROR")),
        (r#"{"levelname":"","log.level":"ERROR"}"#, Some("ERROR")),
        (r#"{"log.level":"ERROR","log":{"level":"INFO"}}"#, Some("ERROR")),
        (r#"{"log.level":7,"log":{"level":"ERROR"},"loglevel":"INFO"}"#, Some("ERROR")),
        (r#"{"log":{"level":null},"levelno":10}"#, Some("DEBUG")),
        (r#"{"level":"","levelno":41}"#, Some("")),
        (r#"{"level":null}"#, None),
    ];
    for (document, level) in documents {
        let is = |wanted: &str| json_holds(&format!(r#"{{"field":"level","equals":"{wanted}"}}"#), document);
        let found: Vec<&str> =
            ["ERROR", "INFO", "DEBUG", ""].into_iter().filter(|wanted| is(wanted)).collect();
        assert_eq!(found, level.into_iter().collect::<Vec<_>>(), "{document}");
        let exists = json_holds(r#"{"field":"level","exists":true}"#, document);
        assert_eq!(exists, level.is_some(), "{document}");
    }
    assert!(!json_holds(r#"{"field":"level","exists":false}"#, r#"{"level":5,"levelname":"x"}"#));
    assert!(json_holds(r#"{"field":"level","equals":5}"#, r#"{"levelname":"x","level":5}"#));
}

#[test]
fn whole_numbers_are_compared_in_all_their_digits() {
    let cases = [
        ("equals", "9007199254740993", "9007199254740993", true),
        ("equals", "9007199254740993", "9007199254740992", false),
        ("equals", "9007199254740992.0", "9007199254740993", false),
        ("equals", "9223372036854775807", "9223372036854775808", false),
        ("greater_than", "9007199254740992", "9007199254740993", true),
        ("greater_than", "9007199254740993", "9007199254740993", false),
        ("at_least", "9007199254740993", "9007199254740992", false),
        ("at_most", "9007199254740992", "9007199254740993", false),
        ("less_than", "9007199254740993", "9007199254740992", true),
        ("greater_than", "9223372036854775807", "9223372036854775808", true),
        ("less_than", "-9223372036854775808", "-1e19", true),
        ("less_than", "1.5", "1", true),
        ("greater_than", "-1.5", "-1", true),
        ("less_than", "-1", "-1.5", true),
        ("at_least", "2", "1.5", false),
        ("equals", "0", "-0", true),
    ];
    for (test, wanted, number, expected) in cases {
        let condition = format!(r#"{{"field":"v","{test}":{wanted}}}"#);
        assert_eq!(json_holds(&condition, &format!(r#"{{"v":{number}}}"#)), expected, "{condition} {number}");
        let Ok(whole) = number.parse() else { continue };
        let record = record(vec![attribute("v", Value::IntValue(whole))]);
        let request = request(vec![], InstrumentationScope::default(), vec![record]);
        let routes = otlp_routes(&plan(&[&condition], Mode::FirstMatch), &request);
        assert_eq!(routes == [[0]], expected, "{condition} {number} over OTLP");
    }
}

/// A request that has something in every place.
fn full_request() -> ExportLogsServiceRequest {
    let scope = InstrumentationScope {
        name: "app.auth".to_owned(),
        version: "1.2".to_owned(),
        attributes: vec![attribute("kind", text("k")), attribute("name", text("inner"))],
        dropped_attributes_count: 3,
    };
    let user = map(vec![attribute("id", Value::IntValue(7))]);
    let full = LogRecord {
        severity_number: 17,
        body: value(map(vec![attribute("user", user)])),
        flags: 1,
        trace_id: vec![0xab; 16],
        event_name: "login".to_owned(),
        attributes: vec![attribute("level", text("mine")), attribute("resource.x", text("mine too"))],
        ..LogRecord::default()
    };
    let pod = map(vec![attribute("pod", text("p"))]);
    request(vec![attribute("service.name", text("svc")), attribute("k8s", pod)], scope, vec![full])
}

#[test]
fn every_place_of_a_log_record_can_be_routed_on() {
    for holds in [
        r#"{"field":"resource.service.name","equals":"svc"}"#,
        r#"{"field":"service.name","equals":"svc"}"#,
        r#"{"field":"resource.k8s.pod","equals":"p"}"#,
        r#"{"field":"scope.name","equals":"app.auth"}"#,
        r#"{"field":"name","equals":"app.auth"}"#,
        r#"{"field":"scope.attributes.name","equals":"inner"}"#,
        r#"{"field":"scope.kind","equals":"k"}"#,
        r#"{"field":"scope.version","equals":"1.2"}"#,
        r#"{"field":"scope.dropped_attributes_count","equals":3}"#,
        r#"{"field":"resource.schema_url","equals":"https://example.test/1"}"#,
        r#"{"field":"level","equals":"ERROR"}"#,
        r#"{"field":"attributes.level","equals":"mine"}"#,
        r#"{"field":"attributes.resource.x","equals":"mine too"}"#,
        r#"{"field":"severity_number","at_least":17}"#,
        r#"{"field":"body.user.id","equals":7}"#,
        r#"{"field":"trace_flags","equals":1}"#,
        r#"{"field":"trace_id","equals":"abababababababababababababababab"}"#,
        r#"{"field":"event_name","glob":"log*"}"#,
    ] {
        assert_eq!(otlp_routes(&plan(&[holds], Mode::FirstMatch), &full_request()), [[0]], "{holds}");
    }
    for holds_not in [
        r#"{"field":"resource.x","exists":true}"#,
        r#"{"field":"k8s.pod","exists":true}"#,
        r#"{"field":"message","exists":true}"#,
        r#"{"field":"resource.component","exists":true}"#,
    ] {
        let routes = otlp_routes(&plan(&[holds_not], Mode::FirstMatch), &full_request());
        assert_eq!(routes, [Vec::<usize>::new()], "{holds_not}");
    }
}

#[test]
fn a_record_takes_only_routes_that_name_its_signal() {
    let route = |name: &str, signals: &str| {
        let text = format!(r#"{{"name":"{name}","to":["es"],"index":"i"{signals}}}"#);
        serde_json::from_str::<RouteConfig>(&text).unwrap()
    };
    let both = route("both", r#","signals":["metrics","logs"]"#);
    let routes = [route("traces", r#","signals":["traces"]"#), both, route("logs", "")];
    let taken = |mode, routes: &[RouteConfig]| {
        let plan = Plan::build(routes, mode, &[], &SINKS).unwrap();
        let decided = Signal::ALL.map(|signal| Matcher::of(signal, &plan).decide().iter().collect());
        (Signal::ALL.map(|signal| plan.takes(signal)), decided)
    };
    let first: [Vec<usize>; 3] = [vec![1], vec![0], vec![1]];
    assert_eq!(taken(Mode::FirstMatch, &routes), ([true; 3], first));
    let all: [Vec<usize>; 3] = [vec![1, 2], vec![0], vec![1]];
    assert_eq!(taken(Mode::FanOut, &routes), ([true; 3], all));
    let logs: [Vec<usize>; 3] = [vec![0], vec![], vec![]];
    assert_eq!(taken(Mode::FanOut, &routes[2..]), ([true, false, false], logs));
    let none = Plan::build(&[route("none", r#","signals":[]"#)], Mode::FirstMatch, &[], &SINKS);
    assert_eq!(none.unwrap_err()[0].path, "[0].signals");
    assert_eq!(serde_json::to_value(&routes[2]).unwrap().get("signals"), None, "as before there were any");
}

/// Which of the conditions the only record of a request of this signal satisfies.
fn signal_routes(signal: Signal, conditions: &[&str], body: &[u8]) -> Vec<usize> {
    let route = |(i, condition): (usize, &&str)| RouteConfig {
        signals: vec![signal],
        ..serde_json::from_str(&format!(r#"{{"name":"r{i}","to":["es"],"index":"i","when":{condition}}}"#))
            .unwrap()
    };
    let routes: Vec<RouteConfig> = conditions.iter().enumerate().map(route).collect();
    let plan = Plan::build(&routes, Mode::FanOut, &["component".to_owned()], &SINKS).unwrap();
    with_context(|context| {
        let mut index = Index::default();
        otlp::check(body, context, &mut Matcher::of(signal, &plan), &mut index).unwrap();
        routes_in(&index).remove(0)
    })
}

#[test]
fn spans_and_data_points_are_routed_by_the_names_of_their_documents() {
    use forebay_proto::metrics::{
        Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric, number_data_point,
    };
    use forebay_proto::metrics_collector::ExportMetricsServiceRequest;
    use forebay_proto::trace::{ResourceSpans, ScopeSpans, Span, Status};
    use forebay_proto::trace_collector::ExportTraceServiceRequest;
    let span = Span {
        name: "pay".to_owned(),
        kind: 3,
        span_id: vec![0xab; 8],
        status: Some(Status { code: 2, ..Status::default() }),
        // What log records have at these names is an attribute's here, and what spans have is not.
        attributes: vec![attribute("message", text("free")), attribute("name", text("taken"))],
        ..Span::default()
    };
    let scope = Some(InstrumentationScope { name: "shop".to_owned(), ..InstrumentationScope::default() });
    let scope_spans = vec![ScopeSpans { scope: scope.clone(), spans: vec![span], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    let traces = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    let conditions = [
        r#"{"field":"name","equals":"pay"}"#,
        r#"{"field":"name","equals":"shop"}"#,
        r#"{"field":"scope.name","equals":"shop"}"#,
        r#"{"field":"status.code","equals":"error"}"#,
        r#"{"field":"kind","one_of":["client"]}"#,
        r#"{"field":"span_id","glob":"abab*"}"#,
        r#"{"field":"message","equals":"free"}"#,
        r#"{"field":"attributes.name","equals":"taken"}"#,
        r#"{"field":"level","exists":true}"#,
    ];
    assert_eq!(signal_routes(Signal::Traces, &conditions, &traces), [0, 2, 3, 4, 5, 6, 7]);

    let value = Some(number_data_point::Value::AsInt(7));
    let point = NumberDataPoint {
        value,
        attributes: vec![attribute("queue", text("mail"))],
        ..NumberDataPoint::default()
    };
    let sum = Sum { data_points: vec![point], aggregation_temporality: 2, is_monotonic: true };
    let metric = Metric {
        name: "orders".to_owned(),
        metadata: vec![attribute("team", text("till"))],
        data: Some(metric::Data::Sum(sum)),
        ..Metric::default()
    };
    let scope_metrics = vec![ScopeMetrics { scope, metrics: vec![metric], ..ScopeMetrics::default() }];
    let resource_metrics = vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }];
    let metrics = ExportMetricsServiceRequest { resource_metrics }.encode_to_vec();
    let conditions = [
        r#"{"field":"metric.name","equals":"orders"}"#,
        r#"{"field":"metric.temporality","equals":"cumulative"}"#,
        r#"{"field":"metric.monotonic","equals":true}"#,
        r#"{"field":"metric.metadata.team","equals":"till"}"#,
        r#"{"field":"value","at_least":7}"#,
        r#"{"field":"queue","equals":"mail"}"#,
        r#"{"field":"value","greater_than":7}"#,
        r#"{"field":"name","exists":true}"#,
    ];
    assert_eq!(signal_routes(Signal::Metrics, &conditions, &metrics), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn values_of_one_record_do_not_leak_into_the_next() {
    let plan = plan(&[r#"{"field":"a","equals":1}"#], Mode::FirstMatch);
    let list = Value::ArrayValue(ArrayValue { values: vec![] });
    let records = vec![
        record(vec![attribute("a", Value::IntValue(1))]),
        record(vec![]),
        record(vec![attribute("a", list)]),
    ];
    let request = request(vec![], InstrumentationScope::default(), records);
    assert_eq!(otlp_routes(&plan, &request), [vec![0], vec![], vec![]]);
    assert_eq!(json_routes(&plan, "{\"a\":1}\n{}\n"), [vec![0], vec![]]);
}

#[test]
fn every_fault_of_the_routes_is_reported_at_once() {
    let routes: Vec<RouteConfig> = serde_json::from_str(
        r#"[{"name":"a","to":["ess"],"index":"Logs-%Q","when":{"field":"x","regex":"("}},
            {"name":"a","to":[],"index":"ok","when":{"all":[{"field":"@timestamp","exists":true},{"field":"x"}]}},
            {"name":"b","to":["es"],"index":"ok","when":{"field":"x","not":{"field":"y","exists":true}}}]"#,
    )
    .unwrap();
    let faults = Plan::build(&routes, Mode::FirstMatch, &[], &SINKS).unwrap_err();
    let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    for path in [
        "[0].to[0]",
        "[0].index",
        "[0].when.regex",
        "[1].name",
        "[1].to",
        "[1].when.all[0].field",
        "[1].when.all[1]",
        "[2].when",
    ] {
        assert!(paths.contains(&path), "{path} not in {paths:?}");
    }
    assert_eq!(faults.iter().find_map(|fault| fault.unknown_sink.as_deref()), Some("ess"));
}

#[test]
fn route_sets_hold_sixty_four_routes() {
    let mut set = RouteSet::default();
    set.insert(0);
    set.insert(63);
    assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63]);
}
