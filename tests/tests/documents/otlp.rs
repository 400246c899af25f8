//! OTLP records with everything that the protocol can say.

use crate::send::{Stage, any, attribute, request, text};
use forebay_proto::common::any_value::Value as Any;
use forebay_proto::common::{ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList};
use forebay_proto::logs::LogRecord;
use forebay_proto::resource::Resource;
use jiff::Timestamp;
use serde_json::{Value, json};

/// An hour ago in nanoseconds since 1970, so that the index of the event's day is the one that is used.
pub fn an_hour_ago() -> u64 {
    u64::try_from(Timestamp::now().as_nanosecond()).unwrap() - 3_600_000_000_000
}

/// RFC 3339 with nine digits, as the page says.
fn written(nanoseconds: u64) -> String {
    let time = Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap();
    time.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string()
}

fn list(values: Vec<Any>) -> Any {
    Any::ArrayValue(ArrayValue { values: values.into_iter().map(any).collect() })
}

fn object(values: Vec<KeyValue>) -> Any {
    Any::KvlistValue(KeyValueList { values })
}

/// One attribute of every kind, names that meet, names that collide.
fn attributes() -> Vec<KeyValue> {
    let nested = object(vec![attribute("deep", list(vec![Any::IntValue(1), Any::IntValue(2)]))]);
    vec![
        attribute("text", text("wörks “fine”\n\t\u{1}")),
        attribute("flag", Any::BoolValue(true)),
        attribute("largest", Any::IntValue(i64::MAX)),
        attribute("smallest", Any::IntValue(i64::MIN)),
        attribute("ratio", Any::DoubleValue(0.1)),
        attribute("not_a_number", Any::DoubleValue(f64::NAN)),
        attribute("endless", Any::DoubleValue(f64::NEG_INFINITY)),
        attribute("bytes", Any::BytesValue(vec![0, 255, 16, 7])),
        attribute("words", list(vec![text("a"), text("b")])),
        attribute("nothing", list(vec![])),
        KeyValue { key: "unset".to_owned(), ..KeyValue::default() },
        attribute("of_a_table", Any::StringValueStrindex(7)),
        // An object beside its own dotted names, and a text beside names under it.
        attribute("http", object(vec![attribute("version", text("2")), attribute("more", nested)])),
        attribute("http.method", text("GET")),
        attribute("db", text("orders")),
        attribute("db.rows", Any::IntValue(3)),
        // The last one of a name wins, on every level.
        attribute("twice", Any::IntValue(1)),
        attribute("twice", Any::IntValue(2)),
        attribute("pairs", object(vec![attribute("a", text("first")), attribute("a", text("last"))])),
        // Taken by the record itself, by its resource, by Elasticsearch.
        attribute("message", text("mine")),
        attribute("resource.host.name", text("mine")),
        attribute("_id", text("mine")),
        attribute("quote\"d \\ name", text("kept")),
        // Without a name, here and within.
        attribute("", text("nameless")),
        attribute("within", object(vec![attribute("", text("nameless"))])),
        // Already at top level, so the resource's is not promoted.
        attribute("component", text("own")),
    ]
}

fn resource() -> Resource {
    let entity = EntityRef {
        r#type: "host".to_owned(),
        id_keys: vec!["host.name".to_owned()],
        ..EntityRef::default()
    };
    Resource {
        attributes: vec![
            attribute("service.name", text("shop")),
            attribute("component", text("of the resource")),
            attribute("host.name", text("web-1")),
            attribute("schema_url", text("collides")),
        ],
        dropped_attributes_count: 1,
        entity_refs: vec![entity],
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "shop.checkout".to_owned(),
        version: "1.2".to_owned(),
        attributes: vec![attribute("short", Any::BoolValue(false)), attribute("name", text("collides"))],
        dropped_attributes_count: 2,
    }
}

fn full_record(time: u64) -> LogRecord {
    LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time + 5,
        severity_number: 18,
        body: Some(any(text("all of it"))),
        attributes: attributes(),
        dropped_attributes_count: 3,
        flags: 257,
        trace_id: (0..16).collect(),
        span_id: vec![255; 8],
        event_name: "user.login".to_owned(),
        ..LogRecord::default()
    }
}

fn full_document(time: u64) -> Value {
    json!({
        "@timestamp": written(time), "observed_timestamp": written(time + 5),
        "level": "ERROR2", "severity_number": 18, "message": "all of it", "name": "shop.checkout",
        "trace_id": "000102030405060708090a0b0c0d0e0f", "span_id": "ffffffffffffffff", "trace_flags": 257,
        "event_name": "user.login", "dropped_attributes_count": 3,
        "text": "wörks “fine”\n\t\u{1}", "flag": true, "largest": i64::MAX, "smallest": i64::MIN, "ratio": 0.1,
        "not_a_number": "NaN", "endless": "-Infinity", "bytes": "AP8QBw==", "words": ["a", "b"], "nothing": [],
        "unset": null, "of_a_table": null,
        "http": {"version": "2", "more": {"deep": [1, 2]}}, "http.method": "GET", "db": "orders", "db.rows": 3,
        "twice": 2, "pairs": {"a": "last"},
        "attributes.message": "mine", "attributes.resource.host.name": "mine", "attributes._id": "mine",
        "quote\"d \\ name": "kept", "attributes.": "nameless", "within": {"": "nameless"}, "component": "own",
        "service.name": "shop",
        "resource.service.name": "shop", "resource.component": "of the resource", "resource.host.name": "web-1",
        "resource.attributes.schema_url": "collides",
        "resource.schema_url": "https://opentelemetry.io/schemas/resource", "resource.dropped_attributes_count": 1,
        "resource.entity_refs": [{"type": "host", "id_keys": ["host.name"]}],
        "scope.short": false, "scope.attributes.name": "collides",
        "scope.name": "shop.checkout", "scope.version": "1.2",
        "scope.schema_url": "https://opentelemetry.io/schemas/scope", "scope.dropped_attributes_count": 2,
    })
}

