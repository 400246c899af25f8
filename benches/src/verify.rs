//! After the run: was each record delivered exactly once, and is each sample the document it must be?

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value as Json};

use crate::corpus::{Corpus, oracle};
use crate::load::Shape;
use crate::sink::{Ledger, SAMPLE_EVERY, Sample};

/// Differences told in full; the rest is a number.
const DIFFERENCES_SHOWN: usize = 5;

/// What the sink should have been given: the records of requests `0..requests`.
#[derive(Debug)]
pub struct Expectation<'a> {
    pub corpus: &'a Corpus,
    pub shape: Shape,
    pub requests: u64,
}

impl Expectation<'_> {
    fn records(&self) -> u64 {
        self.requests * self.shape.records as u64
    }

    /// Every way in which the sink's ledger is not what it should be; empty is good.
    #[must_use]
    pub fn faults(&self, ledger: &mut Ledger) -> Vec<String> {
        let mut faults = Vec::new();
        let records = self.records();
        let (missing, first) = ledger.missing(records);
        if let Some(first) = first {
            faults.push(format!("{missing} of {records} records never arrived; the first is {first}"));
        }
        if ledger.duplicates > 0 {
            faults.push(format!("{} documents arrived more than once", ledger.duplicates));
        }
        if ledger.strangers > 0 {
            faults.push(format!("{} documents that nobody sent", ledger.strangers));
        }
        if ledger.malformed > 0 {
            let last = ledger.last_fault.as_deref().unwrap_or_default();
            faults.push(format!("{} bodies were no bulks; the last: {last}", ledger.malformed));
        }
        let (ids, repeated) = ledger.ids();
        if ids != 0 && ids != ledger.documents {
            faults.push(format!("{} documents came without an _id, the others with", ledger.documents - ids));
        }
        if repeated > 0 {
            faults.push(format!("{repeated} documents share an _id with another"));
        }
        faults.extend(self.sample_faults(&ledger.samples));
        faults
    }

    fn sample_faults(&self, samples: &[Sample]) -> Vec<String> {
        let mut faults = Vec::new();
        let expected = self.records().div_ceil(SAMPLE_EVERY);
        if samples.len() as u64 != expected {
            faults.push(format!("{} samples were kept, not {expected}", samples.len()));
        }
        let mut different = 0;
        for sample in samples {
            if let Some(difference) = self.difference(sample) {
                different += 1;
                if different <= DIFFERENCES_SHOWN {
                    faults.push(difference);
                }
            }
        }
        if different > DIFFERENCES_SHOWN {
            faults.push(format!("{different} of {} samples differ from the oracle", samples.len()));
        }
        faults
    }

    /// What is wrong with one sample, member by member.
    fn difference(&self, sample: &Sample) -> Option<String> {
        let number = sample.sequence / self.shape.records as u64;
        let (resource, scope) = (self.corpus.resource(number), self.corpus.scope(number));
        let record = self.corpus.record(sample.sequence);
        let mut expected = match self.shape.protocol {
            protocol if protocol.is_json() => {
                oracle::expected_line(&record, resource, scope, self.shape.keys)
            }
            _ => oracle::expected_document(&record, resource, scope),
        };
        // Through text, as the sample went: serde_json may read the 17th digit of a double differently.
        if let Ok(read) = serde_json::from_str(&expected.to_string()) {
            expected = read;
        }
        let mut lines = Vec::new();
        let index = oracle::expected_index(&record, resource);
        if sample.index != index {
            lines.push(format!("  _index: {} and not {index}", sample.index));
        }
        match serde_json::from_slice::<UniqueKeys>(&sample.document) {
            Err(fault) => lines.push(format!("  no JSON document: {fault}")),
            Ok(UniqueKeys(mut seen)) => {
                if self.shape.protocol.is_json() && record.python_names {
                    trim_timestamp(&mut seen);
                    trim_timestamp(&mut expected);
                }
                lines.extend(differing_members(&seen, &expected));
            }
        }
        (!lines.is_empty()).then(|| format!("record {} differs:\n{}", sample.sequence, lines.join("\n")))
    }
}

/// An inserted `@timestamp` may have any number of zeros at its end.
fn trim_timestamp(document: &mut Json) {
    if let Some(Json::String(text)) = document.get_mut("@timestamp")
        && text.contains('.')
    {
        let digits = text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.').len();
        text.truncate(digits);
        text.push('Z');
    }
}

fn differing_members(seen: &Json, expected: &Json) -> Vec<String> {
    let (Json::Object(seen), Json::Object(expected)) = (seen, expected) else {
        return vec!["  not an object".into()];
    };
    let mut lines = Vec::new();
    for (key, value) in expected {
        match seen.get(key) {
            None => lines.push(format!("  {key}: missing, expected {value}")),
            Some(other) if other != value => lines.push(format!("  {key}: {other} and not {value}")),
            Some(_) => {}
        }
    }
    for (key, value) in seen {
        if !expected.contains_key(key) {
            lines.push(format!("  {key}: {value}, expected none"));
        }
    }
    lines
}

/// A JSON value in which no object has a key twice: Elasticsearch refuses those, `serde_json` keeps the last.
struct UniqueKeys(Json);

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueKeysVisitor)
    }
}

struct UniqueKeysVisitor;

