//! The parts of a series in either version, and the small messages inside of it.

use super::Version;
use super::fields::{exemplar, metadata_one, metadata_two, sample, series_one, series_two};
use super::labels::{Labels, Symbols};
use crate::record::Text;
use crate::wire::otlp::cursor::{Bad, Cursor};

/// The value that says that a series ends here (2.0, "Samples and Histogram Samples").
pub const STALE: u64 = 0x7ff0_0000_0000_0002;

const NANOS_PER_MILLI: i64 = 1_000_000;
pub(super) const TIME_RANGE: &str = "a time outside of the years 1678 to 2261";

/// The depth of messages in a series, the request being 0.
pub(super) const DEPTH: u32 = 2;

/// One field of a series.
#[derive(Debug)]
pub(super) enum Part<'b> {
    Label(Cursor<'b>),
    Reference(u32),
    References(Cursor<'b>),
    Sample(Cursor<'b>),
    Histogram(Cursor<'b>),
    Exemplar(Cursor<'b>),
    Metadata(Cursor<'b>),
    /// Milliseconds since 1970, 0 for none.
    Created(i64),
    Unknown,
}

impl<'b> Part<'b> {
    /// The next field.
    pub(super) fn next(version: Version, series: &mut Cursor<'b>) -> Result<Self, Bad> {
        let tag = series.tag()?;
        Ok(match (version, tag) {
            (Version::One, series_one::LABEL) => Self::Label(series.message()?),
            (Version::One, series_one::SAMPLE) | (Version::Two, series_two::SAMPLE) => {
                Self::Sample(series.message()?)
            }
            (Version::One, series_one::EXEMPLAR) | (Version::Two, series_two::EXEMPLAR) => {
                Self::Exemplar(series.message()?)
            }
            (Version::One, series_one::HISTOGRAM) | (Version::Two, series_two::HISTOGRAM) => {
                Self::Histogram(series.message()?)
            }
            (Version::Two, series_two::LABEL_REF) => Self::Reference(series.varint()? as u32),
            (Version::Two, series_two::LABEL_REFS) => Self::References(series.message()?),
            (Version::Two, series_two::METADATA) => Self::Metadata(series.message()?),
            (Version::Two, series_two::CREATED) => Self::Created(series.varint()? as i64),
            (Version::One, other) => {
                series.skip_unknown(other, series_one::KNOWN, 1)?;
                Self::Unknown
            }
            (Version::Two, other) => {
                series.skip_unknown(other, series_two::KNOWN, 1)?;
                Self::Unknown
            }
        })
    }
}

/// Milliseconds as nanoseconds, if there are so many.
pub(super) fn nanos(millis: i64) -> Option<i64> {
    millis.checked_mul(NANOS_PER_MILLI)
}

/// A sample.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    pub value: f64,
    /// Milliseconds since 1970; of `start` 0 for none.
    pub timestamp: i64,
    pub start: i64,
}

impl Sample {
    pub(super) fn read(version: Version, mut message: Cursor<'_>) -> Result<Self, Bad> {
        let mut read = Self::default();
        while !message.is_done() {
            match (version, message.tag()?) {
                (_, sample::VALUE) => read.value = f64::from_bits(message.fixed64()?),
                (_, sample::TIMESTAMP) => read.timestamp = message.varint()? as i64,
                (Version::Two, sample::START) => read.start = message.varint()? as i64,
                (Version::One, other) => message.skip_unknown(other, sample::KNOWN_ONE, DEPTH)?,
                (Version::Two, other) => message.skip_unknown(other, sample::KNOWN_TWO, DEPTH)?,
            }
        }
        Ok(read)
    }
}

/// An exemplar, beside its labels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exemplar {
    pub value: f64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
}

impl Exemplar {
    /// Reads one, and its labels into `labels`.
    pub(super) fn read<'b>(
        version: Version,
        mut message: Cursor<'b>,
        symbols: Symbols<'b, '_>,
        labels: &mut Labels<'b>,
    ) -> Result<Self, Bad> {
        let mut read = Self::default();
        labels.clear();
        while !message.is_done() {
            match (version, message.tag()?) {
                (Version::One, exemplar::LABELS) => labels.read(message.message()?, DEPTH + 1)?,
                (Version::Two, exemplar::LABELS) => labels.read_references(message.message()?, symbols)?,
                (Version::Two, exemplar::LABEL_REF) => labels.reference(message.varint()? as u32, symbols),
                (_, exemplar::VALUE) => read.value = f64::from_bits(message.fixed64()?),
                (_, exemplar::TIMESTAMP) => read.timestamp = message.varint()? as i64,
                (_, other) => message.skip_unknown(other, exemplar::KNOWN, DEPTH)?,
            }
        }
        Ok(read)
    }
}

/// What a metric is, by its number in `MetricType` of either version: they have the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetricType(pub i32);

impl MetricType {
    /// Its name as the OpenMetrics text format has it; `None` if it is not known.
    pub fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 8] =
            ["", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"];
        NAMES.get(usize::try_from(self.0).ok()?).copied().filter(|name| !name.is_empty())
    }
}

/// What is known of a metric.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Metadata<'b> {
    pub kind: MetricType,
    /// Of 1.0 alone; a series of 2.0 has its name among its labels.
    pub name: Text<'b>,
    pub help: Text<'b>,
    pub unit: Text<'b>,
}

impl<'b> Metadata<'b> {
    /// Reads a `MetricMetadata` of 1.0.
    pub(super) fn read_one(mut message: Cursor<'b>) -> Result<Self, Bad> {
        let mut read = Self::default();
        while !message.is_done() {
            match message.tag()? {
                metadata_one::TYPE => read.kind = MetricType(message.varint()? as i32),
                metadata_one::NAME => read.name = message.text()?,
                metadata_one::HELP => read.help = message.text()?,
                metadata_one::UNIT => read.unit = message.text()?,
                other => message.skip_unknown(other, metadata_one::KNOWN, 1)?,
            }
        }
        Ok(read)
    }

    /// Merges a `Metadata` of 2.0 into this, as protobuf does when a field is there twice. False: it refers to a symbol that is not there.
    pub(super) fn merge_two(
        &mut self,
        mut message: Cursor<'b>,
        symbols: Symbols<'b, '_>,
    ) -> Result<bool, Bad> {
        let mut is_sound = true;
        let mut text = |number: u64| {
            let number = number as u32;
            // What is not said is written as nothing, or as 0.
            let found = if number == 0 { Some(Text::default()) } else { symbols.get(number) };
            is_sound &= found.is_some();
            found.unwrap_or_default()
        };
        while !message.is_done() {
            match message.tag()? {
                metadata_two::TYPE => self.kind = MetricType(message.varint()? as i32),
                metadata_two::HELP_REF => self.help = text(message.varint()?),
                metadata_two::UNIT_REF => self.unit = text(message.varint()?),
                other => message.skip_unknown(other, metadata_two::KNOWN, DEPTH)?,
            }
        }
        Ok(is_sound)
    }
}
