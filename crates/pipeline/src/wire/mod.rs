//! Wire formats: for each, `check` (one pass, may fail) and `walk` (cannot fail on what `check` accepted).
//!
//! `check` refuses what the format's reference decoder refuses, and beyond that only: invalid UTF-8, nesting deeper than
//! [`MAX_NESTING`], a configured limit, and duplicate keys in a JSON object.

pub mod json;
pub mod lumberjack;
pub mod otlp;

use crate::route::RouteSet;

/// The deepest nesting of arrays and maps that any wire accepts, counted from the record's own object as 1.
pub const MAX_NESTING: usize = 64;

/// Names a wire format; stored with a body so that whoever reads it later knows how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum WireId {
    /// `ExportLogsServiceRequest`, protobuf.
    OtlpLogs = 1,
    /// JSON objects: one, an array of them, or one a line.
    Json = 2,
    /// JSON objects, one a line, even if the first line is an array.
    JsonLines = 3,
    /// Elasticsearch's `_bulk`: an action and its document by turns, each on a line; behind the last line, what the request's address says.
    Bulk = 4,
}

/// Limits of one request, beyond the body's size, which the receiver has enforced before.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most records in one request.
    pub max_records: usize,
    /// Largest single record, in bytes.
    pub max_record_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_records: 1_000_000, max_record_bytes: 16 << 20 }
    }
}

/// What a `check` needs to know beside the body.
#[derive(Debug)]
pub struct CheckContext<'c> {
    pub limits: &'c Limits,
    /// When the body arrived, nanoseconds since 1970.
    pub arrived: i64,
    /// Which event times may choose a destination by date.
    pub window: &'c crate::time::EventWindow,
}

/// Why a body, or one record of it, was refused for good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("malformed {format} at byte {offset}: {what}")]
    Syntax { format: &'static str, offset: usize, what: &'static str },
    #[error("invalid UTF-8 at byte {offset}")]
    Utf8 { offset: usize },
    #[error("nested too deep at byte {offset}")]
    TooDeep { offset: usize },
    #[error("duplicate key at byte {offset}")]
    DuplicateKey { offset: usize },
    #[error("`@timestamp` is no time, and its place `attributes.@timestamp` is taken at byte {offset}")]
    TimestampTaken { offset: usize },
    #[error("record {record} is not a JSON object")]
    NotAnObject { record: usize },
    #[error("a record of {bytes} bytes is over the limit of {limit}")]
    RecordTooLarge { bytes: usize, limit: usize },
    #[error("more than {limit} records in one request")]
    TooManyRecords { limit: usize },
    #[error("Malformed action/metadata line [{line}], {what}")]
    Action { line: usize, what: &'static str },
    /// Well formed, but nothing that can be done here.
    #[error("{what}")]
    Unsupported { what: &'static str },
    #[error("the request needs {bytes} bytes of memory, of {limit} for all requests together")]
    TooLarge { bytes: usize, limit: usize },
}

/// The compact index of a checked body: 24 bytes a record, nothing on the heap per record.
#[derive(Debug, Default)]
pub struct Index {
    pub records: Vec<Entry>,
    /// OTLP: resource and scope of runs of records.
    pub groups: Vec<Group>,
    /// JSON: what to insert or replace when a record is written out, in order of offset.
    pub edits: Vec<Edit>,
    /// JSON that may name its ids: for each record what it says of its own.
    pub client_ids: Vec<ClientId>,
    /// Runs of consecutive records with the same routing, covering all records in order.
    pub runs: Vec<Run>,
    /// Records of this body that were refused for good while the others were taken.
    pub rejected: Rejected,
}

/// One record: a range of the body.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Event time (or observed time, or arrival), nanoseconds since 1970.
    pub time: i64,
    pub offset: u32,
    pub len: u32,
    /// OTLP: its group. JSON: its first edit; the next record's first edit ends them.
    pub aux: u32,
    pub flags: u32,
}

impl Entry {
    /// The record carried a time of its own (not the time of arrival).
    pub const HAS_TIME: u32 = 1;
    /// JSON: there is a raw line break inside the record, so it cannot be copied onto one line.
    pub const MULTILINE: u32 = 2;
    /// JSON from Beats, or in a bulk: the event says where in its file it was read, so that it can be told from every other one.
    pub const HAS_PLACE: u32 = 4;

