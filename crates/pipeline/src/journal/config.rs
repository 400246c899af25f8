//! Settings of the disk journal.

use super::block_file::BLOCK_BYTES;
use super::log::LogConfig;
use crate::units::{ByteSize, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// The disk journal, for `acknowledge: durable`. What was answered for lies here until every sink has it, also over restarts.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Journal")]
pub struct JournalConfig {
    /// Its folder, for this process alone, on a disk that survives what the data is to survive. Default `./forebay-data/journal`.
    pub path: PathBuf,
    /// Most bytes on disk, at least twice `segment_bytes`. When they are used up, clients are told to try again until sinks have caught up. Default
    /// `4GiB`.
    pub max_bytes: ByteSize,
    /// Size of one file, from `1MiB` to `1GiB`. A file is removed when every sink has all of it, so smaller files are freed sooner. Default
    /// `64MiB`.
    pub segment_bytes: ByteSize,
    /// Requests that come within this time after a sync are made durable together by the next one; one that comes later is synced at
    /// once. Longer spares the disk and the CPU, and clients wait longer. At most `1s`. Default `10ms`.
    pub sync_interval: Period,
    /// Whether bodies are compressed on disk: less disk for more CPU.
    pub compression: Compression,
    /// Names of sinks that were removed from the configuration, or renamed, while the journal still held data for them: that data is
    /// given up, and counted in the log. Without its name here, such a sink keeps Forebay from starting, and a reload from removing it. A name that
    /// is a sink's is refused; one that the journal does not know is told in the log. A reload takes a change of these names on.
    pub abandon: Vec<String>,
}

/// How bodies lie on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// As they arrived (after decompression).
    #[default]
    None,
    /// zstd, level 1.
    Zstd,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::from("./forebay-data/journal"),
            max_bytes: ByteSize::mib(4096),
            segment_bytes: ByteSize::mib(64),
            sync_interval: Period::millis(10),
            compression: Compression::None,
            abandon: Vec::new(),
        }
    }
}

/// Clients wait for that long.
const LONGEST_SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// Smaller files would be made and removed all the time.
const LEAST_SEGMENT_BYTES: u64 = 1 << 20;
/// Positions in a file, and what a reader holds of it at once, stay small.
const MOST_SEGMENT_BYTES: u64 = 1 << 30;
/// With fewer files than this the oldest, which is still read, would be most of the journal.
const LEAST_SEGMENTS: u64 = 2;

impl JournalConfig {
    /// What contradicts: the path of a setting, seen from here, and what is wrong.
    pub fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let segment = self.segment_bytes.0;
        if !(LEAST_SEGMENT_BYTES..=MOST_SEGMENT_BYTES).contains(&segment) {
            faults.push(("segment_bytes".to_owned(), "must be from 1MiB to 1GiB".to_owned()));
        } else if self.max_bytes.0 < LEAST_SEGMENTS * segment {
            faults.push(("max_bytes".to_owned(), "must be at least twice `segment_bytes`".to_owned()));
        }
        if self.sync_interval.0 > LONGEST_SYNC_INTERVAL {
            faults.push(("sync_interval".to_owned(), "must be at most 1s".to_owned()));
        }
        if self.path.as_os_str().is_empty() {
            faults.push(("path".to_owned(), "a folder is needed".to_owned()));
        }
        faults
    }

    pub(super) fn log(&self) -> LogConfig {
        LogConfig {
            segment_bytes: self.segment_bytes.0,
            max_bytes: self.max_bytes.0,
            block_bytes: BLOCK_BYTES,
        }
    }
}
