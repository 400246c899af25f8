//! Numbers as conditions compare them: whole ones in all their digits, which a double has not.

use crate::record::Value;
use serde_json::Number;
use std::cmp::Ordering;

/// The least double that no `i64` reaches: 2^63.
const BEYOND_WHOLE: f64 = 9_223_372_036_854_775_808.0;

/// A number of a record or of a condition.
#[derive(Clone, Copy, Debug)]
pub(super) enum Quantity {
    Whole(i64),
    /// Also a whole number that is written with a fraction or an exponent, or needs more than 64 bits.
    Double(f64),
}

impl Quantity {
    /// The number that a value is; `None` for text and everything else.
    pub(super) fn of(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Int(whole) => Some(Self::Whole(whole)),
            Value::Unsigned(whole) => {
                Some(i64::try_from(whole).map_or(Self::Double(whole as f64), Self::Whole))
            }
            Value::Double(double) => Some(Self::Double(double)),
            Value::Number(digits) => match digits.parse() {
                Ok(whole) => Some(Self::Whole(whole)),
                Err(_) => digits.parse().ok().map(Self::Double),
            },
            _ => None,
        }
    }

    /// The number that is written in a condition.
    pub(super) fn of_number(number: &Number) -> Option<Self> {
        number.as_i64().map(Self::Whole).or_else(|| number.as_f64().map(Self::Double))
    }

    /// The order of the two; `None` beside a NaN.
    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => Some(one.cmp(&other)),
            (Self::Double(one), Self::Double(other)) => one.partial_cmp(&other),
            (Self::Whole(whole), Self::Double(double)) => compare_mixed(whole, double),
            (Self::Double(double), Self::Whole(whole)) => compare_mixed(whole, double).map(Ordering::reverse),
        }
    }
}

/// Compares without making a double of the whole number, which would round it.
fn compare_mixed(whole: i64, double: f64) -> Option<Ordering> {
    if double >= BEYOND_WHOLE {
        return Some(Ordering::Less);
    }
    if double < -BEYOND_WHOLE {
        return Some(Ordering::Greater);
    }
    let cut = double.trunc();
    let fraction = cut.partial_cmp(&double)?;
    Some(whole.cmp(&(cut as i64)).then(fraction))
}
