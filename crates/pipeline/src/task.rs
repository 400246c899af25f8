//! Tracked tasks: a task that panics is counted and logged, never silently gone.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::task::JoinHandle;

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Tasks that have panicked since the process started.
pub fn panics() -> u64 {
    PANICS.load(Relaxed)
}

/// Counts the panic that a task leaves behind when it unwinds.
struct Watch(&'static str);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            PANICS.fetch_add(1, Relaxed);
            tracing::error!(task = self.0, "task panicked");
        }
    }
}

/// Starts `future` on the current runtime. `name` appears in the log if it panics.
#[allow(clippy::disallowed_methods)] // the one place that may spawn
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(async move {
        let _watch = Watch(name);
        future.await
    })
}
