//! A small generator of its own, so that a seed means the same bytes whatever a dependency's next version does.

/// The odd constant of SplitMix64: 2^64 divided by the golden ratio.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64: one add and a finaliser per number. Not for secrets.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The generator of `stream` under `seed`; streams are independent, so a record can be made without its
    /// predecessors.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        // Both are mixed: neighbouring streams would otherwise be the same sequence, one step apart.
        Self(mix(seed).wrapping_add(mix(stream ^ GAMMA)))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// True once in `n` calls on average.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of `items`, which must not be empty.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }

    /// A double in `0..1` with all 53 bits random: its shortest form has about 17 digits.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// `len` lower-case hexadecimal digits, appended to `out`.
    pub fn hex(&mut self, len: usize, out: &mut String) {
        let mut left = 0;
        let mut bits = 0;
        for _ in 0..len {
            if left == 0 {
                bits = self.bits();
                left = 16;
            }
            out.push(char::from(b"0123456789abcdef"[(bits & 15) as usize]));
            bits >>= 4;
            left -= 1;
        }
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_do_not_overlap_and_bounds_hold() {
        let first: Vec<u64> = (0..4).map(|stream| Rng::new(7, stream).bits()).collect();
        let mut later = Rng::new(7, 0);
        let following: Vec<u64> = (0..64).map(|_| later.bits()).collect();
        assert!(first[1..].iter().all(|number| !following.contains(number)));

        let mut rng = Rng::new(1, 1);
        assert!((0..1000).all(|_| rng.below(10) < 10));
        assert!((0..1000).all(|_| (0.0..1.0).contains(&rng.unit())));
    }
}
