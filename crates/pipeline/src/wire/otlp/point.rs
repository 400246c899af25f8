//! Data points of each type, read after they were checked.

use super::cursor::{BYTES, Bad, Cursor};
use super::fields::{buckets, exponential, histogram, number, point, summary};
use super::part::{Kind, Part};
use super::walk::read_key_value;
use crate::record::{Buckets, MetricHead, Part as AnyPart, PointHead, Text, Value};

/// Which message a data point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Number,
    Histogram,
    Exponential,
    Summary,
}

/// Reads a data point of this shape; `attribute` is given its attributes.
pub(super) fn read_point<'a>(
    content: Cursor<'a>,
    shape: Shape,
    metric: MetricHead<'a>,
    attribute: &mut impl FnMut(Text<'a>, Value<'a>),
) -> Result<PointHead<'a>, Bad> {
    let mut head = PointHead { metric, ..PointHead::default() };
    let attributes = match shape {
        Shape::Number => number::ATTRIBUTE,
        Shape::Histogram => histogram::ATTRIBUTE,
        Shape::Exponential => exponential::ATTRIBUTE,
        Shape::Summary => summary::ATTRIBUTE,
    };
    if shape != Shape::Number {
        head.count = Some(Value::Unsigned(0));
    }
    match shape {
        Shape::Exponential => {
            head.scale = Some(0);
            head.zero_count = Some(Value::Unsigned(0));
        }
        Shape::Summary => head.sum = Some(0.0),
        Shape::Number | Shape::Histogram => {}
    }
    let mut fields = content;
    while !fields.is_done() {
        let tag = fields.tag()?;
        match tag {
            _ if tag == attributes => {
                let (key, value) = read_key_value(fields.message()?)?;
                attribute(key, value);
            }
            point::START => head.start = fields.fixed64()?,
            point::TIME => head.time = fields.fixed64()?,
            _ if shape == Shape::Number => read_number(tag, &mut fields, content, &mut head)?,
            point::COUNT => head.count = Some(Value::Unsigned(fields.fixed64()?)),
            point::SUM => head.sum = Some(double(&mut fields)?),
            _ => match shape {
                Shape::Histogram => read_histogram(tag, &mut fields, content, &mut head)?,
                Shape::Exponential => read_exponential(tag, &mut fields, content, &mut head)?,
                _ => read_summary(tag, &mut fields, content, &mut head)?,
            },
        }
    }
    Ok(head)
}

/// A field of a `NumberDataPoint`. Of `value` the last one counts.
fn read_number<'a>(
    tag: u64,
    fields: &mut Cursor<'a>,
    whole: Cursor<'a>,
    head: &mut PointHead<'a>,
) -> Result<(), Bad> {
    match tag {
        number::DOUBLE => head.value = Some(Value::Double(double(fields)?)),
        number::INT => head.value = Some(Value::Int(fields.fixed64()? as i64)),
        number::FLAGS => head.flags = fields.varint()? as u32,
        number::EXEMPLAR => head.exemplars = exemplars(fields, tag, whole)?,
        other => fields.skip(other, 0)?,
    }
    Ok(())
}

fn read_histogram<'a>(
    tag: u64,
    fields: &mut Cursor<'a>,
    whole: Cursor<'a>,
    head: &mut PointHead<'a>,
) -> Result<(), Bad> {
    match tag {
        histogram::FLAGS => head.flags = fields.varint()? as u32,
        histogram::MIN => head.min = Some(double(fields)?),
        histogram::MAX => head.max = Some(double(fields)?),
        histogram::EXEMPLAR => head.exemplars = exemplars(fields, tag, whole)?,
        _ => {
            let is_empty = is_empty_list(tag, fields)?;
            let (list, kind) = match tag >> 3 {
                histogram::BUCKET_COUNTS => (&mut head.bucket_counts, Kind::Fixed64s),
                histogram::EXPLICIT_BOUNDS => (&mut head.explicit_bounds, Kind::Doubles),
                _ => return Ok(()),
            };
            if !is_empty {
                *list = Some(Part::of(kind, (tag >> 3) as u8, whole.bytes()));
            }
        }
    }
    Ok(())
}

fn read_exponential<'a>(
    tag: u64,
    fields: &mut Cursor<'a>,
    whole: Cursor<'a>,
    head: &mut PointHead<'a>,
) -> Result<(), Bad> {
    match tag {
        exponential::SCALE => head.scale = Some(zigzag(fields.varint()?)),
        exponential::ZERO_COUNT => head.zero_count = Some(Value::Unsigned(fields.fixed64()?)),
        exponential::POSITIVE => head.positive = read_buckets(fields.message()?)?,
        exponential::NEGATIVE => head.negative = read_buckets(fields.message()?)?,
        exponential::FLAGS => head.flags = fields.varint()? as u32,
        exponential::EXEMPLAR => head.exemplars = exemplars(fields, tag, whole)?,
        exponential::MIN => head.min = Some(double(fields)?),
        exponential::MAX => head.max = Some(double(fields)?),
        exponential::ZERO_THRESHOLD => {
            head.zero_threshold = Some(double(fields)?).filter(|threshold| *threshold != 0.0);
        }
        other => fields.skip(other, 0)?,
    }
    Ok(())
}

fn read_buckets(content: Cursor<'_>) -> Result<Buckets<'_>, Bad> {
    let mut found = Buckets { offset: Some(0), counts: None };
    let mut fields = content;
    while !fields.is_done() {
        match fields.tag()? {
            buckets::OFFSET => found.offset = Some(zigzag(fields.varint()?)),
            tag => {
                let is_empty = is_empty_list(tag, &mut fields)?;
                if tag >> 3 == buckets::COUNTS && !is_empty {
                    found.counts = Some(Part::of(Kind::Varints, buckets::COUNTS as u8, content.bytes()));
                }
            }
        }
    }
    Ok(found)
}

fn read_summary<'a>(
    tag: u64,
    fields: &mut Cursor<'a>,
    whole: Cursor<'a>,
    head: &mut PointHead<'a>,
) -> Result<(), Bad> {
    match tag {
        summary::FLAGS => head.flags = fields.varint()? as u32,
        summary::QUANTILE => {
            fields.message()?;
            head.quantile_values = Some(Part::of(Kind::Quantiles, (tag >> 3) as u8, whole.bytes()));
        }
        other => fields.skip(other, 0)?,
    }
    Ok(())
}

fn exemplars<'a>(fields: &mut Cursor<'a>, tag: u64, whole: Cursor<'a>) -> Result<Option<AnyPart<'a>>, Bad> {
    fields.message()?;
    Ok(Some(Part::of(Kind::Exemplars, (tag >> 3) as u8, whole.bytes())))
}

/// Skips a field, and says whether it is a packed list of nothing.
fn is_empty_list(tag: u64, fields: &mut Cursor<'_>) -> Result<bool, Bad> {
    if tag & 7 == BYTES {
        return Ok(fields.message()?.is_done());
    }
    fields.skip(tag, 0)?;
    Ok(false)
}

fn double(fields: &mut Cursor<'_>) -> Result<f64, Bad> {
    Ok(f64::from_bits(fields.fixed64()?))
}

/// A `sint32`: of what does not fit, as prost does, the lower half.
fn zigzag(varint: u64) -> i32 {
    let half = varint as u32;
    (half >> 1) as i32 ^ -((half & 1) as i32)
}
