//! Delivery against a scripted sink, in paused time.
//!
//! What this does not prove: that a real sink behaves like the script, and that any of it holds on several threads.

#![allow(clippy::unwrap_used)]

mod batches;
mod drain;
mod failures;
mod fairness;
mod letters;
mod scripts;
mod stretches;

use super::*;
use crate::body::{Body, OnRefused};
use crate::budget::{Budget, Lease};
use crate::dead_letter::{BuryError, DeadLetters, Letter};
use crate::ids::Ids;
use crate::ledger::{Account, Ledger, Outcome};
use crate::receipt::{Receipt, Settled};
use crate::route::RouteSet;
use crate::units::{ByteSize, Period};
use crate::wire::{Entry, Index, WireId};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// One payload as the sink saw it.
#[derive(Clone, Debug)]
struct Delivery {
    at: Instant,
    destination: String,
    records: Vec<String>,
    bytes: usize,
    /// Payloads at the sink, this one included.
    concurrent: usize,
}

type Reply = (Duration, Verdicts);

/// A sink that does as it is told, and remembers.
struct Fake {
    reply: Box<dyn Fn(&Delivery) -> Reply + Send + Sync>,
    prepare: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
    seen: Mutex<Vec<Delivery>>,
    concurrent: AtomicUsize,
}

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fake")
    }
}

impl Sink for Fake {
    fn encoder(&self, destination: &str, limit: usize) -> Box<dyn Encoder> {
        Box::new(Lines { destination: destination.into(), limit, bytes: Vec::new(), records: 0 })
    }

    fn send<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, Verdicts> {
        Box::pin(async move {
            let text = String::from_utf8(payload.bytes.to_vec()).unwrap();
            let delivery = Delivery {
                at: Instant::now(),
                destination: payload.destination.to_string(),
                records: text.lines().map(str::to_owned).collect(),
                bytes: payload.bytes.len(),
                concurrent: self.concurrent.fetch_add(1, Relaxed) + 1,
            };
            self.seen.lock().push(delivery.clone());
            let (delay, verdicts) = (self.reply)(&delivery);
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            self.concurrent.fetch_sub(1, Relaxed);
            verdicts
        })
    }

    fn render(&self, share: &Share, item: u32) -> Vec<u8> {
        let record = std::str::from_utf8(share.body.record(item)).unwrap();
        serde_json::to_vec(&serde_json::json!({ "message": record })).unwrap()
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { (self.prepare)() })
    }
}

/// Records as they came, one on a line.
#[derive(Debug)]
struct Lines {
    destination: Arc<str>,
    limit: usize,
    bytes: Vec<u8>,
    records: u32,
}

impl Encoder for Lines {
    fn push(&mut self, share: &Share) -> u32 {
        let mut taken = 0;
        for item in share.items() {
            let record = share.body.record(item);
            if self.records > 0 && self.bytes.len() + record.len() + 1 > self.limit {
                break;
            }
            self.bytes.extend_from_slice(record);
            self.bytes.push(b'\n');
            self.records += 1;
            taken += 1;
        }
        taken
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn finish(self: Box<Self>) -> Payload {
        Payload {
            destination: self.destination,
            bytes: self.bytes.into(),
            gzip: false,
            records: self.records,
            id: 0,
        }
    }
}

/// A store in memory that can be made to fail.
#[derive(Debug, Default)]
struct Store {
    letters: Mutex<Vec<Letter>>,
    /// So many burials fail first.
    failures: AtomicUsize,
    /// How long a burial takes.
    delay: Duration,
    attempts: AtomicUsize,
    /// Most letters that one burial keeps, if there is such a bound.
    portion: Option<usize>,
    /// Which attempt fails, counted from 0, if one is to.
    fails_at: Option<usize>,
}

impl DeadLetters for Store {
    fn bury<'a>(&'a self, letters: &'a [Letter]) -> BoxFuture<'a, Result<usize, BuryError>> {
        Box::pin(async move {
            tokio::time::sleep(self.delay).await;
            let attempt = self.attempts.fetch_add(1, Relaxed);
            let is_to_fail = self.failures.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
            if is_to_fail || self.fails_at == Some(attempt) {
                return Err(BuryError::Full { wanted: 1, used: 1, limit: 1 });
            }
            let kept = letters.len().min(self.portion.unwrap_or(usize::MAX));
            self.letters.lock().extend_from_slice(&letters[..kept]);
            Ok(kept)
        })
    }
}

/// Delivery to one scripted sink, with all that it writes to.
struct House {
    account: Arc<Account>,
    budget: Arc<Budget>,
    handle: Handle,
    sink: Arc<Fake>,
    store: Arc<Store>,
}

fn always(verdicts: Verdicts) -> impl Fn(&Delivery) -> Reply + Send + Sync + 'static {
    move |_| (Duration::ZERO, verdicts.clone())
}

