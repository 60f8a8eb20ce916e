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
/// Where no more than so many are expected, nobody is lingered for when no turn is taken: the sync of those who wait goes on
/// beside the turns of the others.
const CROWD: usize = 32;
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
}

impl Pace {
    /// Nothing was written yet.
    pub(crate) fn new() -> Self {
        Self { expected: 1, linger: Duration::ZERO, settle: Duration::ZERO }
    }

    /// A record is taken for which so many wait. Of few nobody knows whether they come again: a submission and the call that its
    /// run begins with are two, and what that call ends in is waited for by one.
    pub(crate) fn seals(&mut self, demand: usize) {
        self.expected = if demand > SETTLE_DEMAND { demand } else { 1 };
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
    /// Whether turns are being taken.
    pub(crate) busy: bool,
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
    seen: Option<Instant>,
    demanded: Option<Instant>,
    /// Since when nobody takes a turn and only so many wait.
    lull: Option<(Instant, usize)>,
}

impl Since {
    /// Look again.
    pub(crate) fn what_next(&mut self, seen: Seen, pace: &Pace, now: Instant) -> Next {
        let Seen { is_empty, demand, busy, closed, stopping } = seen;
        if closed || (stopping && is_empty) {
            return Next::End;
        }
        let (sleep, until) = if is_empty {
            return Next::Sleep(Sleep::Idle);
        } else if stopping || demand >= pace.expected && !(busy && may_settle(demand)) {
            return Next::Seal;
        } else if demand >= pace.expected {
            let until = *self.demanded.get_or_insert(now) + pace.settle;
            (Sleep::Settle(until), until)
        } else if demand > 0 {
            let most = *self.demanded.get_or_insert(now) + pace.linger;
            let until = most.min(self.comes_nobody(seen, pace, now));
            (Sleep::Linger(until), until)
        } else {
            let until = *self.seen.get_or_insert(now) + DEADLINE;
            (Sleep::Until(until), until)
        };
        if until <= now { Next::Seal } else { Next::Sleep(sleep) }
    }

    /// When it would be clear that nobody else comes to wait: where many are expected, for as long as turns are worth no turn
    /// is taken and nobody more waits.
    fn comes_nobody(&mut self, seen: Seen, pace: &Pace, now: Instant) -> Instant {
        if seen.busy {
            self.lull = None;
            return now + LOOK_AGAIN;
        }
        if pace.expected <= CROWD {
            return now;
        }
        let (since, demand) = *self.lull.get_or_insert((now, seen.demand));
        if demand == seen.demand {
            return since + pace.settle;
        }
        self.lull = Some((now, seen.demand));
        now + pace.settle
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

    fn seen(demand: usize, busy: bool) -> Seen {
        Seen { is_empty: false, demand, busy, closed: false, stopping: false }
    }

    #[test]
    fn a_record_waits_for_the_turns_that_follow_from_it_and_for_half_a_sync_at_most() {
        let (mut pace, mut since, now) = (Pace::new(), Since::default(), crate::clock::monotonic());
        pace.synced(SYNC);
        let until = now + SYNC / 2;
        assert_eq!(since.what_next(seen(1, true), &pace, now), Next::Sleep(Sleep::Settle(until)));
        assert_eq!(since.what_next(seen(2, true), &pace, now + SYNC / 4), Next::Sleep(Sleep::Settle(until)));
        assert_eq!(since.what_next(seen(2, false), &pace, now + SYNC / 4), Next::Seal, "nobody takes a turn any more");
        assert_eq!(since.what_next(seen(2, true), &pace, until), Next::Seal, "long enough");
        assert_eq!(Since::default().what_next(seen(SETTLE_DEMAND + 1, true), &pace, now), Next::Seal, "many wait");
        let stopping = Seen { stopping: true, ..seen(1, true) };
        assert_eq!(Since::default().what_next(stopping, &pace, now), Next::Seal);
    }

    #[test]
    fn fewer_than_the_last_sync_let_go_are_lingered_for() {
        let (mut pace, mut since, now) = (Pace::new(), Since::default(), crate::clock::monotonic());
        pace.seals(9);
        pace.synced(SYNC);
        let (until, most) = (now + LOOK_AGAIN, now + SYNC * LINGER_SYNCS);
        assert_eq!(since.what_next(seen(8, true), &pace, now), Next::Sleep(Sleep::Linger(until)));
        assert_eq!(Sleep::Linger(until).demand(&pace), 9);
        let late = most.checked_sub(SYNC).unwrap();
        assert_eq!(since.what_next(seen(8, true), &pace, late), Next::Sleep(Sleep::Linger(most)));
        assert_eq!(since.what_next(seen(9, true), &pace, now), Next::Seal);
        assert_eq!(since.what_next(seen(8, true), &pace, most), Next::Seal, "long enough");
        assert_eq!(since.what_next(seen(8, false), &pace, now), Next::Seal, "nobody takes a turn");
        assert_eq!(since.what_next(seen(0, false), &pace, now), Next::Sleep(Sleep::Until(now + DEADLINE)));
        pace.seals(SETTLE_DEMAND);
        assert_eq!(Since::default().what_next(seen(5, true), &pace, now), Next::Seal, "few are not lingered for");
    }

    #[test]
    fn of_a_crowd_more_are_lingered_for_until_for_a_while_nobody_comes() {
        let (mut pace, mut since, now) = (Pace::new(), Since::default(), crate::clock::monotonic());
        pace.seals(CROWD + 1);
        pace.synced(SYNC);
        let lull = SYNC / SETTLE_SYNCS;
        let lingers = |until| Next::Sleep(Sleep::Linger(until));
        assert_eq!(since.what_next(seen(18, false), &pace, now), lingers(now + lull));
        let later = now + lull / 2;
        assert_eq!(since.what_next(seen(19, false), &pace, later), lingers(later + lull), "one more waits");
        assert_eq!(since.what_next(seen(19, true), &pace, later), lingers(later + LOOK_AGAIN), "a turn is taken");
        assert_eq!(since.what_next(seen(19, false), &pace, later), lingers(later + lull), "and is over");
        assert_eq!(since.what_next(seen(19, false), &pace, later + lull), Next::Seal);
    }
}
