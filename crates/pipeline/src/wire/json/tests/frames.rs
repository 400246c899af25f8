//! How bodies are divided into records.

use super::super::{Format, JsonOptions};
use super::{index, index_of};
use crate::wire::{Index, Limits, Malformed};

/// The records as they arrived, and the positions of those rejected.
fn frames<'b>(body: &'b [u8], index: &Index) -> (Vec<&'b str>, Vec<usize>) {
    let records = index.records.iter().map(|entry| std::str::from_utf8(&body[entry.range()]).unwrap());
    (records.collect(), index.rejected.reasons.iter().map(|(position, _)| *position).collect())
}

#[test]
fn bodies_are_divided_by_what_they_are() {
    let cases: [(&[u8], &[&str], &[usize]); 23] = [
        (b"", &[], &[]),
        (b" \r\n\n\t", &[], &[]),
        (b"[]", &[], &[]),
        (b"\n [ ] \n", &[], &[]),
        (b"{}", &["{}"], &[]),
        (b"\r\n{\"a\":\n1}\n", &["{\"a\":\n1}"], &[]),
        (b"[{\"a\":1} , {}]", &["{\"a\":1}", "{}"], &[]),
        (b"[{},1,{},[{}],null]", &["{}", "{}"], &[2, 4, 5]),
        (b"[{\"a\":1,\"a\":2},{}]", &["{}"], &[1]),
        (b"{}\n{}\n", &["{}", "{}"], &[]),
        (b"{}\r\n\r\n {\"b\":\"\\n\"} \r\n{}", &["{}", "{\"b\":\"\\n\"}", "{}"], &[]),
        (b"\n\n{}\n\n{}\nx", &["{}", "{}"], &[6]),
        (b"{\"a\":\n{}\n{}", &["{}", "{}"], &[1]),
        (b"{} {}\n{}", &["{}"], &[1]),
        (b"{}x\n{\"a\":1}\n{\"a\":1,\"\\u0061\":1}", &["{\"a\":1}"], &[1, 3]),
        (b"[{}]\n{\"a\":1}", &["{\"a\":1}"], &[1]),
        (b"7\n{}\n\"s\"", &["{}"], &[1, 3]),
        (b"{\"a\":\n1}\n{}", &["{}"], &[1, 2]),
        (b"x\ny\n", &[], &[1, 2]),
        (b"7", &[], &[1]),
        (b"{\"a\":1,\"a\":1}", &[], &[1]),
        (b"{\"a\":\"\xff\"}\n{\"a\":\"\xc3\xa9\"}\n", &["{\"a\":\"é\"}"], &[1]),
        (b"\xef\xbb\xbf{}\n{}", &["{}"], &[1]),
    ];
    for (body, records, rejected) in cases {
        let index = index(body).unwrap();
        let shown = String::from_utf8_lossy(body);
        assert_eq!(frames(body, &index), (records.to_vec(), rejected.to_vec()), "{shown:?}");
        assert_eq!(index.rejected.count, rejected.len() as u64, "{shown:?}");
    }
}

#[test]
fn what_cannot_be_delimited_refuses_the_body() {
    let deep = format!("[{}{}]", "[".repeat(65), "]".repeat(65));
    let cases: [(&[u8], usize); 12] = [
        (b"{", 1),
        (b"{\"a\":tru}\n", 5),
        (b"{} {}", 3),
        (b"[{}", 3),
        (b"[{}\n{}\n]", 4),
        (b"[{},]", 4),
        (b"[{},{\"a\":}]", 9),
        (b"[{}] x", 5),
        (b"[\n{\"a\":\"\xff\"}\n]", 8),
        (b"{\"a\":\"\xff\"}", 6),
        (b"\xef\xbb\xbf{}", 0),
        (deep.as_bytes(), 65),
    ];
    for (body, at) in cases {
        let shown = String::from_utf8_lossy(body);
        let (Malformed::Syntax { offset, .. } | Malformed::Utf8 { offset } | Malformed::TooDeep { offset }) =
            index(body).unwrap_err()
        else {
            panic!("{shown:?}");
        };
        assert_eq!(offset, at, "{shown:?}");
    }
}

#[test]
fn a_receiver_of_lines_takes_nothing_else() {
    let options = JsonOptions { format: Format::Lines, ..JsonOptions::default() };
    let body = b"[{}]\n{\n{}\n";
    let index = index_of(body, &options, &Limits::default()).unwrap();
    assert_eq!(frames(body, &index), (vec!["{}"], vec![1, 2]));
    let reasons: Vec<_> = index.rejected.reasons.iter().map(|(_, why)| why.clone()).collect();
    let end = Malformed::Syntax { format: "JSON", offset: 6, what: "unexpected end" };
    assert_eq!(reasons, [Malformed::NotAnObject { record: 1 }, end]);
}

#[test]
fn places_count_from_the_bodys_start_even_beside_bad_utf8() {
    let index = index(b"{\"a\":\"\xff\"}\n{\"time\":1,}\n").unwrap();
    let offset = |why: &Malformed| match why {
        Malformed::Utf8 { offset } | Malformed::Syntax { offset, .. } => *offset,
        _ => usize::MAX,
    };
    let offsets: Vec<usize> = index.rejected.reasons.iter().map(|(_, why)| offset(why)).collect();
    assert_eq!(offsets, [6, 20]);
}

#[test]
fn limits_hold() {
    let options = JsonOptions::default();
    let limits = Limits { max_records: 2, max_record_bytes: 9 };
    let three = index_of(b"{}\n{}\n{}", &options, &limits).unwrap_err();
    assert_eq!(three, Malformed::TooManyRecords { limit: 2 });
    for body in [&b"{\"a\":100}\n{\"a\":1000}"[..], b"[{\"a\":100},{\"a\":1000}]"] {
        let index = index_of(body, &options, &limits).unwrap();
        assert_eq!(frames(body, &index), (vec!["{\"a\":100}"], vec![2]));
        assert_eq!(index.rejected.reasons[0].1, Malformed::RecordTooLarge { bytes: 10, limit: 9 });
    }
}