    /// The record's bytes within its body.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset as usize..self.offset as usize + self.len as usize
    }
}

/// What a client says of a record's id. Places are offset and length in the body of a JSON string's inside, length 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientId {
    pub id: (u32, u32),
    /// The index that the client means it in, where an action of a bulk names one.
    pub index: (u32, u32),
}

/// OTLP: where a resource and a scope are. A length of zero means absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Group {
    /// Content of the `Resource` message.
    pub resource: (u32, u32),
    /// Content of the `InstrumentationScope` message.
    pub scope: (u32, u32),
    /// `ResourceLogs.schema_url` and `ScopeLogs.schema_url`.
    pub resource_schema_url: (u32, u32),
    pub scope_schema_url: (u32, u32),
}

/// JSON: at `at` (offset in the body), `remove` bytes give way to `with`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    pub at: u32,
    pub remove: u32,
    pub with: EditText,
}

/// The text that an [`Edit`] puts in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditText {
    /// `"@timestamp":"<the entry's time>",` as a new first member.
    InsertTimestamp,
    /// The same without the comma, for an object that has no member.
    OnlyTimestamp,
    /// `"<the entry's time>"` as the value of an existing `@timestamp`.
    ReplaceTimestamp,
    /// `"<the entry's time>","attributes.@timestamp":` in front of a value of `@timestamp` that is no time.
    MoveTimestamp,
    /// `"level":<the literal at this offset and length of the body>,` as a new first member.
    InsertLevel(u32, u32),
    /// The literal at this offset and length, as the value of an existing `level`.
    ReplaceLevel(u32, u32),
    /// The same two, from Python's level number.
    InsertLevelName(LevelName),
    ReplaceLevelName(LevelName),
    /// `"@metadata._index":"<what is at this offset and length of the body>",` as a new first member.
    InsertIndex(u32, u32),
    /// Nothing: a member is taken out.
    Nothing,
}

/// The names of Python's standard level numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelName {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

impl LevelName {
    /// The name of one of Python's standard level numbers; other numbers have none.
    pub fn of_number(digits: &str) -> Option<Self> {
        Some(match digits {
            "10" => Self::Debug,
            "20" => Self::Info,
            "30" => Self::Warning,
            "40" => Self::Error,
            "50" => Self::Critical,
            _ => return None,
        })
    }

    /// The name as Python's `logging` writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }
}

/// Consecutive records that go the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First record and the one after the last.
    pub first: u32,
    pub end: u32,
    pub routes: RouteSet,
    /// The hour since 1970 from which date patterns in destination names are filled.
    pub hour: i32,
}

/// Records refused for good inside an otherwise good body: a count, and the first few reasons for the client.
#[derive(Debug, Default)]
pub struct Rejected {
    pub count: u64,
    pub reasons: Vec<(usize, Malformed)>,
}

impl Rejected {
    /// How many reasons are kept to be told to the client.
    pub const MAX_REASONS: usize = 10;

    /// Counts one refused record; `position` is its place in the request (line or element, from 1).
    pub fn push(&mut self, position: usize, why: Malformed) {
        self.count += 1;
        if self.reasons.len() < Self::MAX_REASONS {
            self.reasons.push((position, why));
        }
    }
}

impl Index {
    /// Adds a record that goes to `routes`, lengthening the last run where it can.
    pub fn push(&mut self, entry: Entry, routes: RouteSet, hour: i32) {
        let item = self.records.len() as u32;
        self.records.push(entry);
        if let Some(run) = self.runs.last_mut()
            && run.routes == routes
            && run.hour == hour
        {
            run.end = item + 1;
            return;
        }
        self.runs.push(Run { first: item, end: item + 1, routes, hour });
    }

    /// The edits of one JSON record.
    pub fn edits_of(&self, item: u32) -> &[Edit] {
        let first = self.records[item as usize].aux as usize;
        let end = self.records.get(item as usize + 1).map_or(self.edits.len(), |next| next.aux as usize);
        &self.edits[first..end]
    }
}
