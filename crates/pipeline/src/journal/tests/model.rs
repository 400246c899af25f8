//! The crash model: random steps of clients, sinks and disasters against a journal, and what must be true after each restart.
//!
//! `FOREBAY_MODEL_STEPS=1000000 cargo test --release -p forebay-pipeline crash_model -- --nocapture` is the long run.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use super::LABEL;
use super::mix::Mix;
use super::sim::{Counts, Sim};
use crate::journal::frame::Label;
use crate::journal::log::{AppendError, Entry, LogConfig};
use crate::journal::plans::{self, Plans};
use crate::journal::segment::Position;
use crate::journal::storage::Storage;
use crate::journal::{Journal, cursors};
use crate::ledger::Ledger;
use crate::planted;
use crate::rules::{Rules, RulesConfig};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

const SINKS: [&str; 2] = ["es", "files"];
/// Small, so that segments come and go.
const CONFIG: LogConfig = LogConfig { segment_bytes: 2_000, max_bytes: 12_000, block_bytes: 64 };
const STEPS_PER_SEED: u32 = 200;
const RECEIVER: &[u8] = b"otlp";

/// Routes that differ in nothing but their name.
type Routes = u64;
const MOST_ROUTES: Routes = 6;

/// The number that a body begins with tells it from all others.
type BodyId = u64;

/// What must be true of the journal.
struct Model {
    sim: Sim,
    journal: Option<Journal<Sim>>,
    /// The kept routes, the one of them that bodies are written under now, and under which each body was.
    plans: Option<Plans>,
    plan: Option<(Arc<u32>, Routes)>,
    routes: BTreeMap<BodyId, Routes>,
    rules: Arc<Rules>,
    rng: StdRng,
    /// The disk has errors.
    fails: bool,
    /// Every body that was ever handed in.
    sent: BTreeMap<BodyId, Vec<u8>>,
    /// Written, not synced.
    pending: Vec<(BodyId, Position)>,
    /// For each sink: what it has to finish, and where it stands.
    owed: [BTreeMap<BodyId, Position>; 2],
    /// Acknowledged bodies that a sink has not finished.
    promised: [BTreeSet<BodyId>; 2],
    /// Finished since the last checkpoint, and finished for good.
    finished: [BTreeSet<BodyId>; 2],
    settled: [BTreeSet<BodyId>; 2],
    mix: Mix,
}

impl Model {
    fn new(seed: u64, sim: Sim, fails: bool) -> Self {
        Self {
            sim,
            fails,
            journal: None,
            plans: None,
            plan: None,
            routes: BTreeMap::new(),
            rules: Arc::new(Rules::restore(&config(0), &Ledger::default()).unwrap()),
            rng: StdRng::seed_from_u64(seed),
            sent: BTreeMap::new(),
            pending: Vec::new(),
            owed: Default::default(),
            promised: Default::default(),
            finished: Default::default(),
            settled: Default::default(),
            mix: Mix::default(),
        }
    }

    fn run(&mut self, steps: u32) -> Result<(), String> {
        self.open(false)?;
        for _ in 0..steps {
            match self.rng.random_range(0..100) {
                0..28 => self.append(),
                28..30 => self.reload(),
                30..50 => self.sync(),
                50..80 => self.finish(),
                80..86 => self.checkpoint(),
                86..94 => self.read()?,
                94..96 => self.restart(false)?,
                96..98 => self.cut_power()?,
                _ => self.restart(true)?,
            }
        }
        // In the end the disk is well, everything can be finished, and nobody comes any more.
        self.sim.fail_one_in(0);
        self.restart(true)?;
        for sink in 0..SINKS.len() {
            for body in self.owed[sink].keys().copied().collect::<Vec<_>>() {
                self.finish_one(sink, body);
            }
        }
        self.plan = None;
        self.checkpoint();
        if let Some(journal) = &self.journal
            && numbers(&self.sim) != journal.plans()
        {
            return Err(format!("routes are kept for nobody: {:?}", numbers(&self.sim)));
        }
        let left = self.journal.as_ref().map_or(0, Journal::bytes);
        if left > CONFIG.segment_bytes + 400 {
            Err(format!("{left} bytes are held for nobody"))
        } else {
            Ok(())
        }
    }

