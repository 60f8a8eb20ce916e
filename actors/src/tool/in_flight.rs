//! Calls that are running in this process.
//!
//! The table belongs to the system, not to a tool's actor: an actor that was restarted finds here what its former self
//! began, and does not begin it again. It outlives a system whose store failed: the next one in this process takes it
//! over, with what runs and with the outcomes that no store took.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::Notify;

use super::{
    context::{Progress, Shared},
    limits::STOP_GRACE,
};
use crate::durable::{CallId, Ended, Inner};

/// How often a drain looks again by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// One running call.
struct Running {
    path: Arc<str>,
    began: Instant,
    shared: Arc<Shared>,
    pulse: Heard,
    /// Whether its caller does not want it any more.
    is_unwanted: bool,
}

/// What was heard of a call that promises heartbeats, in looks of whoever listens.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    beats: u64,
    /// Looks since then, each of which came in time.
    silent: u32,
    /// Whether it was asked to end.
    is_asked: bool,
}

impl Heard {
    /// One more look, so long after the one before.
    fn look(&mut self, beats: u64, is_late: bool) {
        if is_late || beats != self.beats {
            (self.beats, self.silent) = (beats, 0);
        } else {
            self.silent = self.silent.saturating_add(1);
        }
    }

    /// Whether it was silent for longer than it may be. One that was asked to end has its time to do so.
    fn is_lost(&self, within: Duration, every: Duration) -> bool {
        let within = if self.is_asked { within.max(STOP_GRACE * 2) } else { within };
        self.silent > 0 && every.saturating_mul(self.silent) >= within
    }
}

/// Calls that are running in this process.
#[derive(Default)]
pub(crate) struct InFlight {
    running: Mutex<FxHashMap<CallId, Running>>,
    /// Calls that were cancelled while their start was on its way to the disk.
    doomed: Mutex<FxHashSet<CallId>>,
    drains: AtomicBool,
    ended: Notify,
    home: Arc<Home>,
    /// Outcomes that no store took: of calls that ended while none was open, and of records that were lost with one.
    parked: Mutex<FxHashMap<CallId, Ended>>,
    has_parked: AtomicBool,
}

/// The system that running calls belong to now: after a failed store, another than the one that began them.
#[derive(Default)]
pub(crate) struct Home(Mutex<Weak<Inner>>);

impl Home {
    pub(crate) fn get(&self) -> Option<Arc<Inner>> {
        self.0.lock().upgrade()
    }
}

impl InFlight {
    /// Note that a call begins; `false` if it is running already.
    pub(crate) fn begin(&self, call: CallId, path: &Arc<str>, shared: &Arc<Shared>) -> bool {
        let mut running = self.running.lock();
        if running.contains_key(&call) || self.is_parked(call) {
            return false;
        }
        let is_unwanted = self.doomed.lock().remove(&call);
        if is_unwanted || self.drains.load(Ordering::SeqCst) {
            shared.cancel.cancel();
        }
        let (path, shared, began) = (path.clone(), shared.clone(), crate::clock::monotonic());
        running.insert(call, Running { path, began, shared, pulse: Heard::default(), is_unwanted });
        true
    }

    /// Note that calls ended.
    pub(crate) fn end(&self, calls: impl IntoIterator<Item = CallId>) {
        let mut running = self.running.lock();
        for call in calls {
            running.remove(&call);
        }
        if running.is_empty() {
            self.ended.notify_waiters();
        }
    }

    pub(crate) fn contains(&self, call: CallId) -> bool {
        self.running.lock().contains_key(&call)
    }

    /// Listen to the calls that promise heartbeats, once in `every`. A late look gives everyone the whole silence again.
    pub(crate) fn listen(&self, is_late: bool) {
        for running in self.running.lock().values_mut() {
            if running.shared.pulse.is_some() {
                let beats = running.shared.beats.load(Ordering::Relaxed);
                running.pulse.look(beats, is_late);
            }
        }
    }

    /// The calls that are silent for longer than they promised, with how long that is, if a look comes once in `every`.
    pub(crate) fn silent(&self, every: Duration) -> Vec<(CallId, Duration)> {
        let running = self.running.lock();
        let silent = running.iter().filter_map(|(call, running)| {
            let within = running.shared.pulse.as_ref()?.within;
            running.pulse.is_lost(within, every).then_some((*call, within))
        });
        silent.collect()
    }

    /// A call is silent: it is asked to stop, and its attempt ends. `false` if it is not running.
    pub(crate) fn give_up(&self, call: CallId) -> bool {
        let mut running = self.running.lock();
        let Some(running) = running.get_mut(&call) else { return false };
        let Some(pulse) = &running.shared.pulse else { return false };
        pulse.lost.cancel();
        (running.pulse.is_asked, running.pulse.silent) = (true, 0);
        true
    }

    /// Its caller does not want a call any more: ask it to stop; `false` if it is not running.
    pub(crate) fn cancel(&self, call: CallId) -> bool {
        let shared = self.running.lock().get_mut(&call).map(|running| {
            running.is_unwanted = true;
            running.shared.clone()
        });
        shared.is_some_and(|shared| {
            shared.cancel.cancel();
            true
        })
    }

