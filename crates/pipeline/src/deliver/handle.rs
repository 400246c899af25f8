//! Delivery from outside: start it, hand shares over, watch it, drain it.

use super::attempt::Context;
use super::dispatch::Dispatcher;
use super::queued::Queued;
use super::stats::{DeliveryStats, DeliveryTotals};
use super::{DeliveryConfig, Sink};
use crate::body::Share;
use crate::budget::Budget;
use crate::dead_letter::DeadLetters;
use crate::task;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{self, PermitIterator};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A drain without an end in sight; longer ones might be more than a clock can count.
const LONGEST_DRAIN: Duration = Duration::from_secs(365 * 86_400);

/// Delivery to one sink.
#[derive(Debug)]
pub struct Delivery;

/// A running delivery. It ends, after delivering what it has, when the last clone of its handle is dropped.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    inbox: mpsc::Sender<Queued>,
    stats: Arc<DeliveryStats>,
    /// The end of the time in which to finish; none yet.
    drain: watch::Sender<Option<Instant>>,
    /// Whether everything was settled; none yet.
    settled: watch::Receiver<Option<bool>>,
    dispatcher: JoinHandle<()>,
}

/// There is no room for so many shares now, or delivery is being drained. Retryable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many shares waiting")]
pub struct Full;

/// Room for some shares. What is not used is given back on drop.
#[derive(Debug)]
pub struct Permits<'h> {
    permits: PermitIterator<'h, Queued>,
    stats: &'h DeliveryStats,
}

impl Delivery {
    /// Starts delivery to `sink`, on the current runtime. It need not be reachable yet: shares wait until it is prepared.
    pub fn start(
        name: Arc<str>,
        sink: Arc<dyn Sink>,
        config: DeliveryConfig,
        budget: Arc<Budget>,
        dead_letters: Arc<dyn DeadLetters>,
    ) -> Handle {
        Self::start_counting(name, sink, config, budget, dead_letters, Arc::default())
    }

    /// The same, counting there: for a delivery that takes the place of another.
    pub fn start_counting(
        name: Arc<str>,
        sink: Arc<dyn Sink>,
        config: DeliveryConfig,
        budget: Arc<Budget>,
        dead_letters: Arc<dyn DeadLetters>,
        totals: Arc<DeliveryTotals>,
    ) -> Handle {
        // One half waits in the inbox, the other sorted into lanes.
        let half = (config.max_queued_shares / 2).max(1);
        let (inbox, received) = mpsc::channel(half);
        let (drain, draining) = watch::channel(None);
        let (finished, settled) = watch::channel(None);
        let context = Arc::new(Context::new(name, sink, config, budget, dead_letters, totals));
        let stats = Arc::clone(&context.stats);
        // A dispatcher that panics drops what it has sorted, which is abandoned or goes back to the journal; the next one goes on with
        // the same inbox.
        let received = Arc::new(tokio::sync::Mutex::new(received));
        let finished = Arc::new(finished);
        let dispatcher = task::supervise("delivery", move || {
            let (context, received) = (Arc::clone(&context), Arc::clone(&received));
            let (draining, finished) = (draining.clone(), Arc::clone(&finished));
            async move {
                let inbox = received.lock_owned().await;
                finished.send_replace(Some(Dispatcher::new(context, inbox, draining, half).run().await));
            }
        });
        Handle(Arc::new(Inner { inbox, stats, drain, settled, dispatcher }))
    }
}

impl Handle {
    /// Room for `shares` of them, or none at all.
    pub fn reserve(&self, shares: usize) -> Result<Permits<'_>, Full> {
        let permits = self.0.inbox.try_reserve_many(shares).map_err(|_| Full)?;
        Ok(Permits { permits, stats: &self.0.stats })
    }

    /// Hands one share over as soon as there is room. Once delivery is being drained, the share is dropped.
    pub async fn send(&self, share: Share) {
        if let Ok(permit) = self.0.inbox.reserve().await {
            let queued = Queued::new(share);
            self.0.stats.enqueued(1, queued.bytes);
            permit.send(queued);
        }
    }

    /// What this delivery is doing.
    pub fn stats(&self) -> Arc<DeliveryStats> {
        Arc::clone(&self.0.stats)
    }

    /// How long a share that comes now would wait before it is sent.
    pub fn wait(&self) -> Duration {
        self.0.stats.wait()
    }

    /// Whether this is the same delivery as another handle's.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Waits until it has ended, after [`drain`](Self::drain).
    pub async fn ended(&self) {
        // An error means that it is gone without a word.
        let _ = self.0.settled.clone().wait_for(Option::is_some).await;
    }

    /// False once it has ended: after a drain, or by a bug. For liveness.
    pub fn is_running(&self) -> bool {
        !self.0.dispatcher.is_finished()
    }

    /// Takes no more shares and finishes what is there within `deadline`; what is left then is abandoned. Returns whether
    /// everything was settled otherwise.
    pub async fn drain(&self, deadline: Duration) -> bool {
        self.0.drain.send_replace(Some(Instant::now() + deadline.min(LONGEST_DRAIN)));
        // An error means that the dispatcher is gone without a word.
        self.0.settled.clone().wait_for(Option::is_some).await.is_ok_and(|settled| *settled == Some(true))
    }
}

impl Permits<'_> {
    /// Hands one share over. Beyond what was reserved, a share is dropped, and so abandoned.
    pub fn send(&mut self, share: Share) {
        if let Some(permit) = self.permits.next() {
            let queued = Queued::new(share);
            self.stats.enqueued(1, queued.bytes);
            permit.send(queued);
        }
    }
}
