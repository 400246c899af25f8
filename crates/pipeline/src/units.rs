//! Sizes and durations as people write them in a configuration: `4MiB`, `1m30s`.
//!
//! Both types read and print the same notation, so that a default shown in the reference can be pasted back.
//! Their JSON schemas are a string with `format` [`BYTES_FORMAT`] or [`DURATION_FORMAT`]; the configuration
//! checker goes by that format.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// `format` of a [`ByteSize`] in a JSON schema.
pub const BYTES_FORMAT: &str = "bytes";
/// `format` of a [`Period`] in a JSON schema.
pub const DURATION_FORMAT: &str = "duration";

/// Why a text is not a size or a duration. The text itself is not repeated, since it may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    #[error("not a size; write whole bytes (`123`) or a whole number with a unit (`64 KiB`, `4MiB`, `10MB`)")]
    NotASize,
    #[error("not a duration; write whole numbers with units (`200ms`, `8s`, `5m`, `1h`, `1m30s`, `0s`)")]
    NotADuration,
    #[error("a duration needs a unit (`200ms`, `8s`, `5m`, `1h`, `1m30s`)")]
    NoUnit,
    #[error("too large")]
    Overflow,
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Period(pub Duration);

/// Largest first, so that the first exact divisor is the canonical unit; binary before decimal of the same rank.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

/// Unit and its nanoseconds, largest first: the order in which the parts of a duration are written.
const TIME_UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl ByteSize {
    /// `n` bytes of 1024; saturates.
    pub const fn kib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 10))
    }

    /// `n` bytes of 1024 squared; saturates.
    pub const fn mib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 20))
    }

    /// The size as a length in memory; saturates where `usize` is narrower.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Period {
    /// `n` seconds.
    pub const fn secs(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }

    /// `n` milliseconds.
    pub const fn millis(n: u64) -> Self {
        Self(Duration::from_millis(n))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, bytes) in SIZE_UNITS {
            if bytes > 1 && self.0 != 0 && self.0.is_multiple_of(bytes) {
                return write!(f, "{}{unit}", self.0 / bytes);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_nanos();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, nanos) in TIME_UNITS {
            let count = rest / u128::from(nanos);
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
            rest %= u128::from(nanos);
        }
        Ok(())
    }
}

/// Splits the digits off the front; `None` where there are none.
fn leading_number(text: &str) -> Option<(Result<u64, UnitError>, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    if end == 0 {
        return None;
    }
    let (digits, rest) = text.split_at(end);
    // Only digits are left, so the one way to fail is being too large.
    Some((digits.parse().map_err(|_| UnitError::Overflow), rest))
}

impl FromStr for ByteSize {
    type Err = UnitError;

    /// Accepts `123`, `64KiB`, `64 KiB`, `10MB`; the case of the unit does not matter.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, rest) = leading_number(text.trim()).ok_or(UnitError::NotASize)?;
        let suffix = rest.trim_start();
        if suffix.is_empty() {
            return Ok(Self(number?));
        }
        for (unit, bytes) in SIZE_UNITS {
            if suffix.eq_ignore_ascii_case(unit) {
                return number?.checked_mul(bytes).map(Self).ok_or(UnitError::Overflow);
            }
        }
        Err(UnitError::NotASize)
    }
}

impl FromStr for Period {
    type Err = UnitError;

    /// Accepts `200ms`, `8s`, `1m30s`, `0`: parts from the largest unit to the smallest, each unit at most once.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let mut rest = text.trim();
        if rest == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let mut total = Duration::ZERO;
        let mut allowed = &TIME_UNITS[..];
        loop {
            let (number, after) = leading_number(rest).ok_or(UnitError::NotADuration)?;
            let unit_end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
            let (name, next) = after.split_at(unit_end);
            if after.is_empty() {
                return Err(UnitError::NoUnit);
            }
            let position =
                allowed.iter().position(|(unit, _)| *unit == name).ok_or(UnitError::NotADuration)?;
            let part = nanoseconds(number?, allowed[position].1).ok_or(UnitError::Overflow)?;
            total = total.checked_add(part).ok_or(UnitError::Overflow)?;
            allowed = &allowed[position + 1..];
            rest = next;
            if rest.is_empty() {
                return Ok(Self(total));
            }
        }
    }
}

/// `count * nanos`, or `None` where a `Duration` cannot hold it.
fn nanoseconds(count: u64, nanos: u64) -> Option<Duration> {
    const SECOND: u128 = 1_000_000_000;
    let total = u128::from(count) * u128::from(nanos);
    let seconds = u64::try_from(total / SECOND).ok()?;
    let below = u32::try_from(total % SECOND).ok()?;
    Some(Duration::new(seconds, below))
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as `4MiB`, or a number of bytes")
    }

    fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
        Ok(ByteSize(bytes))
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
        u64::try_from(bytes).map(ByteSize).map_err(|_| E::custom(UnitError::NotASize))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
        text.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

struct PeriodVisitor;

impl Visitor<'_> for PeriodVisitor {
    type Value = Period;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as `200ms` or `1m30s`")
    }

    // YAML reads a bare `0` as an integer; every other bare number lacks its unit.
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Period, E> {
        if number == 0 { Ok(Period(Duration::ZERO)) } else { Err(E::custom(UnitError::NoUnit)) }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Period, E> {
        if number == 0 { Ok(Period(Duration::ZERO)) } else { Err(E::custom(UnitError::NoUnit)) }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Period, E> {
        text.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PeriodVisitor)
    }
}

