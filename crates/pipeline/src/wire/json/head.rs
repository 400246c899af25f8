//! What Forebay reads of a record: its time, its level and its id; and what it therefore changes when it writes it.

use super::escape::unescape;
use super::literal::{Kind, Literal};
use super::time_text::{Moment, Zone, parse_number, parse_text};
use super::walk::member_of;
use crate::wire::{Edit, EditText, LevelName, Malformed};

/// Fields that may hold the time, the first that is understood counts.
const TIMES: usize = 5;
/// Fields that may hold the level, the first that is a level counts.
const LEVELS: usize = 5;
const LOG_LEVEL: usize = 2;
const LEVEL_NUMBER: usize = 4;
/// The longest id that Elasticsearch takes, in bytes.
const MAX_ID_BYTES: u32 = 512;

/// A top-level field that matters, with its rank among those of its sort.
enum Field {
    Time(usize),
    Level(usize),
    /// `log`, in which a `level` may be nested.
    Log,
    /// Where an `@timestamp` that is no time would be moved to.
    Moved,
    /// The field that the index of an action is kept in.
    Index,
    /// `@metadata`, in which Beats tell their receiver what is not for the document.
    Metadata,
}

#[inline]
fn field_of(key: &[u8]) -> Option<Field> {
    // By length first: a key of another length costs one comparison.
    let field = match key.len() {
        2 if key == b"ts" => Field::Time(3),
        3 if key == b"log" => Field::Log,
        4 if key == b"time" => Field::Time(2),
        5 if key == b"level" => Field::Level(0),
        7 if key == b"asctime" => Field::Time(4),
        7 if key == b"levelno" => Field::Level(LEVEL_NUMBER),
        8 if key == b"loglevel" => Field::Level(3),
        9 if key == b"timestamp" => Field::Time(1),
        9 if key == b"levelname" => Field::Level(1),
        9 if key == b"log.level" => Field::Level(LOG_LEVEL),
        9 if key == b"@metadata" => Field::Metadata,
        10 if key == b"@timestamp" => Field::Time(0),
        16 if key == b"@metadata._index" => Field::Index,
        21 if key == b"attributes.@timestamp" => Field::Moved,
        _ => return None,
    };
    Some(field)
}

/// The fields of one record that matter, as they were found. Places are those of the scanned text.
#[derive(Debug, Default)]
pub(super) struct Head {
    times: [Option<Literal>; TIMES],
    levels: [Option<Literal>; LEVELS],
    log: Option<Literal>,
    moved: Option<Literal>,
    id: Option<Literal>,
    /// Of an event of Beats.
    metadata: Option<Literal>,
    is_beats: bool,
    may_have_place: bool,
    /// There is a field of the name that an action's index is kept in.
    pub has_index: bool,
    /// There is a member that stays.
    has_members: bool,
}

/// A record's time and the edits that give it a readable one, and a level.
#[derive(Debug)]
pub(super) struct Resolved {
    /// The record's own time, if one was understood.
    pub time: Option<i64>,
    /// In order of their place.
    pub edits: [Option<Edit>; 3],
}

impl Head {
    /// Of a record of which nothing is known yet. `is_beats`: it is an event of Beats with its `@metadata`; `may_have_place`: or one without.
    pub fn new(is_beats: bool, may_have_place: bool) -> Self {
        Self { is_beats, may_have_place, ..Self::default() }
    }

    /// Notes a top-level member if it matters.
    #[inline]
    pub fn note(&mut self, key: &[u8], value: Literal, id_field: Option<&str>) {
        if id_field.is_some_and(|id| id.as_bytes() == key) {
            self.id = Some(value);
        }
        let field = field_of(key);
        if self.is_beats && matches!(field, Some(Field::Metadata)) {
            self.metadata = Some(value);
            return;
        }
        self.has_members = true;
        match field {
            Some(Field::Time(rank)) => self.times[rank] = Some(value),
            Some(Field::Level(rank)) => self.levels[rank] = Some(value),
            Some(Field::Moved) => self.moved = Some(value),
            Some(Field::Index) => self.has_index = true,
            Some(Field::Log) if value.kind == Kind::Map => self.log = Some(value),
            _ => {}
        }
    }

    /// Offset and length of the inside of the string that is the document's id; length 0 if there is none.
    pub fn id(&self, text: &str, base: u32) -> (u32, u32) {
        let of_metadata = || member_of(text, self.metadata_map()?, "_id");
        match self.id.or_else(of_metadata) {
            Some(Literal { kind: Kind::Str | Kind::Escaped, start, end })
                if end - start - 2 <= MAX_ID_BYTES =>
            {
                (base + start + 1, end - start - 2)
            }
            _ => (0, 0),
        }
    }

    fn metadata_map(&self) -> Option<Literal> {
        self.metadata.filter(|metadata| metadata.kind == Kind::Map)
    }

    /// Whether an event of Beats says at which offset of its file it was read.
    pub fn has_place(&self, text: &str) -> bool {
        let offset = || member_of(text, self.log?, "offset");
        self.may_have_place && offset().is_some_and(|offset| offset.kind == Kind::Number)
    }

    /// Decides time and level of the record whose bracket opens at `open`. `base` is the scanned text's own place in the body.
    ///
    /// # Errors
    /// `@timestamp` would have to move to a field that is there already.
    pub fn resolve(&self, text: &str, open: u32, base: u32, zone: &Zone<'_>) -> Result<Resolved, Malformed> {
        let first_member = base + open + 1;
        let (time, stamp) = self.time(text, first_member, base, zone);
        if let (Some(Edit { with: EditText::MoveTimestamp, .. }), Some(taken)) = (stamp, self.moved) {
            return Err(Malformed::TimestampTaken { offset: (base + taken.start) as usize });
        }
        let level = self.level(text, first_member, base);
        Ok(Resolved { time, edits: self.in_order(stamp, level, text, base) })
    }

