//! Builds the running gateway from its settings, top to bottom: sinks, delivery, routes, intake, receivers.

use crate::config::{Fault, Locator, nearest};
use crate::memory;
use crate::receivers;
use crate::settings::Settings;
use anyhow::Context as _;
use forebay_pipeline::admit::{Intake, Outlet};
use forebay_pipeline::budget::Budget;
use forebay_pipeline::dead_letter::DeadLetterDir;
use forebay_pipeline::deliver::{Delivery, DeliveryState, Handle, Sink};
use forebay_pipeline::journal::cursors::Found;
use forebay_pipeline::journal::{JournalConfig, Service};
use forebay_pipeline::ledger::Ledger;
use forebay_pipeline::route::Plan;
use forebay_pipeline::rules::Rules;
use forebay_sinks::BuildContext;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The part of the memory budget that requests leave to what a journal has to deliver.
const JOURNAL_RESERVE_SHARE: usize = 8;

/// Settings that have been checked against each other, and what could be built from them without touching the world.
#[derive(Debug)]
pub struct Blueprint {
    pub settings: Settings,
    sinks: NamedSinks,
}

/// Sinks by name, in the order in which the plan numbers them.
pub type NamedSinks = Vec<(Arc<str>, Arc<dyn Sink>)>;

impl Blueprint {
    /// Checks what a schema cannot: names that refer to each other, bounds that contradict. All faults at once.
    pub fn draw(settings: Settings, locator: &Locator) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let context = BuildContext { promote: settings.documents.promote.clone() };
        let mut sinks = Vec::new();
        if settings.sinks.is_empty() {
            faults.push(locator.fault("sinks", "there is no sink: nothing could be delivered", None));
        }
        for (name, config) in &settings.sinks {
            match config.build(name, &context) {
                Ok(sink) => sinks.push((Arc::from(name.as_str()), sink)),
                Err(found) => faults.extend(found.into_iter().map(|fault| {
                    locator.fault(&format!("sinks.{name}.{}", fault.path), fault.message, None)
                })),
            }
        }
        faults.extend(
            settings
                .dead_letters
                .faults()
                .into_iter()
                .map(|(path, message)| locator.fault(&format!("dead_letters.{path}"), message, None)),
        );
        faults.extend(
            settings
                .receivers
                .faults()
                .into_iter()
                .map(|(path, message)| locator.fault(&format!("receivers.{path}"), message, None)),
        );
        let cross = settings.faults().into_iter();
        faults.extend(cross.map(|(path, message)| locator.fault(&path, message, None)));
        let names: Vec<&str> = settings.sinks.keys().map(String::as_str).collect();
        match Plan::build(&settings.routes(), settings.route_mode, &settings.documents.promote, &names) {
            Ok(_) if faults.is_empty() => return Ok(Self { settings, sinks }),
            Ok(_) => {}
            Err(found) => faults.extend(found.into_iter().map(|fault| {
                let meant =
                    fault.unknown_sink.as_deref().and_then(|name| nearest(name, names.iter().copied()));
                locator.fault(&format!("routes{}", fault.path), fault.message, meant)
            })),
        }
        crate::config::sort(&mut faults);
        Err(faults)
    }

    /// The settings and the sinks, for those who need no more.
    pub fn into_sinks(self) -> (Settings, NamedSinks) {
        (self.settings, self.sinks)
    }

    /// Starts everything. Dropping the graph without [`Graph::drain`] abandons what is on its way.
    pub async fn start(self) -> anyhow::Result<Graph> {
        let Self { settings, sinks } = self;
        let ledger = Arc::new(Ledger::default());
        let budget = budget(&settings);
        let dead_letters = Arc::new(
            DeadLetterDir::open(&settings.dead_letters)
                .with_context(|| format!("dead letters in {}", settings.dead_letters.path.display()))?,
        );
        let journal = match &settings.journal {
            Some(config) => Some(open_journal(config, &settings, &budget, &ledger).await?),
            None => None,
        };
        let outlets = start_deliveries(&settings, sinks, &budget, &dead_letters);
        let handles =
            outlets.iter().map(|outlet| (Arc::clone(&outlet.name), outlet.handle.clone())).collect();
        let config = settings.rules();
        let names: Vec<Arc<str>> = outlets.iter().map(|outlet| Arc::clone(&outlet.name)).collect();
        let rules = Rules::build(&config, &names, &ledger).map_err(|faults| {
            anyhow::anyhow!(
                "routes: {}",
                faults.into_iter().map(|fault| fault.message).collect::<Vec<_>>().join("; ")
            )
        })?;
        let rules = Arc::new(rules);
        let journaled = match &journal {
            Some(journal) => {
                Some(journal.attach(&config, &rules, &outlets).context("the journal's route table")?)
            }
            None => None,
        };
        let mut intake = Intake::new(rules, outlets, Arc::default(), budget);
        if let Some(journaled) = journaled {
            intake = intake.with_journal(journaled);
        }
        let intake = Arc::new(intake);
        let closing = CancellationToken::new();
        let receivers = &settings.receivers;
        let started =
            receivers::start(receivers, settings.acknowledge, Arc::clone(&intake), &ledger, closing.clone())
                .await?;
        Ok(Graph { settings, ledger, intake, handles, dead_letters, journal, started, closing })
    }
}

