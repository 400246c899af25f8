//! Framing: divides a body into records, and gives each its entry in the index.
//!
//! What can be delimited is refused by itself: a bad line, or an element of an array (or a lone value) that is no object, has a
//! duplicate key or is too large. What cannot, because nobody can tell where it ends, refuses the body.

use super::escape::unescape;
use super::head::Head;
use super::keys::Keys;
use super::literal::Kind;
use super::scan::{MAX_TEXT_BYTES, Scanner, utf8};
use super::string::{Fault, What};
use super::time_text::Zone;
use super::{Format, JsonOptions};
use crate::route::Matcher;
use crate::wire::{CheckContext, ClientId, Entry, Index, Malformed};

/// Checks a whole body and fills `index`, which must be empty. Routing is decided on the way, by `matcher`.
///
/// A body that is empty, or white space, has no records. Positions of rejected records count lines or elements from 1. In a body of
/// lines each bad line is rejected by itself, even if no line is good.
///
/// # Errors
/// The body is no JSON as a whole: a broken array, a broken value on a line of its own, or more records than the limit.
pub fn check<'b>(
    body: &'b [u8],
    context: &CheckContext<'_>,
    options: &JsonOptions,
    matcher: &mut Matcher<'_, 'b>,
    index: &mut Index,
) -> Result<(), Malformed> {
    let mut checker = Checker::new(body, context, options, matcher, index)?;
    match options.format {
        Format::Auto => checker.auto(),
        Format::Lines => checker.lines(0, 1),
        Format::Bulk => checker.bulk(&mut |_| ()),
    }
}

/// One pass over one body.
pub(super) struct Checker<'c, 'p, 'b> {
    pub body: &'b [u8],
    /// The body, if it is UTF-8 throughout; else each line is looked at by itself.
    text: Option<&'b str>,
    pub context: &'c CheckContext<'c>,
    zone: Zone<'c>,
    pub options: &'c JsonOptions,
    pub matcher: &'c mut Matcher<'p, 'b>,
    pub index: &'c mut Index,
    pub keys: Keys,
}

/// A line that is not blank.
#[derive(Clone, Copy)]
pub(super) struct Line<'b> {
    /// Ends with the line; may begin before it.
    pub text: &'b str,
    /// The text's own place in the body.
    pub base: usize,
    /// Where in the text its content begins.
    pub at: usize,
}

/// An object, or another value in an object's place, that was scanned to its end.
pub(super) struct Scanned {
    pub head: Head,
    /// First byte and the one after the last, in the scanned text.
    pub start: usize,
    end: usize,
    kind: Kind,
    line_break: bool,
    duplicate: Option<u32>,
}

impl<'c, 'p, 'b> Checker<'c, 'p, 'b> {
    /// # Errors
    /// The body is too large to have places in it counted.
    pub fn new(
        body: &'b [u8],
        context: &'c CheckContext<'c>,
        options: &'c JsonOptions,
        matcher: &'c mut Matcher<'p, 'b>,
        index: &'c mut Index,
    ) -> Result<Self, Malformed> {
        if body.len() > MAX_TEXT_BYTES {
            return Err(Malformed::RecordTooLarge { bytes: body.len(), limit: MAX_TEXT_BYTES });
        }
        let text = simdutf8::basic::from_utf8(body).ok();
        let zone = Zone::of(&options.timezone);
        Ok(Self { body, text, context, zone, options, matcher, index, keys: Keys::default() })
    }

