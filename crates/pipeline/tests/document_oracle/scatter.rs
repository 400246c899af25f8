//! Other encodings of a request: fields in any order, messages split over several fields, values written twice, fields that
//! nobody knows. What they mean is for prost to say.

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

#[derive(Clone, Copy)]
pub enum Message {
    Request,
    TraceRequest,
    MetricsRequest,
    ResourceLogs,
    Resource,
    ScopeLogs,
    Scope,
    LogRecord,
    KeyValue,
    AnyValue,
    Array,
    Map,
    EntityRef,
    ResourceSpans,
    ScopeSpans,
    Span,
    Event,
    Link,
    Status,
    ResourceMetrics,
    ScopeMetrics,
    Metric,
    /// Of each type, its data and its points.
    Numbers,
    Number,
    Histogram,
    HistogramPoint,
    Exponential,
    ExponentialPoint,
    Buckets,
    Summary,
    SummaryPoint,
    Quantile,
    Exemplar,
}

/// Whether a field holds packed numbers, and whether they are varints.
fn packed(of: Message, field: u64) -> Option<bool> {
    match (of, field) {
        (Message::HistogramPoint, 6 | 7) => Some(false),
        (Message::Buckets, 2) => Some(true),
        _ => None,
    }
}

/// What message a field holds, if it holds one.
fn content(of: Message, field: u64) -> Option<Message> {
    Some(match (of, field) {
        (Message::Request, 1) => Message::ResourceLogs,
        (Message::ResourceLogs, 1) => Message::Resource,
        (Message::ResourceLogs, 2) => Message::ScopeLogs,
        (Message::Resource, 1) | (Message::Scope, 3) | (Message::LogRecord, 6) | (Message::Map, 1) => {
            Message::KeyValue
        }
        (Message::Span, 9) | (Message::Event, 3) | (Message::Link, 4) | (Message::Metric, 12) => {
            Message::KeyValue
        }
        (Message::Number | Message::SummaryPoint | Message::Exemplar, 7) => Message::KeyValue,
        (Message::HistogramPoint, 9) | (Message::ExponentialPoint, 1) => Message::KeyValue,
        (Message::TraceRequest, 1) => Message::ResourceSpans,
        (Message::ResourceSpans | Message::ResourceMetrics, 1) => Message::Resource,
        (Message::ResourceSpans, 2) => Message::ScopeSpans,
        (Message::ScopeSpans | Message::ScopeMetrics, 1) => Message::Scope,
        (Message::ScopeSpans, 2) => Message::Span,
        (Message::Span, 11) => Message::Event,
        (Message::Span, 13) => Message::Link,
        (Message::Span, 15) => Message::Status,
        (Message::MetricsRequest, 1) => Message::ResourceMetrics,
        (Message::ResourceMetrics, 2) => Message::ScopeMetrics,
        (Message::ScopeMetrics, 2) => Message::Metric,
        (Message::Metric, 5 | 7) => Message::Numbers,
        (Message::Metric, 9) => Message::Histogram,
        (Message::Metric, 10) => Message::Exponential,
        (Message::Metric, 11) => Message::Summary,
        (Message::Numbers, 1) => Message::Number,
        (Message::Histogram, 1) => Message::HistogramPoint,
        (Message::Exponential, 1) => Message::ExponentialPoint,
        (Message::Summary, 1) => Message::SummaryPoint,
        (Message::Number, 5) | (Message::HistogramPoint, 8) | (Message::ExponentialPoint, 11) => {
            Message::Exemplar
        }
        (Message::ExponentialPoint, 8 | 9) => Message::Buckets,
        (Message::SummaryPoint, 6) => Message::Quantile,
        (Message::Resource, 3) => Message::EntityRef,
        (Message::ScopeLogs, 1) => Message::Scope,
        (Message::ScopeLogs, 2) => Message::LogRecord,
        (Message::LogRecord, 5) | (Message::KeyValue, 2) | (Message::Array, 1) => Message::AnyValue,
        (Message::AnyValue, 5) => Message::Array,
        (Message::AnyValue, 6) => Message::Map,
        _ => return None,
    })
}

/// The request in another encoding, which `seed` chooses.
pub fn request(bytes: &[u8], kind: Message, seed: u64) -> Vec<u8> {
    scatter(bytes, kind, &mut StdRng::seed_from_u64(seed))
}

