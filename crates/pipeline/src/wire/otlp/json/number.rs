//! Numbers of JSON: written as numbers, or as texts of numbers.

/// A number as it stands in the body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number<'n> {
    Natural(u64),
    Integer(i64),
    Double(f64),
    Text(&'n str),
}

/// From here on doubles have gaps between integers.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Number<'_> {
    /// As an integer: also `5.0` and `5e0`, which mean the same.
    pub(super) fn integer(self) -> Option<i128> {
        match self {
            Self::Natural(number) => Some(number.into()),
            Self::Integer(number) => Some(number.into()),
            Self::Double(number) if number.fract() == 0.0 && number.abs() <= EXACT => Some(number as i128),
            Self::Double(_) => None,
            Self::Text(text) => text.parse().ok(),
        }
    }

    /// As a double: also the words that JSON has no numbers for.
    pub(super) fn double(self) -> Option<f64> {
        match self {
            Self::Natural(number) => Some(number as f64),
            Self::Integer(number) => Some(number as f64),
            Self::Double(number) => Some(number),
            Self::Text("NaN") => Some(f64::NAN),
            Self::Text("Infinity") => Some(f64::INFINITY),
            Self::Text("-Infinity") => Some(f64::NEG_INFINITY),
            Self::Text(text) => {
                let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
                text.parse().ok().filter(|number: &f64| is_number && number.is_finite())
            }
        }
    }
}