impl<'de> Visitor<'de> for UniqueKeysVisitor {
    type Value = UniqueKeys;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys(Json::Null))
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys(flag.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys(number.into()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<UniqueKeys, A::Error> {
        let mut array = Vec::new();
        while let Some(UniqueKeys(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(UniqueKeys(Json::Array(array)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<UniqueKeys, A::Error> {
        let mut object = Map::new();
        while let Some((key, UniqueKeys(value))) = members.next_entry::<String, UniqueKeys>()? {
            if object.contains_key(&key) {
                return Err(Error::custom(format!("the key {key} is written twice")));
            }
            object.insert(key, value);
        }
        Ok(UniqueKeys(Json::Object(object)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::corpus::Keys;
    use crate::load::Protocol;
    use crate::sink::Scanner;

    const RECORDS: usize = 500;

    /// A bulk as a right gateway would send it for requests `0..requests`, after `change` has had each document.
    fn delivered(expectation: &Expectation<'_>, change: impl Fn(u64, &mut String)) -> Ledger {
        let mut ledger = Ledger::new(expectation.records());
        let mut scanner = Scanner::default();
        for number in 0..expectation.requests {
            let request = expectation.corpus.request(number, RECORDS);
            for record in &request.records {
                let index = oracle::expected_index(record, request.resource);
                let document = match expectation.shape.protocol {
                    Protocol::Ndjson => {
                        oracle::expected_line(record, request.resource, request.scope, expectation.shape.keys)
                    }
                    _ => oracle::expected_document(record, request.resource, request.scope),
                };
                let mut pair = format!(
                    "{{\"create\":{{\"_index\":\"{index}\",\"_id\":\"{}\"}}}}\n{document}\n",
                    record.sequence
                );
                change(record.sequence, &mut pair);
                scanner.feed(pair.as_bytes()).unwrap();
            }
        }
        ledger.commit(scanner.finish().unwrap().0, 0);
        ledger
    }

    fn faults(protocol: Protocol, change: impl Fn(u64, &mut String)) -> String {
        let corpus = Corpus::new(8, 1_795_249_564_580_000_000);
        let shape = Shape { protocol, records: RECORDS, keys: Keys::Eighteen, gzip: false };
        let expectation = Expectation { corpus: &corpus, shape, requests: 8 };
        expectation.faults(&mut delivered(&expectation, change)).join("\n")
    }

    #[test]
    fn a_right_delivery_has_no_faults() {
        assert_eq!(faults(Protocol::OtlpGrpc, |_, _| {}), "");
        assert_eq!(faults(Protocol::Ndjson, |_, _| {}), "");
    }

    #[test]
    fn trailing_zeros_of_a_fraction_do_not_count() {
        let trimmed = |text: &str| {
            let mut document = serde_json::json!({ "@timestamp": text });
            trim_timestamp(&mut document);
            document["@timestamp"].as_str().unwrap().to_owned()
        };
        assert_eq!(trimmed("2026-11-21T08:26:00.580000000Z"), "2026-11-21T08:26:00.58Z");
        assert_eq!(trimmed("2026-11-21T08:26:00.000Z"), trimmed("2026-11-21T08:26:00Z"));
        assert_ne!(trimmed("2026-11-21T08:26:00Z"), trimmed("2026-11-21T08:26:01Z"));
    }

    #[test]
    fn each_way_to_be_wrong_is_named() {
        let told = |change: &dyn Fn(u64, &mut String)| faults(Protocol::OtlpGrpc, change);
        let at = |wanted: u64, sequence: u64| sequence == wanted;

        let lost = told(&|sequence, pair| {
            if at(7, sequence) {
                pair.clear();
            }
        });
        assert!(lost.contains("1 of 4000 records never arrived; the first is 7"), "{lost}");
        let twice = told(&|sequence, pair| {
            if at(7, sequence) {
                *pair = pair.repeat(2);
            }
        });
        assert!(twice.contains("1 documents arrived more than once"), "{twice}");
        assert!(twice.contains("1 documents share an _id"), "{twice}");
        let id = told(&|sequence, pair| {
            if at(7, sequence) {
                *pair = pair.replace(",\"_id\":\"7\"", "");
            }
        });
        assert!(id.contains("1 documents came without an _id"), "{id}");
        let index = told(&|sequence, pair| {
            if at(1000, sequence) {
                *pair = pair.replacen("project-ai-", "project-", 1);
            }
        });
        assert!(index.contains("_index: project-"), "{index}");
        let value = told(&|sequence, pair| {
            if at(2000, sequence) {
                *pair = pair.replace("\"api.duration\":", "\"api.duration\":1");
            }
        });
        assert!(value.contains("record 2000 differs:\n  api.duration: "), "{value}");
        let extra = told(&|sequence, pair| {
            if at(3000, sequence) {
                *pair = pair.replace("\"endpoint\":", "\"extra\":1,\"endpoint\":");
            }
        });
        assert!(extra.contains("extra: 1, expected none"), "{extra}");
        let doubled = told(&|sequence, pair| {
            if at(0, sequence) {
                *pair = pair.replace("\"endpoint\":", "\"level\":\"x\",\"endpoint\":");
            }
        });
        assert!(doubled.contains("the key level is written twice"), "{doubled}");
    }
}
