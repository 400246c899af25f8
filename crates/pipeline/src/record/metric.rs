//! A data point's fixed fields, and those of its metric.

use super::{Part, Text, Value};

/// What all data points of a metric share (`opentelemetry/proto/metrics/v1/metrics.proto`, message `Metric`).
#[derive(Clone, Copy, Debug, Default)]
pub struct MetricHead<'a> {
    pub name: Text<'a>,
    pub description: Text<'a>,
    pub unit: Text<'a>,
    /// `gauge`, `sum`, `histogram`, `exponential_histogram`, `summary`, or what another protocol calls it; empty if nobody says.
    pub kind: Text<'a>,
    /// A number of the enum `AggregationTemporality`, or any other: it is open. 0 when absent.
    pub temporality: i32,
    /// Of a sum: whether it only grows.
    pub monotonic: Option<bool>,
    /// Further attributes of the metric, as an object.
    pub metadata: Option<Part<'a>>,
}

/// The fixed fields of a data point of any type. What its type does not have is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub struct PointHead<'a> {
    pub metric: MetricHead<'a>,
    /// Nanoseconds since 1970, 0 when absent.
    pub time: u64,
    /// Since when it counts, nanoseconds since 1970, 0 when absent.
    pub start: u64,
    /// Bits of the enum `DataPointFlags`; bit 0 says that no value was recorded.
    pub flags: u32,
    /// A stale marker of Prometheus: the series has ended.
    pub stale: bool,
    /// The number of a gauge, a sum or a sample: `Int`, `Unsigned` or `Double`.
    pub value: Option<Value<'a>>,
    /// How many measurements.
    pub count: Option<Value<'a>>,
    pub sum: Option<f64>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// A histogram's counts, a list of numbers, and the bounds between them.
    pub bucket_counts: Option<Part<'a>>,
    pub explicit_bounds: Option<Part<'a>>,
    /// An exponential histogram's resolution.
    pub scale: Option<i32>,
    pub zero_count: Option<Value<'a>>,
    pub zero_threshold: Option<f64>,
    pub positive: Buckets<'a>,
    pub negative: Buckets<'a>,
    /// A summary's quantiles, as a list of objects.
    pub quantile_values: Option<Part<'a>>,
    /// Examples of what was measured, as a list of objects.
    pub exemplars: Option<Part<'a>>,
}

impl PointHead<'_> {
    /// Bit 0 of `flags`: there is no value, on purpose (`DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK`).
    pub const NO_RECORDED_VALUE: u32 = 1;
}

/// One side of an exponential histogram.
#[derive(Clone, Copy, Debug, Default)]
pub struct Buckets<'a> {
    /// The index of the first bucket.
    pub offset: Option<i32>,
    /// A list of numbers.
    pub counts: Option<Part<'a>>,
}
