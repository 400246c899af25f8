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
    #[inline]
    pub fn add(&mut self, object: &mut OpenObject, text: &str, key: KeyAt) -> bool {
        let fingerprint = self.fingerprint(text, key);
        let bit = 1 << (fingerprint >> 58);
        let twice = object.bloom & bit != 0 && self.search(*object, text, key, fingerprint);
        object.bloom |= bit;
        self.seen.push(Seen { fingerprint, key });
        twice
    }

    fn search(&self, object: OpenObject, text: &str, key: KeyAt, fingerprint: u64) -> bool {
        let own = &self.seen[object.first..];
        let same = |seen: &Seen| seen.fingerprint == fingerprint && compare(text, seen.key, key).is_eq();
        own.len() <= SEARCHED_KEYS && own.iter().any(same)
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

    #[inline]
    fn fingerprint(&mut self, text: &str, key: KeyAt) -> u64 {
        if !key.escaped {
            return fingerprint(text.as_bytes(), key.start as usize, key.end as usize);
        }
        self.unescaped.clear();
        self.unescaped.extend(Unescaped::of(key.text(text)));
        fingerprint(self.unescaped.as_bytes(), 0, self.unescaped.len())
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
#[inline]
fn fingerprint(text: &[u8], start: usize, end: usize) -> u64 {
    /// An odd number with no pattern in its bits (the golden ratio), so that the product's high bits depend on all bytes.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = (end - start) as u64;
    let mut at = start;
    while end - at > 8 {
        hash = (hash ^ word(text, at)).wrapping_mul(SPREAD).rotate_left(32);
        at += 8;
    }
    let last = match end - at {
        0 => 0,
        len => word(text, at) & (u64::MAX >> (64 - 8 * len)),
    };
    (hash ^ last).wrapping_mul(SPREAD)
}

/// The eight bytes from `at` on, zeros where the text ends. What follows a key is read too, which is cheaper than not to.
#[inline]
fn word(text: &[u8], at: usize) -> u64 {
    let rest = &text[at..];
    if let Some(bytes) = rest.first_chunk::<8>() {
        return u64::from_le_bytes(*bytes);
    }
    let mut bytes = [0; 8];
    bytes[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(bytes)
}
