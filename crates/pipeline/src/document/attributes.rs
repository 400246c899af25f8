//! The attributes of one record: their names, rendered once and kept, and whether one came twice.

use super::draft::Draft;
use super::member::{Slots, tag_of, write_name, write_value};
use super::names::{ATTRIBUTES, is_taken};
use crate::Signal;
use crate::chunk::{CHUNK, Chunk, agreement, chunk_at, first};
use crate::record::{Key, Text, Value};

/// Writes attributes; remembers names from record to record, and the places of this record's.
#[derive(Clone, Debug)]
pub(super) struct Attributes {
    /// Each name has one place, by its tag; where two meet, the later one takes it.
    names: Box<[Name; Self::PLACES]>,
    slots: Slots,
    /// The places that this record's names fell on, a bit each.
    taken: [u64; Self::PLACES / 64],
    /// Two names fell on one place, so they may be the same.
    doubtful: bool,
    /// Whose documents are written: each signal has names of its own.
    signal: Signal,
}

/// A name as it is rendered.
#[derive(Clone, Copy, Debug)]
struct Name {
    key: Chunk,
    key_len: usize,
    /// `,"<key>":`, escaped, behind a prefix if the name is taken.
    text: [u8; Name::ROOM],
    text_len: usize,
}

impl Name {
    const ROOM: usize = 2 * CHUNK;
    /// No attribute's name.
    const NONE: Self = Self { key: [0; CHUNK], key_len: usize::MAX, text: [0; Self::ROOM], text_len: 0 };

    /// `None` if it is too long to be kept.
    fn new(key: &[u8], text: &[u8]) -> Option<Self> {
        let mut name = Self { key_len: key.len(), text_len: text.len(), ..Self::NONE };
        name.key.get_mut(..key.len())?.copy_from_slice(key);
        name.text.get_mut(..text.len())?.copy_from_slice(text);
        Some(name)
    }

    #[inline(always)]
    fn is(&self, key: &[u8], body: &[u8]) -> bool {
        if key.len() != self.key_len {
            return false;
        }
        match chunk_at(body, key) {
            Some(chunk) => !agreement(chunk, &self.key) & first(self.key_len) == 0,
            None => key == &self.key[..self.key_len],
        }
    }
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            names: Box::new([Name::NONE; Self::PLACES]),
            slots: Slots::default(),
            taken: [0; Self::PLACES / 64],
            doubtful: false,
            signal: Signal::Logs,
        }
    }
}

impl Attributes {
    const PLACES: usize = 128;

    /// From here on documents are of this signal.
    pub(super) fn serve(&mut self, signal: Signal) {
        if self.signal != signal {
            self.signal = signal;
            self.names.fill(Name::NONE);
        }
    }

    /// A new record begins.
    pub(super) fn begin(&mut self) {
        self.slots.clear();
        self.taken = [0; Self::PLACES / 64];
        self.doubtful = false;
    }

    /// The stack for members of objects inside of this record.
    pub(super) fn slots(&mut self) -> &mut Slots {
        &mut self.slots
    }

    /// Appends one attribute.
    #[inline(always)]
    pub(super) fn write(&mut self, key: Text<'_>, value: Value<'_>, out: &mut Draft) {
        let key = key.as_bytes();
        let start = out.len();
        let tag = tag_of(key);
        let place = place_of(tag);
        let (word, bit) = (&mut self.taken[place / 64], 1 << (place % 64));
        self.doubtful |= *word & bit != 0;
        *word |= bit;
        let name = &self.names[place];
        if !name.is(key, out.body()) {
            self.render(key, place, out);
            self.slots.push(start, out.len(), tag);
            return write_value(value, &mut self.slots, out);
        }
        self.slots.push(start, start + name.text_len, tag);
        if let Value::Str(text) = value {
            out.member(&name.text, name.text_len, text.as_bytes());
        } else {
            out.front(&name.text, name.text_len);
            write_value(value, &mut self.slots, out);
        }
    }

    /// The record's attributes are written: drops those that have a later namesake.
    pub(super) fn end(&mut self, out: &mut Draft) {
        if self.doubtful {
            self.slots.drop_duplicates(0, out);
        }
    }

    /// Whether the record has the attribute that is rendered as `name`: `,"name":`.
    pub(super) fn contains(&self, tag: u32, name: &[u8], out: &Draft) -> bool {
        let place = place_of(tag);
        self.taken[place / 64] >> (place % 64) & 1 == 1 && self.slots.contains(tag, name, out)
    }

    #[inline(never)]
    fn render(&mut self, key: &[u8], place: usize, out: &mut Draft) {
        let start = out.len();
        let prefix = if is_taken(self.signal, key) { ATTRIBUTES } else { "" };
        write_name(prefix, Key::Plain(Text::checked(key)), out);
        if let Some(name) = Name::new(key, &out.as_slice()[start..]) {
            self.names[place] = name;
        }
    }
}

/// Where a name with this tag is kept.
#[inline(always)]
fn place_of(tag: u32) -> usize {
    (tag.wrapping_mul(0x9e37_79b1) >> (u32::BITS - Attributes::PLACES.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn written(attributes: &mut Attributes, names: &[&str]) -> String {
        let mut out = Draft::default();
        out.literal(b"{\"first\":0");
        attributes.begin();
        for (at, name) in names.iter().enumerate() {
            attributes.write((*name).into(), Value::Int(at as i64), &mut out);
        }
        attributes.end(&mut out);
        String::from_utf8(out.as_slice().to_vec()).unwrap()
    }

    #[test]
    fn the_last_of_equal_names_wins_in_its_place_in_this_record_only() {
        let mut attributes = Attributes::default();
        for _ in 0..3 {
            assert_eq!(written(&mut attributes, &["a", "b", "a", "c"]), r#"{"first":0,"b":1,"a":2,"c":3"#);
            assert_eq!(written(&mut attributes, &["a", "b"]), r#"{"first":0,"a":0,"b":1"#);
            assert_eq!(written(&mut attributes, &["level", "level"]), r#"{"first":0,"attributes.level":1"#);
        }
    }

    #[test]
    fn long_names_are_not_kept_and_yet_found_twice() {
        let long = "n".repeat(200);
        let expected = format!(r#"{{"first":0,"b":1,"{long}":2"#);
        for _ in 0..2 {
            assert_eq!(written(&mut Attributes::default(), &[&long, "b", &long]), expected);
        }
    }

    #[test]
    fn more_names_than_places_are_all_written() {
        let names: Vec<String> = (0..1000).map(|at| format!("key{at}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let expected: String = (0..1000).map(|at| format!(",\"key{at}\":{at}")).collect();
        let mut attributes = Attributes::default();
        for _ in 0..2 {
            assert_eq!(written(&mut attributes, &names), format!("{{\"first\":0{expected}"));
        }
    }
}
