//! Plain structs of what a request says, before any wire format.

/// A value of an attribute or of a body.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Str(String),
    Int(i64),
    Double(f64),
    Bool(bool),
    Array(Vec<Value>),
    Map(Vec<Attribute>),
}

/// A named value.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    pub key: &'static str,
    pub value: Value,
}

impl Attribute {
    /// `key` with a string value.
    pub fn text(key: &'static str, value: impl Into<String>) -> Self {
        Self { key, value: Value::Str(value.into()) }
    }

    /// `key` with any value.
    #[must_use]
    pub fn new(key: &'static str, value: Value) -> Self {
        Self { key, value }
    }
}

/// What sent the records: eight attributes, among them `component` (decides the index) and `service.name`.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    pub component: &'static str,
    pub attributes: Vec<Attribute>,
}

/// The instrumentation scope; its name is the logger's name.
#[derive(Debug, Clone, PartialEq)]
pub struct Scope {
    pub name: &'static str,
    pub version: String,
    pub attributes: Vec<Attribute>,
}

/// One log record. As in proto3, zero and empty mean absent.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Unique in a run; also the attribute [`SEQUENCE_KEY`](super::SEQUENCE_KEY).
    pub sequence: u64,
    pub time_unix_nano: u64,
    pub observed_time_unix_nano: u64,
    /// 1..=24 of the OTLP enumeration.
    pub severity_number: i32,
    pub severity_text: &'static str,
    /// A string, or a map for the few records with a structured body.
    pub body: Value,
    pub attributes: Vec<Attribute>,
    /// 16 bytes, or none.
    pub trace_id: Vec<u8>,
    /// 8 bytes, or none.
    pub span_id: Vec<u8>,
    pub flags: u32,
    /// JSON only: written as Python's plain formatter does, `asctime` and `levelname` for `@timestamp` and `level`.
    pub python_names: bool,
}

/// The records of one request: one resource, one scope.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    pub resource: &'a Resource,
    pub scope: &'a Scope,
    pub records: Vec<Record>,
}
