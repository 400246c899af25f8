//! Reads a sink's verdicts: settles what is settled, and sorts the rest into what is sent again and what is buried.

use super::attempt::Context;
use super::queued::Queued;
use super::{Verdict, Verdicts, bounded};
use crate::body::OnRefused;
use crate::ledger::Outcome;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// What a payload's verdicts leave to be done.
#[derive(Debug)]
pub(super) struct Settlement {
    pub answer: Answer,
    /// To be sent again, in order.
    pub again: Vec<Queued>,
    /// To be kept as dead letters.
    pub graves: Vec<Grave>,
}

/// What the verdicts say of the destination.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is well.
    Well,
    /// Some records were taken, others must be sent again.
    Partly { reason: String },
    /// Everything must be sent again.
    Failed { reason: String, after: Option<Duration>, overloaded: bool },
    /// The payload was too large and comes back in halves.
    TooLarge,
    /// It takes nothing until somebody mends it.
    Blocked { reason: String },
}

impl Answer {
    /// Why something is sent again, if it is.
    pub(super) fn reason(&self) -> Option<&str> {
        match self {
            Self::Well | Self::TooLarge => None,
            Self::Partly { reason } | Self::Failed { reason, .. } | Self::Blocked { reason } => Some(reason),
        }
    }
}

/// Records of one share that a sink refused for good.
#[derive(Debug)]
pub(super) struct Grave {
    pub queued: Queued,
    /// One for each record, in order.
    pub reasons: Vec<String>,
}

impl Grave {
    /// Keeps the first `records` and parts with the rest, if there is a rest.
    pub(super) fn split_off(&mut self, records: usize) -> Option<Self> {
        let queued = self.queued.split_off(records as u32)?;
        Some(Self { queued, reasons: self.reasons.split_off(records) })
    }
}

/// Settles what `verdicts` settle of a payload that holds `shares`, together `records`.
pub(super) fn settle(
    context: &Context,
    mut shares: Vec<Queued>,
    records: u32,
    verdicts: Verdicts,
) -> Settlement {
    match verdicts {
        Verdicts::Delivered => {
            for queued in &mut shares {
                queued.share.claim.settle(Outcome::Delivered, queued.records);
            }
            delivered_now(context);
            Settlement { answer: Answer::Well, again: Vec::new(), graves: Vec::new() }
        }
        Verdicts::Each(each) if each.len() == records as usize => settle_each(context, shares, each),
        Verdicts::Each(each) => {
            let reason = format!("the sink answered for {} of {records} records", each.len());
            all_again(shares, Answer::Failed { reason, after: None, overloaded: false })
        }
        Verdicts::Retry { reason, after, overloaded } => {
            all_again(shares, Answer::Failed { reason: bounded(reason), after, overloaded })
        }
        Verdicts::Blocked { reason } => all_again(shares, Answer::Blocked { reason: bounded(reason) }),
        Verdicts::TooLarge { reason } if records > 1 => halve(context, shares, records, &bounded(reason)),
        Verdicts::TooLarge { reason } => {
            let mut sorted = Sorted::default();
            for queued in shares {
                sorted.refuse(queued, vec![bounded(reason.clone())]);
            }
            Settlement { answer: Answer::Well, again: Vec::new(), graves: sorted.graves }
        }
    }
}

fn delivered_now(context: &Context) {
    context.stats.last_success.store(crate::time::now(), Relaxed);
}

fn all_again(mut shares: Vec<Queued>, answer: Answer) -> Settlement {
    if let Answer::Failed { reason, after, .. } = &answer {
        for queued in &mut shares {
            queued.share.claim.note(reason, *after);
        }
    }
    if let Answer::Blocked { reason } = &answer {
        for queued in &mut shares {
            queued.share.claim.note(reason, None);
        }
    }
    Settlement { answer, again: shares, graves: Vec::new() }
}

