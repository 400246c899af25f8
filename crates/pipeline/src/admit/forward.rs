//! Admission of events of Fluent Forward.

use super::{Admitted, Checked, Intake, Refusal, Request, all_have_time, unless_malformed};
use crate::ids::{Ids, content_ids};
use crate::ledger::Door;
use crate::planted;
use crate::wire::WireId;
use std::sync::Arc;

impl Intake {
    /// Admits a body of Fluent Forward's. Counts its entries at `door`.
    ///
    /// Those of a chunk that has a name get ids of that name and their content: sent again they are recognised, and honest twins in other
    /// chunks are not taken for them. What has no name is never sent again, and gets minted ids.
    pub fn admit_forward(&self, request: Request, door: &Arc<Door>) -> Result<Admitted, Refusal> {
        let arrived = crate::time::now();
        let index = unless_malformed(self.rules.check_forward(&request.bytes, arrived), door)?;
        let is_named = index.groups.first().is_some_and(|group| group.scope.1 > 0);
        let ids = if is_named && all_have_time(&index) && !planted::is("no-content-ids") {
            Ids::Content(content_ids(&request.bytes, &index))
        } else {
            self.minted()
        };
        self.take(request, Checked { wire: WireId::Forward, index, ids, arrived, beside: 0 }, door)
    }
}
