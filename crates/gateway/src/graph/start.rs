//! Starting: budget, dead letters, journal, deliveries, rules, intake, receivers, in this order.

use super::letters::Letters;
use super::{Blueprint, Graph, Live, Reloads, Running};
use crate::journal::unknown_abandoned;
use crate::memory;
use crate::receivers::{self, Tenants};
use crate::settings::Settings;
use anyhow::Context as _;
use forebay_pipeline::admit::{Intake, Outlet};
use forebay_pipeline::budget::Budget;
use forebay_pipeline::dead_letter::{DeadLetterDir, DeadLetters};
use forebay_pipeline::deliver::{Delivery, Sink};
use forebay_pipeline::ids::Mint;
use forebay_pipeline::journal::cursors::Found;
use forebay_pipeline::journal::{JournalConfig, Service};
use forebay_pipeline::ledger::Ledger;
use forebay_pipeline::rules::Rules;
use forebay_sinks::SinkConfig;
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio_util::sync::CancellationToken;

/// The part of the memory budget that is for what connections take beside payloads.
const CONNECTIONS_SHARE: usize = 4;
/// The part of the memory budget that requests leave to what a journal has to deliver.
const JOURNAL_RESERVE_SHARE: usize = 8;

impl Blueprint {
    /// Starts everything. Dropping the graph without [`Graph::drain`] abandons what is on its way.
    pub async fn start(self) -> anyhow::Result<Graph> {
        let Self { settings, sinks } = self;
        let ledger = Arc::new(Ledger::default());
        let (budget, connections) = budgets(&settings);
        let dead_letters = Arc::new(
            DeadLetterDir::open(&settings.dead_letters)
                .with_context(|| format!("dead letters in {}", settings.dead_letters.path.display()))?,
        );
        let journal = match &settings.journal {
            Some(config) => Some(open_journal(config, &settings, &budget, &ledger).await?),
            None => None,
        };
        let letters = Letters::start(&settings, &budget, &dead_letters, &ledger)?;
        let keeper = keeper(letters.as_ref(), &dead_letters);
        let foundation = Foundation { ledger, budget, letters: keeper, mint: Arc::default(), journal };
        let running: Vec<Running> = sinks
            .into_iter()
            .filter_map(|(name, sink)| {
                let config = settings.sinks.get(&*name)?.clone();
                Some(foundation.deliver(name, sink, config))
            })
            .collect();
        let intake = foundation.intake(&settings, &running)?;
        let closing = CancellationToken::new();
        let (receivers, acknowledge) = (&settings.receivers, settings.acknowledge);
        let ledger = &foundation.ledger;
        let started = {
            let (intake, closing) = (Arc::clone(&intake), closing.clone());
            let tenants = Arc::new(Tenants::default());
            tenants.adopt(settings.tenants.as_ref());
            receivers::start(receivers, acknowledge, tenants, intake, ledger, connections, closing).await?
        };
        let Foundation { ledger, budget, mint, journal, .. } = foundation;
        let live = Arc::new(RwLock::new(Arc::new(Live::new(intake, &running))));
        let (retiring, reloads) = (Vec::new(), Arc::new(Reloads::default()));
        Ok(Graph {
            settings,
            ledger,
            dead_letters,
            letters,
            journal,
            started,
            live,
            reloads,
            budget,
            mint,
            running,
            retiring,
            closing,
        })
    }
}

impl Live {
    pub(super) fn new(intake: Arc<Intake>, running: &[Running]) -> Self {
        let handle = |running: &Running| (Arc::clone(&running.name), running.outlet.handle.clone());
        Self { intake, handles: running.iter().map(handle).collect() }
    }
}

/// What outlives every reload.
#[derive(Debug)]
pub(super) struct Foundation {
    pub ledger: Arc<Ledger>,
    pub budget: Arc<Budget>,
    /// What keeps dead letters.
    pub letters: Arc<dyn DeadLetters>,
    pub mint: Arc<Mint>,
    pub journal: Option<Arc<Service>>,
}

