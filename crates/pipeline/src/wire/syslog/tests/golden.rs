//! What rsyslog 8.2302 forwards of three messages, byte for byte as it came over a connection each (`golden/`): in its default format behind line
//! feeds, and in `RSYSLOG_SyslogProtocol23Format` behind counts.

use super::*;

const DEFAULT: &str = include_str!("golden/rsyslog-8.2302-default.txt");
const PROTOCOL_23: &str = include_str!("golden/rsyslog-8.2302-protocol-23.txt");

#[test]
fn of_rsyslog() {
    let lines = DEFAULT.lines();
    // Each message ends with a line feed, which counts as a part of it.
    let counted = PROTOCOL_23.lines().map(|line| line.split_once(' ').unwrap().1);
    let expected = [("INFO", "number 1"), ("CRITICAL", "two#012lines"), ("WARNING", "ünï \"q\" [x]")];
    for (messages, space, micros) in [
        (lines.collect::<Vec<_>>(), "", ["000000"; 3]),
        (counted.collect(), " ", ["702608", "702656", "702677"]),
    ] {
        assert_eq!(messages.len(), 3);
        for ((message, (level, text)), micros) in messages.into_iter().zip(expected).zip(micros) {
            let (document, is_parsed) = document(message.as_bytes());
            assert!(is_parsed);
            let time = format!("2026-11-22T05:50:45.{micros}000Z");
            // The format puts a space more before the text, and so it is.
            let text = format!("{space}{text}");
            for (field, value) in [
                ("level", level),
                ("message", &text),
                ("@timestamp", &time),
                ("hostname", "vm"),
                ("app_name", "app"),
                ("proc_id", "42"),
            ] {
                assert_eq!(document[field], value, "{message}");
            }
        }
    }
}
