//! What goes wrong when: rounds without end, each a function of the seed and its number.

use crate::settings::{Acknowledge, Settings};
use forebay_tests::fault_proxy::{Fault, KINDS, Mix};
use forebay_tests::seeded::Random;

/// Purpose of random numbers.
const ROUND: u64 = 4;

/// Something that happens to the gateway or its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// SIGKILL, and a new start.
    Kill,
    /// SIGKILL; the newest files lose what was not synced and may get rubbish behind it, as in a power cut; a new start.
    TornTail,
    /// SIGTERM, and a new start.
    Terminate,
    /// No room for dead letters (with a journal: for it neither) for a while.
    DiskFull,
    /// No write or sync of them succeeds for a while.
    DiskBroken,
    /// A changed configuration, and SIGHUP.
    Reload,
}

/// How many kinds of event there are.
pub const EVENTS: usize = 6;

impl Event {
    pub const ALL: [Self; EVENTS] =
        [Self::Kill, Self::TornTail, Self::Terminate, Self::DiskFull, Self::DiskBroken, Self::Reload];

    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9",
            Self::TornTail => "kill -9, power cut",
            Self::Terminate => "SIGTERM",
            Self::DiskFull => "disk full",
            Self::DiskBroken => "disk broken",
            Self::Reload => "reload",
        }
    }

    /// Whether it belongs to a run with these settings.
    pub fn is_part_of(self, settings: &Settings) -> bool {
        self != Self::Reload || settings.reload
    }
}

/// One round, between two quiet points.
#[derive(Clone, Debug)]
pub struct Round {
    /// For the proxy's decisions.
    pub seed: u64,
    pub mix: Mix,
    /// With the part of the round after which each happens, in their order.
    pub events: Vec<(f64, Event)>,
}

impl Round {
    /// Round `number` of a run.
    pub fn of(settings: &Settings, number: u64) -> Self {
        let mut random = Random::of(&[settings.seed, ROUND, number]);
        let seed = random.next();
        let mix = mix(&mut random);
        let mut chosen = vec![if number.is_multiple_of(2) { Event::Kill } else { Event::TornTail }];
        chosen.push([Event::DiskFull, Event::Terminate, Event::DiskBroken][(number % 3) as usize]);
        if settings.acknowledge == Acknowledge::Durable {
            // With a journal every request needs the disk.
            chosen.push([Event::DiskBroken, Event::DiskFull][(number % 2) as usize]);
        }
        if settings.reload {
            chosen.push(Event::Reload);
        }
        let mut events: Vec<(f64, Event)> =
            chosen.into_iter().map(|event| (random.within(10..90) as f64 / 100.0, event)).collect();
        events.sort_by(|one, other| one.0.total_cmp(&other.0));
        Self { seed, mix, events }
    }
}

/// Every kind now and then, and two of them often.
fn mix(random: &mut Random) -> Mix {
    let mut shares = [0; KINDS];
    for share in &mut shares {
        *share = random.within(5..22) as u16;
    }
    for _ in 0..2 {
        shares[random.below(KINDS as u64) as usize] += random.within(40..140) as u16;
    }
    // Each of these takes as long as a hundred of the others.
    shares[Fault::Hang as usize] = (shares[Fault::Hang as usize] / 6).max(2);
    Mix(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(seed: u64) -> Settings {
        let mut settings = Settings::from_environment(Acknowledge::Delivered);
        settings.seed = seed;
        settings.reload = true;
        settings
    }

    #[test]
    fn a_seed_is_a_schedule_and_every_event_is_in_it() {
        let mut seen = Vec::new();
        for number in 0..6 {
            let round = Round::of(&settings(1), number);
            assert_eq!(format!("{round:?}"), format!("{:?}", Round::of(&settings(1), number)));
            assert_ne!(format!("{round:?}"), format!("{:?}", Round::of(&settings(2), number)));
            assert!(
                round.mix.0.iter().map(|share| u64::from(*share)).sum::<u64>() < Mix::OUT_OF,
                "{round:?}"
            );
            assert!(round.events.is_sorted_by(|one, other| one.0 <= other.0), "{round:?}");
            seen.extend(round.events.iter().map(|(_, event)| *event));
        }
        assert!(Event::ALL.iter().all(|event| seen.contains(event)), "{seen:?}");
    }
}
