//! Dead letters as documents of a sink.

use super::dir::rfc3339;
use super::{BuryError, DeadLetters, Letter, LetterTarget, Replay, StoredLetter};
use crate::budget::Budget;
use crate::deliver::Handle;
use crate::ledger::{Account, Ledger};
use crate::route::Template;
use crate::time::{TimestampWriter, hour_of};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::json;
use serde_json::value::RawValue;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// The route that letters take, for the ledger.
pub const ROUTE: &str = "dead_letters";

/// Keeps letters in a sink; the directory has those that the sink refuses.
#[derive(Debug)]
pub struct DeadLetterSink {
    handle: Mutex<Handle>,
    index: Template,
    account: Arc<Account>,
    replay: Replay,
    otherwise: Arc<dyn DeadLetters>,
}

impl DeadLetterSink {
    /// Letters for `target`, whose delivery is `handle`. It must be a delivery of its own: one that waits for its letters to be kept must
    /// not wait for itself.
    ///
    /// # Errors
    /// The index is no name for one.
    pub fn new(
        target: &LetterTarget,
        handle: Handle,
        otherwise: Arc<dyn DeadLetters>,
        ledger: &Ledger,
        budget: Arc<Budget>,
    ) -> Result<Self, String> {
        let index = Template::parse(&target.index)?;
        let account = ledger.account(&target.sink, ROUTE);
        Ok(Self { handle: Mutex::new(handle), index, account, replay: Replay::new(budget)?, otherwise })
    }

    /// Has letters from now on delivered by `handle`. Those that the one before could not deliver are buried again by whoever owes them.
    pub fn send_through(&self, handle: Handle) {
        *self.handle.lock() = handle;
    }

    /// The letter as a document, under an id made of what it says: buried again after a lost answer, it is there once.
    fn document(&self, letter: &Letter) -> Result<StoredLetter, BuryError> {
        let mut time = TimestampWriter::default();
        let text = String::from_utf8_lossy(&letter.document);
        let said = [&*text, &*letter.destination, &letter.reason, letter.id.as_deref().unwrap_or_default()];
        let id = xxh3_128(said.join("\n").as_bytes()) ^ letter.arrived as u128;
        let (buried, arrived) = (rfc3339(&mut time, letter.buried), rfc3339(&mut time, letter.arrived));
        let document = json!({
            "@timestamp": buried, "arrived_at": arrived, "receiver": *letter.receiver, "route": *letter.route,
            "sink": *letter.sink, "destination": *letter.destination, "id": letter.id, "reason": letter.reason,
            "document": text,
        });
        let document = RawValue::from_string(document.to_string()).map_err(std::io::Error::from)?;
        Ok(StoredLetter {
            buried_at: buried,
            arrived_at: arrived,
            receiver: letter.receiver.to_string(),
            route: ROUTE.to_owned(),
            sink: self.account.sink.to_string(),
            destination: self.index.render(hour_of(letter.buried)),
            id: Some(format!("{id:032x}")),
            reason: String::new(),
            document,
        })
    }
}

impl DeadLetters for DeadLetterSink {
    fn bury<'a>(&'a self, letters: &'a [Letter]) -> BoxFuture<'a, Result<usize, BuryError>> {
        Box::pin(async move {
            let handle = self.handle.lock().clone();
            let mut receipts = Vec::with_capacity(letters.len());
            for letter in letters {
                let document = self.document(letter)?;
                let shared = self.replay.share(&document, &self.account);
                let (share, receipt) = shared.map_err(|error| BuryError::Unsent(error.to_string()))?;
                handle.send(share).await;
                receipts.push(receipt);
            }
            let (mut refused, mut places) = (Vec::new(), Vec::new());
            for ((place, letter), receipt) in letters.iter().enumerate().zip(receipts) {
                let settled = receipt.settled().await;
                if settled.abandoned > 0 {
                    let reason = settled.reason.unwrap_or_else(|| "it was given up".to_owned());
                    return Err(BuryError::Unsent(reason));
                }
                if settled.rejected > 0 {
                    refused.push(letter.clone());
                    places.push(place);
                }
            }
            if refused.is_empty() {
                return Ok(letters.len());
            }
            let kept = self.otherwise.bury(&refused).await?;
            // Up to the first that neither has. Those behind it are in the sink once, however often they are buried.
            Ok(places.get(kept).copied().unwrap_or(letters.len()))
        })
    }
}
