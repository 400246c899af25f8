//! The pass over a request: everything is checked, records are indexed, series are routed.

use super::Version;
use super::fields::{request, write_request};
use super::histogram::Histogram;
use super::labels::{Labels, Symbols};
use super::series::{Exemplar, Metadata, Part, Sample, TIME_RANGE, nanos};
use crate::record::Value;
use crate::route::Matcher;
use crate::wire::otlp::cursor::{Bad, Cursor};
use crate::wire::{CheckContext, Entry, Index, Malformed};

/// Interned texts may be spread over so many bytes for each byte of the request: Prometheus comes to some ten.
const MAX_SPREAD: usize = 64;
/// And over so many in any case, bytes.
const FREE_SPREAD: usize = 1 << 20;

/// Which records have exemplars: a record's number, and how many.
pub type ExemplarCounts = Vec<(u32, u32)>;

/// Checks `body`, fills `index`, and routes each series through `matcher`.
///
/// # Errors
/// What prost would not decode, symbols without the empty one in front, or a limit. Series and records that break another rule are in
/// `index.rejected`, each with the number of its series from 1.
pub fn check<'b>(
    body: &'b [u8],
    version: Version,
    context: &CheckContext<'_>,
    matcher: &mut Matcher<'_, 'b>,
    index: &mut Index,
) -> Result<ExemplarCounts, Malformed> {
    index.symbols = match version {
        Version::One => Vec::new(),
        Version::Two => symbols(body, context.limits.max_records).map_err(|bad| *bad)?,
    };
    let spans = std::mem::take(&mut index.symbols);
    let mut check = Check {
        version,
        context,
        symbols: Symbols { body, spans: &spans },
        matcher,
        index,
        labels: Labels::default(),
        exemplar_labels: Labels::default(),
        pending: Vec::new(),
        exemplar_counts: Vec::new(),
        position: 0,
        spread: body.len().saturating_mul(MAX_SPREAD).saturating_add(FREE_SPREAD),
    };
    let checked = check.request(Cursor::new(body)).map_err(|bad| *bad);
    let counts = check.exemplar_counts;
    index.symbols = spans;
    checked.map(|()| counts)
}

/// Where the symbols are. They are looked for first, for they may stand behind what refers to them.
fn symbols(body: &[u8], limit: usize) -> Result<Vec<(u32, u32)>, Bad> {
    let mut spans = Vec::new();
    let mut message = Cursor::new(body);
    while !message.is_done() {
        match message.tag()? {
            request::SYMBOL => {
                let content = message.message()?;
                content.utf8()?;
                if spans.len() == limit {
                    return Err(Box::new(Malformed::TooManyRecords { limit }));
                }
                if spans.is_empty() && !content.is_done() {
                    return Err(message.error("the first symbol is not empty"));
                }
                spans.push(content.span());
            }
            other => message.skip(other, 0)?,
        }
    }
    Ok(spans)
}

struct Check<'c, 'm, 'p, 'b> {
    version: Version,
    context: &'c CheckContext<'c>,
    symbols: Symbols<'b, 'c>,
    matcher: &'m mut Matcher<'p, 'b>,
    index: &'m mut Index,
    labels: Labels<'b>,
    exemplar_labels: Labels<'b>,
    /// The records of the series at hand.
    pending: Vec<Entry>,
    exemplar_counts: ExemplarCounts,
    /// The number of the series at hand, from 1.
    position: usize,
    /// Bytes that interned texts may still be spread over.
    spread: usize,
}

/// What is known of the series at hand beside its labels and good records.
#[derive(Debug, Default)]
struct Findings<'b> {
    metadata: Metadata<'b>,
    exemplars: u32,
    first_exemplar: i64,
    samples: usize,
    histograms: usize,
    /// Bytes of texts, and of the longest record.
    texts: usize,
    longest: usize,
    /// Why all of it is refused.
    fault: Option<&'static str>,
    /// How many records are refused by themselves, and why one of them is.
    bad: u64,
    why_bad: &'static str,
}

