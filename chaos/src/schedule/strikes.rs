//! What befalls one life beside its death.
//!
//! **Invariant:** every fault strikes in one life of each row of so many: one that is chosen and drawn is never left to chance.

use std::{collections::BTreeSet, time::Duration};

use super::Death;
use crate::{
    fault::{Fault, Faults},
    random::Dice,
};

/// Which streams of the seed these are; each row and each life has one of its own.
const PURPOSE: u64 = 7;
const LIFE: u64 = 8;

/// After so many folders that were copied, to be damaged or to a small disk, it is done ever more seldom: they only grow.
const COPIES: u64 = 40;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// One thing that happens to a victim at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    /// A program that one of its tasks started dies, if there is one; the number says which.
    KillProgram(u64),
    /// Its wall clock is set so far ahead of the machine's, in milliseconds.
    SetClock(i64),
    /// It stands still for so long. It may die of its own death meanwhile.
    Stop(Duration),
    /// Its disk is full for so long.
    FillDisk(Duration),
}

/// One life of the victim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) death: Death,
    /// Its wall clock is set so far ahead of the machine's before it is born, in milliseconds.
    pub(crate) clock: Option<i64>,
    /// Its segments, bases and checkpoints are small and many.
    pub(crate) small_files: bool,
    /// What strikes so long after it is up, in this order.
    pub(crate) strikes: Vec<(Duration, Strike)>,
    /// What it left is damaged after its death; the number says how.
    pub(crate) damage: Option<u64>,
}

impl Life {
    /// Its disk will be full.
    pub(crate) fn is_on_a_small_disk(&self) -> bool {
        self.strikes.iter().any(|(_, strike)| matches!(strike, Strike::FillDisk(_)))
    }
}

/// One life in so many is struck.
#[derive(Clone, Copy, Debug)]
pub(super) struct Periods {
    often: usize,
    seldom: usize,
}

impl Periods {
    pub(super) fn of(often: bool) -> Self {
        let (often, seldom) = if often { (3, 3) } else { (5, 15) };
        Self { often, seldom }
    }
}

pub(super) fn draw(seed: u64, deaths: &[Death], faults: &Faults, periods: &Periods) -> Vec<Life> {
    let struck = |stream: u64, period: usize, only_at_work: bool| struck(seed, stream, deaths, period, only_at_work);
    let often = |stream, only_at_work| struck(stream, periods.often, only_at_work).map(|(_, at)| at).collect();
    let seldom = |stream, only_at_work| {
        let rows = struck(stream, periods.seldom, only_at_work);
        rows.filter(|(row, _)| *row < COPIES || row.is_power_of_two()).map(|(_, at)| at).collect()
    };
    let [stopped, set_within, set_before]: [BTreeSet<usize>; 3] = [often(1, true), often(2, true), often(4, false)];
    let [filled, damaged]: [BTreeSet<usize>; 2] = [seldom(3, true), seldom(5, false)];
    let life = |(at, death): (usize, &Death)| {
        let mut random = Dice::of(seed, LIFE | (at as u64) << 8);
        let mut strikes = programs(*death, &mut random);
        let (clock, small_files, damage) = (ahead(&mut random), random.one_in(2), random.roll());
        let mut strike = |lives: &BTreeSet<usize>, strike: Strike, random: &mut Dice| {
            if let (Death::AtWork(after), true) = (*death, lives.contains(&at)) {
                strikes.push((random.between(Duration::ZERO, after.mul_f64(0.8)), strike));
            }
        };
        let still = random.between(Duration::from_millis(20), Duration::from_millis(500));
        strike(&stopped, Strike::Stop(still), &mut random);
        let full = random.between(Duration::from_millis(100), Duration::from_millis(400));
        strike(&filled, Strike::FillDisk(full), &mut random);
        let ahead = ahead(&mut random);
        // An engine that opens its store again reads the wall clock again, and nobody outside could tell its time any more.
        if !(filled.contains(&at) && faults.has(Fault::FullDisk)) {
            strike(&set_within, Strike::SetClock(ahead), &mut random);
        }
        strikes.retain(|(_, strike)| faults.has(fault(*strike)));
        strikes.sort_by_key(|(after, _)| *after);
        Life {
            death: *death,
            clock: (set_before.contains(&at) && faults.has(Fault::Clock)).then_some(clock),
            small_files: small_files || filled.contains(&at),
            strikes,
            damage: (damaged.contains(&at) && faults.has(Fault::Corrupt)).then_some(damage),
        }
    };
    deaths.iter().enumerate().map(life).collect()
}