impl Foundation {
    /// Starts delivery to a sink.
    pub(super) fn deliver(&self, name: Arc<str>, sink: Arc<dyn Sink>, config: SinkConfig) -> Running {
        let delivery = config.delivery().clone();
        let (window, pause) = (delivery.window_bytes.as_usize(), delivery.retry.max.0);
        let lag = delivery.lag.clone();
        let letters = Arc::clone(&self.letters);
        let (budget, totals) = (Arc::clone(&self.budget), self.ledger.delivery(&name));
        let handle = Delivery::start_counting(Arc::clone(&name), sink, delivery, budget, letters, totals);
        let outlet = Outlet { name: Arc::clone(&name), handle, window, pause, spare: Arc::default(), lag };
        Running { name, config, outlet }
    }

    /// An intake under the rules of `settings`, in front of these sinks. From then on the journal feeds these sinks, and no others.
    pub(super) fn intake(&self, settings: &Settings, running: &[Running]) -> anyhow::Result<Arc<Intake>> {
        let outlets: Vec<Outlet> = running.iter().map(|running| running.outlet.clone()).collect();
        let config = settings.rules();
        let names: Vec<Arc<str>> = outlets.iter().map(|outlet| Arc::clone(&outlet.name)).collect();
        let rules = Rules::build(&config, &names, &self.ledger).map_err(|faults| {
            let faults: Vec<String> = faults.into_iter().map(|fault| fault.message).collect();
            anyhow::anyhow!("routes: {}", faults.join("; "))
        })?;
        let rules = Arc::new(rules);
        let mut journaled = None;
        if let Some(journal) = &self.journal {
            let abandon = settings.journal.as_ref().map_or(&[][..], |journal| &journal.abandon);
            let attached = journal.attach(&config, &rules, &outlets, abandon);
            journaled = Some(attached.context("keeping the routes in the journal")?);
        }
        let intake = Intake::new(rules, outlets, Arc::clone(&self.mint), Arc::clone(&self.budget));
        Ok(Arc::new(match journaled {
            Some(journaled) => intake.with_journal(journaled),
            None => intake,
        }))
    }
}

/// What keeps dead letters: a sink, or the directory.
pub(super) fn keeper(letters: Option<&Letters>, directory: &Arc<DeadLetterDir>) -> Arc<dyn DeadLetters> {
    letters.map_or_else(|| Arc::clone(directory) as _, Letters::keeper)
}

/// The memory budget, in two parts: for payloads, and for connections. With a journal some of the first is for what the journal has to deliver.
fn budgets(settings: &Settings) -> (Arc<Budget>, Arc<Budget>) {
    let limit = settings.limits.memory.map_or_else(memory::default_budget, |size| size.as_usize());
    let reserve = if settings.journal.is_some() { limit / JOURNAL_RESERVE_SHARE } else { 0 };
    let connections = limit / CONNECTIONS_SHARE;
    (Budget::with_reserve(limit - connections, reserve), Budget::new(connections))
}

/// Opens the journal and says what was found. It reads all of it, so it is kept away from the workers.
async fn open_journal(
    config: &JournalConfig,
    settings: &Settings,
    budget: &Arc<Budget>,
    ledger: &Arc<Ledger>,
) -> anyhow::Result<Arc<Service>> {
    let sinks: Vec<String> = settings.sinks.keys().cloned().collect();
    let (config, budget, ledger) = (config.clone(), Arc::clone(budget), Arc::clone(ledger));
    let started = std::time::Instant::now();
    let place = config.path.display().to_string();
    let open = move || {
        for warning in unknown_abandoned(&config, &sinks) {
            tracing::warn!("{warning}");
        }
        Service::open(&config, &sinks, budget, ledger)
    };
    let opened = tokio::task::spawn_blocking(open).await?;
    let (journal, found) = opened.with_context(|| format!("the journal in {place}"))?;
    let log = &found.log;
    tracing::info!(
        path = place,
        requests = log.frames,
        bytes = journal.stats().bytes.load(Relaxed),
        torn_bytes = log.torn_bytes,
        millis = started.elapsed().as_millis() as u64,
        "the journal is open"
    );
    if found.cursors == Found::Damaged {
        tracing::error!("the journal's cursors are damaged: all that it holds is delivered again");
    }
    for (sink, frames) in &found.lost {
        tracing::error!(sink, requests = frames, "requests in the journal are damaged and lost to this sink");
    }
    if log.skipped_bytes > 0 || log.bad_heads > 0 {
        tracing::error!(
            skipped_bytes = log.skipped_bytes,
            bad_heads = log.bad_heads,
            "the journal is damaged; what is sound of it is delivered"
        );
    }
    Ok(journal)
}
