//! Admission: one request's bytes become a body with an index, and the shares that the sinks owe of it.

mod bulk;
mod forward;
mod loki;
mod otlp;
mod remote_write;
mod syslog;
mod tally;

use crate::body::Body;
use crate::budget::{Budget, Exhausted, Lease};
use crate::deliver::{Full, Handle, LagConfig, Permits};
use crate::ids::{Ids, Mint};
use crate::journal::{Journaled, Keeping, Unkept};
use crate::ledger::{Door, Outcome};
use crate::planted;
use crate::receipt::{Receipt, Settled};
use crate::rules::{Duty, Parcels, Rules};
use crate::spare::{self, Spare};
use crate::task;
use crate::tenant::Tenant;
use crate::wire::{ClientId, Index, Malformed, Rejected, WireId, json};
use bytes::Bytes;
use std::mem::size_of;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

pub use bulk::BulkItems;
pub use remote_write::{Written, WrittenCounts};
pub(crate) use tally::Tally;

/// One request at the door.
#[derive(Debug)]
pub struct Request {
    /// The body, not compressed any more.
    pub bytes: Bytes,
    /// The bytes that it was accounted with so far.
    pub lease: Lease,
    /// The receiver's name, for dead letters.
    pub receiver: Arc<str>,
    /// When its client is to be answered.
    pub acknowledge: Acknowledge,
    /// Whose quota its records are charged to; `None` where nobody asks for tenants.
    pub tenant: Option<Arc<Tenant>>,
}

impl Request {
    /// What became of its records at the door, where they do not get as far as to a [`Tally`].
    fn count(&self, door: &Door, admitted: u64, rejected: u64, refused: u64) {
        door.count(admitted, rejected, refused);
        if let Some(tenant) = &self.tenant {
            tenant.count(admitted, rejected, refused);
        }
    }
}

/// A request that was taken: its records are owed.
#[derive(Debug)]
pub struct Admitted {
    pub answer: Answer,
    /// Records taken.
    pub records: u64,
    /// Records refused for good while the others were taken.
    pub rejected: Rejected,
}

/// What a client's answer waits for.
#[derive(Debug)]
pub enum Answer {
    /// Every share of the body has been settled.
    Delivered(Receipt),
    /// The body is on disk.
    Durable(Keeping),
}

impl Answer {
    /// Waits for it. Dropping a receipt gives up what was not sent yet; what the journal has been given it keeps.
    ///
    /// # Errors
    /// The journal could not keep the body.
    pub async fn settled(self) -> Result<Settled, Unkept> {
        match self {
            Self::Delivered(receipt) => Ok(receipt.settled().await),
            Self::Durable(keeping) => keeping.kept().await.map(|()| Settled::default()),
        }
    }
}

/// Why a request was not taken. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Never send it again.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Send it again later.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    /// Send it again later.
    #[error("sink {sink} has too many shares waiting")]
    SinkFull { sink: Arc<str> },
    /// Send it again later.
    #[error("sink {sink} is behind: the wait would be {}", seconds(*.wait))]
    Behind { sink: Arc<str>, wait: Duration },
    /// Send it again later.
    #[error(transparent)]
    Unkept(#[from] Unkept),
}

/// A wait as text. A queue that hardly moves makes estimates of months.
fn seconds(wait: Duration) -> String {
    match wait.as_secs() {
        ..3_600 => format!("{:.1} s", wait.as_secs_f64()),
        _ => "more than an hour".to_owned(),
    }
}

/// How OTLP records get their ids.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OtlpIds {
    /// From the content, for requests in which every record carries a time: a client's retry is recognised.
    #[default]
    Content,
    /// One per arrival: a client's retry is stored again.
    Minted,
    /// None: fastest in the sink, and any retry may store records twice.
    None,
}

/// One sink as the intake sees it.
#[derive(Clone, Debug)]
pub struct Outlet {
    pub name: Arc<str>,
    pub handle: Handle,
    /// Most bytes that the journal may have on their way to it at once.
    pub window: usize,
    /// How long rests in the journal what came back to it.
    pub pause: Duration,
    /// What is on its way to it by best effort.
    pub spare: Arc<Spare>,
    /// How far it may fall behind in the journal.
    pub lag: LagConfig,
}

impl Outlet {
    fn full(&self) -> Refusal {
        Refusal::SinkFull { sink: Arc::clone(&self.name) }
    }
}

