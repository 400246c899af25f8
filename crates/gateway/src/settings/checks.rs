//! What a schema cannot say of the settings: which contradict each other, and which a reload cannot change.

use super::Settings;
use crate::receivers::TenantsConfig;
use forebay_pipeline::body::OnRefused;
use forebay_pipeline::journal::JournalConfig;

/// Less memory than this (bytes) would refuse ordinary requests.
const LEAST_MEMORY: u64 = 1 << 20;
/// Looking more often than this finds nothing sooner.
const LEAST_RELOAD_INTERVAL: std::time::Duration = std::time::Duration::from_millis(100);

impl Settings {
    /// Settings that contradict each other: path, and what is wrong.
    pub fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        if self.limits.memory.is_some_and(|memory| memory.0 < LEAST_MEMORY) {
            faults.push((
                "limits.memory".to_owned(),
                "must be at least 1MiB, or every request would be refused".to_owned(),
            ));
        }
        if self.reload.interval.0 < LEAST_RELOAD_INTERVAL {
            faults.push(("reload.interval".to_owned(), "must be at least 100ms".to_owned()));
        }
        faults.extend(self.durability_faults());
        let tenants = self.tenants.iter().flat_map(TenantsConfig::faults);
        faults.extend(tenants.map(|(path, why)| (format!("tenants.{path}"), why)));
        faults.extend(self.address_faults());
        faults.extend(self.folder_faults());
        faults.extend(self.template_faults());
        faults
    }

    /// Settings that name a guarantee which others make impossible.
    fn durability_faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let durable = self.receivers.durable(self.acknowledge);
        if let Some(journal) = &self.journal {
            for (name, sink) in &self.sinks {
                let most = sink.delivery().lag.max_bytes;
                if most.is_some_and(|most| most.0 < 2 * journal.segment_bytes.0) {
                    let why = "must be at least twice `journal.segment_bytes`: lag counts in whole files"
                        .to_owned();
                    faults.push((format!("sinks.{name}.delivery.lag.max_bytes"), why));
                }
            }
            for (i, name) in journal.abandon.iter().enumerate() {
                if self.sinks.contains_key(name) {
                    let why = format!(
                        "`{name}` is a sink, so nothing is given up: name only sinks that are not configured any more"
                    );
                    faults.push((format!("journal.abandon[{i}]"), why));
                }
            }
            faults.extend(journal.faults().into_iter().map(|(path, why)| (format!("journal.{path}"), why)));
        } else {
            for path in &durable {
                let path = path.map_or("acknowledge".to_owned(), |path| format!("receivers.{path}"));
                let why = "`durable` needs a disk journal: add a section `journal`".to_owned();
                if !faults.contains(&(path.clone(), why.clone())) {
                    faults.push((path, why));
                }
            }
        }
        if !durable.is_empty() {
            for (i, route) in self.routes.iter().enumerate() {
                if route.on_refused == OnRefused::Reject {
                    faults.push((
                        format!("routes[{i}].on_refused"),
                        "`reject` tells the client, who has been answered already with `acknowledge: durable`; use \
                         `dead_letter`"
                            .to_owned(),
                    ));
                }
            }
        }
        faults
    }

    /// What only a restart can change: path, and a value that differs when the setting does.
    pub fn fixed(&self) -> Vec<(&'static str, serde_json::Value)> {
        let value = |value: serde_json::Result<serde_json::Value>| value.unwrap_or_default();
        let journal =
            self.journal.as_ref().map(|journal| JournalConfig { abandon: Vec::new(), ..journal.clone() });
        vec![
            ("receivers", self.receivers.listening()),
            ("journal", value(serde_json::to_value(journal))),
            ("dead_letters", value(serde_json::to_value(&self.dead_letters))),
            ("limits.memory", value(serde_json::to_value(self.limits.memory))),
            ("admin", value(serde_json::to_value(&self.admin))),
            ("runtime", value(serde_json::to_value(&self.runtime))),
            ("log", value(serde_json::to_value(&self.log))),
        ]
    }
}