    fn open(&mut self, crashed: bool) -> Result<(), String> {
        let sinks = SINKS.map(str::to_owned);
        let (journal, opened) = Journal::open(Arc::new(self.sim.clone()), CONFIG, &sinks)
            .map_err(|error| format!("does not start: {error}"))?;
        // A disk that forgets what it failed to sync, and fails to cut it off, can show frames once that are gone after the next crash.
        // None of them was acknowledged, which is checked below.
        let is_lost = !opened.lost.is_empty();
        self.mix.shown_once += u64::from(is_lost);
        if (is_lost && !self.fails) || opened.cursors == cursors::Found::Damaged {
            return Err(format!("lost without damage: {opened:?}"));
        }
        let plans = Plans::open(&self.sim).map_err(|error| error.to_string())?;
        if !opened.log.plans.is_subset(&numbers(&self.sim)) {
            return Err(format!("routes are gone that frames name: {:?}", opened.log.plans));
        }
        for (at, sink) in SINKS.iter().enumerate() {
            self.owed[at].clear();
            for positions in journal.owed(sink) {
                for position in positions.map_err(|error| error.to_string())? {
                    let (body, plan) = read(&journal, position)?;
                    let id = id_of(&body);
                    if self.routes.get(&id).map(text) != plans.text(plan) {
                        return Err(format!("{id} follows other routes than it came under"));
                    }
                    if self.sent.get(&id) != Some(&body) {
                        return Err(format!("{sink} is owed a body that nobody sent: {id}"));
                    }
                    if self.settled[at].contains(&id) {
                        return Err(format!("{sink} is owed {id} again, after a checkpoint"));
                    }
                    if self.owed[at].insert(id, position).is_some() {
                        return Err(format!("{sink} is owed {id} twice"));
                    }
                    self.mix.resent += u64::from(self.finished[at].remove(&id));
                }
            }
            if let Some(id) = self.promised[at].iter().find(|id| !self.owed[at].contains_key(id)) {
                return Err(format!("{sink} will never see {id}, which was acknowledged"));
            }
            if crashed {
                // What the crash left is durable: what is not owed now never will be.
                let finished = std::mem::take(&mut self.finished[at]);
                self.settled[at].extend(finished);
            }
        }
        self.journal = Some(journal);
        self.plans = Some(plans);
        self.reload();
        Ok(())
    }

    /// Bodies are written under other routes from now on, unless these cannot be kept.
    fn reload(&mut self) {
        let routes = self.rng.random_range(0..MOST_ROUTES);
        let Some(plans) = &self.plans else { return };
        if let Ok(plan) = plans.keep(&self.sim, &config(routes), &self.rules) {
            self.plan = Some((plan, routes));
            self.mix.reloads += 1;
        }
    }

    fn append(&mut self) {
        let Some((plan, routes)) = self.plan.clone() else { return };
        let bodies: Vec<Vec<u8>> = (0..self.rng.random_range(1..4))
            .map(|_| {
                let id = self.sent.len() as BodyId;
                let mut body = id.to_le_bytes().to_vec();
                body.resize(8 + self.rng.random_range(0..300), self.rng.random());
                self.sent.insert(id, body.clone());
                self.routes.insert(id, routes);
                body
            })
            .collect();
        let entries: Vec<Entry<'_>> = bodies
            .iter()
            .map(|body| Entry {
                label: Label { plan: *plan, ..LABEL },
                receiver: RECEIVER,
                stored: body,
                zstd: None,
            })
            .collect();
        self.mix.appends += 1;
        let Some(journal) = &mut self.journal else { return };
        match journal.append(&entries) {
            Ok(positions) => {
                self.pending.extend(bodies.iter().map(|body| id_of(body)).zip(positions));
            }
            Err(AppendError::Full { .. }) => self.mix.full += 1,
            Err(AppendError::Io(_)) => {
                self.mix.failed += 1;
                self.pending.clear();
            }
        }
    }

