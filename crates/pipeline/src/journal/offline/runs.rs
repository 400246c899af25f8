//! Sets of frame numbers as runs, so that a gap costs the same however wide it is.

use std::ops::Range;

/// A set of numbers: runs in order, none of them empty, no two of them touching.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs(Vec<Range<u64>>);

impl Runs {
    /// The runs in order.
    pub fn iter(&self) -> impl Iterator<Item = &Range<u64>> {
        self.0.iter()
    }

    /// Whether there is no number.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many numbers there are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|run| run.end - run.start).fold(0, u64::saturating_add)
    }

    /// The numbers of `range` that are not in here.
    #[must_use]
    pub fn missing_in(&self, range: &Range<u64>) -> Self {
        let mut from = range.start;
        let mut missing = Vec::new();
        for run in &self.0 {
            missing.push(from..run.start.min(range.end));
            from = from.max(run.end);
        }
        missing.push(from..range.end);
        missing.into_iter().collect()
    }

    /// The numbers that are in here and not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        self.0.iter().flat_map(|run| other.missing_in(run).0).collect()
    }

    /// The numbers in here that are lower than `end`.
    #[must_use]
    pub fn below(&self, end: u64) -> Self {
        self.0.iter().map(|run| run.start..run.end.min(end)).collect()
    }
}

impl From<Range<u64>> for Runs {
    fn from(range: Range<u64>) -> Self {
        std::iter::once(range).collect()
    }
}

impl FromIterator<Range<u64>> for Runs {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> Self {
        let mut ranges: Vec<Range<u64>> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        ranges.sort_unstable_by_key(|range| range.start);
        let mut runs: Vec<Range<u64>> = Vec::new();
        for range in ranges {
            match runs.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => runs.push(range),
            }
        }
        Self(runs)
    }
}

impl Extend<Range<u64>> for Runs {
    fn extend<I: IntoIterator<Item = Range<u64>>>(&mut self, ranges: I) {
        *self = std::mem::take(&mut self.0).into_iter().chain(ranges).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn some() -> impl Strategy<Value = Vec<Range<u64>>> {
        prop::collection::vec((0u64..40, 0u64..6).prop_map(|(first, count)| first..first + count), 0..8)
    }

    fn numbers(runs: &Runs) -> BTreeSet<u64> {
        runs.iter().cloned().flatten().collect()
    }

    proptest! {
        #[test]
        fn runs_are_sets(one in some(), other in some(), range in (0u64..50, 0u64..50)) {
            let (a, b): (BTreeSet<u64>, BTreeSet<u64>) =
                (one.iter().cloned().flatten().collect(), other.iter().cloned().flatten().collect());
            let (one, other): (Runs, Runs) = (one.into_iter().collect(), other.into_iter().collect());
            prop_assert_eq!(&numbers(&one), &a);
            prop_assert_eq!(one.count() as usize, a.len());
            prop_assert_eq!(numbers(&one.without(&other)), a.difference(&b).copied().collect());
            prop_assert_eq!(numbers(&one.below(range.1)), a.range(..range.1).copied().collect());
            let missing = (range.0..range.1).filter(|number| !a.contains(number)).collect();
            prop_assert_eq!(numbers(&one.missing_in(&(range.0..range.1))), missing);
            let mut both = one;
            both.extend(other.iter().cloned());
            prop_assert_eq!(numbers(&both), a.union(&b).copied().collect());
            prop_assert!(both.0.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }
}
