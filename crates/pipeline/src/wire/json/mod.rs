//! JSON logs: one object, an array of objects, or one object a line (RFC 8259; newline-delimited JSON); and Elasticsearch's `_bulk`.
//!
//! A record stays the bytes that arrived. [`check`] validates every byte of it, reads its time and level, and notes in the
//! index what [`splice`] has to insert or replace; `docs/document-model.md` says what that is.
//!
//! Accepted is what serde_json accepts, but for: a lone surrogate in an escape, a key written twice in one object, nesting
//! over [`MAX_NESTING`](super::MAX_NESTING), and the limits of [`Limits`](super::Limits).

pub mod bulk;
mod escape;
mod fingerprint;
mod frame;
mod head;
mod keys;
mod literal;
mod scan;
mod splice;
mod string;
pub(crate) mod time_text;
mod walk;

#[cfg(test)]
mod tests;

pub use escape::unescape;
pub use fingerprint::fingerprint;
pub use frame::check;
pub use scan::check_value;
pub use splice::splice;
pub(crate) use time_text::{Moment, Zone, parse_number, parse_text};
pub use walk::{walk_nested, write_single_line};

/// How a body of JSON is divided into records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One object, an array of objects, or one object a line, told apart by the body itself.
    #[default]
    Auto,
    /// One object a line, even if the first line is an array.
    Lines,
    /// An action and its document by turns, each on a line, as Elasticsearch's `_bulk` takes them.
    Bulk,
}

/// How a receiver reads JSON.
#[derive(Clone, Debug)]
pub struct JsonOptions {
    /// The zone of times that name none.
    pub timezone: jiff::tz::TimeZone,
    pub format: Format,
    /// The top-level field (dots are part of the name) whose string is the document's id.
    pub id_field: Option<String>,
    /// Records are documents already, and nothing of them is to be changed: no level is looked for, and an `@timestamp` stays as it is,
    /// whether it is understood or not. Only where there is none, the time of arrival is put in.
    pub as_it_stands: bool,
    /// Records are events of Beats: `@metadata` is not part of the document, and its `_id` is the document's id.
    pub beats: bool,
    /// The index that an action of a bulk names is kept in its document, as `@metadata._index`.
    pub keep_index: bool,
}

impl Default for JsonOptions {
    fn default() -> Self {
        let timezone = jiff::tz::TimeZone::UTC;
        Self {
            timezone,
            format: Format::Auto,
            id_field: None,
            as_it_stands: false,
            beats: false,
            keep_index: false,
        }
    }
}

impl JsonOptions {
    /// Whether records may name their ids.
    pub fn names_ids(&self) -> bool {
        self.beats || self.format == Format::Bulk || self.id_field.is_some()
    }

    /// Whether records may be events of Beats, which say where they were read.
    fn may_have_place(&self) -> bool {
        self.beats || self.format == Format::Bulk
    }
}
