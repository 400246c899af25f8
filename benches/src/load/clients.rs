//! Clients of all three protocols at once, either in a closed loop or in an open one, where each request is offered at its time
//! whatever became of those before it. A refused request is counted and not sent again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::grpc::GrpcClient;
use super::http::HttpClient;
use super::{ANSWER_WITHIN, Client, Outcome, Protocol, Shape, http_target};
use crate::corpus::Corpus;

/// What is spoken, each by a third of the requests.
pub const PROTOCOLS: [Protocol; 3] = [Protocol::OtlpGrpc, Protocol::OtlpHttp, Protocol::Ndjson];

/// Distinct requests for each protocol; they are sent again and again.
const POOL: u64 = 64;

/// DATA frames of HTTP/2, as senders in Go make them.
const FRAME_BYTES: usize = 16_384;

/// Offers that have come due and wait for a client, for each protocol. What is beyond was not offered.
const BACKLOG: usize = 64;

/// How often offers come due.
const TICK: Duration = Duration::from_millis(5);

/// What clients were told.
#[derive(Debug, Default, Clone)]
pub struct Told {
    /// Requests sent.
    pub offered: u64,
    /// Requests that found all clients busy.
    pub unsent: u64,
    pub acknowledged: u64,
    /// Refusals by status and words.
    pub refused: BTreeMap<String, u64>,
    /// The part of them that does not say when to try again.
    pub without_time: u64,
    /// Answers that are final, broken connections, and no answer at all.
    pub failed: BTreeMap<String, u64>,
    /// Microseconds from first byte to acknowledgement, or to refusal.
    pub acknowledged_after: Vec<u64>,
    pub refused_after: Vec<u64>,
}

/// The requests, and what became of each.
#[derive(Debug)]
pub struct Traffic {
    addresses: [SocketAddr; 3],
    records: usize,
    gzip: bool,
    bodies: [Vec<Bytes>; 3],
    /// The next request of each protocol.
    next: [AtomicU64; 3],
    /// Acknowledgements of each request of the pools, one pool after the other.
    acknowledged: Vec<AtomicU64>,
    told: Mutex<[Told; 3]>,
}

impl Traffic {
    /// Requests of `records` records to these addresses, in the order of [`PROTOCOLS`].
    ///
    /// # Errors
    /// A body could not be made.
    pub fn new(corpus: &Corpus, records: usize, gzip: bool, addresses: [SocketAddr; 3]) -> Result<Arc<Self>> {
        let pool = |at: usize| {
            let shape = Shape { protocol: PROTOCOLS[at], records, keys: crate::corpus::Keys::Ten, gzip };
            shape.bodies(corpus, at as u64 * POOL, POOL)
        };
        Ok(Arc::new(Self {
            addresses,
            records,
            gzip,
            bodies: [pool(0)?, pool(1)?, pool(2)?],
            next: Default::default(),
            acknowledged: (0..3 * POOL).map(|_| AtomicU64::new(0)).collect(),
            told: Mutex::default(),
        }))
    }

    /// Sequence numbers that a ledger of `records` records a request must know.
    #[must_use]
    pub fn sequences(records: usize) -> u64 {
        3 * POOL * records as u64
    }

    /// Records of each request.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records as u64
    }

    /// For each request of the pools: its first sequence number, and how often it was acknowledged.
    pub fn acknowledged(&self) -> impl Iterator<Item = (u64, u64)> {
        let counts = self.acknowledged.iter().enumerate();
        counts.map(|(number, count)| (number as u64 * self.records as u64, count.load(Relaxed)))
    }

    /// What clients were told since the last call, in the order of [`PROTOCOLS`].
    #[must_use]
    pub fn take_told(&self) -> [Told; 3] {
        std::mem::take(&mut *self.told.lock())
    }

    /// Bytes of a request, as sent, on average.
    #[must_use]
    pub fn mean_bytes(&self) -> usize {
        self.bodies.iter().flatten().map(Bytes::len).sum::<usize>() / (3 * POOL as usize)
    }

    /// Sends the next request of protocol `at`, and says whether it was acknowledged and after how long.
    async fn send(&self, at: usize, client: &mut Option<Client>) -> (bool, Duration) {
        let number = self.next[at].fetch_add(1, Relaxed) % POOL;
        let body = self.bodies[at][number as usize].clone();
        let began = Instant::now();
        let outcome = match timeout(ANSWER_WITHIN, self.attempt(at, client, body)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Failed("no answer".into()),
        };
        let after = began.elapsed();
        let mut told = self.told.lock();
        let told = &mut told[at];
        told.offered += 1;
        let is_acknowledged = outcome == Outcome::Accepted;
        match outcome {
            Outcome::Accepted => {
                told.acknowledged += 1;
                told.acknowledged_after.push(after.as_micros() as u64);
                self.acknowledged[at * POOL as usize + number as usize].fetch_add(1, Relaxed);
            }
            Outcome::Retry { after: time, why } => {
                *told.refused.entry(why).or_default() += 1;
                told.without_time += u64::from(time.is_none());
                told.refused_after.push(after.as_micros() as u64);
            }
            Outcome::Failed(why) => {
                *client = None;
                *told.failed.entry(why).or_default() += 1;
            }
        }
        (is_acknowledged, after)
    }

    async fn attempt(&self, at: usize, client: &mut Option<Client>, body: Bytes) -> Outcome {
        // A server may close a connection after any answer; whoever sends then opens another.
        if let Some(Client::Http(open)) = client
            && !open.is_open().await
        {
            *client = None;
        }
        if client.is_none() {
            match self.connect(at).await {
                Ok(open) => *client = Some(open),
                Err(fault) => return Outcome::Failed(format!("{fault:#}")),
            }
        }
        match client {
            Some(client) => client.send(body).await,
            None => Outcome::Failed("no connection".into()),
        }
    }

    async fn connect(&self, at: usize) -> Result<Client> {
        let address = self.addresses[at];
        Ok(match PROTOCOLS[at] {
            Protocol::OtlpGrpc => Client::Grpc(GrpcClient::connect(address, FRAME_BYTES, self.gzip).await?),
            other => Client::Http(HttpClient::connect(address, http_target(other, self.gzip)).await?),
        })
    }
}

