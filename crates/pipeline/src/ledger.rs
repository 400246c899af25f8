//! The ledger: two equations that hold exactly whenever nothing is on the move.
//!
//! * Door, per receiver, in records: received = admitted + rejected + refused.
//! * Debt, per sink and route, in records: owed + recovered = delivered + duplicate + diverted + dead-lettered +
//!   dropped + abandoned + returned + in flight. Recovered is what was taken up from the journal and had been owed before: by
//!   an earlier process, or until it was returned. What lies in the journal and waits for its sink is no debt of it yet.
//!
//! Only a [`Claim`](crate::receipt::Claim) writes to an [`Account`], so a record cannot leave the house without an entry.

use crate::deliver::DeliveryTotals;
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How the debt for a record was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Outcome {
    /// Stored by the sink.
    Delivered,
    /// The sink had it already, under the same id.
    Duplicate,
    /// The sink took it, but put it elsewhere (a failure store).
    Diverted,
    /// It can never be delivered and was kept in the dead letters.
    DeadLettered,
    /// Dropped by policy: no route wants it.
    Unrouted,
    /// Dropped by policy: it can never be delivered, and its route keeps no dead letters; the client was told.
    Rejected,
    /// Not delivered; the client was told to send it again.
    Abandoned,
    /// Dropped by policy: for a sink that nobody waits for, which did not keep up.
    BestEffort,
    /// Given back to the journal, which will have it taken up again.
    Returned,
}

impl Outcome {
    /// Every outcome, in the order of the equation.
    pub const ALL: [Self; 9] = [
        Self::Delivered,
        Self::Duplicate,
        Self::Diverted,
        Self::DeadLettered,
        Self::Unrouted,
        Self::Rejected,
        Self::Abandoned,
        Self::BestEffort,
        Self::Returned,
    ];

    /// The value of the `outcome` label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Duplicate => "duplicate",
            Self::Diverted => "diverted",
            Self::DeadLettered => "dead_lettered",
            Self::Unrouted => "dropped_unrouted",
            Self::Rejected => "dropped_rejected",
            Self::Abandoned => "abandoned",
            Self::BestEffort => "dropped_best_effort",
            Self::Returned => "returned",
        }
    }
}

/// What one sink owes for one route, in records.
#[derive(Debug)]
pub struct Account {
    pub sink: Arc<str>,
    pub route: Arc<str>,
    owed: AtomicU64,
    recovered: AtomicU64,
    settled: [AtomicU64; Outcome::ALL.len()],
}

impl Account {
    pub(crate) fn owe(&self, records: u64) {
        self.owed.fetch_add(records, Relaxed);
    }

    pub(crate) fn recover(&self, records: u64) {
        self.recovered.fetch_add(records, Relaxed);
    }

    pub(crate) fn settle(&self, outcome: Outcome, records: u64) {
        self.settled[outcome as usize].fetch_add(records, Relaxed);
    }

    /// Records that this account has taken on.
    pub fn owed(&self) -> u64 {
        self.owed.load(Relaxed)
    }

    /// Records that it has taken on again from the journal.
    pub fn recovered(&self) -> u64 {
        self.recovered.load(Relaxed)
    }

    /// Records settled in this way.
    pub fn settled(&self, outcome: Outcome) -> u64 {
        self.settled[outcome as usize].load(Relaxed)
    }

    /// Records still owed. Read after the settled ones, `owed` can only be too large for a moment, never too small.
    pub fn in_flight(&self) -> u64 {
        let settled: u64 = Outcome::ALL.iter().map(|outcome| self.settled(*outcome)).sum();
        (self.owed() + self.recovered()).saturating_sub(settled)
    }
}

/// What a client was told in the end. A count beside the equations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Told {
    /// Taken (perhaps with some records rejected for good).
    Ok,
    /// Try again later.
    Retry,
    /// Never send this again.
    Rejected,
    /// The client went away before the answer.
    Gone,
}

impl Told {
    pub const ALL: [Self; 4] = [Self::Ok, Self::Retry, Self::Rejected, Self::Gone];

    /// The value of the `answer` label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Retry => "retry",
            Self::Rejected => "rejected",
            Self::Gone => "gone",
        }
    }
}

