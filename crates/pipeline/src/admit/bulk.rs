//! Admission of a bulk, whose client is answered for each item.

use super::{Admitted, Intake, Refusal, Request, unless_malformed};
use crate::budget::Lease;
use crate::ledger::Door;
use crate::wire::WireId;
use crate::wire::json::bulk;
use bytes::Bytes;
use std::sync::Arc;

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
        }
        let (mut items, mut weight) = (Vec::new(), 0);
        let mut told = |item: bulk::Item| {
            weight += item.weight();
            items.push(item);
        };
        let checked = self.rules.check_bulk(&request.bytes, arrived, &request.receiver, &mut told);
        let mut index = unless_malformed(checked, door)?;
        // Here, because what is taken must be answered for.
        let lease = self.budget.lease(weight).map_err(|exhausted| {
            door.count(0, 0, items.len() as u64);
            exhausted.beside(request.bytes.len())
        })?;
        let ids = self.json_ids(&request.bytes, &mut index);
        let items = BulkItems { body: request.bytes.clone(), items, lease };
        Ok((self.take(request, WireId::Bulk, index, ids, arrived, door)?, items))
    }
}
