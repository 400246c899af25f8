//! The disk journal: bodies that were answered for and not delivered yet, in a form that survives this process.
//!
//! One [`log`] of frames; for each sink a [cursor](cursors). The order of things is the whole art: a frame is durable before
//! its client is answered, and a cursor is durable before a segment is removed. All else may happen at any time, or not at
//! all, and be found by the next start. `docs/journal-format.md` describes the files.

mod block_file;
mod config;
pub mod cursors;
pub mod frame;
pub mod inflate;
mod live;
pub mod log;
pub mod offline;
mod plans;
pub mod segment;
pub mod storage;
#[cfg(test)]
mod tests;
pub mod walk;

pub use config::{Compression, JournalConfig};
pub use live::{JournalError, JournalStats, Journaled, Keeping, Progress, Service, Unclosed, Unkept};

use crate::planted;
use cursors::{Cursor, Cursors, Found};
use frame::Frame;
use log::{AppendError, Entry, Log, LogConfig, Recovered};
use parking_lot::Mutex;
use segment::Position;
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use storage::{Appender, Storage};
use walk::Extent;

/// The file that takes up room, and how much: more than cursors usually are.
const BALLAST: &str = "ballast";
const BALLAST_BYTES: usize = 64 << 10;

/// An open journal. It does no waiting and no threading of its own: whoever owns it decides when to sync.
#[derive(Debug)]
pub struct Journal<S: Storage> {
    storage: Arc<S>,
    log: Log<S>,
    cursors: SharedCursors,
    /// What the last checkpoint said, so that an idle journal writes nothing.
    saved: Cursors,
    config: LogConfig,
    /// The first number that is not of an earlier process.
    first: u64,
}

/// The cursors, which sinks move while the log is being written.
pub type SharedCursors = Arc<Mutex<Cursors>>;

/// What opening found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    pub log: Recovered,
    pub cursors: Found,
    /// For each sink, the numbers of frames that it had not finished and that are gone.
    pub lost: Vec<(String, u64)>,
}

impl<S: Storage> Journal<S> {
    /// Opens the journal for these sinks, however damaged it is. A sink that the cursors do not know begins with the next frame;
    /// where the cursors themselves are lost, every sink begins with the oldest.
    ///
    /// # Errors
    /// Something of it cannot be read, which is not the same as damaged; see [`Log::open`].
    pub fn open(storage: Arc<S>, config: LogConfig, sinks: &[String]) -> io::Result<(Self, Opened)> {
        let (mut cursors, found) = Cursors::load(&*storage).map_err(|error| unread(&error))?;
        let mut oldest = None;
        let (log, recovered) = Log::open(Arc::clone(&storage), config, cursors.floor(), |position| {
            oldest.get_or_insert(position.sequence);
        })?;
        let tail = log.next();
        let start = if found == Found::Sound { tail } else { oldest.unwrap_or(tail) };
        for sink in sinks {
            cursors.0.entry(sink.clone()).or_insert_with(|| Cursor::at(start));
        }
        let gaps = gaps(oldest, &recovered, tail);
        let lost = cursors.0.iter_mut().map(|(sink, cursor)| (sink.clone(), step_over(cursor, &gaps)));
        let lost = lost.filter(|(_, frames)| *frames > 0).collect();
        let cursors = Arc::new(Mutex::new(cursors));
        put_ballast(&*storage);
        let journal = Self { storage, log, cursors, saved: Cursors::default(), config, first: tail };
        Ok((journal, Opened { log: recovered, cursors: found, lost }))
    }

    /// Opens the log again, after whoever used it has panicked in the middle of something.
    ///
    /// # Errors
    /// Of [`Log::open`].
    pub fn reopen(&mut self) -> io::Result<()> {
        let floor = self.cursors.lock().floor();
        self.log = Log::open(Arc::clone(&self.storage), self.config, floor, |_| ())?.0;
        Ok(())
    }

