//! The crash model: random steps of clients, sinks and disasters against a journal, and what must be true after each restart.
//!
//! `FOREBAY_MODEL_STEPS=1000000 cargo test --release -p forebay-pipeline crash_model -- --nocapture` is the long run.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use super::LABEL;
use super::sim::{Counts, Sim};
use crate::journal::log::{AppendError, Entry, LogConfig};
use crate::journal::segment::Position;
use crate::journal::{Journal, cursors};
use crate::planted;
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

/// The number that a body begins with tells it from all others.
type BodyId = u64;

#[derive(Debug, Default)]
struct Mix {
    appends: u64,
    full: u64,
    failed: u64,
    acknowledged: u64,
    finished: u64,
    checkpoints: u64,
    reads: u64,
    crashes: u64,
    power_cuts: u64,
    restarts: u64,
    resent: u64,
    shown_once: u64,
}

/// What must be true of the journal.
struct Model {
    sim: Sim,
    journal: Option<Journal<Sim>>,
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
                0..30 => self.append(),
                30..50 => self.sync(),
                50..80 => self.finish(),
                80..86 => self.checkpoint(),
                86..94 => self.read()?,
                94..96 => self.restart(false)?,
                96..98 => self.cut_power()?,
                _ => self.restart(true)?,
            }
        }
        // In the end the disk is well, and everything can be finished.
        self.sim.fail_one_in(0);
        self.restart(true)?;
        for sink in 0..SINKS.len() {
            for body in self.owed[sink].keys().copied().collect::<Vec<_>>() {
                self.finish_one(sink, body);
            }
        }
        self.checkpoint();
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
        for (at, sink) in SINKS.iter().enumerate() {
            self.owed[at].clear();
            for positions in journal.owed(sink) {
                for position in positions.map_err(|error| error.to_string())? {
                    let body = read(&journal, position)?;
                    let id = id_of(&body);
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
        Ok(())
    }

    fn append(&mut self) {
        let bodies: Vec<Vec<u8>> = (0..self.rng.random_range(1..4))
            .map(|_| {
                let id = self.sent.len() as BodyId;
                let mut body = id.to_le_bytes().to_vec();
                body.resize(8 + self.rng.random_range(0..300), self.rng.random());
                self.sent.insert(id, body.clone());
                body
            })
            .collect();
        let entries: Vec<Entry<'_>> = bodies
            .iter()
            .map(|body| Entry { label: LABEL, receiver: RECEIVER, stored: body, zstd: None })
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
        if self.journal.as_mut().is_some_and(|journal| journal.checkpoint().is_ok()) {
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
        let body = read(journal, *position)?;
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
                    self.journal = None;
                    self.pending.clear();
                    let sinks = SINKS.map(str::to_owned);
                    // It may not even start; what it would say then is nobody's promise.
                    drop(Journal::open(Arc::new(self.sim.clone()), CONFIG, &sinks));
                }
            }
        }
        self.restart(true)
    }

    fn restart(&mut self, crash: bool) -> Result<(), String> {
        self.journal = None;
        self.pending.clear();
        if crash {
            self.sim.crash();
            self.mix.crashes += 1;
        } else {
            self.mix.restarts += 1;
        }
        self.open(crash)
    }
}

fn read(journal: &Journal<Sim>, position: Position) -> Result<Vec<u8>, String> {
    let frame = journal.read(position).map_err(|error| format!("cannot read {position:?}: {error}"))?;
    Ok(frame.stored.to_vec())
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

impl Mix {
    fn add(&mut self, other: &Self) {
        self.appends += other.appends;
        self.full += other.full;
        self.failed += other.failed;
        self.acknowledged += other.acknowledged;
        self.finished += other.finished;
        self.checkpoints += other.checkpoints;
        self.reads += other.reads;
        self.crashes += other.crashes;
        self.power_cuts += other.power_cuts;
        self.restarts += other.restarts;
        self.resent += other.resent;
        self.shown_once += other.shown_once;
    }
}
