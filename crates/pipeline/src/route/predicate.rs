//! Compiled conditions and how they judge a value.

use super::config::{Scalar, When};
use super::fields::FieldTable;
use super::quantity::Quantity;
use crate::record::Value;
use std::borrow::Cow;
use std::cmp::Ordering;

/// A compiled condition.
#[derive(Debug)]
pub(super) enum Predicate {
    Always,
    Field { slot: usize, tests: Vec<Test> },
    All(Vec<Predicate>),
    Any(Vec<Predicate>),
    Not(Box<Predicate>),
}

#[derive(Debug)]
pub(super) enum Test {
    OneOf { values: Vec<Scalar>, ignore_case: bool },
    Matches(regex::Regex),
    Exists(bool),
    Above { bound: Quantity, or_equal: bool },
    Below { bound: Quantity, or_equal: bool },
}

/// A fault found while compiling: the path below the condition, and what is wrong.
pub(super) type Fault = (String, String);

impl Predicate {
    /// Compiles `when`; `path` names it in faults, which are all collected.
    pub(super) fn compile(when: &When, path: &str, fields: &mut FieldTable, faults: &mut Vec<Fault>) -> Self {
        let shapes = [when.field.is_some(), when.all.is_some(), when.any.is_some(), when.not.is_some()];
        if shapes.iter().filter(|given| **given).count() != 1 {
            faults.push((path.to_owned(), "needs exactly one of `field`, `all`, `any`, `not`".to_owned()));
            return Self::Always;
        }
        let mut list = |name: &str, parts: &[When]| {
            if parts.is_empty() {
                faults.push((format!("{path}.{name}"), "needs at least one condition".to_owned()));
            }
            let compile = |(i, part)| Self::compile(part, &format!("{path}.{name}[{i}]"), fields, faults);
            parts.iter().enumerate().map(compile).collect()
        };
        if let Some(parts) = &when.all {
            return Self::All(list("all", parts));
        }
        if let Some(parts) = &when.any {
            return Self::Any(list("any", parts));
        }
        if let Some(part) = &when.not {
            return Self::Not(Box::new(Self::compile(part, &format!("{path}.not"), fields, faults)));
        }
        let tests = compile_tests(when, path, faults);
        match fields.slot(when.field.as_deref().unwrap_or_default()) {
            Ok(slot) => Self::Field { slot, tests },
            Err(why) => {
                faults.push((format!("{path}.field"), why));
                Self::Always
            }
        }
    }

    /// Whether the condition holds for these values, one per slot.
    pub(super) fn holds<'b>(&self, value_of: &dyn Fn(usize) -> Option<Value<'b>>) -> bool {
        match self {
            Self::Always => true,
            Self::Field { slot, tests } => {
                let value = value_of(*slot).filter(|value| !matches!(value, Value::Null));
                tests.iter().all(|test| test.holds(value))
            }
            Self::All(parts) => parts.iter().all(|part| part.holds(value_of)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(value_of)),
            Self::Not(part) => !part.holds(value_of),
        }
    }
}

fn compile_tests(when: &When, path: &str, faults: &mut Vec<Fault>) -> Vec<Test> {
    let ignore_case = when.ignore_case;
    let found_before = faults.len();
    let mut tests = Vec::new();
    if let Some(value) = &when.equals {
        tests.push(Test::OneOf { values: vec![value.clone()], ignore_case });
    }
    if let Some(values) = &when.one_of {
        tests.push(Test::OneOf { values: values.clone(), ignore_case });
    }
    let mut pattern = |name: &str, source: Result<String, String>| {
        let compiled = source.and_then(|source| {
            regex::RegexBuilder::new(&source)
                .case_insensitive(ignore_case)
                .build()
                .map_err(|error| in_one_line(&error))
        });
        match compiled {
            Ok(regex) => tests.push(Test::Matches(regex)),
            Err(why) => faults.push((format!("{path}.{name}"), why)),
        }
    };
    if let Some(glob) = &when.glob {
        pattern("glob", glob_to_regex(glob));
    }
    if let Some(regex) = &when.regex {
        pattern("regex", Ok(regex.clone()));
    }
    let bound = |given: &Option<serde_json::Number>| given.as_ref().and_then(Quantity::of_number);
    tests.extend(when.exists.map(Test::Exists));
    tests.extend(bound(&when.greater_than).map(|bound| Test::Above { bound, or_equal: false }));
    tests.extend(bound(&when.at_least).map(|bound| Test::Above { bound, or_equal: true }));
    tests.extend(bound(&when.less_than).map(|bound| Test::Below { bound, or_equal: false }));
    tests.extend(bound(&when.at_most).map(|bound| Test::Below { bound, or_equal: true }));
    if tests.is_empty() && faults.len() == found_before {
        let names = "`equals`, `one_of`, `glob`, `regex`, `exists`, `greater_than`, `at_least`, `less_than`, `at_most`";
        faults.push((path.to_owned(), format!("tests nothing: add one of {names}")));
    }
    tests
}

