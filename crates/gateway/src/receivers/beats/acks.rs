//! Acknowledges batches in the order in which they came, and tells an agent that waits that it is not forgotten.

use super::super::answer::Taken;
use super::super::endpoint::{Endpoint, Visit};
use super::super::tenants::current;
use super::Owed;
use forebay_pipeline::admit::Admitted;
use forebay_pipeline::wire::lumberjack::acknowledgement;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often an agent that waits is told so, as Logstash does. Beats give up after 30 seconds of silence.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);

/// A batch that was admitted.
#[derive(Debug)]
pub struct Pending<'e> {
    /// The sequence number of its last event.
    pub last: u32,
    /// It is the last of its window.
    pub is_end: bool,
    /// `None` for a window without events.
    pub taken: Option<(Admitted, Visit<'e>)>,
}

/// Writes acknowledgements until the last batch has one, or one cannot be given.
pub async fn write<W: AsyncWrite + Unpin>(
    endpoint: &Endpoint,
    write: &mut W,
    mut waiting: mpsc::Receiver<Pending<'_>>,
    owed: &Owed,
) {
    let mut alive = Alive::new(endpoint);
    loop {
        let next = tokio::select! {
            biased;
            next = waiting.recv() => next,
            () = alive.tick() => {
                if owed.is_any() && alive.say(write).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let Some(Pending { last, is_end, taken }) = next else { return };
        let settled = match taken {
            Some((admitted, visit)) => settle(endpoint, admitted, visit, &mut alive, write).await,
            None => true,
        };
        if is_end {
            owed.acknowledged.fetch_add(1, Relaxed);
        }
        if !settled || say(write, last).await.is_err() {
            return;
        }
    }
}

/// Waits for a batch's receipt. False: it has none, and the agent must send it again.
async fn settle<W: AsyncWrite + Unpin>(
    endpoint: &Endpoint,
    admitted: Admitted,
    visit: Visit<'_>,
    alive: &mut Alive<'_>,
    write: &mut W,
) -> bool {
    let settled = endpoint.settle(admitted, None);
    tokio::pin!(settled);
    let outcome = loop {
        tokio::select! {
            biased;
            outcome = &mut settled => break outcome,
            () = alive.tick() => {
                // An agent that is gone is noticed by the acknowledgement as well.
                let _ = alive.say(write).await;
            }
        }
    };
    if let Ok(taken) = &outcome {
        tell(endpoint, taken);
    }
    visit.close(&outcome);
    outcome.is_ok()
}

/// Lumberjack cannot say that an event was not taken, so the log does.
fn tell(endpoint: &Endpoint, taken: &Taken) {
    let reason = taken.message();
    if taken.rejected > 0 {
        endpoint.warn_of_rejected(&reason);
    }
}

/// The keepalive: an acknowledgement of nothing, as long as sinks take something, or the agent waits for no more than its tenant's quota.
struct Alive<'e> {
    endpoint: &'e Endpoint,
    ticks: Interval,
    /// When a sink had last taken something, as it was known at the last tick.
    seen: i64,
}

impl<'e> Alive<'e> {
    fn new(endpoint: &'e Endpoint) -> Self {
        let mut ticks = interval(KEEPALIVE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        Self { endpoint, ticks, seen: endpoint.intake.last_success() }
    }

    async fn tick(&mut self) {
        self.ticks.tick().await;
    }

    async fn say<W: AsyncWrite + Unpin>(&mut self, write: &mut W) -> io::Result<()> {
        let now = self.endpoint.intake.last_success();
        let has_progress = std::mem::replace(&mut self.seen, now) != now;
        let is_over_quota = || current().is_some_and(|tenant| tenant.wait().is_some());
        if !has_progress && !is_over_quota() {
            return Ok(());
        }
        say(write, 0).await
    }
}

/// Writes an acknowledgement, through whatever holds it back: there may be none behind it for a while.
async fn say<W: AsyncWrite + Unpin>(write: &mut W, last: u32) -> io::Result<()> {
    write.write_all(&acknowledgement(last)).await?;
    write.flush().await
}
