//! Decisions out of a seed: the same seed makes the same ones, on every machine and in every version of a library.

/// SplitMix64: tiny, and good enough for choosing faults and writing texts.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator for one purpose, named by numbers: `Random::of(&[seed, client, record])`.
    pub fn of(purpose: &[u64]) -> Self {
        let mut state = 0;
        for number in purpose {
            state = Self(state ^ number).next();
        }
        Self(state)
    }

    /// The next 64 bits. (Not `Iterator::next`: there is no end.)
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0. The bias is below `end / 2^64`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A number of a half-open range that is not empty.
    pub fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.below(range.end - range.start)
    }

    /// True once in `count` times.
    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_is_a_sequence_of_its_own() {
        let first = |purpose: &[u64]| Random::of(purpose).next();
        assert_eq!(first(&[7, 1]), first(&[7, 1]));
        let all = [first(&[7, 1]), first(&[1, 7]), first(&[7]), first(&[7, 1, 0]), first(&[7, 2])];
        for (at, number) in all.iter().enumerate() {
            assert!(!all[..at].contains(number), "{all:?}");
        }
    }

    #[test]
    fn numbers_stay_in_their_range_and_reach_all_of_it() {
        let mut random = Random::of(&[3]);
        let mut seen = [false; 5];
        for _ in 0..200 {
            let number = random.within(10..15);
            assert!((10..15).contains(&number));
            seen[number as usize - 10] = true;
        }
        assert_eq!(seen, [true; 5]);
    }
}
