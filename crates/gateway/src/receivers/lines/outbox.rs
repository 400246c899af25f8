//! Admits what a connection sent, holding it until there is room, and sees it settled.

use super::super::answer::{Fault, Taken};
use super::super::buffer::Payload;
use super::super::caller::Caller;
use super::gathering::Gathering;
use super::inbox::{Frame, Inbox};
use super::{Manner, Sizes};
use forebay_pipeline::admit::Admitted;
use forebay_pipeline::ledger::Told;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// How soon, and how late, it is asked again whether there is room.
const ASK_AFTER: Duration = Duration::from_millis(50);
const ASK_AFTER_AT_MOST: Duration = Duration::from_secs(1);
/// A frame that holds memory itself waits for so long for more. Else those who wait for each other's would wait for ever.
const LONG_FRAME_WAITS: Duration = Duration::from_secs(30);

/// The way of one connection's frames.
pub struct Outbox {
    caller: Caller,
    gathering: Option<Gathering>,
    /// Bodies that were admitted. Their memory is under lease, and their number bounded.
    pending: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl Outbox {
    pub fn new(caller: Caller) -> Self {
        Self { caller, gathering: None, pending: FuturesUnordered::new() }
    }

    /// Takes every frame that has come, waiting for room if need be.
    pub async fn take_in(&mut self, inbox: &mut Inbox, manner: &Arc<Manner>) {
        let max = manner.sizes.max.as_usize();
        loop {
            let outcome = match inbox.next(&*manner.framing, max) {
                Some(frame) => self.take(inbox, &frame, manner).await,
                None if inbox.is_full() => self.widen(inbox, manner).await,
                None => return,
            };
            if let Err(fault) = outcome {
                lose(manner, &fault);
            }
        }
    }

    async fn take(&mut self, inbox: &mut Inbox, frame: &Frame, manner: &Arc<Manner>) -> Result<(), Fault> {
        if frame.is_cut && !manner.framing.keeps_cut() {
            inbox.take(frame);
            return Err(Fault::too_large(manner.sizes.max.as_usize()));
        }
        let waits_until = inbox.is_long().then(|| Instant::now() + LONG_FRAME_WAITS);
        let content = inbox.content(frame);
        let pushed = if content.is_empty() {
            Ok(())
        } else {
            self.push(content, frame.is_cut, manner, waits_until).await
        };
        inbox.take(frame);
        if self.gathering.as_ref().is_some_and(|gathering| gathering.is_full(manner)) {
            self.flush(manner).await;
        }
        pushed
    }

    async fn push(
        &mut self,
        content: &[u8],
        is_cut: bool,
        manner: &Arc<Manner>,
        waits_until: Option<Instant>,
    ) -> Result<(), Fault> {
        loop {
            let pushed = match &mut self.gathering {
                Some(gathering) => gathering.push(&*manner.framing, content, is_cut),
                None => Gathering::new(manner).and_then(|mut gathering| {
                    gathering.push(&*manner.framing, content, is_cut)?;
                    self.gathering = Some(gathering);
                    Ok(())
                }),
            };
            match pushed {
                Err(fault) => self.wait_for_room(fault, manner, waits_until).await?,
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Makes the inbox longer, for a frame that fills it.
    async fn widen(&mut self, inbox: &mut Inbox, manner: &Arc<Manner>) -> Result<(), Fault> {
        let waits_until = Instant::now() + LONG_FRAME_WAITS;
        let max = manner.sizes.max.as_usize();
        while let Err(fault) = inbox.grow(manner.endpoint.budget(), max) {
            let waited = self.wait_for_room(fault, manner, Some(waits_until)).await;
            waited.inspect_err(|_| inbox.give_up(&*manner.framing))?;
        }
        Ok(())
    }

    /// Waits a little after `fault`.
    ///
    /// # Errors
    /// The fault, if waiting does not help.
    async fn wait_for_room(
        &mut self,
        fault: Fault,
        manner: &Arc<Manner>,
        until: Option<Instant>,
    ) -> Result<(), Fault> {
        if self.gathering.is_some() {
            // Nothing is held by who waits, as far as that can be.
            self.flush(manner).await;
            return Ok(());
        }
        if fault.told() != Told::Retry || until.is_some_and(|until| Instant::now() >= until) {
            return Err(fault);
        }
        pause(manner, ASK_AFTER).await
    }

    /// Sees bodies settled until what was gathered is to be admitted.
    pub async fn until_due(&mut self, manner: &Manner) {
        let due = self.gathering.as_ref().map(|gathering| gathering.due(manner));
        let due = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => pending().await,
            }
        };
        tokio::pin!(due);
        loop {
            tokio::select! {
                biased;
                () = &mut due => return,
                () = self.settle_one() => {}
            }
        }
    }

    /// Admits what was gathered as soon as there is room for it, and waits until the connection may be read on.
    pub async fn flush(&mut self, manner: &Arc<Manner>) {
        let Some(payload) = self.gathering.take().and_then(|gathering| gathering.finish().ok()) else {
            return;
        };
        self.admit(payload, manner).await;
        let Sizes { acknowledge, .. } = manner.sizes;
        while self.pending.len() >= acknowledge.window() {
            self.settle_one().await;
        }
    }

    async fn admit(&mut self, mut payload: Payload, manner: &Arc<Manner>) {
        let endpoint = &manner.endpoint;
        // Nothing is read meanwhile, so that a client over its quota waits.
        while let Some(wait) = endpoint.quota_wait()
            && pause(manner, wait.min(ASK_AFTER_AT_MOST)).await.is_ok()
        {}
        let mut wait = ASK_AFTER;
        loop {
            let (bytes, leased) = (payload.bytes.clone(), payload.lease.bytes());
            let fault = match manner.framing.admit(endpoint, endpoint.request(payload)) {
                Ok(admitted) => {
                    let settled = settle(Arc::clone(manner), self.caller.clone(), admitted);
                    return self.pending.push(Box::pin(settled));
                }
                Err(refusal) => Fault::from(refusal),
            };
            let mut visit = endpoint.visit(self.caller.as_deref());
            visit.counted();
            visit.refuse(&fault);
            if fault.told() != Told::Retry || pause(manner, wait).await.is_err() {
                return;
            }
            wait = (2 * wait).min(ASK_AFTER_AT_MOST);
            // Admission gave the lease back just now, but the bytes are still here.
            payload = Payload { bytes, lease: endpoint.budget().lease_over(leased) };
        }
    }

    /// Waits until one body is settled; for ever if there is none.
    pub async fn settle_one(&mut self) {
        if self.pending.next().await.is_none() {
            pending::<()>().await;
        }
    }

    /// Waits until all are.
    pub async fn settle_all(&mut self) {
        while self.pending.next().await.is_some() {}
    }
}

/// Waits, unless this process has no time for it.
async fn pause(manner: &Manner, time: Duration) -> Result<(), Fault> {
    let waiting = async {
        sleep(time).await;
        Ok(())
    };
    manner.endpoint.unless_ending(waiting).await
}

async fn settle(manner: Arc<Manner>, caller: Caller, admitted: Admitted) {
    let endpoint = &manner.endpoint;
    let mut visit = endpoint.visit(caller.as_deref());
    visit.counted();
    let outcome = endpoint.settle(admitted, None).await;
    if let Ok(taken @ Taken { rejected: 1.., .. }) = &outcome {
        // The client cannot be told, so the log is.
        endpoint.warn_of_rejected(&taken.message());
    }
    visit.close(&outcome);
}

/// Counts and names a frame that could not be taken.
fn lose(manner: &Manner, fault: &Fault) {
    let is_final = fault.told() != Told::Retry;
    manner.endpoint.door.count(0, is_final.into(), (!is_final).into());
    manner.endpoint.warn_of_rejected(&fault.message);
}
