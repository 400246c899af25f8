//! Route tables that were kept: a frame names the one that it was admitted under by its number.

use super::storage::{Appender, Storage};
use crate::ledger::Ledger;
use crate::rules::{Rules, RulesConfig};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

const PREFIX: &str = "plan-";
const SUFFIX: &str = ".json";
/// Far more than any configuration that could be read.
const MAX_PLAN_BYTES: u64 = 64 << 20;

/// The name of a kept route table.
pub fn name_of(plan: u32) -> String {
    format!("{PREFIX}{plan}{SUFFIX}")
}

/// The number of a kept route table, if `name` is one's.
pub fn number_of(name: &str) -> Option<u32> {
    let plan = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()?;
    (name_of(plan) == name).then_some(plan)
}

/// All route tables of one journal.
#[derive(Debug)]
pub(super) struct Plans {
    stored: Mutex<BTreeMap<u32, Stored>>,
}

#[derive(Debug)]
struct Stored {
    text: Vec<u8>,
    /// Held by whoever may still write frames that name it.
    number: Arc<u32>,
    /// Made of the text when a frame asks for it first; none if that cannot be done.
    rules: Option<Option<Arc<Rules>>>,
}

impl Plans {
    /// Reads what is there.
    ///
    /// # Errors
    /// The storage cannot be listed, or one of them cannot be read: a start without it would send requests elsewhere.
    pub(super) fn open(storage: &impl Storage) -> io::Result<Self> {
        let mut stored = BTreeMap::new();
        for (name, len) in storage.list()? {
            let Some(plan) = number_of(&name) else { continue };
            let text = read(storage, &name, len)
                .map_err(|error| io::Error::new(error.kind(), format!("{name} (kept routes): {error}")))?;
            stored.insert(plan, Stored { text, number: Arc::new(plan), rules: None });
        }
        Ok(Self { stored: Mutex::new(stored) })
    }

    /// Frames name these. One that is gone, or that cannot be understood, leaves its frames to the present routes, and its number is
    /// not used again.
    pub(super) fn expect(&self, named: &BTreeSet<u32>, ledger: &Ledger) {
        for plan in named {
            let is_known = self.stored.lock().contains_key(plan);
            if !is_known {
                tracing::error!(
                    plan,
                    "routes that requests in the journal were taken under are gone: they follow the present ones"
                );
                let (text, number) = (Vec::new(), Arc::new(*plan));
                self.stored.lock().insert(*plan, Stored { text, number, rules: Some(None) });
            } else if self.rules(*plan, ledger).is_none() {
                tracing::error!(
                    plan,
                    "requests in the journal that were taken under them follow the present routes"
                );
            }
        }
    }

    /// Removes those that no frame names, `named` being those that frames name, and that nobody holds who may still write some.
    pub(super) fn retire(&self, storage: &impl Storage, named: &BTreeSet<u32>) {
        let mut stored = self.stored.lock();
        let is_idle =
            |plan: &u32, kept: &Stored| !named.contains(plan) && Arc::strong_count(&kept.number) == 1;
        let idle: Vec<u32> =
            stored.iter().filter(|(plan, kept)| is_idle(plan, kept)).map(|(plan, _)| *plan).collect();
        // The segments that named them must be gone for good: one that a crash brought back would find its routes gone.
        if idle.is_empty() || storage.sync_names().is_err() {
            return;
        }
        for plan in idle {
            match storage.remove(&name_of(plan)) {
                // Tried again the next time.
                Err(error) if error.kind() != io::ErrorKind::NotFound => {}
                Ok(()) | Err(_) => {
                    stored.remove(&plan);
                }
            }
        }
    }

    /// The sinks that they route to and that somebody may wait for.
    pub(super) fn sinks(&self) -> BTreeSet<String> {
        let stored = self.stored.lock();
        let configs =
            stored.values().filter_map(|stored| serde_json::from_slice::<RulesConfig>(&stored.text).ok());
        configs.flat_map(|config| config.routes).flat_map(|route| route.to).collect()
    }

    /// The number of these rules, which are made durable under it unless they are already. They stay for as long as it is held by anybody, or
    /// named by a frame.
    ///
    /// # Errors
    /// They cannot be written.
    pub(super) fn keep(
        &self,
        storage: &impl Storage,
        config: &RulesConfig,
        rules: &Arc<Rules>,
    ) -> io::Result<Arc<u32>> {
        let text = serde_json::to_vec_pretty(config)?;
        let mut stored = self.stored.lock();
        if let Some(known) = stored.values_mut().find(|known| known.text == text) {
            known.rules = Some(Some(Arc::clone(rules)));
            return Ok(Arc::clone(&known.number));
        }
        let plan = stored.last_key_value().map_or(1, |(last, _)| last + 1);
        let (name, new) = (name_of(plan), format!("{}.new", name_of(plan)));
        let mut file = storage.create(&new)?;
        file.append(&text)?;
        file.sync()?;
        storage.rename(&new, &name)?;
        storage.sync_names()?;
        let number = Arc::new(plan);
        let rules = Some(Some(Arc::clone(rules)));
        stored.insert(plan, Stored { text, number: Arc::clone(&number), rules });
        Ok(number)
    }

    /// The text of this number.
    #[cfg(test)]
    pub(super) fn text(&self, plan: u32) -> Option<Vec<u8>> {
        self.stored.lock().get(&plan).map(|stored| stored.text.clone())
    }

    /// The rules of this number; none if they are lost or cannot be understood.
    pub(super) fn rules(&self, plan: u32, ledger: &Ledger) -> Option<Arc<Rules>> {
        let mut stored = self.stored.lock();
        let stored = stored.get_mut(&plan)?;
        stored.rules.get_or_insert_with(|| restore(&stored.text, plan, ledger)).clone()
    }
}

/// The text of a kept route table of `len` bytes.
pub(super) fn read(storage: &impl Storage, name: &str, len: u64) -> io::Result<Vec<u8>> {
    storage.read(name, 0, len.min(MAX_PLAN_BYTES) as usize)
}

/// The rules that such a text says, or why it says none.
pub(super) fn understand(text: &[u8], ledger: &Ledger) -> Result<Rules, String> {
    let config = serde_json::from_slice::<RulesConfig>(text).map_err(|error| error.to_string())?;
    Rules::restore(&config, ledger)
        .map_err(|faults| faults.into_iter().map(|fault| fault.message).collect::<Vec<_>>().join("; "))
}

fn restore(text: &[u8], plan: u32, ledger: &Ledger) -> Option<Arc<Rules>> {
    understand(text, ledger)
        .inspect_err(|reason| tracing::error!(plan, %reason, "kept routes cannot be read"))
        .ok()
        .map(Arc::new)
}
