//! The thread that makes records durable.
//!
//! A sync starts when somebody waits for one, or 5 ms after the first commit that nobody waits for; the record is all
//! that was accepted by then. One record at a time is unsynced.
//!
//! The turns that follow from what somebody waits for take less time than a sync, and often end in a call that waits for one
//! as well. So where few wait the committer settles: it seals when no turn is being taken, or after half of what a sync takes.
//!
//! When many wait, a sync for each would cost more than the work. So the committer lingers, for a few times what a sync
//! takes, until as many wait as the last sync let go. A single one is as many as that, and never lingers.
//!
//! **Invariant:** nothing leaves (a call, a reply, a watcher's news) before its record is durable.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::MutexGuard;

#[cfg(test)]
use super::faults::{Action, Site, Who};
use super::{
    checkpointer,
    hands::Hands,
    open::Sealed,
    record::Encoder,
    system::{Core, Inner},
};
use crate::mutant::Mutant;

/// How long a commit that nobody waits for may stay unsynced.
const DEADLINE: Duration = Duration::from_millis(5);
/// After this long without work the store is told that it is idle.
const IDLE: Duration = Duration::from_millis(20);
/// Lingering is worth so many syncs, and never longer than [`LINGER_MAX`].
const LINGER_SYNCS: u32 = 8;
const LINGER_MAX: Duration = Duration::from_millis(1);
/// Turns that are being taken are worth half a sync, and never longer than [`SETTLE_MAX`]. Where more wait than
/// [`SETTLE_DEMAND`] there is always somebody who takes a turn.
const SETTLE_SYNCS: u32 = 2;
const SETTLE_MAX: Duration = Duration::from_millis(1);
const SETTLE_DEMAND: usize = 4;

/// Run until the system stops or the store fails.
pub(crate) fn run(inner: &Arc<Inner>) {
    let mut pace = Pace::default();
    let mut encoder = Encoder::default();
    while let Some(sealed) = next(inner, &mut pace) {
        let Some((sealed, took)) = append(inner, sealed, &mut encoder) else { return };
        pace.after(took);
        if let Some(since) = pace.since {
            inner.meters.commit_wait_seconds.record(since.elapsed().as_secs_f64());
        }
        publish(inner, sealed);
    }
}

/// The same as a task: it may be a while before a record is durable, and before those who wait hear of it.
#[cfg(test)]
pub(crate) async fn run_as_task(inner: Arc<Inner>) {
    let mut pace = Pace::default();
    let mut encoder = Encoder::default();
    while let Some(sealed) = next_as_task(&inner, &mut pace).await {
        if let Some(Action::Error) = inner.fault(Site::BeforeSync, Who::Nobody).await {
            return fail(&inner, sealed, "a fault: the record is lost");
        }
        let Some((sealed, _)) = append(&inner, sealed, &mut encoder) else { return };
        inner.trace_record(sealed.sequence, encoder.seal(&sealed.record));
        if let Some(Action::Error) = inner.fault(Site::AfterSync, Who::Nobody).await {
            return fail(&inner, sealed, "a fault: the record is there, and nobody knows");
        }
        publish(&inner, sealed);
    }
}

/// Make a record durable; says how long that took. When it fails the store is of no more use.
fn append(inner: &Arc<Inner>, sealed: Sealed, encoder: &mut Encoder) -> Option<(Sealed, Duration)> {
    let bytes = encoder.seal(&sealed.record);
    if Mutant::EffectBeforeIntent.is_chosen() {
        inner.dispatch(&sealed.effects.calls, &[]);
    }
    let began = crate::clock::monotonic();
    match inner.store.append(inner.fence, sealed.sequence, bytes) {
        Ok(()) => {
            inner.appended(encoder.read_bytes());
            let took = began.elapsed();
            inner.meters.commit_seconds.record(took.as_secs_f64());
            inner.meters.commit_operations.record(sealed.record.ops.len() as f64);
            Some((sealed, took))
        }
        Err(error) => {
            fail(inner, sealed, &error.to_string());
            None
        }
    }
}

/// A record is lost, or nobody knows: the outcomes in it are handed in again to the next system in this process.
fn fail(inner: &Inner, sealed: Sealed, cause: &str) {
    inner.park(sealed.effects.outcomes);
    inner.close(cause);
}

/// How many are expected to wait for the next record, and how long they are waited for.
struct Pace {
    expected: usize,
    linger: Duration,
    settle: Duration,
    /// Since when the oldest commit in the record at hand waits.
    since: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { expected: 1, linger: Duration::ZERO, settle: Duration::ZERO, since: None }
    }
}

impl Pace {
    /// A record took so long.
    fn after(&mut self, took: Duration) {
        self.linger = (took * LINGER_SYNCS).min(LINGER_MAX);
        self.settle = (took / SETTLE_SYNCS).min(SETTLE_MAX);
    }
}

/// Why the committer sleeps.
enum Sleep {
    /// There is nothing to write.
    Idle,
    /// There is something that nobody waits for.
    Until(Instant),
    /// Fewer wait than are expected.
    Linger(Instant),
    /// Turns are being taken.
    Settle(Instant),
}

/// What is to be done now.
enum Next {
    End,
    Seal,
    Sleep(Sleep),
}

/// Since when there is something to write, and since when somebody waits for it.
#[derive(Default)]
struct Since {
    seen: Option<Instant>,
    demanded: Option<Instant>,
}

