//! A stand-in for Elasticsearch that takes bulks, counts every document, and answers after a delay.
//!
//! It runs inside the load generator, on the load generator's core.

mod ledger;
mod scan;

use std::convert::Infallible;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

pub use ledger::Ledger;
pub use scan::{SAMPLE_EVERY, Sample, Scanner, Tally};

/// Connections served at a time; more wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 1_024;

/// Most compressed bytes of one bulk that the sink holds.
const MAX_COMPRESSED: usize = 64 << 20;

/// Piece in which a compressed bulk is inflated.
const INFLATE_BYTES: usize = 64 << 10;

const ROOT: &str = r#"{"name":"bench","cluster_name":"bench","cluster_uuid":"bench","version":{"number":"8.19.0","build_flavor":"default","lucene_version":"9.12.2","minimum_wire_compatibility_version":"7.17.0","minimum_index_compatibility_version":"7.0.0"},"tagline":"You Know, for Search"}"#;

/// The running sink; dropping it closes its connections.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    ledger: Arc<Mutex<Ledger>>,
    _server: JoinSet<()>,
}

impl Sink {
    /// Listens on a free port of 127.0.0.1 and answers each bulk `delay` after its last byte.
    ///
    /// # Errors
    /// No port could be bound.
    pub async fn start(delay: Duration, ledger: Ledger) -> Result<Self> {
        Self::paced(Pace::of(delay, None), ledger).await
    }

    /// Listens on a free port of 127.0.0.1 and answers at this pace.
    ///
    /// # Errors
    /// No port could be bound.
    pub async fn paced(pace: Pace, ledger: Ledger) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("binding the sink")?;
        let address = listener.local_addr()?;
        let ledger = Arc::new(Mutex::new(ledger));
        let mut server = JoinSet::new();
        server.spawn(accept(listener, Arc::new(pace), Arc::clone(&ledger)));
        Ok(Self { address, ledger, _server: server })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has been given so far.
    #[must_use]
    pub fn ledger(&self) -> Arc<Mutex<Ledger>> {
        Arc::clone(&self.ledger)
    }
}

/// When bulks are answered.
#[derive(Debug)]
pub struct Pace {
    delay: Duration,
    /// Most records a second, if there is a most.
    rate: Option<f64>,
    /// When the records taken so far are done with.
    free_at: Mutex<Instant>,
}

impl Pace {
    /// Each bulk `delay` after its last byte, and all of them together at most `rate` records a second, one after the other.
    #[must_use]
    pub fn of(delay: Duration, rate: Option<f64>) -> Self {
        Self { delay, rate, free_at: Mutex::new(Instant::now()) }
    }

    fn answer_at(&self, records: u64) -> Instant {
        let soonest = Instant::now() + self.delay;
        let Some(rate) = self.rate else { return soonest };
        let mut free_at = self.free_at.lock();
        *free_at = (*free_at).max(Instant::now()) + Duration::from_secs_f64(records as f64 / rate);
        soonest.max(*free_at)
    }
}

async fn accept(listener: TcpListener, pace: Arc<Pace>, ledger: Arc<Mutex<Ledger>>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream, Arc::clone(&pace), Arc::clone(&ledger)));
        }
    }
}

async fn serve(stream: TcpStream, pace: Arc<Pace>, ledger: Arc<Mutex<Ledger>>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(request, &pace, &ledger));
    // The gateway closes its connections when it likes; a bulk cut short has not been counted.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    pace: &Pace,
    ledger: &Mutex<Ledger>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    let (status, body) = if request.method() == Method::POST && path.ends_with("/_bulk") {
        bulk(request, pace, ledger).await
    } else if request.method() == Method::PUT {
        (StatusCode::OK, Bytes::from_static(br#"{"acknowledged":true}"#))
    } else if path == "/" {
        (StatusCode::OK, Bytes::from_static(ROOT.as_bytes()))
    } else if path.starts_with("/_cluster/health") {
        (StatusCode::OK, Bytes::from_static(br#"{"status":"green","timed_out":false}"#))
    } else {
        (StatusCode::NOT_FOUND, Bytes::from_static(br#"{"error":"not found","status":404}"#))
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    headers.insert("X-Elastic-Product", http::HeaderValue::from_static("Elasticsearch"));
    Ok(response)
}

async fn bulk(request: Request<Incoming>, pace: &Pace, ledger: &Mutex<Ledger>) -> (StatusCode, Bytes) {
    match read_bulk(request).await {
        Ok((tally, wire_bytes, answer)) => {
            let answer_at = pace.answer_at(tally.documents);
            ledger.lock().commit(tally, wire_bytes);
            if answer_at > Instant::now() {
                sleep_until(answer_at).await;
            }
            (StatusCode::OK, Bytes::from(answer))
        }
        Err(fault) => {
            ledger.lock().refuse(format!("{fault:#}"));
            (StatusCode::BAD_REQUEST, Bytes::from_static(br#"{"error":"malformed bulk","status":400}"#))
        }
    }
}

/// Reads a bulk to its end: what it held, its size on the wire, and the answer.
async fn read_bulk(request: Request<Incoming>) -> Result<(Tally, u64, Vec<u8>)> {
    let gzip = match request.headers().get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"identity") => false,
        Some(b"gzip") => true,
        Some(other) => bail!("content encoding {}", String::from_utf8_lossy(other)),
    };
    let mut scanner = Scanner::of_path(request.uri().path());
    let mut body = request.into_body();
    let mut compressed = Vec::new();
    let mut wire_bytes = 0;
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else { continue };
        wire_bytes += piece.len() as u64;
        if !gzip {
            scanner.feed(&piece)?;
        } else if compressed.len() + piece.len() > MAX_COMPRESSED {
            bail!("a compressed bulk of more than {MAX_COMPRESSED} bytes");
        } else {
            compressed.extend_from_slice(&piece);
        }
    }
    if gzip {
        inflate(&compressed, &mut scanner)?;
    }
    let (tally, answer) = scanner.finish()?;
    Ok((tally, wire_bytes, answer))
}

// Inflated through one small buffer and forgotten line by line, so there is nothing to cap.
#[allow(clippy::disallowed_types)]
fn inflate(compressed: &[u8], scanner: &mut Scanner) -> Result<()> {
    let mut decoder = flate2::bufread::MultiGzDecoder::new(compressed);
    let mut piece = vec![0; INFLATE_BYTES];
    loop {
        match decoder.read(&mut piece).context("inflating a bulk")? {
            0 => return Ok(()),
            count => scanner.feed(&piece[..count])?,
        }
    }
}

#[cfg(test)]
mod tests;
