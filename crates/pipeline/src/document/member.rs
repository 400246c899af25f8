//! Members of JSON objects and their values, with the last of equal names winning.
//!
//! Every member is written with a comma in front, so each is one contiguous stretch of the output that can be cut out
//! again, and the comma of the first becomes the opening bracket.

use super::draft::Draft;
use super::timestamp::write_time;
use crate::digits::{EIGHT_DIGITS, digits};
use crate::record::{Key, NestedVisitor, Value};
use crate::time::TimestampWriter;
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

/// Tells most names apart: length, and the bytes at both ends and in the middle.
#[inline(always)]
pub(super) fn tag_of(name: &[u8]) -> u32 {
    match name {
        [] => 0,
        [first, .., last] => u32::from_le_bytes([name.len() as u8, *first, name[name.len() / 2], *last]),
        [only] => u32::from_le_bytes([1, *only, *only, *only]),
    }
}

impl Slots {
    /// Forgets all members.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Remembers a member that begins at `start` and whose value begins at `value`.
    #[inline(always)]
    pub(super) fn push(&mut self, start: usize, value: usize, tag: u32) {
        self.0.push(Slot { start, value, tag });
    }

    /// Whether a member written since `clear` begins with `name`: a name as it was rendered, `,"name":`.
    pub(super) fn contains(&self, tag: u32, name: &[u8], out: &Draft) -> bool {
        self.0.iter().any(|slot| slot.tag == tag && &out.as_slice()[slot.start..slot.value] == name)
    }

    /// Cuts members out of `out` that have a later namesake, looking at slots from `base` up. The last member ends where
    /// `out` does.
    pub(super) fn drop_duplicates(&mut self, base: usize, out: &mut Draft) {
        let slots = &self.0[base..];
        if slots.len() <= PAIRWISE && !has_equal_tags(slots) {
            return;
        }
        // By name, then by place: of equal names the last survives. Sorting keeps a hostile record from costing the square
        // of its size.
        let name = |at: usize| &out.as_slice()[slots[at].start..slots[at].value];
        let mut order: Vec<usize> = (0..slots.len()).collect();
        order.sort_unstable_by_key(|at| (name(*at), *at));
        let mut dropped: Vec<usize> = Vec::new();
        for pair in order.windows(2) {
            if name(pair[0]) == name(pair[1]) {
                dropped.push(pair[0]);
            }
        }
        dropped.sort_unstable();
        self.cut(base, &dropped, out);
    }

    /// Closes the gaps that the members `dropped` (ascending, counted from `base`) leave.
    fn cut(&mut self, base: usize, dropped: &[usize], out: &mut Draft) {
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
            out.copy_within(from, end, to);
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

/// Appends `,"<prefix><key>":<value>` and remembers its place.
pub(super) fn write_member(prefix: &str, key: Key<'_>, value: Value<'_>, slots: &mut Slots, out: &mut Draft) {
    let start = out.len();
    let name = write_name(prefix, key, out);
    slots.push(start, out.len(), tag_of(name));
    write_value(value, slots, out);
}

/// Appends `,"<prefix><key>":` and returns the key's text.
pub(super) fn write_name<'k>(prefix: &str, key: Key<'k>, out: &mut Draft) -> &'k [u8] {
    out.literal(b",\"");
    out.extend(prefix.as_bytes());
    let name = match key {
        Key::Plain(text) => {
            out.escaped(text.as_bytes());
            text.as_bytes()
        }
        Key::Escaped(text) => {
            out.extend(text.as_bytes());
            text.as_bytes()
        }
    };
    out.literal(b"\":");
    name
}

/// Appends `value` as JSON. `slots` is left as it was found.
pub(super) fn write_value(value: Value<'_>, slots: &mut Slots, out: &mut Draft) {
    match value {
        Value::Null => out.literal(b"null"),
        Value::Bool(true) => out.literal(b"true"),
        Value::Bool(false) => out.literal(b"false"),
        Value::Int(number) => write_int(number, out),
        Value::Unsigned(number) => out.extend(itoa::Buffer::new().format(number).as_bytes()),
        Value::Double(number) => write_double(number, out),
        Value::Str(text) => out.string(text.as_bytes()),
        Value::Escaped(text) => {
            out.push(b'"');
            out.extend(text.as_bytes());
            out.push(b'"');
        }
        Value::Number(digits) => out.extend(digits.as_bytes()),
        Value::Bytes(bytes) => write_base64(bytes, out),
        Value::Hex(bytes) => {
            out.push(b'"');
            out.hex(bytes);
            out.push(b'"');
        }
        Value::Time(nanos) => write_time(b"\"", nanos, &mut TimestampWriter::default(), out),
        Value::Array(nested) => write_nested(false, |visitor| nested.walk(false, visitor), slots, out),
        Value::Map(nested) => write_nested(true, |visitor| nested.walk(true, visitor), slots, out),
        Value::Part(part) => write_nested(part.is_map(), |visitor| part.walk(visitor), slots, out),
    }
}

