//! The kinds of fault, how often each comes, and which bulk request gets which.

use crate::seeded::Random;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What may become of one bulk request. Of those whose answer is broken or lost, half were forwarded only in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Forwarded after a while.
    Latency,
    /// No answer for as long as the client waits. Half of them were forwarded.
    Hang,
    /// 429 for the request; not forwarded.
    RequestTooMany,
    /// 503 for the request; not forwarded.
    RequestUnavailable,
    /// 429 for some documents, which are not forwarded; the others are.
    ItemsTooMany,
    /// 503 for some documents, which are not forwarded; the others are.
    ItemsUnavailable,
    /// The connection is reset, nothing was forwarded.
    ResetBefore,
    /// Forwarded; the connection is reset in the middle of the answer.
    ResetMiddle,
    /// Forwarded; the answer ends too early, and half of them claim that it is whole.
    Truncated,
    /// Forwarded; items are missing in the answer: those that were not forwarded, or others.
    ShortAnswer,
    /// Forwarded; the answer has items too many.
    ExtraItems,
    /// 413 for a request of more than one document; not forwarded.
    TooLarge,
    /// Forwarded; the connection is closed instead of an answer.
    Lost,
}

/// How many kinds there are.
pub const KINDS: usize = 13;

impl Fault {
    /// Every kind.
    pub const ALL: [Self; KINDS] = [
        Self::Latency,
        Self::Hang,
        Self::RequestTooMany,
        Self::RequestUnavailable,
        Self::ItemsTooMany,
        Self::ItemsUnavailable,
        Self::ResetBefore,
        Self::ResetMiddle,
        Self::Truncated,
        Self::ShortAnswer,
        Self::ExtraItems,
        Self::TooLarge,
        Self::Lost,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Hang => "hang",
            Self::RequestTooMany => "429 request",
            Self::RequestUnavailable => "503 request",
            Self::ItemsTooMany => "429 items",
            Self::ItemsUnavailable => "503 items",
            Self::ResetBefore => "reset before",
            Self::ResetMiddle => "reset in answer",
            Self::Truncated => "truncated answer",
            Self::ShortAnswer => "short answer",
            Self::ExtraItems => "extra items",
            Self::TooLarge => "413 request",
            Self::Lost => "answer lost",
        }
    }
}

/// How often each kind comes: of `OUT_OF` requests, so many. What is left of them passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mix(pub [u16; KINDS]);

impl Mix {
    /// The whole of which the numbers are parts.
    pub const OUT_OF: u64 = 1_000;

    /// Every request of the kind.
    pub fn always(fault: Fault) -> Self {
        let mut mix = Self::default();
        mix.0[fault as usize] = Self::OUT_OF as u16;
        mix
    }

    fn choose(&self, random: &mut Random) -> Option<Fault> {
        let mut left = random.below(Self::OUT_OF);
        for (fault, share) in Fault::ALL.into_iter().zip(self.0) {
            match left.checked_sub(u64::from(share)) {
                Some(rest) => left = rest,
                None => return Some(fault),
            }
        }
        None
    }
}

/// Decides, and counts what was done.
#[derive(Debug, Default)]
pub(super) struct Judge {
    phase: Mutex<Phase>,
    fired: [AtomicU64; KINDS],
    pub(super) passed: AtomicU64,
}

/// From a change of the mix to the next.
#[derive(Debug, Default)]
struct Phase {
    seed: u64,
    mix: Mix,
    /// Requests so far.
    requests: u64,
}

impl Judge {
    pub(super) fn begin(&self, seed: u64, mix: Mix) {
        *self.phase.lock() = Phase { seed, mix, requests: 0 };
    }

    /// The fault for the phase's next request, and the source of its further decisions.
    pub(super) fn next(&self, documents: usize) -> (Option<Fault>, Random) {
        let mut phase = self.phase.lock();
        let mut random = Random::of(&[phase.seed, phase.requests]);
        phase.requests += 1;
        let fault = phase.mix.choose(&mut random);
        // One document that is too large by itself is refused for good, and rightly a dead letter.
        (fault.filter(|fault| *fault != Fault::TooLarge || documents > 1), random)
    }

    pub(super) fn fired(&self, fault: Fault) {
        self.fired[fault as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn counts(&self) -> [u64; KINDS] {
        std::array::from_fn(|kind| self.fired[kind].load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decisions(seed: u64, mix: Mix) -> Vec<Option<Fault>> {
        let judge = Judge::default();
        judge.begin(seed, mix);
        (0..2_000).map(|_| judge.next(2).0).collect()
    }

    #[test]
    fn kinds_are_listed_in_their_order() {
        for (at, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, at, "{fault:?}");
        }
    }

    #[test]
    fn a_seed_decides_and_the_mix_says_how_often() {
        let mix = Mix([20; KINDS]);
        assert_eq!(decisions(1, mix), decisions(1, mix));
        assert_ne!(decisions(1, mix), decisions(2, mix));
        for fault in Fault::ALL {
            let count = decisions(1, mix).iter().filter(|decision| **decision == Some(fault)).count();
            assert!((15..80).contains(&count), "{fault:?}: {count}");
        }
        assert!(decisions(1, Mix::default()).iter().all(Option::is_none));
    }

    #[test]
    fn a_single_document_is_never_too_large() {
        let judge = Judge::default();
        judge.begin(1, Mix::always(Fault::TooLarge));
        assert_eq!(judge.next(2).0, Some(Fault::TooLarge));
        assert_eq!(judge.next(1).0, None);
    }
}
