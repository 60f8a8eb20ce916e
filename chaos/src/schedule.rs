//! When the victim dies, and what else befalls it, drawn before it is born.
//!
//! **Invariants:** the schedule depends on the seed, the number of kills and the faults chosen alone; which faults are chosen
//! changes no death. One kill in five strikes during start-up, counted from the spawn, the others while the victim works, counted from the
//! moment it is up. The deaths of a longer schedule begin as those of a shorter one, if that has whole fives.

mod strikes;

use std::time::Duration;

pub(crate) use self::strikes::{Life, Strike};
use crate::{args::Until, fault::Faults, random::Dice};

/// Which streams of the seed these are.
const PURPOSE: u64 = 1;
const PLACES: u64 = 6;
/// Exec and open lie in here, for half of the kills during start-up.
const FIRST: Duration = Duration::from_millis(25);
/// Replay and the first resumed work lie in here, for the other half.
const REPLAY: Duration = Duration::from_millis(400);
/// One kill at work in four strikes this soon, while the work of the last life is taken up.
const TAKEN_UP: Duration = Duration::from_millis(12);
const WORK: Duration = Duration::from_millis(400);
/// More lives than this do not fit into a second: a process starts, and on average works for an eighth of a second.
const LIVES_PER_S: u64 = 50;

/// When one life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// So long after the process was spawned, whatever it does then.
    StartingUp(Duration),
    /// So long after it said that it is up.
    AtWork(Duration),
}

/// One life per kill; for a time, as many as could fit into it. `often` is for few faults: each strikes in more lives.
pub(crate) fn draw(seed: u64, until: Until, faults: &Faults, often: bool) -> Vec<Life> {
    strikes::draw(seed, &deaths(seed, until), faults, &strikes::Periods::of(often))
}

fn deaths(seed: u64, until: Until) -> Vec<Death> {
    let kills = match until {
        Until::Kills(kills) => kills,
        Until::Over(length) => u32::try_from(length.as_secs() * LIVES_PER_S).unwrap_or(u32::MAX),
    };
    let (mut random, mut places) = (Dice::of(seed, PURPOSE), Dice::of(seed, PLACES));
    let mut lives: Vec<_> = (0..kills).map(|kill| death(&mut random, kill % 5 == 4)).collect();
    // Within each five, so that nobody knows which of them it is.
    for five in lives.chunks_mut(5) {
        places.shuffle(five);
    }
    lives
}

fn death(random: &mut Dice, is_early: bool) -> Death {
    let mut within = |one_in, short, long| {
        let most = if random.one_in(one_in) { short } else { long };
        random.between(Duration::ZERO, most)
    };
    if is_early { Death::StartingUp(within(2, FIRST, REPLAY)) } else { Death::AtWork(within(4, TAKEN_UP, WORK)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_kill_in_five_strikes_during_start_up() {
        let early = |death: &&Death| matches!(death, Death::StartingUp(_));
        assert_eq!(kills(7, 100).iter().filter(early).count(), 20);
        assert_eq!(kills(8, 4).iter().filter(early).count(), 0);
    }

    #[test]
    fn a_seed_replays_its_schedule() {
        assert_eq!(kills(7, 50), kills(7, 50));
        assert_ne!(kills(7, 50), kills(8, 50));
    }

    #[test]
    fn what_was_killed_for_a_time_is_replayed_by_its_number_of_kills() {
        let drawn = deaths(7, Until::Over(Duration::from_secs(10)));
        assert_eq!(drawn[..35], kills(7, 35));
    }

    fn kills(seed: u64, kills: u32) -> Vec<Death> {
        deaths(seed, Until::Kills(kills))
    }
}