/// The memory budget. With a journal a part of it is for what the journal has to deliver.
fn budget(settings: &Settings) -> Arc<Budget> {
    let limit = settings.limits.memory.map_or_else(memory::default_budget, |size| size.as_usize());
    Budget::with_reserve(limit, if settings.journal.is_some() { limit / JOURNAL_RESERVE_SHARE } else { 0 })
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
    let opened = tokio::task::spawn_blocking(move || Service::open(&config, &sinks, budget, ledger)).await?;
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
    if log.skipped_bytes > 0 || log.bad_heads > 0 || !log.unreadable.is_empty() {
        tracing::error!(
            skipped_bytes = log.skipped_bytes, bad_heads = log.bad_heads, unreadable = ?log.unreadable,
            "the journal is damaged; what is sound of it is delivered"
        );
    }
    Ok(journal)
}

fn start_deliveries(
    settings: &Settings,
    sinks: NamedSinks,
    budget: &Arc<Budget>,
    dead_letters: &Arc<DeadLetterDir>,
) -> Vec<Outlet> {
    let start = |(name, sink): (Arc<str>, Arc<dyn Sink>)| {
        let config = settings.sinks.get(&*name).map(|config| config.delivery().clone()).unwrap_or_default();
        let (window, pause) = (config.window_bytes.as_usize(), config.retry.max.0);
        let dead_letters = Arc::clone(dead_letters) as _;
        let handle = Delivery::start(Arc::clone(&name), sink, config, Arc::clone(budget), dead_letters);
        Outlet { name, handle, window, pause }
    };
    sinks.into_iter().map(start).collect()
}

/// The running gateway.
#[derive(Debug)]
pub struct Graph {
    pub settings: Settings,
    pub ledger: Arc<Ledger>,
    pub intake: Arc<Intake>,
    /// Delivery to each sink, by name.
    pub handles: Vec<(Arc<str>, Handle)>,
    pub dead_letters: Arc<DeadLetterDir>,
    pub journal: Option<Arc<Service>>,
    pub started: receivers::Started,
    closing: CancellationToken,
}

impl Graph {
    /// Closes the door, then waits for what was taken, both within `deadline`. What the journal keeps may be left there. Returns whether
    /// everything else was settled.
    pub async fn drain(self, deadline: Duration) -> bool {
        let end = tokio::time::Instant::now() + deadline;
        self.closing.cancel();
        let closed = self.started.closed(deadline).await;
        let mut settled = closed;
        if let Some(journal) = &self.journal {
            // What a sink that is not well still has may as well go back now: the next start has it from the disk.
            let is_unwell = |sink: &str| {
                self.handles.iter().any(|(name, handle)| {
                    **name == *sink && !matches!(handle.stats().state(), DeliveryState::Ok)
                })
            };
            journal.detach(is_unwell);
        }
        for (_, handle) in self.handles {
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            settled &= handle.drain(left).await;
        }
        if let Some(journal) = &self.journal {
            journal.close().await;
        }
        settled
    }
}
