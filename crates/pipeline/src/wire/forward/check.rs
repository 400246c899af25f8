//! Checks a body and gives each entry its place in the index.

use super::fields::Fields;
use super::pack::{Cursor, Token, syntax};
use super::walk::{Stamp, event_time_of, metadata_of, value_of};
use crate::record::{Key, Text, Value};
use crate::route::Matcher;
use crate::wire::json::parse_number;
use crate::wire::{CheckContext, Entry, Group, Index, MAX_NESTING, Malformed};

/// The largest body: places in it are 32-bit numbers.
const MAX_BODY_BYTES: usize = u32::MAX as usize;
const NANOS: i64 = 1_000_000_000;
/// Numbers of this size and more are milliseconds, or finer still, as they are in JSON.
const NO_SECONDS: i64 = 100_000_000_000;

/// Checks a whole body (see [`forward`](super)) and fills `index`, which must be empty: one group, which has the tag as its resource and the
/// chunk's name as its scope. Routing is decided on the way, by `matcher`, as for JSON.
///
/// Positions of rejected entries count from 1. Where an entry cannot be delimited, it and what follows it are one that is rejected.
///
/// # Errors
/// Its head is broken, or there are more entries than the limit.
pub fn check<'b>(
    body: &'b [u8],
    context: &CheckContext<'_>,
    matcher: &mut Matcher<'_, 'b>,
    index: &mut Index,
) -> Result<(), Malformed> {
    if body.len() > MAX_BODY_BYTES {
        return Err(Malformed::RecordTooLarge { bytes: body.len(), limit: MAX_BODY_BYTES });
    }
    let (entries, group) = divided(body)?;
    let tag = &body[group.resource.0 as usize..][..group.resource.1 as usize];
    index.groups.push(group);
    let tag = Text::from(simdutf8::basic::from_utf8(tag).map_err(|_| syntax(0, "a tag is UTF-8"))?);
    let mut cursor = Cursor::new(entries, 0);
    let mut checker = Checker { tag, context, matcher };
    let mut position = 0;
    while !cursor.is_at_end() {
        position += 1;
        let start = cursor.at;
        match checker.entry(&mut cursor) {
            Ok(entry) => checker.push(entry, index)?,
            Err(fault) => {
                index.rejected.push(position, fault);
                cursor.at = start;
                if cursor.skip().is_err() {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// The entries of a body, and where its tag and the chunk's name are.
fn divided(body: &[u8]) -> Result<(&[u8], Group), Malformed> {
    let no_trailer = || syntax(0, "a body ends with its tag and its chunk");
    let (rest, len) = body.split_last_chunk().ok_or_else(no_trailer)?;
    let start = rest.len().checked_sub(u32::from_be_bytes(*len) as usize).ok_or_else(no_trailer)?;
    let mut cursor = Cursor::new(rest, start);
    let Token::Str(tag) = cursor.token()? else { return Err(no_trailer()) };
    let resource = place(tag, cursor.at);
    let scope = match cursor.token()? {
        Token::Nil => (0, 0),
        Token::Str(chunk) | Token::Bin(chunk) => place(chunk, cursor.at),
        _ => return Err(no_trailer()),
    };
    if !cursor.is_at_end() {
        return Err(no_trailer());
    }
    Ok((&rest[..start], Group { resource, scope, ..Group::default() }))
}

/// Offset and length of what ends at `end`.
fn place(content: &[u8], end: usize) -> (u32, u32) {
    ((end - content.len()) as u32, content.len() as u32)
}

struct Checker<'c, 'p, 'b> {
    tag: Text<'b>,
    context: &'c CheckContext<'c>,
    matcher: &'c mut Matcher<'p, 'b>,
}

impl<'b> Checker<'_, '_, 'b> {
    /// One entry; its fields are with the matcher then.
    fn entry(&mut self, cursor: &mut Cursor<'b>) -> Result<Entry, Malformed> {
        let start = cursor.at;
        let Token::Array(2) = cursor.token()? else {
            return Err(syntax(start, "an entry is an array of time and record"));
        };
        let (time, stamp) = self.time(cursor)?;
        let fields = self.record(cursor)?;
        let (bytes, limit) = (cursor.at - start, self.context.limits.max_record_bytes);
        if bytes > limit {
            return Err(Malformed::RecordTooLarge { bytes, limit });
        }
        if fields.clashes(&stamp) {
            return Err(Malformed::DuplicateKey { offset: start });
        }
        self.beside(&fields, &stamp);
        let time = fields.own_time().map(|moment| moment.nanos).or(time);
        Ok(Entry {
            time: time.unwrap_or(self.context.arrived),
            offset: start as u32,
            len: bytes as u32,
            aux: 0,
            flags: if time.is_some() { Entry::HAS_TIME } else { 0 },
        })
    }

    /// The time of an entry, `None` if it says none, and what else stands there.
    fn time(&mut self, cursor: &mut Cursor<'b>) -> Result<(Option<i64>, Stamp<'b>), Malformed> {
        let at = cursor.at;
        let no_time = |_| syntax(at, "an entry's time is a number or an EventTime");
        match cursor.token()? {
            Token::Array(2) => {}
            scalar => return Ok((time_of(scalar).map_err(no_time)?, Stamp::default())),
        }
        let time = time_of(cursor.token()?).map_err(no_time)?;
        let at = cursor.at;
        value(cursor, 1)?;
        let literal = cursor.since(at);
        match Cursor::new(literal, 0).token()? {
            Token::Map(_) | Token::Nil => Ok((time, Stamp { metadata: metadata_of(literal) })),
            _ => Err(syntax(at, "metadata is a map")),
        }
    }

    fn record(&mut self, cursor: &mut Cursor<'b>) -> Result<Fields<'b>, Malformed> {
        let at = cursor.at;
        let Token::Map(pairs) = cursor.token()? else { return Err(syntax(at, "a record is a map")) };
        self.matcher.begin_json();
        let mut fields = Fields::default();
        for _ in 0..pairs {
            let key = key(cursor)?;
            let at = cursor.at;
            value(cursor, 1)?;
            let literal = cursor.since(at);
            fields.note(key.as_bytes(), || value_of(literal));
            if self.matcher.wants_json(key.as_bytes()) {
                self.matcher.json_member(Key::Plain(key), value_of(literal));
            }
        }
        Ok(fields)
    }

    /// Shows the matcher what a document has beside the fields of its record.
    fn beside(&mut self, fields: &Fields<'b>, stamp: &Stamp<'b>) {
        let tag = if fields.has_tag { "attributes.tag" } else { "tag" };
        self.matcher.json_member(Key::Plain(tag.into()), Value::Str(self.tag));
        if let Some(metadata) = stamp.metadata {
            let name = if fields.has_metadata { "attributes.metadata" } else { "metadata" };
            self.matcher.json_member(Key::Plain(name.into()), Value::Map(metadata));
        }
    }

    /// Adds an entry to the index.
    ///
    /// # Errors
    /// There are as many as there may be.
    fn push(&mut self, entry: Entry, index: &mut Index) -> Result<(), Malformed> {
        let limit = self.context.limits.max_records;
        if index.records.len() >= limit {
            return Err(Malformed::TooManyRecords { limit });
        }
        let hour = self.context.window.hour(entry.time, self.context.arrived);
        index.push(entry, self.matcher.decide(), hour);
        Ok(())
    }
}

/// Nanoseconds since 1970; `None` for nil and zero, by which clients say that they know none.
///
/// # Errors
/// It is no time, or none between 1970 and 2262.
fn time_of(token: Token<'_>) -> Result<Option<i64>, ()> {
    match token {
        Token::Nil | Token::Int(0) => Ok(None),
        Token::Ext(kind, data) => match event_time_of(kind, data) {
            Some(0) => Ok(None),
            time => time.map(Some).ok_or(()),
        },
        Token::Int(seconds @ 1..NO_SECONDS) => seconds.checked_mul(NANOS).map(Some).ok_or(()),
        Token::Int(number) => parsed(itoa::Buffer::new().format(number)),
        Token::Double(0.0) => Ok(None),
        // By its shortest digits: those of the binary number itself would be wrong from the seventh place on.
        Token::Double(number) if number.is_finite() => parsed(zmij::Buffer::new().format_finite(number)),
        _ => Err(()),
    }
}

fn parsed(digits: &str) -> Result<Option<i64>, ()> {
    parse_number(digits).map(|moment| Some(moment.nanos)).ok_or(())
}

/// Passes over a key.
fn key<'b>(cursor: &mut Cursor<'b>) -> Result<Text<'b>, Malformed> {
    let at = cursor.at;
    let (Token::Str(key) | Token::Bin(key)) = cursor.token()? else {
        return Err(syntax(at, "a key is a string"));
    };
    match simdutf8::basic::from_utf8(key) {
        Ok(_) => Ok(Text::checked(key)),
        Err(_) => Err(Malformed::Utf8 { offset: at }),
    }
}

/// Passes over one value; `depth` counts the maps and arrays around it.
fn value(cursor: &mut Cursor<'_>, depth: usize) -> Result<(), Malformed> {
    let at = cursor.at;
    let (count, is_map) = match cursor.token()? {
        Token::Array(count) => (count, false),
        Token::Map(count) => (count, true),
        _ => return Ok(()),
    };
    if depth >= MAX_NESTING {
        return Err(Malformed::TooDeep { offset: at });
    }
    for _ in 0..count {
        if is_map {
            key(cursor)?;
        }
        value(cursor, depth + 1)?;
    }
    Ok(())
}
