//! Reading a bulk body as it arrives: lines in pairs, an action and its document.
//!
//! The sink shares its core with the load generator, so it does not parse JSON: of a document it looks for the sequence
//! member, of an action for `_index` and `_id`. Documents kept as samples are parsed after the run, in full.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use memchr::memchr;
use memchr::memmem::Finder;
use xxhash_rust::xxh3::xxh3_64;

use crate::corpus::ndjson::sequence_needle;

/// Every how many-th sequence number is kept to be compared with the oracle.
pub const SAMPLE_EVERY: u64 = 1_000;

/// Longest line of a bulk that the sink holds, in bytes: far above any document of the corpus.
const MAX_LINE: usize = 1 << 20;

/// A document kept for the comparison after the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    pub sequence: u64,
    pub index: String,
    pub document: Vec<u8>,
}

/// What one bulk held. It counts for nothing until the whole bulk has been read.
#[derive(Debug, Default)]
pub struct Tally {
    /// The sequence number of each document; documents without one are in `strangers`.
    pub sequences: Vec<u64>,
    /// A 64-bit hash of each `_id`.
    pub ids: Vec<u64>,
    /// Documents without a sequence number: nothing that was sent.
    pub strangers: u64,
    pub documents: u64,
    pub bytes: u64,
    pub indices: HashMap<String, u64>,
    pub samples: Vec<Sample>,
}

/// Splits a bulk body into lines and counts them; bodies may be fed in pieces of any size.
#[derive(Debug)]
pub struct Scanner {
    sequence: Finder<'static>,
    index: Finder<'static>,
    id: Finder<'static>,
    /// The index that the request's path names, for actions without one of their own.
    default_index: Option<String>,
    /// The beginning of a line whose end has not arrived.
    partial: Vec<u8>,
    /// The action line that waits for its document; empty when none does.
    action: Vec<u8>,
    /// One item of the answer per document.
    items: Vec<u8>,
    tally: Tally,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            sequence: Finder::new(sequence_needle().as_bytes()).into_owned(),
            index: Finder::new(b"\"_index\":\""),
            id: Finder::new(b"\"_id\":\""),
            default_index: None,
            partial: Vec::new(),
            action: Vec::new(),
            items: Vec::new(),
            tally: Tally::default(),
        }
    }
}

impl Scanner {
    /// A scanner of the bulk posted to `path`: `/_bulk`, or `/{index}/_bulk`.
    pub fn of_path(path: &str) -> Self {
        let index = path.strip_suffix("/_bulk").and_then(|before| before.strip_prefix('/'));
        Self { default_index: index.filter(|index| !index.is_empty()).map(str::to_owned), ..Self::default() }
    }

    /// Reads the next piece of the body.
    ///
    /// # Errors
    /// A line that is neither an action nor follows one, or that is longer than the sink holds.
    pub fn feed(&mut self, piece: &[u8]) -> Result<()> {
        let mut rest = piece;
        while let Some(end) = memchr(b'\n', rest) {
            if self.partial.is_empty() {
                self.line(&rest[..end])?;
            } else {
                let mut line = std::mem::take(&mut self.partial);
                line.extend_from_slice(&rest[..end]);
                self.line(&line)?;
                line.clear();
                self.partial = line;
            }
            rest = &rest[end + 1..];
        }
        if self.partial.len() + rest.len() > MAX_LINE {
            bail!("a line of more than {MAX_LINE} bytes");
        }
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    /// Ends the body: its tally, and the answer with one item per document.
    ///
    /// # Errors
    /// A body that ends inside a line or after an action without its document.
    pub fn finish(self) -> Result<(Tally, Vec<u8>)> {
        if !self.partial.is_empty() || !self.action.is_empty() {
            bail!("the bulk ends inside a pair of lines");
        }
        let mut answer = Vec::with_capacity(self.items.len() + 64);
        answer.extend_from_slice(b"{\"errors\":false,\"took\":1,\"items\":[");
        answer.extend_from_slice(&self.items);
        answer.extend_from_slice(b"]}");
        Ok((self.tally, answer))
    }

    fn line(&mut self, line: &[u8]) -> Result<()> {
        if self.action.is_empty() {
            return self.action(line);
        }
        self.document(line)?;
        self.action.clear();
        Ok(())
    }

    fn action(&mut self, line: &[u8]) -> Result<()> {
        let operation: &[u8] = if line.starts_with(b"{\"create\":{") {
            b"{\"create\":{\"status\":201}}"
        } else if line.starts_with(b"{\"index\":{") {
            b"{\"index\":{\"status\":201}}"
        } else {
            bail!("not an action line: {}", String::from_utf8_lossy(&line[..line.len().min(80)]));
        };
        if !self.items.is_empty() {
            self.items.push(b',');
        }
        self.items.extend_from_slice(operation);
        self.action.extend_from_slice(line);
        Ok(())
    }

    fn document(&mut self, line: &[u8]) -> Result<()> {
        self.tally.documents += 1;
        self.tally.bytes += (self.action.len() + line.len() + 2) as u64;
        let index = match text_after(&self.index, &self.action) {
            Some(index) => std::str::from_utf8(index).context("an _index that is not UTF-8")?,
            None => {
                self.default_index.as_deref().context("neither the action nor the path names an index")?
            }
        };
        match self.tally.indices.get_mut(index) {
            Some(count) => *count += 1,
            None => {
                self.tally.indices.insert(index.to_owned(), 1);
            }
        }
        if let Some(id) = text_after(&self.id, &self.action) {
            self.tally.ids.push(xxh3_64(id));
        }
        let Some(sequence) = number_after(&self.sequence, line) else {
            self.tally.strangers += 1;
            return Ok(());
        };
        self.tally.sequences.push(sequence);
        if sequence.is_multiple_of(SAMPLE_EVERY) {
            let sample = Sample { sequence, index: index.to_owned(), document: line.to_vec() };
            self.tally.samples.push(sample);
        }
        Ok(())
    }
}

/// The text between the end of `needle` and the next quote. Index names and ids have no escapes.
fn text_after<'a>(needle: &Finder<'_>, line: &'a [u8]) -> Option<&'a [u8]> {
    let rest = &line[needle.find(line)? + needle.needle().len()..];
    Some(&rest[..memchr(b'"', rest)?])
}

fn number_after(needle: &Finder<'_>, line: &[u8]) -> Option<u64> {
    let rest = &line[needle.find(line)? + needle.needle().len()..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}
