//! The fields of a record that decide what its document has beside them: its time, its level, and names that would meet.

use super::walk::{Stamp, event_time};
use crate::record::{Key, Nested, NestedVisitor, Text, Value};
use crate::wire::LevelName;
use crate::wire::json::{Moment, Zone, parse_number, parse_text};

/// Fields that may hold the level, the first that is one counts.
const LEVELS: usize = 5;
const LOG_LEVEL: usize = 2;
const LEVEL_NUMBER: usize = 4;
/// Times that name no zone are UTC.
const UTC: Zone<'static> = Zone::Fixed(0);

/// Where a field goes whose name is taken.
const MOVED: [&[u8]; 3] = [b"attributes.@timestamp", b"attributes.tag", b"attributes.metadata"];

/// What is known of one record's fields. Of equal keys the last one counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fields<'b> {
    /// `@timestamp`.
    pub stamp: Option<Value<'b>>,
    levels: [Option<Value<'b>>; LEVELS],
    log: Option<Nested<'b>>,
    pub has_tag: bool,
    pub has_metadata: bool,
    moved: [bool; MOVED.len()],
}

/// A document's `level`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Level<'b> {
    Value(Value<'b>),
    /// From Python's number.
    Name(LevelName),
}

impl<'b> Fields<'b> {
    /// Notes a field if it matters. True: it is not written where it stands, because what the document says in its place is known at the end only.
    #[inline]
    pub fn note(&mut self, key: &[u8], value: impl FnOnce() -> Value<'b>) -> bool {
        // By length first: a key of another length costs one comparison.
        match key.len() {
            3 if key == b"tag" => self.has_tag = true,
            3 if key == b"log" => {
                self.log = match value() {
                    Value::Map(map) => Some(map),
                    _ => None,
                }
            }
            5 if key == b"level" => {
                self.levels[0] = Some(value());
                return true;
            }
            7 if key == b"levelno" => self.levels[LEVEL_NUMBER] = Some(value()),
            8 if key == b"loglevel" => self.levels[3] = Some(value()),
            8 if key == b"metadata" => self.has_metadata = true,
            9 if key == b"levelname" => self.levels[1] = Some(value()),
            9 if key == b"log.level" => self.levels[LOG_LEVEL] = Some(value()),
            10 if key == b"@timestamp" => {
                self.stamp = Some(value());
                return true;
            }
            _ if key.starts_with(b"attributes.") => {
                for (moved, name) in self.moved.iter_mut().zip(MOVED) {
                    *moved |= key == name;
                }
            }
            _ => {}
        }
        false
    }

    /// The time that `@timestamp` says, if it says one.
    pub fn own_time(&self) -> Option<Moment> {
        let later = |nanos| Moment { nanos, canonical: false };
        match self.stamp? {
            Value::Str(text) => parse_text(text.as_str(), &UTC),
            Value::Int(number) => parse_number(itoa::Buffer::new().format(number)),
            Value::Double(number) => parse_number(zmij::Buffer::new().format(number)),
            Value::Map(map) => event_time(map.bytes).map(later),
            _ => None,
        }
    }

    /// What `@timestamp` holds, if that is something and no time: it must not be lost.
    pub fn moved_stamp(&self) -> Option<Value<'b>> {
        self.stamp.filter(|stamp| says_something(*stamp) && self.own_time().is_none())
    }

    /// Whether something would have to move to where another field is.
    pub fn clashes(&self, stamp: &Stamp<'b>) -> bool {
        let [at_timestamp, tag, metadata] = self.moved;
        at_timestamp && self.moved_stamp().is_some()
            || tag && self.has_tag
            || metadata && self.has_metadata && stamp.metadata.is_some()
    }

    /// What the document says as its `level`, if anything.
    pub fn level(&self) -> Option<Level<'b>> {
        let own = self.levels[0];
        if let Some(own) = own.filter(|own| says_something(*own)) {
            return Some(Level::Value(own));
        }
        self.other_level().or(own.map(Level::Value))
    }

    /// The level from a field other than `level`: a string that is not empty, or Python's number.
    fn other_level(&self) -> Option<Level<'b>> {
        let text = |value: &Value<'b>| matches!(value, Value::Str(text) if !text.is_empty());
        let nested = || self.log.and_then(level_of).filter(text);
        let found = self.levels[1]
            .filter(text)
            .or_else(|| self.levels[LOG_LEVEL].filter(text))
            .or_else(nested)
            .or_else(|| self.levels[3].filter(text));
        match (found, self.levels[LEVEL_NUMBER]) {
            (Some(text), _) => Some(Level::Value(text)),
            (None, Some(Value::Int(number))) => LevelName::of_number(number).map(Level::Name),
            _ => None,
        }
    }
}

/// Present, not null and not empty.
fn says_something(value: Value<'_>) -> bool {
    match value {
        Value::Null => false,
        Value::Str(text) => !text.is_empty(),
        _ => true,
    }
}

/// The member `level` of a map.
fn level_of(map: Nested<'_>) -> Option<Value<'_>> {
    struct Search<'b>(Option<Value<'b>>);
    impl<'b> NestedVisitor<'b> for Search<'b> {
        fn member(&mut self, key: Option<Key<'b>>, value: Value<'b>) {
            if key == Some(Key::Plain(Text::from("level"))) {
                self.0 = Some(value);
            }
        }
    }
    let mut search = Search(None);
    map.walk(true, &mut search);
    search.0
}
