//! Tracked tasks: a task that panics is counted and logged, never silently gone.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::{JoinError, JoinHandle};

static PANICS: AtomicU64 = AtomicU64::new(0);
static RESTARTS: AtomicU64 = AtomicU64::new(0);

/// Between a panic and the next try: what panics at once must not take a whole CPU.
const RESTART_PAUSE: Duration = Duration::from_millis(100);

/// Tasks that have panicked since the process started.
pub fn panics() -> u64 {
    PANICS.load(Relaxed)
}

/// Tasks that were started again after a panic.
pub fn restarts() -> u64 {
    RESTARTS.load(Relaxed)
}

/// Counts one.
pub(crate) fn count_restart() {
    RESTARTS.fetch_add(1, Relaxed);
}

/// Counts one that was caught.
pub(crate) fn count_panic() {
    PANICS.fetch_add(1, Relaxed);
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

/// Starts what `make` makes, and again whenever it panics. The task ends when the work does, and with it when it is aborted.
pub fn supervise<F>(name: &'static str, mut make: impl FnMut() -> F + Send + 'static) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    spawn(name, async move {
        loop {
            match AbortOnDrop(spawn(name, make())).await {
                Ok(output) => return output,
                Err(_) => {
                    tokio::time::sleep(RESTART_PAUSE).await;
                    count_restart();
                    tracing::warn!(task = name, "started again");
                }
            }
        }
    })
}

/// A task that ends with whoever waits for it.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn what_panics_is_started_again_and_counted() {
        let tries = Arc::new(AtomicU64::new(0));
        let before = (panics(), restarts());
        let counted = Arc::clone(&tries);
        let task = supervise("test", move || {
            let tries = Arc::clone(&counted);
            async move {
                assert!(tries.fetch_add(1, Relaxed) >= 2, "as planned");
                7
            }
        });
        assert_eq!(task.await.unwrap(), 7);
        assert_eq!(tries.load(Relaxed), 3);
        assert!(panics() >= before.0 + 2 && restarts() >= before.1 + 2);
    }
}
