//! The one pass over a request of OTLP: everything is checked, records are indexed, routing fields are read.
//!
//! The depth that is handed down is that of a message below the request, because prost counts it so.

mod values;

use super::cursor::{Bad, Cursor};
use super::fields::{log_record, request, resource, resource_logs, scope, scope_logs};
use super::metric::Points;
use super::scalar::{plain_scalar, plain_text};
use super::span::Spans;
use crate::Signal;
use crate::chunk::{CHUNK, chunk_at, first, non_ascii};
use crate::record::{LogHead, Text, Value};
use crate::route::Matcher;
use crate::wire::{CheckContext, Entry, Group, Index, Malformed};
use values::check_entity_ref;

/// How a valid request is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As every serialiser writes it; the index is good.
    Canonical,
    /// Valid, but with a message split over several fields, or a resource or scope after its records. The index is of no use:
    /// put the request in order with [`normalize`](super::normalize) and check that.
    Scattered,
}

/// Checks `body`, a request of the matcher's signal, fills `index`, and reads each record's routing fields through `matcher`.
pub fn check<'b>(
    body: &'b [u8],
    context: &CheckContext<'_>,
    matcher: &mut Matcher<'_, 'b>,
    index: &mut Index,
) -> Result<Layout, Malformed> {
    let mut check = Check { body, context, matcher, index, scattered: false };
    let message = Cursor::new(body);
    let checked = match check.matcher.signal() {
        Signal::Logs => check.request::<LogRecords>(message),
        Signal::Traces => check.request::<Spans>(message),
        Signal::Metrics => check.request::<Points>(message),
    };
    checked.map_err(|bad| *bad)?;
    Ok(if check.scattered { Layout::Scattered } else { Layout::Canonical })
}

/// What a scope holds in the requests of one signal. The messages around it have the same fields in all of them.
pub(super) trait Records {
    /// Checks one field of a scope, and indexes its records. They belong to `group`, which takes place `number` of the index.
    fn check<'b>(
        check: &mut Check<'_, '_, '_, 'b>,
        content: Cursor<'b>,
        group: Group,
        number: usize,
    ) -> Result<(), Bad>;
}

/// Log records of a `ScopeLogs`.
#[derive(Debug)]
struct LogRecords;

impl Records for LogRecords {
    #[inline]
    fn check<'b>(
        check: &mut Check<'_, '_, '_, 'b>,
        content: Cursor<'b>,
        group: Group,
        number: usize,
    ) -> Result<(), Bad> {
        // At the first record and not before, so that there are no more groups than records.
        if check.index.groups.len() == number {
            check.index.groups.push(group);
        }
        check.log_record(content, number as u32)
    }
}

pub(super) struct Check<'c, 'm, 'p, 'b> {
    body: &'b [u8],
    context: &'c CheckContext<'c>,
    pub(super) matcher: &'m mut Matcher<'p, 'b>,
    pub(super) index: &'m mut Index,
    /// Something is not where every serialiser puts it.
    pub(super) scattered: bool,
}

