//! Document ids, minted once at admission and stable over every retry.
//!
//! An id is 21 bytes, written as 28 characters of URL-safe base64: five bytes of event time in seconds (big endian,
//! so that neighbours in time are neighbours in the term dictionary), then 16 bytes that tell records apart. A client's own id is its text,
//! and what [`named`] puts behind it.

mod named;

use crate::wire::{ClientId, Entry, Group, Index, WireId, json, remote_write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use xxhash_rust::const_xxh3::const_custom_default_secret;
use xxhash_rust::xxh3::xxh3_128_with_secret;

/// Characters in a written id.
pub const ID_CHARS: usize = 28;

/// How the records of one body are identified.
#[derive(Clone, Debug)]
pub enum Ids {
    /// No ids: the sink invents its own, and a retry may store a record twice.
    None,
    /// This process start's random epoch, the body's number, the record's number.
    Minted { epoch: u64, frame: u64 },
    /// A hash of the content, one per record: the same record sent again has the same id.
    Content(Vec<u128>),
    /// The same of events of Beats, those without a place minted as in `Minted`.
    Events { hashes: Vec<u128>, epoch: u64, frame: u64 },
    /// The client's own, for each record. What has none has one minted as in `Minted`, or one of `Events`.
    Client { named: Vec<ClientId>, epoch: u64, frame: u64 },
}

impl Ids {
    /// Writes the id of record `item` in `destination` into `out` as it stands in a JSON string, and says whether it has one.
    pub fn write(&self, item: u32, entry: &Entry, body: &[u8], destination: &str, out: &mut Vec<u8>) -> bool {
        let tail = match self {
            Self::None => return false,
            Self::Minted { epoch, frame } => minted(*epoch, *frame, item),
            Self::Content(hashes) | Self::Events { hashes, .. } => hashes[item as usize],
            Self::Client { named, epoch, frame } => match &named[item as usize] {
                ClientId { id: (_, 0), .. } if entry.flags & Entry::HAS_PLACE != 0 => {
                    json::fingerprint(&body[entry.range()])
                }
                ClientId { id: (_, 0), .. } => minted(*epoch, *frame, item),
                named => {
                    named::write(named, body, destination, out);
                    return true;
                }
            },
        };
        let seconds = entry.time.div_euclid(1_000_000_000);
        out.extend_from_slice(&text_of(seconds as u64, tail)[..ID_CHARS]);
        true
    }
}

/// Five bytes of seconds and sixteen of `tail`, big endian, in URL-safe base64 (RFC 4648 section 5), and four bytes of no meaning.
///
/// Arithmetic on whole arrays and no table, so that the compiler makes vector instructions of it: the base64 crate takes any
/// length and costs as much as the rest of an action line.
fn text_of(seconds: u64, tail: u128) -> [u8; 32] {
    let low = |shift: u32| (tail >> shift) as u32 & 0xff_ffff;
    // Seven times three bytes.
    let triples = [
        (seconds >> 16) as u32 & 0xff_ffff,
        (seconds as u32 & 0xffff) << 8 | (tail >> 120) as u32,
        low(96),
        low(72),
        low(48),
        low(24),
        low(0),
        0,
    ];
    let sextets = triples.map(|triple| {
        let word =
            triple >> 18 | triple >> 4 & 0x3f00 | triple << 10 & 0x3f_0000 | triple << 24 & 0x3f00_0000;
        word.to_le_bytes()
    });
    sextets.as_flattened().as_array::<32>().copied().unwrap_or_default().map(character)
}

/// The character of a sextet: `A` to `Z`, `a` to `z`, `0` to `9`, `-`, `_`, each step a correction of those before.
fn character(sextet: u8) -> u8 {
    let step = |from: u8, correction: u8| if sextet >= from { correction } else { 0 };
    (sextet + b'A')
        .wrapping_add(step(26, b'a' - b'Z' - 1))
        .wrapping_add(step(52, b'0'.wrapping_sub(b'z' + 1)))
        .wrapping_add(step(62, b'-'.wrapping_sub(b'9' + 1)))
        .wrapping_add(step(63, b'_' - b'-' - 1))
}

fn minted(epoch: u64, frame: u64, item: u32) -> u128 {
    u128::from(epoch) << 64 | u128::from(frame & 0xff_ffff_ffff) << 24 | u128::from(item & 0xff_ffff)
}

/// Numbers the bodies of this process start.
#[derive(Debug)]
pub struct Mint {
    epoch: u64,
    frames: AtomicU64,
}

impl Default for Mint {
    fn default() -> Self {
        Self { epoch: rand::random(), frames: AtomicU64::new(0) }
    }
}

impl Mint {
    /// The epoch and the next body's number.
    pub fn next(&self) -> (u64, u64) {
        (self.epoch, self.frames.fetch_add(1, Relaxed))
    }
}

/// The key of the content hash. It is the same everywhere, because a client may send its retry to another replica.
const CONTENT_KEY: [u8; 192] = const_custom_default_secret(0x0f0e_ba11_5eed_1d5a);

/// Ids from content: a 128-bit keyed hash of resource, scope (with their schema URLs) and record, and of how often the same came
/// before in this request. So a request sent again has the same ids, and honest twins within one request have different ones.
pub fn content_ids(body: &[u8], index: &Index) -> Vec<u128> {
    let mut groups = GroupHashes { body, of_resource: None, of_group: None };
    let mut seen = Occurrences::new(index.records.len());
    let mut ids = Vec::with_capacity(index.records.len());
    for entry in &index.records {
        let group = groups.hash(entry.aux, &index.groups[entry.aux as usize]);
        let id = xxh3_128_with_secret(&body[entry.range()], &CONTENT_KEY) ^ group;
        let occurrence = seen.count(id, &ids);
        ids.push(if occurrence == 0 { id } else { twin(id, occurrence) });
    }
    ids
}

/// Ids from content, of a body of this wire.
pub(crate) fn content_ids_of(wire: WireId, body: &[u8], index: &Index) -> Vec<u128> {
    match wire {
        WireId::RemoteWrite1 | WireId::RemoteWrite2 => series_ids(wire, body, index),
        _ => content_ids(body, index),
    }
}

/// The same for remote-write: of labels and record, for a series is spread over its requests.
fn series_ids(wire: WireId, body: &[u8], index: &Index) -> Vec<u128> {
    let mut seen = Occurrences::new(index.records.len());
    let mut ids = Vec::with_capacity(index.records.len());
    let hash = |text: &[u8]| xxh3_128_with_secret(text, &CONTENT_KEY);
    remote_write::identities(body, remote_write::Version::of(wire), index, hash, &mut |id| {
        let occurrence = seen.count(id, &ids);
        ids.push(if occurrence == 0 { id } else { twin(id, occurrence) });
    });
    ids
}

/// Ids of the events of Beats. One that says where in its file it was read is the same event whenever it is sent; any other gets an id of
/// this arrival, made of `epoch` and `frame`: two honest identical events must both be kept.
pub fn event_ids(body: &[u8], index: &Index, epoch: u64, frame: u64) -> Vec<u128> {
    let id = |(item, entry): (usize, &Entry)| match entry.flags & Entry::HAS_PLACE {
        0 => minted(epoch, frame, item as u32),
        _ => json::fingerprint(&body[entry.range()]),
    };
    index.records.iter().enumerate().map(id).collect()
}

/// The id of a record of which `occurrence` equal ones came before.
fn twin(id: u128, occurrence: u32) -> u128 {
    const ODD: u128 = 0x2d35_8dcc_aa6c_78a5_9e37_79b9_7f4a_7c15;
    (id ^ u128::from(occurrence)).rotate_left(29).wrapping_mul(ODD) ^ id.rotate_left(64)
}

/// Hashes of groups, in the order in which records ask for them. Scopes share their resource, so its hash is kept.
struct GroupHashes<'b> {
    body: &'b [u8],
    of_resource: Option<((u32, u32), u128)>,
    of_group: Option<(u32, u128)>,
}

