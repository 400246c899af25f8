//! OTLP as protobuf: an `ExportLogsServiceRequest`, `ExportTraceServiceRequest` or `ExportMetricsServiceRequest`.
//!
//! `check` accepts what prost accepts, and walks the rest of this module through the same field tables.

mod check;
pub(super) mod cursor;
mod fields;
mod json;
mod message;
mod metric;
mod normalize;
mod part;
mod point;
mod scalar;
mod schema;
mod span;
#[cfg(test)]
mod tests;
mod walk;

pub use check::{Layout, check};
pub use json::{Untranslated, from_json};
pub(crate) use metric::metric_identity;
pub use metric::walk_points;
pub use normalize::{NORMALIZE_EXPANSION, normalize};
pub use part::Part;
pub use span::walk_spans;
pub use walk::{walk_logs, walk_nested};
