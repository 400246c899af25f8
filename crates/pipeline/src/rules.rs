//! Rules: how requests are read and where their records go, in a form that can be kept. A body in the journal is read again under the
//! rules that it was admitted under, whatever the configuration says by then.

use crate::Signal;
use crate::body::{Body, Share};
use crate::ledger::{Account, Ledger};
use crate::receipt::Claim;
use crate::route::{Matcher, Mode, Plan, Route, RouteConfig, RouteFault};
use crate::time::EventWindow;
use crate::units::Period;
use crate::wire::json::{Format, JsonOptions};
use crate::wire::{
    CheckContext, Index, Limits, Malformed, WireId, forward, json, loki, otlp, remote_write, syslog,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A guess at the size of a record on the wire, for the first size of its index.
const TYPICAL_RECORD_BYTES: usize = 256;

/// The account of records that no route wants.
const UNROUTED: &str = "unrouted";
const NO_SINK: &str = "none";

/// All that decides how a body is read and routed. Stored with the journal, so a field that is added needs a default.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RulesConfig {
    pub routes: Vec<RouteConfig>,
    pub route_mode: Mode,
    /// Resource attributes that records borrow.
    pub promote: Vec<String>,
    /// Bounds of the event times that choose a destination.
    pub max_event_age: Period,
    pub max_event_lead: Period,
    /// Records over these limits are refused at the door, and so must be when they are read again.
    pub max_records: usize,
    pub max_record_bytes: usize,
    /// How receivers of JSON read it, by receiver.
    pub json: BTreeMap<String, JsonRules>,
}

/// How one receiver reads JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsonRules {
    /// The zone of times that name none (IANA).
    pub timezone: String,
    /// The field whose text is the document's id.
    pub id_field: Option<String>,
    /// Records are events of Beats.
    #[serde(default)]
    pub beats: bool,
    /// The index that an action of a bulk names is kept in its document.
    #[serde(default)]
    pub keep_index: bool,
}

/// Rules, ready to be asked.
#[derive(Debug)]
pub struct Rules {
    plan: Plan,
    sinks: Vec<Arc<str>>,
    /// For each route, its sinks' accounts in the route's order.
    accounts: Vec<Vec<Arc<Account>>>,
    /// The same of the sinks that nobody waits for.
    best_effort: Vec<Vec<Arc<Account>>>,
    unrouted: Arc<Account>,
    limits: Limits,
    window: EventWindow,
    /// The same, for what was counted when it was admitted.
    window_again: EventWindow,
    json: BTreeMap<String, JsonReading>,
    json_default: JsonReading,
    /// Messages of syslog without a known form.
    unparsed: Arc<AtomicU64>,
}

/// How one receiver reads JSON, by what a request says of its form.
#[derive(Debug, Default)]
struct JsonReading {
    auto: JsonOptions,
    lines: JsonOptions,
    bulk: JsonOptions,
}

impl Rules {
    /// Rules as `config` has them. Routes may send to `sinks`; they are numbered in this order.
    ///
    /// # Errors
    /// Every fault of the routes.
    pub fn build(config: &RulesConfig, sinks: &[Arc<str>], ledger: &Ledger) -> Result<Self, Vec<RouteFault>> {
        let names: Vec<&str> = sinks.iter().map(|name| &**name).collect();
        let plan = Plan::build(&config.routes, config.route_mode, &config.promote, &names)?;
        let of = |route: &Route, numbers: &[usize]| {
            numbers.iter().map(|sink| ledger.account(&sinks[*sink], &route.name)).collect()
        };
        let accounts = plan.routes().iter().map(|route| of(route, &route.sinks)).collect();
        let best_effort = plan.routes().iter().map(|route| of(route, &route.best_effort)).collect();
        let json = config.json.iter().map(|(receiver, rules)| (receiver.clone(), rules.reading())).collect();
        Ok(Self {
            accounts,
            best_effort,
            plan,
            sinks: sinks.to_vec(),
            unrouted: ledger.account(NO_SINK, UNROUTED),
            limits: Limits { max_records: config.max_records, max_record_bytes: config.max_record_bytes },
            window: EventWindow::new(config.max_event_age.0, config.max_event_lead.0)
                .counting(ledger.outside_window()),
            window_again: EventWindow::new(config.max_event_age.0, config.max_event_lead.0),
            json,
            json_default: JsonRules::default().reading(),
            unparsed: ledger.unparsed(),
        })
    }

