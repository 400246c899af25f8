//! Loki's push API (`pkg/push/push.proto`, message `PushRequest`): streams of entries under their labels.
//!
//! A push in JSON is written as the message first ([`json`]). A tenant is told by a header; it stands behind the message as a field of ours, which
//! leaves it the message that it was.

pub mod json;
pub mod labels;

#[cfg(test)]
mod tests;

use super::otlp::cursor::{BYTES, Bad, Cursor, Tag, VARINT, tag};
use super::{CheckContext, Entry, Group, Index, Malformed};
use crate::record::{Key, Text, Value};
use crate::route::Matcher;
use labels::Label;

/// `PushRequest`.
const STREAMS: Tag = tag(1, BYTES);
/// The tenant: no field of Loki's.
const TENANT: Tag = tag(1_000, BYTES);
const REQUEST_FIELDS: u64 = 1 << 1;
/// `StreamAdapter`.
const LABELS: Tag = tag(1, BYTES);
const ENTRIES: Tag = tag(2, BYTES);
const HASH: Tag = tag(3, VARINT);
const STREAM_FIELDS: u64 = 1 << 1 | 1 << 2 | 1 << 3;
/// `EntryAdapter`.
const TIMESTAMP: Tag = tag(1, BYTES);
const LINE: Tag = tag(2, BYTES);
const METADATA: Tag = tag(3, BYTES);
const ENTRY_FIELDS: u64 = 1 << 1 | 1 << 2 | 1 << 3;
/// `LabelPairAdapter`.
const NAME: Tag = tag(1, BYTES);
const VALUE: Tag = tag(2, BYTES);
/// `google.protobuf.Timestamp`.
const SECONDS: Tag = tag(1, VARINT);
const NANOS: Tag = tag(2, VARINT);
const PAIR_FIELDS: u64 = 1 << 1 | 1 << 2;

/// Most structured metadata of one entry. Each is compared with each; it is Loki's own default.
pub const MAX_METADATA: usize = 128;
/// How deep a request's messages are, for what is unknown in them.
const DEPTH: u32 = 4;

/// The fields of an entry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line<'b> {
    /// Nanoseconds since 1970; 0 when absent or out of range.
    time: i64,
    pub text: Text<'b>,
    /// Names and values, as they came.
    pub metadata: Vec<(Text<'b>, Text<'b>)>,
}

/// Appends a tenant to a message.
pub fn write_tenant(tenant: &str, message: &mut Vec<u8>) {
    json::write_field(TENANT, tenant.as_bytes(), message);
}

/// Bytes that [`write_tenant`] appends at most.
pub fn tenant_bytes(tenant: &str) -> usize {
    tenant.len() + 12
}

/// Checks a whole body and fills `index`, which must be empty. Routing is decided on the way, by `matcher`. Positions of rejected
/// records count entries from 1.
///
/// # Errors
/// It is no such message, or there are more entries than the limit.
pub fn check<'b>(
    body: &'b [u8],
    context: &CheckContext<'_>,
    matcher: &mut Matcher<'_, 'b>,
    index: &mut Index,
) -> Result<(), Malformed> {
    let scanned = tenant_of(body).and_then(|tenant| {
        let mut checker = Checker { body, tenant, context, matcher, index, position: 0 };
        checker.request()
    });
    scanned.map_err(|bad| *bad)
}

/// Where the tenant stands; the last one counts.
fn tenant_of(body: &[u8]) -> Result<(u32, u32), Bad> {
    let mut tenant = (0, 0);
    let mut request = Cursor::new(body);
    while !request.is_done() {
        let tag = request.tag()?;
        if tag == TENANT {
            let field = request.message()?;
            field.utf8()?;
            tenant = field.span();
        } else if tag == STREAMS {
            request.message()?;
        } else {
            request.skip_unknown(tag, REQUEST_FIELDS, DEPTH)?;
        }
    }
    Ok(tenant)
}

struct Checker<'c, 'p, 'b> {
    body: &'b [u8],
    tenant: (u32, u32),
    context: &'c CheckContext<'c>,
    matcher: &'c mut Matcher<'p, 'b>,
    index: &'c mut Index,
    position: usize,
}

impl<'b> Checker<'_, '_, 'b> {
    fn request(&mut self) -> Result<(), Bad> {
        let mut request = Cursor::new(self.body);
        while !request.is_done() {
            let tag = request.tag()?;
            if tag == STREAMS {
                self.stream(request.message()?)?;
            } else {
                request.skip(tag, DEPTH)?;
            }
        }
        Ok(())
    }

