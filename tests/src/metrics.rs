//! Reads the gateway's `/metrics` (Prometheus text format 0.0.4) and the ledger in it.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;

/// One scrape: the value of every series, by `name` or `name{labels}` as the gateway writes it.
#[derive(Clone, Debug, Default)]
pub struct Metrics(pub BTreeMap<String, f64>);

impl Metrics {
    /// Reads the text format. Values of this gateway's metrics come without a timestamp.
    pub fn parse(text: &str) -> Result<Self> {
        let mut series = BTreeMap::new();
        for line in text.lines() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.rsplit_once(' ').with_context(|| format!("not a sample: {line}"))?;
            let value = value.parse().with_context(|| format!("not a value: {line}"))?;
            let earlier = series.insert(key.to_owned(), value);
            ensure!(earlier.is_none(), "the series {key} is there twice");
        }
        Ok(Self(series))
    }

    /// The sum of all series of metric `name` that have all these labels; 0 without one.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let mut sum = 0.0;
        for (key, value) in &self.0 {
            let (own_name, own_labels) = key.split_once('{').unwrap_or((key, ""));
            let has = |(label, wanted): &(&str, &str)| has_label(own_labels, label, wanted);
            if own_name == name && labels.iter().all(has) {
                sum += value;
            }
        }
        sum
    }

    /// Whether the gateway exports a metric of this name at all.
    pub fn has(&self, name: &str) -> bool {
        self.0.keys().any(|key| key.split('{').next() == Some(name))
    }

    /// The ledger, summed over receivers, sinks and routes.
    ///
    /// # Errors
    /// A metric of the ledger is not exported: absent is not 0 in a book that must balance.
    pub fn ledger(&self) -> Result<Ledger> {
        let part = |name: &str, labels: &[(&str, &str)]| {
            ensure!(self.has(name), "the gateway exports no {name}");
            Ok(self.sum(name, labels))
        };
        let door = |outcome| part("forebay_receiver_records_total", &[("outcome", outcome)]);
        let debt = |outcome| part("forebay_sink_records_total", &[("outcome", outcome)]);
        Ok(Ledger {
            received: part("forebay_receiver_received_records_total", &[])?,
            admitted: door("admitted")?,
            rejected: door("rejected")?,
            refused: door("refused")?,
            owed: part("forebay_sink_owed_records_total", &[])?,
            recovered: part("forebay_sink_recovered_records_total", &[])?,
            behind: self.sum("forebay_journal_behind_requests", &[]),
            in_flight: part("forebay_sink_in_flight_records", &[])?,
            settled: part("forebay_sink_records_total", &[])?,
            delivered: debt("delivered")?,
            duplicate: debt("duplicate")?,
            dead_lettered: debt("dead_lettered")?,
            abandoned: debt("abandoned")?,
        })
    }
}

/// The two equations' terms, in records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ledger {
    pub received: f64,
    pub admitted: f64,
    pub rejected: f64,
    pub refused: f64,
    pub owed: f64,
    /// Owed before, and taken up again from the journal.
    pub recovered: f64,
    /// Requests, not records, that the journal still holds for a sink; 0 without a journal.
    pub behind: f64,
    pub in_flight: f64,
    /// All outcomes together; the ones below are parts of it.
    pub settled: f64,
    pub delivered: f64,
    pub duplicate: f64,
    pub dead_lettered: f64,
    pub abandoned: f64,
}

impl Ledger {
    /// Checks both equations. They hold exactly whenever nothing is on the move.
    pub fn check(&self) -> Result<()> {
        let door = self.admitted + self.rejected + self.refused;
        ensure!(self.received == door, "door: received is not admitted + rejected + refused: {self:?}");
        ensure!(
            self.owed + self.recovered == self.settled + self.in_flight,
            "debt: owed + recovered is not settled + in flight: {self:?}"
        );
        Ok(())
    }
}

/// Whether `labels` (`a="x",b="y"}`) hold `name="value"`. Values that need escapes are not used in tests.
fn has_label(labels: &str, name: &str, value: &str) -> bool {
    let wanted = format!("{name}=\"{value}\"");
    labels.trim_end_matches('}').match_indices(&wanted).any(|(at, found)| {
        let before = labels[..at].chars().next_back();
        let after = labels[at + found.len()..].chars().next();
        matches!(before, None | Some(',')) && matches!(after, Some(',' | '}'))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SCRAPE: &str = r#"# HELP forebay_sink_owed_records_total Records.
# TYPE forebay_sink_owed_records_total counter
forebay_sink_owed_records_total{sink="es",route="logs"} 7
forebay_sink_owed_records_total{sink="es2",route="logs"} 2

up 1
"#;

    #[test]
    fn sums_by_label() {
        let metrics = Metrics::parse(SCRAPE).unwrap();
        assert_eq!(metrics.sum("forebay_sink_owed_records_total", &[]), 9.0);
        assert_eq!(metrics.sum("forebay_sink_owed_records_total", &[("sink", "es")]), 7.0);
        assert_eq!(
            metrics.sum("forebay_sink_owed_records_total", &[("sink", "es2"), ("route", "logs")]),
            2.0
        );
        assert_eq!(metrics.sum("forebay_sink_owed_records_total", &[("ink", "es")]), 0.0);
        assert_eq!(metrics.0["up"], 1.0);
    }

    const BOOKS: &str = r#"
forebay_receiver_received_records_total{receiver="otlp"} 10
forebay_receiver_records_total{receiver="otlp",outcome="admitted"} 7
forebay_receiver_records_total{receiver="otlp",outcome="rejected"} 1
forebay_receiver_records_total{receiver="otlp",outcome="refused"} 2
forebay_sink_owed_records_total{sink="es",route="logs"} 5
forebay_sink_recovered_records_total{sink="es",route="logs"} 2
forebay_sink_in_flight_records{sink="es",route="logs"} 1
forebay_sink_records_total{sink="es",route="logs",outcome="delivered"} 5
forebay_sink_records_total{sink="es",route="logs",outcome="dead_lettered"} 1
"#;

    #[test]
    fn a_ledger_balances_or_says_which_equation_does_not() {
        let ledger = Metrics::parse(BOOKS).unwrap().ledger().unwrap();
        ledger.check().unwrap();
        assert_eq!((ledger.delivered, ledger.dead_lettered, ledger.settled), (5.0, 1.0, 6.0));

        let door = Ledger { refused: 3.0, ..ledger }.check().unwrap_err();
        assert!(door.to_string().starts_with("door"), "{door}");
        let debt = Ledger { settled: 5.0, ..ledger }.check().unwrap_err();
        assert!(debt.to_string().starts_with("debt"), "{debt}");
    }

    #[test]
    fn a_ledger_with_a_missing_metric_is_an_error() {
        assert!(Metrics::parse(SCRAPE).unwrap().ledger().is_err());
    }

    #[test]
    fn lines_that_are_no_samples_are_errors() {
        assert!(Metrics::parse("lonely").is_err());
        assert!(Metrics::parse("a x").is_err());
        assert!(Metrics::parse("a 1\na 2").is_err());
    }
}
