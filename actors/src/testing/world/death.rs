//! Where a process dies, and the line that replays it.

use std::{fmt, str::FromStr};

use super::super::dice::Dice;
use crate::durable::store::Tail;

/// The end of one life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// After this many commits of the life.
    pub after: u64,
    /// What becomes of the record that was not acknowledged.
    pub tail: Tail,
}

/// Where a process dies: its lives end one after the other, and the last goes on to the end.
///
/// As text, and back: `5:lost,7:partial9;3` is a death after 5 commits, whose unacknowledged record is lost, another after 7
/// commits of the next life, which leaves 9 bytes of its record, with steps in an order that the seed 3 draws.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Death {
    /// Ends of lives.
    pub crashes: Vec<Crash>,
    /// What draws the order of the steps; without one they have an order of their own.
    pub seed: Option<u64>,
}

/// What may become of the record that was not acknowledged.
pub(super) const TAILS: [Tail; 3] = [Tail::Lost, Tail::Kept, Tail::Partial(9)];
/// Lives end at most so often by chance.
const CRASHES_MAX: u64 = 3;
/// No record of a story is longer.
const RECORD_MAX: u64 = 2_000;

impl Death {
    /// After so many commits of the first life.
    #[must_use]
    pub fn after(after: u64, tail: Tail) -> Self {
        Self { crashes: vec![Crash { after, tail }], seed: None }
    }

    /// And then after so many of the next.
    #[must_use]
    pub fn and_after(mut self, after: u64, tail: Tail) -> Self {
        self.crashes.push(Crash { after, tail });
        self
    }

    /// One that a seed draws: up to three ends of lives with up to so many commits, and the order of the steps.
    #[must_use]
    pub fn drawn(seed: u64, commits_max: u64) -> Self {
        let mut dice = Dice::of(seed, 1);
        let crash = |dice: &mut Dice| Crash {
            after: 1 + dice.below(commits_max.max(1)),
            tail: match dice.below(4) {
                0 => Tail::Lost,
                1 => Tail::Kept,
                _ => Tail::Partial(usize::try_from(dice.below(RECORD_MAX)).expect("it is small")),
            },
        };
        let crashes = 1 + dice.below(CRASHES_MAX);
        Self { crashes: (0..crashes).map(|_| crash(&mut dice)).collect(), seed: Some(seed) }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Crash { after, tail }) in self.crashes.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match tail {
                Tail::Lost => write!(f, "{comma}{after}:lost")?,
                Tail::Kept => write!(f, "{comma}{after}:kept")?,
                Tail::Partial(bytes) => write!(f, "{comma}{after}:partial{bytes}")?,
            }
        }
        self.seed.map_or(Ok(()), |seed| write!(f, ";{seed}"))
    }
}

impl FromStr for Death {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no death: write for example 5:lost,7:kept or 5:partial9;3");
        let (crashes, seed) = text.split_once(';').map_or((text, None), |(crashes, seed)| (crashes, Some(seed)));
        let seed = seed.map(|seed| seed.parse().map_err(|_| wrong())).transpose()?;
        let crash = |text: &str| {
            let (after, tail) = text.split_once(':')?;
            let tail = match tail {
                "lost" => Tail::Lost,
                "kept" => Tail::Kept,
                partial => Tail::Partial(partial.strip_prefix("partial")?.parse().ok()?),
            };
            Some(Crash { after: after.parse().ok()?, tail })
        };
        let crashes = crashes.split(',').filter(|crash| !crash.is_empty());
        let crashes = crashes.map(|text| crash(text).ok_or_else(wrong)).collect::<Result<_, _>>()?;
        Ok(Self { crashes, seed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_read_as_it_is_written() {
        let deaths = (0..1_000).map(|seed| Death::drawn(seed, 40));
        let deaths = deaths.chain([Death::default(), Death::after(5, Tail::Lost).and_after(7, Tail::Partial(9))]);
        for death in deaths {
            assert_eq!(death.to_string().parse(), Ok(death));
        }
    }

    #[test]
    fn what_is_no_death_says_what_one_looks_like() {
        for wrong in ["5", "5:gone", "x:lost", "5:partial", "5:lost;x"] {
            assert!(wrong.parse::<Death>().unwrap_err().contains("5:lost,7:kept"), "{wrong}");
        }
    }
}