    fn stream(&mut self, stream: Cursor<'b>) -> Result<(), Bad> {
        // Labels may stand behind the entries, and of several the last counts.
        let mut span = (0, 0);
        let mut fields = stream;
        while !fields.is_done() {
            match fields.tag()? {
                LABELS => {
                    let labels = fields.message()?;
                    labels.utf8()?;
                    span = labels.span();
                }
                ENTRIES => drop(fields.message()?),
                HASH => drop(fields.varint()?),
                tag => fields.skip_unknown(tag, STREAM_FIELDS, DEPTH)?,
            }
        }
        let group = self.index.groups.len() as u32;
        self.index.groups.push(Group { resource: span, scope: self.tenant, ..Group::default() });
        let labels = labels_of(self.body, span);
        let mut fields = stream;
        while !fields.is_done() {
            match fields.tag()? {
                ENTRIES => self.entry(fields.message()?, group, labels.as_deref())?,
                tag => fields.skip(tag, DEPTH)?,
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: Cursor<'b>, group: u32, labels: Option<&[Label<'b>]>) -> Result<(), Bad> {
        self.position += 1;
        let (offset, len) = entry.span();
        let line = line(entry)?;
        let limits = self.context.limits;
        let refused = if len as usize > limits.max_record_bytes {
            Some(Malformed::RecordTooLarge { bytes: len as usize, limit: limits.max_record_bytes })
        } else if labels.is_none() {
            Some(Malformed::Unsupported { what: "the labels of its stream cannot be read" })
        } else if line.metadata.len() > MAX_METADATA {
            Some(Malformed::Unsupported { what: "more than 128 structured metadata" })
        } else {
            None
        };
        if let Some(refused) = refused {
            self.index.rejected.push(self.position, refused);
            return Ok(());
        }
        if self.index.records.len() >= limits.max_records {
            return Err(Box::new(Malformed::TooManyRecords { limit: limits.max_records }));
        }
        self.route(&line, labels.unwrap_or_default());
        let (time, flags) = match line.time {
            0 => (self.context.arrived, 0),
            time => (time, Entry::HAS_TIME),
        };
        let hour = self.context.window.hour(time, self.context.arrived);
        self.index.push(Entry { time, offset, len, aux: group, flags }, self.matcher.decide(), hour);
        Ok(())
    }

    fn route(&mut self, line: &Line<'b>, labels: &[Label<'b>]) {
        self.matcher.begin_json();
        let tenant = text_at(self.body, self.tenant);
        let own = [("message", line.text), ("tenant", tenant)];
        let own = own.into_iter().filter(|(_, text)| !text.is_empty());
        let own = own.map(|(name, text)| (Text::from(name), Value::Str(text)));
        let free = |name: &Text<'_>| !is_taken(name.as_bytes());
        let labelled = labels.iter().map(|label| (Text::from(label.name), label.routed()));
        let metadata = line.metadata.iter().map(|(name, value)| (*name, Value::Str(*value)));
        // A name that a label has is elsewhere in the document.
        let metadata =
            metadata.filter(|(name, _)| labels.iter().all(|label| label.name.as_bytes() != name.as_bytes()));
        for (name, value) in own.chain(labelled.chain(metadata).filter(|(name, _)| free(name))) {
            if self.matcher.wants_json(name.as_bytes()) {
                self.matcher.json_member(Key::Plain(name), value);
            }
        }
    }
}

/// Where structured metadata goes that has the name of a label.
pub(crate) const OF_METADATA: &str = "metadata.";

/// Whether a label or metadata of this name would meet another field.
pub(crate) fn is_taken(name: &[u8]) -> bool {
    match name {
        b"" | b"@timestamp" | b"message" | b"tenant" => true,
        [b'm', ..] => name.starts_with(OF_METADATA.as_bytes()),
        // Metadata fields of Elasticsearch, and where taken names go.
        [b'_' | b'a', ..] => crate::document::is_taken(crate::Signal::Logs, name),
        _ => false,
    }
}

/// The labels of a stream whose text stands here.
pub(crate) fn labels_of(body: &[u8], (offset, len): (u32, u32)) -> Option<Vec<Label<'_>>> {
    let text = std::str::from_utf8(&body[offset as usize..(offset + len) as usize]).ok()?;
    labels::parse(text)
}

/// A text that was checked.
pub(crate) fn text_at(body: &[u8], (offset, len): (u32, u32)) -> Text<'_> {
    Text::checked(&body[offset as usize..(offset + len) as usize])
}

/// Reads an entry that was checked.
pub(crate) fn walk(entry: &[u8]) -> Line<'_> {
    line(Cursor::new(entry)).unwrap_or_default()
}

fn line(mut entry: Cursor<'_>) -> Result<Line<'_>, Bad> {
    let mut line = Line::default();
    let mut time = (0, 0);
    while !entry.is_done() {
        match entry.tag()? {
            TIMESTAMP => timestamp(entry.message()?, &mut time)?,
            LINE => line.text = entry.text()?,
            METADATA => line.metadata.push(pair(entry.message()?)?),
            tag => entry.skip_unknown(tag, ENTRY_FIELDS, DEPTH)?,
        }
    }
    let (seconds, nanos): (i64, i64) = time;
    line.time = seconds.checked_mul(1_000_000_000).and_then(|time| time.checked_add(nanos)).unwrap_or(0);
    Ok(line)
}

fn timestamp(mut message: Cursor<'_>, time: &mut (i64, i64)) -> Result<(), Bad> {
    while !message.is_done() {
        match message.tag()? {
            SECONDS => time.0 = message.varint()? as i64,
            NANOS => time.1 = i64::from(message.varint()? as i32),
            tag => message.skip_unknown(tag, PAIR_FIELDS, DEPTH)?,
        }
    }
    Ok(())
}

fn pair(mut message: Cursor<'_>) -> Result<(Text<'_>, Text<'_>), Bad> {
    let mut pair = (Text::default(), Text::default());
    while !message.is_done() {
        match message.tag()? {
            NAME => pair.0 = message.text()?,
            VALUE => pair.1 = message.text()?,
            tag => message.skip_unknown(tag, PAIR_FIELDS, DEPTH)?,
        }
    }
    Ok(pair)
}