/// Admits requests of every receiver.
#[derive(Debug)]
pub struct Intake {
    rules: Arc<Rules>,
    outlets: Arc<[Outlet]>,
    mint: Arc<Mint>,
    budget: Arc<Budget>,
    journal: Option<Journaled>,
}

/// When a client is answered.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Acknowledge {
    /// When every sink has taken its records. Nothing is kept on disk, and a sink that is down refuses its clients.
    #[default]
    Delivered,
    /// When its records are safe in the disk journal. They are delivered later, also after a restart.
    Durable,
}

impl Intake {
    /// An intake under these rules; `outlets` in the order in which the rules number sinks.
    pub fn new(rules: Arc<Rules>, outlets: Vec<Outlet>, mint: Arc<Mint>, budget: Arc<Budget>) -> Self {
        Self { rules, outlets: outlets.into(), mint, budget, journal: None }
    }

    /// The same with a journal, for requests that are to be durable.
    pub fn with_journal(self, journal: Journaled) -> Self {
        Self { journal: Some(journal), ..self }
    }

    /// The budget that request bodies are charged to.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// The sinks.
    pub fn outlets(&self) -> &[Outlet] {
        &self.outlets
    }

    /// How bodies are read and routed.
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// When a sink last took something, nanoseconds since 1970; 0 if none ever did.
    pub fn last_success(&self) -> i64 {
        self.outlets.iter().map(|outlet| outlet.handle.stats().last_success.load(Relaxed)).max().unwrap_or(0)
    }

    /// Whether a request would find room now, as far as that can be told before it is read, and would not wait for a sink for longer
    /// than `patience`. What is taken beyond that is likely to be given up when it has waited, and was then read in vain.
    ///
    /// # Errors
    /// It would not: the client had better keep it.
    pub fn has_room(&self, acknowledge: Acknowledge, patience: Duration) -> Result<(), Refusal> {
        if let (Some(journal), Acknowledge::Durable) = (&self.journal, acknowledge) {
            return Ok(journal.has_room()?);
        }
        // Nobody knows yet which sinks it is for, so one that keeps up is reason enough to read it.
        let soonest =
            self.outlets.iter().map(|outlet| (outlet.handle.wait(), outlet)).min_by_key(|(wait, _)| *wait);
        match soonest {
            Some((wait, outlet)) if wait > patience => {
                Err(Refusal::Behind { sink: Arc::clone(&outlet.name), wait })
            }
            _ => Ok(()),
        }
    }

    /// Admits JSON records. Counts them at `door`.
    pub fn admit_json(
        &self,
        request: Request,
        door: &Arc<Door>,
        format: json::Format,
    ) -> Result<Admitted, Refusal> {
        let arrived = crate::time::now();
        let options = self.rules.json(&request.receiver, format);
        let mut index = unless_malformed(self.rules.check_json(&request.bytes, arrived, options), door)?;
        let ids = self.json_ids(&request.bytes, &mut index);
        let wire = match format {
            json::Format::Auto => WireId::Json,
            json::Format::Lines => WireId::JsonLines,
            json::Format::Bulk => WireId::Bulk,
        };
        self.take(request, Checked { wire, index, ids, arrived, beside: 0 }, door)
    }

    /// The ids of checked records of JSON.
    fn json_ids(&self, body: &[u8], index: &mut Index) -> Ids {
        let (epoch, frame) = self.mint.next();
        if index.client_ids.iter().any(|named| named.id.1 > 0) {
            Ids::Client { named: std::mem::take(&mut index.client_ids), epoch, frame }
        } else if index.records.iter().any(|entry| entry.flags & crate::wire::Entry::HAS_PLACE != 0) {
            Ids::Events { hashes: crate::ids::event_ids(body, index, epoch, frame), epoch, frame }
        } else {
            Ids::Minted { epoch, frame }
        }
    }

    fn minted(&self) -> Ids {
        let (epoch, frame) = self.mint.next();
        Ids::Minted { epoch, frame }
    }

    /// Takes a checked body on, whole or not at all.
    fn take(&self, mut request: Request, checked: Checked, door: &Arc<Door>) -> Result<Admitted, Refusal> {
        let Checked { wire, mut index, ids, arrived, beside } = checked;
        let records = index.records.len() as u64;
        let rejected = std::mem::take(&mut index.rejected);
        let bytes = request.bytes.len() + index_bytes(&index, &ids);
        let parcels = Parcels::of(&index);
        // Whatever becomes of them: they were read.
        if let Some(tenant) = &request.tenant {
            tenant.charge_records(records + rejected.count);
        }
        self.charge(&mut request, bytes, beside, records + rejected.count, door)?;
        let Request { bytes, lease, receiver, acknowledge, tenant } = request;
        let tally = Tally::new(door, tenant, records, rejected.count);
        let body = Body { bytes, wire, index, ids, arrived, receiver, lease };
        let answer = match (&self.journal, acknowledge) {
            (Some(journal), Acknowledge::Durable) => {
                Answer::Durable(journal.keep(body, parcels, tally, &self.outlets)?)
            }
            _ => Answer::Delivered(self.deliver(body, &parcels, tally)?),
        };
        Ok(Admitted { answer, records, rejected })
    }

