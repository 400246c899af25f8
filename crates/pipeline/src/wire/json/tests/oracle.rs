//! What the JSON wire must accept and write, computed the plain way with serde_json and jiff. The fuzz target uses it too.

use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashSet};

/// Whether `text` is one JSON value that the wire accepts: serde_json's grammar, less the closed list.
pub fn accepts(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    serde_json::from_str::<IgnoredAny>(text).is_ok() && is_strict(text)
}

/// The closed list: no lone surrogate (serde_json refuses it when it has to decode), no duplicate key, at most 64 levels.
fn is_strict(text: &str) -> bool {
    let mut open: Vec<HashSet<String>> = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match text.as_bytes()[at] {
            b'"' => {
                let end = at + literal_len(&text[at..]);
                let Ok(decoded) = serde_json::from_str::<String>(&text[at..end]) else { return false };
                let is_key = text[end..].trim_start_matches([' ', '\t', '\n', '\r']).starts_with(':');
                if is_key && !open.last_mut().is_some_and(|keys| keys.insert(decoded)) {
                    return false;
                }
                at = end;
                continue;
            }
            b'{' | b'[' if open.len() == 64 => return false,
            b'{' | b'[' => open.push(HashSet::new()),
            b'}' | b']' => drop(open.pop()),
            _ => {}
        }
        at += 1;
    }
    true
}

/// Length of the string literal that `text` begins with.
fn literal_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A document as its top-level members: decoded names and literals without white space between tokens.
pub type Members = BTreeMap<String, String>;

/// The members of an object, as they stand.
pub fn members(object: &str) -> Members {
    let raw: BTreeMap<String, Box<RawValue>> = serde_json::from_str(object).expect("an object");
    raw.into_iter().map(|(name, value)| (name, compact(value.get()))).collect()
}

fn compact(literal: &str) -> String {
    let mut out = String::new();
    let mut rest = literal;
    while let Some(first) = rest.chars().next() {
        let len = if first == '"' { literal_len(rest) } else { first.len_utf8() };
        if !matches!(first, ' ' | '\t' | '\n' | '\r') {
            out.push_str(&rest[..len]);
        }
        rest = &rest[len..];
    }
    out
}

/// The document that `record` becomes, and its event time; `None` where the record must be refused.
pub fn document(record: &str, arrived: i64) -> Option<(Members, i64)> {
    let mut members = members(record);
    let level = level(&members);
    let mut time = None;
    for name in ["@timestamp", "timestamp", "time", "ts", "asctime"] {
        time = time.or_else(|| instant(members.get(name)?));
    }
    let time = time.unwrap_or(arrived);
    let own = members.get("@timestamp").cloned();
    let own_instant = own.as_deref().and_then(instant);
    if own_instant.is_none() || !own.as_deref().is_some_and(is_canonical) {
        let text = jiff::Timestamp::from_nanosecond(i128::from(time)).expect("in range");
        members.insert("@timestamp".to_owned(), format!("\"{text:.9}\""));
    }
    if let Some(own) = own
        && own_instant.is_none()
        && own != "null"
        && own != "\"\""
        && members.insert("attributes.@timestamp".to_owned(), own).is_some()
    {
        return None;
    }
    if let Some(level) = level {
        members.insert("level".to_owned(), level);
    }
    Some((members, time))
}

fn level(members: &Members) -> Option<String> {
    let get = |name: &str| members.get(name).filter(|literal| *literal != "null" && *literal != "\"\"");
    let text = |literal: &&String| literal.starts_with('"');
    if let Some(own) = get("level") {
        return Some(own.clone());
    }
    let nested =
        get("log").filter(|log| log.starts_with('{')).and_then(|log| self::members(log).remove("level"));
    let nested = nested.filter(|literal| literal.starts_with('"') && literal != "\"\"");
    let named = get("levelname").filter(text).or(get("log.level").filter(text)).cloned();
    let found = named.or(nested).or(get("loglevel").filter(text).cloned()).or_else(|| {
        let name = match get("levelno")?.trim_matches('"') {
            "10" => "DEBUG",
            "20" => "INFO",
            "30" => "WARNING",
            "40" => "ERROR",
            "50" => "CRITICAL",
            _ => return None,
        };
        Some(format!("\"{name}\""))
    });
    found.or_else(|| members.get("level").cloned())
}

