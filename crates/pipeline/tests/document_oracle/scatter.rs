//! Other encodings of a request: fields in any order, messages split over several fields, values written twice, fields that
//! nobody knows. What they mean is for prost to say.

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

#[derive(Clone, Copy)]
enum Message {
    Request,
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
pub fn request(bytes: &[u8], seed: u64) -> Vec<u8> {
    scatter(bytes, Message::Request, &mut StdRng::seed_from_u64(seed))
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
