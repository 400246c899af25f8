//! Shapes and values in plain words, for messages and for the reference.

use super::document::{Node, Value};
use super::scalar::Scalar;
use super::shape::{Form, Record, Setting, Shape, Shapes};

/// Characters of a value that a message repeats.
const SHOWN: usize = 60;

/// What a setting of this shape takes, as in "expected ...".
pub fn expected(shapes: &Shapes, shape: &Shape) -> String {
    match shape {
        Shape::Any => "any value".to_owned(),
        Shape::Bool => "`true` or `false`".to_owned(),
        Shape::Integer { min, max } => integer(*min, *max),
        Shape::Number { min, max } => number(*min, *max),
        Shape::Text { form: Form::Plain, .. } => "text".to_owned(),
        Shape::Text { form: Form::Bytes, .. } => "a size such as `4MiB`".to_owned(),
        Shape::Text { form: Form::Duration, .. } => "a duration such as `200ms` or `1m30s`".to_owned(),
        Shape::Text { form: Form::Ip, .. } => "an IP address".to_owned(),
        Shape::List { item, .. } => format!("a list of {}", elements(shapes, item)),
        Shape::Map(_) => "a mapping of names to values".to_owned(),
        Shape::Record(record) => record_with(record),
        Shape::Tagged { tag, .. } => format!("a mapping with `{tag}`"),
        Shape::Choice { words, forms } => choice(words.iter().map(|word| word.name.as_str()), forms.len()),
        Shape::Alternatives(settings) => {
            let mut each = Vec::new();
            for setting in settings {
                let one = expected(shapes, shapes.resolve(setting));
                if !each.contains(&one) {
                    each.push(one);
                }
            }
            each.join(" or ")
        }
        Shape::Optional(inner) => expected(shapes, shapes.resolve(inner)),
        Shape::Named(name) => name.clone(),
    }
}

/// The keys that a mapping needs tell it from its alternatives.
fn record_with(record: &Record) -> String {
    let required = record.properties.iter().filter(|property| property.required);
    let names = listed(required.map(|property| property.name.as_str()));
    if names.is_empty() { "a mapping of settings".to_owned() } else { format!("a mapping with {names}") }
}

/// The elements of a list, one level deep: a list may be part of what it contains.
fn elements(shapes: &Shapes, item: &Setting) -> String {
    match shapes.resolve(item) {
        Shape::Text { form: Form::Bytes, .. } => "sizes".to_owned(),
        Shape::Text { form: Form::Duration, .. } => "durations".to_owned(),
        Shape::Text { form: Form::Ip, .. } => "IP addresses".to_owned(),
        Shape::Text { .. } => "texts".to_owned(),
        Shape::Integer { .. } | Shape::Number { .. } => "numbers".to_owned(),
        Shape::Choice { words, forms } if forms.is_empty() => {
            listed(words.iter().map(|word| word.name.as_str()))
        }
        Shape::Map(_) | Shape::Record(_) | Shape::Tagged { .. } => "mappings".to_owned(),
        _ => "values".to_owned(),
    }
}

fn choice<'a>(words: impl Iterator<Item = &'a str>, forms: usize) -> String {
    let words = listed(words);
    match (words.is_empty(), forms) {
        (_, 0) => format!("one of {words}"),
        (true, _) => "a mapping with one key".to_owned(),
        (false, _) => format!("one of {words} or a mapping with one key"),
    }
}

fn integer(min: i128, max: i128) -> String {
    // Bounds of a Rust type mean nothing to a reader, but for the small ones.
    let open = max >= i128::from(u32::MAX >> 1);
    let low = min <= i128::from(i32::MIN);
    match (low, open) {
        (true, true) => "a whole number".to_owned(),
        (false, true) => format!("a whole number of at least {min}"),
        _ => format!("a whole number from {min} to {max}"),
    }
}

fn number(min: f64, max: f64) -> String {
    match (min.is_finite(), max.is_finite()) {
        (false, false) => "a number".to_owned(),
        (true, false) => format!("a number of at least {min}"),
        (false, true) => format!("a number of at most {max}"),
        (true, true) => format!("a number from {min} to {max}"),
    }
}

/// A count within bounds: "at least 1 item", "2 to 4 items", "exactly 1 character".
pub fn in_words(min: u64, max: u64, unit: &str) -> String {
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    if min == max {
        return format!("exactly {min} {unit}{}", plural(min));
    }
    match (min, max) {
        (_, u64::MAX) => format!("at least {min} {unit}{}", plural(min)),
        (0, _) => format!("at most {max} {unit}{}", plural(max)),
        _ => format!("{min} to {max} {unit}s"),
    }
}

/// What stands in the file, as in "found ...". A value from a substitution is named by its kind alone.
pub fn found(node: &Node) -> String {
    let described = match &node.value {
        Value::Mapping(entries) if entries.is_empty() => return "an empty mapping".to_owned(),
        Value::Sequence(_) => return "a list".to_owned(),
        Value::Mapping(_) => return "a mapping".to_owned(),
        Value::Scalar(Scalar::Null) => ("nothing", String::new()),
        Value::Scalar(Scalar::Bool(value)) => ("", value.to_string()),
        Value::Scalar(Scalar::Integer(number)) => ("the number", number.to_string()),
        Value::Scalar(Scalar::Float(number)) => ("the number", number.to_string()),
        Value::Scalar(Scalar::Text(text)) => ("the text", shortened(text)),
    };
    match described {
        (kind, _) if node.foreign => {
            format!("{} that came from `${{...}}`", if kind.is_empty() { "a truth value" } else { kind })
        }
        (kind, value) if value.is_empty() => kind.to_owned(),
        ("", value) => format!("`{value}`"),
        (kind, value) => format!("{kind} `{value}`"),
    }
}

fn shortened(text: &str) -> String {
    let first_line = text.lines().next().unwrap_or_default();
    if first_line.len() == text.len() && text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    let mut short: String = first_line.chars().take(SHOWN).collect();
    short.push_str("...");
    short
}

/// `a`, `b`, `c`, in the order given.
pub fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
