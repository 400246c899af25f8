//! The door's entry for a request, which is made whatever becomes of it.

use crate::ledger::Door;
use crate::tenant::Tenant;
use std::sync::Arc;

/// The door's entry for one request whose records are known: refused, unless it is said to be admitted.
#[derive(Debug)]
pub(crate) struct Tally {
    door: Option<Arc<Door>>,
    tenant: Option<Arc<Tenant>>,
    records: u64,
    rejected: u64,
}

impl Tally {
    pub(crate) fn new(door: &Arc<Door>, tenant: Option<Arc<Tenant>>, records: u64, rejected: u64) -> Self {
        Self { door: Some(Arc::clone(door)), tenant, records, rejected }
    }

    /// The records were taken.
    pub(crate) fn admitted(mut self) {
        self.count(self.records, self.rejected, 0);
    }

    /// Makes the entry, if there is none yet.
    fn count(&mut self, admitted: u64, rejected: u64, refused: u64) {
        if let Some(door) = self.door.take() {
            door.count(admitted, rejected, refused);
            if let Some(tenant) = &self.tenant {
                tenant.count(admitted, rejected, refused);
            }
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.count(0, 0, self.records + self.rejected);
    }
}
