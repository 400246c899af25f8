//! Native histograms (<https://prometheus.io/docs/specs/native_histograms/>): integer or float counts, standard or custom buckets.

use super::fields::bucket_span;
use super::fields::histogram::{self as field, Sides};
use super::series::{DEPTH, STALE};
use crate::wire::otlp::cursor::{BYTES, Bad, Cursor, FIXED64, VARINT, tag};

/// The schema of buckets with bounds of their own ("Custom values").
const CUSTOM: i32 = -53;
/// Schemas of standard buckets, those reserved for the future among them ("Schema").
const STANDARD: std::ops::RangeInclusive<i32> = -9..=52;

/// A number of observations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Count {
    Int(u64),
    Float(f64),
}

impl Default for Count {
    fn default() -> Self {
        Self::Int(0)
    }
}

/// A native histogram of a body that passed `check`.
#[derive(Clone, Copy, Debug)]
pub struct Histogram<'b> {
    pub count: Count,
    /// The sum of all observations; [`STALE`](super::STALE) in a marker of the end of its series.
    pub sum: f64,
    /// The resolution of the buckets, -53 for custom ones.
    pub schema: i32,
    pub zero_threshold: f64,
    pub zero_count: Count,
    /// `ResetHint`: 1 after a reset, 2 none since the last, 3 of a gauge.
    pub reset_hint: i32,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// The same, 0 for none.
    pub start: i64,
    message: Cursor<'b>,
}

/// The buckets of one side.
#[derive(Clone, Copy, Debug)]
pub struct Buckets<'b> {
    message: Cursor<'b>,
    sides: Sides,
    is_float: bool,
}

impl<'b> Histogram<'b> {
    /// Reads all fields but those of buckets.
    pub(super) fn read(message: Cursor<'b>) -> Result<Self, Bad> {
        let mut read = Self {
            count: Count::default(),
            sum: 0.0,
            schema: 0,
            zero_threshold: 0.0,
            zero_count: Count::default(),
            reset_hint: 0,
            timestamp: 0,
            start: 0,
            message,
        };
        let mut fields = message;
        while !fields.is_done() {
            match fields.tag()? {
                field::COUNT_INT => read.count = Count::Int(fields.varint()?),
                field::COUNT_FLOAT => read.count = Count::Float(f64::from_bits(fields.fixed64()?)),
                field::SUM => read.sum = f64::from_bits(fields.fixed64()?),
                field::SCHEMA => read.schema = zigzag32(fields.varint()?),
                field::ZERO_THRESHOLD => read.zero_threshold = f64::from_bits(fields.fixed64()?),
                field::ZERO_COUNT_INT => read.zero_count = Count::Int(fields.varint()?),
                field::ZERO_COUNT_FLOAT => {
                    read.zero_count = Count::Float(f64::from_bits(fields.fixed64()?));
                }
                field::RESET_HINT => read.reset_hint = fields.varint()? as i32,
                field::TIMESTAMP => read.timestamp = fields.varint()? as i64,
                field::START => read.start = fields.varint()? as i64,
                tag if is_of_buckets(tag) => fields.skip(tag, DEPTH)?,
                other => fields.skip_unknown(other, field::KNOWN, DEPTH)?,
            }
        }
        Ok(read)
    }

    /// The buckets of observations above zero; of a custom histogram all of them.
    pub fn positive(&self) -> Buckets<'b> {
        self.side(field::POSITIVE)
    }

    /// The buckets of observations below zero.
    pub fn negative(&self) -> Buckets<'b> {
        self.side(field::NEGATIVE)
    }

    fn side(&self, sides: Sides) -> Buckets<'b> {
        Buckets { message: self.message, sides, is_float: matches!(self.count, Count::Float(_)) }
    }

    /// Whether it says no more than that its series ends here.
    pub fn is_stale(&self) -> bool {
        self.sum.to_bits() == STALE
    }

    /// Whether its buckets have bounds of their own.
    pub fn is_custom(&self) -> bool {
        self.schema == CUSTOM
    }

    /// The upper bounds of custom buckets, but for the last one, which has none.
    pub fn each_bound(&self, mut visit: impl FnMut(f64)) {
        let walked = doubles(self.message, field::CUSTOM_VALUES, &mut visit);
        debug_assert!(walked.is_ok(), "check accepted what walk cannot read");
    }

    /// Reads what `check` must have read before anything else is asked, and says which rule it breaks, if any.
    pub(super) fn check(&self) -> Result<Option<&'static str>, Bad> {
        let (mut bounds, mut last, mut is_ascending) = (0u64, f64::NEG_INFINITY, true);
        doubles(self.message, field::CUSTOM_VALUES, &mut |bound| {
            is_ascending &= bound.is_finite() && bound > last;
            (bounds, last) = (bounds + 1, bound);
        })?;
        let positive = self.positive().check()?;
        let negative = self.negative().check()?;
        if self.is_stale() {
            return Ok(None);
        }
        if let Some(fault) = positive.fault.or(negative.fault) {
            return Ok(Some(fault));
        }
        if !is_ascending {
            return Ok(Some("a histogram whose bounds do not ascend"));
        }
        let is_number = |count| !matches!(count, Count::Float(count) if !count.is_finite());
        if !is_number(self.count) || !is_number(self.zero_count) || !self.zero_threshold.is_finite() {
            return Ok(Some("a histogram with a count that is no number"));
        }
        let fault = if self.is_custom() {
            let is_outside = positive.start < 0 || positive.end > i128::from(bounds) + 1;
            let has_zeros = ![Count::Int(0), Count::Float(0.0)].contains(&self.zero_count);
            (is_outside || has_zeros || negative.buckets > 0)
                .then_some("a histogram of custom buckets with others beside them")
        } else if STANDARD.contains(&self.schema) {
            (bounds > 0).then_some("a histogram of standard buckets with bounds of its own")
        } else {
            Some("a histogram of an unknown schema")
        };
        Ok(fault)
    }
}

