//! What one client sent and was told: one entry a batch, for all records of a batch share their fate.

use crate::record::{Kind, Origin};

/// One batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Batch {
    /// How often it was sent.
    pub attempts: u32,
    pub acknowledged: bool,
}

/// A client's book.
#[derive(Clone, Debug)]
pub struct Book {
    pub origin: Origin,
    pub batches: Vec<Batch>,
}

/// How many documents of a record there must and may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Copies that were acknowledged.
    pub least: u32,
    /// Copies that were sent at all, were each stored once.
    pub once: u32,
    /// Copies that were sent, each as often as it was tried: what no id can tell apart.
    pub most: u32,
}

impl Book {
    pub fn new(origin: Origin) -> Self {
        Self { origin, batches: Vec::new() }
    }

    /// Records that were sent, acknowledged or not.
    pub fn records(&self) -> u32 {
        self.batches.len() as u32 * self.origin.batch
    }

    /// The records of batch `number`, in the order in which they are sent.
    pub fn numbers(&self, number: usize) -> Vec<u32> {
        let first = number as u32 * self.origin.batch;
        let mut numbers = Vec::with_capacity(self.origin.batch as usize + 8);
        if let Some(last) = first.checked_sub(1)
            && self.origin.kind(last) == Kind::Echo
        {
            numbers.push(last);
        }
        for record in first..first + self.origin.batch {
            numbers.push(record);
            if self.origin.kind(record) == Kind::Twin {
                numbers.push(record);
            }
        }
        numbers
    }

    /// Copies of a record in all batches.
    pub fn bounds(&self, record: u32) -> Bounds {
        let at = (record / self.origin.batch) as usize;
        let kind = self.origin.kind(record);
        let mut bounds = Bounds::default();
        let copies = if kind == Kind::Twin { 2 } else { 1 };
        bounds.add(self.batches.get(at), copies);
        if kind == Kind::Echo {
            bounds.add(self.batches.get(at + 1), 1);
        }
        bounds
    }

    /// Lines of a batch that the door must reject.
    pub fn spoilt(&self, numbers: &[u32]) -> u64 {
        numbers.iter().filter(|number| self.origin.kind(**number) == Kind::Spoilt).count() as u64
    }
}

impl Bounds {
    fn add(&mut self, batch: Option<&Batch>, copies: u32) {
        let Some(batch) = batch else { return };
        self.least += if batch.acknowledged { copies } else { 0 };
        self.once += if batch.attempts > 0 { copies } else { 0 };
        self.most += batch.attempts * copies;
    }
}
