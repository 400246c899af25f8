//! Dead letters: records that a sink refused for good, kept readable, so that somebody can mend and replay them.
//!
//! They are acknowledged data: a letter is on disk before the client is told that its record was taken, and a store that
//! is full says so instead of dropping any.

mod dir;
mod file;
mod mend;
mod remote;
mod stored;
#[cfg(test)]
mod tests;

pub use dir::{DeadLetterConfig, DeadLetterDir, DeadLetterStats, LetterTarget};
pub use remote::{DeadLetterSink, ROUTE};
pub use stored::{LetterFile, Line, Replay, StoredLetter, Unsendable};

use futures_util::future::BoxFuture;
use std::fmt::Debug;
use std::sync::Arc;

/// Takes a directory of letters for this process alone, until what is returned is dropped.
///
/// # Errors
/// The directory cannot be opened, or another process has it ([`std::io::ErrorKind::ResourceBusy`]).
pub fn lock(dir: &std::path::Path) -> std::io::Result<std::fs::File> {
    file::lock(dir)
}

/// Where dead letters are kept.
pub trait DeadLetters: Debug + Send + Sync + 'static {
    /// Keeps `letters` durably, from the first on, and says how many: at least one if there is any. Those behind them are for the
    /// next call. After a failure, some may have been kept all the same.
    fn bury<'a>(&'a self, letters: &'a [Letter]) -> BoxFuture<'a, Result<usize, BuryError>>;
}

/// One record that can never be delivered as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The record as a JSON document on one line, as it would have been stored.
    pub document: Vec<u8>,
    /// Where it should have gone: for Elasticsearch an index.
    pub destination: Arc<str>,
    pub sink: Arc<str>,
    pub route: Arc<str>,
    /// What the sink said of it.
    pub reason: String,
    pub receiver: Arc<str>,
    /// When it arrived and when it was buried, nanoseconds since 1970.
    pub arrived: i64,
    pub buried: i64,
    /// Its document id, if it has one.
    pub id: Option<String>,
}

/// Why letters could not be kept. They are still owed; it may work later.
#[derive(Debug, thiserror::Error)]
pub enum BuryError {
    #[error(
        "{used} of {limit} bytes are taken, {wanted} more are needed: move files away or raise `dead_letters.max_bytes`"
    )]
    Full { wanted: u64, used: u64, limit: u64 },
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The sink that keeps letters did not take them.
    #[error("the sink for dead letters: {0}")]
    Unsent(String),
    /// The writer panicked, or the runtime is shutting down.
    #[error("the writer was lost: {0}")]
    Lost(#[from] tokio::task::JoinError),
}
