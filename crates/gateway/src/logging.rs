//! Forebay's own log: one JSON object a line on standard error.

use crate::settings::{LogLevel, LogSettings};
use tracing_subscriber::EnvFilter;

/// Starts logging. `FOREBAY_LOG` (tracing's filter syntax) overrides the configured level.
pub fn start(settings: &LogSettings) {
    let level = match settings.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    };
    // What libraries say of their connections belongs to debugging.
    let default = format!("warn,forebay={level},forebay_pipeline={level},forebay_sinks={level}");
    let filter = std::env::var("FOREBAY_LOG").ok().and_then(|text| EnvFilter::try_new(text).ok());
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(std::io::stderr)
        .with_env_filter(filter.unwrap_or_else(|| EnvFilter::new(default)))
        .try_init();
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
}
