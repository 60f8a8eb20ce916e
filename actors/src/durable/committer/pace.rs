//! When a record is due, who is waked for it, and who is let go by it: pure, and shared with the explored model of the
//! hand-over (`interleavings/handover.rs`).
//!
//! **Invariant:** nothing here waits, and nothing looks at a clock.

use std::time::{Duration, Instant};

use crate::durable::id::Sequence;

/// How long a commit that nobody waits for may stay unsynced.
const DEADLINE: Duration = Duration::from_millis(5);
/// Lingering is worth so many syncs, and never longer than [`LINGER_MAX`], while turns are being taken: of a thousand who take
/// theirs one after the other, so many come within that time that all have waited less than with a sync for each few.
const LINGER_SYNCS: u32 = 50;
const LINGER_MAX: Duration = Duration::from_millis(6);
/// While turns are being taken, it is looked again after so long: the end of the last of them may be told a moment before
/// the committer sleeps.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// Those of whom nothing was seen are forgotten by one in so many with each record: who takes turns is counted at one moment.
const FORGETS: usize = 8;
/// Turns that are being taken are worth half a sync, and never longer than [`SETTLE_MAX`]. Where more wait than
/// [`SETTLE_DEMAND`] a record does not wait for turns once as many wait as are expected.
const SETTLE_SYNCS: u32 = 2;
const SETTLE_MAX: Duration = Duration::from_millis(1);
const SETTLE_DEMAND: usize = 4;

/// How many are expected to wait for the next record, and how long they are waited for.
pub(crate) struct Pace {
    expected: usize,
    linger: Duration,
    settle: Duration,
    /// When a record was taken last.
    sealed: Option<Instant>,
    /// How many go around: wait, take a turn, and wait again.
    around: usize,
    /// How many turns were being taken when others were lingered for in vain.
    slow: usize,
}

impl Pace {
    /// Nothing was written yet.
    pub(crate) fn new() -> Self {
        Self { expected: 1, linger: Duration::ZERO, settle: Duration::ZERO, sealed: None, around: 0, slow: 0 }
    }

    /// A record is taken. As many go around as wait for it or take a turn now, or did so lately; but for turns during which
    /// nobody came for a while though others were expected. If that takes them longer than a record takes to
    /// be written, half of them are written while the other half takes turns; if not, all wait for the same record. Of few
    /// nobody knows whether they come again: a submission and the call that its run begins with are two, and what that call
    /// ends in is waited for by one.
    pub(crate) fn seals(&mut self, seen: Seen, since: &Since, now: Instant) {
        if seen.demand < self.expected && seen.turns > 0 && since.is_quiet(now) {
            (self.slow, self.around) = (seen.turns, 0);
        }
        self.slow = self.slow.min(seen.turns);
        self.around = (seen.demand + seen.turns - self.slow).max(self.around - self.around.div_ceil(FORGETS));
        self.slow -= self.slow.div_ceil(FORGETS);
        let (came, around) = (since.came(seen.demand), self.around);
        let sealed = self.sealed.replace(now);
        self.expected = match (seen.demand, sealed.zip(since.began)) {
            (..=SETTLE_DEMAND, _) => 1,
            (_, Some((sealed, began))) if came > 0 => {
                let one = (now - began).as_secs_f64() / came as f64;
                if one * around as f64 > (began - sealed).as_secs_f64() { around.div_ceil(2) } else { around }
            }
            _ => around,
        };
    }

    /// Its sync took so long.
    pub(crate) fn synced(&mut self, took: Duration) {
        self.linger = (took * LINGER_SYNCS).min(LINGER_MAX);
        self.settle = (took / SETTLE_SYNCS).min(SETTLE_MAX);
    }
}

/// What the committer sees under the lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Whether nothing was accepted since the last record.
    pub(crate) is_empty: bool,
    /// How many wait for what was.
    pub(crate) demand: usize,
    /// How many turns are being taken, or are about to be.
    pub(crate) turns: usize,
    /// Whether the store is of no more use.
    pub(crate) closed: bool,
    /// Whether the system stops.
    pub(crate) stopping: bool,
}

/// Why the committer sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sleep {
    /// There is nothing to write.
    Idle,
    /// There is something that nobody waits for.
    Until(Instant),
    /// Fewer wait than are expected, and others may be about to.
    Linger(Instant),
    /// Turns are being taken.
    Settle(Instant),
}

