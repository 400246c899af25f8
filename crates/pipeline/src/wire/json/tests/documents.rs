//! What single records become: a table.

use super::super::JsonOptions;
use super::{ARRIVED, document, documents, index, index_of};
use crate::wire::{ClientId, Entry, Limits, Malformed};

/// The time of arrival, for which NOW stands in the tables.
const NOW: &str = "2026-11-21T08:26:04.580000000Z";

/// What arrives and what is written.
type Table = &'static [(&'static str, &'static str)];

const TIMES: Table = &[
    // The plainest formatter of python-json-logger, and the usual one.
    (
        r#"{"timestamp": null, "level": null, "name": "root", "message": "m"}"#,
        r#"{"@timestamp":"NOW","timestamp": null, "level": null, "name": "root", "message": "m"}"#,
    ),
    (
        r#"{"asctime": "2026-11-20 07:06:05,043", "levelname": "ERROR", "name": "a.b", "message": "m"}"#,
        r#"{"@timestamp":"2026-11-20T07:06:05.043000000Z","level":"ERROR","asctime": "2026-11-20 07:06:05,043", "levelname": "ERROR", "name": "a.b", "message": "m"}"#,
    ),
    // Left alone.
    (r#"{"@timestamp":"2026-11-20T07:06:05Z","a":1}"#, r#"{"@timestamp":"2026-11-20T07:06:05Z","a":1}"#),
    (r#"{"a":1,"@timestamp":1795249564580}"#, r#"{"a":1,"@timestamp":1795249564580}"#),
    (r#"{"@timestamp":"2026-11-20T07:06:05+02:00"}"#, r#"{"@timestamp":"2026-11-20T07:06:05+02:00"}"#),
    // Rewritten in place.
    (r#"{"@timestamp":1795249564,"a":1}"#, r#"{"@timestamp":"2026-11-21T08:26:04.000000000Z","a":1}"#),
    (r#"{"@timestamp" : "1795249564.5" }"#, r#"{"@timestamp" : "2026-11-21T08:26:04.500000000Z" }"#),
    (r#"{"@timestamp":"2026-11-20 07:06:05Z"}"#, r#"{"@timestamp":"2026-11-20T07:06:05.000000000Z"}"#),
    (r#"{"@timestamp":"2026-11-20"}"#, r#"{"@timestamp":"2026-11-20T00:00:00.000000000Z"}"#),
    (
        r#"{"@timestamp":null,"ts":"2026-11-20T07:06:05Z"}"#,
        r#"{"@timestamp":"2026-11-20T07:06:05.000000000Z","ts":"2026-11-20T07:06:05Z"}"#,
    ),
    (r#"{"@timestamp":""}"#, r#"{"@timestamp":"NOW"}"#),
    (r#"{"\u0040timestamp":1.795249564E9}"#, r#"{"\u0040timestamp":"2026-11-21T08:26:04.000000000Z"}"#),
    // No time, but something: it moves.
    (r#"{"@timestamp":"soon"}"#, r#"{"@timestamp":"NOW","attributes.@timestamp":"soon"}"#),
    (
        r#"{"a":1,"@timestamp":{"s":1},"time":1795249564}"#,
        r#"{"a":1,"@timestamp":"2026-11-21T08:26:04.000000000Z","attributes.@timestamp":{"s":1},"time":1795249564}"#,
    ),
    (r#"{"@timestamp":-1}"#, r#"{"@timestamp":"NOW","attributes.@timestamp":-1}"#),
    // Of several the first that is understood.
    (
        r#"{"ts":2,"time":"x","timestamp":"","\u0074s2":1}"#,
        r#"{"@timestamp":"1970-01-01T00:00:02.000000000Z","ts":2,"time":"x","timestamp":"","\u0074s2":1}"#,
    ),
    (r#"{"\u0074ime":3}"#, r#"{"@timestamp":"1970-01-01T00:00:03.000000000Z","\u0074ime":3}"#),
    // Empty objects.
    ("{}", r#"{"@timestamp":"NOW"}"#),
    ("{ }", r#"{"@timestamp":"NOW" }"#),
];

const LEVELS: Table = &[
    (r#"{"levelno":30}"#, r#"{"@timestamp":"NOW","level":"WARNING","levelno":30}"#),
    (r#"{"levelno":35}"#, r#"{"@timestamp":"NOW","levelno":35}"#),
    (r#"{"levelno":"50","level":""}"#, r#"{"@timestamp":"NOW","levelno":"50","level":"CRITICAL"}"#),
    (r#"{"level":30,"levelname":"x"}"#, r#"{"@timestamp":"NOW","level":30,"levelname":"x"}"#),
    (r#"{"levelname":7,"loglevel":"w"}"#, r#"{"@timestamp":"NOW","level":"w","levelname":7,"loglevel":"w"}"#),
    (r#"{"log.level":"i"}"#, r#"{"@timestamp":"NOW","level":"i","log.level":"i"}"#),
    (
        r#"{"log":{"a":[{"level":"no"}],"\u006cevel":"y\n"}}"#,
        r#"{"@timestamp":"NOW","level":"y\n","log":{"a":[{"level":"no"}],"\u006cevel":"y\n"}}"#,
    ),
    (
        r#"{"log":{"level":"n"},"log.level":"d"}"#,
        r#"{"@timestamp":"NOW","level":"d","log":{"level":"n"},"log.level":"d"}"#,
    ),
    (r#"{"log":"level"}"#, r#"{"@timestamp":"NOW","log":"level"}"#),
];

const BOTH: Table = &[
    // A null level and a wrong time, in either order.
    (
        r#"{"level":null,"levelname":"e","@timestamp":1}"#,
        r#"{"level":"e","levelname":"e","@timestamp":"1970-01-01T00:00:01.000000000Z"}"#,
    ),
    (
        r#"{"@timestamp":1,"levelname":"e"}"#,
        r#"{"level":"e","@timestamp":"1970-01-01T00:00:01.000000000Z","levelname":"e"}"#,
    ),
    // Kept as written.
    (
        r#"  {"n":1.50e+01 , "big":123456789012345678901234567890,"s":"\u00e9\/é😀","t":[ true,null ]} "#,
        r#"{"@timestamp":"NOW","n":1.50e+01 , "big":123456789012345678901234567890,"s":"\u00e9\/é😀","t":[ true,null ]}"#,
    ),
    // On one line.
    (
        "{\r\n  \"a b\": [1,\n 2],\n\t\"@timestamp\": [\n\"x\\\" y\"\n]\n}",
        r#"{"a b":[1,2],"@timestamp":"NOW","attributes.@timestamp":["x\" y"]}"#,
    ),
];

#[test]
fn records_become_documents() {
    for (arrived, written) in [TIMES, LEVELS, BOTH].concat() {
        assert_eq!(document(arrived), written.replace("NOW", NOW), "{arrived}");
    }
}

#[test]
fn a_moved_timestamp_overwrites_nothing() {
    let index = index(br#"{"@timestamp":"soon","attributes.@timestamp":1}"#).unwrap();
    assert_eq!(index.rejected.reasons, [(1, Malformed::TimestampTaken { offset: 45 })]);
}

#[test]
fn entries_say_where_their_time_is_from_and_whether_they_fit_on_a_line() {
    let body = b"[{\"time\":2}, {\"a\":1},\n{\"a\":\n1}]";
    let index = index(body).unwrap();
    let entries: Vec<_> = index.records.iter().map(|entry| (entry.time, entry.flags)).collect();
    assert_eq!(entries, [(2_000_000_000, Entry::HAS_TIME), (ARRIVED, 0), (ARRIVED, Entry::MULTILINE)]);
    assert_eq!(&body[index.records[1].range()], b"{\"a\":1}");
}

#[test]
fn times_without_a_zone_are_in_the_receivers() {
    let timezone = jiff::tz::TimeZone::get("Europe/Vienna").unwrap();
    let options = JsonOptions { timezone, ..JsonOptions::default() };
    let body = br#"{"asctime":"2026-07-01 12:00:00,5"}"#;
    let index = index_of(body, &options, &Limits::default()).unwrap();
    assert!(documents(body, &index)[0].starts_with(r#"{"@timestamp":"2026-07-01T10:00:00.500000000Z","#));
}

/// Documents of OTLP records have attributes with names that mean something in JSON logs only.
#[test]
fn a_document_that_is_to_stand_is_not_touched_but_for_a_missing_timestamp() {
    let options = JsonOptions { as_it_stands: true, ..JsonOptions::default() };
    let written = |body: &str| {
        let index = index_of(body.as_bytes(), &options, &Limits::default()).unwrap();
        assert_eq!((index.records.len(), index.rejected.count), (1, 0), "{body}");
        documents(body.as_bytes(), &index).remove(0)
    };
    for body in [
        r#"{"@timestamp":"2026-11-21T08:26:04.580000000Z","levelname":"ERROR"}"#,
        r#"{"levelno":40,"@timestamp":"2400-01-01T00:00:00.000000000Z","message":"far"}"#,
        r#"{"@timestamp":"2026-11-21T08:26:04Z","level":"","log.level":"warn","log":{"level":"x"}}"#,
        r#"{"@timestamp":"soon","attributes.@timestamp":1,"loglevel":"x"}"#,
        r#"{"@timestamp":1795249564.58,"time":"2026-11-21T08:26:04Z"}"#,
        r#"{"@timestamp":null, "ts":1}"#,
    ] {
        assert_eq!(written(body), body);
    }
    assert_eq!(written(r#"{"level":1}"#), r#"{"@timestamp":"2026-11-21T08:26:04.580000000Z","level":1}"#);
    assert_eq!(written("{}"), r#"{"@timestamp":"2026-11-21T08:26:04.580000000Z"}"#);
}

#[test]
fn ids_are_the_inside_of_a_string() {
    let options = JsonOptions { id_field: Some("meta.id".to_owned()), ..JsonOptions::default() };
    let long = "x".repeat(513);
    let fits = "x".repeat(512);
    let body = format!(
        "{{\"meta.id\":\"a\\n1\"}}\n{{\"meta.id\":7}}\n{{\"meta.id\":\"\"}}\n{{}}\n{{\"meta.id\":\"{long}\"}}\n{{\"meta\\u002eid\":\"{fits}\"}}"
    );
    let index = index_of(body.as_bytes(), &options, &Limits::default()).unwrap();
    let id =
        |ClientId { id: (offset, len), .. }: &ClientId| &body[*offset as usize..(*offset + *len) as usize];
    let ids: Vec<&str> = index.client_ids.iter().map(id).collect();
    assert_eq!(ids, ["a\\n1", "", "", "", "", &fits]);
}

/// What Beats tell their receiver is not for the document, wherever it stands among its members.
#[test]
fn the_metadata_of_beats_is_taken_out_and_names_the_id() {
    let beats = JsonOptions { beats: true, ..JsonOptions::default() };
    let cases = [
        (r#"{"@metadata":{"beat":"x","_id":"7"},"a":1}"#, r#""a":1}"#, "7"),
        (r#"{"a":1,"@metadata":{"_id":"7"}}"#, r#""a":1}"#, "7"),
        (r#"{"a":1, "@metadata" : {"_id":"8"} , "b":2}"#, r#""a":1,  "b":2}"#, "8"),
        (r#"{"@metadata":{"_id":7}}"#, "}", ""),
        (r#"{ "\u0040metadata": null, "a":1}"#, r#"  "a":1}"#, ""),
        (r#"{"a":{"@metadata":1},"@metadata":[]}"#, r#""a":{"@metadata":1}}"#, ""),
    ];
    for (body, rest, id) in cases {
        let index = index_of(body.as_bytes(), &beats, &Limits::default()).unwrap();
        assert_eq!(index.rejected.count, 0, "{body}");
        let (offset, len) = index.client_ids[0].id;
        assert_eq!(&body[offset as usize..(offset + len) as usize], id, "{body}");
        let document = documents(body.as_bytes(), &index).remove(0);
        let comma = if rest == "}" { "" } else { "," };
        assert_eq!(document, format!(r#"{{"@timestamp":"2026-11-21T08:26:04.580000000Z"{comma}{rest}"#));
        serde_json::from_str::<serde_json::Value>(&document).unwrap();
    }
    let level = r#"{"@metadata":{},"@timestamp":"2026-11-21T08:26:04Z","log":{"level":"warn","offset":9}}"#;
    let index = index_of(level.as_bytes(), &beats, &Limits::default()).unwrap();
    let document = documents(level.as_bytes(), &index).remove(0);
    let expected =
        r#"{"level":"warn","@timestamp":"2026-11-21T08:26:04Z","log":{"level":"warn","offset":9}}"#;
    assert_eq!(document, expected);
    assert_eq!(index.records[0].flags & Entry::HAS_PLACE, Entry::HAS_PLACE);
    // For any other client it is a field like all others.
    let plain = index_of(level.as_bytes(), &JsonOptions::default(), &Limits::default()).unwrap();
    assert!(documents(level.as_bytes(), &plain)[0].contains("@metadata"));
    assert_eq!(plain.records[0].flags & Entry::HAS_PLACE, 0);
}
