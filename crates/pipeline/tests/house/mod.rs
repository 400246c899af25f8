//! A house with a journal around sinks that do as they are told.

use bytes::Bytes;
use forebay_pipeline::admit::{Acknowledge, Intake, Outlet, Request};
use forebay_pipeline::body::Share;
use forebay_pipeline::budget::Budget;
use forebay_pipeline::dead_letter::{DeadLetterConfig, DeadLetterDir};
use forebay_pipeline::deliver::{
    Delivery, DeliveryConfig, Encoder, LagConfig, OnLag, Payload, RetryConfig, Sink, Verdicts,
};
use forebay_pipeline::journal::{Compression, JournalConfig, JournalError, Service};
use forebay_pipeline::ledger::{Ledger, Outcome};
use forebay_pipeline::route::{Mode, RouteConfig};
use forebay_pipeline::rules::{Rules, RulesConfig};
use forebay_pipeline::units::{ByteSize, Period};
use forebay_pipeline::wire::json::Format;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub const MIB: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(20);

/// How a sink feels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Well,
    Down,
    /// Stores, and says that it did not.
    Forgetful,
    /// Takes nothing for this destination until somebody mends it.
    Blocks(&'static str),
    Panics,
}

/// Keeps what it is sent.
#[derive(Debug)]
struct Recorder {
    mood: Mutex<Mood>,
    /// Destination, id and record.
    stored: Mutex<Vec<(String, String, String)>>,
}

/// Lines of id, a tab, and the record.
#[derive(Debug, Default)]
struct Lines {
    destination: String,
    bytes: Vec<u8>,
    records: u32,
}

impl Encoder for Lines {
    fn push(&mut self, share: &Share) -> u32 {
        for item in share.items() {
            share.body.write_id(item, &share.destination, &mut self.bytes);
            self.bytes.push(b'\t');
            self.bytes.extend_from_slice(share.body.record(item));
            self.bytes.push(b'\n');
        }
        self.records += share.records();
        share.records()
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn finish(self: Box<Self>) -> Payload {
        let Self { destination, bytes, records } = *self;
        Payload { destination: destination.into(), bytes: bytes.into(), gzip: false, records, id: 0 }
    }
}

impl Sink for Recorder {
    fn encoder(&self, destination: &str, _limit: usize) -> Box<dyn Encoder> {
        assert!(*self.mood.lock() != Mood::Panics, "told to");
        Box::new(Lines { destination: destination.to_owned(), ..Lines::default() })
    }

    fn send<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, Verdicts> {
        Box::pin(async {
            let down = || Verdicts::Retry { reason: "down".to_owned(), after: None, overloaded: false };
            let mood = *self.mood.lock();
            match mood {
                Mood::Down => return down(),
                Mood::Blocks(destination) if *payload.destination == *destination => {
                    return Verdicts::Blocked { reason: "forbidden".to_owned() };
                }
                _ => {}
            }
            let text = std::str::from_utf8(&payload.bytes).unwrap();
            self.stored.lock().extend(text.lines().map(|line| {
                let (id, record) = line.split_once('\t').unwrap();
                (payload.destination.to_string(), id.to_owned(), record.to_owned())
            }));
            if mood == Mood::Forgetful { down() } else { Verdicts::Delivered }
        })
    }

    fn render(&self, share: &Share, item: u32) -> Vec<u8> {
        share.body.record(item).to_vec()
    }
}

/// How a house is built.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub to: &'static [&'static str],
    /// Sinks that nobody waits for.
    pub best_effort: &'static [&'static str],
    /// How requests are answered.
    pub acknowledge: Acknowledge,
    /// Most bytes that a sink may hold of the journal, and what becomes of more.
    pub max_lag: Option<(usize, OnLag)>,
    /// The index of what is not odd.
    pub index: &'static str,
    pub window: usize,
    pub max_bytes: usize,
    pub segment_bytes: usize,
    pub max_record_bytes: usize,
    pub compression: Compression,
    pub abandon: &'static [&'static str],
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            to: &["a"],
            best_effort: &[],
            acknowledge: Acknowledge::Durable,
            max_lag: None,
            index: "even",
            window: MIB,
            max_bytes: 256 * MIB,
            segment_bytes: 2 * MIB,
            max_record_bytes: MIB,
            compression: Compression::None,
            abandon: &[],
        }
    }
}

pub struct House {
    acknowledge: Acknowledge,
    intake: Intake,
    service: Arc<Service>,
    pub ledger: Arc<Ledger>,
    pub budget: Arc<Budget>,
    sinks: BTreeMap<String, Arc<Recorder>>,
    pub lost: Vec<(String, u64)>,
    _letters: tempfile::TempDir,
}

