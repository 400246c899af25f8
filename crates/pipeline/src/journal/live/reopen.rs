//! The log is opened again after a panic of the writer.

use super::close::Unclosed;
use super::keeping::Unkept;
use super::writer::{Task, Writer, refuse};
use crate::journal::storage::Storage;
use crate::task;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

impl<S: Storage> Writer<S> {
    /// Opens the log anew, as a restart does, however often that fails; what is asked for meanwhile is refused.
    ///
    /// # Errors
    /// It was told to end, and the last try has failed too.
    pub(super) fn reopen(&mut self) -> Result<(), Unclosed> {
        while let Err(error) = self.journal.reopen() {
            let why = self.failed(&error);
            if self.closes {
                return Err(match self.journal.save_cursors() {
                    Ok(()) => Unclosed::Log,
                    Err(_) => Unclosed::Cursors { again: self.journal.unsaved() },
                });
            }
            self.turn_away(&why);
        }
        let mut published = self.published.lock();
        published.extents = self.journal.extents();
        published.end = self.journal.next();
        // What became durable without being handed on is on disk.
        published.taps.iter().for_each(|tap| tap.fall_behind());
        drop(published);
        task::count_restart();
        Ok(())
    }

    /// Refuses what comes until the next try is due. To be told to end brings that forward.
    fn turn_away(&mut self, why: &Unkept) {
        let until = Instant::now() + PAUSE;
        while !self.closes {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            match self.tasks.recv_timeout(left) {
                Ok(Task::Keep(job)) => refuse([*job], why),
                Ok(Task::Checkpoint(done)) => {
                    // Whoever asked may have lost its patience.
                    let _ = done.send(false);
                }
                Ok(Task::Close) | Err(RecvTimeoutError::Disconnected) => self.closes = true,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}
