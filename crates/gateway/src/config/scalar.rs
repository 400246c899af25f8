//! Plain scalars by the core schema of YAML 1.2 (section 10.3.2).

/// A scalar and its type.
#[derive(Clone, PartialEq)]
pub enum Scalar {
    Null,
    Bool(bool),
    /// Wider than any setting, so that a range check sees the number as it was written.
    Integer(i128),
    Float(f64),
    Text(String),
}

impl Scalar {
    /// Types an unquoted scalar. `yes`, `on` and `1_000` are text, as YAML 1.2 has it.
    pub fn from_plain(text: String) -> Self {
        match text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
            "true" | "True" | "TRUE" => return Self::Bool(true),
            "false" | "False" | "FALSE" => return Self::Bool(false),
            ".nan" | ".NaN" | ".NAN" => return Self::Float(f64::NAN),
            _ => {}
        }
        if let Some(number) = integer(&text) {
            return Self::Integer(number);
        }
        match float(&text) {
            Some(number) => Self::Float(number),
            None => Self::Text(text),
        }
    }

    /// The value as JSON. An integer beyond 64 bits becomes a double; a number that is not finite, null.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Float(value) => (*value).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Integer(value) => {
                let wide = || serde_json::Value::from(*value as f64);
                match u64::try_from(*value) {
                    Ok(unsigned) => unsigned.into(),
                    Err(_) => i64::try_from(*value).map_or_else(|_| wide(), Into::into),
                }
            }
        }
    }

    /// Bytes of text held.
    pub fn text_len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            _ => 0,
        }
    }
}

fn integer(text: &str) -> Option<i128> {
    if let Some(digits) = text.strip_prefix("0x") {
        return if digits.starts_with(['+', '-']) { None } else { i128::from_str_radix(digits, 16).ok() };
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return if digits.starts_with(['+', '-']) { None } else { i128::from_str_radix(digits, 8).ok() };
    }
    text.parse().ok()
}

/// Rust's own grammar of floats is wider (`inf`, `nan`), hence the look at the characters first.
fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    let numeric = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    if unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') && unsigned.chars().all(numeric) {
        return text.parse().ok();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Scalar {
        Scalar::from_plain(text.to_owned())
    }

    #[test]
    fn plain_scalars_are_typed_by_the_core_schema() {
        for text in ["", "~", "null", "NULL"] {
            assert!(typed(text) == Scalar::Null, "{text}");
        }
        assert!(typed("true") == Scalar::Bool(true));
        assert!(typed("FALSE") == Scalar::Bool(false));
        for (text, number) in [
            ("0", 0),
            ("-17", -17),
            ("+3", 3),
            ("007", 7),
            ("0x1F", 31),
            ("0o17", 15),
            ("18446744073709551615", 18446744073709551615),
        ] {
            assert!(typed(text) == Scalar::Integer(number), "{text}");
        }
        for (text, number) in
            [("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("-1e3", -1000.0), ("6.02E+23", 6.02e23)]
        {
            assert!(typed(text) == Scalar::Float(number), "{text}");
        }
        assert!(matches!(typed(".nan"), Scalar::Float(number) if number.is_nan()));
        assert!(typed("-.inf") == Scalar::Float(f64::NEG_INFINITY));
        for text in [
            "yes", "on", "nan", "inf", "1_000", "1.2.3", "0x", "0x-1", "4MiB", "1m30s", "e3", ".", "-",
            "tRue",
        ] {
            assert!(typed(text) == Scalar::Text(text.to_owned()), "{text}");
        }
    }

    #[test]
    fn json_keeps_every_64_bit_integer() {
        assert_eq!(typed("18446744073709551615").to_json(), serde_json::json!(u64::MAX));
        assert_eq!(typed("-9223372036854775808").to_json(), serde_json::json!(i64::MIN));
        assert_eq!(typed("1.5").to_json(), serde_json::json!(1.5));
        assert_eq!(typed("").to_json(), serde_json::Value::Null);
    }
}
