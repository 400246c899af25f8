//! `_bulk`: what its items are answered.

use super::super::answer::Taken;
use super::errors;
use super::filter::Filter;
use bytes::Bytes;
use forebay_pipeline::admit::BulkItems;
use forebay_pipeline::budget::Lease;
use forebay_pipeline::wire::Malformed;
use forebay_pipeline::wire::json::bulk::{Item, Op};
use http::StatusCode;
use std::fmt::Write as _;
use std::time::Duration;

/// So many items are told a sink's own reason; all others that they are like the first. A reason may be long, and the same for all.
const MAX_SINK_REASONS: u32 = 10;
const LIKE_THE_FIRST: &str = "the sink refused it, as it did the first of this request";
/// What Elasticsearch calls an item that its index would never take.
const REFUSED: &str = "document_parsing_exception";

/// What stands before the items and behind them takes at most so many bytes.
const HEAD_BYTES: usize = 64;

/// The answer to a bulk whose records are settled: an item for each action, in order. Its memory is under the items' lease for as long as it is
/// there.
pub fn answer(items: BulkItems, taken: &Taken, took: Duration, filter: &Filter) -> Bytes {
    let writer = Writer { filter, fields: Op::ALL.map(|op| Fields::of(filter, op)), body: &items.body };
    // All at once: while a text grows, there are two of it.
    let mut text =
        String::with_capacity(items.items.iter().map(Item::answer_weight).sum::<usize>() + HEAD_BYTES);
    text.push('{');
    if filter.keeps(&["took"]) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\"took\":{},", took.as_millis());
    }
    if filter.keeps(&["errors"]) {
        let _ = write!(text, "\"errors\":{},", taken.rejected > 0);
    }
    writer.items(&items.items, taken, &mut text);
    close(&mut text, '}');
    let BulkItems { mut lease, items, .. } = items;
    drop(items);
    // It was leased for the longest answer; this one may have to wait for a client that reads slowly.
    text.shrink_to_fit();
    let _ = lease.resize(text.capacity());
    Bytes::from_owner(Leased { text, _lease: lease })
}

/// Ends an object or an array, without the comma behind its last member.
fn close(text: &mut String, bracket: char) {
    if text.ends_with(',') {
        text.pop();
    }
    text.push(bracket);
}

struct Leased {
    text: String,
    _lease: Lease,
}

impl AsRef<[u8]> for Leased {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// Which fields of an item are told.
#[derive(Clone, Copy, Debug)]
struct Fields {
    index: bool,
    id: bool,
    result: bool,
    status: bool,
    error_type: bool,
    error_reason: bool,
}

impl Fields {
    fn of(filter: &Filter, op: Op) -> Self {
        let keeps = |field| filter.keeps(&["items", op.name(), field]);
        let keeps_of_error = |field| filter.keeps(&["items", op.name(), "error", field]);
        Self {
            index: keeps("_index"),
            id: keeps("_id"),
            result: keeps("result"),
            status: keeps("status"),
            error_type: keeps_of_error("type"),
            error_reason: keeps_of_error("reason"),
        }
    }
}

struct Writer<'w> {
    filter: &'w Filter,
    fields: [Fields; Op::ALL.len()],
    body: &'w [u8],
}

impl Writer<'_> {
    fn items(&self, items: &[Item], taken: &Taken, text: &mut String) {
        let start = text.len();
        text.push_str("\"items\":[");
        let first = text.len();
        let mut refused = taken.refused.iter().copied().peekable();
        let (mut record, mut told) = (0, 0);
        for item in items {
            let malformed = item.refused.as_deref();
            let mut by_sink = None;
            if malformed.is_none() {
                if refused.next_if_eq(&record).is_some() {
                    let own = taken.sink_reason.as_deref().filter(|_| told < MAX_SINK_REASONS);
                    by_sink = Some(own.unwrap_or(LIKE_THE_FIRST));
                    told += 1;
                }
                record += 1;
            }
            self.item(item, malformed, by_sink, text);
        }
        if text.len() == first && *self.filter != Filter::default() {
            return text.truncate(start);
        }
        close(text, ']');
    }

    /// One item: refused when it was read, or by a sink for this reason, or taken.
    fn item(&self, item: &Item, malformed: Option<&Malformed>, by_sink: Option<&str>, text: &mut String) {
        let fields = self.fields[item.op as usize];
        let start = text.len();
        let _ = write!(text, "{{\"{}\":{{", item.op.name());
        let first = text.len();
        for (name, place, is_told) in [("_index", item.index, fields.index), ("_id", item.id, fields.id)] {
            if let (true, Some(inside)) = (is_told, self.inside(place)) {
                let _ = write!(text, "\"{name}\":\"{inside}\",");
            }
        }
        let status = match (malformed, by_sink) {
            (Some(malformed), _) => {
                let (kind, status) = errors::of_item(malformed);
                error(fields, kind, &malformed.to_string(), text);
                status
            }
            (None, Some(reason)) => {
                error(fields, REFUSED, reason, text);
                StatusCode::BAD_REQUEST
            }
            (None, None) => {
                if fields.result {
                    text.push_str("\"result\":\"created\",");
                }
                StatusCode::CREATED
            }
        };
        if fields.status {
            let _ = write!(text, "\"status\":{},", status.as_u16());
        }
        if text.len() == first {
            return text.truncate(start);
        }
        close(text, '}');
        text.push_str("},");
    }

    /// A name or an id as it stands in the body, which is how it stands in a JSON string.
    fn inside(&self, (offset, len): (u32, u32)) -> Option<&str> {
        let inside = self.body.get(offset as usize..(offset + len) as usize)?;
        // A check has found it to be UTF-8.
        std::str::from_utf8(inside).ok().filter(|inside| !inside.is_empty())
    }
}

fn error(fields: Fields, kind: &str, reason: &str, text: &mut String) {
    if !fields.error_type && !fields.error_reason {
        return;
    }
    text.push_str("\"error\":{");
    if fields.error_type {
        let _ = write!(text, "\"type\":\"{kind}\",");
    }
    if fields.error_reason {
        let _ = write!(text, "\"reason\":{},", serde_json::Value::from(reason));
    }
    close(text, '}');
    text.push(',');
}