/// One record.
pub fn line(number: usize) -> String {
    format!("{{\"n\":{number},\"text\":\"some of what is usually said\"}}")
}

/// A body of records.
pub fn lines(numbers: Range<usize>) -> String {
    numbers.map(|number| line(number) + "\n").collect()
}

impl House {
    pub async fn new(folder: &Path, plan: Plan) -> Self {
        Self::open(folder, plan).await.unwrap()
    }

    pub async fn open(folder: &Path, plan: Plan) -> Result<Self, JournalError> {
        let letters = tempfile::tempdir().unwrap();
        let config = DeadLetterConfig { path: letters.path().to_owned(), ..DeadLetterConfig::default() };
        let letters_dir = Arc::new(DeadLetterDir::open(&config).unwrap());
        let ledger = Arc::new(Ledger::default());
        let budget = Budget::with_reserve(64 * MIB, 8 * MIB);
        let names: Vec<String> =
            plan.to.iter().chain(plan.best_effort).map(|name| (*name).to_owned()).collect();
        let config = JournalConfig {
            path: folder.to_owned(),
            max_bytes: ByteSize(plan.max_bytes as u64),
            segment_bytes: ByteSize(plan.segment_bytes as u64),
            compression: plan.compression,
            abandon: plan.abandon.iter().map(|name| (*name).to_owned()).collect(),
            ..JournalConfig::default()
        };
        let (service, opened) = Service::open(&config, &names, Arc::clone(&budget), Arc::clone(&ledger))?;
        let sinks: BTreeMap<String, Arc<Recorder>> = names
            .iter()
            .map(|name| {
                let stored = Mutex::default();
                (name.clone(), Arc::new(Recorder { mood: Mutex::new(Mood::Well), stored }))
            })
            .collect();
        let outlet = |(name, sink): (&String, &Arc<Recorder>)| {
            let retry = RetryConfig {
                initial: Period::millis(5),
                max: Period::millis(20),
                blocked_pause: Period::millis(20),
                ..RetryConfig::default()
            };
            let mut config = DeliveryConfig { retry, ..DeliveryConfig::default() };
            if let Some((bytes, on_lag)) = plan.max_lag {
                config.lag = LagConfig { max_bytes: Some(ByteSize(bytes as u64)), on_lag };
            }
            let lag = config.lag.clone();
            let sink = Arc::clone(sink) as Arc<dyn Sink>;
            let letters = Arc::clone(&letters_dir) as _;
            let handle = Delivery::start(name.as_str().into(), sink, config, Arc::clone(&budget), letters);
            Outlet {
                name: name.as_str().into(),
                handle,
                window: plan.window,
                pause: Duration::from_millis(20),
                spare: Arc::default(),
                lag,
            }
        };
        let outlets: Vec<Outlet> = sinks.iter().map(outlet).collect();
        let rules = rules(&plan);
        let names: Vec<Arc<str>> = names.iter().map(|name| name.as_str().into()).collect();
        let built = Arc::new(Rules::build(&rules, &names, &ledger).unwrap());
        let journaled = service.attach(&rules, &built, &outlets, &[])?;
        let intake = Intake::new(built, outlets, Arc::default(), Arc::clone(&budget)).with_journal(journaled);
        Ok(Self {
            acknowledge: plan.acknowledge,
            intake,
            service,
            ledger,
            budget,
            sinks,
            lost: opened.lost,
            _letters: letters,
        })
    }

    /// Sends a body, and waits for the answer.
    pub async fn json(&self, body: &str) -> Result<(), String> {
        let bytes = Bytes::copy_from_slice(body.as_bytes());
        let lease = self.budget.lease(bytes.len()).map_err(|error| error.to_string())?;
        let acknowledge = self.acknowledge;
        let request = Request { bytes, lease, receiver: "json".into(), acknowledge, tenant: None };
        let door = self.ledger.door("json");
        let admitted =
            self.intake.admit_json(request, &door, Format::Lines).map_err(|error| error.to_string())?;
        admitted.answer.settled().await.map(|_| ()).map_err(|error| error.to_string())
    }

    /// The same of a bulk, whose address says `defaults`.
    pub async fn bulk(&self, body: &str, defaults: &str) -> Result<(), String> {
        let bytes = Bytes::copy_from_slice(body.as_bytes());
        let lease = self.budget.lease(bytes.len()).map_err(|error| error.to_string())?;
        let request =
            Request { bytes, lease, receiver: "bulk".into(), acknowledge: self.acknowledge, tenant: None };
        let admitted = self.intake.admit_bulk(request, &self.ledger.door("bulk"), defaults.as_bytes());
        let (admitted, _) = admitted.map_err(|error| error.to_string())?;
        admitted.answer.settled().await.map(|_| ()).map_err(|error| error.to_string())
    }

