//! Which keys of a record the routes look at, and the slot that each of their values goes to.
//!
//! Routes name fields as they stand in the document (`docs/document-model.md`). This table turns such a name into the keys to
//! watch for in each place that it can come from: dotted as written, or nested at any of its dots.

use crate::Signal;
use crate::document::is_taken;
use crate::record::Value;
use crate::wire::LevelName;
use std::collections::HashMap;

/// Keys to watch for in one place.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    /// A bit for each length that some key has (63 for all longer ones).
    lengths: u64,
    keys: Vec<Watched>,
}

/// A key that belongs to a slot.
#[derive(Debug)]
pub(super) struct Watched {
    pub key: Box<str>,
    pub slot: usize,
    /// The rest of the path, inside of the key's value; empty: the value itself.
    pub rest: Vec<Box<str>>,
    /// Of two keys that fill the same slot the higher rank wins, of equals the later one.
    pub rank: u32,
    pub takes: Takes,
}

/// Which values of a key count for its slot.
#[derive(Clone, Copy, Debug)]
pub(super) enum Takes {
    Any,
    /// What is neither null nor empty.
    Something,
    /// Text that is not empty.
    Text,
    /// One of Python's level numbers, for its name.
    LevelNumber,
}

impl Takes {
    /// What the slot gets of `value`; `None` where the key counts as absent.
    pub(super) fn of(self, value: Value<'_>) -> Option<Value<'_>> {
        let is_empty = matches!(value, Value::Str(text) if text.is_empty());
        match (self, value) {
            (Self::Any, value) => Some(value),
            (Self::Something, value) => (!is_empty && !matches!(value, Value::Null)).then_some(value),
            (Self::Text, Value::Str(_) | Value::Escaped(_)) => (!is_empty).then_some(value),
            (Self::LevelNumber, Value::Int(number)) => name_of(number),
            (Self::LevelNumber, Value::Number(digits)) => level_name(digits),
            (Self::LevelNumber, Value::Str(text)) => level_name(text.as_str()),
            (Self::Text | Self::LevelNumber, _) => None,
        }
    }
}

fn name_of<'b>(number: i64) -> Option<Value<'b>> {
    LevelName::of_number(number).map(|name| Value::Str(name.as_str().into()))
}

fn level_name<'b>(digits: &str) -> Option<Value<'b>> {
    name_of(digits.parse().ok()?)
}

impl KeySet {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// A quick no: false when no key can be this one.
    #[inline]
    pub(super) fn may_hold(&self, len: usize) -> bool {
        self.lengths >> len.min(63) & 1 == 1
    }

    /// The watched keys that are `key`.
    pub(super) fn matches(&self, key: &[u8]) -> impl Iterator<Item = &Watched> {
        self.keys.iter().filter(move |watched| watched.key.as_bytes() == key)
    }

    /// Watches for `path` under every way to split it: `a.b.c` as `a.b.c`, `a.b` holding `c`, `a` holding `b.c`.
    fn watch(&mut self, path: &str, slot: usize, base_rank: u32) {
        self.add(path, slot, "", base_rank + path.len() as u32);
        for (dot, _) in path.match_indices('.') {
            self.add(&path[..dot], slot, &path[dot + 1..], base_rank + dot as u32);
        }
    }

    fn add(&mut self, key: &str, slot: usize, rest: &str, rank: u32) {
        self.add_if(key, slot, rest, rank, Takes::Any);
    }

    fn add_if(&mut self, key: &str, slot: usize, rest: &str, rank: u32, takes: Takes) {
        let rest = if rest.is_empty() { Vec::new() } else { vec![rest.into()] };
        self.lengths |= 1 << key.len().min(63);
        self.keys.push(Watched { key: key.into(), slot, rest, rank, takes });
    }
}

/// A field of OTLP that is not an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fixed {
    Level,
    SeverityNumber,
    Message,
    Body,
    TraceId,
    SpanId,
    TraceFlags,
    EventName,
    DroppedAttributes,
    /// The scope's name in a log record, which has it from the logger.
    Logger,
    ScopeName,
    ScopeVersion,
    ScopeSchemaUrl,
    ScopeDroppedAttributes,
    ResourceSchemaUrl,
    ResourceDroppedAttributes,
}

/// The table of all fields that the routes name.
#[derive(Debug, Default)]
pub(super) struct FieldTable {
    slots: HashMap<String, usize>,
    promote: Vec<String>,
    /// Where the fields are found in each signal's records, by its number.
    of: [Places; Signal::ALL.len()],
}

/// Where the fields are found in the records of one signal.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub json: KeySet,
    pub record: KeySet,
    pub resource: KeySet,
    pub scope: KeySet,
    /// Fixed fields of spans and data points, by their names in the document.
    pub head: KeySet,
    /// Slots of fixed fields; of `body` also the rest of a path inside it.
    pub fixed: Vec<(Fixed, usize, Vec<Box<str>>)>,
}

