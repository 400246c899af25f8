//! Members of JSON objects and their values, with the last of equal names winning.
//!
//! Every member is written with a comma in front, so each is one contiguous stretch of the output that can be cut out
//! again, and the comma of the first becomes the opening bracket.

use super::escape::{write_escaped, write_string};
use super::names::{ATTRIBUTES, is_taken};
use crate::record::{Key, Nested, NestedVisitor, Text, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Up to so many members of one object, names are compared pair by pair; beyond, they are sorted.
const PAIRWISE: usize = 16;

/// Remembers where the members of the objects being written are: a stack, an inner object above its outer one.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots(Vec<Slot>);

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Where the member begins (at its comma), and where its value does.
    start: usize,
    value: usize,
    tag: u32,
}

/// Tells most names apart: length, first and last byte.
pub(super) fn tag_of(name: &[u8]) -> u32 {
    match (name.first(), name.last()) {
        (Some(first), Some(last)) => (name.len() as u32) << 16 | u32::from(*first) << 8 | u32::from(*last),
        _ => 0,
    }
}

impl Slots {
    /// Forgets all members.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether a member written since `clear` begins with `name`: a name as it was rendered, `,"name":`.
    pub(super) fn contains(&self, tag: u32, name: &[u8], out: &[u8]) -> bool {
        self.0.iter().any(|slot| slot.tag == tag && &out[slot.start..slot.value] == name)
    }

    /// Cuts members out of `out` that have a later namesake, looking at slots from `base` up. The last member ends where
    /// `out` does.
    pub(super) fn drop_duplicates(&mut self, base: usize, out: &mut Vec<u8>) {
        let slots = &self.0[base..];
        if slots.len() <= PAIRWISE && !has_equal_tags(slots) {
            return;
        }
        // By name, then by place: of equal names the last survives. Sorting keeps a hostile record from costing the square
        // of its size.
        let mut order: Vec<usize> = (0..slots.len()).collect();
        order.sort_unstable_by_key(|at| (&out[slots[*at].start..slots[*at].value], *at));
        let mut dropped: Vec<usize> = Vec::new();
        for pair in order.windows(2) {
            let [one, next] = [pair[0], pair[1]].map(|at| &out[slots[at].start..slots[at].value]);
            if one == next {
                dropped.push(pair[0]);
            }
        }
        dropped.sort_unstable();
        self.cut(base, &dropped, out);
    }

    /// Closes the gaps that the members `dropped` (ascending, counted from `base`) leave.
    fn cut(&mut self, base: usize, dropped: &[usize], out: &mut Vec<u8>) {
        let Some(first) = dropped.first() else { return };
        let slots = &mut self.0[base..];
        let mut dropped = dropped.iter().peekable();
        let mut kept = *first;
        let mut to = slots[*first].start;
        for at in *first..slots.len() {
            let from = slots[at].start;
            let end = slots.get(at + 1).map_or(out.len(), |next| next.start);
            if dropped.next_if_eq(&&at).is_some() {
                continue;
            }
            out.copy_within(from..end, to);
            slots[kept] = Slot { start: to, value: to + (slots[at].value - from), tag: slots[at].tag };
            kept += 1;
            to += end - from;
        }
        out.truncate(to);
        self.0.truncate(base + kept);
    }
}

fn has_equal_tags(slots: &[Slot]) -> bool {
    slots.iter().enumerate().any(|(at, slot)| slots[..at].iter().any(|earlier| earlier.tag == slot.tag))
}

/// The names of record attributes as they were rendered last, by position: most records of a body have the same ones in the same
/// order.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    cached: Vec<Name>,
    next: usize,
    /// So many of the cached names are known to differ from each other.
    distinct: usize,
}

#[derive(Clone, Debug, Default)]
struct Name {
    key: Vec<u8>,
    /// `,"<key>":`, escaped, behind a prefix if the name is taken.
    text: Vec<u8>,
    tag: u32,
}

