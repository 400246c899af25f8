//! Decimal digits without a loop: eight in a register, written as one word.

/// Numbers below this have eight digits or fewer.
pub(crate) const EIGHT_DIGITS: u32 = 100_000_000;

/// The eight decimal digits of `value` (below [`EIGHT_DIGITS`]) as ASCII, zeros in front.
///
/// The halves are divided in lanes of one word: first into two groups of four digits, then four of two, then single ones.
/// The multipliers are 1/100 and 1/10 rounded up, exact for the values that a lane can hold.
#[inline(always)]
pub(crate) fn eight_digits(value: u32) -> [u8; 8] {
    ascii_word(value).to_le_bytes()
}

/// The digits of `value` (below [`EIGHT_DIGITS`]) without zeros in front, and how many there are.
#[inline(always)]
pub(crate) fn digits(value: u32) -> ([u8; 8], usize) {
    let word = ascii_word(value);
    // The last digit stays, so that zero has one.
    let zeros = ((word ^ ZEROS) | 1 << 56).trailing_zeros() / 8;
    ((word >> (8 * zeros)).to_le_bytes(), 8 - zeros as usize)
}

const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);

#[inline(always)]
fn ascii_word(value: u32) -> u64 {
    debug_assert!(value < EIGHT_DIGITS, "{value} has more than eight digits");
    let value = u64::from(value);
    let fours = (value / 10_000) | (value % 10_000) << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | (fours - hundreds * 100) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    (tens | (twos - tens * 10) << 8) + ZEROS
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn agrees(value: u32) {
        assert_eq!(eight_digits(value).as_slice(), format!("{value:08}").as_bytes());
        let (text, len) = digits(value);
        assert_eq!(&text[..len], value.to_string().as_bytes());
    }

    #[test]
    fn digits_are_those_of_the_standard_library() {
        // Every value of a lane in either half, and the ends of each length.
        (0..10_000).for_each(|half| [half, half * 10_000, half * 10_001].into_iter().for_each(agrees));
        for power in 0..8 {
            let first = 10u32.pow(power);
            [first - 1, first, first + 1].into_iter().for_each(agrees);
        }
        (0..EIGHT_DIGITS).step_by(9_973).for_each(agrees);
    }
}
