//! Receipts: a client's answer waits for one, and it resolves when the last share of the client's body has spoken.
//!
//! Silence is never success. A [`Claim`] that is dropped with records unsettled abandons them, and a receipt with an
//! abandoned record has failed: the client is told to send again.
//!
//! Of a body that the journal keeps, each sink has a receipt of its own, and a [`Keeper`] waits for it instead of a client: what is
//! dropped unsettled then goes back to the journal.

use crate::journal::segment::Position;
use crate::ledger::{Account, Outcome};
use parking_lot::{Mutex, MutexGuard};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Notify;

/// What became of a body, once every share of it has been settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Records that a sink has stored, once for each such sink.
    pub delivered: u64,
    /// Records that were not delivered and not kept: the client must send them again.
    pub abandoned: u64,
    /// Records given back to the journal.
    pub returned: u64,
    /// Records kept in the dead letters; the client must not send them again.
    pub dead_lettered: u64,
    /// Records refused for good by a sink and not kept (policy `reject`).
    pub rejected: u64,
    /// Their numbers in the body, in no order; one may be there for each sink that refused it.
    pub rejected_items: Vec<u32>,
    /// Why the first of them was not delivered.
    pub reason: Option<String>,
    /// When the client had better try again, if a sink said so.
    pub retry_after: Option<Duration>,
}

/// Whoever answers for bodies that are kept until they are delivered.
pub trait Keeper: Debug + Send + Sync {
    /// The last share of a kept body has spoken. Called once for each receipt.
    fn settled(&self, kept: Kept, settled: &Settled);

    /// Shares that were not sent yet are wanted back.
    fn recalls(&self) -> bool;

    /// What becomes of records that are dropped unsettled.
    fn unspoken(&self) -> Outcome;
}

/// A body that is kept, as its keeper knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Where it stands in the journal, if it does.
    pub position: Position,
    /// The memory that it holds while it is on its way, bytes.
    pub bytes: usize,
    /// It has come back before.
    pub again: bool,
}

#[derive(Debug, Default)]
struct State {
    inner: Mutex<Inner>,
    settled: Notify,
    given_up: AtomicBool,
    keeper: Option<(Arc<dyn Keeper>, Kept)>,
}

#[derive(Debug, Default)]
struct Inner {
    outstanding: u64,
    sealed: bool,
    result: Settled,
}

impl State {
    fn settle(&self, outcome: Outcome, records: u64, reason: Option<&str>, retry_after: Option<Duration>) {
        let mut inner = self.inner.lock();
        inner.outstanding -= records;
        match outcome {
            Outcome::Delivered | Outcome::Duplicate | Outcome::Diverted => inner.result.delivered += records,
            Outcome::Unrouted | Outcome::BestEffort => {}
            Outcome::DeadLettered => inner.result.dead_lettered += records,
            Outcome::Rejected => inner.result.rejected += records,
            Outcome::Abandoned => inner.result.abandoned += records,
            Outcome::Returned => inner.result.returned += records,
        }
        if inner.result.reason.is_none() {
            inner.result.reason = reason.map(str::to_owned);
        }
        if retry_after > inner.result.retry_after {
            inner.result.retry_after = retry_after;
        }
        self.conclude(inner);
    }

    /// Tells whoever waits, if this was the last word.
    fn conclude(&self, inner: MutexGuard<'_, Inner>) {
        if !inner.sealed || inner.outstanding > 0 {
            return;
        }
        match &self.keeper {
            None => self.settled.notify_one(),
            Some((keeper, kept)) => {
                let result = inner.result.clone();
                drop(inner);
                keeper.settled(*kept, &result);
            }
        }
    }
}

/// The waiting side. Dropping it gives up: shares that were not sent yet are abandoned, those in flight await their verdict.
#[derive(Debug)]
pub struct Receipt(Arc<State>);

impl Receipt {
    /// A receipt without claims.
    pub fn open() -> Self {
        Self(Arc::default())
    }

    /// A receipt without claims that `keeper` waits for. It is told after [`seal`](Self::seal).
    pub fn kept(keeper: Arc<dyn Keeper>, kept: Kept) -> Self {
        Self(Arc::new(State { keeper: Some((keeper, kept)), ..State::default() }))
    }

    /// The last claim was made: from now on the keeper may be told. Dropping the receipt does the same.
    pub fn seal(self) {}

    /// Takes on `records` for `account`: they are owed from here on, until the claim settles them.
    pub fn claim(&self, account: &Arc<Account>, records: u32) -> Claim {
        account.owe(u64::from(records));
        self.claim_of(account, records)
    }

    /// The same for what was owed before, and is taken up again from the journal.
    pub fn reclaim(&self, account: &Arc<Account>, records: u32) -> Claim {
        account.recover(u64::from(records));
        self.claim_of(account, records)
    }

    fn claim_of(&self, account: &Arc<Account>, records: u32) -> Claim {
        self.0.inner.lock().outstanding += u64::from(records);
        Claim {
            state: Arc::clone(&self.0),
            account: Arc::clone(account),
            owed: records,
            reason: None,
            retry_after: None,
        }
    }