    fn sync(&mut self) {
        let Some(journal) = &mut self.journal else { return };
        let pending = std::mem::take(&mut self.pending);
        let Ok(durable) = journal.sync() else {
            self.mix.failed += 1;
            return;
        };
        let end = pending.last().map_or(0, |(_, position)| position.offset + u64::from(position.len));
        assert!(end.is_multiple_of(CONFIG.block_bytes as u64), "{end}: a block is written twice");
        for (id, position) in pending.into_iter().filter(|(_, position)| position.sequence < durable) {
            self.mix.acknowledged += 1;
            for at in 0..SINKS.len() {
                self.owed[at].insert(id, position);
                self.promised[at].insert(id);
            }
        }
    }

    fn finish(&mut self) {
        let sink = self.rng.random_range(0..SINKS.len());
        let owed = self.owed[sink].len();
        if owed > 0 {
            // Mostly in order, as sinks do.
            let nth = if self.rng.random_bool(0.7) { 0 } else { self.rng.random_range(0..owed) };
            let body = self.owed[sink].keys().nth(nth).copied().unwrap();
            self.finish_one(sink, body);
        }
    }

    fn finish_one(&mut self, sink: usize, body: BodyId) {
        let (Some(journal), Some(position)) = (&mut self.journal, self.owed[sink].remove(&body)) else {
            return;
        };
        journal.finish(SINKS[sink], position.sequence);
        self.promised[sink].remove(&body);
        self.finished[sink].insert(body);
        self.mix.finished += 1;
    }

    fn checkpoint(&mut self) {
        self.mix.checkpoints += 1;
        if let (Some(journal), Some(plans)) = (&mut self.journal, &self.plans)
            && journal.checkpoint().is_ok()
        {
            let before = numbers(&self.sim).len();
            plans.retire(&self.sim, &journal.plans());
            self.mix.retired += (before - numbers(&self.sim).len()) as u64;
            for at in 0..SINKS.len() {
                let finished = std::mem::take(&mut self.finished[at]);
                self.settled[at].extend(finished);
            }
        }
    }

    fn read(&mut self) -> Result<(), String> {
        let sink = self.rng.random_range(0..SINKS.len());
        let owed = self.owed[sink].len().max(1);
        let nth = self.rng.random_range(0..owed);
        let (Some(journal), Some((id, position))) = (&self.journal, self.owed[sink].iter().nth(nth)) else {
            return Ok(());
        };
        self.mix.reads += 1;
        let (body, _) = read(journal, *position)?;
        if self.sent.get(id) == Some(&body) { Ok(()) } else { Err(format!("{id} was altered")) }
    }

    /// The power goes in the middle of something, perhaps of the recovery from when it went before.
    fn cut_power(&mut self) -> Result<(), String> {
        let operations = self.rng.random_range(1..9);
        self.sim.cut_power_in(operations);
        self.mix.power_cuts += 1;
        for _ in 0..6 {
            match self.rng.random_range(0..5) {
                0 => self.append(),
                1 => self.sync(),
                2 => self.finish(),
                3 => self.checkpoint(),
                _ => {
                    self.end();
                    let sinks = SINKS.map(str::to_owned);
                    // It may not even start; what it would say then is nobody's promise.
                    drop(Journal::open(Arc::new(self.sim.clone()), CONFIG, &sinks));
                }
            }
        }
        self.restart(true)
    }

    /// The process ends.
    fn end(&mut self) {
        (self.journal, self.plans, self.plan) = (None, None, None);
        self.pending.clear();
    }

    fn restart(&mut self, crash: bool) -> Result<(), String> {
        self.end();
        if crash {
            self.sim.crash();
            self.mix.crashes += 1;
        } else {
            self.mix.restarts += 1;
        }
        self.open(crash)
    }
}