/// A record's own value outranks one that its resource lends it.
const OWN: u32 = 1 << 16;
const PROMOTED: u32 = 1;
/// The sources of a JSON document's `level`, the first wins: a key, the path inside its value, and the values that count. An empty
/// `level` stays in the document where nothing takes its place.
const JSON_LEVELS: [(&str, &str, Takes); 7] = [
    ("level", "", Takes::Something),
    ("levelname", "", Takes::Text),
    ("log.level", "", Takes::Text),
    ("log", "level", Takes::Text),
    ("loglevel", "", Takes::Text),
    ("levelno", "", Takes::LevelNumber),
    ("level", "", Takes::Any),
];

impl FieldTable {
    pub(super) fn new(promote: &[String]) -> Self {
        Self { promote: promote.to_vec(), ..Self::default() }
    }

    /// Where the fields are found in records of this signal.
    pub(super) fn of(&self, signal: Signal) -> &Places {
        &self.of[signal as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The slot of the field with this name in the document.
    pub(super) fn slot(&mut self, field: &str) -> Result<usize, String> {
        if field.is_empty() {
            return Err("a field needs a name".to_owned());
        }
        if matches!(field, "@timestamp" | "observed_timestamp" | "start_timestamp" | "end_timestamp") {
            return Err("records cannot be routed by their time".to_owned());
        }
        if let Some(slot) = self.slots.get(field) {
            return Ok(*slot);
        }
        let slot = self.slots.len();
        self.slots.insert(field.to_owned(), slot);
        for signal in Signal::ALL {
            let places = &mut self.of[signal as usize];
            places.watch_json(field, slot);
            places.watch_otlp(signal, field, slot, &self.promote);
        }
        Ok(slot)
    }
}

impl Places {
    fn watch_json(&mut self, field: &str, slot: usize) {
        if field == "level" {
            for (i, (key, rest, takes)) in JSON_LEVELS.into_iter().enumerate() {
                self.json.add_if(key, slot, rest, OWN - i as u32, takes);
            }
        } else {
            self.json.watch(field, slot, OWN);
        }
    }

    fn watch_otlp(&mut self, signal: Signal, field: &str, slot: usize, promote: &[String]) {
        let is_log = signal == Signal::Logs;
        if let Some(fixed) = shared(field).or_else(|| fixed(field).filter(|_| is_log)) {
            self.fixed.push((fixed, slot, Vec::new()));
        } else if let Some(rest) = field.strip_prefix("body.").filter(|_| is_log) {
            self.fixed.push((Fixed::Body, slot, vec![rest.into()]));
        } else if let Some(rest) = field.strip_prefix("resource.") {
            self.resource.watch(rest.strip_prefix("attributes.").unwrap_or(rest), slot, OWN);
        } else if let Some(rest) = field.strip_prefix("scope.") {
            self.scope.watch(rest.strip_prefix("attributes.").unwrap_or(rest), slot, OWN);
        } else if let Some(rest) =
            field.strip_prefix("attributes.").filter(|rest| is_taken(signal, rest.as_bytes()))
        {
            self.record.watch(rest, slot, OWN);
        } else if !is_log && is_taken(signal, field.as_bytes()) {
            self.head.watch(field, slot, OWN);
        } else {
            self.record.watch(field, slot, OWN);
            self.promoted(signal, field, slot, promote);
        }
    }

    /// The field may also be lent by the resource, whole or inside of a promoted map.
    fn promoted(&mut self, signal: Signal, field: &str, slot: usize, promote: &[String]) {
        let whole = std::iter::once((field, ""));
        let splits = field.match_indices('.').map(|(dot, _)| (&field[..dot], &field[dot + 1..]));
        for (key, rest) in whole.chain(splits) {
            if promote.iter().any(|name| name == key) && !is_taken(signal, key.as_bytes()) {
                self.resource.add(key, slot, rest, PROMOTED + key.len() as u32);
            }
        }
    }
}

/// A fixed field of a log record.
fn fixed(field: &str) -> Option<Fixed> {
    Some(match field {
        "level" => Fixed::Level,
        "severity_number" => Fixed::SeverityNumber,
        "message" => Fixed::Message,
        "body" => Fixed::Body,
        "name" => Fixed::Logger,
        "trace_id" => Fixed::TraceId,
        "span_id" => Fixed::SpanId,
        "trace_flags" => Fixed::TraceFlags,
        "event_name" => Fixed::EventName,
        "dropped_attributes_count" => Fixed::DroppedAttributes,
        _ => return None,
    })
}

/// A fixed field of resource or scope, which all records of OTLP have.
fn shared(field: &str) -> Option<Fixed> {
    Some(match field {
        "scope.name" => Fixed::ScopeName,
        "scope.version" => Fixed::ScopeVersion,
        "scope.schema_url" => Fixed::ScopeSchemaUrl,
        "scope.dropped_attributes_count" => Fixed::ScopeDroppedAttributes,
        "resource.schema_url" => Fixed::ResourceSchemaUrl,
        "resource.dropped_attributes_count" => Fixed::ResourceDroppedAttributes,
        _ => return None,
    })
}
