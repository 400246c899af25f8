//! A client's own id, as it is written in a destination.
//!
//! In Elasticsearch an id is a document's within one index. Routes may bring several of a client's indices together in one, where the same id must
//! not make two documents one. So the id stands as it is where the destination is the index that the client named, or where it named none;
//! everywhere else a mark of the index that it named stands behind it. Nothing else is part of the rule, so that an id is the same for
//! every try, from memory, from the journal, and in a dead letter.

use super::{CONTENT_KEY, text_of};
use crate::wire::ClientId;
use crate::wire::json::bulk::MAX_ID_BYTES;
use crate::wire::json::unescape;
use xxhash_rust::xxh3::xxh3_128_with_secret;

/// Between an id and the mark.
const BEFORE_MARK: u8 = b'~';
/// Characters of a hash: 128 bits, six in each.
const HASH_CHARS: usize = 22;

/// Writes the id into `out` as it stands in a JSON string.
pub(super) fn write(named: &ClientId, body: &[u8], destination: &str, out: &mut Vec<u8>) {
    let id = inside(body, named.id);
    let index = unescape(inside(body, named.index));
    if index.is_empty() || index == destination {
        out.extend_from_slice(id.as_bytes());
        return;
    }
    match unescape_long(id) {
        Some(long) => out.extend_from_slice(&hash(&long)),
        None => out.extend_from_slice(id.as_bytes()),
    }
    out.push(BEFORE_MARK);
    out.extend_from_slice(&hash(&index));
}

/// The id as it reads, if it is so long that no mark fits behind it.
fn unescape_long(id: &str) -> Option<std::borrow::Cow<'_, str>> {
    const MOST: usize = MAX_ID_BYTES - HASH_CHARS - 1;
    // Nothing reads longer than it stands there.
    if id.len() <= MOST {
        return None;
    }
    Some(unescape(id)).filter(|plain| plain.len() > MOST)
}

fn hash(text: &str) -> [u8; HASH_CHARS] {
    let text = text_of(0, xxh3_128_with_secret(text.as_bytes(), &CONTENT_KEY));
    // In front of it are five bytes of no seconds.
    let mut chars = [0; HASH_CHARS];
    chars.copy_from_slice(&text[super::ID_CHARS - HASH_CHARS..super::ID_CHARS]);
    chars
}

/// The inside of a string that a check has found to be UTF-8.
fn inside(body: &[u8], (offset, len): (u32, u32)) -> &str {
    std::str::from_utf8(&body[offset as usize..(offset + len) as usize]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// The id in `destination` as it reads, of what stands in the strings of an action.
    fn id_in(destination: &str, index: &str, id: &str) -> String {
        let body = format!("{index}{id}");
        let named = ClientId { index: (0, index.len() as u32), id: (index.len() as u32, id.len() as u32) };
        let mut out = vec![b'"'];
        write(&named, body.as_bytes(), destination, &mut out);
        out.push(b'"');
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn in_the_clients_own_index_an_id_stays_as_it_is() {
        for index in ["logs", "\\u006cogs", ""] {
            assert_eq!(id_in("logs", index, "a\\n\\\"1"), "a\n\"1");
        }
        let long = "x".repeat(512);
        assert_eq!(id_in("logs", "logs", &long), long);
    }

    /// A change of this text would store again what is sent again across an upgrade.
    #[test]
    fn elsewhere_the_index_that_it_was_meant_in_is_told_behind_it() {
        let told = id_in("logs-2026.11.21", "logs", "a");
        assert_eq!(told, "a~B6dJcK4jEOnrZQcC8skgpA");
        assert_eq!(told, id_in("elsewhere", "lo\\u0067s", "a"));
        assert_ne!(told, id_in("elsewhere", "logs-2026.11.21", "a"));
    }

    #[test]
    fn no_id_is_longer_than_elasticsearch_takes() {
        for (id, is_kept) in [("é".repeat(244), true), ("é".repeat(245), false), ("\\n".repeat(489), true)]
        {
            let told = id_in("other", "logs", &id);
            let plain: String = serde_json::from_str(&format!("\"{id}\"")).unwrap();
            assert_eq!((told.len() <= MAX_ID_BYTES, told.starts_with(&plain)), (true, is_kept));
        }
        let [one, other] = ["a", "b"].map(|end| id_in("other", "logs", &("x".repeat(511) + end)));
        assert_ne!(one, other);
    }

    proptest! {
        /// What Elasticsearch would keep apart in a client's indices is apart in one destination, whether or not that is one of them.
        #[test]
        fn ids_are_apart_where_index_or_id_differ(
            documents in prop::collection::hash_set(("[ab]{1,2}", "[ab~]{1,3}"), 1..20),
            destination in "[ab]{1,2}",
        ) {
            let ids: HashSet<String> =
                documents.iter().map(|(index, id)| id_in(&destination, index, id)).collect();
            prop_assert_eq!(ids.len(), documents.len());
        }
    }
}
