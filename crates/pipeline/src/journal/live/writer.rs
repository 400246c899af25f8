//! The writer: one thread that appends what receivers hand in, syncs it in groups, and then answers and hands it on.
//!
//! While one group is being synced the next one gathers, so that the number of syncs follows the speed of the disk and not the number
//! of requests.

use super::close::Unclosed;
use super::keeping::Unkept;
use super::lag;
use super::service::Published;
use super::stats::JournalStats;
use super::tap::Tap;
use crate::admit::{Outlet, Tally};
use crate::body::Body;
use crate::budget::Lease;
use crate::journal::log::{AppendError, Entry};
use crate::journal::plans::Plans;
use crate::journal::segment::Position;
use crate::journal::storage::Storage;
use crate::journal::{Journal, frame::Label};
use crate::ledger::Outcome;
use crate::planted;
use crate::receipt::Receipt;
use crate::rules::{Duty, Parcels, Rules};
use crate::spare;
use crate::task;
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Most bytes in a group, beyond one body: what is written must not keep those waiting too long that came first.
const GROUP_BYTES: u64 = 16 << 20;
/// How long a group waits for sinks that keep up to have room for it, before they are left to find it on disk.
const HAND_ON_PATIENCE: Duration = Duration::from_millis(20);
/// How long the writer sleeps at once while a group gathers.
const LONGEST_NAP: Duration = Duration::from_millis(10);
/// How often the cursors are made durable: what a restart sends again at most.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// The same while the journal is full, so that what sinks have finished makes room soon.
const CHECKPOINT_WHEN_FULL: Duration = Duration::from_millis(50);
/// A journal that was full takes requests again when so much of it is free, in parts of the whole.
const FREE_PART: u64 = 32;

/// A body on its way to the disk.
#[derive(Debug)]
pub(super) struct Job {
    pub body: Arc<Body>,
    pub parcels: Parcels,
    pub rules: Arc<Rules>,
    /// Their number, held so that they are kept until the frame that names them is written.
    pub _plan: Arc<u32>,
    /// Of those sinks too that nobody waits for.
    pub outlets: Arc<[Outlet]>,
    pub label: Label,
    /// The body as zstd, with the memory that it holds.
    pub packed: Option<(Vec<u8>, Lease)>,
    pub tally: Tally,
    pub answer: oneshot::Sender<Result<(), Unkept>>,
}

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Task {
    Keep(Box<Job>),
    /// To make the cursors durable, and say whether they are.
    Checkpoint(SyncSender<bool>),
    /// To make everything durable and end.
    Close,
}

/// A group, and what else was asked for meanwhile.
#[derive(Debug, Default)]
struct Gathered {
    jobs: Vec<Job>,
    /// Who waits for a checkpoint.
    asked: Vec<SyncSender<bool>>,
}

/// The writer's side of the journal.
#[derive(Debug)]
pub(super) struct Writer<S: Storage> {
    pub journal: Journal<S>,
    pub plans: Arc<Plans>,
    pub tasks: Receiver<Task>,
    pub published: Arc<Mutex<Published>>,
    pub stats: Arc<JournalStats>,
    pub max_bytes: u64,
    /// Between the beginnings of two syncs, at least.
    pub sync_interval: Duration,
    pub synced_at: Instant,
    /// The newest segment that is known, by its first frame.
    pub newest: u64,
    /// It is to end after what it has taken.
    pub closes: bool,
}

