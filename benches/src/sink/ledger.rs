//! What the sink has been given, over the whole run.

use std::collections::HashMap;

use super::scan::{Sample, Tally};

/// Counts of everything that arrived. Its memory is one bit per record of the run, eight bytes per `_id`, and the
/// samples (one document in a thousand).
#[derive(Debug, Default)]
pub struct Ledger {
    seen: Vec<u64>,
    /// How often each sequence number arrived, where requests are sent more than once.
    arrivals: Vec<u32>,
    ids: Vec<u64>,
    /// Bulks read in full.
    pub bulks: u64,
    /// Bulks that could not be read as pairs of lines, with the reason of the last.
    pub malformed: u64,
    pub last_fault: Option<String>,
    /// Documents in them.
    pub documents: u64,
    /// Bytes of the documents and their action lines, uncompressed.
    pub bytes: u64,
    /// Bytes of the bodies on the wire.
    pub wire_bytes: u64,
    /// Documents whose sequence number had arrived before.
    pub duplicates: u64,
    /// Documents with a sequence number that nobody sent, or with none.
    pub strangers: u64,
    pub indices: HashMap<String, u64>,
    pub samples: Vec<Sample>,
}

impl Ledger {
    /// A ledger for the sequence numbers `0..records`.
    #[must_use]
    pub fn new(records: u64) -> Self {
        Self { seen: vec![0; records.div_ceil(64) as usize], ..Self::default() }
    }

    /// A ledger for the sequence numbers `0..records`, each of which may arrive any number of times. Ids and samples are not kept.
    #[must_use]
    pub fn counting(records: u64) -> Self {
        Self { arrivals: vec![0; records as usize], ..Self::default() }
    }

    /// How often this sequence number arrived, if the ledger counts.
    #[must_use]
    pub fn arrivals(&self, sequence: u64) -> u32 {
        self.arrivals.get(sequence as usize).copied().unwrap_or(0)
    }

    /// Enters a bulk that was read to its end; `wire_bytes` is its size as it came.
    pub fn commit(&mut self, tally: Tally, wire_bytes: u64) {
        self.bulks += 1;
        self.documents += tally.documents;
        self.bytes += tally.bytes;
        self.wire_bytes += wire_bytes;
        self.strangers += tally.strangers;
        if !self.arrivals.is_empty() {
            for sequence in tally.sequences {
                match self.arrivals.get_mut(sequence as usize) {
                    Some(count) => *count += 1,
                    None => self.strangers += 1,
                }
            }
            return;
        }
        self.ids.extend_from_slice(&tally.ids);
        self.samples.extend(tally.samples);
        for (index, count) in tally.indices {
            *self.indices.entry(index).or_default() += count;
        }
        for sequence in tally.sequences {
            let bit = 1 << (sequence % 64);
            match self.seen.get_mut((sequence / 64) as usize) {
                None => self.strangers += 1,
                Some(word) if *word & bit != 0 => self.duplicates += 1,
                Some(word) => *word |= bit,
            }
        }
    }

    /// Enters a body that was no bulk.
    pub fn refuse(&mut self, fault: String) {
        self.malformed += 1;
        self.last_fault = Some(fault);
    }

    /// How many of the sequence numbers `0..sent` have not arrived, and the first of them.
    #[must_use]
    pub fn missing(&self, sent: u64) -> (u64, Option<u64>) {
        let arrived = |sequence: u64| {
            let word = self.seen.get((sequence / 64) as usize);
            word.is_some_and(|bits| bits & (1 << (sequence % 64)) != 0)
        };
        let mut count = 0;
        let mut first = None;
        for sequence in 0..sent {
            if !arrived(sequence) {
                count += 1;
                first = first.or(Some(sequence));
            }
        }
        (count, first)
    }

    /// Documents that came with an `_id`, and how many of those ids some other document had too.
    pub fn ids(&mut self) -> (u64, u64) {
        self.ids.sort_unstable();
        let repeated = self.ids.windows(2).filter(|pair| pair[0] == pair[1]).count();
        (self.ids.len() as u64, repeated as u64)
    }
}
