//! Elasticsearch's `_bulk` (reference, "Bulk API"): by turns an action and its document, each one line of JSON.
//!
//! A document is a JSON record like any other. Its action's metadata is the record's `@metadata` for routes, and no part of the document; `_id` is
//! the document's id. Documents are only ever created: an `index` of what is there already changes nothing, and what would change or
//! delete a document is refused item by item.
//!
//! Behind the last line break stands nothing that a client sent, but what its request's address says for all actions: an object
//! in the form of an action's metadata, or nothing.

mod action;
#[cfg(test)]
mod tests;

use super::JsonOptions;
use super::frame::{Checker, Line};
use super::literal::Literal;
use crate::record::Key;
use crate::route::Matcher;
use crate::wire::{CheckContext, ClientId, Edit, EditText, Entry, Index, Malformed};
use action::{Action, Metadata};

pub use action::MAX_ID_BYTES;

/// What routes find an action's metadata under.
const METADATA: &str = "@metadata";
/// What an answer says of one item, beside names and ids, weighs at most so many bytes.
const ANSWER_BYTES: usize = 224;
/// The same for one that was refused.
const REASON_BYTES: usize = 512;

/// What a client wants to have done with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Index,
    Create,
    Update,
    Delete,
}

impl Op {
    pub const ALL: [Self; 4] = [Self::Index, Self::Create, Self::Update, Self::Delete];

    /// As it is written in an action and in an answer.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// One action, and what became of it when it was read. Places are offset and length in the body, length 0 for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub op: Op,
    /// The index that it names, or its request does: the inside of a JSON string.
    pub index: (u32, u32),
    /// The same of the id.
    pub id: (u32, u32),
    /// Why it was refused; records are those that were not, in order.
    pub refused: Option<Box<Malformed>>,
}

impl Item {
    /// What it weighs in memory together with what an answer says of it, bytes at most.
    pub fn weight(&self) -> usize {
        // Items move when there is no more room for them, and are there twice for that moment.
        3 * size_of::<Self>() + self.answer_weight()
    }

    /// What an answer says of it, bytes at most.
    pub fn answer_weight(&self) -> usize {
        let names = (self.index.1 + self.id.1) as usize;
        let reason = if self.refused.is_some() { REASON_BYTES } else { 0 };
        ANSWER_BYTES + names + reason
    }
}

/// Checks a whole bulk and fills `index`, which must be empty; `told` hears of every item in order. Positions of rejected records count items
/// from 1.
///
/// # Errors
/// An action is malformed, or the last one has no document; there is no action; or more records than the limit. Then none of
/// it can be taken.
pub fn check<'b>(
    body: &'b [u8],
    context: &CheckContext<'_>,
    options: &JsonOptions,
    matcher: &mut Matcher<'_, 'b>,
    index: &mut Index,
    told: &mut dyn FnMut(Item),
) -> Result<(), Malformed> {
    Checker::new(body, context, options, matcher, index)?.bulk(told)
}

/// Whether a request's body ends as one must, so that what stands behind it is not the client's.
///
/// # Errors
/// It is empty, or does not end with a line break.
pub fn check_end(body: &[u8]) -> Result<(), Malformed> {
    match body.last() {
        Some(b'\n') => Ok(()),
        Some(_) => {
            Err(Malformed::Unsupported { what: "The bulk request must be terminated by a newline [\\n]" })
        }
        None => Err(Malformed::Unsupported { what: "request body is required" }),
    }
}

/// The lines of a bulk with their numbers, from 1.
struct Lines<'b> {
    body: &'b [u8],
    at: usize,
    number: usize,
}

impl Iterator for Lines<'_> {
    /// Number, first byte and the one after the last.
    type Item = (usize, usize, usize);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        let end = start + memchr::memchr(b'\n', self.body.get(start..)?)?;
        self.at = end + 1;
        self.number += 1;
        Some((self.number, start, end))
    }
}

impl<'b> Checker<'_, '_, 'b> {
    /// The lines of a bulk.
    pub(super) fn bulk(&mut self, told: &mut dyn FnMut(Item)) -> Result<(), Malformed> {
        let defaults = self.defaults()?;
        let mut lines = Lines { body: self.body, at: 0, number: 0 };
        let mut position = 0;
        while let Some((number, start, end)) = lines.next() {
            let Some(line) = self.content_of(start, end)? else { continue };
            let action = Action::read(&line, number, &mut self.keys)?;
            let mut refused = action.unsupported().map(|what| Malformed::Unsupported { what });
            position += 1;
            // Those that are refused as well: each is answered.
            let limit = self.context.limits.max_records;
            if position > limit {
                return Err(Malformed::TooManyRecords { limit });
            }
            let metadata = action.metadata.over(&defaults);
            if action.op != Op::Delete {
                let what = "expected a document behind it";
                let (_, start, end) = lines.next().ok_or(Malformed::Action { line: number, what })?;
                if refused.is_none() {
                    let asked_for = [&defaults, &action.metadata];
                    refused = self.document(start, end, position, asked_for, &metadata)?;
                }
            }
            if let Some(why) = &refused {
                self.index.rejected.push(position, why.clone());
            }
            let Metadata { index, id, .. } = metadata;
            told(Item { op: action.op, index, id, refused: refused.map(Box::new) });
        }
        match position {
            0 => Err(Malformed::Unsupported { what: "no requests added" }),
            _ => Ok(()),
        }
    }

    /// What stands behind the last line.
    fn defaults(&mut self) -> Result<Metadata<'b>, Malformed> {
        let start = memchr::memrchr(b'\n', self.body).map_or(0, |end| end + 1);
        match self.content_of(start, self.body.len())? {
            Some(line) => Metadata::of_request(&line, &mut self.keys),
            None => Ok(Metadata::default()),
        }
    }

    /// Puts the document in this line into the index, or says why it is refused. Routes may ask for what is `asked_for`, the later before the
    /// earlier; what counts of both is in `metadata`.
    fn document(
        &mut self,
        start: usize,
        end: usize,
        position: usize,
        asked_for: [&Metadata<'b>; 2],
        metadata: &Metadata<'b>,
    ) -> Result<Option<Malformed>, Malformed> {
        let Line { text, base, at } = match self.content_of(start, end) {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(Some(Malformed::NotAnObject { record: position })),
            Err(malformed) => return Ok(Some(malformed)),
        };
        let scanned = match self.scan_alone(text, at) {
            Ok(scanned) => scanned,
            Err(fault) => return Ok(Some(fault.malformed(base))),
        };
        if self.matcher.wants_metadata() {
            for (text, literal) in asked_for.into_iter().filter_map(|metadata| metadata.literal) {
                self.matcher.json_member(Key::Plain(METADATA.into()), Literal::value(literal, text));
            }
        }
        let edits = self.index.edits.len();
        if self.options.keep_index && metadata.index.1 > 0 && !scanned.head.has_index {
            let (offset, len) = metadata.index;
            let at = (base + scanned.start) as u32 + 1;
            self.index.edits.push(Edit { at, remove: 0, with: EditText::InsertIndex(offset, len) });
        }
        match self.entry(text, base, position, &scanned) {
            // It is the first edit of its document.
            Ok(entry) => {
                let id = ClientId { id: metadata.id, index: metadata.index };
                self.push(Entry { aux: edits as u32, ..entry }, Some(id)).map(|()| None)
            }
            Err(malformed) => {
                self.index.edits.truncate(edits);
                Ok(Some(malformed))
            }
        }
    }
}