fn scatter(bytes: &[u8], message: Message, dice: &mut StdRng) -> Vec<u8> {
    let mut fields = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (tag, payload, after) = split_field(rest);
        match content(message, tag >> 3) {
            Some(inner) => {
                let inner = scatter(payload, inner, dice);
                fields.extend(pieces(&inner, dice).into_iter().map(|piece| length_delimited(tag, piece)));
            }
            None if packed(message, tag >> 3).is_some() && dice.random_ratio(1, 4) => {
                let is_varint = packed(message, tag >> 3) == Some(true);
                fields.extend(unpacked(tag, payload, is_varint, dice));
            }
            None => fields.push(rest[..rest.len() - after.len()].to_vec()),
        }
        rest = after;
    }
    if dice.random_ratio(1, 8) {
        fields.shuffle(dice);
    }
    if !fields.is_empty() && dice.random_ratio(1, 16) {
        let twice = fields[dice.random_range(0..fields.len())].clone();
        fields.insert(dice.random_range(0..=fields.len()), twice);
    }
    if dice.random_ratio(1, 8) {
        fields.insert(dice.random_range(0..=fields.len()), unknown(dice));
    }
    fields.concat()
}

/// The message in one piece, or cut between two of its fields, or with an empty one beside it.
fn pieces<'m>(message: &'m [u8], dice: &mut StdRng) -> Vec<&'m [u8]> {
    if !dice.random_ratio(1, 16) {
        return vec![message];
    }
    let mut ends = vec![0];
    let mut rest = message;
    while !rest.is_empty() {
        rest = split_field(rest).2;
        ends.push(message.len() - rest.len());
    }
    let (first, second) = message.split_at(ends[dice.random_range(0..ends.len())]);
    vec![first, second]
}

/// Packed numbers one by one, or in two lists.
fn unpacked(tag: u64, mut payload: &[u8], is_varint: bool, dice: &mut StdRng) -> Vec<Vec<u8>> {
    let mut numbers = Vec::new();
    while !payload.is_empty() {
        let length = if is_varint { payload.len() - read_varint(payload).1.len() } else { 8 };
        let (number, after) = payload.split_at(length);
        numbers.push(number.to_vec());
        payload = after;
    }
    if dice.random_ratio(1, 2) {
        let (first, second) = numbers.split_at(numbers.len() / 2);
        return [first, second].map(|numbers| length_delimited(tag, &numbers.concat())).to_vec();
    }
    let wire_type = u64::from(!is_varint);
    let alone = |number: Vec<u8>| {
        let mut out = Vec::new();
        varint(tag & !7 | wire_type, &mut out);
        out.extend(number);
        out
    };
    numbers.into_iter().map(alone).collect()
}

/// A field with a number that no message has.
fn unknown(dice: &mut StdRng) -> Vec<u8> {
    let field: u64 = 1_000;
    let mut out = Vec::new();
    match dice.random_range(0..5) {
        0 => {
            varint(field << 3, &mut out);
            varint(dice.random(), &mut out);
        }
        1 => {
            varint(field << 3 | 1, &mut out);
            out.extend(dice.random::<[u8; 8]>());
        }
        2 => return length_delimited(field << 3 | 2, &dice.random::<[u8; 5]>()),
        3 => {
            // A group, with a field in it.
            varint(field << 3 | 3, &mut out);
            out.extend(length_delimited(1 << 3 | 2, b"\xff"));
            varint(field << 3 | 4, &mut out);
        }
        _ => {
            varint(field << 3 | 5, &mut out);
            out.extend(dice.random::<[u8; 4]>());
        }
    }
    out
}

/// The first field's tag and content, and what follows it. The bytes come from prost, so they are well-formed.
fn split_field(bytes: &[u8]) -> (u64, &[u8], &[u8]) {
    let (tag, rest) = read_varint(bytes);
    let (length, rest) = match tag & 7 {
        0 => (rest.len() - read_varint(rest).1.len(), rest),
        1 => (8, rest),
        2 => {
            let (length, rest) = read_varint(rest);
            (length as usize, rest)
        }
        3 => (group_length(rest), rest),
        5 => (4, rest),
        other => panic!("wire type {other}"),
    };
    let (payload, after) = rest.split_at(length);
    (tag, payload, after)
}

/// Bytes up to and with the end of a group.
fn group_length(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    loop {
        let (tag, after) = read_varint(rest);
        if tag & 7 == 4 {
            return bytes.len() - after.len();
        }
        rest = split_field(rest).2;
    }
}

fn read_varint(bytes: &[u8]) -> (u64, &[u8]) {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let value = bytes[..length].iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f));
    (value, &bytes[length..])
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn length_delimited(tag: u64, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(tag, &mut out);
    varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}