/// What time a literal means, in UTC where it names no zone.
pub fn instant(literal: &str) -> Option<i64> {
    if literal.starts_with('"') {
        let text: String = serde_json::from_str(literal).ok()?;
        return date_time(&text).or_else(|| epoch(&text));
    }
    epoch(literal)
}

/// Whether Elasticsearch reads a literal that means a time correctly as it stands.
fn is_canonical(literal: &str) -> bool {
    let Ok(text) = serde_json::from_str::<String>(literal) else {
        return literal.bytes().all(|byte| byte.is_ascii_digit()) && (12..=14).contains(&literal.len());
    };
    let shape =
        r"^....-..-..T..:..:[0-5].(\.\d{1,9})?(Z|[+](0\d|1[0-7]):..|[+]18:00|-(0\d|1[0-7]):..|-18:00)$";
    matches(shape, &text) && !text.ends_with("-00:00")
}

fn date_time(text: &str) -> Option<i64> {
    let shape = r"^\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d:\d\d([.,]\d+)?([Zz]|[+-]\d\d(:?\d\d)?)?)?$";
    if !text.is_ascii() || !matches(shape, text) {
        return None;
    }
    let split =
        text.get(11..).and_then(|clock| clock.find(['Z', 'z', '+', '-'])).map_or(text.len(), |at| 11 + at);
    let (local, offset) = text.split_at(split);
    // jiff takes at most nine digits of a fraction, and second 60 as 59.
    let (local, fraction) = local.split_once(['.', ',']).unwrap_or((local, "0"));
    let leap = i128::from(local.get(17..19) == Some("60"));
    let local: jiff::civil::DateTime = local.parse().ok()?;
    let offset = if offset.is_empty() { 0 } else { offset_seconds(offset)? };
    let utc = local.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_nanosecond();
    let fraction: i128 = format!("{fraction:0<9}")[..9].parse().ok()?;
    i64::try_from(utc + (leap - i128::from(offset)) * 1_000_000_000 + fraction).ok()
}

fn offset_seconds(offset: &str) -> Option<i64> {
    if offset.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let digits: String = offset[1..].chars().filter(char::is_ascii_digit).collect();
    let hours: i64 = digits[..2].parse().ok()?;
    let minutes: i64 = digits.get(2..).filter(|rest| !rest.is_empty()).map_or(Ok(0), str::parse).ok()?;
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// By moving the decimal point in the text.
fn epoch(text: &str) -> Option<i64> {
    if !matches(r"^\d{1,19}(\.\d+)?([eE][+-]?(0?\d|1[0-8]))?$", text) {
        return None;
    }
    let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
    let point = integer.len() as i64 + exponent.parse::<i64>().ok()?;
    // A fraction's digits beyond 18 do not count.
    let digits = format!("{integer}{}", &fraction[..fraction.len().min(18)]);
    let upto = |place: i64| -> Option<i128> {
        let wanted = usize::try_from(place).unwrap_or(0);
        format!("0{digits:0<wanted$}")[..=wanted].parse().ok()
    };
    let whole = upto(point)?;
    let unit = if whole < 100_000_000_000 {
        9
    } else if whole < 100_000_000_000_000 {
        6
    } else if whole < 100_000_000_000_000_000 {
        3
    } else {
        0
    };
    upto(point + unit).and_then(|nanos| i64::try_from(nanos).ok())
}

fn matches(shape: &str, text: &str) -> bool {
    regex::Regex::new(shape).expect("a regular expression").is_match(text)
}