fn fault(strike: Strike) -> Fault {
    match strike {
        Strike::KillProgram(_) => Fault::Programs,
        Strike::SetClock(_) => Fault::Clock,
        Strike::Stop(_) => Fault::Stop,
        Strike::FillDisk(_) => Fault::FullDisk,
    }
}

/// One life of each row of so many, at work if that is needed; with the number of its row. A schedule that ends within a row
/// begins it as a longer one does.
fn struck(
    seed: u64,
    stream: u64,
    deaths: &[Death],
    period: usize,
    only_at_work: bool,
) -> impl Iterator<Item = (u64, usize)> {
    let one_of = move |(row, lives): (usize, &[Death])| {
        let mut random = Dice::of(seed, PURPOSE | stream << 8 | (row as u64) << 16);
        // Of three lives in a row at least one is at work.
        let first = usize::try_from(random.below(period as u64 - 2)).unwrap_or(0);
        let may = |at: &usize| !only_at_work || matches!(lives[*at], Death::AtWork(_));
        (first..lives.len()).find(may).map(|at| (row as u64, row * period + at))
    };
    deaths.chunks(period).enumerate().filter_map(one_of)
}

/// A program dies now and then, if there is one.
fn programs(death: Death, random: &mut Dice) -> Vec<(Duration, Strike)> {
    let Death::AtWork(after) = death else { return Vec::new() };
    let (mut strikes, mut at) = (Vec::new(), Duration::ZERO);
    loop {
        at += random.between(Duration::from_millis(10), Duration::from_millis(120));
        if at >= after {
            return strikes;
        }
        strikes.push((at, Strike::KillProgram(random.roll())));
    }
}

/// From a day back to 400 days ahead; right in one case of three.
fn ahead(random: &mut Dice) -> i64 {
    match random.below(6) {
        0 | 1 => 0,
        2 => i64::try_from(random.below(DAY_MS.unsigned_abs())).map_or(0, |back| -back),
        3 => 60 * 60 * 1_000,
        _ => i64::try_from(random.below(400 * DAY_MS.unsigned_abs())).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        args::Until,
        schedule::{self, draw},
    };

    fn lives(kills: u32, only: &[Fault]) -> Vec<Life> {
        draw(7, Until::Kills(kills), &Faults::named(only), !only.is_empty())
    }

    #[test]
    fn every_fault_from_outside_strikes_in_thirty_lives_and_only_if_it_was_chosen() {
        let struck = |lives: &[Life], fault: Fault| {
            let within = lives.iter().flat_map(|life| &life.strikes).any(|(_, strike)| super::fault(*strike) == fault);
            within
                || (fault == Fault::Clock && lives.iter().any(|life| life.clock.is_some()))
                || (fault == Fault::Corrupt && lives.iter().any(|life| life.damage.is_some()))
        };
        let outside = [Fault::Programs, Fault::Clock, Fault::Stop, Fault::FullDisk, Fault::Corrupt];
        for fault in outside {
            assert!(struck(&lives(30, &[]), fault), "{fault:?}");
            let only = lives(9, &[fault]);
            let told: Vec<_> = outside.into_iter().filter(|fault| struck(&only, *fault)).collect();
            assert_eq!(told, [fault]);
        }
    }

    #[test]
    fn choosing_faults_changes_no_death() {
        let deaths = |only: &[Fault]| lives(50, only).into_iter().map(|life| life.death).collect::<Vec<_>>();
        assert_eq!(deaths(&[]), deaths(&[Fault::Stop]));
        assert_eq!(deaths(&[]), schedule::deaths(7, Until::Kills(50)));
    }

    #[test]
    fn strikes_lie_within_the_life_and_in_order() {
        for life in lives(200, &[]) {
            let Death::AtWork(after) = life.death else {
                assert_eq!(life.strikes, []);
                continue;
            };
            assert!(life.strikes.iter().all(|(at, _)| *at <= after) && life.strikes.is_sorted_by_key(|(at, _)| *at));
        }
    }

    #[test]
    fn folders_are_copied_ever_more_seldom() {
        let damaged = |kills| lives(kills, &[]).iter().filter(|life| life.damage.is_some()).count();
        assert_eq!((damaged(300), damaged(600), damaged(10_000)), (20, 40, 44));
    }
}