/// What a look at the buckets of one side has found.
#[derive(Debug, Default)]
struct Found {
    buckets: u64,
    /// The index of the first bucket, and the one after the last's.
    start: i128,
    end: i128,
    fault: Option<&'static str>,
}

impl Buckets<'_> {
    /// The spans: the gap to the one before, or the first bucket's index (Prometheus counts from 1 the bucket whose lower bound is 1), and
    /// how many buckets there are without a gap.
    pub fn each_span(&self, mut visit: impl FnMut(i32, u32)) {
        let walked = spans(self.message, self.sides.span, &mut visit);
        debug_assert!(walked.is_ok(), "check accepted what walk cannot read");
    }

    /// The observations in each bucket of all spans in turn.
    pub fn each_count(&self, mut visit: impl FnMut(Count)) {
        let walked = if self.is_float {
            doubles(self.message, self.sides.counts, &mut |count| visit(Count::Float(count)))
        } else {
            let mut count = 0i64;
            deltas(self.message, self.sides.deltas, &mut |delta| {
                count = count.wrapping_add(delta);
                visit(Count::Int(count as u64));
            })
        };
        debug_assert!(walked.is_ok(), "check accepted what walk cannot read");
    }

    fn check(&self) -> Result<Found, Bad> {
        let mut found = Found::default();
        let (mut spans_read, mut has_gap_back) = (0u64, false);
        spans(self.message, self.sides.span, &mut |offset, length| {
            if spans_read == 0 {
                found.start = i128::from(offset);
            }
            has_gap_back |= spans_read > 0 && offset < 0;
            found.end += i128::from(offset) + i128::from(length);
            found.buckets += u64::from(length);
            spans_read += 1;
        })?;
        let (mut floats, mut ints, mut is_sound) = (0u64, 0u64, true);
        doubles(self.message, self.sides.counts, &mut |count| {
            is_sound &= count.is_finite() && count >= 0.0;
            floats += 1;
        })?;
        let mut count = 0i64;
        deltas(self.message, self.sides.deltas, &mut |delta| {
            let next = count.checked_add(delta).filter(|count| *count >= 0);
            is_sound &= next.is_some();
            (count, ints) = (next.unwrap_or_default(), ints + 1);
        })?;
        let (own, other) = if self.is_float { (floats, ints) } else { (ints, floats) };
        found.fault = if other > 0 {
            Some("a histogram with integer and float counts")
        } else if own != found.buckets {
            Some("a histogram whose spans and counts do not agree")
        } else if !is_sound {
            Some("a histogram with a negative or impossible count")
        } else {
            has_gap_back.then_some("a histogram whose spans overlap")
        };
        Ok(found)
    }
}

/// Whether the field is read by a pass of its own.
fn is_of_buckets(field: u64) -> bool {
    let number = field >> 3;
    let is_list = |sides: Sides| [sides.deltas, sides.counts].contains(&number);
    [field::POSITIVE.span, field::NEGATIVE.span].contains(&field)
        || number == field::CUSTOM_VALUES
        || is_list(field::POSITIVE)
        || is_list(field::NEGATIVE)
}

fn spans(mut message: Cursor<'_>, span: u64, visit: &mut dyn FnMut(i32, u32)) -> Result<(), Bad> {
    while !message.is_done() {
        let tag = message.tag()?;
        if tag != span {
            message.skip(tag, DEPTH)?;
            continue;
        }
        let (mut content, mut offset, mut length) = (message.message()?, 0, 0);
        while !content.is_done() {
            match content.tag()? {
                bucket_span::OFFSET => offset = zigzag32(content.varint()?),
                bucket_span::LENGTH => length = content.varint()? as u32,
                other => content.skip_unknown(other, bucket_span::KNOWN, DEPTH + 1)?,
            }
        }
        visit(offset, length);
    }
    Ok(())
}

/// The values of a repeated `double`, packed or not.
fn doubles(mut message: Cursor<'_>, number: u64, visit: &mut dyn FnMut(f64)) -> Result<(), Bad> {
    while !message.is_done() {
        let field = message.tag()?;
        if field == tag(number, FIXED64) {
            visit(f64::from_bits(message.fixed64()?));
        } else if field == tag(number, BYTES) {
            let mut packed = message.message()?;
            while !packed.is_done() {
                visit(f64::from_bits(packed.fixed64()?));
            }
        } else if field >> 3 == number {
            return Err(message.error("field has the wrong wire type"));
        } else {
            message.skip(field, DEPTH)?;
        }
    }
    Ok(())
}

/// The values of a repeated `sint64`, packed or not.
fn deltas(mut message: Cursor<'_>, number: u64, visit: &mut dyn FnMut(i64)) -> Result<(), Bad> {
    let zigzag = |value: u64| (value >> 1) as i64 ^ -((value & 1) as i64);
    while !message.is_done() {
        let field = message.tag()?;
        if field == tag(number, VARINT) {
            visit(zigzag(message.varint()?));
        } else if field == tag(number, BYTES) {
            let mut packed = message.message()?;
            while !packed.is_done() {
                visit(zigzag(packed.varint()?));
            }
        } else if field >> 3 == number {
            return Err(message.error("field has the wrong wire type"));
        } else {
            message.skip(field, DEPTH)?;
        }
    }
    Ok(())
}

fn zigzag32(value: u64) -> i32 {
    let value = value as u32;
    (value >> 1) as i32 ^ -((value & 1) as i32)
}
