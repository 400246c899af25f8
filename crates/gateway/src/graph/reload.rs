//! Reloading: what changed is built first; then it takes the place of what was, in one step; then what was is drained.
//!
//! Listeners and connections stay. What cannot be changed while running is refused, all of it, so that the file and the process never
//! agree by half.

use super::start::{Foundation, keeper};
use super::{Blueprint, Graph, Live, Running};
use crate::settings::Settings;
use forebay_pipeline::deliver::Handle;
use forebay_pipeline::task;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Letters that the delivery before could not keep within this time are buried again through the new one.
const LETTERS_WITHIN: Duration = Duration::from_secs(1);

/// What became of reloads.
#[derive(Debug, Default)]
pub struct Reloads {
    pub done: AtomicU64,
    pub refused: AtomicU64,
    /// When the configuration that runs was taken on by a reload, nanoseconds since 1970; 0 for never.
    pub last: AtomicI64,
}

impl Reloads {
    /// A file was refused.
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Relaxed);
    }
}

impl Graph {
    /// Goes over to another configuration.
    ///
    /// # Errors
    /// Why not; nothing was changed then.
    pub fn reload(&mut self, blueprint: Blueprint) -> Result<(), Vec<String>> {
        // Asked before the journal forgets those that are given up now.
        let unknown = blueprint.unknown_abandoned();
        let Blueprint { settings, sinks } = blueprint;
        let mut reasons = fixed_changes(&self.settings, &settings);
        reasons.extend(self.still_owed(&settings));
        if !reasons.is_empty() {
            return Err(reasons);
        }
        let other_line = self.letters.as_ref().map_or(Ok(None), |letters| letters.other_line(&settings));
        let other_line = other_line.map_err(|error| vec![format!("{error:#}")])?;
        let foundation = self.foundation();
        let is_same = settings.documents.promote == self.settings.documents.promote;
        let mut old = std::mem::take(&mut self.running);
        let mut running = Vec::new();
        let mut kept = Vec::new();
        for (name, sink) in sinks {
            let Some(config) = settings.sinks.get(&*name) else { continue };
            let unchanged = old.iter().position(|old| is_same && old.name == name && old.config == *config);
            match unchanged {
                Some(at) => {
                    let old = old.swap_remove(at);
                    kept.push((Arc::clone(&old.name), old.config.clone(), old.outlet.clone()));
                    running.push(old);
                }
                None => running.push(foundation.deliver(name, sink, config.clone())),
            }
        }
        let intake = match foundation.intake(&settings, &running) {
            Ok(intake) => intake,
            Err(error) => {
                // What was started for it ends with its handle; what was there goes on.
                self.running = old;
                self.running.extend(kept.into_iter().map(|(name, config, outlet)| Running {
                    name,
                    config,
                    outlet,
                }));
                return Err(vec![format!("{error:#}")]);
            }
        };
        self.started.tenants().adopt(settings.tenants.as_ref());
        self.started.adopt(&settings.receivers, settings.acknowledge, &intake, &self.ledger);
        *self.live.write() = Arc::new(Live::new(intake, &running));
        self.running = running;
        self.settings = settings;
        let deadline = self.settings.drain.deadline.0;
        old.into_iter().for_each(|old| self.retire(old.name, old.outlet.handle, deadline));
        if let (Some(letters), Some(line)) = (&mut self.letters, other_line) {
            let before = letters.change_to(line);
            self.retire("dead_letters".into(), before, LETTERS_WITHIN);
        }
        for warning in unknown {
            tracing::warn!("{warning}");
        }
        self.reloads.done.fetch_add(1, Relaxed);
        self.reloads.last.store(forebay_pipeline::time::now(), Relaxed);
        Ok(())
    }

    fn foundation(&self) -> Foundation {
        Foundation {
            ledger: Arc::clone(&self.ledger),
            budget: Arc::clone(&self.budget),
            letters: keeper(self.letters.as_ref(), &self.dead_letters),
            mint: Arc::clone(&self.mint),
            journal: self.journal.clone(),
        }
    }

    /// Lets a sink that is out of service deliver what it has.
    fn retire(&mut self, name: Arc<str>, handle: Handle, deadline: Duration) {
        self.retiring.retain(|retiring| !retiring.is_finished());
        self.retiring.push(task::spawn("retiring sink", async move {
            let is_done = handle.drain(deadline).await;
            tracing::info!(sink = %name, is_done, "a sink that was changed or removed has ended");
        }));
    }

    /// Sinks that would go although the journal holds something for them.
    fn still_owed(&self, settings: &Settings) -> Vec<String> {
        let (Some(journal), Some(config)) = (&self.journal, &settings.journal) else { return Vec::new() };
        let is_going = |sink: &str| {
            !settings.sinks.contains_key(sink) && !config.abandon.iter().any(|name| name == sink)
        };
        let owing =
            journal.progress().into_iter().filter(|progress| progress.behind > 0 && is_going(&progress.sink));
        owing
            .map(|progress| {
                format!(
                    "sinks.{}: the journal holds {} requests for it: take it out of the routes, wait until it has them, and remove \
                     it then; or give them up by naming it in `journal.abandon`",
                    progress.sink, progress.behind
                )
            })
            .collect()
    }
}

/// Settings that only a restart can change.
fn fixed_changes(old: &Settings, new: &Settings) -> Vec<String> {
    let mut changed = Vec::new();
    for ((path, old), (_, new)) in old.fixed().into_iter().zip(new.fixed()) {
        differences(path, &old, &new, &mut changed);
    }
    let why = "cannot be changed while running; restart for it";
    changed.into_iter().map(|path| format!("{path}: {why}")).collect()
}

/// The paths of the settings that are not the same: the innermost ones that both have around them.
fn differences(path: &str, old: &Value, new: &Value, changed: &mut Vec<String>) {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        if old != new {
            changed.push(path.to_owned());
        }
        return;
    };
    let added = new.keys().filter(|key| !old.contains_key(*key));
    for key in old.keys().chain(added) {
        let of = |settings: &Map<String, Value>| settings.get(key).cloned().unwrap_or_default();
        differences(&format!("{path}.{key}"), &of(old), &of(new), changed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn changes(old: Value, new: Value) -> Vec<String> {
        let read = |value| serde_json::from_value(value).unwrap_or_else(|error| panic!("{error}"));
        let changes = fixed_changes(&read(old), &read(new)).into_iter();
        changes.map(|change| change.split(": ").next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn a_refused_reload_names_the_setting() {
        let json = |listen: &str| json!({"receivers": {"json": {"listen": listen}, "otlp": {"http": null}}});
        let (one, other) = (json("127.0.0.1:8080"), json("127.0.0.1:8081"));
        assert_eq!(changes(one.clone(), other), ["receivers.json.listen"]);
        assert_eq!(changes(one.clone(), one), [""; 0]);
        let both = json!({"receivers": {"json": {}, "beats": {}}});
        assert_eq!(changes(json!({"receivers": {"json": {}}}), both), ["receivers.beats"]);
        let more = json!({"dead_letters": {"max_bytes": "2GiB"}, "journal": {}, "log": {"level": "warn"}});
        assert_eq!(changes(json!({}), more), ["journal", "dead_letters.max_bytes", "log.level"]);
    }
}