    /// Writes bodies, all or none. Answer for them after [`sync`](Self::sync).
    ///
    /// # Errors
    /// Of [`Log::append`].
    pub fn append(&mut self, entries: &[Entry<'_>]) -> Result<Vec<Position>, AppendError> {
        self.log.append(entries)
    }

    /// Makes all bodies written so far durable; returns the number below which all frames are.
    ///
    /// # Errors
    /// None of the frames since the last success is to be answered for: they are gone.
    pub fn sync(&mut self) -> io::Result<u64> {
        self.log.sync()
    }

    /// This sink has finished this frame. Durable after the next [`checkpoint`](Self::checkpoint).
    pub fn finish(&self, sink: &str, sequence: u64) {
        if let Some(cursor) = self.cursors.lock().0.get_mut(sink) {
            cursor.finish(sequence);
        }
    }

    /// Makes the cursors durable, and then removes what every sink has finished.
    ///
    /// # Errors
    /// The storage refused; a later checkpoint makes up for it.
    pub fn checkpoint(&mut self) -> io::Result<()> {
        let cursors = self.cursors.lock().clone();
        if planted::is("unlink-before-cursor") {
            self.log.release(cursors.low().unwrap_or(self.log.next()))?;
        }
        self.save(cursors)?;
        // What was finished while the cursors were being saved is not durable yet.
        self.log.release(self.saved.low().unwrap_or(self.log.next()))?;
        put_ballast(&*self.storage);
        Ok(())
    }

    /// Makes the cursors durable, and does no more: for a log that cannot be used.
    ///
    /// # Errors
    /// The storage refused.
    pub fn save_cursors(&mut self) -> io::Result<()> {
        let cursors = self.cursors.lock().clone();
        self.save(cursors)
    }

    fn save(&mut self, cursors: Cursors) -> io::Result<()> {
        if cursors != self.saved {
            if cursors.save(&*self.storage).is_err() {
                // Perhaps the disk is full, and what would make room cannot be written down for want of room.
                self.storage.remove(BALLAST)?;
                cursors.save(&*self.storage)?;
            }
            self.saved = cursors;
        }
        Ok(())
    }

    /// How many frames sinks have finished of which the cursors on disk do not know, one for each sink. Before the first checkpoint
    /// nobody knows what is on disk, and it is none.
    pub fn unsaved(&self) -> u64 {
        let frames = 0..self.log.next();
        let cursors = self.cursors.lock();
        let of = |(sink, cursor): (&String, &Cursor)| {
            let saved = self.saved.0.get(sink).unwrap_or(cursor);
            saved.unfinished_in(&frames).saturating_sub(cursor.unfinished_in(&frames))
        };
        cursors.0.iter().map(of).sum()
    }

    /// What this sink has not finished, segment by segment from the oldest.
    pub fn owed(&self, sink: &str) -> impl Iterator<Item = io::Result<Vec<Position>>> {
        let cursor = self.cursors.lock().0.get(sink).cloned().unwrap_or_else(|| Cursor::at(u64::MAX));
        self.log.frames().map(move |frames| {
            let mut frames = frames?;
            frames.retain(|position| !cursor.is_finished(position.sequence));
            Ok(frames)
        })
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// Of [`log::read`].
    pub fn read(&self, position: Position) -> io::Result<Frame> {
        log::read(&*self.storage, position)
    }

    /// The cursors.
    pub fn cursors(&self) -> SharedCursors {
        Arc::clone(&self.cursors)
    }

    /// Where it lies.
    pub fn storage(&self) -> &Arc<S> {
        &self.storage
    }

    /// The segments, as far as they are durable.
    pub fn extents(&self) -> Vec<Extent> {
        self.log.extents()
    }

    /// Of [`Log::plans`].
    pub fn plans(&self) -> BTreeSet<u32> {
        self.log.plans()
    }

    /// Of [`Log::has_room`].
    ///
    /// # Errors
    /// Of [`Log::has_room`].
    pub fn has_room(&self, frames: u64) -> Result<(), AppendError> {
        self.log.has_room(frames)
    }

    /// Of [`Log::segment_left`].
    pub fn segment_left(&self) -> u64 {
        self.log.segment_left()
    }

    /// Of [`Log::check_place`].
    ///
    /// # Errors
    /// Of [`Log::check_place`].
    pub fn check_place(&mut self) -> io::Result<()> {
        self.log.check_place()
    }

    /// The number that the next frame will have.
    pub fn next(&self) -> u64 {
        self.log.next()
    }

    /// The number of the first frame that this process has written, or will write.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.log.bytes()
    }
}

/// Takes up room that can be given up for the cursors when the disk is full. Without it, it is only that which cannot be had.
fn put_ballast(storage: &impl Storage) {
    let is_there =
        storage.list().is_ok_and(|files| files.iter().any(|(name, len)| name == BALLAST && *len > 0));
    if !is_there && let Ok(mut file) = storage.create(BALLAST) {
        let _ = file.append(&[0; BALLAST_BYTES]).and_then(|()| file.sync());
    }
}

/// The numbers below `tail` that no frame has.
fn gaps(oldest: Option<u64>, recovered: &Recovered, tail: u64) -> Vec<Range<u64>> {
    let before = 0..oldest.unwrap_or(tail);
    let behind = recovered.end.max(before.end)..tail;
    let between = recovered.gaps.iter().cloned();
    std::iter::once(before).chain(between).chain([behind]).filter(|gap| !gap.is_empty()).collect()
}

fn unread(error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!(
            "{} cannot be read: {error}. Nothing was changed: let this process read it, or mend the disk; without that file all that the \
             journal holds is delivered again",
            cursors::NAME
        ),
    )
}

/// Lets a cursor pass what is not there; returns how many frames it still had to do with.
fn step_over(cursor: &mut Cursor, gaps: &[Range<u64>]) -> u64 {
    let mut lost = 0;
    for gap in gaps {
        lost += cursor.unfinished_in(gap);
        cursor.skip(gap.clone());
    }
    lost
}
