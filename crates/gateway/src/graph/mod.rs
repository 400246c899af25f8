//! The running gateway: checked on paper ([`Blueprint`]), started, reloaded, drained.

mod letters;
mod reload;
mod start;

pub use reload::Reloads;

use crate::config::{Fault, Locator, nearest};
use crate::journal::unknown_abandoned;
use crate::receivers;
use crate::settings::Settings;
use forebay_pipeline::admit::{Intake, Outlet};
use forebay_pipeline::budget::Budget;
use forebay_pipeline::dead_letter::DeadLetterDir;
use forebay_pipeline::deliver::{DeliveryState, Handle, Sink};
use forebay_pipeline::ids::Mint;
use forebay_pipeline::journal::Service;
use forebay_pipeline::ledger::{Ledger, Outcome};
use forebay_pipeline::route::Plan;
use forebay_sinks::{BuildContext, SinkConfig};
use letters::Letters;
use parking_lot::RwLock;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long the journal has to write its last checkpoint, which takes milliseconds, also where sinks have used up all of the deadline.
const JOURNAL_CLOSES_WITHIN: Duration = Duration::from_secs(1);

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
        if let Some(to) =
            settings.dead_letters.to.as_ref().filter(|to| !settings.sinks.contains_key(&to.sink))
        {
            let meant = nearest(&to.sink, settings.sinks.keys().map(String::as_str));
            let message = format!("there is no sink `{}`", to.sink);
            faults.push(locator.fault("dead_letters.to.sink", message, meant));
        }
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

    /// What to say of names in `journal.abandon` that the journal does not know. Looks into its folder.
    pub fn unknown_abandoned(&self) -> Vec<String> {
        let sinks: Vec<String> = self.settings.sinks.keys().cloned().collect();
        self.settings.journal.as_ref().map(|journal| unknown_abandoned(journal, &sinks)).unwrap_or_default()
    }

    /// The settings and the sinks, for those who need no more.
    pub fn into_sinks(self) -> (Settings, NamedSinks) {
        (self.settings, self.sinks)
    }
}

/// Delivery to one sink, and what it was started with.
#[derive(Debug)]
struct Running {
    name: Arc<str>,
    config: SinkConfig,
    outlet: Outlet,
}

/// What a running gateway shows of itself. A reload puts another in its place.
#[derive(Debug)]
pub struct Live {
    pub intake: Arc<Intake>,
    /// Delivery to each sink, by name.
    pub handles: Vec<(Arc<str>, Handle)>,
}

/// The running gateway.
#[derive(Debug)]
pub struct Graph {
    pub settings: Settings,
    pub ledger: Arc<Ledger>,
    pub dead_letters: Arc<DeadLetterDir>,
    letters: Option<Letters>,
    pub journal: Option<Arc<Service>>,
    pub started: receivers::Started,
    pub live: Arc<RwLock<Arc<Live>>>,
    pub reloads: Arc<Reloads>,
    budget: Arc<Budget>,
    mint: Arc<Mint>,
    running: Vec<Running>,
    /// Sinks that a reload has taken out of service, on their way to the end.
    retiring: Vec<JoinHandle<()>>,
    closing: CancellationToken,
}

impl Graph {
    /// Closes the door, then waits for what was taken, both within `deadline`. What the journal keeps may be left there. Returns whether
    /// everything else was settled, and the journal was left in order.
    pub async fn drain(self, deadline: Duration) -> bool {
        let end = tokio::time::Instant::now() + deadline;
        self.closing.cancel();
        let closed = self.started.closed(deadline).await;
        if let Some(journal) = &self.journal {
            // What a sink that is not well still has may as well go back now: the next start has it from the disk.
            let is_unwell = |sink: &str| {
                self.running.iter().any(|running| {
                    *running.name == *sink
                        && !matches!(running.outlet.handle.stats().state(), DeliveryState::Ok)
                })
            };
            journal.detach(is_unwell);
        }
        let abandoned = self.abandoned();
        let mut delivered = true;
        for running in &self.running {
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            delivered &= running.outlet.handle.drain(left).await;
        }
        if let Some(letters) = &self.letters {
            delivered &=
                letters.handle().drain(end.saturating_duration_since(tokio::time::Instant::now())).await;
        }
        for retiring in &self.retiring {
            retiring.abort();
        }
        let left = end.saturating_duration_since(tokio::time::Instant::now());
        let in_order = self.close_journal(left.max(JOURNAL_CLOSES_WITHIN)).await;
        // What went back to the journal in the end is not lost to anybody.
        closed && in_order && (delivered || self.abandoned() == abandoned)
    }

    /// Ends the journal, if there is one. Returns whether it was left in order.
    async fn close_journal(&self, patience: Duration) -> bool {
        let Some(journal) = &self.journal else { return true };
        let closed = journal.close(patience).await;
        if let Err(reason) = &closed {
            tracing::error!(%reason, "the journal was not left in order; all that was acknowledged is in it");
        }
        closed.is_ok()
    }

    fn abandoned(&self) -> u64 {
        // Letters that could not be kept are owed still by those whose records they are.
        let accounts = self.ledger.accounts();
        let own = accounts.iter().filter(|account| *account.route != *forebay_pipeline::dead_letter::ROUTE);
        own.map(|account| account.settled(Outcome::Abandoned)).sum()
    }
}
