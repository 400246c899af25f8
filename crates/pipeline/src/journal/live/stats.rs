//! What the journal counts, and how far each sink has come.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// Counts of the journal.
#[derive(Debug, Default)]
pub struct JournalStats {
    /// Bytes on disk, and as written since the start.
    pub bytes: AtomicU64,
    pub written_bytes: AtomicU64,
    /// Bodies kept since the start.
    pub frames: AtomicU64,
    /// Groups synced, and how long that took together.
    pub syncs: AtomicU64,
    pub sync_nanos: AtomicU64,
    pub checkpoints: AtomicU64,
    pub checkpoint_failures: AtomicU64,
    /// Bodies that found the journal full, and writes and syncs that failed.
    pub refused_full: AtomicU64,
    pub failures: AtomicU64,
    pub full: AtomicBool,
    pub failing: AtomicBool,
    /// The cursors on disk know every sink that draws from the journal.
    pub anchored: AtomicBool,
    /// The sink that clients wait for, because it is too far behind.
    pub waits_for: Mutex<Option<Arc<str>>>,
}

/// How far one sink has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub sink: Arc<str>,
    /// Frames that it has not finished, and the part of them that came back and rests.
    pub behind: u64,
    pub returned: u64,
    /// Bytes of memory that hold what is on its way.
    pub on_its_way: u64,
    /// Frames that were damaged and are lost to it, since the start.
    pub lost: u64,
    /// Frames, and their records, that it lost because it was too far behind, since the start.
    pub lagged: u64,
    pub lagged_records: u64,
}
