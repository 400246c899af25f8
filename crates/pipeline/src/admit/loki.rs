//! Admission of pushes to Loki.

use super::{Admitted, Checked, Intake, Refusal, Request, all_have_time, unless_malformed};
use crate::ids::Ids;
use crate::ledger::Door;
use crate::wire::WireId;
use std::sync::Arc;

impl Intake {
    /// Admits a `PushRequest` of Loki's. Counts its entries at `door`. What is pushed again has the ids that it had, if every entry has a time.
    pub fn admit_loki(&self, request: Request, door: &Arc<Door>) -> Result<Admitted, Refusal> {
        let arrived = crate::time::now();
        let index = unless_malformed(self.rules.check_loki(&request.bytes, arrived), door)?;
        let ids = match all_have_time(&index) {
            true => Ids::Content(crate::ids::content_ids(&request.bytes, &index)),
            false => self.minted(),
        };
        self.take(request, Checked { wire: WireId::LokiProto, index, ids, arrived, beside: 0 }, door)
    }
}
