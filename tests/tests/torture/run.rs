//! One run: rounds of faults with quiet points between them, and the verdict.

use crate::load::{Load, Progress};
use crate::schedule::{EVENTS, Event, Round};
use crate::settings::{GRACE, Settings};
use crate::verdict::Verdict;
use crate::world::World;
use anyhow::{Context, Result};
use forebay_tests::fault_proxy::KINDS;
use forebay_tests::seeded::Random;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// Purpose of random numbers.
const EVENT: u64 = 5;

/// What a run has come to.
#[derive(Debug, Default)]
pub struct Outcome {
    pub rounds: u64,
    /// Time in which clients were at work.
    pub worked: Duration,
    pub progress: Option<Progress>,
    pub fired: [u64; KINDS],
    pub passed: u64,
    pub happened: [u64; EVENTS],
    pub disk_hits: u64,
    pub cut: u64,
    /// Most panics that one process had survived.
    pub panics: u64,
    pub quiet_points: u64,
    pub verdict: Verdict,
    pub was_judged: bool,
    /// Clients' protocols that were broken, and whatever ended the run.
    pub complaints: Vec<String>,
    /// Where the gateway's log is kept, if something went wrong.
    pub log: Option<PathBuf>,
}

impl Outcome {
    pub fn kills(&self) -> u64 {
        self.happened[Event::Kill as usize] + self.happened[Event::TornTail as usize]
    }

    /// Whether everything has happened that a valid run needs.
    fn is_enough(&self, settings: &Settings, acknowledged: u64) -> bool {
        let events = Event::ALL.iter().filter(|event| event.is_part_of(settings));
        acknowledged >= settings.records
            && self.kills() >= settings.kills
            && self.disk_hits > 0
            && self.fired.iter().all(|count| *count > 0)
            && events.into_iter().all(|event| self.happened[*event as usize] > 0)
    }
}

/// Runs to the end, whatever comes.
pub fn run(settings: &Settings) -> Outcome {
    let mut outcome = Outcome::default();
    let began = Instant::now();
    let mut world = match World::start(settings) {
        Ok(world) => world,
        Err(error) => {
            outcome.complaints.push(format!("cannot start: {error:#}"));
            return outcome;
        }
    };
    println!("started in {:.0} s", began.elapsed().as_secs_f64());
    let load = Load::start(settings.seed, world.gateway.ports);
    let rounds = rounds(settings, &mut world, &load, &mut outcome);
    if let Err(error) = &rounds {
        outcome.complaints.push(format!("round {}: {error:#}", outcome.rounds));
    }
    outcome.progress = Some(load.progress());
    let (books, complaints) = load.finish();
    outcome.complaints.extend(complaints);
    // What is stored is judged even so: a round that failed may be the first sign of a loss.
    let closed = close(&mut world, &books, &mut outcome, rounds.is_ok());
    if let Err(error) = closed {
        outcome.complaints.push(format!("at the end: {error:#}"));
    }
    let faults = outcome.verdict.faults().iter().any(|(_, count)| *count > 0);
    if faults || !outcome.complaints.is_empty() {
        outcome.log = keep_log(settings, &world).ok();
    }
    outcome
}

fn rounds(settings: &Settings, world: &mut World, load: &Load, outcome: &mut Outcome) -> Result<()> {
    let began = Instant::now();
    loop {
        let round = Round::of(settings, outcome.rounds);
        let started = Instant::now();
        world.begin(round.seed, round.mix);
        let played = play(settings, &round, outcome.rounds, world);
        outcome.worked += started.elapsed();
        count(world, outcome);
        played?;
        quiet(world, load).context("quiet point")?;
        outcome.quiet_points += 1;
        outcome.rounds += 1;
        let progress = load.progress();
        println!(
            "round {}: {:.0} s, {} acknowledged, {} kills, events {:?}",
            outcome.rounds,
            began.elapsed().as_secs_f64(),
            progress.acknowledged,
            outcome.kills(),
            round.events,
        );
        let is_over = began.elapsed() >= settings.lasts;
        if is_over && outcome.is_enough(settings, progress.acknowledged)
            || began.elapsed() >= settings.lasts + GRACE
        {
            return Ok(());
        }
        load.resume();
    }
}

/// One round's faults and events.
fn play(settings: &Settings, round: &Round, number: u64, world: &mut World) -> Result<()> {
    let started = Instant::now();
    let mut random = Random::of(&[settings.seed, EVENT, number]);
    for (part, event) in &round.events {
        let at = settings.round.mul_f64(*part);
        thread::sleep(at.saturating_sub(started.elapsed()));
        world.happen(*event, &mut random).with_context(|| event.name())?;
    }
    thread::sleep(settings.round.saturating_sub(started.elapsed()));
    Ok(())
}

/// No faults and no clients: everything must come to rest, and the books must balance.
fn quiet(world: &mut World, load: &Load) -> Result<()> {
    world.proxy.calm();
    load.pause()?;
    world.check_books()
}

fn count(world: &World, outcome: &mut Outcome) {
    outcome.fired = world.proxy.fired();
    outcome.passed = world.proxy.passed();
    outcome.happened = world.happened;
    outcome.disk_hits = world.disk.hits();
    outcome.cut = world.cut;
    outcome.panics = world.panics;
}

fn close(
    world: &mut World,
    books: &[crate::book::Book],
    outcome: &mut Outcome,
    is_sound: bool,
) -> Result<()> {
    world.proxy.calm();
    world.disk.mend()?;
    if is_sound {
        world.check_books()?;
        world.terminate().context("the last end")?;
    }
    let began = Instant::now();
    outcome.verdict = Verdict::reach(world, books)?;
    println!("read back in {:.0} s", began.elapsed().as_secs_f64());
    outcome.was_judged = true;
    Ok(())
}

/// The gateway's folder goes with the gateway.
fn keep_log(settings: &Settings, world: &World) -> Result<PathBuf> {
    let kept = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("torture-{}.log", settings.seed));
    std::fs::copy(world.gateway.folder().join("stderr.log"), &kept)?;
    Ok(kept)
}
