//! Admission of remote-write, whose client is told how many records of each kind were written.

use super::{Admitted, Checked, Ids, Intake, Refusal, Request, unless_malformed};
use crate::budget::Lease;
use crate::ledger::Door;
use crate::wire::remote_write::ExemplarCounts;
use crate::wire::{Entry, Index, WireId};
use std::mem::size_of_val;
use std::sync::Arc;

/// What was written, as the answer's headers count it (2.0, "Required `Written` Response Headers").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WrittenCounts {
    pub samples: u64,
    pub histograms: u64,
    pub exemplars: u64,
}

/// The kinds of a request's records, to count those that were written.
#[derive(Debug)]
pub struct Written {
    kinds: Vec<Kind>,
    exemplars: ExemplarCounts,
    _lease: Lease,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sample,
    Histogram,
    /// Metadata, or exemplars alone.
    Other,
}

impl Written {
    /// What was written, if these records (ascending) were not.
    pub fn without(&self, refused: &[u32]) -> WrittenCounts {
        let is_refused = |item: u32| refused.binary_search(&item).is_ok();
        let mut counts = WrittenCounts::default();
        for (item, kind) in (0..).zip(&self.kinds) {
            match kind {
                _ if is_refused(item) => {}
                Kind::Sample => counts.samples += 1,
                Kind::Histogram => counts.histograms += 1,
                Kind::Other => {}
            }
        }
        let kept = self.exemplars.iter().filter(|(item, _)| !is_refused(*item));
        counts.exemplars = kept.map(|(_, count)| u64::from(*count)).sum();
        counts
    }

    fn of(index: &Index, exemplars: ExemplarCounts, lease: Lease) -> Self {
        let kind = |entry: &Entry| match entry.flags {
            flags if flags & (Entry::METADATA | Entry::EXEMPLARS_ALONE) != 0 => Kind::Other,
            flags if flags & Entry::HISTOGRAM != 0 => Kind::Histogram,
            _ => Kind::Sample,
        };
        Self { kinds: index.records.iter().map(kind).collect(), exemplars, _lease: lease }
    }
}

impl Intake {
    /// Admits a request of remote-write of either version. Counts its records at `door`.
    ///
    /// # Errors
    /// Nothing of it was taken.
    pub fn admit_remote_write(
        &self,
        request: Request,
        wire: WireId,
        door: &Arc<Door>,
    ) -> Result<(Admitted, Written), Refusal> {
        let arrived = crate::time::now();
        let checked = self.rules.check_remote_write(wire, &request.bytes, arrived);
        let (index, exemplars) = unless_malformed(checked, door)?;
        let records = index.records.len() as u64 + index.rejected.count;
        let room = index.records.len() + size_of_val(exemplars.as_slice());
        let lease = self.budget.lease(room).map_err(|exhausted| exhausted.beside(request.bytes.len()));
        let lease = lease.inspect_err(|_| request.count(door, 0, 0, records))?;
        let written = Written::of(&index, exemplars, lease);
        let ids = Ids::Content(crate::ids::content_ids_of(wire, &request.bytes, &index));
        let checked = Checked { wire, index, ids, arrived, beside: room };
        Ok((self.take(request, checked, door)?, written))
    }
}
