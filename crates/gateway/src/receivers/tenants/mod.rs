//! Whose a request is: by a secret, a header or an address, as `tenants` of the configuration says.
//!
//! All receivers share one table. It outlives every reload, and so do debts. A tenant goes with the task that serves its request or its
//! connection (`current`), so that receivers have quotas by what they do anyway: [`Endpoint`](super::endpoint::Endpoint) asks.

mod config;
mod current;
mod network;

use super::caller::Identity;
use config::{NamedTenant, Source};
use forebay_pipeline::tenant::{Quota, Tenant};
use http::{HeaderMap, HeaderName};
use network::Network;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

pub use config::TenantsConfig;
pub use current::{current, on_behalf_of};

/// The longest name of a tenant. Metrics carry it as a label.
const LONGEST_NAME_BYTES: usize = 150;

/// What is known of who sends something.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sender<'s> {
    /// Of one request; `None` for a connection as a whole.
    pub headers: Option<&'s HeaderMap>,
    pub identity: Option<&'s Identity>,
    pub address: Option<IpAddr>,
}

/// All tenants of this process.
#[derive(Debug, Default)]
pub struct Tenants {
    /// Looked at first, so that who has no tenants takes no lock for them.
    is_on: AtomicBool,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    rules: Rules,
    by_name: HashMap<Arc<str>, Arc<Tenant>>,
    /// How many of them the settings do not name.
    unnamed: usize,
}

/// How tenants are recognised.
#[derive(Debug, Default)]
struct Rules {
    from: Vec<Source>,
    header: Option<HeaderName>,
    trust: Vec<String>,
    default: String,
    overflow: String,
    networks: Vec<(Network, String)>,
    quota: Quota,
    named: HashMap<String, Option<Quota>>,
    max_unnamed: usize,
}

impl Tenants {
    /// Goes by `config` from now on. Without it nobody is told apart; what was counted and is owed stays.
    pub fn adopt(&self, config: Option<&TenantsConfig>) {
        let mut state = self.state.write();
        let rules = config.map(Rules::new).unwrap_or_default();
        for tenant in state.by_name.values() {
            tenant.change(rules.quota(&tenant.name));
        }
        for name in rules.named.keys() {
            state.insert(name, rules.quota(name));
        }
        state.unnamed = state.by_name.keys().filter(|name| !rules.named.contains_key(&***name)).count();
        state.rules = rules;
        self.is_on.store(config.is_some(), Relaxed);
    }

    /// Whose `sender`'s requests are; `None` where nobody asks.
    pub fn of(&self, sender: &Sender<'_>) -> Option<Arc<Tenant>> {
        if !self.is_on.load(Relaxed) {
            return None;
        }
        let name = {
            let state = self.state.read();
            let name = state.rules.name(sender);
            if let Some(tenant) = state.find(name) {
                return Some(tenant);
            }
            name.to_owned()
        };
        let mut state = self.state.write();
        // A reload may have been faster, and so may another request.
        if !self.is_on.load(Relaxed) {
            return None;
        }
        if let Some(tenant) = state.find(&name) {
            return Some(tenant);
        }
        state.unnamed += 1;
        let quota = state.rules.quota(&name);
        Some(state.insert(&name, quota))
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Arc<Tenant>> {
        let mut all: Vec<_> = self.state.read().by_name.values().cloned().collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }
}

impl State {
    /// The tenant of this name, or the one that stands for those for whom there is no room. `None`: there is room for it.
    fn find(&self, name: &str) -> Option<Arc<Tenant>> {
        let is_full = || self.unnamed >= self.rules.max_unnamed;
        let found = self.by_name.get(name).or_else(|| match is_full() {
            true => self.by_name.get(&*self.rules.overflow),
            false => None,
        });
        found.cloned()
    }

    fn insert(&mut self, name: &str, quota: Quota) -> Arc<Tenant> {
        let name: Arc<str> = name.into();
        let new = || Arc::new(Tenant::new(Arc::clone(&name), quota));
        Arc::clone(self.by_name.entry(Arc::clone(&name)).or_insert_with(new))
    }
}

impl Rules {
    /// Of settings without a fault.
    fn new(config: &TenantsConfig) -> Self {
        let own = |tenant: &NamedTenant| tenant.quota.as_ref().map(config::QuotaConfig::quota);
        let mut named: HashMap<_, _> =
            config.named.iter().map(|tenant| (tenant.name.clone(), own(tenant))).collect();
        for name in [&config.default, &config.overflow] {
            named.entry(name.clone()).or_default();
        }
        let addresses =
            config.named.iter().flat_map(|tenant| tenant.addresses.iter().map(move |it| (it, &tenant.name)));
        Self {
            from: config.from.clone(),
            header: HeaderName::try_from(&config.header).ok(),
            trust: config.trust.clone(),
            default: config.default.clone(),
            overflow: config.overflow.clone(),
            networks: addresses
                .filter_map(|(text, name)| Some((Network::parse(text).ok()?, name.clone())))
                .collect(),
            quota: config.quota.quota(),
            named,
            max_unnamed: config.max_tenants as usize,
        }
    }

    fn quota(&self, name: &str) -> Quota {
        self.named.get(name).copied().flatten().unwrap_or(self.quota)
    }

    /// The name of the tenant whose `sender`'s requests are.
    fn name<'n>(&'n self, sender: &Sender<'n>) -> &'n str {
        let told = self.from.iter().find_map(|source| match source {
            Source::Token => self.by_token(sender),
            Source::Header => self.by_header(sender),
            Source::Address => self.by_address(sender),
        });
        told.unwrap_or(&self.default)
    }

    fn by_token<'n>(&'n self, sender: &Sender<'n>) -> Option<&'n str> {
        let identity = sender.identity.filter(|identity| !identity.name.is_empty())?;
        if self.is_trusted(identity) && self.header_text(sender).is_some() {
            return None;
        }
        // Secrets without a name of their own are called by their line; a certificate's name may be of any length.
        let fits = identity.name.len() <= LONGEST_NAME_BYTES;
        Some(if fits { &identity.name } else { &self.overflow })
    }

    /// Whoever has shown who it is must not be somebody else by a header.
    fn by_header<'n>(&'n self, sender: &Sender<'n>) -> Option<&'n str> {
        let asks_for_tokens = self.from.contains(&Source::Token);
        if sender.identity.is_some_and(|identity| asks_for_tokens && !self.is_trusted(identity)) {
            return None;
        }
        let text = self.header_text(sender)?;
        let name = std::str::from_utf8(text).ok().filter(|name| is_name(name));
        Some(name.unwrap_or(&self.overflow))
    }

    fn by_address(&self, sender: &Sender<'_>) -> Option<&str> {
        let address = sender.address?;
        self.networks.iter().find(|(network, _)| network.contains(address)).map(|(_, name)| &**name)
    }

    /// What the header says, if it says something.
    fn header_text<'n>(&self, sender: &Sender<'n>) -> Option<&'n [u8]> {
        let value = sender.headers?.get(self.header.as_ref()?)?;
        Some(value.as_bytes().trim_ascii()).filter(|text| !text.is_empty())
    }

    fn is_trusted(&self, identity: &Identity) -> bool {
        self.trust.contains(&identity.name)
    }
}

/// Whether a text can be a tenant's name.
fn is_name(text: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'`');
    !text.is_empty() && text.len() <= LONGEST_NAME_BYTES && text.bytes().all(is_fit)
}

#[cfg(test)]
mod tests;