impl Since {
    fn what_next(&mut self, core: &mut Core, hands: &Hands, pace: &Pace) -> Next {
        let (is_empty, demand) = (core.accepted.open().is_empty(), core.accepted.open().demand);
        if core.closed.is_some() || (core.stopping && is_empty) {
            return Next::End;
        }
        let now = crate::clock::monotonic();
        let (sleep, until) = if is_empty {
            return Next::Sleep(Sleep::Idle);
        } else if core.stopping || demand > SETTLE_DEMAND && demand >= pace.expected {
            return Next::Seal;
        } else if demand >= pace.expected {
            hands.await_free(true);
            if hands.are_free() {
                return Next::Seal;
            }
            let until = *self.demanded.get_or_insert(now) + pace.settle;
            (Sleep::Settle(until), until)
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

/// Wait for the next record that is due.
fn next(inner: &Arc<Inner>, pace: &mut Pace) -> Option<Sealed> {
    let mut core = inner.core.lock();
    let mut since = Since::default();
    loop {
        match since.what_next(&mut core, &inner.hands, pace) {
            Next::End => return None,
            Next::Seal => return seal(inner, &mut core, pace),
            Next::Sleep(Sleep::Idle) => wait_for_work(inner, &mut core),
            Next::Sleep(Sleep::Until(until)) => wait_until(inner, &mut core, 1, until),
            Next::Sleep(Sleep::Linger(until)) => wait_until(inner, &mut core, pace.expected, until),
            Next::Sleep(Sleep::Settle(until)) => wait_until(inner, &mut core, SETTLE_DEMAND + 1, until),
        }
    }
}

#[cfg(test)]
async fn next_as_task(inner: &Arc<Inner>, pace: &mut Pace) -> Option<Sealed> {
    let mut since = Since::default();
    loop {
        let within = {
            let mut core = inner.core.lock();
            let (demand, within) = match since.what_next(&mut core, &inner.hands, pace) {
                Next::End => return None,
                Next::Seal => return seal(inner, &mut core, pace),
                Next::Sleep(Sleep::Idle) => (0, Duration::MAX),
                Next::Sleep(Sleep::Until(until)) => (1, until.duration_since(crate::clock::monotonic())),
                Next::Sleep(Sleep::Linger(until)) => (pace.expected, until.duration_since(crate::clock::monotonic())),
                Next::Sleep(Sleep::Settle(until)) => {
                    (SETTLE_DEMAND + 1, until.duration_since(crate::clock::monotonic()))
                }
            };
            core.committer_sleeps = Some(demand);
            within
        };
        inner.work.heard(within).await;
        inner.core.lock().committer_sleeps = None;
    }
}

fn seal(inner: &Inner, core: &mut Core, pace: &mut Pace) -> Option<Sealed> {
    inner.hands.await_free(false);
    pace.expected = core.accepted.open().demand.max(1);
    pace.since = core.unsealed;
    let sealed = core.accepted.seal();
    if core.accepted.open().is_empty() {
        core.unsealed = None;
    }
    checkpointer::slice(inner, core);
    sealed
}

fn wait_until(inner: &Inner, core: &mut MutexGuard<'_, Core>, demand: usize, until: Instant) {
    core.committer_sleeps = Some(demand);
    // Either way the caller looks again.
    let _ = inner.work.wait_until(core, until);
    core.committer_sleeps = None;
}

/// Sleep until there is something; on the way, tell the store once that it is idle.
fn wait_for_work(inner: &Arc<Inner>, core: &mut MutexGuard<'_, Core>) {
    core.committer_sleeps = Some(0);
    let timed_out = inner.work.wait_for(core, IDLE).timed_out();
    if timed_out && core.accepted.open().is_empty() && core.closed.is_none() {
        MutexGuard::unlocked(core, || say_idle(inner));
        while core.accepted.open().is_empty() && core.closed.is_none() && !core.stopping {
            core.committer_sleeps = Some(0);
            inner.work.wait(core);
        }
    }
    core.committer_sleeps = None;
}

fn say_idle(inner: &Arc<Inner>) {
    if let Err(error) = inner.store.idle() {
        inner.close(&error.to_string());
    }
}

/// The record is durable: let out what waited for it.
fn publish(inner: &Arc<Inner>, sealed: Sealed) {
    let Sealed { sequence, record, effects } = sealed;
    let room = inner.observe(sequence, record);
    inner.durable.store(sequence.0, std::sync::atomic::Ordering::Release);
    let (waiters, asks, watchers) = {
        let mut core = inner.core.lock();
        core.accepted.open().reuse(room);
        let waiters: Vec<_> = core.waiters.extract_if(.., |(wanted, _)| *wanted <= sequence).collect();
        let asks: Vec<_> =
            effects.replies.into_iter().filter_map(|(token, reply)| Some((core.asks.remove(&token)?, reply))).collect();
        let watchers: Vec<_> = effects.watchers.iter().filter_map(|watcher| core.watches.remove(watcher)).collect();
        (waiters, asks, watchers)
    };
    inner.dispatch(&effects.calls, &effects.started);
    // Whoever no longer waits has dropped the other end, and that is all right.
    for (_, waiter) in waiters {
        let _ = waiter.send(());
    }
    for (ask, reply) in asks {
        let _ = ask.send(reply);
    }
    for watcher in watchers {
        let _ = watcher.send(());
    }
}