    /// Rules that were kept, with whatever sinks they name.
    ///
    /// # Errors
    /// Every fault of the routes: they were written by another version.
    pub fn restore(config: &RulesConfig, ledger: &Ledger) -> Result<Self, Vec<RouteFault>> {
        let mut sinks: Vec<Arc<str>> = Vec::new();
        for name in config.routes.iter().flat_map(|route| route.to.iter().chain(&route.best_effort)) {
            if !sinks.iter().any(|known| **known == **name) {
                sinks.push(name.as_str().into());
            }
        }
        Self::build(config, &sinks, ledger)
    }

    /// The sinks' names, by number.
    pub fn sinks(&self) -> &[Arc<str>] {
        &self.sinks
    }

    /// What requests are refused by.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Which event times choose their destination.
    pub fn window(&self) -> &EventWindow {
        &self.window
    }

    /// Whether any route is open to records of this signal.
    pub fn takes(&self, signal: Signal) -> bool {
        self.plan.takes(signal)
    }

    /// The account of records that no route wants.
    pub(crate) fn unrouted(&self) -> &Arc<Account> {
        &self.unrouted
    }

    /// How this receiver reads JSON.
    pub(crate) fn json(&self, receiver: &str, format: Format) -> &JsonOptions {
        let reading = self.json.get(receiver).unwrap_or(&self.json_default);
        match format {
            Format::Auto => &reading.auto,
            Format::Lines => &reading.lines,
            Format::Bulk => &reading.bulk,
        }
    }

    pub(crate) fn check_otlp(
        &self,
        signal: Signal,
        body: &[u8],
        arrived: i64,
    ) -> Result<(Index, otlp::Layout), Malformed> {
        // Records are seldom smaller; a list that has to grow is copied.
        let records = Vec::with_capacity(body.len() / TYPICAL_RECORD_BYTES + 1);
        let mut index = Index { records, ..Index::default() };
        let layout = otlp::check(
            body,
            &self.context(arrived, &self.window),
            &mut Matcher::of(signal, &self.plan),
            &mut index,
        )?;
        Ok((index, layout))
    }

    pub(crate) fn check_json(
        &self,
        body: &[u8],
        arrived: i64,
        options: &JsonOptions,
    ) -> Result<Index, Malformed> {
        let mut index = Index::default();
        json::check(
            body,
            &self.context(arrived, &self.window),
            options,
            &mut Matcher::new(&self.plan),
            &mut index,
        )?;
        Ok(index)
    }

    /// Checks a bulk of Elasticsearch's; `told` hears of every item in order.
    pub(crate) fn check_bulk(
        &self,
        body: &[u8],
        arrived: i64,
        receiver: &str,
        told: &mut dyn FnMut(json::bulk::Item),
    ) -> Result<Index, Malformed> {
        let mut index = Index::default();
        json::bulk::check(
            body,
            &self.context(arrived, &self.window),
            self.json(receiver, Format::Bulk),
            &mut Matcher::new(&self.plan),
            &mut index,
            told,
        )?;
        Ok(index)
    }

    /// Checks a request of remote-write; says which records have exemplars.
    pub(crate) fn check_remote_write(
        &self,
        wire: WireId,
        body: &[u8],
        arrived: i64,
    ) -> Result<(Index, remote_write::ExemplarCounts), Malformed> {
        let mut index = Index::default();
        let exemplars = remote_write::check(
            body,
            remote_write::Version::of(wire),
            &self.context(arrived, &self.window),
            &mut Matcher::of(wire.signal(), &self.plan),
            &mut index,
        )?;
        Ok((index, exemplars))
    }

    /// Checks a body of Fluent Forward's.
    pub(crate) fn check_forward(&self, body: &[u8], arrived: i64) -> Result<Index, Malformed> {
        let mut index = Index::default();
        let context = self.context(arrived, &self.window);
        forward::check(body, &context, &mut Matcher::of(WireId::Forward.signal(), &self.plan), &mut index)?;
        Ok(index)
    }

    /// Checks a push of Loki's.
    pub(crate) fn check_loki(&self, body: &[u8], arrived: i64) -> Result<Index, Malformed> {
        let mut index = Index::default();
        let context = self.context(arrived, &self.window);
        loki::check(body, &context, &mut Matcher::new(&self.plan), &mut index)?;
        Ok(index)
    }

    /// Checks messages of syslog; their receiver's zone is that of its rules.
    pub(crate) fn check_syslog(&self, body: &[u8], arrived: i64, receiver: &str) -> Result<Index, Malformed> {
        let mut index = Index::default();
        let context = self.context(arrived, &self.window);
        let zone = &self.json(receiver, Format::Auto).timezone;
        let unparsed = syslog::check(body, &context, zone, &mut Matcher::new(&self.plan), &mut index)?;
        self.unparsed.fetch_add(unparsed, Relaxed);
        Ok(index)
    }

