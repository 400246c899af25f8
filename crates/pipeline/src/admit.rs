//! Admission: one request's bytes become a body with an index, and the shares that the sinks owe of it.

use crate::body::{Body, Share};
use crate::budget::{Budget, Exhausted, Lease};
use crate::deliver::{Full, Handle, Permits};
use crate::ids::{Ids, Mint};
use crate::ledger::{Account, Door, Ledger, Outcome};
use crate::receipt::Receipt;
use crate::route::{Matcher, Plan};
use crate::time::EventWindow;
use crate::wire::json::JsonOptions;
use crate::wire::{CheckContext, Index, Limits, Malformed, Rejected, WireId, json, otlp};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::mem::size_of;
use std::sync::Arc;

/// One request at the door.
#[derive(Debug)]
pub struct Request {
    /// The body, not compressed any more.
    pub bytes: Bytes,
    /// The bytes that it was accounted with so far.
    pub lease: Lease,
    /// The receiver's name, for dead letters.
    pub receiver: Arc<str>,
}

/// A request that was taken: its records are owed.
#[derive(Debug)]
pub struct Admitted {
    pub receipt: Receipt,
    /// Records taken.
    pub records: u64,
    /// Records refused for good while the others were taken.
    pub rejected: Rejected,
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

/// A guess at the size of a record on the wire, for the first size of its index.
const TYPICAL_RECORD_BYTES: usize = 256;

/// The account of records that no route wants.
const UNROUTED: &str = "unrouted";
const NO_SINK: &str = "none";

/// One sink as the intake sees it.
#[derive(Debug)]
pub struct Outlet {
    pub name: Arc<str>,
    pub handle: Handle,
}

impl Outlet {
    fn full(&self) -> Refusal {
        Refusal::SinkFull { sink: Arc::clone(&self.name) }
    }
}

/// Admits requests of every receiver; one per process.
#[derive(Debug)]
pub struct Intake {
    plan: Plan,
    outlets: Vec<Outlet>,
    /// For each route, its sinks' accounts in the route's order.
    accounts: Vec<Vec<Arc<Account>>>,
    unrouted: Arc<Account>,
    limits: Limits,
    window: EventWindow,
    mint: Mint,
    budget: Arc<Budget>,
}

impl Intake {
    /// An intake for these routes; `outlets` in the order that the plan numbers sinks.
    pub fn new(
        plan: Plan,
        outlets: Vec<Outlet>,
        ledger: &Ledger,
        limits: Limits,
        window: EventWindow,
        budget: Arc<Budget>,
    ) -> Self {
        let of_route = |route: &crate::route::Route| {
            route.sinks.iter().map(|sink| ledger.account(&outlets[*sink].name, &route.name)).collect()
        };
        let accounts = plan.routes().iter().map(of_route).collect();
        let unrouted = ledger.account(NO_SINK, UNROUTED);
        Self { plan, outlets, accounts, unrouted, limits, window, mint: Mint::default(), budget }
    }

    /// The budget that request bodies are charged to.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// The sinks.
    pub fn outlets(&self) -> &[Outlet] {
        &self.outlets
    }

    /// Which event times choose their destination.
    pub fn window(&self) -> &EventWindow {
        &self.window
    }

    /// Admits an `ExportLogsServiceRequest`. Counts its records at `door`.
    pub fn admit_otlp_logs(
        &self,
        mut request: Request,
        door: &Door,
        ids: OtlpIds,
    ) -> Result<Admitted, Refusal> {
        let arrived = crate::time::now();
        let (mut index, layout) = unless_malformed(self.check_otlp(&request.bytes, arrived), door)?;
        if layout == otlp::Layout::Scattered {
            let records = index.records.len() as u64;
            drop(index);
            let most = request.bytes.len() * otlp::NORMALIZE_EXPANSION;
            self.charge(&mut request.lease, most, records, door)?;
            request.bytes = unless_malformed(otlp::normalize(&request.bytes), door)?.into();
            index = unless_malformed(self.check_otlp(&request.bytes, arrived), door)?.0;
        }
        let ids = match ids {
            OtlpIds::Content
                if index.records.iter().all(|entry| entry.flags & crate::wire::Entry::HAS_TIME != 0) =>
            {
                Ids::Content(crate::ids::content_ids(&request.bytes, &index))
            }
            OtlpIds::None => Ids::None,
            OtlpIds::Content | OtlpIds::Minted => self.minted(),
        };
        self.take(request, WireId::OtlpLogs, index, ids, arrived, door)
    }

    /// Admits JSON records. Counts them at `door`.
    pub fn admit_json(
        &self,
        request: Request,
        door: &Door,
        options: &JsonOptions,
    ) -> Result<Admitted, Refusal> {
        let arrived = crate::time::now();
        let mut index = Index::default();
        let context = CheckContext { limits: &self.limits, arrived, window: &self.window };
        let mut matcher = Matcher::new(&self.plan);
        let checked = json::check(&request.bytes, &context, options, &mut matcher, &mut index);
        unless_malformed(checked, door)?;
        let ids = match (self.minted(), options.id_field.is_some()) {
            (Ids::Minted { epoch, frame }, true) => {
                Ids::Client { ranges: std::mem::take(&mut index.client_ids), epoch, frame }
            }
            (minted, _) => minted,
        };
        self.take(request, WireId::Json, index, ids, arrived, door)
    }

