//! Which texts are JSON: our own table, and the JSONTestSuite where it is at hand.

use super::super::check_value;
use super::oracle;

const ACCEPTED: [&str; 26] = [
    "0",
    "-0",
    "-0.0e-0",
    "1E+2",
    "1.5e10",
    "123456789012345678901234567890",
    "1e999",
    "-1e-999",
    " null ",
    "true",
    "\tfalse\r\n",
    "\"\"",
    r#""\"\\\/\b\f\n\r\t\u0000""#,
    r#""\ud83d\ude00\uD834\uDD1E""#,
    r#""\uffff\ue000\ud7ff""#,
    "\"\u{7f}\u{80}\u{2028}\u{fffe}\u{10ffff}\"",
    "\"12345678\\n12345678\\\\\"",
    "[]",
    "[ ]",
    "[1,[2,{}],\"3\"]",
    "{}",
    "{ }",
    r#"{"":0}"#,
    r#"{"a":{"a":{"a":[]}},"A":1}"#,
    r#"{"a\u0000":1,"a":2,"\u0061\u0062":3}"#,
    "{\"a\" : 1 , \"b\" : [ true , null ] }",
];

const REFUSED: [&str; 66] = [
    "",
    " ",
    "nul",
    "nulll",
    "True",
    "NaN",
    "Infinity",
    "-",
    "+1",
    "01",
    "-01",
    "1.",
    ".5",
    "1e",
    "1e+",
    "1.e1",
    "0x1",
    "1 2",
    "--1",
    "1,",
    "[",
    "]",
    "[1",
    "[1,",
    "[,]",
    "[1,]",
    "[1 2]",
    "[1,,2]",
    "[1:2]",
    "[}",
    "{",
    "}",
    "{]",
    "{\"a\"",
    "{\"a\":",
    "{\"a\":1",
    "{\"a\":1,",
    "{\"a\":1,}",
    "{,}",
    "{\"a\"}",
    "{\"a\" 1}",
    "{\"a\"::1}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":1,,\"b\":2}",
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{null:1}",
    "{}}",
    "{}{}",
    "\"",
    "\"a",
    "\"\\\"",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\\u12g4\"",
    "\"\\u\"",
    "\"\n\"",
    "\"a\tb\"",
    "\"\u{0}\"",
    "\"abcdefgh\u{1f}\"",
    "\u{b}1",
    "\u{a0}1",
    "/* */1",
    "1//",
    "\u{feff}1",
];

/// What serde_json takes and we do not: lone surrogates, keys written twice.
const STRICTER: [&str; 11] = [
    r#""\ud800""#,
    r#""\ud800\n""#,
    r#""\ud800\u0041""#,
    r#""\udc00""#,
    r#""\ud800\ud800\udc00""#,
    r#""\udd1e\ud834""#,
    r#"{"\udfaa":0}"#,
    r#"{"a":1,"a":1}"#,
    r#"{"a":1,"b":2,"\u0061":1}"#,
    r#"{"x":[{"k\/":1,"k/":2}]}"#,
    r#"{"😀":1,"\ud83d\ude00":1}"#,
];

#[test]
fn the_grammar_is_rfc_8259() {
    for text in ACCEPTED {
        assert_eq!(check_value(text.as_bytes()), Ok(()), "{text:?}");
        assert!(oracle::accepts(text.as_bytes()), "{text:?}");
    }
    for text in REFUSED {
        assert!(check_value(text.as_bytes()).is_err(), "{text:?}");
        assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_err(), "{text:?}");
    }
    for text in STRICTER {
        assert!(check_value(text.as_bytes()).is_err(), "{text:?}");
        assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(), "{text:?}");
    }
}

#[test]
fn nesting_has_a_limit() {
    for open in ["[", "{\"a\":"] {
        let close = if open == "[" { "]" } else { "}" };
        let nested = |levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
        assert_eq!(check_value(nested(64).as_bytes()), Ok(()));
        assert!(check_value(nested(65).as_bytes()).is_err());
        assert!(check_value(nested(100_000).as_bytes()).is_err());
    }
}

#[test]
fn every_key_of_a_large_object_is_compared() {
    let object = |keys: Vec<String>| format!("{{{}}}", keys.join(","));
    let keys = |range: std::ops::Range<u32>| {
        range.map(|key| format!("\"field_number_{key}\":{key}")).collect::<Vec<_>>()
    };
    for len in [2, 63, 64, 65, 66, 1_000] {
        assert_eq!(check_value(object(keys(0..len)).as_bytes()), Ok(()), "{len}");
        for twice in [0, len / 2, len - 1] {
            for key in [format!("\"field_number_{twice}\":0"), format!("\"\\u0066ield_number_{twice}\":0")] {
                let mut members = keys(0..len);
                members.push(key);
                assert!(check_value(object(members).as_bytes()).is_err(), "{len} {twice}");
            }
        }
    }
}

/// Of the suite's files that a parser may take or leave: those taken. The reasons are in docs/document-model.md.
const TAKEN: [&str; 10] = [
    "i_number_double_huge_neg_exp.json",
    "i_number_huge_exp.json",
    "i_number_neg_int_huge_exp.json",
    "i_number_pos_double_huge_exp.json",
    "i_number_real_neg_overflow.json",
    "i_number_real_pos_overflow.json",
    "i_number_real_underflow.json",
    "i_number_too_big_neg_int.json",
    "i_number_too_big_pos_int.json",
    "i_number_very_big_negative_int.json",
];

/// Of the suite's files that a parser must take: those we refuse, because a key is written twice.
const REFUSED_Y: [&str; 2] = ["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"];

#[test]
#[allow(clippy::print_stderr)]
fn the_json_test_suite_agrees() {
    let Some(data) = std::env::var_os("FOREBAY_SHARED_DATA") else {
        eprintln!("SKIPPED: FOREBAY_SHARED_DATA names no folder with the JSONTestSuite");
        return;
    };
    let folder = std::path::Path::new(&data).join("json-test-suite/test_parsing");
    let mut files = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        let text = std::fs::read(file.path()).unwrap();
        let expected = match &name[..2] {
            "y_" => !REFUSED_Y.contains(&&*name),
            "n_" => false,
            _ => TAKEN.contains(&&*name),
        };
        assert_eq!(check_value(&text).is_ok(), expected, "{name}");
        files += 1;
    }
    assert!(files > 300, "only {files} files");
}
