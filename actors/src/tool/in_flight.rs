//! Calls that are running in this process.
//!
//! The table belongs to the system, not to a tool's actor: an actor that was restarted finds here what its former self
//! began, and does not begin it again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::Notify;

use super::context::{Progress, Shared};
use crate::durable::CallId;

/// How often a drain looks again by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// One running call.
struct Running {
    path: Arc<str>,
    began: Instant,
    shared: Arc<Shared>,
}

/// Calls that are running in this process.
#[derive(Default)]
pub(crate) struct InFlight {
    running: Mutex<FxHashMap<CallId, Running>>,
    /// Calls that were cancelled while their start was on its way to the disk.
    doomed: Mutex<FxHashSet<CallId>>,
    drains: AtomicBool,
    ended: Notify,
}

impl InFlight {
    /// Note that a call begins; `false` if it is running already.
    pub(crate) fn begin(&self, call: CallId, path: &Arc<str>, shared: &Arc<Shared>) -> bool {
        let mut running = self.running.lock();
        if running.contains_key(&call) {
            return false;
        }
        if self.doomed.lock().remove(&call) || self.drains.load(Ordering::SeqCst) {
            shared.cancel.cancel();
        }
        let began = crate::clock::monotonic();
        running.insert(call, Running { path: path.clone(), began, shared: shared.clone() });
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

    /// Ask a call to stop; `false` if it is not running.
    pub(crate) fn cancel(&self, call: CallId) -> bool {
        let shared = self.running.lock().get(&call).map(|running| running.shared.clone());
        shared.is_some_and(|shared| {
            shared.cancel.cancel();
            true
        })
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

    /// What runs, for how long, and what it last said.
    pub(crate) fn progress(&self) -> Vec<(CallId, Arc<str>, Duration, Progress)> {
        let running = self.running.lock();
        let told = running.iter().map(|(call, running)| {
            let progress = running.shared.beat.lock().1.clone();
            (*call, running.path.clone(), running.began.elapsed(), progress)
        });
        let mut told: Vec<_> = told.collect();
        told.sort_by_key(|(call, ..)| *call);
        told
    }
}