fn retry(reason: &str) -> Verdicts {
    Verdicts::Retry { reason: reason.to_owned(), after: None, overloaded: false }
}

impl House {
    fn new(config: DeliveryConfig, reply: impl Fn(&Delivery) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(config, Store::default(), || Ok(()), reply)
    }

    fn with(
        config: DeliveryConfig,
        store: Store,
        prepare: impl Fn() -> Result<(), String> + Send + Sync + 'static,
        reply: impl Fn(&Delivery) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let sink = Arc::new(Fake {
            reply: Box::new(reply),
            prepare: Box::new(prepare),
            seen: Mutex::default(),
            concurrent: AtomicUsize::new(0),
        });
        let store = Arc::new(store);
        let budget = Budget::new(1 << 30);
        let handle = super::Delivery::start(
            "es".into(),
            Arc::clone(&sink) as _,
            config,
            Arc::clone(&budget),
            Arc::clone(&store) as _,
        );
        let account = Ledger::default().account("es", "logs");
        Self { account, budget, handle, sink, store }
    }

    /// A body of these records, arrived so long ago, as one share for `destination`.
    fn send_aged<R: AsRef<str>>(&self, destination: &str, records: &[R], age: Duration) -> Receipt {
        let receipt = Receipt::open();
        let body = body(records, self.budget.lease(1_000).unwrap(), age);
        self.hand_over(&receipt, &body, destination, 0..records.len() as u32, OnRefused::DeadLetter);
        receipt
    }

    fn send<R: AsRef<str>>(&self, destination: &str, records: &[R]) -> Receipt {
        self.send_aged(destination, records, Duration::ZERO)
    }

    fn hand_over(
        &self,
        receipt: &Receipt,
        body: &Arc<Body>,
        destination: &str,
        range: std::ops::Range<u32>,
        on_refused: OnRefused,
    ) {
        let claim = receipt.claim(&self.account, range.end - range.start);
        let share = Share {
            body: Arc::clone(body),
            ranges: vec![range],
            claim,
            destination: destination.into(),
            on_refused,
        };
        self.handle.reserve(1).unwrap().send(share);
    }

    /// A share of one record.
    fn share(&self, receipt: &Receipt) -> Share {
        Share {
            body: body(&["a"], self.budget.lease(1).unwrap(), Duration::ZERO),
            ranges: std::iter::once(0..1).collect(),
            claim: receipt.claim(&self.account, 1),
            destination: "logs".into(),
            on_refused: OnRefused::DeadLetter,
        }
    }

    fn seen(&self) -> Vec<Delivery> {
        self.sink.seen.lock().clone()
    }

    fn settled(&self, outcome: Outcome) -> u64 {
        self.account.settled(outcome)
    }
}

fn body<R: AsRef<str>>(records: &[R], lease: Lease, age: Duration) -> Arc<Body> {
    let mut bytes = Vec::new();
    let mut index = Index::default();
    let arrived = crate::time::now() - age.as_nanos() as i64;
    for record in records {
        let record = record.as_ref();
        let (offset, len) = (bytes.len() as u32, record.len() as u32);
        index.push(Entry { time: arrived, offset, len, aux: 0, flags: 0 }, RouteSet(1), 0);
        bytes.extend_from_slice(record.as_bytes());
    }
    let ids = Ids::Minted { epoch: 1, frame: 1 };
    Arc::new(Body {
        bytes: bytes.into(),
        wire: WireId::Json,
        index,
        ids,
        arrived,
        receiver: "json".into(),
        lease,
    })
}

/// One payload at a time.
fn one_at_a_time() -> DeliveryConfig {
    DeliveryConfig { concurrency: ConcurrencyConfig { min: 1, max: 1 }, ..DeliveryConfig::default() }
}

async fn settled(receipt: &Receipt) -> Settled {
    tokio::time::timeout(Duration::from_secs(7_200), receipt.settled()).await.expect("never settled")
}

/// All of it was stored, and nothing else is to be told.
async fn assert_delivered(receipt: &Receipt) {
    let settled = settled(receipt).await;
    assert!(settled.delivered > 0, "{settled:?}");
    assert_eq!(Settled { delivered: 0, ..settled }, Settled::default());
}

async fn is_open(receipt: &Receipt) -> bool {
    tokio::time::timeout(Duration::ZERO, receipt.settled()).await.is_err()
}

/// Lets everything run that can run without time passing.
async fn breathe() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