impl Sleep {
    /// How many must wait for it to be waked; with none anything accepted will do.
    pub(crate) fn demand(self, pace: &Pace) -> usize {
        match self {
            Self::Idle => 0,
            Self::Until(_) => 1,
            Self::Linger(_) => pace.expected,
            Self::Settle(_) => SETTLE_DEMAND + 1,
        }
    }
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is over.
    End,
    /// Take the record.
    Seal,
    /// Wait.
    Sleep(Sleep),
}

/// Since when there is something to write, and since when somebody waits for it.
#[derive(Default)]
pub(crate) struct Since {
    /// Since when no record is being written.
    began: Option<Instant>,
    /// How many waited then.
    waited: usize,
    /// How many waited at last, and since when it is not more.
    last: Option<(usize, Instant)>,
    seen: Option<Instant>,
    demanded: Option<Instant>,
}

impl Since {
    /// Look again.
    pub(crate) fn what_next(&mut self, seen: Seen, pace: &Pace, now: Instant) -> Next {
        let Seen { is_empty, demand, turns, closed, stopping } = seen;
        if self.began.is_none() {
            (self.began, self.waited) = (Some(now), demand);
        }
        if self.last.is_none_or(|(last, _)| demand > last) {
            self.last = Some((demand, now));
        }
        if closed || (stopping && is_empty) {
            return Next::End;
        }
        let (sleep, until) = if is_empty {
            return Next::Sleep(Sleep::Idle);
        } else if stopping || demand >= pace.expected && !(turns > 0 && may_settle(demand)) {
            return Next::Seal;
        } else if demand >= pace.expected {
            let until = *self.demanded.get_or_insert(now) + pace.settle;
            (Sleep::Settle(until), until)
        } else if demand > 0 && turns == 0 {
            return Next::Seal;
        } else if demand > 0 {
            let most = *self.demanded.get_or_insert(now) + pace.linger;
            let until = most.min(now + LOOK_AGAIN);
            (Sleep::Linger(until), until)
        } else {
            let until = *self.seen.get_or_insert(now) + DEADLINE;
            (Sleep::Until(until), until)
        };
        if until <= now { Next::Seal } else { Next::Sleep(sleep) }
    }

    /// How many came to wait since then.
    fn came(&self, demand: usize) -> usize {
        demand.saturating_sub(self.waited)
    }

    /// Whether nobody came for a while, as far as it was looked.
    fn is_quiet(&self, now: Instant) -> bool {
        self.last.is_some_and(|(_, since)| now - since >= LOOK_AGAIN)
    }
}

/// Whether a record for which so many wait waits for the turns that are being taken.
fn may_settle(demand: usize) -> bool {
    (1..=SETTLE_DEMAND).contains(&demand)
}

/// Whether a committer that sleeps until so many wait is to be waked.
pub(crate) fn is_due(sleeps_until: Option<usize>, is_empty: bool, demand: usize) -> bool {
    !is_empty && sleeps_until.is_some_and(|until| demand >= until || until == 0)
}

