//! The journal as the house uses it: opened once, given bodies by intakes, drawn from by sinks.

use super::close::{self, Unclosed};
use super::consumer::Consumer;
use super::keeping::{Journaled, Unkept};
use super::stats::{JournalStats, Progress};
use super::tap::{Losses, Tap};
use super::writer::{Task, Writer};
use crate::admit::Outlet;
use crate::budget::Budget;
use crate::deliver::Handle;
use crate::journal::cursors::Cursor;
use crate::journal::plans::Plans;
use crate::journal::storage::Folder;
use crate::journal::walk::{Extent, Place};
use crate::journal::{Compression, Journal, JournalConfig, Opened};
use crate::ledger::Ledger;
use crate::rules::{Rules, RulesConfig};
use crate::task;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bodies that may wait for the writer; each holds its memory under a lease.
const MAX_WAITING: usize = 4_096;
/// A sink's window is at most this part of the memory budget, so that sinks that lag leave room for requests.
const WINDOW_SHARE: usize = 8;
/// How long a reload waits for the cursors to be durable.
const CHECKPOINT_PATIENCE: Duration = Duration::from_secs(2);

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("another process has it open")]
    Locked,
    /// Sinks that are not configured any more, and how many frames each has not finished.
    #[error("it still holds data for {}", orphans(.0))]
    Orphans(Vec<(String, u64)>),
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn orphans(sinks: &[(String, u64)]) -> String {
    let one = |(sink, frames): &(String, u64)| format!("`{sink}` ({frames} requests)");
    format!(
        "sinks that are not configured: {}. Configure them again until they have it, or give it up by naming them in \
         `journal.abandon`",
        sinks.iter().map(one).collect::<Vec<_>>().join(", ")
    )
}

/// What is durable, and who is to have it.
#[derive(Debug, Default)]
pub(super) struct Published {
    pub extents: Vec<Extent>,
    /// One after the last durable frame.
    pub end: u64,
    pub taps: Vec<Arc<Tap>>,
}

/// An open journal with everything that runs around it.
#[derive(Debug)]
pub struct Service {
    storage: Arc<Folder>,
    config: JournalConfig,
    tasks: SyncSender<Task>,
    published: Arc<Mutex<Published>>,
    cursors: crate::journal::SharedCursors,
    plans: Arc<Plans>,
    stats: Arc<JournalStats>,
    budget: Arc<Budget>,
    ledger: Arc<Ledger>,
    first: u64,
    /// For each sink, how many of its frames were gone when the journal was opened.
    lost: Vec<(String, u64)>,
    /// What each sink has lost since, whichever of its taps counted it.
    losses: Mutex<BTreeMap<Arc<str>, Arc<Losses>>>,
    writer: Mutex<Option<JoinHandle<Result<(), Unclosed>>>>,
}

