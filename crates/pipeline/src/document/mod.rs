//! Documents: one JSON object on one line for each record, as `docs/document-model.md` says.
//!
//! A JSON record is copied with a few edits; a record of OTLP or Forward is written field by field as its wire is walked. What records
//! share (resource and scope) is rendered once and copied behind each.

mod attributes;
mod draft;
mod forward;
mod group;
mod log;
mod loki;
mod member;
mod metric;
mod names;
mod record;
mod sample;
mod span;
mod syslog;
mod timestamp;

use crate::body::{Body, Share};
use crate::time::TimestampWriter;
use crate::wire::{WireId, json, otlp, remote_write};
use attributes::Attributes;
use bytes::Bytes;
use draft::Draft;
use group::{GroupText, Promoted};
use record::RecordDocument;
use sample::SampleDocument;
use std::fmt::Debug;

pub(crate) use metric::point_fields;
pub(crate) use names::{is_taken, severity_name};
pub(crate) use span::span_fields;

/// What a sink puts around each document.
pub trait Framing: Debug {
    /// Before a document: for instance an action line.
    fn begin(&mut self, body: &Body, item: u32, out: &mut Vec<u8>);

    /// After a document and its line break; `begin` was called when `out` was `start` long. False: it does not fit, and
    /// `out` will be cut back to `start`. May take bytes out of `out` from the front.
    fn end(&mut self, start: usize, out: &mut Vec<u8>) -> bool;
}

/// Writes records as documents. Keep one for many shares: it holds buffers.
#[derive(Clone, Debug)]
pub struct DocumentWriter {
    scratch: Scratch,
}

/// What outlives a document, so that a record costs no allocation.
#[derive(Clone, Debug)]
struct Scratch {
    /// The record at hand, without what it shares with others.
    draft: Draft,
    time: TimestampWriter,
    /// Records are often observed in another second than that of their event, and a writer remembers one.
    observed: TimestampWriter,
    group: GroupText,
    attributes: Attributes,
}

impl DocumentWriter {
    /// `promote` names the resource attributes that also appear at top level, in this order, where their names are free.
    pub fn new(promote: &[String]) -> Self {
        let mut promoted: Vec<Promoted> = Vec::new();
        for name in promote {
            if !promoted.iter().any(|other| other.is(name.as_bytes())) {
                promoted.push(Promoted::new(name));
            }
        }
        let group = GroupText::new(promoted);
        Self {
            scratch: Scratch {
                draft: Draft::default(),
                time: TimestampWriter::default(),
                observed: TimestampWriter::default(),
                group,
                attributes: Attributes::default(),
            },
        }
    }

    /// Appends the records of `share` to `out` in order, each as `framing` begins it, the document, and a line break.
    /// Stops where `framing` says that one does not fit, and returns how many did.
    pub fn write(&mut self, share: &Share, out: &mut Vec<u8>, framing: &mut dyn Framing) -> u32 {
        self.write_items(&share.body, &mut share.items(), out, framing)
    }

    /// One record's document, without a line break.
    pub fn document(&mut self, body: &Body, item: u32) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_items(body, &mut std::iter::once(item), &mut out, &mut Bare);
        out.pop();
        out
    }

    fn write_items(
        &mut self,
        body: &Body,
        items: &mut dyn Iterator<Item = u32>,
        out: &mut Vec<u8>,
        framing: &mut dyn Framing,
    ) -> u32 {
        match body.wire {
            WireId::OtlpLogs => {
                let mut document = RecordDocument::new(body, &mut self.scratch, out, framing);
                otlp::walk_logs(&body.bytes, &body.index, items, &mut document);
                document.finish()
            }
            WireId::OtlpTraces => {
                let mut document = RecordDocument::new(body, &mut self.scratch, out, framing);
                otlp::walk_spans(&body.bytes, &body.index, items, &mut document);
                document.finish()
            }
            WireId::OtlpMetrics => {
                let mut document = RecordDocument::new(body, &mut self.scratch, out, framing);
                otlp::walk_points(&body.bytes, &body.index, items, &mut document);
                document.finish()
            }
            WireId::Json | WireId::JsonLines | WireId::Bulk => self.splice(body, items, out, framing),
            WireId::Forward => forward::write(body, items, &mut self.scratch, out, framing),
            WireId::RemoteWrite1 | WireId::RemoteWrite2 => {
                let mut document = SampleDocument::new(body, &mut self.scratch, out, framing);
                let version = remote_write::Version::of(body.wire);
                remote_write::walk(&body.bytes, version, &body.index, items, &mut document);
                document.finish()
            }
            WireId::LokiProto => self.entries(body, items, out, framing),
            WireId::Syslog => self.messages(body, items, out, framing),
        }
    }

    fn splice(
        &mut self,
        body: &Body,
        items: &mut dyn Iterator<Item = u32>,
        out: &mut Vec<u8>,
        framing: &mut dyn Framing,
    ) -> u32 {
        let time = &mut self.scratch.time;
        each(body, items, out, framing, &mut |item, out| {
            json::splice(&body.bytes, &body.index, item, time, out);
        })
    }

    fn entries(
        &mut self,
        body: &Body,
        items: &mut dyn Iterator<Item = u32>,
        out: &mut Vec<u8>,
        framing: &mut dyn Framing,
    ) -> u32 {
        let Scratch { draft, time, .. } = &mut self.scratch;
        draft.read_from(body.bytes.clone());
        let mut stream = loki::Stream::default();
        let written = each(body, items, out, framing, &mut |item, out| {
            draft.clear();
            stream.write(body, item, time, draft);
            out.extend_from_slice(draft.as_slice());
        });
        draft.clear();
        draft.read_from(Bytes::new());
        written
    }

    fn messages(
        &mut self,
        body: &Body,
        items: &mut dyn Iterator<Item = u32>,
        out: &mut Vec<u8>,
        framing: &mut dyn Framing,
    ) -> u32 {
        let Scratch { draft, time, .. } = &mut self.scratch;
        draft.read_from(body.bytes.clone());
        let written = each(body, items, out, framing, &mut |item, out| {
            draft.clear();
            syslog::write(body, item, time, draft);
            out.extend_from_slice(draft.as_slice());
        });
        draft.clear();
        draft.read_from(Bytes::new());
        written
    }
}

/// Writes documents that are independent of each other, as long as they fit; says how many did.
fn each(
    body: &Body,
    items: &mut dyn Iterator<Item = u32>,
    out: &mut Vec<u8>,
    framing: &mut dyn Framing,
    write: &mut dyn FnMut(u32, &mut Vec<u8>),
) -> u32 {
    let mut written = 0;
    for item in items {
        let start = out.len();
        framing.begin(body, item, out);
        write(item, out);
        out.push(b'\n');
        if !framing.end(start, out) {
            out.truncate(start);
            break;
        }
        written += 1;
    }
    written
}

/// No framing, no limit.
#[derive(Debug)]
struct Bare;

impl Framing for Bare {
    fn begin(&mut self, _: &Body, _: u32, _: &mut Vec<u8>) {}

    fn end(&mut self, _: usize, _: &mut Vec<u8>) -> bool {
        true
    }
}
