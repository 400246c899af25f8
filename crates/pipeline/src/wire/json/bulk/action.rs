//! An action line: what is to be done, and its metadata.

use super::super::escape::unescape;
use super::super::frame::Line;
use super::super::keys::Keys;
use super::super::literal::{Kind, Literal};
use super::super::scan::Scanner;
use super::super::string::Fault;
use super::Op;
use crate::wire::Malformed;

/// The longest id that Elasticsearch takes, in bytes.
pub const MAX_ID_BYTES: usize = 512;

/// An action as it was read.
pub(super) struct Action<'b> {
    pub op: Op,
    pub metadata: Metadata<'b>,
}

/// What an action, or a request's address, says of documents.
#[derive(Clone, Copy, Default)]
pub(super) struct Metadata<'b> {
    /// All of it, and the text that it is in.
    pub literal: Option<(&'b str, Literal)>,
    /// Offset and length in the body of the name and the id; length 0 for none.
    pub index: (u32, u32),
    pub id: (u32, u32),
    unsupported: Option<&'static str>,
    creates: bool,
}

impl<'b> Action<'b> {
    /// Reads the action in a line of this number.
    ///
    /// # Errors
    /// It is none, or says what Elasticsearch does not understand.
    pub fn read(line: &Line<'b>, number: usize, keys: &mut Keys) -> Result<Self, Malformed> {
        let malformed = |what| Malformed::Action { line: number, what };
        let not_json = |fault: Fault| fault.malformed(line.base);
        let mut scanner = Scanner::new(line.text, line.at, keys);
        if scanner.peek() != b'{' {
            return Err(malformed("expected START_OBJECT"));
        }
        let mut object = scanner.open_object(0).map_err(not_json)?;
        let expected = "expected field [create], [delete], [index] or [update]";
        let key = scanner.next_key(&mut object).map_err(not_json)?.ok_or(malformed(expected))?;
        let name = unescape(key.text(line.text));
        let op = Op::ALL.into_iter().find(|op| op.name() == name).ok_or(malformed(expected))?;
        let metadata = Metadata::read(line, &mut scanner, 1)?.map_err(malformed)?;
        if scanner.next_key(&mut object).map_err(not_json)?.is_some() {
            return Err(malformed("expected END_OBJECT: one line is one action"));
        }
        finish(&mut scanner).map_err(malformed)?;
        let op = if op == Op::Index && metadata.creates { Op::Create } else { op };
        Ok(Self { op, metadata })
    }

    /// Why it cannot be done, if it cannot.
    pub fn unsupported(&self) -> Option<&'static str> {
        match self.op {
            Op::Update => Some("documents are not updated here: update is not supported"),
            Op::Delete => Some("documents are not deleted here: delete is not supported"),
            Op::Index | Op::Create => self.metadata.unsupported,
        }
    }
}

impl<'b> Metadata<'b> {
    /// Reads what a request's address says.
    ///
    /// # Errors
    /// It is no object of metadata: whoever put it there made a mistake.
    pub fn of_request(line: &Line<'b>, keys: &mut Keys) -> Result<Self, Malformed> {
        let malformed = |what| Malformed::Action { line: 0, what };
        let mut scanner = Scanner::new(line.text, line.at, keys);
        let metadata = Self::read(line, &mut scanner, 0)?.map_err(malformed)?;
        finish(&mut scanner).map_err(malformed)?;
        Ok(metadata)
    }

    /// Reads the object of metadata at the scanner's place; `depth` objects are around it. The inner error is no fault of JSON.
    fn read(
        line: &Line<'b>,
        scanner: &mut Scanner<'b, '_>,
        depth: usize,
    ) -> Result<Result<Self, &'static str>, Malformed> {
        let not_json = |fault: Fault| fault.malformed(line.base);
        if scanner.peek() != b'{' {
            return Ok(Err("expected START_OBJECT behind the action"));
        }
        let start = scanner.at as u32;
        let mut metadata = Self::default();
        let mut object = scanner.open_object(depth).map_err(not_json)?;
        while let Some(key) = scanner.next_key(&mut object).map_err(not_json)? {
            let value = scanner.value(depth + 1).map_err(not_json)?;
            let name = unescape(key.text(line.text));
            if let Err(what) = metadata.note(&name, value, line) {
                return Ok(Err(what));
            }
        }
        metadata.literal = Some((line.text, Literal { kind: Kind::Map, start, end: scanner.at as u32 }));
        Ok(Ok(metadata))
    }

    fn note(&mut self, name: &str, value: Literal, line: &Line<'_>) -> Result<(), &'static str> {
        if value.kind == Kind::Null {
            return Ok(());
        }
        let is_simple = !matches!(value.kind, Kind::Map | Kind::Array);
        match name {
            // What is said of scripts and of fields to be returned belongs to updates.
            "dynamic_templates" | "_source" => return Ok(()),
            _ if !is_simple => return Err("expected a simple value"),
            "_index" => self.index = place(value, line),
            "_id" => {
                self.id = place(value, line);
                self.unsupported = self.unsupported.or(id_fault(value, line.text));
            }
            "op_type" => match &*unescape(value.inside(line.text)) {
                "create" => self.creates = true,
                "index" => {}
                _ => return Err("opType must be 'create' or 'index'"),
            },
            "version" | "_version" | "if_seq_no" | "if_primary_term" => {
                self.unsupported = Some("conditions on a document's version are not supported here");
            }
            // Understood by Elasticsearch, now or once, and of no effect here.
            "_type"
            | "_parent"
            | "routing"
            | "_routing"
            | "pipeline"
            | "require_alias"
            | "require_data_stream"
            | "retry_on_conflict"
            | "version_type"
            | "_version_type"
            | "list_executed_pipelines" => {}
            _ => return Err("it contains an unknown parameter"),
        }
        Ok(())
    }

    /// Index and id as they count where `self` says more than `defaults`.
    pub fn over(&self, defaults: &Self) -> Self {
        let index = if self.index.1 > 0 { self.index } else { defaults.index };
        Self { index, ..*self }
    }
}

/// Nothing may follow, and no key be there twice.
fn finish(scanner: &mut Scanner<'_, '_>) -> Result<(), &'static str> {
    if !scanner.only_space_left() {
        return Err("expected nothing behind the action");
    }
    match scanner.duplicate {
        Some(_) => Err("a field is there twice"),
        None => Ok(()),
    }
}

/// Offset and length in the body of a value's inside.
fn place(value: Literal, line: &Line<'_>) -> (u32, u32) {
    let quote = u32::from(matches!(value.kind, Kind::Str | Kind::Escaped));
    let start = value.start + quote;
    (line.base as u32 + start, value.end - quote - start)
}

fn id_fault(value: Literal, text: &str) -> Option<&'static str> {
    let inside = value.inside(text);
    if inside.is_empty() {
        return Some("if _id is specified it must not be empty");
    }
    let is_long = inside.len() > MAX_ID_BYTES && unescape(inside).len() > MAX_ID_BYTES;
    is_long.then_some("id is too long, must be no longer than 512 bytes")
}
