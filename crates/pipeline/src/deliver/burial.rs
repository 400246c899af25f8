//! Keeps what a sink refused for good, before anybody is told that it was taken.

use super::attempt::Context;
use super::bounded;
use super::queued::Queued;
use super::recovery::delay;
use super::settle::Grave;
use super::stats::DeliveryState;
use crate::budget::Lease;
use crate::dead_letter::{BuryError, Letter};
use crate::ledger::Outcome;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// A worker is given back after rendering so many bytes.
const STRETCH_BYTES: usize = 256 << 10;

/// Buries all of `graves`, with backoff for as long as that fails. Meanwhile the records are owed, and the place of their payload
/// on the way stays taken: a store that is full stops delivery instead of losing letters. What the store has is settled at once, and not
/// buried again. `lease` is the payload's; the letters are about as large.
pub(super) async fn bury(context: Arc<Context>, mut graves: Vec<Grave>, lease: Lease) {
    let mut failures = 0;
    loop {
        let Err(error) = keep(&context, &mut graves).await else { break };
        failures += 1;
        context.stats.burial_failures.fetch_add(1, Relaxed);
        let reason = bounded(format!("dead letters: {error}"));
        if failures == 1 {
            tracing::error!(sink = %context.name, error = %error, "dead letters cannot be kept; delivery waits");
        }
        context.stats.set_burying(DeliveryState::Blocked { reason: reason.clone() });
        for grave in &mut graves {
            grave.queued.share.claim.note(&reason, None);
        }
        tokio::time::sleep(delay(&context.config.retry, failures)).await;
        graves.retain_mut(|grave| is_owed(&context, &mut grave.queued, &reason));
        if graves.is_empty() {
            return;
        }
    }
    context.stats.set_burying(DeliveryState::Ok);
    drop(lease);
}

/// Keeps the letters of `graves`, in as many portions as the store makes of them. After an error those are left that it has not.
async fn keep(context: &Context, graves: &mut Vec<Grave>) -> Result<(), BuryError> {
    let mut letters = letters(context, graves).await;
    while !letters.is_empty() {
        let kept = context.dead_letters.bury(&letters).await?;
        letters.drain(..kept);
        settle(graves, kept);
    }
    Ok(())
}

/// Settles the first `kept` records of `graves`; the others are left.
fn settle(graves: &mut Vec<Grave>, mut kept: usize) {
    let mut left = Vec::new();
    for mut grave in graves.drain(..) {
        let settles = kept.min(grave.reasons.len());
        kept -= settles;
        left.extend(grave.split_off(settles));
        for reason in grave.reasons {
            grave.queued.share.claim.settle_because(Outcome::DeadLettered, 1, Some(&reason));
        }
    }
    *graves = left;
}

/// Whether it is still worth trying.
fn is_owed(context: &Context, queued: &mut Queued, reason: &str) -> bool {
    let stats = &context.stats;
    if queued.is_given_up() {
        stats.given_up_records.fetch_add(u64::from(queued.records), Relaxed);
        return false;
    }
    let is_expired = queued.is_expired(context.config.retry.horizon());
    if is_expired {
        queued.expire(Some(reason), stats);
    }
    !is_expired
}

async fn letters(context: &Context, graves: &[Grave]) -> Vec<Letter> {
    let mut letters = Vec::new();
    let mut stretch = 0;
    for Grave { queued, reasons } in graves {
        for (item, reason) in queued.share.items().zip(reasons) {
            let letter = letter(context, queued, item, reason);
            stretch += letter.document.len();
            letters.push(letter);
            if stretch >= STRETCH_BYTES {
                stretch = 0;
                tokio::task::yield_now().await;
            }
        }
    }
    letters
}

fn letter(context: &Context, queued: &Queued, item: u32, reason: &str) -> Letter {
    let share = &queued.share;
    Letter {
        document: context.sink.render(share, item),
        destination: Arc::clone(&share.destination),
        sink: Arc::clone(&context.name),
        route: Arc::clone(&share.claim.account().route),
        reason: reason.to_owned(),
        receiver: Arc::clone(&share.body.receiver),
        arrived: share.body.arrived,
        buried: crate::time::now(),
        id: id(queued, item),
    }
}

/// A record's id as it reads. It is written as it stands in a JSON string.
fn id(queued: &Queued, item: u32) -> Option<String> {
    let share = &queued.share;
    let mut quoted = vec![b'"'];
    if !share.body.write_id(item, &share.destination, &mut quoted) {
        return None;
    }
    quoted.push(b'"');
    serde_json::from_slice(&quoted).ok()
}
