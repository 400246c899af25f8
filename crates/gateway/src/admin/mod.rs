//! The admin port: probes and metrics.

mod help;
mod metrics;
mod process;

pub use metrics::Exporter;

use crate::graph::{Graph, Live};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use forebay_pipeline::journal::Service;
use forebay_pipeline::task;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::RwLock;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
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

#[derive(Debug)]
struct Shared {
    health: Arc<Health>,
    live: Arc<RwLock<Arc<Live>>>,
    journal: Option<Arc<Service>>,
    exporter: Exporter,
}

/// Serves the admin port, on a thread of its own: a busy or stuck runtime must not silence its probes.
pub fn serve(listen: SocketAddr, health: Arc<Health>, graph: &Graph) -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(listen)
        .map_err(|error| anyhow::anyhow!("cannot listen on {listen} (admin): {error}"))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let (live, journal) = (Arc::clone(&graph.live), graph.journal.clone());
    let shared = Arc::new(Shared { health, live, journal, exporter: Exporter::new(graph) });
    let app = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/startupz", get(startupz))
        .route("/metrics", get(metrics_page))
        .with_state(shared);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
        runtime.block_on(async {
            match TcpListener::from_std(listener) {
                Ok(listener) => accept(listener, app).await,
                Err(error) => tracing::error!(%error, "the admin port has failed"),
            }
        });
    })?;
    Ok(address)
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

async fn livez(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let delivering = shared.health.draining.load(Relaxed)
        || shared.live.read().handles.iter().all(|(_, handle)| handle.is_running());
    let journaling = shared.health.draining.load(Relaxed)
        || shared.journal.as_ref().is_none_or(|journal| journal.is_running());
    match shared.health.is_alive() {
        true if !journaling => answer(false, "", "the journal's writer has ended"),
        true => answer(delivering, "alive", "delivery to a sink has ended"),
        false => answer(false, "", "the workers make no progress"),
    }
}

async fn readyz(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    answer(shared.health.is_ready(), "ready", "draining")
}

/// The port is bound last, so whoever can ask sees a process that has started.
async fn startupz() -> impl IntoResponse {
    answer(true, "started", "")
}

fn answer(good: bool, yes: &'static str, no: &'static str) -> (StatusCode, &'static str) {
    if good { (StatusCode::OK, yes) } else { (StatusCode::SERVICE_UNAVAILABLE, no) }
}

async fn metrics_page(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], shared.exporter.render())
}