/// Appends the digits of an integer.
#[inline(always)]
pub(super) fn write_int(number: i64, out: &mut Draft) {
    match u32::try_from(number) {
        Ok(small) if small < EIGHT_DIGITS => {
            let (text, len) = digits(small);
            out.front(&text, len);
        }
        _ => out.extend(itoa::Buffer::new().format(number).as_bytes()),
    }
}

/// Appends a number so that it reads back the same; what is no number is a word.
pub(super) fn write_double(number: f64, out: &mut Draft) {
    if number.is_finite() {
        out.extend(zmij::Buffer::new().format_finite(number).as_bytes());
        return;
    }
    let word: &[u8] = if number.is_nan() {
        b"\"NaN\""
    } else if number > 0.0 {
        b"\"Infinity\""
    } else {
        b"\"-Infinity\""
    };
    out.extend(word);
}

fn write_base64(bytes: &[u8], out: &mut Draft) {
    out.push(b'"');
    // Piece by piece: 48 bytes are exactly 64 characters, so only the last one is padded.
    let mut text = [0; 64];
    for piece in bytes.chunks(48) {
        // The room suffices, so this cannot fail; if it could, the value would be shorter rather than wrong.
        let written = STANDARD.encode_slice(piece, &mut text).unwrap_or(0);
        out.front(&text, written);
    }
    out.push(b'"');
}

/// Appends the array or object whose members `walk` pushes.
fn write_nested<'a>(
    is_map: bool,
    walk: impl FnOnce(&mut dyn NestedVisitor<'a>),
    slots: &mut Slots,
    out: &mut Draft,
) {
    let (open, close) = if is_map { (b'{', b'}') } else { (b'[', b']') };
    let start = out.len();
    let base = slots.0.len();
    walk(&mut NestedWriter { slots, out });
    slots.drop_duplicates(base, out);
    slots.0.truncate(base);
    out.put(start, open);
    out.push(close);
}

struct NestedWriter<'w> {
    slots: &'w mut Slots,
    out: &'w mut Draft,
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
        let mut out = Draft::default();
        out.literal(b"{\"first\":0");
        for (at, name) in names.iter().enumerate() {
            write_member("", Key::Plain((*name).into()), Value::Int(at as i64), &mut slots, &mut out);
        }
        slots.drop_duplicates(0, &mut out);
        String::from_utf8(out.as_slice().to_vec()).unwrap()
    }

    #[test]
    fn the_last_of_equal_names_wins_in_its_place() {
        assert_eq!(members(&["a", "b", "a", "c"]), r#"{"first":0,"b":1,"a":2,"c":3"#);
        assert_eq!(members(&["a", "a", "a"]), r#"{"first":0,"a":2"#);
        assert_eq!(members(&["", "b", "", "b"]), r#"{"first":0,"":2,"b":3"#);
    }

    #[test]
    fn equal_tags_alone_drop_nothing() {
        assert_eq!(members(&["abcz", "adcz"]), r#"{"first":0,"abcz":0,"adcz":1"#);
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
            (Value::Unsigned(u64::MAX), "18446744073709551615"),
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
            let mut out = Draft::default();
            write_value(value, &mut Slots::default(), &mut out);
            assert_eq!(String::from_utf8(out.as_slice().to_vec()).unwrap(), expected, "{value:?}");
        }
    }

    #[test]
    fn doubles_read_back_the_same() {
        for number in [0.1, 1e300, 5e-324, f64::MAX, -1.5e-7, 123_456_789.125, 1e21, 1e16] {
            let mut out = Draft::default();
            write_double(number, &mut out);
            let text = String::from_utf8(out.as_slice().to_vec()).unwrap();
            assert!(serde_json::from_str::<serde_json::Value>(&text).unwrap().is_number(), "{text}");
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), number.to_bits(), "{text}");
        }
    }
}