    /// Tells the three forms apart by the first value.
    fn auto(&mut self) -> Result<(), Malformed> {
        let Some(start) = content(self.body, 0) else {
            return Ok(());
        };
        let Some(text) = self.text else {
            let in_lines = self.body[start] != b'[' && self.has_more_lines(start);
            return if in_lines { self.lines(0, 1) } else { utf8(self.body, 0).map(drop) };
        };
        if self.body[start] == b'[' {
            return self.array(text, start);
        }
        let scanned = match self.scan(text, start) {
            Ok(scanned) => scanned,
            Err(_) if self.has_more_lines(start) => return self.lines(0, 1),
            Err(fault) => return Err(fault.malformed(0)),
        };
        let Some(more) = content(self.body, scanned.end) else {
            return self.take(text, 0, 1, scanned);
        };
        let line_end = memchr::memchr(b'\n', &self.body[scanned.end..more]);
        if let (Some(line_end), false) = (line_end, scanned.line_break) {
            // The first line is done; there is no need to scan it again.
            let line = 1 + memchr::memchr_iter(b'\n', &self.body[..start]).count();
            let next = scanned.end + line_end + 1;
            self.take(text, 0, line, scanned)?;
            return self.lines(next, line + 1);
        }
        self.lines_or(start, more)
    }

    /// Whether anything but white space follows the first line break after `start`.
    fn has_more_lines(&self, start: usize) -> bool {
        memchr::memchr(b'\n', &self.body[start..])
            .is_some_and(|line_end| content(self.body, start + line_end).is_some())
    }

    /// The elements of one array, or lines if more follows it.
    fn array(&mut self, text: &'b str, start: usize) -> Result<(), Malformed> {
        let mut at = start + 1;
        let mut position = 0;
        loop {
            let mut scanner = Scanner::new(text, at, &mut self.keys);
            if !scanner.next_element(position == 0).map_err(|fault| fault.malformed(0))? {
                at = scanner.at;
                break;
            }
            at = scanner.at;
            position += 1;
            let scanned = self.scan(text, at).map_err(|fault| fault.malformed(0))?;
            at = scanned.end;
            self.take(text, 0, position, scanned)?;
        }
        let Some(more) = content(self.body, at) else {
            return Ok(());
        };
        *self.index = Index::default();
        self.lines_or(start, more)
    }

    /// Starts again with lines, if there are several; else the first value must not be followed by what is at `more`.
    fn lines_or(&mut self, start: usize, more: usize) -> Result<(), Malformed> {
        if self.has_more_lines(start) {
            return self.lines(0, 1);
        }
        Err(Fault { at: more, what: What::Trailing }.malformed(0))
    }

    /// One record a line, from the line at `start`, which is number `line`.
    fn lines(&mut self, start: usize, mut line: usize) -> Result<(), Malformed> {
        let mut at = start;
        while at < self.body.len() {
            let end = memchr::memchr(b'\n', &self.body[at..]).map_or(self.body.len(), |len| at + len);
            self.line(at, end, line)?;
            at = end + 1;
            line += 1;
        }
        Ok(())
    }

    fn line(&mut self, start: usize, end: usize, line: usize) -> Result<(), Malformed> {
        let Line { text, base, at } = match self.content_of(start, end) {
            Ok(Some(content)) => content,
            Ok(None) => return Ok(()),
            Err(malformed) => {
                self.index.rejected.push(line, malformed);
                return Ok(());
            }
        };
        match self.scan_alone(text, at) {
            Ok(scanned) => self.take(text, base, line, scanned),
            Err(fault) => {
                self.index.rejected.push(line, fault.malformed(base));
                Ok(())
            }
        }
    }

