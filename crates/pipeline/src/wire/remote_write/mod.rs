//! Prometheus remote-write, both messages: `prometheus.WriteRequest` (1.0) and `io.prometheus.write.v2.Request` (2.0).
//!
//! A body is the message as it was inflated. A record is a sample or a native histogram, of 1.0 also an entry of metadata. Exemplars belong to
//! their series: they travel with its last record in the request, because that is the youngest and the only one which every series has just
//! once. A series of nothing but exemplars (Prometheus sends them so) is one record.
//!
//! A message that prost would not decode is refused whole. A series or a record that breaks a rule of the specification is refused by itself.
//!
//! Specification: <https://prometheus.io/docs/specs/prw/remote_write_spec/> (1.0) and <https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/>
//! (2.0-rc.3 and 2.0-rc.4, which differ in where a start timestamp stands; both are read).

mod check;
mod fields;
mod histogram;
mod identity;
mod labels;
mod series;
#[cfg(test)]
mod tests;
mod walk;

use crate::wire::WireId;

pub use check::{ExemplarCounts, check};
pub use histogram::{Buckets, Count, Histogram};
pub use identity::identities;
pub use labels::{Label, MAX_LABELS};
pub use series::{Exemplar, MetricType, STALE};
pub use walk::{Exemplars, Point, Reading, SeriesHead, Visitor, walk};

/// Which of the two messages a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `prometheus.WriteRequest`.
    One,
    /// `io.prometheus.write.v2.Request`.
    Two,
}

impl Version {
    /// The version of a body of this wire.
    pub(crate) fn of(wire: WireId) -> Self {
        if wire == WireId::RemoteWrite1 { Self::One } else { Self::Two }
    }
}
