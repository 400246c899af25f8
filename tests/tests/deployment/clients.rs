//! Clients with long-lived gRPC connections that keep book of every code that they were told.

use forebay_proto::collector::ExportLogsServiceRequest;
use forebay_proto::common::any_value::Value as Any;
use forebay_tests::otlp::{self, LogsClient, attribute, retry_info};
use forebay_tests::wait_until;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tonic::{Code, Status};

/// Between two batches of one client: a load that the machine can bear beside the processes that start.
const PAUSE: Duration = Duration::from_millis(25);
/// Before an attempt whose predecessor named no delay, and the longest wait at all: the tests have no time for more.
const BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How long a client goes on with its last batch.
const LAST_BATCH: Duration = Duration::from_secs(60);
const BATCH: usize = 20;

/// What clients were told.
#[derive(Debug, Default)]
pub struct Book {
    /// Ids of records whose request was taken.
    pub acknowledged: Vec<String>,
    /// Errors that let the client try again, by code.
    pub retryable: BTreeMap<String, u64>,
    /// Errors that do not, and answers that are none.
    pub wrong: Vec<String>,
}

/// Clients at work, each in a thread with a channel of its own.
#[derive(Debug)]
pub struct Clients {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Book>>,
}

impl Clients {
    /// Starts `count` of them against one address. `prefix` begins every id.
    pub fn start(count: usize, prefix: &'static str, address: &str) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut threads = Vec::new();
        for number in 0..count {
            let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
            let mut client = LogsClient::new(address).unwrap();
            let prefix = format!("{prefix}-{number}");
            threads.push(thread::spawn(move || work(&mut client, &prefix, &stop, &acknowledged)));
        }
        Self { stop, acknowledged, threads }
    }

    /// Waits until `count` more records are acknowledged than now.
    pub fn wait_for(&self, count: u64) {
        let goal = self.acknowledged.load(Relaxed) + count;
        wait_until("acknowledgements", LAST_BATCH, || {
            Ok((self.acknowledged.load(Relaxed) >= goal).then_some(()))
        })
        .unwrap();
    }

    /// Lets the clients finish the batches that they have begun; returns all their books as one.
    pub fn finish(self) -> Book {
        self.stop.store(true, Relaxed);
        let mut all = Book::default();
        for thread in self.threads {
            let Book { acknowledged, retryable, wrong } = thread.join().unwrap();
            all.acknowledged.extend(acknowledged);
            all.wrong.extend(wrong);
            for (code, count) in retryable {
                *all.retryable.entry(code).or_default() += count;
            }
        }
        all
    }
}

fn work(client: &mut LogsClient, prefix: &str, stop: &AtomicBool, acknowledged: &AtomicU64) -> Book {
    let mut book = Book::default();
    for batch in 0_u64.. {
        if stop.load(Relaxed) {
            break;
        }
        let ids: Vec<String> = (0..BATCH).map(|at| format!("{prefix}-{batch}-{at}")).collect();
        if insist(client, &request(&ids), &mut book) {
            acknowledged.fetch_add(BATCH as u64, Relaxed);
            book.acknowledged.extend(ids);
        }
        thread::sleep(PAUSE);
    }
    book
}

/// Sends one request until it is taken. Not if the client was told never to come again, which it writes down.
fn insist(client: &mut LogsClient, request: &ExportLogsServiceRequest, book: &mut Book) -> bool {
    let began = Instant::now();
    while began.elapsed() < LAST_BATCH {
        match client.export(request.clone()) {
            Ok(response) if response.partial_success.is_none() => return true,
            Ok(response) => {
                book.wrong.push(format!("{response:?}"));
                return false;
            }
            Err(status) if is_retryable(&status) => {
                *book.retryable.entry(format!("{:?}: {}", status.code(), status.message())).or_default() += 1;
                thread::sleep(retry_info(status.details()).unwrap_or(BACKOFF).min(LONGEST_WAIT));
            }
            Err(status) => {
                book.wrong.push(status.to_string());
                return false;
            }
        }
    }
    book.wrong.push(format!("not taken within {LAST_BATCH:?}"));
    false
}

/// The codes that OTLP lets clients retry (opentelemetry.io/docs/specs/otlp, "Failures"). A connection that breaks is one of them
/// too: the client makes up UNAVAILABLE or CANCELLED.
fn is_retryable(status: &Status) -> bool {
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::ResourceExhausted => retry_info(status.details()).is_some(),
        _ => false,
    }
}

/// The records with these ids, as of now. Whoever sends it again sends the same bytes.
fn request(ids: &[String]) -> ExportLogsServiceRequest {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let record = |id: &String| {
        otlp::record(now, "something happened", vec![attribute("id", Any::StringValue(id.clone()))])
    };
    otlp::request("rollout", ids.iter().map(record).collect())
}