    /// Waits until every claim is settled. Call it after the last claim was made.
    pub async fn settled(&self) -> Settled {
        {
            let mut inner = self.0.inner.lock();
            inner.sealed = true;
            if inner.outstanding == 0 {
                return inner.result.clone();
            }
        }
        self.0.settled.notified().await;
        self.0.inner.lock().result.clone()
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.0.given_up.store(true, Relaxed);
        if self.0.keeper.is_some() {
            let mut inner = self.0.inner.lock();
            inner.sealed = true;
            self.0.conclude(inner);
        }
    }
}

/// The debt for some records of one body to one sink. What is not settled when it is dropped is abandoned.
#[derive(Debug)]
pub struct Claim {
    state: Arc<State>,
    account: Arc<Account>,
    owed: u32,
    reason: Option<String>,
    retry_after: Option<Duration>,
}

impl Claim {
    /// Records not settled yet.
    pub fn owed(&self) -> u32 {
        self.owed
    }

    /// The account that this claim writes to.
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Settles `records` of them (never more than are owed).
    pub fn settle(&mut self, outcome: Outcome, records: u32) {
        self.settle_because(outcome, records, None);
    }

    /// Settles `records` of them, with a reason that the client may be shown.
    pub fn settle_because(&mut self, outcome: Outcome, records: u32, reason: Option<&str>) {
        debug_assert!(records <= self.owed, "settling more than is owed");
        let records = records.min(self.owed);
        if records == 0 {
            return;
        }
        self.owed -= records;
        self.account.settle(outcome, u64::from(records));
        self.state.settle(outcome, u64::from(records), reason, self.retry_after);
    }

    /// Settles the record with this number in its body as refused for good and not kept.
    pub fn reject(&mut self, item: u32, reason: &str) {
        self.state.inner.lock().result.rejected_items.push(item);
        self.settle_because(Outcome::Rejected, 1, Some(reason));
    }

    /// Parts with the debt for `records` of them.
    pub fn split(&mut self, records: u32) -> Self {
        debug_assert!(records <= self.owed, "splitting off more than is owed");
        let records = records.min(self.owed);
        self.owed -= records;
        Self {
            state: Arc::clone(&self.state),
            account: Arc::clone(&self.account),
            owed: records,
            reason: self.reason.clone(),
            retry_after: self.retry_after,
        }
    }

    /// Whether nobody waits any more, so that what was not sent need not be sent (now).
    pub fn given_up(&self) -> bool {
        match &self.state.keeper {
            None => self.state.given_up.load(Relaxed),
            Some((keeper, _)) => keeper.recalls(),
        }
    }

    /// Whether the journal has the records, so that it may be left to it when they are sent.
    pub fn is_kept(&self) -> bool {
        self.state.keeper.as_ref().is_some_and(|(keeper, _)| keeper.unspoken() == Outcome::Returned)
    }

    /// Notes why the records are not delivered yet, in case they never will be.
    pub fn note(&mut self, reason: &str, retry_after: Option<Duration>) {
        self.reason = Some(reason.to_owned());
        self.retry_after = retry_after;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let reason = self.reason.take();
        let outcome = self.state.keeper.as_ref().map_or(Outcome::Abandoned, |(keeper, _)| keeper.unspoken());
        self.settle_because(outcome, self.owed, reason.as_deref());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ledger::Ledger;

    #[tokio::test]
    async fn a_receipt_resolves_when_the_last_share_has_spoken() {
        let account = Ledger::default().account("es", "logs");
        let receipt = Receipt::open();
        let mut first = receipt.claim(&account, 3);
        let mut second = receipt.claim(&account, 2);
        first.settle(Outcome::Delivered, 2);
        first.settle_because(Outcome::DeadLettered, 1, Some("mapping conflict"));
        assert!(tokio::time::timeout(Duration::from_millis(5), receipt.settled()).await.is_err());
        second.settle(Outcome::Duplicate, 2);
        let settled = receipt.settled().await;
        assert_eq!((settled.delivered, settled.dead_lettered, settled.abandoned), (4, 1, 0));
        assert_eq!(settled.reason.as_deref(), Some("mapping conflict"));
        assert_eq!((account.owed(), account.in_flight()), (5, 0));
    }

    #[tokio::test]
    async fn a_claim_dropped_unspoken_is_a_failure_not_a_success() {
        let account = Ledger::default().account("es", "logs");
        let receipt = Receipt::open();
        let mut claim = receipt.claim(&account, 10);
        let half = claim.split(4);
        claim.settle(Outcome::Delivered, 6);
        drop(half);
        assert_eq!(receipt.settled().await.abandoned, 4);
        assert_eq!(account.settled(Outcome::Abandoned), 4);
        assert_eq!(account.in_flight(), 0);
    }

    #[tokio::test]
    async fn giving_up_is_seen_by_the_claims() {
        let account = Ledger::default().account("es", "logs");
        let receipt = Receipt::open();
        let claim = receipt.claim(&account, 1);
        assert!(!claim.given_up());
        drop(receipt);
        assert!(claim.given_up());
    }

    #[tokio::test]
    async fn a_receipt_without_claims_is_settled_at_once() {
        assert_eq!(Receipt::open().settled().await, Settled::default());
    }
}
