//! The door's entry for a request, which is made whatever becomes of it.

use crate::ledger::Door;
use std::sync::Arc;

/// The door's entry for one request whose records are known: refused, unless it is said to be admitted.
#[derive(Debug)]
pub(crate) struct Tally {
    door: Option<Arc<Door>>,
    records: u64,
    rejected: u64,
}

impl Tally {
    pub(crate) fn new(door: &Arc<Door>, records: u64, rejected: u64) -> Self {
        Self { door: Some(Arc::clone(door)), records, rejected }
    }

    /// The records were taken.
    pub(crate) fn admitted(mut self) {
        if let Some(door) = self.door.take() {
            door.count(self.records, self.rejected, 0);
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        if let Some(door) = self.door.take() {
            door.count(0, 0, self.records + self.rejected);
        }
    }
}
