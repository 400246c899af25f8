//! Fields of the messages as tags (number and wire type), with a mask of the numbers known in each message.
//!
//! Source: Prometheus 3, `prompb/remote.proto`, `prompb/types.proto` and `prompb/io/prometheus/write/v2/types.proto`.

use crate::wire::otlp::cursor::{BYTES, FIXED64, VARINT, tag};

/// `prometheus.WriteRequest`.
pub(super) mod write_request {
    use super::{BYTES, tag};
    pub const SERIES: u64 = tag(1, BYTES);
    pub const METADATA: u64 = tag(3, BYTES);
    pub const KNOWN: u64 = 0b1010;
}

/// `io.prometheus.write.v2.Request`.
pub(super) mod request {
    use super::{BYTES, tag};
    pub const SYMBOL: u64 = tag(4, BYTES);
    pub const SERIES: u64 = tag(5, BYTES);
    pub const KNOWN: u64 = 0b11_0000;
}

/// `prometheus.TimeSeries`.
pub(super) mod series_one {
    use super::{BYTES, tag};
    pub const LABEL: u64 = tag(1, BYTES);
    pub const SAMPLE: u64 = tag(2, BYTES);
    pub const EXEMPLAR: u64 = tag(3, BYTES);
    pub const HISTOGRAM: u64 = tag(4, BYTES);
    pub const KNOWN: u64 = 0b1_1110;
}

/// `io.prometheus.write.v2.TimeSeries`.
pub(super) mod series_two {
    use super::{BYTES, VARINT, tag};
    pub const LABEL_REF: u64 = tag(1, VARINT);
    pub const LABEL_REFS: u64 = tag(1, BYTES);
    pub const SAMPLE: u64 = tag(2, BYTES);
    pub const HISTOGRAM: u64 = tag(3, BYTES);
    pub const EXEMPLAR: u64 = tag(4, BYTES);
    pub const METADATA: u64 = tag(5, BYTES);
    /// In 2.0-rc.3; reserved since.
    pub const CREATED: u64 = tag(6, VARINT);
    pub const KNOWN: u64 = 0b111_1110;
}

pub(super) mod label {
    use super::{BYTES, tag};
    pub const NAME: u64 = tag(1, BYTES);
    pub const VALUE: u64 = tag(2, BYTES);
    pub const KNOWN: u64 = 0b110;
}

pub(super) mod sample {
    use super::{FIXED64, VARINT, tag};
    pub const VALUE: u64 = tag(1, FIXED64);
    pub const TIMESTAMP: u64 = tag(2, VARINT);
    /// In 2.0-rc.4.
    pub const START: u64 = tag(3, VARINT);
    pub const KNOWN_ONE: u64 = 0b110;
    pub const KNOWN_TWO: u64 = 0b1110;
}

pub(super) mod exemplar {
    use super::{BYTES, FIXED64, VARINT, tag};
    /// Of 1.0 a label, of 2.0 references.
    pub const LABELS: u64 = tag(1, BYTES);
    pub const LABEL_REF: u64 = tag(1, VARINT);
    pub const VALUE: u64 = tag(2, FIXED64);
    pub const TIMESTAMP: u64 = tag(3, VARINT);
    pub const KNOWN: u64 = 0b1110;
}

/// `prometheus.MetricMetadata`.
pub(super) mod metadata_one {
    use super::{BYTES, VARINT, tag};
    pub const TYPE: u64 = tag(1, VARINT);
    pub const NAME: u64 = tag(2, BYTES);
    pub const HELP: u64 = tag(4, BYTES);
    pub const UNIT: u64 = tag(5, BYTES);
    pub const KNOWN: u64 = 0b11_0110;
}

/// `io.prometheus.write.v2.Metadata`.
pub(super) mod metadata_two {
    use super::{VARINT, tag};
    pub const TYPE: u64 = tag(1, VARINT);
    pub const HELP_REF: u64 = tag(3, VARINT);
    pub const UNIT_REF: u64 = tag(4, VARINT);
    pub const KNOWN: u64 = 0b1_1010;
}

/// `Histogram`, the same in both.
pub(super) mod histogram {
    use super::{BYTES, FIXED64, VARINT, tag};
    pub const COUNT_INT: u64 = tag(1, VARINT);
    pub const COUNT_FLOAT: u64 = tag(2, FIXED64);
    pub const SUM: u64 = tag(3, FIXED64);
    pub const SCHEMA: u64 = tag(4, VARINT);
    pub const ZERO_THRESHOLD: u64 = tag(5, FIXED64);
    pub const ZERO_COUNT_INT: u64 = tag(6, VARINT);
    pub const ZERO_COUNT_FLOAT: u64 = tag(7, FIXED64);
    pub const NEGATIVE: Sides = Sides { span: tag(8, BYTES), deltas: 9, counts: 10 };
    pub const POSITIVE: Sides = Sides { span: tag(11, BYTES), deltas: 12, counts: 13 };
    pub const RESET_HINT: u64 = tag(14, VARINT);
    pub const TIMESTAMP: u64 = tag(15, VARINT);
    pub const CUSTOM_VALUES: u64 = 16;
    /// In 2.0-rc.4.
    pub const START: u64 = tag(17, VARINT);
    pub const KNOWN: u64 = 0x3_fffe;

    /// The fields of the buckets of one side: a tag, and numbers of fields that may be packed.
    #[derive(Clone, Copy, Debug)]
    pub struct Sides {
        pub span: u64,
        pub deltas: u64,
        pub counts: u64,
    }
}

pub(super) mod bucket_span {
    use super::{VARINT, tag};
    pub const OFFSET: u64 = tag(1, VARINT);
    pub const LENGTH: u64 = tag(2, VARINT);
    pub const KNOWN: u64 = 0b110;
}
