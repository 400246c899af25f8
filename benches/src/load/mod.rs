//! The load generator: keeps a fixed number of requests in flight, awaits every acknowledgement, times it.

mod beats;
mod bodies;
pub mod clients;
mod grpc;
pub mod http;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::ValueEnum;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message;
use tokio::task::JoinSet;

use beats::BeatsClient;
pub use bodies::Shape;
use grpc::GrpcClient;
use http::{HttpClient, Target};

/// Wait before a retry when the refusal names none.
const DEFAULT_RETRY: Duration = Duration::from_millis(100);

/// A request that is refused for so long has failed.
const RETRY_FOR: Duration = Duration::from_secs(60);

/// A request whose answer does not come for so long has failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// What the load generator speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// OTLP over gRPC, cleartext HTTP/2.
    OtlpGrpc,
    /// OTLP protobuf over HTTP/1.1.
    OtlpHttp,
    /// JSON lines over HTTP/1.1.
    Ndjson,
    /// The same lines as a `_bulk` of Elasticsearch.
    Bulk,
    /// The same lines as events of Beats, in Lumberjack 2.
    Beats,
}

impl Protocol {
    /// Whether records travel as JSON lines.
    #[must_use]
    pub fn is_json(self) -> bool {
        matches!(self, Self::Ndjson | Self::Bulk | Self::Beats)
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OtlpGrpc => "otlp-grpc",
            Self::OtlpHttp => "otlp-http",
            Self::Ndjson => "ndjson",
            Self::Bulk => "bulk",
            Self::Beats => "beats",
        }
    }
}

/// What became of one attempt to send a request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Accepted,
    /// To be sent again, `after` so long where the answer says; `why` is its status and words.
    Retry {
        after: Option<Duration>,
        why: String,
    },
    Failed(String),
}

/// Longest text kept of a refusal.
const MAX_WHY: usize = 64;

/// A status and the words of its message, so that refusals of one kind are counted together: figures differ each time.
fn why(status: &str, message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let words = text.split(|letter: char| !letter.is_ascii_alphabetic()).filter(|word| word.len() > 1);
    let mut why = words.fold(status.to_owned(), |text, word| text + " " + word);
    why.truncate(MAX_WHY);
    why
}

/// How requests are sent.
#[derive(Debug, Clone, Copy)]
pub struct Sending {
    pub protocol: Protocol,
    pub address: SocketAddr,
    pub connections: usize,
    /// Requests under way per connection; all but gRPC have one.
    pub in_flight: usize,
    /// Largest HTTP/2 DATA frame, in bytes.
    pub frame_bytes: usize,
    pub gzip: bool,
}

/// What sending a round of requests took.
#[derive(Debug, Default)]
pub struct Sent {
    /// Microseconds from the first byte of each request to its acknowledgement, retries included; sorted.
    pub latencies: Vec<u64>,
    /// Retryable refusals.
    pub retries: u64,
    /// First byte to last acknowledgement.
    pub wall: Duration,
}

impl Sent {
    /// The latency that `percent` of the requests did not exceed.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Duration {
        let rank = (self.latencies.len() as f64 * percent / 100.0).ceil() as usize;
        let latency = self.latencies.get(rank.saturating_sub(1)).copied().unwrap_or_default();
        Duration::from_micros(latency)
    }
}

/// Open connections, used for every round.
#[derive(Debug)]
pub struct Load {
    clients: Vec<Client>,
}

#[derive(Debug)]
enum Client {
    Grpc(GrpcClient),
    Http(HttpClient),
    Beats(BeatsClient),
}

/// Bodies that the workers take in turn; each is sent once.
#[derive(Debug)]
struct Queue {
    bodies: Vec<Bytes>,
    next: AtomicUsize,
    /// When the first is due, and how much later each of the others.
    due: (Instant, Duration),
}

impl Load {
    /// Opens the connections.
    ///
    /// # Errors
    /// Nobody listens, or several requests in flight were asked of another protocol than gRPC.
    pub async fn connect(sending: Sending) -> Result<Self> {
        if sending.protocol != Protocol::OtlpGrpc && sending.in_flight != 1 {
            bail!("only gRPC has several requests in flight per connection; ask for more connections");
        }
        let mut clients = Vec::new();
        for _ in 0..sending.connections {
            match sending.protocol {
                Protocol::OtlpGrpc => {
                    let client =
                        GrpcClient::connect(sending.address, sending.frame_bytes, sending.gzip).await?;
                    // Calls of one connection are clones of its handle.
                    clients.extend((0..sending.in_flight).map(|_| Client::Grpc(client.clone())));
                }
                Protocol::Beats => clients.push(Client::Beats(BeatsClient::connect(sending.address).await?)),
                Protocol::OtlpHttp | Protocol::Ndjson | Protocol::Bulk => {
                    let target = http_target(sending.protocol, sending.gzip);
                    clients.push(Client::Http(HttpClient::connect(sending.address, target).await?));
                }
            }
        }
        Ok(Self { clients })
    }

