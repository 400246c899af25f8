//! What `docs/document-model.md` says of events of Fluent Forward, by way of rmpv and serde_json. Shared with the fuzz target, so it uses nothing of this
//! crate.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmpv::Value;
use serde_json::{Map, Value as Json, json};

const MAX_NESTING: usize = 64;

/// A time, and whether Elasticsearch reads it as it stands; `None` for what is no time.
pub type Moment = Option<(i64, bool)>;

/// An event that is taken.
#[derive(Debug)]
pub struct Expected {
    /// Nanoseconds since 1970, if the event says its time.
    pub time: Option<i64>,
    /// The document, but for an `@timestamp` made of the time.
    pub document: Map<String, Json>,
}

/// What becomes of an entry; `None` if it is refused. `own` reads a record's own `@timestamp`.
pub fn expected(entry: &Value, tag: &str, own: &dyn Fn(&Value) -> Moment) -> Option<Expected> {
    let [stamp, Value::Map(record)] = &entry.as_array()?[..] else { return None };
    let (time, metadata) = match stamp {
        Value::Array(both) => match &both[..] {
            [time, Value::Nil] => (time_of(time)?, None),
            [time, metadata @ Value::Map(_)] => (time_of(time)?, Some(metadata)),
            _ => return None,
        },
        time => (time_of(time)?, None),
    };
    if !is_sound(&entry.as_array()?[1], 0) || !metadata.is_none_or(|metadata| is_sound(metadata, 1)) {
        return None;
    }
    let found = |name: &str| record.iter().rfind(|(key, _)| text(key) == Some(name)).map(|(_, value)| value);
    let mut document = object(record);
    let mut time = time;
    if let Some(stamp) = found("@timestamp") {
        match own(stamp) {
            Some((nanos, canonical)) => {
                time = Some(nanos);
                if !canonical {
                    document.remove("@timestamp");
                }
            }
            None => {
                let moved = document.remove("@timestamp")?;
                if says_something(stamp) {
                    put(&mut document, "attributes.@timestamp", moved)?;
                }
            }
        }
    }
    if let Some(level) = level(&found) {
        document.insert("level".to_owned(), level);
    }
    put_or_move(&mut document, "tag", json!(tag))?;
    if let Some(metadata @ Value::Map(pairs)) = metadata
        && !pairs.is_empty()
    {
        put_or_move(&mut document, "metadata", to_json(metadata))?;
    }
    Some(Expected { time, document })
}

/// Under this name, or beside a field that has it.
fn put_or_move(document: &mut Map<String, Json>, name: &str, value: Json) -> Option<()> {
    let name = if document.contains_key(name) { format!("attributes.{name}") } else { name.to_owned() };
    put(document, &name, value)
}

fn put(document: &mut Map<String, Json>, name: &str, value: Json) -> Option<()> {
    document.insert(name.to_owned(), value).is_none().then_some(())
}

/// `Some(None)` if it says no time, `None` if it is none.
fn time_of(stamp: &Value) -> Option<Option<i64>> {
    let scaled = |number: i64| match number {
        1..100_000_000_000 => number.checked_mul(1_000_000_000),
        100_000_000_000..100_000_000_000_000 => number.checked_mul(1_000_000),
        100_000_000_000_000..100_000_000_000_000_000 => number.checked_mul(1_000),
        100_000_000_000_000_000.. => Some(number),
        _ => None,
    };
    match stamp {
        Value::Nil => Some(None),
        Value::Integer(number) => match number.as_i64()? {
            0 => Some(None),
            number => scaled(number).map(Some),
        },
        Value::F32(number) => of_double((*number).into()),
        Value::F64(number) => of_double(*number),
        Value::Ext(0, data) => {
            let (seconds, nanos) = data.split_at_checked(4)?;
            let number = |digits: &[u8]| digits.try_into().ok().map(u32::from_be_bytes).map(i64::from);
            let time = number(seconds)? * 1_000_000_000 + number(nanos)?;
            Some((time != 0).then_some(time))
        }
        _ => None,
    }
}

/// Seconds of a size that seconds have now, and not more than nine digits behind the point.
fn of_double(seconds: f64) -> Option<Option<i64>> {
    if seconds == 0.0 {
        return Some(None);
    }
    if !(1.0..9e9).contains(&seconds) {
        return None;
    }
    let digits = format!("{seconds:?}");
    let (whole, fraction) = digits.split_once('.')?;
    let nanos: i64 = format!("{:0<9.9}", &fraction[..fraction.len().min(9)]).parse().ok()?;
    Some(Some(whole.parse::<i64>().ok()? * 1_000_000_000 + nanos))
}

/// Whether all keys are text, and nothing is nested too deep.
fn is_sound(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(items) => depth < MAX_NESTING && items.iter().all(|item| is_sound(item, depth + 1)),
        Value::Map(pairs) => {
            depth < MAX_NESTING
                && pairs.iter().all(|(key, value)| text(key).is_some() && is_sound(value, depth + 1))
        }
        _ => true,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => text.as_str(),
        Value::Binary(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

fn says_something(value: &Value) -> bool {
    !value.is_nil() && text(value) != Some("")
}

fn level<'v>(found: &dyn Fn(&str) -> Option<&'v Value>) -> Option<Json> {
    let own = found("level");
    if let Some(own) = own.filter(|own| says_something(own)) {
        return Some(to_json(own));
    }
    let full = |name: &str| found(name).and_then(text).filter(|text| !text.is_empty());
    let nested = || {
        let log = found("log")?.as_map()?;
        let (_, level) = log.iter().rfind(|(key, _)| text(key) == Some("level"))?;
        text(level).filter(|text| !text.is_empty())
    };
    let other = full("levelname").or_else(|| full("log.level")).or_else(nested).or_else(|| full("loglevel"));
    let number = || {
        Some(match found("levelno")?.as_i64()? {
            10 => "DEBUG",
            20 => "INFO",
            30 => "WARNING",
            40 => "ERROR",
            50 => "CRITICAL",
            _ => return None,
        })
    };
    other.or_else(number).map(Json::from).or_else(|| own.map(to_json))
}

fn object(pairs: &[(Value, Value)]) -> Map<String, Json> {
    pairs.iter().filter_map(|(key, value)| Some((text(key)?.to_owned(), to_json(value)))).collect()
}

fn to_json(value: &Value) -> Json {
    let base64 = |bytes: &[u8]| Json::from(STANDARD.encode(bytes));
    match value {
        Value::Nil => Json::Null,
        Value::Boolean(value) => Json::from(*value),
        Value::Integer(number) => number.as_i64().map_or_else(|| Json::from(number.as_u64()), Json::from),
        Value::F32(number) => double((*number).into()),
        Value::F64(number) => double(*number),
        Value::String(text) => text.as_str().map_or_else(|| base64(text.as_bytes()), Json::from),
        Value::Binary(bytes) => std::str::from_utf8(bytes).map_or_else(|_| base64(bytes), Json::from),
        Value::Array(items) => items.iter().map(to_json).collect(),
        Value::Map(pairs) => Json::Object(object(pairs)),
        Value::Ext(kind, data) => json!({"type": kind, "data": STANDARD.encode(data)}),
    }
}

/// As it reads back: serde_json is not exact in the last digit.
fn double(number: f64) -> Json {
    if number.is_nan() {
        return json!("NaN");
    }
    if number.is_infinite() {
        return if number > 0.0 { json!("Infinity") } else { json!("-Infinity") };
    }
    serde_json::to_string(&number).and_then(|digits| serde_json::from_str(&digits)).unwrap_or_default()
}
