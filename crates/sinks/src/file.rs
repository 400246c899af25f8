//! Files of JSON lines, one for each index: the embedded default, which needs no server.
//!
//! A destination's current file is `<name>.ndjson`. When it is full it becomes `<name>.ndjson.1`, the next one `.2`, and so on:
//! the highest number is the newest. A batch counts as delivered when it is written, and synced if so set; one that could
//! not be written whole is cut off again.

use crate::lines::LineEncoder;
use crate::{BuildContext, Fault};
use forebay_pipeline::body::Share;
use forebay_pipeline::dead_letter;
use forebay_pipeline::deliver::{DeliveryConfig, Encoder, Payload, Sink, Verdicts};
use forebay_pipeline::document::DocumentWriter;
use forebay_pipeline::units::ByteSize;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

mod journal;

use journal::{Journal, Rules, is_at};

/// Files that are kept open. Beyond it all are closed once, and opened again as they are needed.
const MAX_OPEN: usize = 128;
/// Longest destination name, in bytes; file systems allow 255 for a name, and ours have endings.
const MAX_NAME: usize = 200;

/// Settings of the `file` sink.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "FileSink")]
pub struct Config {
    /// The directory, made if it is not there. Default `forebay-data` in the working directory. Each sink of each process needs one of its
    /// own: a second one waits until the first is gone.
    pub path: PathBuf,
    /// How large a file may become before the next one is begun. Default `128MiB`. A batch is never split, so a file
    /// may hold one batch that is larger.
    pub max_file_bytes: ByteSize,
    /// How many full files are kept for each index, the newest; older ones are deleted, although they were acknowledged.
    /// Default: all are kept, and the disk is the limit. At least 1.
    pub max_files: Option<u32>,
    /// Whether a batch is synced to the disk before it counts as delivered. Default `true`: it then survives a power cut.
    /// `false` is faster, and what was acknowledged survives only a crash of Forebay itself.
    pub fsync: bool,
    /// How records reach it: batches, concurrency, retries.
    pub delivery: DeliveryConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: PathBuf::from("forebay-data"),
            max_file_bytes: ByteSize::mib(128),
            max_files: None,
            fsync: true,
            delivery: DeliveryConfig::default(),
        }
    }
}

impl Config {
    pub(crate) fn build(&self, context: &BuildContext) -> Result<Arc<dyn Sink>, Vec<Fault>> {
        let mut faults = Vec::new();
        if self.path.as_os_str().is_empty() {
            faults.push(Fault::new("path", "names no directory"));
        }
        if self.max_file_bytes.0 == 0 {
            faults.push(Fault::new("max_file_bytes", "must be larger than 0"));
        }
        if self.max_files == Some(0) {
            faults.push(Fault::new("max_files", "must be at least 1; leave it out to keep all files"));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let rules = Rules { max_bytes: self.max_file_bytes.0, max_files: self.max_files, fsync: self.fsync };
        let files = Files::new(self.path.clone(), rules);
        Ok(Arc::new(FileSink { files: Arc::new(files), writer: DocumentWriter::new(&context.promote) }))
    }
}

#[derive(Debug)]
struct FileSink {
    files: Arc<Files>,
    writer: DocumentWriter,
}

impl Sink for FileSink {
    fn encoder(&self, destination: &str, limit: usize) -> Box<dyn Encoder> {
        Box::new(LineEncoder::new(destination, limit, self.writer.clone()))
    }

    fn send<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, Verdicts> {
        let files = Arc::clone(&self.files);
        let payload = payload.clone();
        Box::pin(async move {
            let written = tokio::task::spawn_blocking(move || files.append(&payload)).await;
            written.unwrap_or_else(|error| again(&error))
        })
    }

    fn render(&self, share: &Share, item: u32) -> Vec<u8> {
        self.writer.clone().document(&share.body, item)
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), String>> {
        let files = Arc::clone(&self.files);
        Box::pin(async move {
            let owned = tokio::task::spawn_blocking(move || files.own().map_err(|error| files.told(&error)));
            owned.await.unwrap_or_else(|error| Err(error.to_string()))
        })
    }
}

/// The files of one directory.
#[derive(Debug)]
struct Files {
    directory: PathBuf,
    rules: Rules,
    /// The directory, locked: two processes that number full files would overwrite each other's.
    owned: Mutex<Option<File>>,
    /// By destination. A journal's own lock is held while it is written to, this one is not.
    open: Mutex<HashMap<Arc<str>, Arc<Mutex<Journal>>>>,
}

impl Files {
    fn new(directory: PathBuf, rules: Rules) -> Self {
        Self { directory, rules, owned: Mutex::default(), open: Mutex::default() }
    }

    /// Makes sure that the directory is there, and this process's alone until the sink is dropped.
    fn own(&self) -> io::Result<()> {
        let mut owned = self.owned.lock();
        // Somebody may have moved or deleted it: what stands there now is another one.
        if owned.as_ref().is_some_and(|lock| is_at(lock, &self.directory)) {
            return Ok(());
        }
        *owned = None;
        std::fs::create_dir_all(&self.directory)?;
        *owned = Some(dead_letter::lock(&self.directory)?);
        Ok(())
    }

    fn told(&self, error: &io::Error) -> String {
        format!("{}: {error}", self.directory.display())
    }

    fn append(&self, payload: &Payload) -> Verdicts {
        let name = &payload.destination;
        if !is_file_name(name) {
            return Verdicts::Blocked { reason: format!("{name:?} cannot be the name of a file") };
        }
        let appended = self.own().and_then(|()| self.journal(name).lock().append(&payload.bytes));
        match appended {
            Ok(()) => Verdicts::Delivered,
            Err(error) if needs_mending(&error) => Verdicts::Blocked { reason: self.told(&error) },
            Err(error) => again(&error),
        }
    }

    fn journal(&self, name: &Arc<str>) -> Arc<Mutex<Journal>> {
        let mut open = self.open.lock();
        if open.len() >= MAX_OPEN && !open.contains_key(name) {
            // One that is being written to stays alive with its writer, and must stay known, or it would be opened twice.
            open.retain(|_, journal| Arc::strong_count(journal) > 1);
        }
        let journal = open.entry(Arc::clone(name)).or_insert_with(|| {
            let path = self.directory.join(format!("{name}.ndjson"));
            Arc::new(Mutex::new(Journal::new(path, self.rules)))
        });
        Arc::clone(journal)
    }
}

/// A full disk or a failing one may be well again soon.
fn again(error: &dyn std::error::Error) -> Verdicts {
    Verdicts::Retry { reason: error.to_string(), after: None, overloaded: false }
}

/// Whether somebody has to do something before writing can succeed.
fn needs_mending(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(
        error.kind(),
        PermissionDenied | ReadOnlyFilesystem | NotADirectory | IsADirectory | ResourceBusy
    )
}

/// Names are checked where routes are built; here only that none leaves the directory.
fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && !name.starts_with('.')
        && !name.contains(|c: char| matches!(c, '/' | '\\') || c.is_control())
}

#[cfg(test)]
mod tests;
