//! The bulk body: an action line and a document for each record, compressed as it is written if wanted.

use super::OpType;
use crate::pool::Pool;
use flate2::Compression;
use flate2::write::GzEncoder;
use forebay_pipeline::body::{Body, Share};
use forebay_pipeline::deliver::{Encoder, Payload};
use forebay_pipeline::document::{DocumentWriter, Framing};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// zlib's fastest: level 6 costs three times as much for a tenth of the bytes.
const GZIP_LEVEL: u32 = 1;
/// Text is compressed in pieces of this size (bytes), so that it never lies beside its compressed form as a whole.
const GZIP_PIECE: usize = 64 << 10;

/// What the bodies of one sink look like.
#[derive(Clone, Debug)]
pub(super) struct BulkShape {
    pub(super) op: OpType,
    ids: bool,
    gzip: bool,
    /// Bodies that were sent, to be written anew.
    pool: Pool,
}

impl BulkShape {
    pub(super) fn new(op: OpType, ids: bool, gzip: bool) -> Self {
        Self { op, ids, gzip, pool: Pool::default() }
    }
}

#[derive(Debug)]
pub(super) struct BulkEncoder {
    destination: Arc<str>,
    writer: DocumentWriter,
    shape: BulkShape,
    actions: Actions,
    /// What was not compressed yet; without compression, everything.
    text: Vec<u8>,
    payloads: Arc<AtomicU64>,
}

impl BulkEncoder {
    pub(super) fn new(
        destination: &str,
        limit: usize,
        writer: DocumentWriter,
        shape: BulkShape,
        payloads: Arc<AtomicU64>,
    ) -> Self {
        let gzip = shape.gzip.then(|| GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL)));
        let destination = Arc::from(destination);
        let actions = Actions {
            destination: Arc::clone(&destination),
            op: shape.op,
            ids: shape.ids,
            limit,
            gzip,
            compressed: 0,
            records: 0,
        };
        let text = shape.pool.take();
        Self { destination, writer, shape, actions, text, payloads }
    }
}

impl Encoder for BulkEncoder {
    fn push(&mut self, share: &Share) -> u32 {
        self.writer.write(share, &mut self.text, &mut self.actions)
    }

    fn len(&self) -> usize {
        self.actions.compressed + self.text.len()
    }

    fn finish(mut self: Box<Self>) -> Payload {
        self.actions.compress(&mut self.text);
        let records = self.actions.records;
        let bytes = match self.actions.gzip.take() {
            // Writing to a vector cannot fail.
            Some(gzip) => gzip.finish().unwrap_or_default().into(),
            // A vector grows by doubling, so a full body may have room for another.
            None => self.shape.pool.lend(self.text, self.actions.limit.saturating_mul(2)),
        };
        Payload {
            destination: self.destination,
            bytes,
            gzip: self.shape.gzip,
            records,
            id: self.payloads.fetch_add(1, Relaxed),
        }
    }
}

/// Writes action lines, and watches the size.
#[derive(Debug)]
struct Actions {
    destination: Arc<str>,
    op: OpType,
    ids: bool,
    /// Bytes of text that may be in one body, unless one record alone is larger.
    limit: usize,
    gzip: Option<GzEncoder<Vec<u8>>>,
    /// Bytes of text that went into `gzip`.
    compressed: usize,
    records: u32,
}

impl Actions {
    fn compress(&mut self, text: &mut Vec<u8>) {
        if let Some(gzip) = &mut self.gzip {
            // Writing to a vector cannot fail.
            let _ = gzip.write_all(text);
            self.compressed += text.len();
            text.clear();
        }
    }
}

impl Framing for Actions {
    fn begin(&mut self, body: &Body, item: u32, out: &mut Vec<u8>) {
        let open: &[u8] = match self.op {
            OpType::Create => b"{\"create\":{",
            OpType::Index => b"{\"index\":{",
        };
        out.extend_from_slice(open);
        if self.ids {
            let start = out.len();
            out.extend_from_slice(b"\"_id\":\"");
            if body.write_id(item, &self.destination, out) {
                out.push(b'"');
            } else {
                out.truncate(start);
            }
        }
        out.extend_from_slice(b"}}\n");
    }

    fn end(&mut self, _: usize, out: &mut Vec<u8>) -> bool {
        if self.compressed + out.len() > self.limit && self.records > 0 {
            return false;
        }
        self.records += 1;
        if self.gzip.is_some() && out.len() >= GZIP_PIECE {
            self.compress(out);
        }
        true
    }
}
