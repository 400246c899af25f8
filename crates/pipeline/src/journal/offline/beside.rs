//! What lies beside the segments, and what a start makes of it when it is not there: cursors, and kept routes.

use super::finding::{Finding, What};
use super::inspect::{Inspection, Report};
use super::runs::Runs;
use crate::journal::cursors::{self, Found};
use crate::journal::plans;
use crate::journal::storage::Storage;
use crate::ledger::Ledger;

impl<S: Storage> Inspection<'_, S> {
    /// What is wrong with the cursors of this journal, whose oldest sound frame is `oldest`. Without frames none are needed.
    pub(super) fn cursors_finding(&self, oldest: Option<u64>) -> Option<Finding> {
        let what = match (&self.cursors_error, self.cursors_found, oldest) {
            (Some(error), ..) => What::Unreadable(error.clone()),
            (None, Found::Damaged, oldest) => What::Cursors { oldest },
            (None, Found::Missing, Some(oldest)) => What::NoCursors { oldest },
            (None, Found::Sound | Found::Missing, _) => return None,
        };
        Some(finding(cursors::NAME, self.cursors_len, what))
    }

    /// What is wrong with the kept routes that the frames of `report` name.
    pub fn plan_findings(&self, report: &Report) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (plan, frames) in &report.plans {
            let (name, frames) = (plans::name_of(*plan), *frames);
            let Some(len) = self.plans.get(plan) else {
                findings.push(finding(&name, 0, What::NoPlan { frames }));
                continue;
            };
            let what = match plans::read(self.storage, &name, *len) {
                Err(error) => Some(What::Unreadable(error.to_string())),
                Ok(text) => plans::understand(&text, &Ledger::default())
                    .err()
                    .map(|reason| What::BadPlan { frames, reason }),
            };
            findings.extend(what.map(|what| finding(&name, *len, what)));
        }
        findings
    }
}

fn finding(file: &str, bytes: u64, what: What) -> Finding {
    Finding { file: file.to_owned(), offset: 0, bytes, what, missing: Runs::default() }
}
