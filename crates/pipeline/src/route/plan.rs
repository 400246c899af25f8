//! The compiled routes: what the configuration says, checked and ready to be asked.

use super::RouteSet;
use super::config::{Mode, RouteConfig};
use super::fields::FieldTable;
use super::predicate::Predicate;
use super::template::Template;
use crate::Signal;
use crate::body::OnRefused;
use crate::record::Value;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Destination names kept ready; beyond this the oldest plan of names is thrown away and made again.
const MAX_CACHED_DESTINATIONS: usize = 4_096;

/// A fault in the routes: where (a path like `[2].when.all[0].regex`), what, and names that may have been meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteFault {
    pub path: String,
    pub message: String,
    /// For an unknown sink: the name that was written.
    pub unknown_sink: Option<String>,
}

/// One compiled route.
#[derive(Debug)]
pub struct Route {
    pub name: Arc<str>,
    /// Numbers of the sinks in the configuration's order.
    pub sinks: Vec<usize>,
    /// The same of those that nobody waits for.
    pub best_effort: Vec<usize>,
    pub on_refused: OnRefused,
    predicate: Predicate,
    template: Template,
}

/// All routes of one configuration.
#[derive(Debug)]
pub struct Plan {
    routes: Vec<Route>,
    /// The routes that each signal may take, by its number.
    open_to: [RouteSet; Signal::ALL.len()],
    mode: Mode,
    pub(super) fields: FieldTable,
    destinations: Mutex<HashMap<(usize, i32), Arc<str>>>,
}

impl Plan {
    /// Compiles `configs`. `sinks` are the names that routes may send to, `promote` the resource attributes that records borrow. All
    /// faults are returned at once.
    pub fn build(
        configs: &[RouteConfig],
        mode: Mode,
        promote: &[String],
        sinks: &[&str],
    ) -> Result<Self, Vec<RouteFault>> {
        let mut faults = Vec::new();
        let mut fault =
            |path: String, message: String| faults.push(RouteFault { path, message, unknown_sink: None });
        if configs.is_empty() {
            fault(String::new(), "there is no route: every record would be dropped".to_owned());
        }
        if configs.len() > RouteSet::MAX_ROUTES {
            fault(
                String::new(),
                format!("{} routes, at most {} are possible", configs.len(), RouteSet::MAX_ROUTES),
            );
        }
        let mut fields = FieldTable::new(promote);
        let mut routes: Vec<Route> = Vec::new();
        for (i, config) in configs.iter().enumerate() {
            if routes.iter().any(|route| *route.name == *config.name) {
                faults.push(RouteFault::new(format!("[{i}].name"), "two routes have this name"));
            }
            routes.push(Route::build(i, config, sinks, &mut fields, &mut faults));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut open_to = [RouteSet::default(); Signal::ALL.len()];
        for (number, config) in configs.iter().enumerate() {
            for signal in &config.signals {
                open_to[*signal as usize].insert(number);
            }
        }
        Ok(Self { routes, open_to, mode, fields, destinations: Mutex::default() })
    }

    /// The routes, by number.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Whether any route is open to records of this signal.
    pub fn takes(&self, signal: Signal) -> bool {
        !self.open_to[signal as usize].is_empty()
    }

    /// Where a record of this signal with these routing values goes.
    pub(super) fn decide<'b>(
        &self,
        signal: Signal,
        value_of: &dyn Fn(usize) -> Option<Value<'b>>,
    ) -> RouteSet {
        let open = self.open_to[signal as usize];
        let mut set = RouteSet::default();
        for (number, route) in self.routes.iter().enumerate() {
            if open.contains(number) && route.predicate.holds(value_of) {
                set.insert(number);
                if self.mode == Mode::FirstMatch {
                    break;
                }
            }
        }
        set
    }

    /// The name of a route's destination for events of this hour since 1970.
    pub fn destination(&self, route: usize, hour: i32) -> Arc<str> {
        let template = &self.routes[route].template;
        let key = (route, template.bucket(hour));
        let mut destinations = self.destinations.lock();
        if destinations.len() >= MAX_CACHED_DESTINATIONS {
            destinations.clear();
        }
        Arc::clone(destinations.entry(key).or_insert_with(|| template.render(hour).into()))
    }
}

impl Route {
    fn build(
        number: usize,
        config: &RouteConfig,
        sinks: &[&str],
        fields: &mut FieldTable,
        faults: &mut Vec<RouteFault>,
    ) -> Self {
        let at = |path: &str| format!("[{number}].{path}");
        if config.name.is_empty() {
            faults.push(RouteFault::new(at("name"), "a route needs a name"));
        }
        if config.signals.is_empty() {
            faults.push(RouteFault::new(at("signals"), "a route needs at least one signal"));
        }
        if config.to.is_empty() {
            faults.push(RouteFault::new(at("to"), "a route needs at least one sink"));
        }
        let mut resolve = |list: &str, named: &[String], taken: &[usize]| {
            let mut numbers = Vec::new();
            for (i, name) in named.iter().enumerate() {
                match sinks.iter().position(|sink| sink == name) {
                    Some(sink) if numbers.contains(&sink) || taken.contains(&sink) => {
                        faults.push(RouteFault::new(at(&format!("{list}[{i}]")), "this sink is named twice"));
                    }
                    Some(sink) => numbers.push(sink),
                    None => faults.push(RouteFault {
                        path: at(&format!("{list}[{i}]")),
                        message: format!("there is no sink `{name}`"),
                        unknown_sink: Some(name.clone()),
                    }),
                }
            }
            numbers
        };
        let numbers = resolve("to", &config.to, &[]);
        let best_effort = resolve("best_effort", &config.best_effort, &numbers);
        let mut found = Vec::new();
        let predicate = match &config.when {
            Some(when) => Predicate::compile(when, &at("when"), fields, &mut found),
            None => Predicate::Always,
        };
        faults.extend(found.into_iter().map(|(path, message)| RouteFault::new(path, message)));
        let template = Template::parse(&config.index).unwrap_or_else(|message| {
            faults.push(RouteFault::new(at("index"), message));
            Template::default()
        });
        Self {
            name: config.name.as_str().into(),
            sinks: numbers,
            best_effort,
            on_refused: config.on_refused,
            predicate,
            template,
        }
    }
}

impl RouteFault {
    fn new(path: String, message: impl Into<String>) -> Self {
        Self { path, message: message.into(), unknown_sink: None }
    }
}
