//! Times as text and as numbers, against a table, and against jiff through the oracle.

use super::super::time_text::{Moment, Zone, parse_number, parse_text};
use super::oracle;
use proptest::prelude::*;

fn text(text: &str) -> Option<Moment> {
    parse_text(text, &Zone::Fixed(0))
}

fn nanos(seconds: i64) -> i64 {
    seconds * 1_000_000_000
}

#[test]
fn times_are_read_as_people_write_them() {
    let noon = 1_795_262_400;
    let understood = [
        ("2026-11-21T12:00:00Z", nanos(noon), true),
        ("2026-11-21T12:00:00.123456789+00:00", nanos(noon) + 123_456_789, true),
        ("2026-11-21T12:00:00.1234567899Z", nanos(noon) + 123_456_789, false),
        ("2026-11-21T12:00:00-18:00", nanos(noon + 64_800), true),
        ("2026-11-21T12:00:00-18:01", nanos(noon + 64_860), false),
        ("2026-11-21T12:00:00-00:00", nanos(noon), false),
        ("2026-11-21T12:00:00z", nanos(noon), false),
        ("2026-11-21t12:00:00Z", nanos(noon), false),
        ("2026-11-21 12:00:00,5", nanos(noon) + 500_000_000, false),
        ("2026-11-21T12:00:00", nanos(noon), false),
        ("2026-11-21T13:30:00+0130", nanos(noon), false),
        ("2026-11-21T11:00:00-01", nanos(noon), false),
        ("2026-11-21", nanos(noon - 43_200), false),
        ("2016-12-31T23:59:60Z", nanos(1_483_228_800), false),
        ("2024-02-29T00:00:00Z", nanos(1_709_164_800), true),
        ("1677-09-21T00:12:43.145224192Z", i64::MIN, true),
        ("2262-04-11T23:47:16.854775807Z", i64::MAX, true),
        ("1795262400", nanos(noon), false),
        ("1795262400.25", nanos(noon) + 250_000_000, false),
    ];
    for (written, nanos, canonical) in understood {
        assert_eq!(text(written), Some(Moment { nanos, canonical }), "{written}");
    }
    let not = [
        "",
        "now",
        "2026-11-21T12:00Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T12:60:00Z",
        "2026-11-21T12:00:61Z",
        "2026-02-29",
        "2026-13-01",
        "2026-00-01",
        "2026-01-00",
        "2026-11-21T12:00:00.Z",
        "2026-11-21T12:00:00+24:00",
        "2026-11-21T12:00:00+1",
        "2026-11-21T12:00:00 Z",
        "2026-11-21T12:00:00Z ",
        " 2026-11-21",
        "2026/11/21",
        "1677-09-21T00:12:43.145224191Z",
        "2262-04-11T23:47:16.854775808Z",
        "9999-12-31T23:59:59Z",
        "-1",
        "+1",
        "1.",
        ".5",
        "1e",
        "0x10",
        "9223372036854775808",
        "99999999999999999999",
        "1e999",
    ];
    for written in not {
        assert_eq!(text(written), None, "{written}");
    }
}

#[test]
fn a_numbers_size_tells_its_unit() {
    let cases = [
        ("0", Some((0, false))),
        ("99999999999", None),
        ("9223372036", Some((nanos(9_223_372_036), false))),
        ("100000000000", Some((nanos(100_000_000), true))),
        ("1795262400123", Some((nanos(1_795_262_400) + 123_000_000, true))),
        ("1795262400123.5", Some((nanos(1_795_262_400) + 123_500_000, false))),
        ("1795262400123456", Some((nanos(1_795_262_400) + 123_456_000, false))),
        ("1795262400123456789", Some((nanos(1_795_262_400) + 123_456_789, false))),
        ("1795262400.1234567894", Some((nanos(1_795_262_400) + 123_456_789, false))),
        ("1.7952624001E9", Some((nanos(1_795_262_400) + 100_000_000, false))),
        ("17952624000e-1", Some((nanos(1_795_262_400), false))),
        ("-1795262400", None),
        ("1e30", None),
    ];
    for (digits, expected) in cases {
        let found = parse_number(digits).map(|moment| (moment.nanos, moment.canonical));
        assert_eq!(found, expected, "{digits}");
    }
}

#[test]
fn clocks_that_skip_or_repeat_an_hour_keep_the_offset_before() {
    let vienna = jiff::tz::TimeZone::get("Europe/Vienna").unwrap();
    let zone = Zone::of(&vienna);
    let read = |text: &str| parse_text(text, &zone).unwrap().nanos;
    assert_eq!(read("2026-03-29 02:30:00"), text("2026-03-29T01:30:00Z").unwrap().nanos);
    assert_eq!(read("2026-10-25 02:30:00"), text("2026-10-25T00:30:00Z").unwrap().nanos);
    assert_eq!(read("2016-12-31 23:59:60"), text("2016-12-31T23:00:00Z").unwrap().nanos);
    assert_eq!(read("2026-07-01 12:00:00Z"), text("2026-07-01T12:00:00Z").unwrap().nanos);
    assert!(matches!(Zone::of(&jiff::tz::TimeZone::UTC), Zone::Fixed(0)));
}

proptest! {
    #[test]
    fn shapes_of_dates_agree_with_jiff(
        written in "[0-9]{4}-[01][0-9]-[0-3][0-9]([Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]([.,][0-9]{0,12})?([Zz]|[+-][0-2][0-9](:?[0-6][0-9])?)?)?"
    ) {
        let found = text(&written).map(|moment| moment.nanos);
        prop_assert_eq!(found, oracle::instant(&format!("\"{written}\"")));
    }

    #[test]
    fn every_instant_is_read_back(nanos in any::<i64>()) {
        let written = jiff::Timestamp::from_nanosecond(i128::from(nanos)).unwrap().to_string();
        prop_assert_eq!(text(&written), Some(Moment { nanos, canonical: true }));
    }

    #[test]
    fn numbers_agree_with_moving_the_point(digits in "(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?") {
        prop_assert_eq!(parse_number(&digits).map(|moment| moment.nanos), oracle::instant(&digits));
    }
}