impl<S: Storage> Writer<S> {
    /// Runs until it is told to close, or nobody is left who could tell it.
    ///
    /// # Errors
    /// What is not in order then.
    pub(super) fn run(mut self) -> Result<(), Unclosed> {
        let mut checkpoint_at = Instant::now() + CHECKPOINT_EVERY;
        loop {
            let wait = checkpoint_at.saturating_duration_since(Instant::now());
            match self.tasks.recv_timeout(wait) {
                Ok(Task::Keep(first)) => {
                    self.guarded(*first)?;
                    if self.rolled() {
                        // A file is full: perhaps another can go, or some sink is too far behind.
                        checkpoint_at = Instant::now();
                    }
                }
                Ok(Task::Checkpoint(done)) => {
                    // Whoever asked may have lost its patience.
                    let _ = done.send(self.checkpoint());
                }
                Ok(Task::Close) | Err(RecvTimeoutError::Disconnected) => self.closes = true,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.closes {
                return self.leave();
            }
            if checkpoint_at <= Instant::now() {
                self.checkpoint();
                let is_full = self.stats.full.load(Relaxed) || self.stats.waits_for.lock().is_some();
                checkpoint_at =
                    Instant::now() + if is_full { CHECKPOINT_WHEN_FULL } else { CHECKPOINT_EVERY };
            }
        }
    }

    /// Writes the last checkpoint. What it does not remove, the next start does.
    fn leave(&mut self) -> Result<(), Unclosed> {
        if self.checkpoint() || self.journal.save_cursors().is_ok() {
            return Ok(());
        }
        Err(Unclosed::Cursors { again: self.journal.unsaved() })
    }

    /// Keeps a group, and survives its panic: those in it are told to try again, and the log is opened anew.
    ///
    /// # Errors
    /// Of [`Self::reopen`].
    fn guarded(&mut self, first: Job) -> Result<(), Unclosed> {
        if catch_unwind(AssertUnwindSafe(|| self.group(first))).is_ok() {
            return Ok(());
        }
        task::count_panic();
        tracing::error!("the journal's writer panicked");
        self.reopen()
    }

    /// Keeps what gathers, `first` and those behind it.
    fn group(&mut self, first: Job) {
        planted::pass("writer");
        let Gathered { jobs, asked } = self.gather(first);
        // A sink that the cursors on disk do not know would begin, after a crash, behind what is answered for now. Asked when all have
        // gathered: one of them may have come under the rules that brought the sink.
        if !self.stats.anchored.load(Relaxed) && !self.checkpoint() {
            refuse(jobs, &Unkept::Failed { reason: "the cursors cannot be written".to_owned() });
        } else if !jobs.is_empty() {
            self.keep(jobs);
        }
        for done in asked {
            let _ = done.send(self.checkpoint());
        }
    }

    /// Takes what waits, as far as there is room for it, and what comes until the next sync may begin: each costs the same however much it
    /// makes durable.
    fn gather(&mut self, first: Job) -> Gathered {
        let until = self.synced_at + self.sync_interval;
        let most = self.journal.segment_left().min(GROUP_BYTES);
        let mut gathered = Gathered::default();
        let mut frames = 0;
        let mut next = Some(first);
        while let Some(job) = next.take() {
            let bytes = job.entry().frame_len();
            match self.journal.has_room(frames + bytes) {
                Ok(()) => {
                    frames += bytes;
                    gathered.jobs.push(job);
                }
                Err(full) => refuse([job], &self.unkept(full)),
            }
            if frames >= most {
                break;
            }
            next = self.next_job(until, &mut gathered.asked);
        }
        gathered
    }

    /// The next job that is there or comes before `until`; none if something else comes.
    fn next_job(&mut self, until: Instant, asked: &mut Vec<SyncSender<bool>>) -> Option<Job> {
        loop {
            match self.tasks.try_recv() {
                Ok(Task::Keep(job)) => return Some(*job),
                Ok(Task::Checkpoint(done)) => asked.push(done),
                Ok(Task::Close) => self.closes = true,
                Err(_) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    // Not woken by each of those that come: one look at all of them is cheaper.
                    std::thread::sleep(left.min(LONGEST_NAP));
                    continue;
                }
            }
            return None;
        }
    }

    /// Writes a group and makes it durable, and only then hands it on and answers for it.
    fn keep(&mut self, jobs: Vec<Job>) {
        let entries: Vec<Entry<'_>> = jobs.iter().map(|job| job.entry()).collect();
        let positions = match self.journal.append(&entries) {
            Ok(positions) => positions,
            Err(error) => return refuse(jobs, &self.unkept(error)),
        };
        let started = Instant::now();
        self.synced_at = started;
        let synced = if planted::is("answer-before-sync") { Ok(0) } else { self.journal.sync() };
        self.stats.sync_nanos.fetch_add(started.elapsed().as_nanos() as u64, Relaxed);
        self.stats.syncs.fetch_add(1, Relaxed);
        if let Err(error) = synced {
            return refuse(jobs, &self.failed(&error));
        }
        if self.stats.failing.swap(false, Relaxed) {
            tracing::info!("the journal is being written again");
        }
        self.wait_for_sinks(&jobs);
        self.hand_on(jobs.into_iter().zip(positions));
    }

    fn unkept(&self, error: AppendError) -> Unkept {
        match error {
            AppendError::Full { used, max } => {
                self.stats.refused_full.fetch_add(1, Relaxed);
                if !self.stats.full.swap(true, Relaxed) {
                    tracing::warn!(used, max, "the journal is full: clients are told to try again");
                }
                Unkept::Full { used, max }
            }
            AppendError::Io(error) => self.failed(&error),
        }
    }

    pub(super) fn failed(&self, error: &std::io::Error) -> Unkept {
        if self.stats.failures.fetch_add(1, Relaxed) == 0 || !self.stats.failing.swap(true, Relaxed) {
            tracing::error!(%error, "the journal cannot be written: clients are told to try again");
        }
        self.stats.failing.store(true, Relaxed);
        Unkept::Failed { reason: error.to_string() }
    }

    /// Gives sinks that keep up a moment to make room for what is theirs.
    fn wait_for_sinks(&self, jobs: &[Job]) {
        let taps = self.published.lock().taps.clone();
        let until = Instant::now() + HAND_ON_PATIENCE;
        for tap in taps {
            let theirs = jobs.iter().filter(|job| job.is_for(&tap.sink));
            tap.wait_for_room(theirs.map(|job| Tap::weight(&job.body)).sum(), until);
        }
    }