impl<'b> Check<'_, '_, '_, 'b> {
    fn request(&mut self, mut message: Cursor<'b>) -> Result<(), Bad> {
        self.matcher.begin_resource();
        while !message.is_done() {
            match (self.version, message.tag()?) {
                (Version::One, write_request::SERIES) | (Version::Two, request::SERIES) => {
                    self.series(message.message()?)?;
                }
                (Version::One, write_request::METADATA) => self.metadata(message.message()?)?,
                (Version::One, other) => message.skip_unknown(other, write_request::KNOWN, 0)?,
                (Version::Two, request::SYMBOL) => drop(message.message()?),
                (Version::Two, other) => message.skip_unknown(other, request::KNOWN, 0)?,
            }
        }
        Ok(())
    }

    fn series(&mut self, mut series: Cursor<'b>) -> Result<(), Bad> {
        let span = series.span();
        self.position += 1;
        self.labels.clear();
        self.pending.clear();
        let mut found = Findings::default();
        while !series.is_done() {
            match Part::next(self.version, &mut series)? {
                Part::Label(label) => self.labels.read(label, 2)?,
                Part::Reference(number) => self.labels.reference(number, self.symbols),
                Part::References(packed) => self.labels.read_references(packed, self.symbols)?,
                Part::Sample(content) => self.sample(content, &mut found)?,
                Part::Histogram(content) => self.histogram(content, &mut found)?,
                Part::Exemplar(content) => self.exemplar(content, &mut found)?,
                Part::Metadata(content) => {
                    if !found.metadata.merge_two(content, self.symbols)? {
                        found.fault = Some("metadata that refers to a symbol that is not there");
                    }
                }
                Part::Created(millis) if nanos(millis).is_none() => found.fault = Some(TIME_RANGE),
                Part::Created(_) | Part::Unknown => {}
            }
        }
        found.texts += self.labels.bytes();
        found.texts += found.metadata.help.as_bytes().len() + found.metadata.unit.as_bytes().len();
        self.spend(found.texts, &series)?;
        self.conclude(span, &mut found)
    }

    /// Texts of 2.0 that stand once on the wire and many times in documents must not be without bounds.
    fn spend(&mut self, texts: usize, at: &Cursor<'b>) -> Result<(), Bad> {
        if self.version == Version::Two {
            let spread = self.spread.checked_sub(texts);
            self.spread = spread.ok_or_else(|| at.error("symbols are used far more often than they save"))?;
        }
        Ok(())
    }

    fn sample(&mut self, content: Cursor<'b>, found: &mut Findings<'b>) -> Result<(), Bad> {
        let sample = Sample::read(self.version, content)?;
        found.samples += 1;
        let fault = nanos(sample.start).is_none().then_some(TIME_RANGE);
        self.record(content, sample.timestamp, 0, fault, found)
    }

    fn histogram(&mut self, content: Cursor<'b>, found: &mut Findings<'b>) -> Result<(), Bad> {
        let histogram = Histogram::read(content)?;
        let fault = histogram.check()?;
        found.histograms += 1;
        let fault = fault.or_else(|| nanos(histogram.start).is_none().then_some(TIME_RANGE));
        self.record(content, histogram.timestamp, Entry::HISTOGRAM, fault, found)
    }

    /// A record of the series at hand, which `fault` speaks against.
    fn record(
        &mut self,
        content: Cursor<'b>,
        timestamp: i64,
        flags: u32,
        fault: Option<&'static str>,
        found: &mut Findings<'b>,
    ) -> Result<(), Bad> {
        self.has_room()?;
        let (offset, len) = content.span();
        match (nanos(timestamp), fault) {
            (Some(time), None) => {
                found.longest = found.longest.max(len as usize);
                let flags = flags | Entry::HAS_TIME;
                self.pending.push(Entry { time, offset, len, aux: 0, flags });
            }
            (_, fault) => (found.bad, found.why_bad) = (found.bad + 1, fault.unwrap_or(TIME_RANGE)),
        }
        Ok(())
    }

    fn has_room(&self) -> Result<(), Bad> {
        let limit = self.context.limits.max_records;
        if self.index.records.len() + self.pending.len() >= limit {
            return Err(Box::new(Malformed::TooManyRecords { limit }));
        }
        Ok(())
    }

    fn exemplar(&mut self, content: Cursor<'b>, found: &mut Findings<'b>) -> Result<(), Bad> {
        let labels = &mut self.exemplar_labels;
        let exemplar = Exemplar::read(self.version, content, self.symbols, labels)?;
        if let Some(fault) = labels.fault() {
            found.fault = Some(fault);
        }
        match nanos(exemplar.timestamp) {
            None => found.fault = Some(TIME_RANGE),
            Some(time) if found.exemplars == 0 => found.first_exemplar = time,
            Some(_) => {}
        }
        found.exemplars += 1;
        found.texts = found.texts.saturating_add(labels.bytes());
        Ok(())
    }

    /// The series is read: takes its records, or says why not.
    fn conclude(&mut self, (offset, len): (u32, u32), found: &mut Findings<'b>) -> Result<(), Bad> {
        if self.pending.is_empty() && found.bad == 0 {
            if found.exemplars > 0 {
                self.has_room()?;
                let flags = Entry::HAS_TIME | Entry::EXEMPLARS_ALONE;
                self.pending.push(Entry { time: found.first_exemplar, offset, len, aux: 0, flags });
            } else if self.version == Version::Two {
                self.reject(1, unsound("a series without samples and histograms"));
                return Ok(());
            }
        }
        if let Some(why) = self.fault(found) {
            self.reject(self.pending.len() as u64 + found.bad, why);
            return Ok(());
        }
        self.reject(found.bad, unsound(found.why_bad));
        if found.samples > 0 && found.histograms > 0 {
            // Which one is the last must not depend on the order of fields, which means nothing.
            self.pending.sort_by_key(|entry| entry.flags & Entry::HISTOGRAM);
        }
        let Some(last) = self.pending.last_mut() else { return Ok(()) };
        if found.exemplars > 0 {
            last.flags |= Entry::EXEMPLARS;
            let item = self.index.records.len() + self.pending.len() - 1;
            self.exemplar_counts.push((item as u32, found.exemplars));
        }
        self.route(&found.metadata);
        self.take((offset, len));
        Ok(())
    }

    /// Why no record of the series is taken.
    fn fault(&self, found: &Findings<'b>) -> Option<Malformed> {
        let limit = self.context.limits.max_record_bytes;
        let bytes = found.texts.saturating_add(found.longest);
        if bytes > limit {
            return Some(Malformed::RecordTooLarge { bytes, limit });
        }
        // Of 1.0 the specification does not say so, and there is no doubt what is meant.
        let is_mixed = self.version == Version::Two && found.samples > 0 && found.histograms > 0;
        let mixed = is_mixed.then_some("a series with both samples and histograms");
        let unnamed = self.labels.as_slice().is_empty().then_some("a series without labels");
        self.labels.fault().or(found.fault).or(mixed).or(unnamed).map(unsound)
    }

    fn reject(&mut self, records: u64, why: Malformed) {
        if records > 0 {
            self.index.rejected.push(self.position, why);
            self.index.rejected.count += records - 1;
        }
    }

    /// Shows the matcher the series, by the names that its fields have in the document.
    fn route(&mut self, metadata: &Metadata<'b>) {
        self.matcher.begin_record();
        for (name, value) in self.labels.as_slice() {
            if name.as_bytes() == NAME_LABEL {
                self.matcher.head_field("metric.name", Value::Str(*value));
            } else {
                self.matcher.record_attribute(*name, Value::Str(*value));
            }
        }
        if let Some(kind) = metadata.kind.name() {
            self.matcher.head_field("metric.type", Value::Str(kind.into()));
        }
        let Metadata { name, help, unit, .. } = metadata;
        for (field, text) in [("metric.name", name), ("metric.unit", unit), ("metric.description", help)] {
            if !text.is_empty() {
                self.matcher.head_field(field, Value::Str(*text));
            }
        }
    }

    /// Takes the records at hand where the matcher says.
    fn take(&mut self, series: (u32, u32)) {
        let routes = self.matcher.decide();
        let aux = self.index.series.len() as u32;
        self.index.series.push(series);
        for entry in self.pending.drain(..) {
            let hour = self.context.window.hour(entry.time, self.context.arrived);
            self.index.push(Entry { aux, ..entry }, routes, hour);
        }
    }

    /// An entry of metadata of 1.0, which belongs to no series.
    fn metadata(&mut self, content: Cursor<'b>) -> Result<(), Bad> {
        let (offset, len) = content.span();
        let metadata = Metadata::read_one(content)?;
        self.pending.clear();
        self.has_room()?;
        self.position += 1;
        let limit = self.context.limits.max_record_bytes;
        if len as usize > limit {
            self.reject(1, Malformed::RecordTooLarge { bytes: len as usize, limit });
            return Ok(());
        }
        self.labels.clear();
        self.route(&metadata);
        let time = self.context.arrived;
        self.pending.push(Entry { time, offset, len, aux: 0, flags: Entry::METADATA });
        self.take((offset, 0));
        Ok(())
    }
}

/// The name of the label that is the metric's name.
pub(super) const NAME_LABEL: &[u8] = b"__name__";

fn unsound(what: &'static str) -> Malformed {
    Malformed::Unsupported { what }
}