/// Sends for `time` with `clients` clients that each await every answer, one request of each protocol in turn, so that all have the same
/// share. Returns after the last answer.
pub async fn closed_loop(traffic: &Arc<Traffic>, clients: usize, time: Duration) {
    let end = Instant::now() + time;
    let mut workers = JoinSet::new();
    for first in 0..clients {
        let traffic = Arc::clone(traffic);
        workers.spawn(async move {
            let mut connections: [Option<Client>; 3] = [None, None, None];
            let mut at = first % 3;
            while Instant::now() < end {
                traffic.send(at, &mut connections[at]).await;
                at = (at + 1) % 3;
            }
        });
    }
    workers.join_all().await;
}

/// Clients that offer at a rate of their own.
#[derive(Debug)]
pub struct Open {
    traffic: Arc<Traffic>,
    due: [Arc<Semaphore>; 3],
    ended: Arc<AtomicBool>,
    workers: JoinSet<()>,
}

impl Open {
    /// `http` connections for each protocol over HTTP/1.1, and `grpc` connections with `calls` calls at once each.
    ///
    /// # Errors
    /// Nobody listens.
    pub async fn start(traffic: &Arc<Traffic>, http: usize, grpc: usize, calls: usize) -> Result<Self> {
        let due: [Arc<Semaphore>; 3] = std::array::from_fn(|_| Arc::new(Semaphore::new(0)));
        let ended = Arc::new(AtomicBool::new(false));
        let mut workers = JoinSet::new();
        for (at, due) in due.iter().enumerate() {
            let mut clients = Vec::new();
            if PROTOCOLS[at] == Protocol::OtlpGrpc {
                for _ in 0..grpc {
                    let Client::Grpc(client) = traffic.connect(at).await? else { continue };
                    clients.extend((0..calls).map(|_| Some(Client::Grpc(client.clone()))));
                }
            } else {
                clients.extend((0..http).map(|_| None));
            }
            for mut client in clients {
                let (traffic, due, ended) = (Arc::clone(traffic), Arc::clone(due), Arc::clone(&ended));
                workers.spawn(async move {
                    while let Ok(offer) = due.acquire().await {
                        offer.forget();
                        if ended.load(Relaxed) {
                            return;
                        }
                        traffic.send(at, &mut client).await;
                    }
                });
            }
        }
        Ok(Self { traffic: Arc::clone(traffic), due, ended, workers })
    }

    /// Offers `rate` requests a second of each protocol for `time`. Requests may be under way when it returns.
    pub async fn offer(&self, rate: f64, time: Duration) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let began = Instant::now();
        let mut offered = 0;
        while began.elapsed() < time {
            ticks.tick().await;
            let due = (began.elapsed().min(time).as_secs_f64() * rate) as u64;
            for (at, waiting) in self.due.iter().enumerate() {
                let room = BACKLOG.saturating_sub(waiting.available_permits()) as u64;
                let added = (due - offered).min(room);
                waiting.add_permits(added as usize);
                self.traffic.told.lock()[at].unsent += due - offered - added;
            }
            offered = due;
        }
    }

    /// Offers nothing more and waits for the answers that are due.
    pub async fn end(self) {
        self.ended.store(true, Relaxed);
        for due in &self.due {
            due.close();
        }
        self.workers.join_all().await;
    }
}

/// Sends one request by gRPC every `every` until `end`, each by itself. Returns when each was sent, after how long it was answered, and
/// whether it was acknowledged.
pub async fn probe(traffic: &Arc<Traffic>, every: Duration, end: Instant) -> Vec<(Instant, Duration, bool)> {
    let mut client = None;
    // The connection is made before the clock starts.
    traffic.send(0, &mut client).await;
    let mut probes = JoinSet::new();
    let mut ticks = interval(every);
    while Instant::now() < end {
        ticks.tick().await;
        let (traffic, mut client) = (Arc::clone(traffic), client.as_ref().and_then(Client::another));
        probes.spawn(async move {
            let sent = Instant::now();
            let (is_acknowledged, after) = traffic.send(0, &mut client).await;
            (sent, after, is_acknowledged)
        });
    }
    probes.join_all().await
}