/// Both halves, each marked as a payload of its own.
fn halve(context: &Context, shares: Vec<Queued>, records: u32, reason: &str) -> Settlement {
    context.stats.splits.fetch_add(1, Relaxed);
    let (first, second) = (context.next_piece(), context.next_piece());
    let mut left = records / 2;
    let mut again = Vec::with_capacity(shares.len() + 1);
    for mut queued in shares {
        queued.share.claim.note(reason, None);
        let rest = if left > 0 { queued.split_off(left) } else { None };
        queued.piece = Some(if left > 0 { first } else { second });
        left -= queued.records.min(left);
        again.push(queued);
        if let Some(mut rest) = rest {
            rest.piece = Some(second);
            again.push(rest);
        }
    }
    Settlement { answer: Answer::TooLarge, again, graves: Vec::new() }
}

fn settle_each(context: &Context, shares: Vec<Queued>, verdicts: Vec<Verdict>) -> Settlement {
    let mut verdicts = verdicts.into_iter();
    let mut sorted = Sorted::default();
    for queued in shares {
        sorted.sort(queued, &mut verdicts);
    }
    if sorted.stored {
        delivered_now(context);
    }
    let answer = match (sorted.blocked, sorted.retry) {
        (Some(reason), _) => Answer::Blocked { reason },
        (None, None) => Answer::Well,
        (None, Some(reason)) if sorted.settled => Answer::Partly { reason },
        (None, Some(reason)) => Answer::Failed { reason, after: None, overloaded: true },
    };
    Settlement { answer, again: sorted.again, graves: sorted.graves }
}

/// A payload's records by their verdicts.
#[derive(Debug, Default)]
struct Sorted {
    again: Vec<Queued>,
    graves: Vec<Grave>,
    /// Some record is stored.
    stored: bool,
    /// Some record need not be sent again.
    settled: bool,
    /// Why the first record is sent again, by kind.
    retry: Option<String>,
    blocked: Option<String>,
}

impl Sorted {
    /// Settles one share by its records' verdicts, the next of `verdicts`.
    fn sort(&mut self, mut queued: Queued, verdicts: &mut dyn Iterator<Item = Verdict>) {
        let mut stored = [(Outcome::Delivered, 0), (Outcome::Duplicate, 0), (Outcome::Diverted, 0)];
        let mut again = Vec::new();
        let mut why_again: Option<String> = None;
        let mut refused = Vec::new();
        let mut reasons = Vec::new();
        for (item, verdict) in queued.share.items().zip(verdicts) {
            match verdict {
                Verdict::Delivered => stored[0].1 += 1,
                Verdict::Duplicate => stored[1].1 += 1,
                Verdict::Diverted => stored[2].1 += 1,
                Verdict::Retry { reason } => {
                    again.push(item);
                    let reason = why_again.get_or_insert_with(|| bounded(reason));
                    self.retry.get_or_insert_with(|| reason.clone());
                }
                Verdict::Blocked { reason } => {
                    again.push(item);
                    let reason = why_again.get_or_insert_with(|| bounded(reason));
                    self.blocked.get_or_insert_with(|| reason.clone());
                }
                Verdict::Refused { reason } => {
                    refused.push(item);
                    reasons.push(bounded(reason));
                }
            }
        }
        if let Some(reason) = why_again {
            let mut part = queued.take(&again);
            part.share.claim.note(&reason, None);
            self.again.push(part);
        }
        if !refused.is_empty() {
            self.settled = true;
            let part = queued.take(&refused);
            self.refuse(part, reasons);
        }
        for (outcome, records) in stored {
            queued.share.claim.settle(outcome, records);
            self.stored |= records > 0;
        }
        self.settled |= self.stored;
    }

    /// Records that can never be stored, with a reason for each.
    fn refuse(&mut self, mut queued: Queued, reasons: Vec<String>) {
        match queued.share.on_refused {
            OnRefused::DeadLetter => self.graves.push(Grave { queued, reasons }),
            OnRefused::Reject => {
                let items: Vec<u32> = queued.share.items().collect();
                for (item, reason) in items.into_iter().zip(&reasons) {
                    queued.share.claim.reject(item, reason);
                }
            }
        }
    }
}
