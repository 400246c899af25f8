//! The clients: each sends batch after batch, each batch until it is taken, and keeps its book.

use crate::book::{Batch, Book};
use crate::client::{Answer, Client};
use crate::record::{Origin, Protocol};
use anyhow::{Result, ensure};
use forebay_tests::gateway::Ports;
use forebay_tests::seeded::Random;
use forebay_tests::wait_until;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const CLIENTS: [(Protocol, usize); 6] = [
    (Protocol::OtlpGrpc, 5),
    (Protocol::OtlpHttp, 4),
    (Protocol::Json, 5),
    (Protocol::Beats, 4),
    (Protocol::Bulk, 4),
    (Protocol::Forward, 4),
];
/// Records of a batch, beside those that are sent twice.
const BATCH: u32 = 150;
/// The longest wait between two attempts, whatever the answer asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Between two attempts when nobody answered, or no time was named.
const REDIAL: Duration = Duration::from_millis(150);
/// One batch in so many is not sent again when its first attempt fails: it stays in doubt.
const GIVEN_UP: u64 = 40;
/// Acknowledged lines a second over the whole run, and how many more at once: bursts as fast as the gateway takes them, but
/// no more documents in an hour than can be read back.
const RATE: f64 = 4_000.0;
const BURST: f64 = 200_000.0;
/// Until the clients' last batches are taken, once nothing goes wrong any more.
const FINISH: Duration = Duration::from_secs(120);
/// Broken rules that are kept in words.
const MOST_COMPLAINTS: usize = 20;

/// Purpose of random numbers.
const PATIENCE: u64 = 3;

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    control: Arc<Control>,
    threads: Vec<JoinHandle<Book>>,
}

#[derive(Debug)]
struct Control {
    began: Instant,
    /// No further batches for now.
    paused: AtomicBool,
    /// No further batches at all, and no further attempts either.
    stopped: AtomicBool,
    idle: AtomicUsize,
    /// Lines and records, twins counted twice.
    acknowledged: AtomicU64,
    rejected: AtomicU64,
    again: AtomicU64,
    unanswered: AtomicU64,
    complaints: Mutex<Vec<String>>,
}

/// Sums over all clients.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub acknowledged: u64,
    pub rejected: u64,
    pub again: u64,
    pub unanswered: u64,
}

impl Load {
    /// Starts the clients, each in a thread with a connection of its own.
    pub fn start(seed: u64, ports: Ports) -> Self {
        let control = Arc::new(Control::new());
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let protocols = CLIENTS.iter().flat_map(|(protocol, count)| std::iter::repeat_n(*protocol, *count));
        let mut threads = Vec::new();
        for (client, protocol) in protocols.enumerate() {
            let origin = Origin { seed, client, protocol, batch: BATCH, began };
            let of_thread = Arc::clone(&control);
            threads.push(thread::spawn(move || work(origin, ports, &of_thread)));
        }
        Self { control, threads }
    }

    pub fn progress(&self) -> Progress {
        let Control { acknowledged, rejected, again, unanswered, .. } = &*self.control;
        Progress {
            acknowledged: acknowledged.load(SeqCst),
            rejected: rejected.load(SeqCst),
            again: again.load(SeqCst),
            unanswered: unanswered.load(SeqCst),
        }
    }

    /// Lets the clients finish what they have begun, and keeps them from beginning anew.
    ///
    /// # Errors
    /// A batch is still not taken although nothing goes wrong any more: the gateway does not drain.
    pub fn pause(&self) -> Result<()> {
        self.control.paused.store(true, SeqCst);
        let clients = self.threads.len();
        wait_until("the clients' batches to be taken", FINISH, || {
            ensure!(!self.threads.iter().any(JoinHandle::is_finished), "a client has ended");
            Ok((self.control.idle.load(SeqCst) == clients).then_some(()))
        })
    }

    pub fn resume(&self) {
        self.control.paused.store(false, SeqCst);
    }

    /// Ends the clients, after the attempt that they are at; returns their books, and what broke their protocols.
    pub fn finish(self) -> (Vec<Book>, Vec<String>) {
        self.control.stopped.store(true, SeqCst);
        let books = self.threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let complaints = self.control.complaints.lock().clone();
        (books, complaints)
    }
}

impl Control {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            paused: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            idle: AtomicUsize::new(0),
            acknowledged: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            again: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            complaints: Mutex::default(),
        }
    }

    /// Whether there were enough for now.
    fn is_ahead(&self) -> bool {
        self.acknowledged.load(SeqCst) as f64 > BURST + RATE * self.began.elapsed().as_secs_f64()
    }

    fn complain(&self, client: usize, what: String) {
        let mut complaints = self.complaints.lock();
        if complaints.len() < MOST_COMPLAINTS {
            complaints.push(format!("client {client}: {what}"));
        }
    }

    /// Waits while paused or ahead. False if there is nothing more to do.
    fn may_begin(&self) -> bool {
        while self.is_ahead() && !self.paused.load(SeqCst) && !self.stopped.load(SeqCst) {
            thread::sleep(Duration::from_millis(10));
        }
        if self.paused.load(SeqCst) {
            self.idle.fetch_add(1, SeqCst);
            while self.paused.load(SeqCst) && !self.stopped.load(SeqCst) {
                thread::sleep(Duration::from_millis(10));
            }
            self.idle.fetch_sub(1, SeqCst);
        }
        !self.stopped.load(SeqCst)
    }
}

fn work(origin: Origin, ports: Ports, control: &Control) -> Book {
    let mut client = Client::new(origin, ports);
    let mut book = Book::new(origin);
    while control.may_begin() {
        let number = book.batches.len();
        let records = book.numbers(number);
        let spoilt = book.spoilt(&records);
        let batch = insist(&mut client, control, &records, spoilt, number);
        book.batches.push(batch);
        if batch.acknowledged {
            control.acknowledged.fetch_add(records.len() as u64 - spoilt, SeqCst);
            control.rejected.fetch_add(spoilt, SeqCst);
        }
    }
    book
}

/// Sends one batch until it is taken, or given up.
fn insist(client: &mut Client, control: &Control, records: &[u32], spoilt: u64, number: usize) -> Batch {
    let mut batch = Batch::default();
    let who = client.origin().client;
    let mut random = Random::of(&[client.origin().seed, PATIENCE, who as u64, number as u64]);
    let is_given_up = random.one_in(GIVEN_UP);
    loop {
        batch.attempts += 1;
        let wait = match client.send(records) {
            Answer::Taken { rejected } => {
                if let Some(rejected) = rejected
                    && rejected != spoilt
                {
                    control.complain(who, format!("told of {rejected} rejected records instead of {spoilt}"));
                }
                batch.acknowledged = true;
                return batch;
            }
            Answer::Again(after) => {
                control.again.fetch_add(1, SeqCst);
                after.unwrap_or(REDIAL)
            }
            Answer::Nothing => {
                control.unanswered.fetch_add(1, SeqCst);
                REDIAL
            }
            Answer::Never(reason) => {
                control.complain(who, format!("told never to send again: {reason}"));
                return batch;
            }
        };
        if is_given_up || control.stopped.load(SeqCst) {
            return batch;
        }
        let millis = wait.min(LONGEST_WAIT).as_millis() as u64;
        thread::sleep(Duration::from_millis(millis / 2 + random.below(millis / 2 + 1)));
    }
}
