//! OTLP logs as protobuf: an `ExportLogsServiceRequest`.
//!
//! `check` accepts what prost accepts, and walks the rest of this module through the same field tables.

mod check;
pub(super) mod cursor;
mod fields;
mod normalize;
mod scalar;
#[cfg(test)]
mod tests;
mod walk;

pub use check::{Layout, check};
pub use normalize::{NORMALIZE_EXPANSION, normalize};
pub use walk::{walk_logs, walk_nested};
