//! The judge sees what it is there to see. Without a gateway: what is found is made of the books and then spoilt.

use super::*;
use crate::book::Batch;
use crate::record::{Origin, Protocol};
use serde_json::json;

const BATCH: u32 = 500;

/// Three batches of one client: acknowledged, acknowledged at the second attempt, in doubt.
fn books(protocol: Protocol) -> [Book; 1] {
    let origin = Origin { seed: 5, client: 0, protocol, batch: BATCH, began: 1_700_000_000_000_000_000 };
    let batch = |attempts, acknowledged| Batch { attempts, acknowledged };
    [Book { origin, batches: vec![batch(1, true), batch(2, true), batch(1, false)] }]
}

fn hit(book: &Book, number: u32) -> Hit {
    let content = book.origin.content(number);
    let source: Value = serde_json::from_str(&book.origin.line(number)).unwrap();
    Hit { index: format!("{INDEX}{}", content.lane), id: content.key.unwrap_or_default(), source }
}

fn letter(book: &Book, number: u32) -> String {
    let hit = hit(book, number);
    json!({"destination": hit.index, "reason": "400", "document": hit.source}).to_string()
}

/// Everything that the first `batches` batches must leave behind.
fn found(book: &Book, batches: usize) -> (Vec<Hit>, Vec<String>) {
    let (mut hits, mut letters) = (Vec::new(), Vec::new());
    for number in (0..batches).flat_map(|batch| book.numbers(batch)) {
        match book.origin.kind(number) {
            Kind::Spoilt => {}
            Kind::Poisoned => letters.push(letter(book, number)),
            _ => hits.push(hit(book, number)),
        }
    }
    (hits, letters)
}

fn judge(books: &[Book], hits: &[Hit], letters: &[String]) -> Verdict {
    let mut judge = Judge::new(books);
    hits.iter().for_each(|hit| judge.stored(hit));
    letters.iter().for_each(|letter| judge.buried(letter));
    judge.close()
}

/// What a verdict complains of, by name.
fn faults(verdict: &Verdict) -> Vec<(&'static str, u64)> {
    verdict.faults().into_iter().filter(|(_, count)| *count > 0).collect()
}

/// The first acknowledged record of a kind.
fn first(book: &Book, kind: Kind) -> u32 {
    (0..2 * BATCH).find(|number| book.origin.kind(*number) == kind).unwrap()
}

/// Where its first document is.
fn place(hits: &[Hit], book: &Book, number: u32) -> usize {
    hits.iter().position(|hit| hit.source["id"] == book.origin.id(number)).unwrap()
}

#[test]
fn what_was_promised_is_enough_and_what_is_in_doubt_may_be_there() {
    for protocol in [Protocol::OtlpHttp, Protocol::Json] {
        let books = books(protocol);
        for batches in [2, 3] {
            let (hits, letters) = found(&books[0], batches);
            let verdict = judge(&books, &hits, &letters);
            assert_eq!(faults(&verdict), [], "{protocol:?}: {:?}", verdict.examples);
            assert_eq!(verdict.in_doubt_found > 0, batches == 3);
            assert!(verdict.honest_twins > 0 && verdict.letters > 0);
        }
    }
}

#[test]
fn every_kind_that_is_missing_is_missed() {
    let books = books(Protocol::Json);
    let book = &books[0];
    let (hits, letters) = found(book, 2);
    for kind in [Kind::Plain, Kind::Keyed, Kind::Twin] {
        let mut hits = hits.clone();
        hits.remove(place(&hits, book, first(book, kind)));
        assert_eq!(faults(&judge(&books, &hits, &letters)), [("acknowledged and missing", 1)], "{kind:?}");
    }
    assert_eq!(faults(&judge(&books, &hits, &letters[1..])), [("acknowledged and missing", 1)]);
    // One copy of an echo is acknowledged with each of two batches.
    let mut books = books.clone();
    books[0].origin.batch = 1;
    books[0].batches = vec![Batch { attempts: 1, acknowledged: true }; 1_000];
    let book = &books[0];
    let echo = first(book, Kind::Echo);
    let (mut hits, letters) = found(book, 1_000);
    hits.remove(place(&hits, book, echo));
    assert_eq!(faults(&judge(&books, &hits, &letters)), [("acknowledged and missing", 1)]);
}

#[test]
fn a_second_document_is_a_duplicate_where_ids_tell_and_needs_an_attempt_where_not() {
    let again = |protocol, kind, batch: u32| {
        let books = books(protocol);
        let book = &books[0];
        let (mut hits, letters) = found(book, 2);
        let range = batch * BATCH..(batch + 1) * BATCH;
        let number = range.into_iter().find(|number| book.origin.kind(*number) == kind).unwrap();
        hits.push(hit(book, number));
        let verdict = judge(&books, &hits, &letters);
        (faults(&verdict), verdict.minted_copies)
    };
    let duplicate = vec![("duplicates where ids tell", 1)];
    assert_eq!(again(Protocol::OtlpGrpc, Kind::Plain, 1), (duplicate.clone(), 0));
    assert_eq!(again(Protocol::OtlpGrpc, Kind::Twin, 1), (duplicate.clone(), 0));
    assert_eq!(again(Protocol::Json, Kind::Keyed, 1), (duplicate, 0));
    assert_eq!(again(Protocol::Json, Kind::Plain, 1), (vec![], 1));
    assert_eq!(again(Protocol::Json, Kind::Plain, 0), (vec![("copies beyond the attempts", 1)], 1));
}

#[test]
fn what_nobody_sent_what_was_changed_and_what_is_in_the_wrong_place_is_seen() {
    let books = books(Protocol::Json);
    let book = &books[0];
    let (hits, letters) = found(book, 2);
    let with = |change: &dyn Fn(&mut Vec<Hit>, &mut Vec<String>)| {
        let (mut hits, mut letters) = (hits.clone(), letters.clone());
        change(&mut hits, &mut letters);
        faults(&judge(&books, &hits, &letters))
    };
    assert_eq!(with(&|hits, _| hits[3].source["message"] = "x".into()), [("altered", 1)]);
    assert_eq!(with(&|hits, _| hits[3].source["status"] = 7.into()), [("altered", 1)]);
    assert_eq!(with(&|hits, _| hits[3].index = "elsewhere".into()), [("altered", 1)]);
    let keyed = place(&hits, book, first(book, Kind::Keyed));
    assert_eq!(with(&|hits, _| hits[keyed].id = "another".into()), [("altered", 1)]);
    let stranger = Hit { index: String::new(), id: String::new(), source: json!({"id": "c0-999999"}) };
    assert_eq!(with(&|hits, _| hits.push(stranger.clone())), [("spurious", 1)]);
    assert_eq!(with(&|_, letters| letters.push("torn".into())), [("spurious", 1)]);
    let healthy = first(book, Kind::Plain);
    assert_eq!(with(&|_, letters| letters.push(letter(book, healthy))), [("healthy but dead letters", 1)]);
    let poisoned = first(book, Kind::Poisoned);
    let mut stored = hit(book, healthy);
    stored.source["id"] = book.origin.id(poisoned).into();
    assert_eq!(with(&|hits, _| hits.push(stored.clone())), [("altered", 1), ("refused but stored", 1)]);
    assert_eq!(with(&|_, letters| letters.push(letters[0].clone())), []);
}