impl Names {
    /// Positions beyond this are rendered each time, so that one odd record does not leave a large cache behind.
    const MOST: usize = 64;

    /// A new record begins.
    pub(super) fn rewind(&mut self) {
        self.next = 0;
    }

    /// Appends one attribute of a record and remembers its place.
    pub(super) fn write_member(
        &mut self,
        key: Text<'_>,
        value: Value<'_>,
        slots: &mut Slots,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        let tag = match self.cached.get(self.next) {
            Some(name) if name.key == key.as_bytes() => {
                out.extend_from_slice(&name.text);
                name.tag
            }
            _ => self.render(key, out),
        };
        self.next += 1;
        slots.0.push(Slot { start, value: out.len(), tag });
        write_value(value, slots, out);
    }

    /// Drops attributes that have a later namesake; nothing is compared where the last record with these names had none.
    pub(super) fn drop_duplicates(&mut self, slots: &mut Slots, out: &mut Vec<u8>) {
        if self.next <= self.distinct {
            return;
        }
        let before = slots.0.len();
        slots.drop_duplicates(0, out);
        if slots.0.len() == before && self.next <= self.cached.len() {
            self.distinct = self.next;
        }
    }

    fn render(&mut self, key: Text<'_>, out: &mut Vec<u8>) -> u32 {
        let start = out.len();
        self.distinct = 0;
        let prefix = if is_taken(key.as_bytes()) { ATTRIBUTES } else { "" };
        write_name(prefix, Key::Plain(key), out);
        let tag = tag_of(key.as_bytes());
        if self.next < Self::MOST {
            if self.cached.len() <= self.next {
                self.cached.push(Name::default());
            }
            let name = &mut self.cached[self.next];
            name.key.clear();
            name.key.extend_from_slice(key.as_bytes());
            name.text.clear();
            name.text.extend_from_slice(&out[start..]);
            name.tag = tag;
        }
        tag
    }
}

/// Appends `,"<prefix><key>":<value>` and remembers its place.
pub(super) fn write_member(
    prefix: &str,
    key: Key<'_>,
    value: Value<'_>,
    slots: &mut Slots,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    let name = write_name(prefix, key, out);
    slots.0.push(Slot { start, value: out.len(), tag: tag_of(name) });
    write_value(value, slots, out);
}

/// Appends `,"<prefix><key>":` and returns the key's text.
pub(super) fn write_name<'k>(prefix: &str, key: Key<'k>, out: &mut Vec<u8>) -> &'k [u8] {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(prefix.as_bytes());
    let name = match key {
        Key::Plain(text) => {
            write_escaped(text.as_bytes(), out);
            text.as_bytes()
        }
        Key::Escaped(text) => {
            out.extend_from_slice(text.as_bytes());
            text.as_bytes()
        }
    };
    out.extend_from_slice(b"\":");
    name
}

/// Appends `value` as JSON. `slots` is left as it was found.
pub(super) fn write_value(value: Value<'_>, slots: &mut Slots, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(number) => write_int(number, out),
        Value::Double(number) => write_double(number, out),
        Value::Str(text) => write_string(text.as_bytes(), out),
        Value::Escaped(text) => {
            out.push(b'"');
            out.extend_from_slice(text.as_bytes());
            out.push(b'"');
        }
        Value::Number(digits) => out.extend_from_slice(digits.as_bytes()),
        Value::Bytes(bytes) => write_base64(bytes, out),
        Value::Array(nested) => write_nested(nested, false, slots, out),
        Value::Map(nested) => write_nested(nested, true, slots, out),
    }
}

/// Appends the digits of an integer.
pub(super) fn write_int(number: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn write_double(number: f64, out: &mut Vec<u8>) {
    if number.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes());
        return;
    }
    let word: &[u8] = if number.is_nan() {
        b"\"NaN\""
    } else if number > 0.0 {
        b"\"Infinity\""
    } else {
        b"\"-Infinity\""
    };
    out.extend_from_slice(word);
}

fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    // The room is exact, so this cannot fail; if it could, the value would be empty rather than wrong.
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
    out.push(b'"');
}

fn write_nested(nested: Nested<'_>, is_map: bool, slots: &mut Slots, out: &mut Vec<u8>) {
    let (open, close) = if is_map { (b'{', b'}') } else { (b'[', b']') };
    let start = out.len();
    let base = slots.0.len();
    nested.walk(is_map, &mut NestedWriter { slots, out });
    slots.drop_duplicates(base, out);
    slots.0.truncate(base);
    match out.get_mut(start) {
        Some(comma) => *comma = open,
        None => out.push(open),
    }
    out.push(close);
}

struct NestedWriter<'w> {
    slots: &'w mut Slots,
    out: &'w mut Vec<u8>,
}

impl<'a> NestedVisitor<'a> for NestedWriter<'_> {
    fn member(&mut self, key: Option<Key<'a>>, value: Value<'a>) {
        match key {
            Some(key) => write_member("", key, value, self.slots, self.out),
            None => {
                self.out.push(b',');
                write_value(value, self.slots, self.out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn members(names: &[&str]) -> String {
        let mut slots = Slots::default();
        let mut out = b"{\"first\":0".to_vec();
        for (at, name) in names.iter().enumerate() {
            write_member("", Key::Plain((*name).into()), Value::Int(at as i64), &mut slots, &mut out);
        }
        slots.drop_duplicates(0, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_last_of_equal_names_wins_in_its_place() {
        assert_eq!(members(&["a", "b", "a", "c"]), r#"{"first":0,"b":1,"a":2,"c":3"#);
        assert_eq!(members(&["a", "a", "a"]), r#"{"first":0,"a":2"#);
        assert_eq!(members(&["", "b", "", "b"]), r#"{"first":0,"":2,"b":3"#);
    }

    #[test]
    fn equal_tags_alone_drop_nothing() {
        assert_eq!(members(&["abz", "acz"]), r#"{"first":0,"abz":0,"acz":1"#);
    }

    #[test]
    fn many_members_are_told_apart_by_sorting() {
        let names: Vec<String> = (0..40).map(|n| format!("k{}", n % 30)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let expected: String = (10..40).map(|n| format!(",\"k{}\":{n}", n % 30)).collect();
        assert_eq!(members(&names), format!("{{\"first\":0{expected}"));
    }

    #[test]
    fn scalars_have_their_json_forms() {
        let cases = [
            (Value::Null, "null"),
            (Value::Bool(true), "true"),
            (Value::Int(i64::MIN), "-9223372036854775808"),
            (Value::Double(1.0), "1.0"),
            (Value::Double(-0.0), "-0.0"),
            (Value::Double(f64::NAN), "\"NaN\""),
            (Value::Double(f64::INFINITY), "\"Infinity\""),
            (Value::Double(f64::NEG_INFINITY), "\"-Infinity\""),
            (Value::Str("a\"b".into()), "\"a\\\"b\""),
            (Value::Escaped("a\\u0041"), "\"a\\u0041\""),
            (Value::Number("1e400"), "1e400"),
            (Value::Bytes(b""), "\"\""),
            (Value::Bytes(&[0xff, 0xfe]), "\"//4=\""),
        ];
        for (value, expected) in cases {
            let mut out = Vec::new();
            write_value(value, &mut Slots::default(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{value:?}");
        }
    }

    #[test]
    fn doubles_read_back_the_same() {
        for number in [0.1, 1e300, 5e-324, f64::MAX, -1.5e-7, 123_456_789.125, 1e21, 1e16] {
            let mut out = Vec::new();
            write_double(number, &mut out);
            let text = String::from_utf8(out).unwrap();
            assert!(serde_json::from_str::<serde_json::Value>(&text).unwrap().is_number(), "{text}");
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), number.to_bits(), "{text}");
        }
    }
}
