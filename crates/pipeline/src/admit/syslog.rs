//! Admission of messages of syslog.

use super::{Admitted, Checked, Intake, Refusal, Request, unless_malformed};
use crate::ledger::Door;
use crate::wire::WireId;
use std::sync::Arc;

impl Intake {
    /// Admits messages of syslog. Counts them at `door`.
    pub fn admit_syslog(&self, request: Request, door: &Arc<Door>) -> Result<Admitted, Refusal> {
        let arrived = crate::time::now();
        let checked = self.rules.check_syslog(&request.bytes, arrived, &request.receiver);
        let index = unless_malformed(checked, door)?;
        let ids = self.minted();
        self.take(request, Checked { wire: WireId::Syslog, index, ids, arrived, beside: 0 }, door)
    }
}