    /// The line from `start` to `end` as text; `None` if it is blank.
    ///
    /// # Errors
    /// It is no UTF-8.
    pub fn content_of(&self, start: usize, end: usize) -> Result<Option<Line<'b>>, Malformed> {
        let Some(first) = content(&self.body[..end], start) else {
            return Ok(None);
        };
        Ok(Some(match self.text {
            Some(text) => Line { text: &text[..end], base: 0, at: first },
            None => Line { text: utf8(&self.body[start..end], start)?, base: start, at: first - start },
        }))
    }

    /// Scans a value after which nothing but white space may follow.
    pub fn scan_alone(&mut self, text: &'b str, at: usize) -> Result<Scanned, Fault> {
        let scanned = self.scan(text, at)?;
        match content(text.as_bytes(), scanned.end) {
            None => Ok(scanned),
            Some(at) => Err(Fault { at, what: What::Trailing }),
        }
    }

    /// Scans the value at `at`; if it is an object, its members are noted and given to the matcher.
    fn scan(&mut self, text: &'b str, start: usize) -> Result<Scanned, Fault> {
        let mut scanner = Scanner::new(text, start, &mut self.keys);
        let mut head = Head::new(self.options.beats, self.options.may_have_place());
        let id_field = self.options.id_field.as_deref();
        let mut kind = Kind::Map;
        if scanner.peek() == b'{' {
            self.matcher.begin_json();
            let mut object = scanner.open_object(0)?;
            while let Some(key) = scanner.next_key(&mut object)? {
                let value = scanner.value(1)?;
                if key.escaped {
                    head.note(unescape(key.text(text)).as_bytes(), value, id_field);
                } else {
                    head.note(key.bytes(text), value, id_field);
                }
                if key.escaped || self.matcher.wants_json(key.bytes(text)) {
                    self.matcher.json_member(key.key(text), value.value(text));
                }
            }
        } else {
            kind = scanner.value(0)?.kind;
        }
        let Scanner { at: end, line_break, duplicate, .. } = scanner;
        Ok(Scanned { head, start, end, kind, line_break, duplicate })
    }

    /// Adds a record to the index, or rejects it.
    fn take(
        &mut self,
        text: &'b str,
        base: usize,
        position: usize,
        scanned: Scanned,
    ) -> Result<(), Malformed> {
        match self.entry(text, base, position, &scanned) {
            Ok(entry) => {
                let id = self
                    .options
                    .names_ids()
                    .then(|| ClientId { id: scanned.head.id(text, base as u32), ..ClientId::default() });
                self.push(entry, id)?;
            }
            Err(malformed) => self.index.rejected.push(position, malformed),
        }
        Ok(())
    }

    /// Adds a record to the index; `id` is what it says of its own, if records may name theirs.
    ///
    /// # Errors
    /// There are as many as there may be.
    pub fn push(&mut self, entry: Entry, id: Option<ClientId>) -> Result<(), Malformed> {
        let limit = self.context.limits.max_records;
        if self.index.records.len() >= limit {
            return Err(Malformed::TooManyRecords { limit });
        }
        self.index.client_ids.extend(id);
        let hour = self.context.window.hour(entry.time, self.context.arrived);
        self.index.push(entry, self.matcher.decide(), hour);
        Ok(())
    }

    /// A record's entry; its edits are in the index then.
    pub fn entry(
        &mut self,
        text: &str,
        base: usize,
        position: usize,
        scanned: &Scanned,
    ) -> Result<Entry, Malformed> {
        if scanned.kind != Kind::Map {
            return Err(Malformed::NotAnObject { record: position });
        }
        if let Some(offset) = scanned.duplicate {
            return Err(Malformed::DuplicateKey { offset: base + offset as usize });
        }
        let bytes = scanned.end - scanned.start;
        let limit = self.context.limits.max_record_bytes;
        if bytes > limit {
            return Err(Malformed::RecordTooLarge { bytes, limit });
        }
        let (open, base_at) = (scanned.start as u32, base as u32);
        let resolved = if self.options.as_it_stands {
            scanned.head.keep(text, open, base_at, &self.zone)
        } else {
            scanned.head.resolve(text, open, base_at, &self.zone)?
        };
        let aux = self.index.edits.len() as u32;
        self.index.edits.extend(resolved.edits.into_iter().flatten());
        let mut flags = 0;
        if resolved.time.is_some() {
            flags |= Entry::HAS_TIME;
        }
        if scanned.line_break {
            flags |= Entry::MULTILINE;
        }
        if scanned.head.has_place(text) {
            flags |= Entry::HAS_PLACE;
        }
        let time = resolved.time.unwrap_or(self.context.arrived);
        Ok(Entry { time, offset: (base + scanned.start) as u32, len: bytes as u32, aux, flags })
    }
}

/// The place of the first byte from `at` on that is not white space.
fn content(text: &[u8], at: usize) -> Option<usize> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    text[at..].iter().position(|byte| !is_space(byte)).map(|spaces| at + spaces)
}