    /// Whether a call runs that its caller does not want any more.
    pub(crate) fn is_unwanted(&self, call: CallId) -> bool {
        self.running.lock().get(&call).is_some_and(|running| running.is_unwanted)
    }

    /// Cancel a call as soon as it would begin.
    pub(crate) fn doom(&self, call: CallId) {
        self.doomed.lock().insert(call);
    }

    /// Ask everything to stop, also what still begins, and wait until nothing runs and `is_still`, at most so long.
    pub(crate) async fn drain(&self, grace: Duration, is_still: impl Fn() -> bool) {
        self.drains.store(true, Ordering::SeqCst);
        for running in self.running.lock().values() {
            running.shared.cancel.cancel();
        }
        let empty = async {
            loop {
                let ended = self.ended.notified();
                if self.running.lock().is_empty() && is_still() {
                    return;
                }
                // A permit may be given back without a call having run: look again now and then.
                let _ = tokio::time::timeout(LOOK_AGAIN, ended).await;
            }
        };
        // What does not end in time is found again at the next start, by its row.
        let _ = tokio::time::timeout(grace, empty).await;
    }

    /// Where running calls belong.
    pub(crate) fn home(&self) -> Arc<Home> {
        self.home.clone()
    }

    /// Outcomes that no store took wait for the next one; their calls are not begun again.
    pub(crate) fn park(&self, outcomes: impl IntoIterator<Item = Ended>) {
        let mut parked = self.parked.lock();
        parked.extend(outcomes.into_iter().map(|ended| (ended.0, ended)));
        self.has_parked.store(!parked.is_empty(), Ordering::SeqCst);
    }

    fn is_parked(&self, call: CallId) -> bool {
        self.has_parked.load(Ordering::SeqCst) && self.parked.lock().contains_key(&call)
    }

    /// Whether there is nothing to take over.
    pub(crate) fn is_empty(&self) -> bool {
        self.running.lock().is_empty() && !self.has_parked.load(Ordering::SeqCst)
    }

    /// Whether a call runs, or ended with an outcome that no store took.
    pub(crate) fn holds(&self, call: CallId) -> bool {
        self.contains(call) || self.is_parked(call)
    }

    /// The store failed, and with it went these outcomes, which are to be handed in again.
    pub(crate) fn bereave(&self, lost: Vec<Ended>) {
        *self.home.0.lock() = Weak::new();
        self.park(lost);
    }

    /// From now on calls belong to this system.
    pub(crate) fn come_home(&self, inner: &Arc<Inner>) {
        *self.home.0.lock() = Arc::downgrade(inner);
    }

    /// The outcomes that wait for a store.
    pub(crate) fn parked(&self) -> Vec<Ended> {
        self.parked.lock().values().cloned().collect()
    }

    /// These outcomes were taken.
    pub(crate) fn unpark(&self, calls: &[CallId]) {
        let mut parked = self.parked.lock();
        for call in calls {
            parked.remove(call);
        }
        self.has_parked.store(!parked.is_empty(), Ordering::SeqCst);
    }

    /// What runs, for how long, and what it last said.
    pub(crate) fn progress(&self) -> Vec<(CallId, Arc<str>, Duration, Progress)> {
        let running = self.running.lock();
        let told = running.iter().map(|(call, running)| {
            let progress = running.shared.progress.lock().clone();
            (*call, running.path.clone(), running.began.elapsed(), progress)
        });
        let mut told: Vec<_> = told.collect();
        told.sort_by_key(|(call, ..)| *call);
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(5);
    const WITHIN: Duration = Duration::from_secs(12);

    /// So many looks, of which some come late; says whether the call is silent for too long after each.
    fn looks(heard: &mut Heard, beats: u64, late: &[bool]) -> Vec<bool> {
        let look = |is_late: &bool| {
            heard.look(beats, *is_late);
            heard.is_lost(WITHIN, EVERY)
        };
        late.iter().map(look).collect()
    }

    #[test]
    fn silence_is_counted_in_looks_and_a_beat_ends_it() {
        let mut heard = Heard::default();
        assert_eq!(looks(&mut heard, 1, &[false; 4]), [false, false, false, true], "12 s are over after three looks");
        assert_eq!(looks(&mut heard, 2, &[false; 3]), [false, false, false]);
    }

    #[test]
    fn a_late_look_gives_the_whole_silence_again() {
        let mut heard = Heard::default();
        assert_eq!(looks(&mut heard, 1, &[false, false, false]), [false; 3]);
        // The process stood still for an hour.
        assert_eq!(looks(&mut heard, 1, &[true, false, false, true, false, false]), [false; 6]);
        assert_eq!(looks(&mut heard, 1, &[false]), [true]);
    }

    #[test]
    fn one_that_was_asked_to_end_has_its_time_to_do_so() {
        let mut heard = Heard { is_asked: true, beats: 1, ..Heard::default() };
        let within = Duration::from_secs(1);
        heard.look(1, false);
        assert!(!heard.is_lost(within, EVERY));
        heard.look(1, false);
        assert!(heard.is_lost(within, EVERY), "it was asked twice as long ago as it may take");
    }
}