impl GroupHashes<'_> {
    #[inline]
    fn hash(&mut self, number: u32, group: &Group) -> u128 {
        match self.of_group {
            Some((known, hash)) if known == number => hash,
            _ => self.new_hash(number, group),
        }
    }

    fn new_hash(&mut self, number: u32, group: &Group) -> u128 {
        let resource = match self.of_resource {
            Some((span, hash)) if span == group.resource => hash,
            _ => self.part(group.resource),
        };
        self.of_resource = Some((group.resource, resource));
        let parts = [
            resource,
            self.part(group.scope),
            self.part(group.resource_schema_url),
            self.part(group.scope_schema_url),
        ];
        // Hashed once more, so that equal parts in different places do not cancel each other.
        let mut hash = xxh3_128_with_secret(parts.map(u128::to_le_bytes).as_flattened(), &CONTENT_KEY);
        if group.metric.1 > 0 {
            let metric = crate::wire::otlp::metric_identity(self.body, group.metric);
            hash = twin(hash ^ xxh3_128_with_secret(&metric, &CONTENT_KEY), 1);
        }
        self.of_group = Some((number, hash));
        hash
    }

    fn part(&self, (offset, len): (u32, u32)) -> u128 {
        xxh3_128_with_secret(&self.body[offset as usize..(offset + len) as usize], &CONTENT_KEY)
    }
}

/// How often each id was asked for: an open hash table, because a general map costs more than the hash.
struct Occurrences {
    /// The position of the first record with an id, and how many more have come since.
    slots: Vec<(u32, u32)>,
    mask: usize,
}

impl Occurrences {
    const FREE: u32 = u32::MAX;

    fn new(records: usize) -> Self {
        let size = (records * 2).next_power_of_two().max(2);
        Self { slots: vec![(Self::FREE, 0); size], mask: size - 1 }
    }

