//! The thread that makes records durable.
//!
//! A sync starts when somebody waits for one, or 5 ms after the first commit that nobody waits for; the record is all
//! that was accepted by then. One record at a time is unsynced.
//!
//! **Invariant:** nothing leaves (a call, a reply, a watcher's news) before its record is durable.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    codec,
    open::Sealed,
    record,
    system::{Core, Inner},
};

/// How long a commit that nobody waits for may stay unsynced.
const DEADLINE: Duration = Duration::from_millis(5);
/// After this long without work the store is told that it is idle.
const IDLE: Duration = Duration::from_millis(20);

/// Run until the system stops or the store fails.
pub(crate) fn run(inner: &Arc<Inner>) {
    let mut buffer = bytes::BytesMut::new();
    while let Some(sealed) = next(inner) {
        buffer.clear();
        codec::seal_into(record::FORMAT, &sealed.record, &mut buffer);
        match inner.store.append(inner.fence, sealed.sequence, &buffer) {
            Ok(()) => publish(inner, sealed),
            Err(error) => {
                inner.close(&error.to_string());
                return;
            }
        }
    }
}

/// Wait for the next record that is due.
fn next(inner: &Arc<Inner>) -> Option<Sealed> {
    let mut core = inner.core.lock();
    let mut first_seen: Option<Instant> = None;
    let mut idle_said = false;
    loop {
        if core.closed.is_some() {
            return None;
        }
        if core.accepted.open().is_empty() {
            if core.stopping {
                return None;
            }
            first_seen = None;
            core.committer_waits = true;
            let timed_out =
                inner.work.wait_for(&mut core, if idle_said { Duration::from_secs(3600) } else { IDLE }).timed_out();
            if timed_out && !idle_said && core.accepted.open().is_empty() {
                idle_said = true;
                parking_lot::MutexGuard::unlocked(&mut core, || say_idle(inner));
            }
        } else if is_due(&mut core) {
            core.committer_waits = false;
            return core.accepted.seal();
        } else {
            let since = *first_seen.get_or_insert_with(crate::clock::monotonic);
            core.committer_waits = true;
            if inner.work.wait_until(&mut core, since + DEADLINE).timed_out() {
                core.committer_waits = false;
                return core.accepted.seal();
            }
        }
    }
}

fn is_due(core: &mut Core) -> bool {
    core.stopping || core.accepted.open().demand || core.waiters.first().is_some()
}

fn say_idle(inner: &Arc<Inner>) {
    if let Err(error) = inner.store.idle() {
        inner.close(&error.to_string());
    }
}

/// The record is durable: let out what waited for it.
fn publish(inner: &Arc<Inner>, sealed: Sealed) {
    let Sealed { sequence, record, effects } = sealed;
    inner.observe(sequence, record);
    inner.durable.store(sequence.0, std::sync::atomic::Ordering::Release);
    let (waiters, asks, watchers) = {
        let mut core = inner.core.lock();
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
