//! The bodies of a round, made before the clock starts, so that the load core only sends while it runs.

use std::io::Write;

use anyhow::{Context, Result};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Protocol, beats, grpc};
use crate::corpus::{Corpus, Keys, zstd_ratio};

/// How a body looks on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub protocol: Protocol,
    /// Records in each request.
    pub records: usize,
    /// Members of a JSON line.
    pub keys: Keys,
    /// Bodies are compressed.
    pub gzip: bool,
}

/// The stated entropy is that of so many bodies, or of so many bytes.
const ENTROPY_BODIES: u64 = 32;
const ENTROPY_BYTES: usize = 4 << 20;

/// Requests that an estimate of sizes is made from.
const ESTIMATE_REQUESTS: u64 = 8;

impl Shape {
    /// Request `number` without compression or gRPC prefix.
    #[must_use]
    pub fn plain(&self, corpus: &Corpus, number: u64) -> Bytes {
        match self.protocol {
            Protocol::Ndjson => corpus.ndjson_body(number, self.records, self.keys),
            Protocol::Bulk => bulk(&corpus.ndjson_body(number, self.records, self.keys)),
            Protocol::Beats => beats::window(&corpus.ndjson_body(number, self.records, self.keys)),
            Protocol::OtlpGrpc | Protocol::OtlpHttp => corpus.otlp_body(number, self.records),
        }
    }

    /// Bytes per uncompressed request, on average.
    #[must_use]
    pub fn mean_bytes(&self, corpus: &Corpus) -> usize {
        let total: usize = (0..ESTIMATE_REQUESTS).map(|number| self.plain(corpus, number).len()).sum();
        total / ESTIMATE_REQUESTS as usize
    }

    /// Uncompressed bytes per byte of zstd level 3, over several requests together.
    ///
    /// # Errors
    /// See [`zstd_ratio`].
    pub fn entropy(&self, corpus: &Corpus) -> Result<f64> {
        let mut bodies = Vec::new();
        let mut bytes = 0;
        for number in 0..ENTROPY_BODIES {
            let body = self.plain(corpus, number);
            bytes += body.len();
            bodies.push(body);
            if bytes >= ENTROPY_BYTES {
                break;
            }
        }
        Ok(zstd_ratio(bodies.iter().map(|body| &body[..]))?)
    }

    fn body(&self, corpus: &Corpus, number: u64) -> Result<Bytes> {
        let mut body = self.plain(corpus, number);
        if self.gzip && self.protocol == Protocol::Beats {
            return beats::compressed(&body);
        }
        if self.gzip {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&body).context("compressing a request")?;
            body = Bytes::from(encoder.finish().context("compressing a request")?);
        }
        if self.protocol == Protocol::OtlpGrpc {
            body = grpc::frame(&body, self.gzip);
        }
        Ok(body)
    }

    /// Requests `first..first + count`, ready to be sent. All are in memory at once: the caller bounds `count`.
    ///
    /// # Errors
    /// A body could not be compressed.
    pub fn bodies(&self, corpus: &Corpus, first: u64, count: u64) -> Result<Vec<Bytes>> {
        (first..first + count).map(|number| self.body(corpus, number)).collect()
    }
}

/// Each line with the action in front of it that agents write.
fn bulk(lines: &[u8]) -> Bytes {
    const ACTION: &[u8] = b"{\"create\":{\"_index\":\"app-logs\"}}\n";
    let mut body = Vec::with_capacity(lines.len() * 9 / 8);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        body.extend_from_slice(ACTION);
        body.extend_from_slice(line);
    }
    body.into()
}
