//! The thread that makes records durable.
//!
//! A sync starts when somebody waits for one, or 5 ms after the first commit that nobody waits for; the record is all
//! that was accepted by then. One record at a time is unsynced.
//!
//! The turns that follow from what somebody waits for take less time than a sync, and often end in a call that waits for one
//! as well. So where few wait the committer settles: it seals when no turn is being taken, or after half of what a sync takes.
//!
//! When many wait, a sync for each would cost more than the work. So the committer lingers while turns are being taken, for at
//! most 6 ms, until half of all who go around wait: half of them are written while the other half takes turns. Where the disk
//! is slower than their turns, it lingers for all; for few it never does.
//!
//! **Invariant:** nothing leaves (a call, a reply, a watcher's news) before its record is durable.

pub(crate) mod pace;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::MutexGuard;

use self::pace::{Next, Pace, Seen, Since, Sleep};
#[cfg(test)]
use super::faults::{Action, Site, Who};
use super::{
    checkpointer,
    open::Sealed,
    record::Encoder,
    system::{Core, Inner},
};
use crate::mutant::Mutant;

/// After this long without work the store is told that it is idle.
const IDLE: Duration = Duration::from_millis(20);

/// Run until the system stops or the store fails.
pub(crate) fn run(inner: &Arc<Inner>) {
    let mut pace = Pace::new();
    let mut encoder = Encoder::default();
    while let Some((sealed, since)) = next(inner, &mut pace) {
        let Some((sealed, took)) = append(inner, sealed, &mut encoder) else { return };
        pace.synced(took);
        if let Some(since) = since {
            inner.meters.commit_wait_seconds.record(since.elapsed().as_secs_f64());
        }
        publish(inner, sealed);
    }
}

/// The same as a task: it may be a while before a record is durable, and before those who wait hear of it.
#[cfg(test)]
pub(crate) async fn run_as_task(inner: Arc<Inner>) {
    let mut pace = Pace::new();
    let mut encoder = Encoder::default();
    while let Some((sealed, _)) = next_as_task(&inner, &mut pace).await {
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

/// What the committer sees under the lock.
fn seen(inner: &Inner, core: &mut Core) -> Seen {
    let (closed, stopping) = (core.closed.is_some(), core.stopping);
    let open = core.accepted.open();
    let (is_empty, demand) = (open.is_empty(), open.demand);
    // Asked for before it is looked, so that the last one to be done sees one or the other.
    inner.hands.await_free(demand > 0);
    Seen { is_empty, demand, turns: inner.hands.full(), closed, stopping }
}

/// Wait for the next record that is due.
fn next(inner: &Arc<Inner>, pace: &mut Pace) -> Option<(Sealed, Option<Instant>)> {
    let mut core = inner.core.lock();
    let mut since = Since::default();
    loop {
        let (seen, now) = (seen(inner, &mut core), crate::clock::monotonic());
        match since.what_next(seen, pace, now) {
            Next::End => return None,
            Next::Seal => {
                pace.seals(seen, &since, now);
                return seal(inner, &mut core);
            }
            Next::Sleep(Sleep::Idle) => wait_for_work(inner, &mut core),
            Next::Sleep(sleep @ (Sleep::Until(until) | Sleep::Linger(until) | Sleep::Settle(until))) => {
                wait_until(inner, &mut core, sleep.demand(pace), until);
            }
        }
    }
}

#[cfg(test)]
async fn next_as_task(inner: &Arc<Inner>, pace: &mut Pace) -> Option<(Sealed, Option<Instant>)> {
    let mut since = Since::default();
    loop {
        let within = {
            let mut core = inner.core.lock();
            let (seen, now) = (seen(inner, &mut core), crate::clock::monotonic());
            let sleep = match since.what_next(seen, pace, now) {
                Next::End => return None,
                Next::Seal => {
                    pace.seals(seen, &since, now);
                    return seal(inner, &mut core);
                }
                Next::Sleep(sleep) => sleep,
            };
            core.committer_sleeps = Some(sleep.demand(pace));
            match sleep {
                Sleep::Idle => Duration::MAX,
                Sleep::Until(until) | Sleep::Linger(until) | Sleep::Settle(until) => until.duration_since(now),
            }
        };
        inner.work.heard(within).await;
        inner.core.lock().committer_sleeps = None;
    }
}

/// Take the record, and say since when the oldest commit in it waits.
fn seal(inner: &Inner, core: &mut Core) -> Option<(Sealed, Option<Instant>)> {
    inner.hands.await_free(false);
    let since = core.unsealed;
    let sealed = core.accepted.seal();
    if core.accepted.open().is_empty() {
        core.unsealed = None;
    }
    checkpointer::slice(inner, core);
    sealed.map(|sealed| (sealed, since))
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
        let waiters = pace::let_go(&mut core.waiters, sequence);
        let asks: Vec<_> =
            effects.replies.into_iter().filter_map(|(token, reply)| Some((core.asks.remove(&token)?, reply))).collect();
        let watchers: Vec<_> = effects
            .watchers
            .into_iter()
            .filter_map(|(watcher, row)| Some((core.watches.remove(&watcher)?, row)))
            .collect();
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
    for (watcher, row) in watchers {
        let _ = watcher.send(row);
    }
}
