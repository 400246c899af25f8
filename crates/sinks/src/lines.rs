//! JSON lines: documents and nothing else, as the file and standard output sinks write them.

use forebay_pipeline::body::{Body, Share};
use forebay_pipeline::deliver::{Encoder, Payload};
use forebay_pipeline::document::{DocumentWriter, Framing};
use std::sync::Arc;

/// Gathers documents, one on a line.
#[derive(Debug)]
pub(crate) struct LineEncoder {
    destination: Arc<str>,
    writer: DocumentWriter,
    text: Vec<u8>,
    limit: usize,
    records: u32,
}

impl LineEncoder {
    pub(crate) fn new(destination: &str, limit: usize, writer: DocumentWriter) -> Self {
        Self { destination: destination.into(), writer, text: Vec::new(), limit, records: 0 }
    }
}

#[derive(Debug)]
struct UpTo {
    limit: usize,
}

impl Framing for UpTo {
    fn begin(&mut self, _: &Body, _: u32, _: &mut Vec<u8>) {}

    fn end(&mut self, start: usize, out: &mut Vec<u8>) -> bool {
        start == 0 || out.len() <= self.limit
    }
}

impl Encoder for LineEncoder {
    fn push(&mut self, share: &Share) -> u32 {
        let written = self.writer.write(share, &mut self.text, &mut UpTo { limit: self.limit });
        self.records += written;
        written
    }

    fn len(&self) -> usize {
        self.text.len()
    }

    fn finish(self: Box<Self>) -> Payload {
        Payload {
            destination: self.destination,
            bytes: self.text.into(),
            gzip: false,
            records: self.records,
            id: 0,
        }
    }
}