    /// Decides the time of a record that is to stay as it is, but for an `@timestamp` where there is none: data streams need one.
    pub fn keep(&self, text: &str, open: u32, base: u32, zone: &Zone<'_>) -> Resolved {
        let (time, stamp) = self.time(text, base + open + 1, base, zone);
        let stamp = stamp.filter(|_| self.times[0].is_none());
        Resolved { time, edits: self.in_order(stamp, None, text, base) }
    }

    /// The edits in order of their place. Where a member is taken out at the place where others are put in, it goes last.
    fn in_order(&self, stamp: Option<Edit>, level: Option<Edit>, text: &str, base: u32) -> [Option<Edit>; 3] {
        let mut edits = [stamp, level, None];
        if let (Some(stamp), Some(level)) = (stamp, level)
            && level.at < stamp.at
        {
            edits.swap(0, 1);
        }
        if let Some(metadata) = self.metadata {
            edits[2] = Some(taken_out(text, metadata, base));
            edits.sort_by_key(|edit| edit.map_or(u32::MAX, |edit| edit.at));
        }
        edits
    }

    fn time(&self, text: &str, first_member: u32, base: u32, zone: &Zone<'_>) -> (Option<i64>, Option<Edit>) {
        let mut found = None;
        let mut understood_own = false;
        for (rank, literal) in self.times.iter().enumerate() {
            found = literal.and_then(|literal| moment(literal, text, zone));
            if found.is_some() {
                understood_own = rank == 0;
                break;
            }
        }
        let time = found.map(|moment| moment.nanos);
        let edit = match self.times[0] {
            Some(_) if understood_own && found.is_some_and(|moment| moment.canonical) => None,
            // A value that says something, but no time, must not be lost.
            Some(own) if !understood_own && says_something(own) => {
                Some(Edit { at: base + own.start, remove: 0, with: EditText::MoveTimestamp })
            }
            Some(own) => Some(replace(own, base, EditText::ReplaceTimestamp)),
            None if self.has_members => Some(insert(first_member, EditText::InsertTimestamp)),
            None => Some(insert(first_member, EditText::OnlyTimestamp)),
        };
        (time, edit)
    }

    fn level(&self, text: &str, first_member: u32, base: u32) -> Option<Edit> {
        if self.levels[0].is_some_and(says_something) {
            return None;
        }
        match (self.other_level(text)?, self.levels[0]) {
            (Level::Literal(literal), own) => {
                let (at, len) = (base + literal.start, literal.end - literal.start);
                Some(match own {
                    Some(own) => replace(own, base, EditText::ReplaceLevel(at, len)),
                    None => insert(first_member, EditText::InsertLevel(at, len)),
                })
            }
            (Level::Name(name), Some(own)) => Some(replace(own, base, EditText::ReplaceLevelName(name))),
            (Level::Name(name), None) => Some(insert(first_member, EditText::InsertLevelName(name))),
        }
    }

    /// The level from a field other than `level`: a string that is not empty, or Python's number.
    fn other_level(&self, text: &str) -> Option<Level> {
        for rank in 1..LEVELS {
            let mut literal = self.levels[rank].filter(|literal| is_text(*literal));
            if rank == LEVEL_NUMBER {
                return LevelName::of_number(self.levels[rank]?.inside(text)).map(Level::Name);
            }
            if rank == LOG_LEVEL && literal.is_none() {
                literal =
                    self.log.and_then(|log| member_of(text, log, "level")).filter(|nested| is_text(*nested));
            }
            if let Some(literal) = literal {
                return Some(Level::Literal(literal));
            }
        }
        None
    }
}

/// Where a level comes from.
enum Level {
    Literal(Literal),
    Name(LevelName),
}

/// Present, not null and not empty.
fn says_something(literal: Literal) -> bool {
    literal.kind != Kind::Null && !literal.is_empty_string()
}

fn is_text(literal: Literal) -> bool {
    matches!(literal.kind, Kind::Str | Kind::Escaped) && !literal.is_empty_string()
}

fn moment(literal: Literal, text: &str, zone: &Zone<'_>) -> Option<Moment> {
    match literal.kind {
        Kind::Number => parse_number(literal.text(text)),
        Kind::Str => parse_text(literal.inside(text), zone),
        Kind::Escaped => parse_text(&unescape(literal.inside(text)), zone),
        _ => None,
    }
}

/// Takes the member whose value is `value` out of its object, with the comma that parts it from the next one, or from the one before.
fn taken_out(text: &str, value: Literal, base: u32) -> Edit {
    let is_space = |byte: u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let bytes = text.as_bytes();
    let last_before = |end: usize| bytes[..end].iter().rposition(|byte| !is_space(*byte)).unwrap_or(0);
    let colon = last_before(value.start as usize);
    let closing = last_before(colon);
    // `@metadata` has no quote in it, however it is escaped.
    let key = memchr::memrchr(b'"', &bytes[..closing]).unwrap_or(0);
    let end = value.end as usize;
    let next = bytes[end..].iter().position(|byte| !is_space(*byte)).map_or(end, |spaces| end + spaces);
    let before = last_before(key);
    let (from, to) = match (bytes.get(next), bytes.get(before)) {
        (Some(b','), _) => (key, next + 1),
        (_, Some(b',')) => (before, end),
        _ => (key, end),
    };
    Edit { at: base + from as u32, remove: (to - from) as u32, with: EditText::Nothing }
}

fn insert(at: u32, with: EditText) -> Edit {
    Edit { at, remove: 0, with }
}

fn replace(value: Literal, base: u32, with: EditText) -> Edit {
    Edit { at: base + value.start, remove: value.end - value.start, with }
}
