//! A directory of dead letters: files of JSON lines.

use super::file::Writer;
use super::{BuryError, DeadLetters, Letter};
use crate::route::Template;
use crate::time::TimestampWriter;
use crate::units::ByteSize;
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::Mutex;

/// Where dead letters are kept, and how many.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct DeadLetterConfig {
    /// The directory; made if there is none. Default `./forebay-data/dead-letters`. In production, a disk that survives the
    /// process. Each process needs a directory of its own.
    pub path: PathBuf,
    /// Most bytes in all files together, at least `max_file_bytes`. Default `1GiB`. A full directory stops delivery to the sinks that
    /// refuse records, until files are moved away: nothing is dropped, and clients are told to try again. An empty directory takes a letter
    /// of any size, so that none waits for ever.
    pub max_bytes: ByteSize,
    /// Most bytes in one file, and of what is written and synced at once; a letter that is larger has a file of its own. Default `64MiB`.
    pub max_file_bytes: ByteSize,
    /// Keep letters as documents in a sink instead. What that sink refuses in its turn goes to the directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<LetterTarget>,
}

/// A sink that keeps dead letters.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct LetterTarget {
    /// The sink's name. It may be the one that refuses records.
    pub sink: String,
    /// The index, or whatever the sink calls a destination; date patterns as in routes, filled from the time of burial. Default
    /// `forebay-dead-letters-%Y.%m`. The refused document is in it as text, so that it cannot be refused for its fields again.
    #[serde(default = "default_index")]
    pub index: String,
}

fn default_index() -> String {
    "forebay-dead-letters-%Y.%m".to_owned()
}

impl Default for DeadLetterConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::from("./forebay-data/dead-letters"),
            max_bytes: ByteSize::mib(1_024),
            max_file_bytes: ByteSize::mib(64),
            to: None,
        }
    }
}

impl DeadLetterConfig {
    /// Settings that cannot be right: path, seen from here, and what is wrong.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if self.path.as_os_str().is_empty() {
            faults.push(("path", "must name a directory".to_owned()));
        }
        if self.max_file_bytes.0 == 0 {
            faults.push(("max_file_bytes", "must be at least 1".to_owned()));
        }
        if self.max_bytes < self.max_file_bytes {
            faults.push(("max_bytes", "must not be below `max_file_bytes`".to_owned()));
        }
        if let Some(Err(message)) = self.to.as_ref().map(|to| Template::parse(&to.index)) {
            faults.push(("to.index", message));
        }
        faults
    }
}

/// Counts of a directory of dead letters.
#[derive(Debug, Default)]
pub struct DeadLetterStats {
    /// Letters kept since the process started.
    pub letters: AtomicU64,
    /// Bytes in the directory's files, as far as is known.
    pub bytes: AtomicU64,
    /// Attempts to keep letters that failed.
    pub failures: AtomicU64,
}

/// Keeps dead letters in files named `dead-letters-<when begun>-<number>.jsonl`, one JSON object on a line. A burial takes as many letters
/// as fit into one file, with one write and one fsync.
#[derive(Debug)]
pub struct DeadLetterDir {
    /// One writer at a time, so that at most one thread waits for the disk.
    writer: Arc<Mutex<Writer>>,
    max_file_bytes: usize,
    stats: DeadLetterStats,
}

impl DeadLetterDir {
    /// Opens a directory, and makes it if need be. Counts what is in it; a line that a crash tore is moved to a file ending in `.torn`.
    pub fn open(config: &DeadLetterConfig) -> std::io::Result<Self> {
        let writer = Writer::open(config)?;
        let stats = DeadLetterStats::default();
        stats.bytes.store(writer.used(), Relaxed);
        let max_file_bytes = config.max_file_bytes.as_usize();
        Ok(Self { writer: Arc::new(Mutex::new(writer)), max_file_bytes, stats })
    }

    /// What was kept and what failed.
    pub fn stats(&self) -> &DeadLetterStats {
        &self.stats
    }

    async fn append(&self, lines: Vec<u8>) -> Result<(), BuryError> {
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        let (written, used) = tokio::task::spawn_blocking(move || {
            let written = writer.append(&lines);
            (written, writer.used())
        })
        .await?;
        self.stats.bytes.store(used, Relaxed);
        written
    }
}

impl DeadLetters for DeadLetterDir {
    fn bury<'a>(&'a self, letters: &'a [Letter]) -> BoxFuture<'a, Result<usize, BuryError>> {
        Box::pin(async move {
            let (text, count) = lines(letters, self.max_file_bytes)?;
            let buried = self.append(text).await;
            match &buried {
                Ok(()) => self.stats.letters.fetch_add(count as u64, Relaxed),
                Err(_) => self.stats.failures.fetch_add(1, Relaxed),
            };
            buried.map(|()| count)
        })
    }
}

/// What a line says beside the document.
#[derive(Serialize)]
struct Envelope<'l> {
    buried_at: &'l str,
    arrived_at: &'l str,
    receiver: &'l str,
    route: &'l str,
    sink: &'l str,
    destination: &'l str,
    id: Option<&'l str>,
    reason: &'l str,
}

/// A time as letters have it.
pub(super) fn rfc3339(time: &mut TimestampWriter, nanos: i64) -> String {
    let (second, fraction) = time.format(nanos);
    String::from_utf8_lossy(&[&second[..], &fraction[..]].concat()).into_owned()
}

/// The first letters as lines of no more than `most` bytes together, but at least one; and how many they are.
fn lines(letters: &[Letter], most: usize) -> Result<(Vec<u8>, usize), BuryError> {
    let mut time = TimestampWriter::default();
    let mut rfc3339 = |nanos| rfc3339(&mut time, nanos);
    let mut out = Vec::new();
    for (count, letter) in letters.iter().enumerate() {
        let before = out.len();
        let envelope = Envelope {
            buried_at: &rfc3339(letter.buried),
            arrived_at: &rfc3339(letter.arrived),
            receiver: &letter.receiver,
            route: &letter.route,
            sink: &letter.sink,
            destination: &letter.destination,
            id: letter.id.as_deref(),
            reason: &letter.reason,
        };
        serde_json::to_writer(&mut out, &envelope).map_err(std::io::Error::from)?;
        out.pop();
        out.extend_from_slice(br#","document":"#);
        // A raw line break can only be white space between JSON tokens; it would tear the line.
        out.extend(
            letter.document.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }),
        );
        out.extend_from_slice(b"}\n");
        if out.len() > most && count > 0 {
            out.truncate(before);
            return Ok((out, count));
        }
    }
    Ok((out, letters.len()))
}
