//! Builds the running gateway from its settings, top to bottom: sinks, delivery, routes, intake, receivers.

use crate::config::{Fault, Locator, nearest};
use crate::memory;
use crate::receivers;
use crate::settings::Settings;
use anyhow::Context as _;
use forebay_pipeline::admit::{Intake, Outlet};
use forebay_pipeline::budget::Budget;
use forebay_pipeline::dead_letter::DeadLetterDir;
use forebay_pipeline::deliver::{Delivery, Handle, Sink};
use forebay_pipeline::ledger::Ledger;
use forebay_pipeline::route::Plan;
use forebay_pipeline::time::EventWindow;
use forebay_pipeline::wire::Limits;
use forebay_sinks::BuildContext;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Settings that have been checked against each other, and what could be built from them without touching the world.
#[derive(Debug)]
pub struct Blueprint {
    pub settings: Settings,
    plan: Plan,
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
            Ok(plan) if faults.is_empty() => return Ok(Self { settings, plan, sinks }),
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
        let Self { settings, plan, sinks } = self;
        let ledger = Arc::new(Ledger::default());
        let budget =
            Budget::new(settings.limits.memory.map_or_else(memory::default_budget, |size| size.as_usize()));
        let dead_letters = Arc::new(
            DeadLetterDir::open(&settings.dead_letters)
                .with_context(|| format!("dead letters in {}", settings.dead_letters.path.display()))?,
        );
        let outlets: Vec<Outlet> = sinks
            .into_iter()
            .map(|(name, sink)| {
                let config =
                    settings.sinks.get(&*name).map(|config| config.delivery().clone()).unwrap_or_default();
                let handle = Delivery::start(
                    Arc::clone(&name),
                    sink,
                    config,
                    Arc::clone(&budget),
                    Arc::clone(&dead_letters) as _,
                );
                Outlet { name, handle }
            })
            .collect();
        let handles =
            outlets.iter().map(|outlet| (Arc::clone(&outlet.name), outlet.handle.clone())).collect();
        let documents = &settings.documents;
        let window = EventWindow::new(documents.max_event_age.0, documents.max_event_lead.0);
        let intake = Arc::new(Intake::new(plan, outlets, &ledger, limits(&settings), window, budget));
        let closing = CancellationToken::new();
        let started =
            receivers::start(&settings.receivers, Arc::clone(&intake), &ledger, closing.clone()).await?;
        Ok(Graph { settings, ledger, intake, handles, dead_letters, started, closing })
    }
}

fn limits(settings: &Settings) -> Limits {
    let default = Limits::default();
    Limits {
        max_records: settings
            .limits
            .max_records_per_request
            .map_or(default.max_records, |most| most as usize),
        max_record_bytes: settings
            .limits
            .max_record_size
            .map_or(default.max_record_bytes, |size| size.as_usize()),
    }
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
    pub started: receivers::Started,
    closing: CancellationToken,
}

impl Graph {
    /// Closes the door, then waits for what was taken, both within `deadline`. Returns whether everything was settled.
    pub async fn drain(self, deadline: Duration) -> bool {
        let end = tokio::time::Instant::now() + deadline;
        self.closing.cancel();
        let closed = self.started.closed(deadline).await;
        let mut settled = closed;
        for (_, handle) in self.handles {
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            settled &= handle.drain(left).await;
        }
        settled
    }
}
