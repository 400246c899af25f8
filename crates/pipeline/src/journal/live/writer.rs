//! The writer: one thread that appends what receivers hand in, syncs it in groups, and then answers and hands it on.
//!
//! While one group is being synced the next one gathers, so that the number of syncs follows the speed of the disk and not the number
//! of requests.

use super::keeping::Unkept;
use super::lag;
use super::service::Published;
use super::stats::JournalStats;
use crate::admit::{Outlet, Tally};
use crate::body::Body;
use crate::budget::Lease;
use crate::journal::log::{AppendError, Entry};
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
const GROUP_BYTES: usize = 16 << 20;
/// How often the cursors are made durable: what a restart sends again at most.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// The same while the journal is full, so that what sinks have finished makes room soon.
const CHECKPOINT_WHEN_FULL: Duration = Duration::from_millis(50);
/// Between two tries to open the log again.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);
/// A journal that was full takes requests again when so much of it is free, in parts of the whole.
const FREE_PART: u64 = 32;

/// A body on its way to the disk.
#[derive(Debug)]
pub(super) struct Job {
    pub body: Arc<Body>,
    pub parcels: Parcels,
    pub rules: Arc<Rules>,
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

/// The writer's side of the journal.
#[derive(Debug)]
pub(super) struct Writer<S: Storage> {
    pub journal: Journal<S>,
    pub tasks: Receiver<Task>,
    pub published: Arc<Mutex<Published>>,
    pub stats: Arc<JournalStats>,
    pub max_bytes: u64,
    /// The newest segment that is known, by its first frame.
    pub newest: u64,
}

impl<S: Storage> Writer<S> {
    /// Runs until it is told to close, or nobody is left who could tell it.
    pub(super) fn run(mut self) {
        let mut checkpoint_at = Instant::now() + CHECKPOINT_EVERY;
        loop {
            let wait = checkpoint_at.saturating_duration_since(Instant::now());
            let closes = match self.tasks.recv_timeout(wait) {
                Ok(Task::Keep(first)) => {
                    let closes = self.guarded(first);
                    if self.rolled() {
                        // A file is full: perhaps another can go, or some sink is too far behind.
                        checkpoint_at = Instant::now();
                    }
                    closes
                }
                Ok(Task::Checkpoint(done)) => {
                    // Whoever asked may have lost its patience.
                    let _ = done.send(self.checkpoint());
                    false
                }
                Ok(Task::Close) | Err(RecvTimeoutError::Disconnected) => true,
                Err(RecvTimeoutError::Timeout) => false,
            };
            if closes || checkpoint_at <= Instant::now() {
                self.checkpoint();
                let is_full = self.stats.full.load(Relaxed) || self.stats.waits_for.lock().is_some();
                checkpoint_at =
                    Instant::now() + if is_full { CHECKPOINT_WHEN_FULL } else { CHECKPOINT_EVERY };
            }
            if closes {
                return;
            }
        }
    }

    /// Keeps a group, and survives its panic: those in it are told to try again, and the log is opened anew, as after a restart.
    fn guarded(&mut self, first: Box<Job>) -> bool {
        let kept = catch_unwind(AssertUnwindSafe(|| self.group(first)));
        kept.unwrap_or_else(|_| {
            task::count_panic();
            tracing::error!("the journal's writer panicked");
            while let Err(error) = self.journal.reopen() {
                self.failed(&error);
                std::thread::sleep(REOPEN_PAUSE);
            }
            let mut published = self.published.lock();
            published.extents = self.journal.extents();
            published.end = self.journal.next();
            // What became durable without being handed on is on disk.
            published.taps.iter().for_each(|tap| tap.fall_behind());
            task::count_restart();
            false
        })
    }

    /// Keeps what has gathered, `first` and those behind it. Returns whether it is to end then.
    fn group(&mut self, first: Box<Job>) -> bool {
        let mut closes = false;
        planted::pass("writer");
        // A sink that the cursors on disk do not know would begin, after a crash, behind what is answered for now.
        if !self.stats.anchored.load(Relaxed) && !self.checkpoint() {
            refuse([first], &Unkept::Failed { reason: "the cursors cannot be written".to_owned() });
            return false;
        }
        let mut asked = Vec::new();
        let mut bytes = 0;
        let mut written: Vec<(Box<Job>, Position)> = Vec::new();
        let mut next = Some(first);
        while let Some(job) = next.take() {
            bytes += job.body.bytes.len();
            match self.append(&job) {
                Ok(position) => written.push((job, position)),
                Err(unkept) => {
                    if matches!(unkept, Unkept::Failed { .. }) {
                        // What was not durable yet is gone with it; what was is owed.
                        let durable = self.journal.durable();
                        let is_durable = |(_, position): &(Box<Job>, Position)| position.sequence < durable;
                        let (kept, gone): (Vec<_>, Vec<_>) = written.drain(..).partition(is_durable);
                        refuse(gone.into_iter().map(|(job, _)| job), &unkept);
                        self.hand_on(kept);
                    }
                    refuse([job], &unkept);
                }
            }
            if bytes >= GROUP_BYTES {
                break;
            }
            next = match self.tasks.try_recv() {
                Ok(Task::Keep(job)) => Some(job),
                Ok(Task::Close) => {
                    closes = true;
                    None
                }
                Ok(Task::Checkpoint(done)) => {
                    asked.push(done);
                    None
                }
                Err(_) => None,
            };
        }
        if !written.is_empty() {
            self.sync(written);
        }
        for done in asked {
            let _ = done.send(self.checkpoint());
        }
        closes
    }

    fn append(&mut self, job: &Job) -> Result<Position, Unkept> {
        let packed = job.packed.as_ref().map(|(bytes, _)| bytes.as_slice());
        let entry = Entry {
            label: job.label,
            receiver: job.body.receiver.as_bytes(),
            stored: packed.unwrap_or(&job.body.bytes),
            zstd: packed.map(|_| job.body.bytes.len() as u32),
        };
        let position = self.journal.append(&[entry]).map_err(|error| self.unkept(error))?.pop();
        position.ok_or_else(|| Unkept::Failed { reason: "nothing was written".to_owned() })
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

    fn failed(&self, error: &std::io::Error) -> Unkept {
        if self.stats.failures.fetch_add(1, Relaxed) == 0 || !self.stats.failing.swap(true, Relaxed) {
            tracing::error!(%error, "the journal cannot be written: clients are told to try again");
        }
        self.stats.failing.store(true, Relaxed);
        Unkept::Failed { reason: error.to_string() }
    }

    /// Makes a group durable, and only then hands it on and answers for it.
    fn sync(&mut self, written: Vec<(Box<Job>, Position)>) {
        let started = Instant::now();
        let synced = if planted::is("answer-before-sync") { Ok(0) } else { self.journal.sync() };
        self.stats.sync_nanos.fetch_add(started.elapsed().as_nanos() as u64, Relaxed);
        self.stats.syncs.fetch_add(1, Relaxed);
        if let Err(error) = synced {
            let unkept = self.failed(&error);
            return refuse(written.into_iter().map(|(job, _)| job), &unkept);
        }
        if self.stats.failing.swap(false, Relaxed) {
            tracing::info!("the journal is being written again");
        }
        self.hand_on(written);
    }

    /// Hands on and answers for what is durable.
    fn hand_on(&self, written: Vec<(Box<Job>, Position)>) {
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

fn refuse(jobs: impl IntoIterator<Item = Box<Job>>, why: &Unkept) {
    for job in jobs {
        let Job { tally, answer, .. } = *job;
        drop(tally);
        let _ = answer.send(Err(why.clone()));
    }
}
