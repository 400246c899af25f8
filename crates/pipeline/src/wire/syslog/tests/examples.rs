//! Messages as the RFCs and well-known programs write them.

use super::*;
use serde_json::json;

#[test]
fn messages_of_rfc_5424_are_read_as_it_says() {
    // Section 6.5, examples 1 to 4.
    let cases: [(&[u8], Value); 4] = [
        (
            b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \xef\xbb\xbf'su root' failed for lonvick on /dev/pts/8",
            json!({"@timestamp": "2003-10-11T22:14:15.003000000Z", "level": "CRITICAL", "severity_number": 18,
                "message": "'su root' failed for lonvick on /dev/pts/8", "hostname": "mymachine.example.com", "app_name": "su",
                "msg_id": "ID47", "syslog.facility": "auth", "syslog.priority": 34, "syslog.version": 1}),
        ),
        (
            b"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.",
            json!({"@timestamp": "2003-08-24T12:14:15.000003000Z", "level": "NOTICE", "severity_number": 10,
                "message": "%% It's time to make the do-nuts.", "hostname": "192.0.2.1", "app_name": "myproc", "proc_id": "8710",
                "syslog.facility": "local4", "syslog.priority": 165, "syslog.version": 1}),
        ),
        (
            b"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"] \xef\xbb\xbfAn application event log entry...",
            json!({"@timestamp": "2003-10-11T22:14:15.003000000Z", "level": "NOTICE", "severity_number": 10,
                "message": "An application event log entry...", "hostname": "mymachine.example.com", "app_name": "evntslog", "msg_id": "ID47",
                "structured_data": {"exampleSDID@32473": {"iut": "3", "eventSource": "Application", "eventID": "1011"}},
                "syslog.facility": "local4", "syslog.priority": 165, "syslog.version": 1}),
        ),
        (
            b"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut=\"3\"][examplePriority@32473 class=\"high\"]",
            json!({"@timestamp": "2003-10-11T22:14:15.003000000Z", "level": "NOTICE", "severity_number": 10, "message": "",
                "hostname": "mymachine.example.com", "app_name": "evntslog", "msg_id": "ID47",
                "structured_data": {"exampleSDID@32473": {"iut": "3"}, "examplePriority@32473": {"class": "high"}},
                "syslog.facility": "local4", "syslog.priority": 165, "syslog.version": 1}),
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(document(message), (expected, true), "{}", String::from_utf8_lossy(message));
    }
}

/// A message of RFC 3164, and what it says: facility, the time behind 2026-, host, name, process and text.
type Common = (&'static [u8], &'static str, &'static str, [&'static str; 4]);

const ARRIVAL: &str = "11-21T08:26:04.580";

