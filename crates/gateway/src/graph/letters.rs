//! Dead letters in a sink, which has a delivery of its own for them.

use crate::settings::Settings;
use anyhow::Context as _;
use forebay_pipeline::budget::Budget;
use forebay_pipeline::dead_letter::{DeadLetterDir, DeadLetterSink, DeadLetters};
use forebay_pipeline::deliver::{Delivery, Handle};
use forebay_pipeline::ledger::Ledger;
use forebay_sinks::{BuildContext, SinkConfig};
use std::sync::Arc;

/// The sink that keeps letters, and what its delivery was started with.
#[derive(Debug)]
pub(super) struct Letters {
    sink: Arc<DeadLetterSink>,
    line: Line,
    directory: Arc<DeadLetterDir>,
    budget: Arc<Budget>,
}

/// A delivery of letters.
#[derive(Debug)]
pub(super) struct Line {
    config: SinkConfig,
    handle: Handle,
}

impl Letters {
    /// Starts the delivery, if letters go to a sink.
    ///
    /// # Errors
    /// The sink is not configured, or cannot be built.
    pub(super) fn start(
        settings: &Settings,
        budget: &Arc<Budget>,
        directory: &Arc<DeadLetterDir>,
        ledger: &Ledger,
    ) -> anyhow::Result<Option<Self>> {
        let Some(target) = &settings.dead_letters.to else { return Ok(None) };
        let line = Line::start(settings, &target.sink, budget, directory)?;
        let otherwise = Arc::clone(directory) as Arc<dyn DeadLetters>;
        let sink = DeadLetterSink::new(target, line.handle.clone(), otherwise, ledger, Arc::clone(budget));
        let sink = Arc::new(sink.map_err(|error| anyhow::anyhow!("dead letters: {error}"))?);
        let (directory, budget) = (Arc::clone(directory), Arc::clone(budget));
        Ok(Some(Self { sink, line, directory, budget }))
    }

    /// What buries letters there.
    pub(super) fn keeper(&self) -> Arc<dyn DeadLetters> {
        Arc::clone(&self.sink) as _
    }

    /// The delivery as it is now.
    pub(super) fn handle(&self) -> &Handle {
        &self.line.handle
    }

    /// A delivery as `settings` want it, if the one that runs is not.
    ///
    /// # Errors
    /// The sink cannot be built.
    pub(super) fn other_line(&self, settings: &Settings) -> anyhow::Result<Option<Line>> {
        let Some(target) = &settings.dead_letters.to else { return Ok(None) };
        if settings.sinks.get(&target.sink) == Some(&self.line.config) {
            return Ok(None);
        }
        Line::start(settings, &target.sink, &self.budget, &self.directory).map(Some)
    }

    /// Sends letters through `line` from now on; returns the delivery before it, which is to be drained.
    pub(super) fn change_to(&mut self, line: Line) -> Handle {
        self.sink.send_through(line.handle.clone());
        std::mem::replace(&mut self.line, line).handle
    }
}

impl Line {
    fn start(
        settings: &Settings,
        name: &str,
        budget: &Arc<Budget>,
        directory: &Arc<DeadLetterDir>,
    ) -> anyhow::Result<Self> {
        let config = settings.sinks.get(name).context("the sink for dead letters is not configured")?.clone();
        let context = BuildContext { promote: settings.documents.promote.clone() };
        let sink = config.build(name, &context).map_err(|faults| {
            let faults: Vec<String> = faults.into_iter().map(|fault| fault.message).collect();
            anyhow::anyhow!("the sink for dead letters: {}", faults.join("; "))
        })?;
        let (name, delivery) = (format!("{name}/dead_letters"), config.delivery().clone());
        let handle =
            Delivery::start(name.into(), sink, delivery, Arc::clone(budget), Arc::clone(directory) as _);
        Ok(Self { config, handle })
    }
}
