//! What a JSON value says, as one number: equal for two texts of the same value, whatever the order of their keys.
//!
//! Beats encode an event anew whenever they send it again, from maps without an order.

use super::escape::Unescaped;
use super::literal::{Kind, Literal};
use super::walk::Members;
use xxhash_rust::const_xxh3::const_custom_default_secret;
use xxhash_rust::xxh3::xxh3_128_with_secret;

/// The key of the hash; the same everywhere, because a client may send again to another replica.
const KEY: [u8; 192] = const_custom_default_secret(0xbea7_5eed_0f0e_ba11);
/// Odd numbers with no pattern in their bits, so that a key and its value do not cancel each other.
const OF_KEY: u128 = 0x2d35_8dcc_aa6c_78a5_9e37_79b9_7f4a_7c15;
const OF_ELEMENT: u128 = 0x8ebc_6af0_9c88_c6e3_5899_65cc_7537_4cc3;

/// The fingerprint of a value that passed `check`. Numbers are compared as they are written.
pub fn fingerprint(text: &[u8]) -> u128 {
    // It is UTF-8: a check has found it so.
    let Ok(text) = simdutf8::basic::from_utf8(text) else { return 0 };
    Members::first(text).map_or(0, |value| of_literal(text, value))
}

fn of_literal(text: &str, value: Literal) -> u128 {
    match value.kind {
        // A sum does not mind the order. Keys are different in one object, or the record would have been refused.
        Kind::Map => Members::of(text, value.start as usize).fold(1, |sum, (key, value)| {
            let key = key.map_or(0, |key| of_text(key.text(text), key.escaped));
            let pair = key.wrapping_mul(OF_KEY) ^ of_literal(text, value).rotate_left(41);
            u128::wrapping_add(sum, mix(pair))
        }),
        Kind::Array => Members::of(text, value.start as usize)
            .fold(2, |sum, (_, value)| mix(u128::wrapping_mul(sum, OF_ELEMENT) ^ of_literal(text, value))),
        Kind::Str | Kind::Escaped => of_text(value.inside(text), value.kind == Kind::Escaped),
        // A word or a number is never equal to a text.
        Kind::Null | Kind::Bool(_) | Kind::Number => !of_bytes(value.text(text).as_bytes()),
    }
}

fn of_text(inside: &str, is_escaped: bool) -> u128 {
    if is_escaped {
        let plain: String = Unescaped::of(inside).collect();
        return of_bytes(plain.as_bytes());
    }
    of_bytes(inside.as_bytes())
}

fn of_bytes(bytes: &[u8]) -> u128 {
    xxh3_128_with_secret(bytes, &KEY)
}

/// Spreads each bit over all others.
fn mix(value: u128) -> u128 {
    of_bytes(&value.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_space_and_escapes_do_not_matter_and_all_else_does() {
        let one = fingerprint(br#"{"a":1,"b":{"c":[1,"x",null],"d":"\u00e9\n"}}"#);
        let same = "{ \"b\" : {\"d\":\"\u{e9}\\n\", \"\\u0063\": [1, \"x\", null]}, \"a\": 1 }";
        assert_eq!(one, fingerprint(same.as_bytes()));
        let others = [
            r#"{"a":1,"b":{"c":[1,null,"x"],"d":"\u00e9\n"}}"#,
            r#"{"a":"1","b":{"c":[1,"x",null],"d":"\u00e9\n"}}"#,
            r#"{"b":1,"a":{"c":[1,"x",null],"d":"\u00e9\n"}}"#,
            r#"{"a":1,"b":{"c":[1,"x","null"],"d":"\u00e9\n"}}"#,
            r#"{"a":1,"b":{"c":[1,"x"],"d":"\u00e9\n"}}"#,
            r#"{"a":1,"b":[],"d":{}}"#,
            r#"{"a":1,"b":{},"d":[]}"#,
            r#"{"a":1}"#,
            "{}",
            "[]",
        ];
        let mut seen = vec![one];
        for other in others {
            let print = fingerprint(other.as_bytes());
            assert!(!seen.contains(&print), "{other}");
            seen.push(print);
        }
    }
}