impl Service {
    /// Opens the journal for these sinks, however damaged it is. Blocks: everything in it is read and checked once.
    ///
    /// # Errors
    /// Its folder is in use, something in it cannot be read, or it holds data for a sink that is neither configured nor given up.
    pub fn open(
        config: &JournalConfig,
        sinks: &[String],
        budget: Arc<Budget>,
        ledger: Arc<Ledger>,
    ) -> Result<(Arc<Self>, Opened), JournalError> {
        let storage = Folder::open(&config.path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => JournalError::Locked,
            _ => error.into(),
        })?;
        let storage = Arc::new(storage);
        let plans = Plans::open(&*storage)?;
        // If the cursors are lost, only the kept routes know of a sink that is not configured any more.
        let known: Vec<String> = plans.sinks().into_iter().chain(sinks.iter().cloned()).collect();
        let (journal, opened) = Journal::open(Arc::clone(&storage), config.log(), &known)?;
        let orphans = dismiss(&journal, sinks, &config.abandon);
        if !orphans.is_empty() {
            return Err(JournalError::Orphans(orphans));
        }
        plans.expect(&opened.log.plans, &ledger);
        let plans = Arc::new(plans);
        let published = Published { extents: journal.extents(), end: journal.next(), taps: Vec::new() };
        let published = Arc::new(Mutex::new(published));
        let stats = Arc::new(JournalStats::default());
        stats.bytes.store(journal.bytes(), Relaxed);
        let (tasks, received) = sync_channel(MAX_WAITING);
        let (cursors, first) = (journal.cursors(), journal.first());
        let writer = Writer {
            journal,
            plans: Arc::clone(&plans),
            tasks: received,
            published: Arc::clone(&published),
            stats: Arc::clone(&stats),
            max_bytes: config.max_bytes.0,
            sync_interval: config.sync_interval.0,
            synced_at: std::time::Instant::now(),
            newest: 0,
            closes: false,
        };
        let writer = std::thread::Builder::new().name("journal".to_owned()).spawn(|| writer.run())?;
        let service = Self {
            storage,
            config: config.clone(),
            tasks,
            published,
            cursors,
            plans,
            stats,
            budget,
            ledger,
            first,
            lost: opened.lost.clone(),
            losses: Mutex::default(),
            writer: Mutex::new(Some(writer)),
        };
        Ok((Arc::new(service), opened))
    }

    /// Takes `rules` on for what is kept from now on, and has these sinks draw from the journal under whatever rules its frames
    /// name. Sinks that drew from it already go on; one that takes the place of another of its name begins when that has ended; one that
    /// is not among them any more is closed. A sink that is new begins with the next frame.
    ///
    /// # Errors
    /// The rules cannot be written, or a sink is gone that the journal holds something for and that is not in `abandon`. Nothing was
    /// changed then.
    pub fn attach(
        self: &Arc<Self>,
        config: &RulesConfig,
        rules: &Arc<Rules>,
        outlets: &[Outlet],
        abandon: &[String],
    ) -> Result<Journaled, JournalError> {
        let plan = self.plans.keep(&*self.storage, config, rules)?;
        let window = self.budget.limit() / WINDOW_SHARE;
        // Held to the end, so that no frame becomes durable between the old sinks and the new ones.
        let mut published = self.published.lock();
        self.refuse_orphans(&published, outlets, abandon)?;
        let mut old = std::mem::take(&mut published.taps);
        let mut taps = Vec::new();
        for outlet in outlets {
            let same = old.iter().position(|tap| tap.handle.is(&outlet.handle));
            if let Some(at) = same {
                taps.push(old.swap_remove(at));
                continue;
            }
            let end = published.end;
            self.cursors.lock().0.entry(outlet.name.to_string()).or_insert_with(|| Cursor::at(end));
            // A sink may be changed again before the one before it has ended.
            let before: Vec<Handle> = match old.iter().find(|tap| tap.sink == outlet.name) {
                Some(tap) => tap.before.iter().chain([&tap.handle]).cloned().collect(),
                None => Vec::new(),
            };
            let first = if before.is_empty() { self.first } else { end };
            let (window, pause) = (outlet.window.min(window), outlet.pause);
            let cursors = Arc::clone(&self.cursors);
            let (name, handle) = (Arc::clone(&outlet.name), outlet.handle.clone());
            let (lag, losses) = (outlet.lag.clone(), self.losses(&outlet.name));
            let tap = Tap::new(name, handle, before.clone(), cursors, (window, pause), lag, losses);
            let consumer = Consumer {
                tap: Arc::clone(&tap),
                storage: Arc::clone(&self.storage),
                published: Arc::clone(&self.published),
                plans: Arc::clone(&self.plans),
                present: Arc::clone(rules),
                ledger: Arc::clone(&self.ledger),
                budget: Arc::clone(&self.budget),
                first,
                place: Place::default(),
                ahead: VecDeque::new(),
            };
            task::supervise("journal consumer", move || {
                let (consumer, before) = (consumer.clone(), before.clone());
                async move {
                    // What the sink before has on its way is its own until it ends.
                    for before in before {
                        before.ended().await;
                    }
                    consumer.run().await;
                }
            });
            taps.push(tap);
        }
        for tap in old {
            tap.close();
            if !taps.iter().any(|kept| kept.sink == tap.sink) {
                self.dismiss(&tap.sink, published.end);
            }
        }
        published.taps = taps;
        self.stats.anchored.store(false, Relaxed);
        drop(published);
        self.checkpoint();
        Ok(Journaled::new(Arc::clone(self), Arc::clone(rules), plan))
    }

    /// Sinks that would go although something is kept for them, and that nobody has given up.
    fn refuse_orphans(
        &self,
        published: &Published,
        outlets: &[Outlet],
        abandon: &[String],
    ) -> Result<(), JournalError> {
        let stays = |sink: &str| {
            outlets.iter().any(|outlet| *outlet.name == *sink) || abandon.iter().any(|name| name == sink)
        };
        let owing = published.taps.iter().filter(|tap| !stays(&tap.sink));
        let orphans: Vec<(String, u64)> = owing
            .map(|tap| (tap.sink.to_string(), tap.lag(published.end)))
            .filter(|(_, frames)| *frames > 0)
            .collect();
        if orphans.is_empty() { Ok(()) } else { Err(JournalError::Orphans(orphans)) }
    }

    /// Has the cursors made durable now. If that fails, the writer sees to it before it answers for anything.
    fn checkpoint(&self) {
        let (done, is_done) = sync_channel(1);
        if self.task(Task::Checkpoint(done)).is_ok() {
            let _ = is_done.recv_timeout(CHECKPOINT_PATIENCE);
        }
    }

    /// A sink is gone. Whoever took it out has seen to it that it is owed nothing, or has given that up.
    fn dismiss(&self, sink: &str, end: u64) {
        let cursor = self.cursors.lock().0.remove(sink);
        let frames = cursor.map_or(0, |cursor| cursor.unfinished_in(&(0..end)));
        if frames > 0 {
            tracing::error!(sink, requests = frames, "what the journal held for this sink is given up");
        }
    }

    /// Feeds sinks no more. What they have not been sent goes back, at once where `now`, else when their delivery ends.
    pub fn detach(&self, now: impl Fn(&str) -> bool) {
        for tap in &self.published.lock().taps {
            tap.close();
            if now(&tap.sink) {
                tap.recall(true);
            }
        }
    }

    /// Writes the last checkpoint and ends the writer, within `patience`. Call it when nobody hands in bodies any more.
    ///
    /// # Errors
    /// What is not in order, or not known to be.
    pub async fn close(&self, patience: Duration) -> Result<(), Unclosed> {
        let Some(writer) = self.writer.lock().take() else { return Ok(()) };
        close::end(&self.tasks, writer, patience).await
    }

    /// False once the writer has ended: by [`close`](Self::close), or by a bug. For liveness.
    pub fn is_running(&self) -> bool {
        self.writer.lock().as_ref().is_some_and(|writer| !writer.is_finished())
    }

    /// Hands something to the writer.
    ///
    /// # Errors
    /// Too much waits for it.
    pub(super) fn task(&self, task: Task) -> Result<(), Unkept> {
        self.tasks.try_send(task).map_err(|_| Unkept::Busy)
    }

    /// How bodies lie on disk, and the memory that making them so takes.
    pub(super) fn packing(&self) -> (Compression, &Arc<Budget>) {
        (self.config.compression, &self.budget)
    }

    /// What it has counted.
    pub fn stats(&self) -> &JournalStats {
        &self.stats
    }

    /// What this sink has lost so far; at first what was gone when the journal was opened.
    fn losses(&self, sink: &Arc<str>) -> Arc<Losses> {
        let mut losses = self.losses.lock();
        let first = || {
            let gone = self.lost.iter().find(|(name, _)| **name == **sink);
            Arc::new(Losses { lost: gone.map_or(0, |(_, frames)| *frames).into(), ..Losses::default() })
        };
        Arc::clone(losses.entry(Arc::clone(sink)).or_insert_with(first))
    }

    /// Most bytes on disk.
    pub fn max_bytes(&self) -> u64 {
        self.config.max_bytes.0
    }

    /// How far each sink has come.
    pub fn progress(&self) -> Vec<Progress> {
        let published = self.published.lock();
        let of = |tap: &Arc<Tap>| Progress {
            sink: Arc::clone(&tap.sink),
            behind: tap.lag(published.end),
            returned: tap.parked() as u64,
            on_its_way: tap.used() as u64,
            lost: tap.losses.lost.load(Relaxed),
            lagged: tap.losses.lagged.load(Relaxed),
            lagged_records: tap.losses.lagged_records.load(Relaxed),
        };
        published.taps.iter().map(of).collect()
    }
}

/// Removes the cursors of sinks that are not configured: of those that owe nothing, and of those that are given up. Returns the others.
fn dismiss(journal: &Journal<Folder>, sinks: &[String], abandon: &[String]) -> Vec<(String, u64)> {
    let cursors = journal.cursors();
    let mut cursors = cursors.lock();
    let mut orphans = Vec::new();
    cursors.0.retain(|sink, cursor| {
        if sinks.contains(sink) {
            return true;
        }
        let frames = cursor.unfinished_in(&(0..journal.next()));
        if frames > 0 && !abandon.contains(sink) {
            orphans.push((sink.clone(), frames));
            return true;
        }
        if frames > 0 {
            tracing::error!(sink, requests = frames, "what the journal held for this sink is given up");
        }
        false
    });
    orphans
}