/// A glob's meaning as a regular expression over the whole text; `*` also crosses slashes, since fields are no paths.
fn glob_to_regex(glob: &str) -> Result<String, String> {
    let built = globset::GlobBuilder::new(glob).literal_separator(false).backslash_escape(true).build();
    // globset matches bytes; its expression turns Unicode off, which would let `?` stand for half a character.
    built.map(|glob| glob.regex().replacen("(?-u)", "(?s)", 1)).map_err(|error| error.kind().to_string())
}

impl Test {
    fn holds(&self, value: Option<Value<'_>>) -> bool {
        let Some(value) = value else { return matches!(self, Self::Exists(false)) };
        match self {
            Self::OneOf { values, ignore_case } => {
                values.iter().any(|wanted| equals(wanted, value, *ignore_case))
            }
            Self::Matches(regex) => text_of(value).is_some_and(|text| regex.is_match(&text)),
            Self::Exists(wanted) => *wanted,
            Self::Above { bound, or_equal } => is_beyond(value, *bound, Ordering::Greater, *or_equal),
            Self::Below { bound, or_equal } => is_beyond(value, *bound, Ordering::Less, *or_equal),
        }
    }
}

/// Whether the value is a number on this side of the bound, or on it.
fn is_beyond(value: Value<'_>, bound: Quantity, side: Ordering, or_equal: bool) -> bool {
    let order = Quantity::of(value).and_then(|number| number.compare(bound));
    order.is_some_and(|order| order == side || or_equal && order.is_eq())
}

/// The point of the regex crate's message, which draws the pattern with a marker under it: a fault is one line.
fn in_one_line(error: &regex::Error) -> String {
    let said = error.to_string();
    let point = said.lines().last().unwrap_or_default();
    point.trim_start_matches("error: ").to_owned()
}

fn equals(wanted: &Scalar, value: Value<'_>, ignore_case: bool) -> bool {
    match wanted {
        Scalar::Bool(wanted) => matches!(value, Value::Bool(is) if is == *wanted),
        Scalar::Integer(wanted) => is_number(value, Quantity::Whole(*wanted)),
        Scalar::Number(wanted) => is_number(value, Quantity::Double(*wanted)),
        Scalar::Text(wanted) => text_of(value)
            .is_some_and(|text| text == wanted.as_str() || ignore_case && same_letters(&text, wanted)),
    }
}

/// Equal but for case. Lower-casing allocates, and is left to text beyond ASCII.
fn same_letters(one: &str, other: &str) -> bool {
    match one.is_ascii() && other.is_ascii() {
        true => one.eq_ignore_ascii_case(other),
        false => one.to_lowercase() == other.to_lowercase(),
    }
}

fn is_number(value: Value<'_>, wanted: Quantity) -> bool {
    Quantity::of(value).and_then(|number| number.compare(wanted)) == Some(Ordering::Equal)
}

/// Text as it reads. Bytes read as lower-case hex: the only bytes that a field can name are trace and span ids.
fn text_of(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value {
        Value::Str(text) => Some(Cow::Borrowed(text.as_str())),
        Value::Escaped(inside) => Some(crate::wire::json::unescape(inside)),
        Value::Bytes(bytes) | Value::Hex(bytes) => {
            Some(Cow::Owned(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
        }
        _ => None,
    }
}