    /// Hands on and answers for what is durable.
    fn hand_on(&self, written: impl Iterator<Item = (Job, Position)>) {
        self.stats.bytes.store(self.journal.bytes(), Relaxed);
        let mut published = self.published.lock();
        published.extents = self.journal.extents();
        published.end = self.journal.next();
        let taps = published.taps.clone();
        for (job, position) in written {
            self.stats.written_bytes.fetch_add(u64::from(position.len), Relaxed);
            self.stats.frames.fetch_add(1, Relaxed);
            let shares = job.rules.shares_per_sink(Duty::Required, &job.parcels);
            let is_gone = |(sink, shares): (&Arc<str>, &usize)| {
                *shares > 0 && !taps.iter().any(|tap| tap.sink == *sink)
            };
            if job.rules.sinks().iter().zip(&shares).any(is_gone) {
                // Its routes were replaced while it was being written. Nobody is to deliver it, and the client sends it again.
                taps.iter().for_each(|tap| tap.pass_over(position.sequence));
                refuse([job], &Unkept::Busy);
                continue;
            }
            for tap in &taps {
                let sink = job.rules.sinks().iter().position(|name| *name == tap.sink);
                let place = sink.map_or((0, 0), |sink| (sink, shares[sink]));
                tap.offer(position, &job.body, &job.parcels, &job.rules, place);
            }
            job.done();
        }
    }

    /// Whether a segment has been begun since the last question.
    fn rolled(&mut self) -> bool {
        let newest = self.published.lock().extents.last().map_or(0, |extent| extent.base);
        std::mem::replace(&mut self.newest, newest) != newest
    }

    /// Sees to sinks that are too far behind.
    fn mind_the_lag(&self) {
        let extents = self.journal.extents();
        let taps = self.published.lock().taps.clone();
        lag::drop_oldest(&**self.journal.storage(), &taps, &extents);
        let waits_for = lag::makes_clients_wait(&taps, &extents);
        let before = std::mem::replace(&mut *self.stats.waits_for.lock(), waits_for.clone());
        if let (None, Some(sink)) = (&before, &waits_for) {
            tracing::warn!(%sink, "too far behind: clients are told to try again");
        }
    }

    /// Makes the cursors durable and frees what every sink has finished. Returns whether they are.
    fn checkpoint(&mut self) -> bool {
        self.mind_the_lag();
        if let Err(error) = self.journal.check_place() {
            self.failed(&error);
        }
        // Said first: a sink that comes while the cursors are being saved, and is not among them, takes it back.
        self.stats.anchored.store(true, Relaxed);
        let saved = self.journal.checkpoint();
        match &saved {
            Ok(()) => {
                self.stats.checkpoints.fetch_add(1, Relaxed);
                self.plans.retire(&**self.journal.storage(), &self.journal.plans());
            }
            Err(error) => {
                self.stats.anchored.store(false, Relaxed);
                if self.stats.checkpoint_failures.fetch_add(1, Relaxed) == 0 {
                    tracing::error!(%error, "the journal's cursors cannot be written; it frees nothing");
                }
            }
        }
        let bytes = self.journal.bytes();
        self.stats.bytes.store(bytes, Relaxed);
        self.published.lock().extents = self.journal.extents();
        let has_room = bytes + self.max_bytes / FREE_PART <= self.max_bytes;
        if has_room && self.stats.full.swap(false, Relaxed) {
            tracing::info!(bytes, "the journal has room again");
        }
        saved.is_ok()
    }
}

impl Job {
    /// Whether a sink owes something of it.
    fn is_for(&self, sink: &str) -> bool {
        let shares = self.rules.shares_per_sink(Duty::Required, &self.parcels);
        self.rules.sinks().iter().zip(shares).any(|(name, shares)| shares > 0 && **name == *sink)
    }

    fn entry(&self) -> Entry<'_> {
        let packed = self.packed.as_ref().map(|(bytes, _)| bytes.as_slice());
        Entry {
            label: self.label,
            receiver: self.body.receiver.as_bytes(),
            stored: packed.unwrap_or(&self.body.bytes),
            zstd: packed.map(|_| self.body.bytes.len() as u32),
        }
    }

    /// It is durable: the books are written, and then the client is told.
    fn done(self) {
        if self.parcels.unrouted > 0 {
            let receipt = Receipt::open();
            let unrouted = self.parcels.unrouted;
            receipt.claim(self.rules.unrouted(), unrouted).settle(Outcome::Unrouted, unrouted);
        }
        spare::hand_over(&self.rules, &self.outlets, &self.body, &self.parcels);
        self.tally.admitted();
        // A client that has gone away is none to be told.
        let _ = self.answer.send(Ok(()));
    }
}

pub(super) fn refuse(jobs: impl IntoIterator<Item = Job>, why: &Unkept) {
    for job in jobs {
        let Job { tally, answer, .. } = job;
        drop(tally);
        let _ = answer.send(Err(why.clone()));
    }
}
