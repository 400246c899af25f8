//! Forebay's own log: one JSON object a line on standard error.

mod queue;

use crate::settings::{LogLevel, LogSettings};
use queue::Queue;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// How long the end of the process waits for what is still to be written. A reader that does not read is not waited for longer.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(1);

static QUEUE: LazyLock<Arc<Queue>> = LazyLock::new(Arc::default);

/// A started log. Dropped, it waits a moment for the lines that are still to be written.
#[must_use = "the last lines are lost without it"]
#[derive(Debug)]
pub struct Log(());

impl Drop for Log {
    fn drop(&mut self) {
        QUEUE.flush(LAST_LINES_WITHIN);
    }
}

/// Lines that could not be written, or for which there was no room because nobody reads.
pub fn lost_lines() -> u64 {
    QUEUE.lost()
}

/// Writes a ready line behind all others, whatever the log's level is.
pub fn line(text: &str) {
    QUEUE.push(format!("{text}\n").into_bytes());
}

/// Starts logging. `FOREBAY_LOG` (tracing's filter syntax) overrides the configured level.
///
/// # Errors
/// There is no thread to be had for it.
pub fn start(settings: &LogSettings) -> io::Result<Log> {
    let level = match settings.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    };
    // What libraries say of their connections belongs to debugging.
    let default = format!("warn,forebay={level},forebay_pipeline={level},forebay_sinks={level}");
    let filter = std::env::var("FOREBAY_LOG").ok().and_then(|text| EnvFilter::try_new(text).ok());
    std::thread::Builder::new().name("log".to_owned()).spawn(|| Arc::clone(&QUEUE).write_to(io::stderr()))?;
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(Line::default)
        // Would be printed past the queue.
        .log_internal_errors(false)
        .with_env_filter(filter.unwrap_or_else(|| EnvFilter::new(default)))
        .try_init();
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
    tell_panics();
    Ok(Log(()))
}

/// Panics go the same way as all else: the standard hook would wait for the reader of the log.
fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| {
        // There is one where the environment asks for it (`RUST_BACKTRACE`).
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        tracing::error!(%panic, backtrace, "panicked");
    }));
}

/// One event of the log, gathered and then sent off in one piece.
#[derive(Debug, Default)]
struct Line(Vec<u8>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            QUEUE.push(std::mem::take(&mut self.0));
        }
    }
}
