//! When a record is due, who is waked for it, and who is let go by it: pure, and shared with the explored model of the
//! hand-over (`interleavings/handover.rs`).
//!
//! **Invariant:** nothing here waits, and nothing looks at a clock.

use std::time::{Duration, Instant};

use crate::durable::id::Sequence;

/// How long a commit that nobody waits for may stay unsynced.
const DEADLINE: Duration = Duration::from_millis(5);
/// Lingering is worth so many syncs, and never longer than [`LINGER_MAX`].
const LINGER_SYNCS: u32 = 8;
const LINGER_MAX: Duration = Duration::from_millis(1);

/// How many are expected to wait for the next record, and how long they are waited for.
pub(crate) struct Pace {
    expected: usize,
    linger: Duration,
}

impl Pace {
    /// Nothing was written yet.
    pub(crate) fn new() -> Self {
        Self { expected: 1, linger: Duration::ZERO }
    }

    /// A record is taken for which so many wait.
    pub(crate) fn seals(&mut self, demand: usize) {
        self.expected = demand.max(1);
    }

    /// Its sync took so long.
    pub(crate) fn synced(&mut self, took: Duration) {
        self.linger = (took * LINGER_SYNCS).min(LINGER_MAX);
    }
}

/// What the committer sees under the lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Whether nothing was accepted since the last record.
    pub(crate) is_empty: bool,
    /// How many wait for what was.
    pub(crate) demand: usize,
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
    /// Fewer wait than are expected.
    Linger(Instant),
}

impl Sleep {
    /// How many must wait for it to be waked; with none anything accepted will do.
    pub(crate) fn demand(self, pace: &Pace) -> usize {
        match self {
            Self::Idle => 0,
            Self::Until(_) => 1,
            Self::Linger(_) => pace.expected,
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
}

impl Since {
    /// Look again.
    pub(crate) fn what_next(&mut self, seen: Seen, pace: &Pace, now: Instant) -> Next {
        let Seen { is_empty, demand, closed, stopping } = seen;
        if closed || (stopping && is_empty) {
            return Next::End;
        }
        let (sleep, until) = if is_empty {
            return Next::Sleep(Sleep::Idle);
        } else if demand >= pace.expected || stopping {
            return Next::Seal;
        } else if demand > 0 {
            let until = *self.demanded.get_or_insert(now) + pace.linger;
            (Sleep::Linger(until), until)
        } else {
            let until = *self.seen.get_or_insert(now) + DEADLINE;
            (Sleep::Until(until), until)
        };
        if until <= now { Next::Seal } else { Next::Sleep(sleep) }
    }
}

/// Whether a committer that sleeps until so many wait is to be waked.
pub(crate) fn is_due(sleeps_until: Option<usize>, is_empty: bool, demand: usize) -> bool {
    !is_empty && sleeps_until.is_some_and(|until| demand >= until || until == 0)
}

/// Those who waited for a record that is durable now, or one before it.
pub(crate) fn let_go<T>(waiters: &mut Vec<(Sequence, T)>, durable: Sequence) -> Vec<(Sequence, T)> {
    waiters.extract_if(.., |(wanted, _)| *wanted <= durable).collect()
}
