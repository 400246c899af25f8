//! Compares what was sent and promised with what Elasticsearch and the dead letters hold.

use crate::book::Book;
use crate::record::{Content, Kind, parse_id};
use crate::world::{INDEX, World};
use anyhow::Result;
use forebay_tests::elasticsearch::Hit;
use serde_json::Value;

/// Findings that are kept in words.
const MOST_EXAMPLES: usize = 20;

/// Counts of what was found, in documents. Nothing of the first group may be.
#[derive(Debug, Default)]
pub struct Verdict {
    pub missing: u64,
    pub spurious: u64,
    pub altered: u64,
    /// Found twice although ids tell.
    pub duplicates: u64,
    /// Found more often than it was sent, attempts counted.
    pub unexplained: u64,
    /// Healthy, and in the dead letters.
    pub buried: u64,
    /// Refused, and stored.
    pub stored_though_refused: u64,

    /// Sent again without an id that tells.
    pub minted_copies: u64,
    /// Buried again, as after a lost answer.
    pub letters_again: u64,
    pub documents: u64,
    pub letters: u64,
    /// Twins and echoes of which every acknowledged copy was there.
    pub honest_twins: u64,
    pub in_doubt_found: u64,
    pub examples: Vec<String>,
}

/// Takes what is found, a document or letter at a time.
pub struct Judge<'b> {
    books: &'b [Book],
    verdict: Verdict,
    /// By client and number, how often each record was found.
    stored: Vec<Vec<u8>>,
    buried: Vec<Vec<u8>>,
}

impl Verdict {
    /// Reads everything back.
    pub fn reach(world: &World, books: &[Book]) -> Result<Self> {
        let mut judge = Judge::new(books);
        world.node.refresh()?;
        world.node.each_hit(&format!("{INDEX}*"), "*", &Value::Bool(true), |hit| {
            judge.stored(&hit);
            Ok(())
        })?;
        for line in world.letters()? {
            judge.buried(&line);
        }
        Ok(judge.close())
    }

    /// What a run must not have found, by name.
    pub fn faults(&self) -> [(&'static str, u64); 7] {
        [
            ("acknowledged and missing", self.missing),
            ("spurious", self.spurious),
            ("altered", self.altered),
            ("duplicates where ids tell", self.duplicates),
            ("copies beyond the attempts", self.unexplained),
            ("healthy but dead letters", self.buried),
            ("refused but stored", self.stored_though_refused),
        ]
    }

    fn example(&mut self, text: String) {
        if self.examples.len() < MOST_EXAMPLES {
            self.examples.push(text);
        }
    }

    fn compare_record(&mut self, book: &Book, number: u32, stored: u32, buried: u32) {
        let kind = book.origin.kind(number);
        let bounds = book.bounds(number);
        let before = self.faults();
        match kind {
            Kind::Spoilt => self.spurious += u64::from(stored + buried),
            Kind::Poisoned => {
                self.stored_though_refused += u64::from(stored);
                self.missing += u64::from(bounds.least.saturating_sub(buried));
                self.letters_again += u64::from(buried.saturating_sub(bounds.once));
            }
            _ => {
                self.buried += u64::from(buried);
                self.missing += u64::from(bounds.least.saturating_sub(stored));
                let again = u64::from(stored.saturating_sub(bounds.once));
                if book.origin.is_recognised(kind) {
                    self.duplicates += again;
                } else {
                    self.minted_copies += again;
                    self.unexplained += u64::from(stored.saturating_sub(bounds.most));
                }
                if matches!(kind, Kind::Twin | Kind::Echo) && bounds.least > 1 && stored >= bounds.least {
                    self.honest_twins += 1;
                }
            }
        }
        if bounds.least == 0 && stored + buried > 0 {
            self.in_doubt_found += 1;
        }
        if self.faults() != before {
            let id = book.origin.id(number);
            let protocol = book.origin.protocol;
            self.example(format!(
                "{id}, {protocol:?}, {kind:?}: {stored} stored, {buried} buried, {bounds:?}"
            ));
        }
    }
}

impl<'b> Judge<'b> {
    pub fn new(books: &'b [Book]) -> Self {
        let counters = || books.iter().map(|book| vec![0; book.records() as usize]).collect();
        Self { books, verdict: Verdict::default(), stored: counters(), buried: counters() }
    }

    /// A document that Elasticsearch has.
    pub fn stored(&mut self, hit: &Hit) {
        let Self { books, verdict, stored, .. } = self;
        verdict.documents += 1;
        let Some((client, number)) = sender(books, &hit.source) else {
            verdict.spurious += 1;
            verdict.example(format!("spurious: {hit:?}"));
            return;
        };
        let count = &mut stored[client][number as usize];
        *count = count.saturating_add(1);
        let expected = books[client].origin.content(number);
        let is_whole = serde_json::from_value::<Content>(hit.source.clone()).is_ok_and(|it| it == expected);
        let is_in_place = hit.index == format!("{INDEX}{}", expected.lane)
            && expected.key.as_ref().is_none_or(|key| *key == hit.id);
        if !is_whole || !is_in_place {
            verdict.altered += 1;
            verdict.example(format!("altered: {hit:?}, expected {expected:?}"));
        }
    }

    /// A line of the dead letters.
    pub fn buried(&mut self, line: &str) {
        let Self { books, verdict, buried, .. } = self;
        verdict.letters += 1;
        let letter: Value = serde_json::from_str(line).unwrap_or_default();
        let document = &letter["document"];
        let Some((client, number)) = sender(books, document) else {
            verdict.spurious += 1;
            verdict.example(format!("spurious letter: {line}"));
            return;
        };
        let count = &mut buried[client][number as usize];
        *count = count.saturating_add(1);
        let expected = books[client].origin.content(number);
        let is_whole = document["message"] == *expected.message
            && document["sum"] == *expected.sum
            && letter["destination"] == format!("{INDEX}{}", expected.lane)
            && letter["reason"].as_str().is_some_and(|reason| !reason.is_empty());
        if !is_whole {
            verdict.altered += 1;
            verdict.example(format!("altered letter: {line}"));
        }
    }

    /// Compares what was found with what was sent and promised.
    pub fn close(self) -> Verdict {
        let Self { books, mut verdict, stored, buried } = self;
        for (client, book) in books.iter().enumerate() {
            for number in 0..book.records() {
                let at = number as usize;
                let (stored, buried) = (stored[client][at].into(), buried[client][at].into());
                verdict.compare_record(book, number, stored, buried);
            }
        }
        verdict
    }
}

/// Client and number, if such a record was sent.
fn sender(books: &[Book], document: &Value) -> Option<(usize, u32)> {
    let (client, number) = parse_id(document["id"].as_str()?)?;
    (number < books.get(client)?.records()).then_some((client, number))
}

#[cfg(test)]
mod tests;
