//! JSON lines: kept as they are, but for the time and the level.

use crate::send::Stage;
use serde_json::{Value, json};

#[test]
fn json_documents_are_stored_as_they_were_written() {
    let stage = Stage::set();
    let lines = [
        json!({"message": "nested", "@timestamp": now(), "level": "info", "http": {"request": {"method": "GET"}}, "ids": [1, 2]}),
        json!({"message": "dotted", "@timestamp": now(), "http.request.method": "PUT", "http": "text beside it"}),
        json!({"message": "large", "@timestamp": now(), "big": i64::MAX, "small": i64::MIN, "ratio": 1e-7, "none": null}),
        json!({"message": "escaped", "@timestamp": now(), "text": "\u{1}\"\\\n\u{1F600}", "kéy \"x\"": true}),
        json!({"message": "deep", "@timestamp": now(), "a": {"b": {"c": [{"d": 1}, {"d": 2}]}}}),
    ];
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(stage.post(&body)["accepted"], 5);
    let stored = stage.stored_by_message();
    assert_eq!(stored.len(), lines.len());
    for line in &lines {
        assert_eq!(&stored[line["message"].as_str().unwrap()], line);
    }
    let ledger = stage.ledger();
    assert_eq!((ledger.delivered, ledger.dead_lettered), (5.0, 0.0), "{ledger:?}");
    for (query, expected) in
        [("http.request.method:GET", 1), ("http.request.method:*", 2), ("http:text*", 1), ("a.b.c.d:2", 1)]
    {
        assert_eq!(stage.node.count("project-ai-*", query).unwrap(), expected, "{query}");
    }
}

#[test]
fn time_and_level_are_filled_from_where_they_are() {
    let stage = Stage::set();
    let seconds = jiff::Timestamp::now().as_second() - 600;
    let time = jiff::Timestamp::from_second(seconds).unwrap();
    let written = time.strftime("%Y-%m-%dT%H:%M:%S");
    // A pretty-printed array: every document is on one line of the bulk all the same.
    let body = json!([
        {"message": "seconds", "time": seconds, "levelname": "ERROR"},
        {"message": "milliseconds", "ts": seconds * 1000, "log": {"level": "warn"}},
        {"message": "python", "asctime": time.strftime("%Y-%m-%d %H:%M:%S,250").to_string(), "levelno": 50},
        {"message": "1970", "@timestamp": seconds, "level": null, "loglevel": "debug"},
        {"message": "plain", "timestamp": null, "level": null},
    ]);
    assert_eq!(stage.post(&serde_json::to_string_pretty(&body).unwrap())["accepted"], 5);
    let stored = stage.stored_by_message();
    let of = |message: &str| (&stored[message]["@timestamp"], &stored[message]["level"]);
    let starts =
        |value: &Value, start: &str| assert!(value.as_str().unwrap().starts_with(start), "{value} {start}");
    for (message, second, level) in [
        ("seconds", format!("{written}"), json!("ERROR")),
        ("milliseconds", format!("{written}"), json!("warn")),
        ("python", format!("{written}.25"), json!("CRITICAL")),
        ("1970", format!("{written}"), json!("debug")),
    ] {
        starts(of(message).0, &second);
        assert_eq!(of(message).1, &level, "{message}");
    }
    // No level is invented, and the time is that of the arrival.
    assert_eq!(of("plain").1, &Value::Null);
    let arrival: jiff::Timestamp = of("plain").0.as_str().unwrap().parse().unwrap();
    assert!((jiff::Timestamp::now().as_second() - arrival.as_second()) < 300, "{arrival}");
    // What was there stays beside what was filled in.
    assert_eq!(stored["seconds"]["time"], seconds);
    assert_eq!(stored["python"]["levelno"], 50);
    let recent = stage.node.count("project-ai-*", "@timestamp:[now-1h TO now]").unwrap();
    assert_eq!(recent, 5, "Elasticsearch reads the times as they are meant");
}

#[test]
fn two_identical_lines_are_two_documents() {
    let stage = Stage::set();
    let line = json!({"message": "again", "@timestamp": now()}).to_string();
    stage.post(&line);
    stage.post(&line);
    let stored = stage.stored();
    assert_eq!(stored.len(), 2);
    assert_ne!(stored[0].id, stored[1].id);
    assert!(stored.iter().all(|hit| hit.id.len() == 28), "{stored:?}");
    let ledger = stage.ledger();
    assert_eq!((ledger.delivered, ledger.duplicate), (2.0, 0.0), "{ledger:?}");
}

/// A document is kept as it was written, so a member without a name stays one, and Elasticsearch takes none.
#[test]
fn a_member_without_a_name_is_a_dead_letter() {
    let stage = Stage::set();
    let answer = stage.post("{\"message\":\"good\"}\n{\"message\":\"bad\",\"\":\"nameless\"}\n");
    assert_eq!((&answer["accepted"], &answer["dead_lettered"]), (&json!(2), &json!(1)), "{answer}");
    let stored = stage.stored_by_message();
    assert_eq!(stored.keys().collect::<Vec<_>>(), ["good"]);
    let ledger = stage.ledger();
    assert_eq!((ledger.delivered, ledger.dead_lettered), (1.0, 1.0), "{ledger:?}");
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}
