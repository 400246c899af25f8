//! Data points: an `ExportMetricsServiceRequest`'s records. Each is a range of its `Metric`, and a group of the index for each metric says
//! where that is.

use super::check::{Check, Records};
use super::cursor::{Bad, Cursor};
use super::fields::{data, metric};
use super::part::{Kind, Part};
use super::point::{Shape, read_point};
use super::schema::METRIC_SCHEMA;
use super::walk::walk;
use crate::document::point_fields;
use crate::record::{MetricHead, PointHead, RecordVisitor};
use crate::wire::{Entry, Group, Index};

/// Data points of the metrics of a `ScopeMetrics`.
#[derive(Debug)]
pub(super) struct Points;

impl Records for Points {
    fn check<'b>(
        check: &mut Check<'_, '_, '_, 'b>,
        content: Cursor<'b>,
        group: Group,
        _: usize,
    ) -> Result<(), Bad> {
        const DEPTH: u32 = 3;
        check.message(content, METRIC_SCHEMA, DEPTH)?;
        let Metric { head, shape, data } = read_metric(content)?;
        let number = check.index.groups.len();
        let mut fields = data;
        while !fields.is_done() {
            let tag = fields.tag()?;
            if tag != data::POINT {
                fields.skip(tag, 0)?;
                continue;
            }
            let point = fields.message()?;
            let (offset, len) = point.span();
            check.limits(len as usize)?;
            if check.index.groups.len() == number {
                check.index.groups.push(Group { metric: content.span(), ..group });
            }
            let matcher = &mut *check.matcher;
            matcher.begin_record();
            let head =
                read_point(point, shape, head, &mut |key, value| matcher.record_attribute(key, value))?;
            if matcher.wants_head() {
                point_fields(&head, &mut |name, value| matcher.head_field(name, value));
            }
            let entry = Entry { offset, len, aux: number as u32, ..check.timed(head.time) };
            check.push(entry);
        }
        Ok(())
    }
}

/// Pushes the data points numbered by `items` (ascending) into `out`, each group once before its first point, until the visitor
/// has enough.
pub fn walk_points<'a, V: RecordVisitor<'a, PointHead<'a>>>(
    body: &'a [u8],
    index: &Index,
    items: &mut dyn Iterator<Item = u32>,
    out: &mut V,
) {
    let mut current: Option<(u32, Metric<'a>)> = None;
    walk(body, index, items, out, |number, content, item, out: &mut V| {
        let Metric { head, shape, .. } = match current {
            Some((known, metric)) if known == number => metric,
            _ => read_metric(Cursor::at(body, index.groups[number as usize].metric))?,
        };
        current = Some((number, Metric { head, shape, data: Cursor::new(&[]) }));
        let head = read_point(content, shape, head, &mut |key, value| out.attribute(key, value))?;
        Ok(out.record(item, &head))
    });
}

/// What makes the metric at this place of the body the one that it is: all of it but its data points.
pub(crate) fn metric_identity(body: &[u8], metric: (u32, u32)) -> Vec<u8> {
    let mut identity = Vec::new();
    // It was checked.
    let _ = write_identity(body, Cursor::at(body, metric), &mut identity);
    identity
}

fn write_identity(body: &[u8], mut fields: Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Bad> {
    while !fields.is_done() {
        let start = fields.offset();
        let tag = fields.tag()?;
        match tag {
            metric::GAUGE | metric::SUM | metric::HISTOGRAM | metric::EXPONENTIAL | metric::SUMMARY => {
                out.push(tag as u8);
                let mut data = fields.message()?;
                while !data.is_done() {
                    let start = data.offset();
                    let tag = data.tag()?;
                    data.skip(tag, 0)?;
                    if tag != data::POINT {
                        out.extend_from_slice(&body[start..data.offset()]);
                    }
                }
            }
            _ => {
                fields.skip(tag, 0)?;
                out.extend_from_slice(&body[start..fields.offset()]);
            }
        }
    }
    Ok(())
}

/// A metric: what its points share, what they look like, and where they are.
#[derive(Clone, Copy, Debug)]
struct Metric<'a> {
    head: MetricHead<'a>,
    shape: Shape,
    data: Cursor<'a>,
}

/// Reads a metric that was checked, but for its points.
fn read_metric(content: Cursor<'_>) -> Result<Metric<'_>, Bad> {
    let mut read = Metric { head: MetricHead::default(), shape: Shape::Number, data: Cursor::new(&[]) };
    let mut fields = content;
    while !fields.is_done() {
        let tag = fields.tag()?;
        let (kind, shape) = match tag {
            metric::GAUGE => ("gauge", Shape::Number),
            metric::SUM => ("sum", Shape::Number),
            metric::HISTOGRAM => ("histogram", Shape::Histogram),
            metric::EXPONENTIAL => ("exponential_histogram", Shape::Exponential),
            metric::SUMMARY => ("summary", Shape::Summary),
            _ => {
                read_about(tag, &mut fields, content, &mut read.head)?;
                continue;
            }
        };
        read.data = fields.message()?;
        read.shape = shape;
        read.head.kind = kind.into();
        read.head.monotonic = (tag == metric::SUM).then_some(false);
        read_data(tag, read.data, &mut read.head)?;
    }
    Ok(read)
}

/// One of the fields that say what the metric is.
fn read_about<'a>(
    tag: u64,
    fields: &mut Cursor<'a>,
    whole: Cursor<'a>,
    head: &mut MetricHead<'a>,
) -> Result<(), Bad> {
    match tag {
        metric::NAME => head.name = fields.known_text()?,
        metric::DESCRIPTION => head.description = fields.known_text()?,
        metric::UNIT => head.unit = fields.known_text()?,
        metric::METADATA => {
            fields.message()?;
            let number = (metric::METADATA >> 3) as u8;
            head.metadata = Some(Part::of(Kind::Attributes, number, whole.bytes()));
        }
        other => fields.skip(other, 0)?,
    }
    Ok(())
}

/// What the data say beside their points. A gauge and a summary say nothing.
fn read_data(of: u64, mut fields: Cursor<'_>, head: &mut MetricHead<'_>) -> Result<(), Bad> {
    if matches!(of, metric::GAUGE | metric::SUMMARY) {
        return Ok(());
    }
    while !fields.is_done() {
        match fields.tag()? {
            data::TEMPORALITY => head.temporality = fields.varint()? as i32,
            data::MONOTONIC if of == metric::SUM => head.monotonic = Some(fields.varint()? != 0),
            other => fields.skip(other, 0)?,
        }
    }
    Ok(())
}