impl<'b> Check<'_, '_, '_, 'b> {
    fn request<R: Records>(&mut self, mut message: Cursor<'b>) -> Result<(), Bad> {
        while !message.is_done() {
            match message.tag()? {
                request::RESOURCE_LOGS => self.resource_logs::<R>(message.message()?)?,
                other => message.skip_unknown(other, request::KNOWN, 0)?,
            }
        }
        Ok(())
    }

    fn resource_logs<R: Records>(&mut self, mut message: Cursor<'b>) -> Result<(), Bad> {
        const DEPTH: u32 = 1;
        let mut group = Group::default();
        let mut has_resource = false;
        let first_group = self.index.groups.len();
        let mut scopes = 0;
        self.matcher.begin_resource();
        while !message.is_done() {
            match message.tag()? {
                resource_logs::RESOURCE => {
                    let content = message.message()?;
                    self.scattered |= has_resource || scopes > 0;
                    has_resource = true;
                    group.resource = content.span();
                    self.resource(content, DEPTH + 1)?;
                }
                resource_logs::SCOPE_LOGS => {
                    scopes += 1;
                    self.scope_logs::<R>(message.message()?, group)?;
                }
                resource_logs::SCHEMA_URL => {
                    let content = message.message()?;
                    group.resource_schema_url = content.span();
                    let url = content.utf8()?;
                    self.scattered |= scopes > 0 && self.matcher.wants_schema_urls();
                    self.matcher.resource_schema_url(url);
                }
                other => message.skip_unknown(other, resource_logs::KNOWN, DEPTH)?,
            }
        }
        for written in &mut self.index.groups[first_group..] {
            written.resource_schema_url = group.resource_schema_url;
        }
        Ok(())
    }

    fn resource(&mut self, mut message: Cursor<'b>, depth: u32) -> Result<(), Bad> {
        while !message.is_done() {
            match message.tag()? {
                resource::ATTRIBUTE => {
                    let (key, value) = self.key_value(message.message()?, depth + 1)?;
                    self.matcher.resource_attribute(key, value);
                }
                resource::DROPPED_ATTRIBUTES => {
                    let count = message.varint()? as u32;
                    self.matcher.resource_dropped_attributes(count);
                }
                resource::ENTITY_REF => check_entity_ref(message.message()?, depth + 1)?,
                other => message.skip_unknown(other, resource::KNOWN, depth)?,
            }
        }
        Ok(())
    }

    fn scope_logs<R: Records>(&mut self, mut message: Cursor<'b>, mut group: Group) -> Result<(), Bad> {
        const DEPTH: u32 = 2;
        let mut has_scope = false;
        let number = self.index.groups.len();
        let first_record = self.index.records.len();
        self.matcher.begin_scope();
        while !message.is_done() {
            match message.tag()? {
                scope_logs::SCOPE => {
                    let content = message.message()?;
                    self.scattered |= has_scope || self.index.records.len() > first_record;
                    has_scope = true;
                    group.scope = content.span();
                    self.scope(content, DEPTH + 1)?;
                }
                scope_logs::LOG_RECORD => {
                    let content = message.message()?;
                    R::check(self, content, group, number)?;
                }
                scope_logs::SCHEMA_URL => {
                    let content = message.message()?;
                    group.scope_schema_url = content.span();
                    let url = content.utf8()?;
                    self.scattered |=
                        self.index.records.len() > first_record && self.matcher.wants_schema_urls();
                    self.matcher.scope_schema_url(url);
                }
                other => message.skip_unknown(other, scope_logs::KNOWN, DEPTH)?,
            }
        }
        // Schema URLs come behind the records.
        for written in &mut self.index.groups[number..] {
            written.scope = group.scope;
            written.scope_schema_url = group.scope_schema_url;
        }
        Ok(())
    }

    fn scope(&mut self, mut message: Cursor<'b>, depth: u32) -> Result<(), Bad> {
        while !message.is_done() {
            match message.tag()? {
                scope::NAME => {
                    let name = message.text()?;
                    self.matcher.scope_name(name);
                }
                scope::VERSION => {
                    let version = message.text()?;
                    self.matcher.scope_version(version);
                }
                scope::ATTRIBUTE => {
                    let (key, value) = self.key_value(message.message()?, depth + 1)?;
                    self.matcher.scope_attribute(key, value);
                }
                scope::DROPPED_ATTRIBUTES => {
                    let count = message.varint()? as u32;
                    self.matcher.scope_dropped_attributes(count);
                }
                other => message.skip_unknown(other, scope::KNOWN, depth)?,
            }
        }
        Ok(())
    }

    fn log_record(&mut self, mut message: Cursor<'b>, group: u32) -> Result<(), Bad> {
        const DEPTH: u32 = 3;
        let (offset, len) = message.span();
        self.limits(len as usize)?;
        let mut head = LogHead::default();
        self.matcher.begin_record();
        while !message.is_done() {
            // Nearly all fields are these: in line and handed on at once, so that the parts stay in registers.
            if let Some((key, value)) = message.short_key_value(log_record::ATTRIBUTE) {
                self.record_attribute(key, value, &message)?;
                continue;
            }
            match message.tag()? {
                log_record::TIME => head.time = message.fixed64()?,
                log_record::OBSERVED_TIME => head.observed_time = message.fixed64()?,
                log_record::SEVERITY_NUMBER => head.severity_number = message.varint()? as i32,
                log_record::SEVERITY_TEXT => {
                    let content = message.message()?;
                    head.severity_text = self.text(content.bytes(), message.offset())?;
                }
                log_record::BODY => {
                    self.scattered |= head.body.is_some();
                    self.body(message.message()?, DEPTH + 1, &mut head)?;
                }
                log_record::ATTRIBUTE => self.odd_record_attribute(message.message()?, DEPTH + 1)?,
                log_record::DROPPED_ATTRIBUTES => head.dropped_attributes = message.varint()? as u32,
                log_record::FLAGS => head.flags = message.fixed32()?,
                log_record::TRACE_ID => head.trace_id = message.blob()?,
                log_record::SPAN_ID => head.span_id = message.blob()?,
                log_record::EVENT_NAME => head.event_name = message.text()?,
                other => message.skip_unknown(other, log_record::KNOWN, DEPTH)?,
            }
        }
        self.matcher.record_head(&head);
        let time = if head.time == 0 { head.observed_time } else { head.time };
        self.push(Entry { offset, len, aux: group, ..self.timed(time) });
        Ok(())
    }

    /// An entry with this time. One after 2262 does not fit into i64 nanoseconds and counts as the last that does: far outside of any
    /// window for destinations. Instead of none there is the time of arrival.
    #[inline]
    pub(super) fn timed(&self, time: u64) -> Entry {
        let (time, flags) = match time {
            0 => (self.context.arrived, 0),
            time => (i64::try_from(time).unwrap_or(i64::MAX), Entry::HAS_TIME),
        };
        Entry { time, flags, offset: 0, len: 0, aux: 0 }
    }

    /// Indexes a record whose routing fields the matcher has seen.
    #[inline]
    pub(super) fn push(&mut self, entry: Entry) {
        let routes = self.matcher.decide();
        let hour = self.context.window.hour(entry.time, self.context.arrived);
        self.index.push(entry, routes, hour);
    }

    pub(super) fn limits(&self, record_bytes: usize) -> Result<(), Bad> {
        let limits = self.context.limits;
        if record_bytes > limits.max_record_bytes {
            return Err(Box::new(Malformed::RecordTooLarge {
                bytes: record_bytes,
                limit: limits.max_record_bytes,
            }));
        }
        if self.index.records.len() >= limits.max_records {
            return Err(Box::new(Malformed::TooManyRecords { limit: limits.max_records }));
        }
        Ok(())
    }

    /// A name, and the content of a value, which end where `message` goes on.
    #[inline(always)]
    fn record_attribute(&mut self, key: &'b [u8], value: &'b [u8], message: &Cursor<'b>) -> Result<(), Bad> {
        // Offsets are for errors: the value ends here, and the key before the value's tag and length.
        let end = message.offset();
        let key = self.text(key, end - value.len() - 2)?;
        match plain_text(value) {
            Some(text) => {
                let text = self.text(text, end)?;
                self.matcher.record_attribute(key, Value::Str(text));
                Ok(())
            }
            None => self.other_record_attribute(key, Cursor::ending_at(value, end)),
        }
    }

    #[inline(never)]
    fn other_record_attribute(&mut self, key: Text<'b>, value: Cursor<'b>) -> Result<(), Bad> {
        const DEPTH: u32 = 5;
        match plain_scalar(value.bytes()) {
            Some(scalar) => self.matcher.record_attribute(key, scalar),
            None => {
                let value = self.any_value(value, DEPTH)?;
                self.matcher.record_attribute(key, value);
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn odd_record_attribute(&mut self, content: Cursor<'b>, depth: u32) -> Result<(), Bad> {
        let (key, value) = self.key_value(content, depth)?;
        self.matcher.record_attribute(key, value);
        Ok(())
    }

    /// Puts the body where it belongs by one of two ways, because values that meet in one variable meet in memory.
    #[inline(always)]
    fn body(&mut self, content: Cursor<'b>, depth: u32, head: &mut LogHead<'b>) -> Result<(), Bad> {
        match plain_text(content.bytes()) {
            Some(text) => head.body = Some(Value::Str(self.text(text, content.offset() + content.left())?)),
            None => head.body = Some(self.any_value(content, depth)?),
        }
        Ok(())
    }

    /// The text that these bytes are, checked; they end at this offset in the body.
    #[inline(always)]
    fn text(&self, bytes: &'b [u8], end: usize) -> Result<Text<'b>, Bad> {
        if bytes.len() <= CHUNK
            && let Some(chunk) = chunk_at(self.body, bytes)
            && non_ascii(chunk) & first(bytes.len()) == 0
        {
            return Ok(Text::checked(bytes));
        }
        Cursor::ending_at(bytes, end).utf8()
    }
}
