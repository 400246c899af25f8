//! The walk over a checked request: pushes series and their records into a visitor. It cannot fail.

use super::Version;
use super::check::NAME_LABEL;
use super::histogram::Histogram;
use super::labels::{Label, Labels, Symbols};
use super::series::{Exemplar, Metadata, MetricType, Part, STALE, Sample, nanos};
use crate::record::Text;
use crate::wire::otlp::cursor::{Bad, Cursor};
use crate::wire::{Entry, Index};

/// What a series says of each of its records.
#[derive(Clone, Copy, Debug, Default)]
pub struct SeriesHead<'a> {
    /// The label `__name__`.
    pub name: Text<'a>,
    pub kind: MetricType,
    pub help: Text<'a>,
    pub unit: Text<'a>,
    /// When its records began to be counted, nanoseconds since 1970 (2.0-rc.3).
    pub created: Option<i64>,
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub struct Point<'a> {
    /// When its counting began, nanoseconds since 1970.
    pub start: Option<i64>,
    pub reading: Reading<'a>,
    /// The exemplars that travel with it.
    pub exemplars: Option<Exemplars<'a>>,
}

/// What a record tells.
#[derive(Clone, Copy, Debug)]
pub enum Reading<'a> {
    /// Nothing beside its series and its exemplars.
    Nothing,
    Sample(f64),
    Histogram(Histogram<'a>),
}

impl Reading<'_> {
    /// Whether it says that the series ends here.
    pub fn is_stale(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Sample(value) => value.to_bits() == STALE,
            Self::Histogram(histogram) => histogram.is_stale(),
        }
    }
}

/// The exemplars of a series.
#[derive(Clone, Copy, Debug)]
pub struct Exemplars<'a> {
    version: Version,
    symbols: Symbols<'a, 'a>,
    series: Cursor<'a>,
}

impl<'a> Exemplars<'a> {
    /// Pushes each, with its labels.
    pub fn each(&self, mut visit: impl FnMut(Exemplar, &[Label<'a>])) {
        let mut labels = Labels::default();
        let mut series = self.series;
        while !series.is_done() {
            let Ok(part) = Part::next(self.version, &mut series) else { return };
            let Part::Exemplar(content) = part else { continue };
            let read = Exemplar::read(self.version, content, self.symbols, &mut labels);
            debug_assert!(read.is_ok(), "check accepted what walk cannot read");
            if let Ok(exemplar) = read {
                visit(exemplar, labels.as_slice());
            }
        }
    }
}

/// Receives records: `series` before the first of each, with its labels but for the metric's name.
pub trait Visitor<'a> {
    fn series(&mut self, head: &SeriesHead<'a>, labels: &mut dyn Iterator<Item = Label<'a>>);
    /// The record with this number in its body's index. False stops the walk: the visitor has taken as much as it can hold.
    fn point(&mut self, item: u32, point: &Point<'a>) -> bool;
}

/// Pushes the records numbered by `items` (ascending) into `out`, until the visitor has enough.
pub fn walk<'a>(
    body: &'a [u8],
    version: Version,
    index: &'a Index,
    items: &mut dyn Iterator<Item = u32>,
    out: &mut dyn Visitor<'a>,
) {
    let symbols = Symbols { body, spans: &index.symbols };
    let mut walk =
        Walk { body, version, index, symbols, labels: Labels::default(), head: SeriesHead::default() };
    let mut current = None;
    for item in items {
        let entry = &index.records[item as usize];
        if current.replace(entry.aux) != Some(entry.aux) {
            let walked = walk.series(entry, out);
            debug_assert!(walked.is_ok(), "check accepted what walk cannot read");
        }
        let point = walk.point(entry);
        debug_assert!(point.is_ok(), "check accepted what walk cannot read");
        if !point.is_ok_and(|point| out.point(item, &point)) {
            return;
        }
    }
}

struct Walk<'a> {
    body: &'a [u8],
    version: Version,
    index: &'a Index,
    symbols: Symbols<'a, 'a>,
    labels: Labels<'a>,
    head: SeriesHead<'a>,
}

impl<'a> Walk<'a> {
    fn series(&mut self, entry: &Entry, out: &mut dyn Visitor<'a>) -> Result<(), Bad> {
        self.labels.clear();
        self.head = if entry.flags & Entry::METADATA != 0 {
            let Metadata { kind, name, help, unit } = Metadata::read_one(self.record(entry))?;
            SeriesHead { name, kind, help, unit, created: None }
        } else {
            self.read_series(self.span(entry))?
        };
        let labels = self.labels.as_slice();
        out.series(&self.head, &mut labels.iter().copied().filter(|(name, _)| name.as_bytes() != NAME_LABEL));
        Ok(())
    }

    fn read_series(&mut self, mut series: Cursor<'a>) -> Result<SeriesHead<'a>, Bad> {
        let (mut metadata, mut created) = (Metadata::default(), 0);
        while !series.is_done() {
            match Part::next(self.version, &mut series)? {
                Part::Label(label) => self.labels.read(label, 2)?,
                Part::Reference(number) => self.labels.reference(number, self.symbols),
                Part::References(packed) => self.labels.read_references(packed, self.symbols)?,
                Part::Metadata(content) => drop(metadata.merge_two(content, self.symbols)?),
                Part::Created(millis) => created = millis,
                Part::Sample(_) | Part::Histogram(_) | Part::Exemplar(_) | Part::Unknown => {}
            }
        }
        let name = self.labels.as_slice().iter().find(|(name, _)| name.as_bytes() == NAME_LABEL);
        let name = name.map(|(_, value)| *value).unwrap_or_default();
        let Metadata { kind, help, unit, .. } = metadata;
        Ok(SeriesHead { name, kind, help, unit, created: start_of(created) })
    }

    fn point(&self, entry: &Entry) -> Result<Point<'a>, Bad> {
        let (start, reading) = if entry.flags & (Entry::METADATA | Entry::EXEMPLARS_ALONE) != 0 {
            (0, Reading::Nothing)
        } else if entry.flags & Entry::HISTOGRAM != 0 {
            let histogram = Histogram::read(self.record(entry))?;
            (histogram.start, Reading::Histogram(histogram))
        } else {
            let sample = Sample::read(self.version, self.record(entry))?;
            (sample.start, Reading::Sample(sample.value))
        };
        let exemplars = (entry.flags & Entry::EXEMPLARS != 0).then(|| Exemplars {
            version: self.version,
            symbols: self.symbols,
            series: self.span(entry),
        });
        Ok(Point { start: start_of(start).or(self.head.created), reading, exemplars })
    }

    fn record(&self, entry: &Entry) -> Cursor<'a> {
        Cursor::at(self.body, (entry.offset, entry.len))
    }

    fn span(&self, entry: &Entry) -> Cursor<'a> {
        Cursor::at(self.body, self.index.series[entry.aux as usize])
    }
}

/// A start timestamp in nanoseconds; 0 is none (2.0, "Samples and Histogram Samples").
fn start_of(millis: i64) -> Option<i64> {
    nanos(millis).filter(|_| millis != 0)
}