/// Those who waited for a record that is durable now, or one before it.
pub(crate) fn let_go<T>(waiters: &mut Vec<(Sequence, T)>, durable: Sequence) -> Vec<(Sequence, T)> {
    waiters.extract_if(.., |(wanted, _)| *wanted <= durable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: Duration = Duration::from_micros(100);

    fn seen(demand: usize, turns: usize) -> Seen {
        Seen { is_empty: false, demand, turns, closed: false, stopping: false }
    }

    /// Nothing was written for so long, of so many who waited at its beginning.
    fn free(since: Instant, waited: usize) -> Since {
        Since { began: Some(since), waited, ..Since::default() }
    }

    /// After a record that took so long to be written and for which nine waited at last, and as many took turns, of which
    /// so many came within so long.
    fn nine(written: Duration, came: usize, within: Duration) -> Pace {
        let (mut pace, then) = (Pace::new(), crate::clock::monotonic());
        pace.synced(SYNC);
        pace.sealed = Some(then);
        pace.seals(seen(9, 9), &free(then + written, 9 - came), then + written + within);
        pace
    }

    #[test]
    fn a_record_waits_for_the_turns_that_follow_from_it_and_for_half_a_sync_at_most() {
        let (mut pace, mut since, now) = (Pace::new(), Since::default(), crate::clock::monotonic());
        pace.synced(SYNC);
        let until = now + SYNC / 2;
        assert_eq!(since.what_next(seen(1, 1), &pace, now), Next::Sleep(Sleep::Settle(until)));
        assert_eq!(since.what_next(seen(2, 1), &pace, now + SYNC / 4), Next::Sleep(Sleep::Settle(until)));
        assert_eq!(since.what_next(seen(2, 0), &pace, now + SYNC / 4), Next::Seal, "nobody takes a turn any more");
        assert_eq!(since.what_next(seen(2, 1), &pace, until), Next::Seal, "long enough");
        assert_eq!(Since::default().what_next(seen(SETTLE_DEMAND + 1, 1), &pace, now), Next::Seal, "many wait");
        let stopping = Seen { stopping: true, ..seen(1, 1) };
        assert_eq!(Since::default().what_next(stopping, &pace, now), Next::Seal);
    }

    #[test]
    fn fewer_than_are_expected_are_lingered_for_while_turns_are_taken() {
        let (mut pace, mut since, now) = (nine(SYNC, 9, SYNC), Since::default(), crate::clock::monotonic());
        let (until, most) = (now + LOOK_AGAIN, now + SYNC * LINGER_SYNCS);
        assert_eq!(since.what_next(seen(8, 1), &pace, now), Next::Sleep(Sleep::Linger(until)));
        assert_eq!(Sleep::Linger(until).demand(&pace), 9);
        let late = most.checked_sub(SYNC).unwrap();
        assert_eq!(since.what_next(seen(8, 1), &pace, late), Next::Sleep(Sleep::Linger(most)));
        assert_eq!(since.what_next(seen(9, 1), &pace, now), Next::Seal);
        assert_eq!(since.what_next(seen(8, 1), &pace, most), Next::Seal, "long enough");
        assert_eq!(since.what_next(seen(8, 0), &pace, now), Next::Seal, "nobody takes a turn");
        assert_eq!(since.what_next(seen(0, 0), &pace, now), Next::Sleep(Sleep::Until(now + DEADLINE)));
        pace.seals(seen(SETTLE_DEMAND, 9), &since, now);
        assert_eq!(Since::default().what_next(seen(5, 1), &pace, now), Next::Seal, "few are not lingered for");
    }

    #[test]
    fn half_of_all_wait_for_a_record_unless_the_other_half_is_done_before_it_is_written() {
        assert_eq!(nine(SYNC, 6, SYNC).expected, 9, "eighteen come within three syncs");
        assert_eq!(nine(SYNC, 9, SYNC / 3).expected, 18, "eighteen come within two thirds of a sync");
        assert_eq!(nine(SYNC * 9, 6, SYNC).expected, 18, "nine syncs: a slow disk");
        assert_eq!(nine(SYNC, 0, Duration::ZERO).expected, 18, "all came while the record before was written");
    }

    #[test]
    fn who_was_lingered_for_in_vain_is_not_expected_for_a_while() {
        let now = crate::clock::monotonic();
        let mut pace = Pace { expected: 20, ..Pace::new() };
        let mut seals = |demand, turns, quiet| {
            let since = Since { last: Some((demand, now)), ..free(now, demand) };
            pace.seals(seen(demand, turns), &since, now + quiet);
            (pace.expected, pace.slow)
        };
        assert_eq!(seals(12, 8, LOOK_AGAIN / 2), (20, 0), "they still come");
        assert_eq!(seals(8, 8, LOOK_AGAIN), (8, 7), "nobody comes: eight take their time");
        assert_eq!(seals(8, 10, Duration::ZERO), (11, 6), "three more take turns");
        assert_eq!(seals(10, 3, Duration::ZERO), (10, 2), "most of the eight were done");
        assert_eq!(seals(10, 0, Duration::ZERO), (10, 0), "and all");
    }

    #[test]
    fn who_was_not_seen_for_a_moment_is_still_expected_and_forgotten_by_and_by() {
        let now = crate::clock::monotonic();
        let mut pace = Pace::new();
        let mut seals = |demand, turns| {
            pace.seals(seen(demand, turns), &free(now, demand), now);
            pace.expected
        };
        assert_eq!([seals(50, 50), seals(50, 10), seals(50, 0), seals(50, 60)], [100, 87, 76, 110]);
    }
}
