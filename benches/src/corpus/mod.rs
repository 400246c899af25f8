//! The seeded corpus: one set of records behind every bench, in every wire format, with the document each must become.
//!
//! Everything is a function of the seed, the start time and a sequence number, so a body can be made, forgotten, and its
//! documents still be predicted ([`Corpus::record`] needs no predecessor). Nothing of a record repeats between requests:
//! ids, times, values and text are its own. Resources repeat, as those of a real fleet do: there are [`RESOURCES`].
//!
//! The sizes are those of the figures this project compares itself with: about 335 bytes per OTLP record in requests of
//! 500 (one resource of 8 attributes, 6 attributes per record, a text of about 115 bytes), and JSON lines of about
//! 344 bytes (10 keys) or 571 bytes (18 keys).

mod entropy;
mod generate;
pub mod model;
pub mod ndjson;
pub mod oracle;
pub mod otlp;
mod rng;

use bytes::Bytes;

pub use entropy::zstd_ratio;
pub use ndjson::Keys;

use model::{Record, Request, Resource, Scope};

/// Distinct resources; request `n` has resource `n % RESOURCES`.
pub const RESOURCES: usize = 256;

/// Distinct scopes.
pub const SCOPES: usize = 32;

/// The integer attribute (OTLP) or member (JSON) that says which record a document is.
pub const SEQUENCE_KEY: &str = "bench.seq";

/// All records there could be, under one seed.
#[derive(Debug, Clone)]
pub struct Corpus {
    seed: u64,
    start_unix_nano: u64,
    resources: Vec<Resource>,
    scopes: Vec<Scope>,
}

impl Corpus {
    /// The corpus of `seed`, whose event times begin at `start_unix_nano` (ns since 1970) and rise by about 700 ns per
    /// record. A load generator passes the clock, so that documents are fresh; a micro bench a constant, so that
    /// instruction counts repeat.
    #[must_use]
    pub fn new(seed: u64, start_unix_nano: u64) -> Self {
        Self {
            seed,
            start_unix_nano,
            resources: (0..RESOURCES).map(|number| generate::resource(seed, number)).collect(),
            scopes: (0..SCOPES).map(|number| generate::scope(seed, number)).collect(),
        }
    }

    /// The resource of request `request`.
    #[must_use]
    pub fn resource(&self, request: u64) -> &Resource {
        &self.resources[(request % RESOURCES as u64) as usize]
    }

    /// The scope of request `request`.
    #[must_use]
    pub fn scope(&self, request: u64) -> &Scope {
        &self.scopes[(request % SCOPES as u64) as usize]
    }

    /// The record with this sequence number.
    #[must_use]
    pub fn record(&self, sequence: u64) -> Record {
        generate::record(self.seed, self.start_unix_nano, sequence)
    }

    /// Request `number` of a series in which each has `records` records: those from sequence number
    /// `number * records`.
    #[must_use]
    pub fn request(&self, number: u64, records: usize) -> Request<'_> {
        let first = number * records as u64;
        Request {
            resource: self.resource(number),
            scope: self.scope(number),
            records: (first..first + records as u64).map(|sequence| self.record(sequence)).collect(),
        }
    }

    /// [`Corpus::request`] as an `ExportLogsServiceRequest`.
    #[must_use]
    pub fn otlp_body(&self, number: u64, records: usize) -> Bytes {
        Bytes::from(otlp::encode(&self.request(number, records)))
    }

    /// [`Corpus::request`] as newline-delimited JSON.
    #[must_use]
    pub fn ndjson_body(&self, number: u64, records: usize, keys: Keys) -> Bytes {
        Bytes::from(ndjson::encode(&self.request(number, records), keys))
    }
}

#[cfg(test)]
mod tests;
