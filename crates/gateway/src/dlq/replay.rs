//! `forebay dlq replay`: letters go the way of all records, to their own destinations and under their own ids.

use super::{Found, complain_of};
use crate::config::nearest;
use crate::graph::Blueprint;
use crate::terminal::{complain, say};
use crate::{logging, memory};
use anyhow::{Context as _, Result, bail};
use forebay_pipeline::budget::Budget;
use forebay_pipeline::dead_letter::{self, BuryError, DeadLetters, Letter, LetterFile, Replay, StoredLetter};
use forebay_pipeline::deliver::{Delivery, Handle};
use forebay_pipeline::ledger::{Ledger, Outcome};
use forebay_pipeline::receipt::Receipt;
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Letters on their way at once: enough for full bulks, and few enough to hold in memory.
const BATCH_LETTERS: usize = 5_000;
/// The same in bytes.
const BATCH_BYTES: usize = 32 << 20;
/// Between two looks whether there is room for one more share.
const PAUSE: Duration = Duration::from_millis(10);
/// Refusals told one by one; the rest is in the files.
const MOST_TOLD: u64 = 20;

/// What became of the letters.
#[derive(Debug, Default)]
struct Tally {
    delivered: u64,
    refused: u64,
    unsent: u64,
}

pub(super) fn replay(
    found: &Found,
    blueprint: Blueprint,
    to: Option<&str>,
    patience: Duration,
) -> Result<ExitCode> {
    logging::start(&blueprint.settings.log);
    let in_use = || format!("dead letters in {}", found.dir.display());
    let _lock = dead_letter::lock(&found.dir).with_context(in_use)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut sender = Sender::new(blueprint, to, patience)?;
        for file in found.files()? {
            if !sender.file(found, &file).await? {
                complain(&format!("forebay: nothing has arrived for {} s, giving up", patience.as_secs()));
                break;
            }
        }
        Ok(sender.report())
    })
}

struct Sender {
    handles: BTreeMap<String, Handle>,
    to: Option<String>,
    patience: Duration,
    ledger: Ledger,
    replay: Replay,
    tally: Tally,
}

/// A letter on its way: its line, and where its fate will be told.
type Underway = (usize, Receipt);

impl Sender {
    fn new(blueprint: Blueprint, to: Option<&str>, patience: Duration) -> Result<Self> {
        let budget = Budget::new(memory::default_budget());
        let mut handles = BTreeMap::new();
        let (settings, sinks) = blueprint.into_sinks();
        for (name, sink) in sinks {
            let config =
                settings.sinks.get(&*name).map(|config| config.delivery().clone()).unwrap_or_default();
            let handle =
                Delivery::start(Arc::clone(&name), sink, config, Arc::clone(&budget), Arc::new(NoLetters));
            handles.insert(name.to_string(), handle);
        }
        if let Some(to) = to.filter(|to| !handles.contains_key(*to)) {
            let meant = nearest(to, handles.keys().map(String::as_str));
            bail!(
                "there is no sink {to:?}{}",
                meant.map(|name| format!(": did you mean {name:?}?")).unwrap_or_default()
            );
        }
        let replay = Replay::new(budget).map_err(anyhow::Error::msg)?;
        let to = to.map(str::to_owned);
        Ok(Self { handles, to, patience, ledger: Ledger::default(), replay, tally: Tally::default() })
    }

    /// Sends the letters of one file and takes out those that arrived. False if it is no use to go on.
    async fn file(&mut self, found: &Found, file: &LetterFile) -> Result<bool> {
        let mut arrived = BTreeSet::new();
        let mut underway: Vec<Underway> = Vec::new();
        let mut bytes = 0;
        let mut goes_on = true;
        for line in file.letters()? {
            let (number, letter) = match line? {
                (number, Ok(letter)) => (number, letter),
                (number, Err(error)) => {
                    self.tally.unsent += 1;
                    complain_of(file, number, &error.to_string());
                    continue;
                }
            };
            if !found.filter.wants(&letter) {
                continue;
            }
            bytes += letter.document.get().len();
            match self.send(&letter).await {
                Ok(receipt) => underway.push((number, receipt)),
                Err(error) => {
                    self.tally.unsent += 1;
                    complain_of(file, number, &format!("{error:#}"));
                }
            }
            if underway.len() >= BATCH_LETTERS || bytes >= BATCH_BYTES {
                goes_on = self.settle(file, std::mem::take(&mut underway), &mut arrived).await;
                bytes = 0;
                if !goes_on {
                    break;
                }
            }
        }
        goes_on &= self.settle(file, underway, &mut arrived).await;
        if !arrived.is_empty() {
            file.remove(&arrived)
                .with_context(|| format!("taking letters out of {}", file.path().display()))?;
        }
        Ok(goes_on)
    }

    async fn send(&self, letter: &StoredLetter) -> Result<Receipt> {
        let sink = self.to.as_ref().unwrap_or(&letter.sink);
        let handle = self
            .handles
            .get(sink)
            .with_context(|| format!("there is no sink {sink:?} now; --to names another"))?;
        let mut permits = loop {
            match handle.reserve(1) {
                Ok(permits) => break permits,
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        };
        let (share, receipt) = self.replay.share(letter, &self.ledger.account(sink, &letter.route))?;
        permits.send(share);
        Ok(receipt)
    }

    /// Waits for the fate of these letters. False if they had to be given up.
    async fn settle(
        &mut self,
        file: &LetterFile,
        underway: Vec<Underway>,
        arrived: &mut BTreeSet<usize>,
    ) -> bool {
        let mut goes_on = true;
        for (number, receipt) in underway {
            // Once given up, what has settled by now still counts.
            let patience = if goes_on { self.patience } else { Duration::ZERO };
            let Ok(fate) = tokio::time::timeout(patience, receipt.settled()).await else {
                goes_on = false;
                self.tally.unsent += 1;
                continue;
            };
            let reason = fate.reason.unwrap_or_default();
            if fate.abandoned > 0 {
                self.tally.unsent += 1;
                complain_of(file, number, &format!("not sent: {reason}"));
            } else if fate.rejected + fate.dead_lettered > 0 {
                self.tally.refused += 1;
                if self.tally.refused <= MOST_TOLD {
                    complain_of(file, number, &format!("refused again: {reason}"));
                }
            } else {
                self.tally.delivered += 1;
                arrived.insert(number);
            }
        }
        goes_on
    }

    fn report(&self) -> ExitCode {
        let Tally { delivered, refused, unsent } = self.tally;
        let accounts = self.ledger.accounts();
        let duplicates: u64 = accounts.iter().map(|account| account.settled(Outcome::Duplicate)).sum();
        say(&format!(
            "{delivered} arrived and were removed ({duplicates} of them were there already), {refused} were refused again, {unsent} were not sent"
        ));
        if refused + unsent > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

/// Letters of letters are not kept: they are still where they were.
#[derive(Debug)]
struct NoLetters;

impl DeadLetters for NoLetters {
    fn bury<'a>(&'a self, _: &'a [Letter]) -> BoxFuture<'a, Result<(), BuryError>> {
        Box::pin(async { Ok(()) })
    }
}