#[rustfmt::skip]
const COMMON: [Common; 8] = [
    // Section 5.4, example 1, in the year of its arrival.
    (b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed", "auth", "10-11T22:14:15.000", ["mymachine", "su", "", "'su root' failed"]),
    // Example 2: what has no time is text.
    (b"<13>Use the BFG!\n", "user", ARRIVAL, ["", "", "", "Use the BFG!"]),
    // rsyslog's forwarding formats, and what a process writes to its own machine.
    (b"<30>Nov 21 08:26:01 web-1 systemd[1]: Started", "daemon", "11-21T08:26:01.000", ["web-1", "systemd", "1", "Started"]),
    (b"<30>2026-11-21T09:26:01.123+01:00 web-1 systemd[1]: Started", "daemon", "11-21T08:26:01.123", ["web-1", "systemd", "1", "Started"]),
    (b"<86>Dec  1 00:00:00 sshd[12]: hello", "authpriv", "12-01T00:00:00.000", ["", "sshd", "12", "hello"]),
    // No tag.
    (b"<0>Nov 21 08:26:01 router last message repeated", "kern", "11-21T08:26:01.000", ["router", "", "", "last message repeated"]),
    // Python's SysLogHandler.
    (b"<11>Traceback:\n  File \"x.py\"\0", "user", ARRIVAL, ["", "", "", "Traceback:\n  File \"x.py\""]),
    // No time that is one.
    (b"<191>Feb 30 08:26:01 host app: x", "local7", ARRIVAL, ["", "", "", "Feb 30 08:26:01 host app: x"]),
];

#[test]
fn messages_of_rfc_3164_are_read_as_they_are_written() {
    const LEVELS: [(&str, i32); 8] = [
        ("EMERGENCY", 21),
        ("ALERT", 19),
        ("CRITICAL", 18),
        ("ERROR", 17),
        ("WARNING", 13),
        ("NOTICE", 10),
        ("INFO", 9),
        ("DEBUG", 5),
    ];
    for (message, facility, time, texts) in COMMON {
        let written = String::from_utf8_lossy(message);
        let priority: usize = written[1..written.find('>').unwrap()].parse().unwrap();
        let (level, number) = LEVELS[priority % 8];
        let mut expected = json!({"@timestamp": format!("2026-{time}000000Z"), "level": level, "severity_number": number,
            "syslog.facility": facility, "syslog.priority": priority});
        for (field, text) in ["hostname", "app_name", "proc_id", "message"].into_iter().zip(texts) {
            if !text.is_empty() {
                expected[field] = json!(text);
            }
        }
        assert_eq!(document(message), (expected, true), "{written}");
    }
}

#[test]
fn what_has_no_known_form_is_kept_whole() {
    let unreadable = "<34>1 2003-10-11T22:14:15.003Z host app";
    let twice = "<34>1 - - - - - [a][a] x";
    for message in [
        "plain text",
        "<192>1 - - - - - -",
        "<a>x",
        "<034>x",
        "<>x",
        "<1",
        unreadable,
        twice,
        "<34>1 yesterday - - - - x",
        "<34>1 - - - - - [a b=c] x",
        "<34>1 - - - - - -x",
        "<34>1 - - - - - [a b=\"c\"]x",
        "",
    ] {
        let (document, is_parsed) = document(message.as_bytes());
        assert_eq!((&document["message"], is_parsed), (&json!(message), false), "{message}");
        assert_eq!(document["syslog.unparsed"], true, "{message}");
        // What is sure is said all the same.
        assert_eq!(document["level"] == "CRITICAL", message.starts_with("<34>"), "{message}");
    }
}

#[test]
fn nothing_of_structured_data_is_lost() {
    let (document, _) = document(br#"<14>1 - - - - - [a@1 ip="1" x="\"\\\]\n]" ip="2" ip=""][b] [not=data]"#);
    let expected = json!({"a@1": {"ip": ["1", "2", ""], "x": "\"\\]\\n]"}, "b": {}});
    assert_eq!((&document["structured_data"], &document["message"]), (&expected, &json!("[not=data]")));
    let many: String = (0..129).map(|number| format!(" p{number}=\"\"")).collect();
    let (document, is_parsed) = super::document(format!("<14>1 - - - - - [a{many}]").as_bytes());
    assert!(!is_parsed && document["message"].as_str().unwrap().contains("p128"));
}

#[test]
fn other_encodings_and_cut_messages_are_marked() {
    let (document, is_parsed) = document(b"<14>1 - h a - - - caf\xe9");
    assert_eq!((&document["message"], is_parsed), (&json!("caf\u{fffd}"), true));
    assert_eq!(document["syslog.invalid_utf8"], true);
    let mut cut = head(5, true).to_vec();
    cut.extend(b"<14>x");
    let (documents, _) = documents_in(&cut, &TimeZone::UTC);
    assert_eq!((&documents[0]["message"], &documents[0]["syslog.truncated"]), (&json!("x"), &json!(true)));
}

#[test]
fn times_without_a_year_or_a_zone_are_the_nearest_of_the_receivers() {
    let zone = TimeZone::get("America/New_York").unwrap();
    let messages: [&[u8]; 3] =
        [b"<1>Nov 21 03:26:04 h a: x", b"<1>Jan  1 00:00:00 h a: x", b"<1>Jun  1 08:00:00 h a: x"];
    let (documents, _) = documents_in(&body_of(&messages), &zone);
    let times: Vec<&str> =
        documents.iter().map(|document| document["@timestamp"].as_str().unwrap()).collect();
    assert_eq!(
        times,
        [
            "2026-11-21T08:26:04.000000000Z",
            "2027-01-01T05:00:00.000000000Z",
            "2026-06-01T12:00:00.000000000Z"
        ]
    );
}

#[test]
fn routes_see_the_fields_of_the_document() {
    let routes = r#"[
        {"name": "data", "when": {"field": "structured_data.a@1.team", "equals": "red"}, "to": ["sink"], "index": "a"},
        {"name": "auth", "when": {"field": "syslog.facility", "equals": "auth"}, "to": ["sink"], "index": "b"},
        {"name": "bad", "when": {"field": "severity_number", "at_least": 17}, "to": ["sink"], "index": "c"},
        {"name": "level", "when": {"field": "level", "equals": "DEBUG"}, "to": ["sink"], "index": "d"},
        {"name": "text", "when": {"field": "message", "glob": "*needle*"}, "to": ["sink"], "index": "e"},
        {"name": "app", "when": {"field": "app_name", "equals": "nginx"}, "to": ["sink"], "index": "f"}]"#;
    let messages: [&[u8]; 7] = [
        b"<14>1 - - - - - [a@1 team=\"red\"]",
        b"<38>x",
        b"<11>x",
        b"<15>x",
        b"<14>a needle",
        b"<14>1 - - nginx - - -",
        b"<14>x",
    ];
    let (index, _) = check_in(&body_of(&messages), &TimeZone::UTC, &Limits::default(), routes).unwrap();
    let routed: Vec<Vec<usize>> = index.runs.iter().map(|run| run.routes.iter().collect()).collect();
    assert_eq!(routed, [vec![0], vec![1], vec![2], vec![3], vec![4], vec![5], vec![]]);
}

#[test]
fn a_body_from_the_journal_is_read_as_it_was_admitted() {
    use crate::ledger::Ledger;
    use crate::rules::{JsonRules, Rules, RulesConfig};
    let zone = JsonRules { timezone: "America/New_York".to_owned(), ..JsonRules::default() };
    let config = RulesConfig {
        routes: serde_json::from_str(ALL).unwrap(),
        route_mode: Mode::FirstMatch,
        promote: Vec::new(),
        max_event_age: crate::units::Period::secs(3_600),
        max_event_lead: crate::units::Period::secs(3_600),
        max_records: 100,
        max_record_bytes: 100,
        json: [("syslog".to_owned(), zone)].into(),
    };
    let ledger = Ledger::default();
    let rules = Rules::build(&config, &["sink".into()], &ledger).unwrap();
    let body = body_of(&[b"<1>Nov 21 03:26:04 h a: x", b"unparsed"]);
    let first = rules.check_syslog(&body, ARRIVED, "syslog").unwrap();
    let again = rules.check_again(WireId::Syslog, &body, ARRIVED, "syslog").unwrap();
    let told = |index: &Index| {
        index.records.iter().map(|entry| (entry.time, entry.offset, entry.len)).collect::<Vec<_>>()
    };
    assert_eq!(told(&first), told(&again));
    assert_eq!(
        (first.records[0].time, ledger.unparsed().load(std::sync::atomic::Ordering::Relaxed)),
        (ARRIVED - 580_000_000, 1)
    );
}

#[test]
fn limits_hold_and_a_body_must_be_whole() {
    let body = body_of(&[b"<1>short", b"<1>much longer", b"<1>short"]);
    let of = |limits: &Limits, body: &[u8]| check_in(body, &TimeZone::UTC, limits, ALL);
    let small = Limits { max_record_bytes: 10, ..Limits::default() };
    let (index, _) = of(&small, &body).unwrap();
    assert_eq!((index.records.len(), index.rejected.count, index.rejected.reasons[0].0), (2, 1, 2));
    let few = Limits { max_records: 2, ..Limits::default() };
    assert_eq!(of(&few, &body).unwrap_err(), Malformed::TooManyRecords { limit: 2 });
    for cut in 1..body.len() {
        let whole = [12, 30].contains(&cut);
        assert_eq!(of(&Limits::default(), &body[..cut]).is_ok(), whole, "{cut}");
    }
}