#[test]
fn every_field_of_a_record_is_stored_under_its_name() {
    let stage = Stage::set();
    let time = an_hour_ago();
    // Two more with bodies that are no strings: of one kind only, for an index has one mapping.
    let structured = LogRecord {
        time_unix_nano: time,
        body: Some(any(object(vec![
            attribute("order", Any::IntValue(7)),
            attribute("items", list(vec![text("x")])),
        ]))),
        attributes: vec![attribute("message", text("collides all the same"))],
        ..LogRecord::default()
    };
    let bare = LogRecord { time_unix_nano: time, severity_text: "weird".to_owned(), ..LogRecord::default() };
    let answer = stage.export(&request(resource(), scope(), vec![full_record(time), structured, bare]));
    assert_eq!(answer.partial_success, None);

    let stored = stage.stored();
    assert_eq!(stored.len(), 3);
    let day = Timestamp::from_nanosecond(i128::from(time)).unwrap().strftime("%Y.%m.%d");
    for hit in &stored {
        assert_eq!(hit.index, format!("project-ai-logs-{day}"));
        assert_eq!(hit.id.len(), 28, "{}", hit.id);
    }
    let with = |field: &str, value: Value| {
        stored.iter().find(|hit| hit.source[field] == value).unwrap().source.clone()
    };
    assert_eq!(with("message", json!("all of it")), full_document(time));
    let structured = with("attributes.message", json!("collides all the same"));
    assert_eq!(structured["body"], json!({"order": 7, "items": ["x"]}));
    assert_eq!(structured.get("message"), None);
    // Neither the level of a number that was not given, nor a message that was not.
    let bare = with("level", json!("weird"));
    assert_eq!((bare.get("message"), bare.get("body"), bare.get("severity_number")), (None, None, None));
    // The resource's component, since the record has none of its own.
    assert_eq!(bare["component"], "of the resource");

    // Stored is not yet found: the fields that Elasticsearch made of them.
    for query in [
        "http.more.deep:2",
        "http.method:GET",
        "db.rows:3",
        "largest:9223372036854775807",
        "pairs.a:last",
        "bytes:AP8QBw\\=\\=",
    ] {
        assert_eq!(stage.node.count("project-ai-*", query).unwrap(), 1, "{query}");
    }
    assert_eq!(stage.node.count("project-ai-*", "resource.entity_refs.type:host").unwrap(), 3);
}

#[test]
fn a_request_sent_again_is_stored_once_if_its_records_carry_a_time() {
    let stage = Stage::set();
    let time = an_hour_ago();
    let record =
        |body: &str| LogRecord { time_unix_nano: time, body: Some(any(text(body))), ..LogRecord::default() };
    // Honest twins within a request are two records.
    let timed = request(resource(), scope(), vec![record("twin"), record("twin"), record("other")]);
    for sent in 1..=3_u8 {
        assert_eq!(stage.export(&timed).partial_success, None);
        let ledger = stage.ledger();
        let again = f64::from(sent - 1) * 3.0;
        assert_eq!(
            (ledger.delivered, ledger.duplicate, ledger.dead_lettered),
            (3.0, again, 0.0),
            "{ledger:?}"
        );
    }
    assert_eq!(stage.stored().len(), 3);

    let timeless = LogRecord { body: Some(any(text("no time"))), ..LogRecord::default() };
    let timeless = request(resource(), scope(), vec![timeless]);
    stage.export(&timeless);
    stage.export(&timeless);
    assert_eq!(stage.ledger().delivered, 5.0);
    let stored = stage.stored();
    assert_eq!(stored.iter().filter(|hit| hit.source["message"] == "no time").count(), 2);
}

/// A field of an index has one kind of value, and so has a list in it. Such a record is kept in the dead letters, the client is
/// told so as a warning (it must not send it again), and its other records are stored.
#[test]
fn a_list_of_mixed_kinds_is_a_dead_letter_with_its_reason() {
    let stage = Stage::set();
    let time = an_hour_ago();
    let record = |name: &str, values: Vec<Any>| LogRecord {
        time_unix_nano: time,
        body: Some(any(text(name))),
        attributes: vec![attribute("list", list(values))],
        ..LogRecord::default()
    };
    let good = record("good", vec![Any::IntValue(1), Any::IntValue(2)]);
    let mixed = record("mixed", vec![Any::IntValue(1), text("one")]);
    let answer = stage.export(&request(Resource::default(), scope(), vec![good, mixed]));
    let warning = answer.partial_success.unwrap();
    assert_eq!(warning.rejected_log_records, 0);
    assert!(warning.error_message.contains("dead letters"), "{warning:?}");
    assert!(warning.error_message.contains("400") && warning.error_message.contains("[list]"), "{warning:?}");

    let stored = stage.stored();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].source["message"], "good");
    let ledger = stage.ledger();
    assert_eq!((ledger.delivered, ledger.dead_lettered), (1.0, 1.0), "{ledger:?}");

    let letter = stage.only_dead_letter();
    assert_eq!(letter["destination"], stored[0].index);
    assert_eq!(
        (&letter["sink"], &letter["route"], &letter["receiver"]),
        (&json!("es"), &json!("logs"), &json!("otlp_http"))
    );
    assert!(letter["reason"].as_str().unwrap().contains("[list]"), "{letter}");
    assert_eq!(letter["id"].as_str().unwrap().len(), 28, "{letter}");
    assert_eq!(letter["document"]["message"], "mixed");
    assert_eq!(letter["document"]["list"], json!([1, "one"]));
}
