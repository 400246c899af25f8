//! The end of the writer, and what it leaves behind.

use super::writer::Task;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the end of the writer is looked for.
const POLL: Duration = Duration::from_millis(5);

/// Why a journal was not left in order. What was answered for is in it all the same, and the next start finds it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclosed {
    /// What sinks have finished since the cursors were last written is sent to them once more.
    #[error("its cursors could not be written: {again} requests are sent once more")]
    Cursors { again: u64 },
    /// What waited for the writer was refused. The cursors are written.
    #[error("its log could not be opened again after a panic")]
    Log,
    /// Nothing is known of the last cursors, and what waits for the writer is not answered.
    #[error("its writer did not end within {0:?}")]
    Late(Duration),
    /// The same, because of a bug.
    #[error("its writer panicked")]
    Panicked,
}

/// Tells the writer to end, and waits for it no longer than `patience`.
///
/// # Errors
/// It did not leave everything in order, or is not known to.
pub(super) async fn end(
    tasks: &SyncSender<Task>,
    writer: JoinHandle<Result<(), Unclosed>>,
    patience: Duration,
) -> Result<(), Unclosed> {
    let ended = async {
        while matches!(tasks.try_send(Task::Close), Err(TrySendError::Full(_))) {
            tokio::time::sleep(POLL).await;
        }
        while !writer.is_finished() {
            tokio::time::sleep(POLL).await;
        }
    };
    if tokio::time::timeout(patience, ended).await.is_err() {
        return Err(Unclosed::Late(patience));
    }
    writer.join().unwrap_or(Err(Unclosed::Panicked))
}