    pub fn has_room(&self) -> bool {
        self.intake.has_room(Acknowledge::Durable, Duration::MAX).is_ok()
    }

    pub fn mood(&self, sink: &str, mood: Mood) {
        *self.sinks[sink].mood.lock() = mood;
    }

    /// Records that a sink was sent.
    pub fn count(&self, sink: &str) -> usize {
        self.sinks[sink].stored.lock().len()
    }

    pub fn stored(&self, sink: &str) -> BTreeSet<String> {
        self.sinks[sink].stored.lock().iter().map(|(_, _, record)| record.clone()).collect()
    }

    pub fn ids(&self, sink: &str) -> BTreeSet<String> {
        self.sinks[sink].stored.lock().iter().map(|(_, id, _)| id.clone()).collect()
    }

    pub fn destinations(&self, sink: &str) -> BTreeSet<String> {
        self.sinks[sink].stored.lock().iter().map(|(destination, ..)| destination.clone()).collect()
    }

    /// Requests that a sink has not finished.
    pub fn behind(&self, sink: &str) -> u64 {
        self.service.progress().iter().find(|progress| *progress.sink == *sink).unwrap().behind
    }

    pub fn settled(&self, sink: &str, outcome: Outcome) -> u64 {
        let accounts = self.ledger.accounts();
        accounts.iter().filter(|account| *account.sink == *sink).map(|account| account.settled(outcome)).sum()
    }

    /// Requests that a sink lost because it was too far behind.
    pub fn lagged(&self, sink: &str) -> u64 {
        self.service.progress().iter().find(|progress| *progress.sink == *sink).unwrap().lagged
    }

    /// Requests that a sink lost because they were damaged.
    pub fn lost(&self, sink: &str) -> u64 {
        self.service.progress().iter().find(|progress| *progress.sink == *sink).unwrap().lost
    }

    pub fn owed(&self) -> u64 {
        self.ledger.accounts().iter().map(|account| account.owed()).sum()
    }

    pub fn recovered(&self) -> u64 {
        self.ledger.accounts().iter().map(|account| account.recovered()).sum()
    }

    pub async fn eventually(&self, holds: impl Fn() -> bool) {
        let end = tokio::time::Instant::now() + PATIENCE;
        while !holds() {
            assert!(tokio::time::Instant::now() < end, "{:?}", self.service.progress());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until a sink was sent so many records.
    pub async fn delivered(&self, sink: &str, records: usize) {
        self.eventually(|| self.count(sink) >= records).await;
    }

    /// Waits until the journal owes nothing, and the books balance.
    pub async fn emptied(&self) {
        self.eventually(|| self.service.progress().iter().all(|progress| progress.behind == 0)).await;
        self.eventually(|| self.budget.used() == 0).await;
        self.balanced();
    }

    /// Nothing is on its way.
    pub fn balanced(&self) {
        for account in self.ledger.accounts() {
            assert_eq!(account.in_flight(), 0, "{account:?}");
        }
    }

    /// Ends at once: what is on its way is not waited for. Returns what was stored.
    pub async fn crash(self) -> BTreeSet<String> {
        let stored =
            self.sinks.values().flat_map(|sink| sink.stored.lock().clone()).map(|(.., record)| record);
        let stored = stored.collect();
        self.service.detach(|_| true);
        for outlet in self.intake.outlets() {
            outlet.handle.drain(Duration::ZERO).await;
        }
        // Consumers notice that they are closed, and let go of the folder.
        let service = self.service;
        drop(self.intake);
        service.close(PATIENCE).await.unwrap();
        let weak = Arc::downgrade(&service);
        drop(service);
        let end = tokio::time::Instant::now() + PATIENCE;
        while weak.strong_count() > 0 {
            assert!(tokio::time::Instant::now() < end, "somebody holds the journal");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stored
    }
}

fn rules(plan: &Plan) -> RulesConfig {
    let routes: Vec<RouteConfig> = serde_json::from_value(serde_json::json!([
        { "name": "odd", "to": plan.to, "best_effort": plan.best_effort, "index": "odd", "when": { "field": "odd", "equals": true } },
        { "name": "named", "to": plan.to, "index": "named", "when": { "field": "@metadata._index", "equals": "app" } },
        { "name": "all", "to": plan.to, "best_effort": plan.best_effort, "index": plan.index },
    ]))
    .unwrap();
    RulesConfig {
        routes,
        route_mode: Mode::FirstMatch,
        promote: Vec::new(),
        max_event_age: Period::secs(3_600),
        max_event_lead: Period::secs(3_600),
        max_records: 1_000_000,
        max_record_bytes: plan.max_record_bytes,
        json: BTreeMap::new(),
    }
}
