//! The admin port: probes and metrics.

mod help;
mod metrics;
mod process;

pub use metrics::Exporter;

use crate::graph::{Graph, Live};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use forebay_pipeline::journal::Service;
use forebay_pipeline::task;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::RwLock;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// How often each worker proves that it makes progress, and after how long without proof the process is not alive.
const HEARTBEAT: Duration = Duration::from_secs(1);
const DEAD_AFTER_NANOS: i64 = 30_000_000_000;
/// Connections at once, and how long each may take to ask (and to ask again).
const MAX_CONNECTIONS: usize = 64;
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// What is told of a gateway that is not there yet.
const STARTING: &str = "starting";
/// How long to wait after `accept` failed: mostly for a file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the probes look at.
#[derive(Debug)]
pub struct Health {
    draining: AtomicBool,
    last_beat: AtomicU64,
}

impl Default for Health {
    fn default() -> Self {
        let now = AtomicU64::new(forebay_pipeline::time::now() as u64);
        Self { draining: AtomicBool::new(false), last_beat: now }
    }
}

impl Health {
    /// From now on the process is not ready.
    pub fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Beats for as long as the runtime runs tasks. A runtime whose workers are all stuck stops beating.
    pub fn start_beating(self: &Arc<Self>) -> JoinHandle<()> {
        let health = Arc::clone(self);
        task::spawn("heartbeat", async move {
            loop {
                health.last_beat.store(forebay_pipeline::time::now() as u64, Relaxed);
                tokio::time::sleep(HEARTBEAT).await;
            }
        })
    }

    fn is_alive(&self) -> bool {
        forebay_pipeline::time::now() - (self.last_beat.load(Relaxed) as i64) < DEAD_AFTER_NANOS
    }

    fn is_ready(&self) -> bool {
        !self.draining.load(Relaxed)
    }
}

/// What the pages are about, once there is something to tell.
#[derive(Debug)]
struct Shared {
    live: Arc<RwLock<Arc<Live>>>,
    journal: Option<Arc<Service>>,
    exporter: Exporter,
}

/// The admin port.
#[derive(Debug)]
pub struct Admin {
    pub address: SocketAddr,
    pages: Arc<Pages>,
}

#[derive(Debug)]
struct Pages {
    health: Arc<Health>,
    /// Empty while the gateway starts, which takes its time with a large journal.
    shared: OnceLock<Shared>,
}

impl Admin {
    /// From now on the pages tell of `graph`, and the process is ready.
    pub fn tell_of(&self, graph: &Graph) {
        let (live, journal) = (Arc::clone(&graph.live), graph.journal.clone());
        // It is told once.
        let _ = self.pages.shared.set(Shared { live, journal, exporter: Exporter::new(graph) });
    }
}

/// Serves the admin port, on a thread of its own: a busy or stuck runtime must not silence its probes.
///
/// # Errors
/// Nothing can listen there.
pub fn serve(listen: SocketAddr, health: Arc<Health>) -> anyhow::Result<Admin> {
    let listener = std::net::TcpListener::bind(listen)
        .map_err(|error| anyhow::anyhow!("cannot listen on {listen} (admin): {error}"))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let pages = Arc::new(Pages { health, shared: OnceLock::new() });
    let app = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/startupz", get(startupz))
        .route("/metrics", get(metrics_page))
        .with_state(Arc::clone(&pages));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
        runtime.block_on(async {
            match TcpListener::from_std(listener) {
                Ok(listener) => accept(listener, app).await,
                Err(error) => tracing::error!(%error, "the admin port has failed"),
            }
        });
    })?;
    Ok(Admin { address, pages })
}

/// Serves connections, a few at a time: whoever opens many and says nothing must not take the descriptors of the data ports.
async fn accept(listener: TcpListener, app: Router) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let service = TowerToHyperService::new(app.clone());
        task::spawn("admin connection", async move {
            let _slot = slot;
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
            // A client that broke off is its own business.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn livez(State(pages): State<Arc<Pages>>) -> impl IntoResponse {
    if !pages.health.is_alive() {
        return answer(false, "", "the workers make no progress");
    }
    let Some(shared) = pages.shared.get() else { return answer(true, STARTING, "") };
    let is_draining = pages.health.draining.load(Relaxed);
    let delivering = is_draining || shared.live.read().handles.iter().all(|(_, handle)| handle.is_running());
    let journaling = is_draining || shared.journal.as_ref().is_none_or(|journal| journal.is_running());
    match journaling {
        true => answer(delivering, "alive", "delivery to a sink has ended"),
        false => answer(false, "", "the journal's writer has ended"),
    }
}

async fn readyz(State(pages): State<Arc<Pages>>) -> impl IntoResponse {
    match pages.shared.get() {
        Some(_) => answer(pages.health.is_ready(), "ready", "draining"),
        None => answer(false, "", STARTING),
    }
}

/// The port is bound first: reading a large journal takes minutes, and whoever waits for the process must not end it meanwhile.
async fn startupz() -> impl IntoResponse {
    answer(true, "started", "")
}

fn answer(good: bool, yes: &'static str, no: &'static str) -> (StatusCode, &'static str) {
    if good { (StatusCode::OK, yes) } else { (StatusCode::SERVICE_UNAVAILABLE, no) }
}

async fn metrics_page(State(pages): State<Arc<Pages>>) -> Response {
    match pages.shared.get() {
        Some(shared) => {
            let kind = "text/plain; version=0.0.4; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], shared.exporter.render()).into_response()
        }
        None => answer(false, "", STARTING).into_response(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::{Read as _, Write as _};

    /// Status and body of a page.
    fn page(address: SocketAddr, path: &str) -> String {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        format!("{} {body}", head.split(' ').nth(1).unwrap())
    }

    #[test]
    fn while_it_starts_it_is_alive_and_not_ready() {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let admin = serve(anywhere, Arc::new(Health::default())).unwrap();
        let pages = ["/startupz", "/livez", "/readyz", "/metrics"].map(|path| page(admin.address, path));
        assert_eq!(pages, ["200 started", "200 starting", "503 starting", "503 starting"]);
    }
}