    /// Makes `lease` as large as a request of so many records needs that holds `beside` bytes under another one. What would never fit is
    /// refused for good.
    fn charge(
        &self,
        request: &mut Request,
        bytes: usize,
        beside: usize,
        records: u64,
        door: &Door,
    ) -> Result<(), Refusal> {
        let (all, limit) = (bytes.saturating_add(beside), self.budget.limit());
        if all > limit {
            request.count(door, 0, records, 0);
            return Err(Malformed::TooLarge { bytes: all, limit }.into());
        }
        request.lease.resize(bytes).inspect_err(|_| request.count(door, 0, 0, records))?;
        Ok(())
    }

    /// Hands a body to its sinks, from memory.
    fn deliver(&self, body: Body, parcels: &Parcels, tally: Tally) -> Result<Receipt, Refusal> {
        let permits = self.reserve(parcels)?;
        tally.admitted();
        let body = Arc::new(body);
        let receipt = Receipt::open();
        if parcels.unrouted > 0 {
            receipt
                .claim(self.rules.unrouted(), parcels.unrouted)
                .settle(Outcome::Unrouted, parcels.unrouted);
        }
        for (sink, permits) in permits.into_iter().enumerate() {
            // One permit for each of these shares was counted.
            let Some(mut permits) = permits else { continue };
            let claim = |account: &_, records| receipt.claim(account, records);
            self.rules
                .shares(Duty::Required, sink, &body, parcels, claim)
                .for_each(|share| permits.send(share));
        }
        spare::hand_over(&self.rules, &self.outlets, &body, parcels);
        if planted::is("answer-before-receipt") {
            // Nobody waits, and nothing is given up.
            task::spawn("planted", async move { receipt.settled().await });
            return Ok(Receipt::open());
        }
        Ok(receipt)
    }

    /// Room for every share at every sink before the first is sent, so that no request is half taken.
    fn reserve(&self, parcels: &Parcels) -> Result<Vec<Option<Permits<'_>>>, Refusal> {
        let shares = self.rules.shares_per_sink(Duty::Required, parcels);
        let mut permits = Vec::with_capacity(shares.len());
        for (outlet, shares) in self.outlets.iter().zip(shares) {
            permits.push(match shares {
                0 => None,
                _ => Some(outlet.handle.reserve(shares).map_err(|Full| outlet.full())?),
            });
        }
        Ok(permits)
    }
}

/// A request's body that was checked.
#[derive(Debug)]
struct Checked {
    wire: WireId,
    index: Index,
    ids: Ids,
    arrived: i64,
    /// Bytes that the request holds under a lease of their own until it is answered.
    beside: usize,
}

/// What an index weighs, so that it is charged to the budget with its body.
pub(crate) fn index_bytes(index: &Index, ids: &Ids) -> usize {
    let per_id = match ids {
        Ids::Content(hashes) | Ids::Events { hashes, .. } => hashes.len() * size_of::<u128>(),
        Ids::Client { named, .. } => named.len() * size_of::<ClientId>(),
        Ids::None | Ids::Minted { .. } => 0,
    };
    per_id
        + std::mem::size_of_val(index.records.as_slice())
        + std::mem::size_of_val(index.groups.as_slice())
        + std::mem::size_of_val(index.edits.as_slice())
        + std::mem::size_of_val(index.series.as_slice())
        + std::mem::size_of_val(index.symbols.as_slice())
        + std::mem::size_of_val(index.runs.as_slice())
}

/// Whether every record says its time, so that it has the same one when it is sent again.
fn all_have_time(index: &Index) -> bool {
    index.records.iter().all(|entry| entry.flags & crate::wire::Entry::HAS_TIME != 0)
}

fn unless_malformed<T>(checked: Result<T, Malformed>, door: &Door) -> Result<T, Refusal> {
    checked.map_err(|malformed| {
        door.count_unread();
        Refusal::Malformed(malformed)
    })
}
