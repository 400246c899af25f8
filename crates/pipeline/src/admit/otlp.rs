//! Admission of OTLP: any signal, protobuf or JSON.

use super::{Admitted, Checked, Intake, OtlpIds, Refusal, Request, all_have_time, unless_malformed};
use crate::Signal;
use crate::ids::Ids;
use crate::ledger::Door;
use crate::planted;
use crate::wire::{WireId, otlp};
use std::sync::Arc;

impl From<otlp::Untranslated> for Refusal {
    fn from(untranslated: otlp::Untranslated) -> Self {
        match untranslated {
            otlp::Untranslated::Malformed(malformed) => Self::Malformed(malformed),
            otlp::Untranslated::Exhausted(exhausted) => Self::Exhausted(exhausted),
        }
    }
}

impl Intake {
    /// Admits a request of OTLP of this signal. Counts its records at `door`.
    pub fn admit_otlp(
        &self,
        signal: Signal,
        mut request: Request,
        door: &Arc<Door>,
        ids: OtlpIds,
    ) -> Result<Admitted, Refusal> {
        let arrived = crate::time::now();
        let (mut index, layout) =
            unless_malformed(self.rules.check_otlp(signal, &request.bytes, arrived), door)?;
        if layout == otlp::Layout::Scattered {
            let records = index.records.len() as u64;
            drop(index);
            let most = request.bytes.len() * otlp::NORMALIZE_EXPANSION;
            self.charge(&mut request, most, 0, records, door)?;
            request.bytes = unless_malformed(otlp::normalize(signal, &request.bytes), door)?.into();
            index = unless_malformed(self.rules.check_otlp(signal, &request.bytes, arrived), door)?.0;
        }
        let ids = match ids {
            OtlpIds::Content if !planted::is("no-content-ids") && all_have_time(&index) => {
                Ids::Content(crate::ids::content_ids(&request.bytes, &index))
            }
            OtlpIds::None => Ids::None,
            OtlpIds::Content | OtlpIds::Minted => self.minted(),
        };
        let wire = match signal {
            Signal::Logs => WireId::OtlpLogs,
            Signal::Traces => WireId::OtlpTraces,
            Signal::Metrics => WireId::OtlpMetrics,
        };
        self.take(request, Checked { wire, index, ids, arrived, beside: 0 }, door)
    }

    /// The same in OTLP's JSON.
    pub fn admit_otlp_json(
        &self,
        signal: Signal,
        mut request: Request,
        door: &Arc<Door>,
        ids: OtlpIds,
    ) -> Result<Admitted, Refusal> {
        let translated = otlp::from_json(signal, &request.bytes, &mut request.lease);
        request.bytes = translated.inspect_err(|_| door.count_unread())?.into();
        self.admit_otlp(signal, request, door, ids)
    }
}