/// What became of records at one receiver's door.
///
/// A request that is turned away unread (over the budget, too large, not authorised) has no known number of records: it
/// counts in `unread` only, as one request.
#[derive(Debug)]
pub struct Door {
    pub receiver: Arc<str>,
    received: AtomicU64,
    admitted: AtomicU64,
    rejected: AtomicU64,
    refused: AtomicU64,
    unread: AtomicU64,
    bytes: AtomicU64,
    told: [AtomicU64; Told::ALL.len()],
}

impl Door {
    /// One request was read: so many records admitted, told never to return, told to return.
    pub fn count(&self, admitted: u64, rejected: u64, refused: u64) {
        self.received.fetch_add(admitted + rejected + refused, Relaxed);
        self.admitted.fetch_add(admitted, Relaxed);
        self.rejected.fetch_add(rejected, Relaxed);
        self.refused.fetch_add(refused, Relaxed);
    }

    /// One request was turned away before its records could be counted.
    pub fn count_unread(&self) {
        self.unread.fetch_add(1, Relaxed);
    }

    /// Bytes of bodies read from the wire, as they came (compressed).
    pub fn count_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// One client was answered.
    pub fn tell(&self, told: Told) {
        self.told[told as usize].fetch_add(1, Relaxed);
    }

    pub fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }
    pub fn admitted(&self) -> u64 {
        self.admitted.load(Relaxed)
    }
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Relaxed)
    }
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }
    pub fn unread(&self) -> u64 {
        self.unread.load(Relaxed)
    }
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
    pub fn told(&self, told: Told) -> u64 {
        self.told[told as usize].load(Relaxed)
    }

    /// Whether the door's equation holds right now.
    pub fn balances(&self) -> bool {
        self.received() == self.admitted() + self.rejected() + self.refused()
    }
}

/// All doors and accounts of one process.
#[derive(Debug, Default)]
pub struct Ledger {
    doors: RwLock<Vec<Arc<Door>>>,
    accounts: RwLock<Vec<Arc<Account>>>,
    deliveries: RwLock<Vec<(Arc<str>, Arc<DeliveryTotals>)>>,
    outside_window: Arc<AtomicU64>,
    unparsed: Arc<AtomicU64>,
}

impl Ledger {
    /// The door of this receiver, opened on first use.
    pub fn door(&self, receiver: &str) -> Arc<Door> {
        let mut doors = self.doors.write();
        if let Some(door) = doors.iter().find(|door| &*door.receiver == receiver) {
            return Arc::clone(door);
        }
        let door = Arc::new(Door {
            receiver: receiver.into(),
            received: AtomicU64::new(0),
            admitted: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            unread: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            told: Default::default(),
        });
        doors.push(Arc::clone(&door));
        door
    }

    /// What is counted of the delivery to this sink, by whichever deliveries to it there are, from its first use on.
    pub fn delivery(&self, sink: &str) -> Arc<DeliveryTotals> {
        let mut deliveries = self.deliveries.write();
        if let Some((_, totals)) = deliveries.iter().find(|(name, _)| &**name == sink) {
            return Arc::clone(totals);
        }
        let totals = Arc::default();
        deliveries.push((sink.into(), Arc::clone(&totals)));
        totals
    }

    /// Where events are counted whose times were too far off to choose their destination.
    pub fn outside_window(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.outside_window)
    }

    /// Where messages of syslog are counted that had no known form.
    pub fn unparsed(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.unparsed)
    }

    /// The account of this sink and route, opened on first use.
    pub fn account(&self, sink: &str, route: &str) -> Arc<Account> {
        let mut accounts = self.accounts.write();
        if let Some(account) =
            accounts.iter().find(|account| &*account.sink == sink && &*account.route == route)
        {
            return Arc::clone(account);
        }
        let account = Arc::new(Account {
            sink: sink.into(),
            route: route.into(),
            owed: AtomicU64::new(0),
            recovered: AtomicU64::new(0),
            settled: Default::default(),
        });
        accounts.push(Arc::clone(&account));
        account
    }

    /// All doors, in the order they were opened.
    pub fn doors(&self) -> Vec<Arc<Door>> {
        self.doors.read().clone()
    }

    /// All accounts, in the order they were opened.
    pub fn accounts(&self) -> Vec<Arc<Account>> {
        self.accounts.read().clone()
    }
}