    fn check_otlp(&self, body: &[u8], arrived: i64) -> Result<(Index, otlp::Layout), Malformed> {
        // Records are seldom smaller; a list that has to grow is copied.
        let records = Vec::with_capacity(body.len() / TYPICAL_RECORD_BYTES + 1);
        let mut index = Index { records, ..Index::default() };
        let context = CheckContext { limits: &self.limits, arrived, window: &self.window };
        let layout = otlp::check(body, &context, &mut Matcher::new(&self.plan), &mut index)?;
        Ok((index, layout))
    }

    fn minted(&self) -> Ids {
        let (epoch, frame) = self.mint.next();
        Ids::Minted { epoch, frame }
    }

    /// Takes a checked body on, whole or not at all.
    fn take(
        &self,
        mut request: Request,
        wire: WireId,
        mut index: Index,
        ids: Ids,
        arrived: i64,
        door: &Door,
    ) -> Result<Admitted, Refusal> {
        let records = index.records.len() as u64;
        let rejected = std::mem::take(&mut index.rejected);
        let bytes = request.bytes.len() + index_bytes(&index, &ids);
        let parcels = parcels(&index);
        self.charge(&mut request.lease, bytes, records + rejected.count, door)?;
        let permits = self.reserve(&parcels).inspect_err(|_| door.count(0, 0, records + rejected.count))?;
        door.count(records, rejected.count, 0);
        let Request { bytes, lease, receiver } = request;
        let body = Arc::new(Body { bytes, wire, index, ids, arrived, receiver, lease });
        let receipt = self.hand_out(&body, parcels, permits);
        Ok(Admitted { receipt, records, rejected })
    }

    /// Makes `lease` as large as a request of so many records needs. What would never fit is refused for good.
    fn charge(&self, lease: &mut Lease, bytes: usize, records: u64, door: &Door) -> Result<(), Refusal> {
        if bytes > self.budget.limit() {
            door.count(0, records, 0);
            return Err(Malformed::TooLarge { bytes, limit: self.budget.limit() }.into());
        }
        lease.resize(bytes).inspect_err(|_| door.count(0, 0, records))?;
        Ok(())
    }

    /// Room for every share at every sink before the first is sent, so that no request is half taken.
    fn reserve(&self, parcels: &Parcels) -> Result<Vec<Option<Permits<'_>>>, Refusal> {
        let mut shares = vec![0; self.outlets.len()];
        for (route, _) in parcels.routed.keys() {
            for sink in &self.plan.routes()[*route].sinks {
                shares[*sink] += 1;
            }
        }
        let mut permits = Vec::with_capacity(shares.len());
        for (outlet, shares) in self.outlets.iter().zip(shares) {
            permits.push(match shares {
                0 => None,
                _ => Some(outlet.handle.reserve(shares).map_err(|Full| outlet.full())?),
            });
        }
        Ok(permits)
    }

    fn hand_out(&self, body: &Arc<Body>, parcels: Parcels, mut permits: Vec<Option<Permits<'_>>>) -> Receipt {
        let receipt = Receipt::open();
        if parcels.unrouted > 0 {
            receipt.claim(&self.unrouted, parcels.unrouted).settle(Outcome::Unrouted, parcels.unrouted);
        }
        for ((route, hour), ranges) in parcels.routed {
            let config = &self.plan.routes()[route];
            let destination = self.plan.destination(route, hour);
            let records = ranges.iter().map(|range| range.end - range.start).sum();
            for (sink, account) in config.sinks.iter().zip(&self.accounts[route]) {
                let share = Share {
                    body: Arc::clone(body),
                    ranges: ranges.clone(),
                    claim: receipt.claim(account, records),
                    destination: Arc::clone(&destination),
                    on_refused: config.on_refused,
                };
                // `reserve` has counted one permit for each of these shares.
                if let Some(permits) = &mut permits[*sink] {
                    permits.send(share);
                }
            }
        }
        receipt
    }
}

/// A body's records by route and hour, and how many no route wants.
#[derive(Debug, Default)]
struct Parcels {
    routed: BTreeMap<(usize, i32), Vec<std::ops::Range<u32>>>,
    unrouted: u32,
}

fn parcels(index: &Index) -> Parcels {
    let mut parcels = Parcels::default();
    for run in &index.runs {
        if run.routes.is_empty() {
            parcels.unrouted += run.end - run.first;
        }
        for route in run.routes.iter() {
            let ranges: &mut Vec<std::ops::Range<u32>> = parcels.routed.entry((route, run.hour)).or_default();
            ranges.push(run.first..run.end);
        }
    }
    parcels
}

/// What an index weighs, so that it is charged to the budget with its body.
fn index_bytes(index: &Index, ids: &Ids) -> usize {
    let per_id = match ids {
        Ids::Content(hashes) => hashes.len() * size_of::<u128>(),
        Ids::Client { ranges, .. } => ranges.len() * size_of::<(u32, u32)>(),
        Ids::None | Ids::Minted { .. } => 0,
    };
    per_id
        + std::mem::size_of_val(index.records.as_slice())
        + std::mem::size_of_val(index.groups.as_slice())
        + std::mem::size_of_val(index.edits.as_slice())
        + std::mem::size_of_val(index.runs.as_slice())
}

fn unless_malformed<T>(checked: Result<T, Malformed>, door: &Door) -> Result<T, Refusal> {
    checked.map_err(|malformed| {
        door.count_unread();
        Refusal::Malformed(malformed)
    })
}