/// A body, and the number of the routes that its frame names.
fn read(journal: &Journal<Sim>, position: Position) -> Result<(Vec<u8>, u32), String> {
    let frame = journal.read(position).map_err(|error| format!("cannot read {position:?}: {error}"))?;
    Ok((frame.stored.to_vec(), frame.head.label.plan))
}

fn config(routes: Routes) -> RulesConfig {
    serde_json::from_value(serde_json::json!({
        "routes": [{ "name": format!("all-{routes}"), "to": SINKS, "index": "all" }], "route_mode": "first_match",
        "promote": [], "max_event_age": "1h", "max_event_lead": "1h", "max_records": 9, "max_record_bytes": 9, "json": {},
    }))
    .unwrap()
}

/// The numbers of the routes that are kept.
fn numbers(sim: &Sim) -> BTreeSet<u32> {
    sim.list().unwrap().iter().filter_map(|(name, _)| plans::number_of(name)).collect()
}

fn text(routes: &Routes) -> Vec<u8> {
    serde_json::to_vec_pretty(&config(*routes)).unwrap()
}

fn id_of(body: &[u8]) -> BodyId {
    BodyId::from_le_bytes(*body.first_chunk().unwrap())
}

fn model(seed: u64) -> (Model, Sim) {
    let sim = Sim::new(seed ^ 0x5eed);
    // A third of the seeds have a disk that never fails.
    let fail_one_in = [0, 60, 15][seed as usize % 3];
    sim.fail_one_in(fail_one_in);
    (Model::new(seed, sim.clone(), fail_one_in > 0), sim)
}

#[test]
fn crash_model() {
    let steps: u64 =
        std::env::var("FOREBAY_MODEL_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(40_000);
    let first: u64 = std::env::var("FOREBAY_MODEL_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (mut mix, mut disk) = (Mix::default(), Counts::default());
    let seeds = steps.div_ceil(u64::from(STEPS_PER_SEED));
    for seed in first..first + seeds {
        let (mut model, sim) = model(seed);
        if let Err(fault) = model.run(STEPS_PER_SEED) {
            panic!("FOREBAY_MODEL_SEED={seed}: {fault}");
        }
        mix.add(&model.mix);
        disk.add(&sim.counts());
    }
    println!("{seeds} seeds of {STEPS_PER_SEED} steps\n{mix:?}\n{disk:?}");
    // A model in which nothing happens proves nothing.
    assert!(
        mix.acknowledged > steps / 10
            && mix.crashes > steps / 50
            && mix.power_cuts > steps / 200
            && disk.cut > 0
            && mix.resent > 0
            && mix.full > 0
            && mix.retired > 0
    );
    assert!(disk.torn > 0 && disk.lost_names > 0 && disk.errors > 0 && disk.removes > 0);
}

/// A journal on a disk that only says that it synced must be found out, or the model could not tell.
#[test]
fn the_model_notices_syncs_that_do_nothing() {
    for (contents, names) in [(true, false), (false, true)] {
        let found = (1..200).any(|seed| {
            let (mut model, sim) = model(seed);
            sim.lie(contents, names);
            model.run(STEPS_PER_SEED).is_err()
        });
        assert!(found, "contents {contents}, names {names}");
    }
}

/// Bugs as they have been made elsewhere: each is found, and soon.
#[test]
fn the_model_finds_planted_bugs() {
    for bug in ["no-fsync", "no-folder-fsync", "unlink-before-cursor", "no-checksum"] {
        let found = planted::with(bug, || {
            (1..400).find(|seed| {
                let (mut model, _) = model(*seed);
                // What a bug leaves behind may also be more than the model expects to find, and stop it at once.
                catch_unwind(AssertUnwindSafe(|| model.run(STEPS_PER_SEED).is_err())).unwrap_or(true)
            })
        });
        println!("{bug}: found with seed {found:?}");
        assert!(found.is_some(), "{bug} was not found");
    }
}
