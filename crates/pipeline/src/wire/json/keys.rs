//! Finds a key that is written twice in one object, comparing what the keys stand for, not how they are written.

use super::escape::Unescaped;
use super::literal::KeyAt;
use std::cmp::Ordering;

/// Objects with more keys are compared once, by sorting, when they close; a search per key would be quadratic.
const SEARCHED_KEYS: usize = 64;

/// The keys of all objects that are open at one point of a scan, innermost last. Reused from record to record.
#[derive(Debug, Default)]
pub(super) struct Keys {
    seen: Vec<Seen>,
    unescaped: String,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    fingerprint: u64,
    key: KeyAt,
}

/// One open object: where its keys begin, and a Bloom filter of one word over them.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenObject {
    first: usize,
    bloom: u64,
}

impl OpenObject {
    /// Whether no key was added yet.
    pub fn is_empty(self) -> bool {
        self.bloom == 0
    }
}

impl Keys {
    pub fn clear(&mut self) {
        self.seen.clear();
    }

    pub fn open(&self) -> OpenObject {
        OpenObject { first: self.seen.len(), bloom: 0 }
    }

    /// Adds a key; true if the object is known to have it already.
    pub fn add(&mut self, object: &mut OpenObject, text: &str, key: KeyAt) -> bool {
        let fingerprint = self.fingerprint(text, key);
        let bit = 1 << (fingerprint >> 58);
        let own = &self.seen[object.first..];
        let twice = object.bloom & bit != 0
            && own.len() <= SEARCHED_KEYS
            && own.iter().any(|seen| seen.fingerprint == fingerprint && compare(text, seen.key, key).is_eq());
        object.bloom |= bit;
        self.seen.push(Seen { fingerprint, key });
        twice
    }

    /// Forgets an object's keys. Where they were too many to search one by one, this finds the second of two equal ones.
    pub fn close(&mut self, object: OpenObject, text: &str) -> Option<KeyAt> {
        let own = &mut self.seen[object.first..];
        let mut twice = None;
        if own.len() > SEARCHED_KEYS {
            own.sort_unstable_by(|a, b| {
                let by_key = a.fingerprint.cmp(&b.fingerprint).then_with(|| compare(text, a.key, b.key));
                by_key.then(a.key.start.cmp(&b.key.start))
            });
            let same = |pair: &&[Seen]| {
                pair[0].fingerprint == pair[1].fingerprint && compare(text, pair[0].key, pair[1].key).is_eq()
            };
            twice = own.windows(2).find(same).map(|pair| pair[1].key);
        }
        self.seen.truncate(object.first);
        twice
    }

    fn fingerprint(&mut self, text: &str, key: KeyAt) -> u64 {
        if !key.escaped {
            return fingerprint(key.text(text).as_bytes());
        }
        self.unescaped.clear();
        self.unescaped.extend(Unescaped::of(key.text(text)));
        fingerprint(self.unescaped.as_bytes())
    }
}

/// Compares what two keys stand for.
fn compare(text: &str, a: KeyAt, b: KeyAt) -> Ordering {
    if a.escaped || b.escaped {
        return Unescaped::of(a.text(text)).cmp(Unescaped::of(b.text(text)));
    }
    a.text(text).cmp(b.text(text))
}

/// Tells most different keys apart. It need not withstand crafted collisions: equal fingerprints are compared in full, and
/// never more than `SEARCHED_KEYS` of them for one key.
fn fingerprint(key: &[u8]) -> u64 {
    /// An odd number with no pattern in its bits (the golden ratio), so that the product's high bits depend on all bytes.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = key.len() as u64;
    let mut words = key.chunks_exact(8);
    for word in &mut words {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(word);
        hash = (hash ^ u64::from_le_bytes(bytes)).wrapping_mul(SPREAD).rotate_left(32);
    }
    (hash ^ short_word(words.remainder())).wrapping_mul(SPREAD)
}

/// Up to seven bytes as a number, by two loads that may overlap instead of a loop.
fn short_word(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
    }
    match *bytes {
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        [a, b, c] => u64::from(u32::from_le_bytes([a, b, c, 0])),
        _ => 0,
    }
}