    /// How often `id` came before; `given` holds the id of each record so far, and this one's is to come next.
    fn count(&mut self, id: u128, given: &[u128]) -> u32 {
        let mut at = id as usize & self.mask;
        loop {
            let (first, more) = &mut self.slots[at];
            if *first == Self::FREE {
                *first = given.len() as u32;
                return 0;
            }
            if given[*first as usize] == id {
                *more += 1;
                return *more;
            }
            at = (at + 1) & self.mask;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::route::RouteSet;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn index(records: &[(u32, u32)]) -> Index {
        let mut index = Index { groups: vec![Group::default()], ..Index::default() };
        for (offset, len) in records {
            let entry = Entry {
                time: 1_700_000_000_000_000_000,
                offset: *offset,
                len: *len,
                aux: 0,
                flags: Entry::HAS_TIME,
            };
            index.push(entry, RouteSet(1), 0);
        }
        index
    }

    #[test]
    fn the_same_request_has_the_same_ids_and_twins_in_it_have_different_ones() {
        let body = b"twin.twin.else";
        let records = index(&[(0, 4), (5, 4), (10, 4)]);
        let first = content_ids(body, &records);
        assert_eq!(first, content_ids(body, &records));
        assert_ne!(first[0], first[1]);
        assert_eq!(content_ids(&body[5..], &index(&[(0, 4)])), first[..1]);
    }

    /// A chain of twins once cost the square of its length.
    #[test]
    fn a_hundred_thousand_twins_have_as_many_ids_in_no_time() {
        let records = index(&vec![(0, 4); 100_000]);
        let start = std::time::Instant::now();
        let ids = content_ids(b"twin", &records);
        assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
        assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), ids.len());
    }

    #[test]
    fn schema_urls_are_part_of_the_id() {
        let body = b"ab-record";
        let id = |resource_schema_url, scope_schema_url| {
            let mut records = index(&[(3, 6)]);
            records.groups[0] = Group { resource_schema_url, scope_schema_url, ..Group::default() };
            content_ids(body, &records)[0]
        };
        let ids = [
            id((0, 0), (0, 0)),
            id((0, 1), (0, 0)),
            id((1, 1), (0, 0)),
            id((0, 0), (0, 1)),
            id((0, 1), (0, 1)),
        ];
        assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), ids.len());
    }

    #[test]
    fn resource_and_scope_are_part_of_the_id() {
        let body = b"ab-record";
        let mut ids = Vec::new();
        for (resource, scope) in
            [((0, 0), (0, 0)), ((0, 1), (0, 0)), ((0, 0), (0, 1)), ((0, 1), (1, 1)), ((1, 1), (0, 1))]
        {
            let mut records = index(&[(3, 6)]);
            records.groups[0] = Group { resource, scope, ..Group::default() };
            ids.extend(content_ids(body, &records));
        }
        let distinct: std::collections::HashSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }

    #[test]
    fn a_written_id_sorts_by_time_first() {
        let write = |time: i64, item: u32| {
            let mut out = Vec::new();
            let entry = Entry { time, offset: 0, len: 0, aux: 0, flags: 0 };
            assert!(Ids::Minted { epoch: 7, frame: 9 }.write(item, &entry, b"", "logs", &mut out));
            assert_eq!(out.len(), ID_CHARS);
            URL_SAFE_NO_PAD.decode(out).unwrap()
        };
        assert!(write(1_700_000_000_000_000_000, 9) < write(1_700_000_001_000_000_000, 0));
        assert_ne!(write(5, 0), write(5, 1));
    }

    #[test]
    fn a_clients_own_id_is_written_as_it_stands_and_its_absence_is_filled() {
        let named = vec![ClientId { id: (0, 3), ..ClientId::default() }, ClientId::default()];
        let ids = Ids::Client { named, epoch: 1, frame: 1 };
        let entry = Entry { time: 0, offset: 0, len: 0, aux: 0, flags: 0 };
        let mut out = Vec::new();
        assert!(ids.write(0, &entry, b"abc", "logs", &mut out));
        assert_eq!(out, b"abc");
        assert!(ids.write(1, &entry, b"abc", "logs", &mut out));
        assert_eq!(out.len(), 3 + ID_CHARS);
    }

    #[test]
    fn an_event_with_a_place_keeps_its_id_beside_events_with_their_clients_ids() {
        let body = br#"{"n":1}"#;
        let entry = Entry { time: 0, offset: 0, len: body.len() as u32, aux: 0, flags: Entry::HAS_PLACE };
        let [first, again] = [1, 2].map(|epoch| {
            let ids = Ids::Client { named: vec![ClientId::default()], epoch, frame: 1 };
            let mut out = Vec::new();
            assert!(ids.write(0, &entry, body, "logs", &mut out));
            out
        });
        assert_eq!(first, again);
    }
}
