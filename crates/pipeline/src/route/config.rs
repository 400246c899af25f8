//! How routes are written in the configuration.

use crate::Signal;
use crate::body::OnRefused;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Number;

/// Whether a record takes the first route that matches, or every one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The first route that matches, in the order of the file.
    #[default]
    FirstMatch,
    /// Every route that matches.
    FanOut,
}

/// One route: which records, to which sinks, under which name.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// The route's name in metrics and dead letters. Must be unique.
    pub name: String,
    /// Which kinds of telemetry take this route: `logs`, `traces`, `metrics`. Default: logs alone. A receiver of a kind that no
    /// route names answers as if it did not have it.
    #[serde(default = "logs", skip_serializing_if = "is_logs")]
    #[schemars(length(min = 1))]
    pub signals: Vec<Signal>,
    /// Which records take this route. Left out: all that reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// Names of the sinks that receive the records. All of them must take a record before its client is answered, or (with
    /// `acknowledge: durable`) before the journal lets go of it.
    pub to: Vec<String>,
    /// Names of further sinks that get the records if they keep up. Nobody waits for them: what does not fit into such a sink's
    /// `delivery.window_bytes`, or cannot be delivered, is dropped and counted, and so is what is on its way to it when the process
    /// ends. They take no part in the journal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub best_effort: Vec<String>,
    /// The destination's name in the sink: an Elasticsearch index, or a file. `%Y` `%m` `%d` `%H` (and `%G` `%V` for ISO weeks, `%j` for the
    /// day of the year) are filled from the event's time in UTC. Must make valid Elasticsearch index names: lower case.
    pub index: String,
    /// What becomes of a record that the sink refuses for good. Default: kept in the dead letters.
    #[serde(default)]
    pub on_refused: OnRefused,
}

fn logs() -> Vec<Signal> {
    vec![Signal::Logs]
}

fn is_logs(signals: &[Signal]) -> bool {
    *signals == [Signal::Logs]
}

/// A condition: on one field, or made of other conditions (exactly one of `field`, `all`, `any`, `not`).
///
/// Several tests in one condition on a field must all hold, so that a range can be written. A field is named as it stands in the document:
/// `component`, `http.method` (also nested), `resource.service.name`, `scope.name`, `severity_number`. Whole numbers of 64 bits are
/// compared in all their digits, other numbers as doubles.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct When {
    /// The field that the tests look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The field is this text, number or boolean. A number never equals text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equals: Option<Scalar>,
    /// The field is one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_of: Option<Vec<Scalar>>,
    /// The field is text that matches this pattern: `*` any text, `?` one character, `[ab]` one of these, `{a,b}` either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub glob: Option<String>,
    /// The field is text in which this regular expression (the `regex` crate's syntax) finds a match; anchor it with `^` and `$`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// True: the field is there and not null. False: it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
    /// The field is a number above this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub greater_than: Option<Number>,
    /// The field is a number not below this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Number>,
    /// The field is a number below this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub less_than: Option<Number>,
    /// The field is a number not above this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Number>,
    /// Upper and lower case are the same in `equals`, `one_of`, `glob` and `regex` of this condition. Default: false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_case: bool,
    /// Every one of these conditions holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<Vec<When>>,
    /// At least one of these conditions holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub any: Option<Vec<When>>,
    /// This condition does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not: Option<Box<When>>,
}

/// A value to compare with.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    Bool(bool),
    Integer(i64),
    Number(f64),
    Text(String),
}
