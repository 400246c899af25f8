//! `forebay dlq replay`: letters go the way of all records, to their own destinations and under their own ids.

use super::{Found, complain_of, escaped};
use crate::config::nearest;
use crate::graph::Blueprint;
use crate::terminal::{complain, say};
use crate::{logging, memory};
use anyhow::{Context as _, Result, bail};
use forebay_pipeline::budget::Budget;
use forebay_pipeline::dead_letter::{self, BuryError, DeadLetters, Letter, LetterFile, Replay, StoredLetter};
use forebay_pipeline::deliver::{Delivery, DeliveryConfig, DeliveryState, Handle, Permits, Sink};
use forebay_pipeline::ledger::{Ledger, Outcome};
use forebay_pipeline::receipt::Receipt;
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    let _log = logging::start(&blueprint.settings.log)?;
    let in_use = || format!("dead letters in {}", found.dir.display());
    let _lock = dead_letter::lock(&found.dir).with_context(in_use)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut sender = Sender::new(blueprint, to, patience)?;
        for file in found.files()? {
            sender.file(found, &file).await?;
        }
        Ok(sender.report())
    })
}

/// One sink of the configuration. It is started for the first letter that goes there: another one may be dead, or in use.
struct Outlet {
    name: Arc<str>,
    sink: Arc<dyn Sink>,
    config: DeliveryConfig,
    handle: Option<Handle>,
    /// Nothing has arrived there for too long: it gets no more letters, and the others go on.
    given_up: bool,
}

impl Outlet {
    fn handle(&mut self, budget: &Arc<Budget>) -> Handle {
        let Self { name, sink, config, handle, .. } = self;
        let start = || {
            let budget = Arc::clone(budget);
            Delivery::start(Arc::clone(name), Arc::clone(sink), config.clone(), budget, Arc::new(NoLetters))
        };
        handle.get_or_insert_with(start).clone()
    }

    fn give_up(&mut self, patience: Duration) {
        if !std::mem::replace(&mut self.given_up, true) {
            let state = self.handle.as_ref().map(|handle| handle.stats().state());
            let why = match state {
                Some(DeliveryState::Retrying { reason } | DeliveryState::Blocked { reason }) => {
                    format!(": {}", escaped(&reason))
                }
                Some(DeliveryState::Ok) | None => String::new(),
            };
            let seconds = patience.as_secs();
            complain(&format!(
                "forebay: sink {:?}: nothing has arrived for {seconds} s, giving up{why}",
                self.name
            ));
        }
    }
}

struct Sender {
    outlets: BTreeMap<String, Outlet>,
    to: Option<String>,
    patience: Duration,
    ledger: Ledger,
    budget: Arc<Budget>,
    replay: Replay,
    tally: Tally,
}

/// A letter on its way.
struct Underway {
    line: usize,
    sink: String,
    /// Where its fate will be told.
    receipt: Receipt,
}

impl Sender {
    fn new(blueprint: Blueprint, to: Option<&str>, patience: Duration) -> Result<Self> {
        let budget = Budget::new(memory::default_budget());
        let mut outlets = BTreeMap::new();
        let (settings, sinks) = blueprint.into_sinks();
        for (name, sink) in sinks {
            let config =
                settings.sinks.get(&*name).map(|config| config.delivery().clone()).unwrap_or_default();
            outlets.insert(name.to_string(), Outlet { name, sink, config, handle: None, given_up: false });
        }
        if let Some(to) = to.filter(|to| !outlets.contains_key(*to)) {
            let meant = nearest(to, outlets.keys().map(String::as_str));
            bail!(
                "there is no sink {to:?}{}",
                meant.map(|name| format!(": did you mean {name:?}?")).unwrap_or_default()
            );
        }
        let replay = Replay::new(Arc::clone(&budget)).map_err(anyhow::Error::msg)?;
        let to = to.map(str::to_owned);
        Ok(Self { outlets, to, patience, ledger: Ledger::default(), budget, replay, tally: Tally::default() })
    }