impl JsonSchema for ByteSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "format": BYTES_FORMAT,
            "examples": ["4MiB", "64 KiB", "10MB", 4096]
        })
    }
}

impl JsonSchema for Period {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": DURATION_FORMAT,
            "examples": ["200ms", "8s", "1m30s"]
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn sizes_are_read() {
        let cases = [
            ("0", 0),
            ("123", 123),
            ("7B", 7),
            ("64 KiB", 65_536),
            ("64kib", 65_536),
            ("4MiB", 4_194_304),
            ("10MB", 10_000_000),
            (" 2 GB ", 2_000_000_000),
            ("1TiB", 1_099_511_627_776),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn bad_sizes_are_refused() {
        for text in ["", "MiB", "-1", "1.5MiB", "4Mi", "4 MiB s", "4MiB2KiB", "1_000", "٣"] {
            assert_eq!(text.parse::<ByteSize>(), Err(UnitError::NotASize), "{text}");
        }
        for text in ["18446744073709551616", "16777216TiB", "99999999999999999999KB"] {
            assert_eq!(text.parse::<ByteSize>(), Err(UnitError::Overflow), "{text}");
        }
    }

    #[test]
    fn sizes_are_printed_in_the_largest_exact_unit() {
        let cases = [
            (ByteSize(0), "0"),
            (ByteSize(123), "123"),
            (ByteSize::kib(64), "64KiB"),
            (ByteSize::mib(4), "4MiB"),
            (ByteSize::mib(2048), "2GiB"),
            (ByteSize(10_000_000), "10MB"),
            (ByteSize(1025), "1025"),
        ];
        for (size, text) in cases {
            assert_eq!(size.to_string(), text);
            assert_eq!(text.parse(), Ok(size));
        }
    }

    #[test]
    fn durations_are_read() {
        let cases = [
            ("0", Duration::ZERO),
            ("0s", Duration::ZERO),
            ("200ms", Duration::from_millis(200)),
            ("8s", Duration::from_secs(8)),
            ("5m", Duration::from_secs(300)),
            ("1h", Duration::from_secs(3_600)),
            ("1m30s", Duration::from_secs(90)),
            ("90s", Duration::from_secs(90)),
            ("2d1h5ns", Duration::new(176_400, 5)),
        ];
        for (text, duration) in cases {
            assert_eq!(text.parse(), Ok(Period(duration)), "{text}");
        }
    }

    #[test]
    fn bad_durations_are_refused() {
        for text in ["", "s", "-1s", "1.5s", "8 s", "30s1m", "1s1s", "8sec", "1m 30s", "8S"] {
            assert_eq!(text.parse::<Period>(), Err(UnitError::NotADuration), "{text}");
        }
        for text in ["8", "1m30", "00"] {
            assert_eq!(text.parse::<Period>(), Err(UnitError::NoUnit), "{text}");
        }
        for text in ["18446744073709551616s", "18446744073709551615m", "18446744073709551615s1000ms"] {
            assert_eq!(text.parse::<Period>(), Err(UnitError::Overflow), "{text}");
        }
    }

    #[test]
    fn durations_are_printed_in_descending_units() {
        let cases = [
            (Period::secs(0), "0s"),
            (Period::millis(200), "200ms"),
            (Period::millis(1_500), "1s500ms"),
            (Period::secs(90), "1m30s"),
            (Period::secs(3_600), "1h"),
            (Period(Duration::from_nanos(1_001)), "1us1ns"),
        ];
        for (period, text) in cases {
            assert_eq!(period.to_string(), text);
            assert_eq!(text.parse(), Ok(period));
        }
        let longest = Period(Duration::MAX);
        assert_eq!(longest.to_string().parse(), Ok(longest));
    }

    #[test]
    fn json_carries_the_notation() {
        assert_eq!(serde_json::to_string(&ByteSize::mib(4)).unwrap(), "\"4MiB\"");
        assert_eq!(serde_json::from_str::<ByteSize>("4096").unwrap(), ByteSize(4096));
        assert_eq!(serde_json::from_str::<ByteSize>("\"4 KiB\"").unwrap(), ByteSize(4096));
        assert!(serde_json::from_str::<ByteSize>("-1").is_err());
        assert_eq!(serde_json::to_string(&Period::secs(90)).unwrap(), "\"1m30s\"");
        assert_eq!(serde_json::from_str::<Period>("\"1m30s\"").unwrap(), Period::secs(90));
        assert_eq!(serde_json::from_str::<Period>("0").unwrap(), Period::secs(0));
        let error = serde_json::from_str::<Period>("8").unwrap_err().to_string();
        assert!(error.starts_with("a duration needs a unit"), "{error}");
    }

    #[test]
    fn schemas_are_inline_and_named_by_format() {
        let size = schemars::schema_for!(ByteSize);
        assert_eq!(size.get("format").unwrap(), "bytes");
        let period = schemars::schema_for!(Vec<Period>);
        assert_eq!(period.get("items").unwrap().get("format").unwrap(), "duration");
    }
}