    /// Sends every body once, as fast as they are acknowledged, and waits for every acknowledgement.
    ///
    /// # Errors
    /// A request was refused for good, or for longer than [`RETRY_FOR`], or the connection broke.
    pub async fn send(&mut self, bodies: Vec<Bytes>) -> Result<Sent> {
        self.send_every(Duration::ZERO, bodies).await
    }

    /// The same, but no faster than one every `period`.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_every(&mut self, period: Duration, bodies: Vec<Bytes>) -> Result<Sent> {
        let started = Instant::now();
        let queue = Arc::new(Queue { bodies, next: AtomicUsize::new(0), due: (started, period) });
        let mut workers = JoinSet::new();
        for client in self.clients.drain(..) {
            workers.spawn(work(client, Arc::clone(&queue)));
        }
        let mut sent = Sent::default();
        while let Some(finished) = workers.join_next().await {
            let (client, latencies, retries) = finished.context("a worker of the load generator")??;
            self.clients.push(client);
            sent.latencies.extend(latencies);
            sent.retries += retries;
        }
        sent.wall = started.elapsed();
        sent.latencies.sort_unstable();
        Ok(sent)
    }
}

async fn work(mut client: Client, queue: Arc<Queue>) -> Result<(Client, Vec<u64>, u64)> {
    let mut latencies = Vec::new();
    let mut retries = 0;
    loop {
        let number = queue.next.fetch_add(1, Ordering::Relaxed);
        let Some(body) = queue.bodies.get(number) else { break };
        let (first, period) = queue.due;
        if !period.is_zero() {
            tokio::time::sleep_until((first + period * number as u32).into()).await;
        }
        let started = Instant::now();
        loop {
            let attempt = tokio::time::timeout(ANSWER_WITHIN, client.send(body.clone())).await;
            match attempt.context("no answer")? {
                Outcome::Accepted => break,
                Outcome::Failed(reason) => bail!("a request failed: {reason}"),
                Outcome::Retry { .. } if started.elapsed() > RETRY_FOR => bail!("refused for {RETRY_FOR:?}"),
                Outcome::Retry { after, .. } => {
                    retries += 1;
                    tokio::time::sleep(after.unwrap_or(DEFAULT_RETRY)).await;
                }
            }
        }
        latencies.push(started.elapsed().as_micros() as u64);
    }
    Ok((client, latencies, retries))
}

impl Client {
    /// Another caller on the same connection, where it carries several calls.
    fn another(&self) -> Option<Self> {
        match self {
            Self::Grpc(client) => Some(Self::Grpc(client.clone())),
            Self::Http(_) | Self::Beats(_) => None,
        }
    }

    async fn send(&mut self, body: Bytes) -> Outcome {
        match self {
            Self::Grpc(client) => client.send(body).await,
            Self::Http(client) => client.send(body).await,
            Self::Beats(client) => client.send(body).await,
        }
    }
}

fn http_target(protocol: Protocol, gzip: bool) -> Target {
    match protocol {
        Protocol::Ndjson => Target { path: "/", content_type: "application/x-ndjson", gzip },
        Protocol::Bulk => Target { path: "/_bulk", content_type: "application/x-ndjson", gzip },
        _ => Target { path: "/v1/logs", content_type: "application/x-protobuf", gzip },
    }
}

/// An `ExportLogsServiceResponse` is a success only when it rejects nothing.
fn rejected_records(message: &[u8]) -> Outcome {
    match ExportLogsServiceResponse::decode(message) {
        Err(fault) => Outcome::Failed(format!("an answer that is no ExportLogsServiceResponse: {fault}")),
        Ok(answer) => match answer.partial_success {
            Some(partial) if partial.rejected_log_records != 0 => Outcome::Failed(format!(
                "{} records rejected: {}",
                partial.rejected_log_records, partial.error_message
            )),
            _ => Outcome::Accepted,
        },
    }
}

#[cfg(test)]
mod tests;