    /// Checks a body that was admitted under these rules once before. Of OTLP it has been put in order then.
    pub(crate) fn check_again(
        &self,
        wire: WireId,
        body: &[u8],
        arrived: i64,
        receiver: &str,
    ) -> Result<Index, Malformed> {
        let context = self.context(arrived, &self.window_again);
        let (mut matcher, mut index) = (Matcher::of(wire.signal(), &self.plan), Index::default());
        let format = match wire {
            WireId::OtlpLogs | WireId::OtlpTraces | WireId::OtlpMetrics => {
                otlp::check(body, &context, &mut matcher, &mut index)?;
                return Ok(index);
            }
            WireId::RemoteWrite1 | WireId::RemoteWrite2 => {
                let version = remote_write::Version::of(wire);
                remote_write::check(body, version, &context, &mut matcher, &mut index)?;
                return Ok(index);
            }
            WireId::Json => Format::Auto,
            WireId::JsonLines => Format::Lines,
            WireId::Bulk => Format::Bulk,
            WireId::Forward => {
                forward::check(body, &context, &mut matcher, &mut index)?;
                return Ok(index);
            }
            WireId::LokiProto => {
                loki::check(body, &context, &mut matcher, &mut index)?;
                return Ok(index);
            }
            WireId::Syslog => {
                let zone = &self.json(receiver, Format::Auto).timezone;
                syslog::check(body, &context, zone, &mut matcher, &mut index)?;
                return Ok(index);
            }
        };
        json::check(body, &context, self.json(receiver, format), &mut matcher, &mut index)?;
        Ok(index)
    }

    fn context<'c>(&'c self, arrived: i64, window: &'c EventWindow) -> CheckContext<'c> {
        CheckContext { limits: &self.limits, arrived, window }
    }

    /// How many shares each sink gets of a body with these parcels.
    pub(crate) fn shares_per_sink(&self, duty: Duty, parcels: &Parcels) -> Vec<usize> {
        let mut shares = vec![0; self.sinks.len()];
        for (route, _) in parcels.routed.keys() {
            for sink in duty.sinks(&self.plan.routes()[*route]) {
                shares[*sink] += 1;
            }
        }
        shares
    }

    /// What one sink gets of a body; `claim` takes the debt on.
    pub(crate) fn shares<'a>(
        &'a self,
        duty: Duty,
        sink: usize,
        body: &'a Arc<Body>,
        parcels: &'a Parcels,
        mut claim: impl FnMut(&Arc<Account>, u32) -> Claim + 'a,
    ) -> impl Iterator<Item = Share> + 'a {
        let accounts = match duty {
            Duty::Required => &self.accounts,
            Duty::BestEffort => &self.best_effort,
        };
        parcels.routed.iter().filter_map(move |((route, hour), ranges)| {
            let config = &self.plan.routes()[*route];
            let at = duty.sinks(config).iter().position(|number| *number == sink)?;
            let records = ranges.iter().map(|range| range.end - range.start).sum();
            Some(Share {
                body: Arc::clone(body),
                ranges: ranges.clone(),
                claim: claim(&accounts[*route][at], records),
                destination: self.plan.destination(*route, *hour),
                on_refused: config.on_refused,
            })
        })
    }
}

/// Whether somebody waits for a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    Required,
    BestEffort,
}

impl Duty {
    fn sinks(self, route: &Route) -> &[usize] {
        match self {
            Self::Required => &route.sinks,
            Self::BestEffort => &route.best_effort,
        }
    }
}

impl JsonRules {
    fn reading(&self) -> JsonReading {
        // A zone that does not exist is a fault of the configuration; a kept one may be of a larger database.
        let timezone = jiff::tz::TimeZone::get(&self.timezone).unwrap_or(jiff::tz::TimeZone::UTC);
        let id_field = self.id_field.clone();
        let Self { beats, keep_index, .. } = *self;
        let auto = JsonOptions { timezone, id_field, beats, keep_index, ..JsonOptions::default() };
        let of_format = |format| JsonOptions { format, ..auto.clone() };
        JsonReading { lines: of_format(Format::Lines), bulk: of_format(Format::Bulk), auto }
    }
}

/// A body's records by route and hour, and how many no route wants.
#[derive(Debug, Default)]
pub(crate) struct Parcels {
    routed: BTreeMap<(usize, i32), Vec<Range<u32>>>,
    pub(crate) unrouted: u32,
}

impl Parcels {
    pub(crate) fn of(index: &Index) -> Self {
        let mut parcels = Self::default();
        for run in &index.runs {
            if run.routes.is_empty() {
                parcels.unrouted += run.end - run.first;
            }
            for route in run.routes.iter() {
                parcels.routed.entry((route, run.hour)).or_default().push(run.first..run.end);
            }
        }
        parcels
    }
}
