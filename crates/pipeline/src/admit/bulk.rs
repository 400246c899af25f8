//! Admission of a bulk, whose client is answered for each item.

use super::{Admitted, Checked, Intake, Refusal, Request, unless_malformed};
use crate::budget::{Exhausted, Lease};
use crate::ledger::Door;
use crate::wire::WireId;
use crate::wire::json::bulk;
use bytes::Bytes;
use std::sync::Arc;

/// Items are leased in steps of so many bytes.
const STEP_BYTES: usize = 64 << 10;

/// The items of a bulk, in order.
#[derive(Debug)]
pub struct BulkItems {
    /// What names and ids are places in.
    pub body: Bytes,
    pub items: Vec<bulk::Item>,
    /// On the items and on the answer that is written of them.
    pub lease: Lease,
}

impl Intake {
    /// Admits a bulk of Elasticsearch's, and says of each item what became of it so far. `defaults` is what its address says for all actions, as an
    /// object of metadata, or nothing. Counts records at `door`.
    pub fn admit_bulk(
        &self,
        mut request: Request,
        door: &Arc<Door>,
        defaults: &[u8],
    ) -> Result<(Admitted, BulkItems), Refusal> {
        let arrived = crate::time::now();
        unless_malformed(bulk::check_end(&request.bytes), door)?;
        if !defaults.is_empty() {
            let len = request.bytes.len() + defaults.len();
            // The old bytes stay until they are copied.
            request.lease.resize(request.bytes.len() + len).inspect_err(|_| door.count_unread())?;
            let mut bytes = Vec::with_capacity(len);
            bytes.extend_from_slice(&request.bytes);
            bytes.extend_from_slice(defaults);
            request.bytes = bytes.into();
            // Less than before, so it is given.
            let _ = request.lease.resize(len);
        }
        let mut gathering = Gathering::new(self.budget.lease(0)?);
        let mut told = |item| gathering.push(item);
        let checked = self.rules.check_bulk(&request.bytes, arrived, &request.receiver, &mut told);
        let mut index = unless_malformed(checked, door)?;
        // Here, because what is taken must be answered for.
        let Gathering { items, mut lease, weight, count, exhausted } = gathering;
        if let Some(exhausted) = exhausted.map(|items| items.beside(request.lease.bytes())) {
            let (rejected, refused) = if exhausted.is_hopeless() { (count, 0) } else { (0, count) };
            request.count(door, 0, rejected, refused);
            return Err(exhausted.into());
        }
        // The rest of the last step may be what the body has not room for. Less than before, so it is given.
        let _ = lease.resize(weight);
        let ids = self.json_ids(&request.bytes, &mut index);
        let items = BulkItems { body: request.bytes.clone(), items, lease };
        let checked = Checked { wire: WireId::Bulk, index, ids, arrived, beside: weight };
        Ok((self.take(request, checked, door)?, items))
    }
}

/// Items as they are read, leased in steps: many can stand in few bytes.
struct Gathering {
    items: Vec<bulk::Item>,
    lease: Lease,
    weight: usize,
    count: u64,
    exhausted: Option<Exhausted>,
}

impl Gathering {
    fn new(lease: Lease) -> Self {
        Self { items: Vec::new(), lease, weight: 0, count: 0, exhausted: None }
    }

    fn push(&mut self, item: bulk::Item) {
        self.count += 1;
        if self.exhausted.is_some() {
            return;
        }
        self.weight += item.weight();
        if let Err(exhausted) = self.grow() {
            self.exhausted = Some(exhausted);
            self.items = Vec::new();
            return;
        }
        self.items.push(item);
    }

    /// Leases a step more where the lease is too small, or no more than what is needed where there is no room for a step.
    fn grow(&mut self) -> Result<(), Exhausted> {
        if self.weight <= self.lease.bytes() {
            return Ok(());
        }
        self.lease.resize(self.weight + STEP_BYTES).or_else(|_| self.lease.resize(self.weight))
    }
}