    /// Sends the letters of one file and takes out those that arrived.
    async fn file(&mut self, found: &Found, file: &LetterFile) -> Result<()> {
        let mut arrived = BTreeSet::new();
        let mut underway: Vec<Underway> = Vec::new();
        let mut bytes = 0;
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
                Ok(Some((sink, receipt))) => underway.push(Underway { line: number, sink, receipt }),
                // Its sink was given up, which has been told once.
                Ok(None) => self.tally.unsent += 1,
                Err(error) => {
                    self.tally.unsent += 1;
                    complain_of(file, number, &format!("{error:#}"));
                }
            }
            if underway.len() >= BATCH_LETTERS || bytes >= BATCH_BYTES {
                self.settle(file, std::mem::take(&mut underway), &mut arrived).await;
                bytes = 0;
            }
        }
        self.settle(file, underway, &mut arrived).await;
        if !arrived.is_empty() {
            file.remove(&arrived)
                .with_context(|| format!("taking letters out of {}", file.path().display()))?;
        }
        Ok(())
    }

    /// Hands a letter over, if its sink has not been given up or has to be now.
    async fn send(&mut self, letter: &StoredLetter) -> Result<Option<(String, Receipt)>> {
        let sink = self.to.as_ref().unwrap_or(&letter.sink);
        let outlet = self
            .outlets
            .get_mut(sink)
            .with_context(|| format!("there is no sink {sink:?} now; --to names another"))?;
        if outlet.given_up {
            return Ok(None);
        }
        let handle = outlet.handle(&self.budget);
        let Some(mut permits) = room(&handle, self.patience).await else {
            outlet.give_up(self.patience);
            return Ok(None);
        };
        let (share, receipt) = self.replay.share(letter, &self.ledger.account(sink, &letter.route))?;
        permits.send(share);
        Ok(Some((sink.clone(), receipt)))
    }

    /// Waits for the fate of these letters, with patience for each sink.
    async fn settle(&mut self, file: &LetterFile, underway: Vec<Underway>, arrived: &mut BTreeSet<usize>) {
        for Underway { line, sink, receipt } in underway {
            let mut outlet = self.outlets.get_mut(&sink);
            // Once given up, what has settled by now still counts.
            let given_up = outlet.as_ref().is_some_and(|outlet| outlet.given_up);
            let patience = if given_up { Duration::ZERO } else { self.patience };
            let Ok(fate) = tokio::time::timeout(patience, receipt.settled()).await else {
                if let Some(outlet) = &mut outlet {
                    outlet.give_up(self.patience);
                }
                self.tally.unsent += 1;
                continue;
            };
            let reason = fate.reason.unwrap_or_default();
            if fate.abandoned > 0 {
                self.tally.unsent += 1;
                complain_of(file, line, &format!("not sent: {reason}"));
            } else if fate.rejected + fate.dead_lettered > 0 {
                self.tally.refused += 1;
                if self.tally.refused <= MOST_TOLD {
                    complain_of(file, line, &format!("refused again: {reason}"));
                }
            } else {
                self.tally.delivered += 1;
                arrived.insert(line);
            }
        }
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

/// Room for one share. None if there was none for so long.
async fn room(handle: &Handle, patience: Duration) -> Option<Permits<'_>> {
    let given_up = Instant::now() + patience;
    loop {
        match handle.reserve(1) {
            Ok(permits) => return Some(permits),
            Err(_) if Instant::now() >= given_up => return None,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Letters of letters are not kept: they are still where they were.
#[derive(Debug)]
struct NoLetters;

impl DeadLetters for NoLetters {
    fn bury<'a>(&'a self, letters: &'a [Letter]) -> BoxFuture<'a, Result<usize, BuryError>> {
        Box::pin(async { Ok(letters.len()) })
    }
}
