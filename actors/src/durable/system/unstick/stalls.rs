//! Stalls on purpose: what is lost here only the unsticker finds. There with the feature `testing` alone.
//!
//! **Invariant:** nothing is lost that was not asked for, and each only once; without the feature none of this exists.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use parking_lot::Mutex;

use crate::durable::{
    codec,
    id::{ActorId, CallId},
    system::{System, inner::Inner},
};

/// What is to be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stall {
    /// The next bell of this actor is not rung.
    Bell(ActorId),
    /// The next call that is handed to this tool never arrives.
    Call(String),
    /// No timer is fired, until [`System::end_stalls`].
    Timers,
}

/// What is still to be lost.
#[derive(Default)]
pub(crate) struct Stalls {
    /// Whether anything is: only then is the lock taken.
    is_armed: AtomicBool,
    bells: Mutex<Vec<ActorId>>,
    calls: Mutex<Vec<u32>>,
    timers: AtomicBool,
    looks: AtomicU64,
    late_looks: AtomicU64,
}

impl Stalls {
    pub(crate) fn lose(&self, stall: Stall) {
        match stall {
            Stall::Bell(actor) => self.bells.lock().push(actor),
            Stall::Call(tool) => self.calls.lock().push(codec::fnv1a(&tool)),
            Stall::Timers => self.timers.store(true, Ordering::SeqCst),
        }
        self.is_armed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn end(&self) {
        self.is_armed.store(false, Ordering::SeqCst);
        self.bells.lock().clear();
        self.calls.lock().clear();
        self.timers.store(false, Ordering::SeqCst);
    }

    /// Whether this bell is lost now.
    pub(crate) fn loses_bell(&self, actor: ActorId) -> bool {
        self.is_armed() && take(&mut self.bells.lock(), &actor)
    }

    /// The calls that arrive.
    pub(crate) fn without_lost<'a>(&self, calls: &'a [(u32, CallId)]) -> Cow<'a, [(u32, CallId)]> {
        if !self.is_armed() {
            return Cow::Borrowed(calls);
        }
        let mut lost = self.calls.lock();
        calls.iter().filter(|(tool, _)| !take(&mut lost, tool)).copied().collect()
    }

    pub(crate) fn loses_timers(&self) -> bool {
        self.timers.load(Ordering::SeqCst)
    }

    /// What was asked for and not lost yet.
    pub(crate) fn left(&self) -> usize {
        self.bells.lock().len() + self.calls.lock().len() + usize::from(self.loses_timers())
    }

    pub(super) fn looked(&self, is_late: bool) {
        self.late_looks.fetch_add(u64::from(is_late), Ordering::SeqCst);
        self.looks.fetch_add(1, Ordering::SeqCst);
    }

    fn is_armed(&self) -> bool {
        self.is_armed.load(Ordering::Relaxed)
    }
}

fn take<T: PartialEq>(from: &mut Vec<T>, wanted: &T) -> bool {
    let found = from.iter().position(|one| one == wanted);
    found.map(|at| from.swap_remove(at)).is_some()
}

impl System {
    /// Lose something, which only the unsticker finds.
    pub fn stall(&self, stall: Stall) {
        self.inner.stalls.lose(stall);
    }

    /// Lose nothing any more.
    pub fn end_stalls(&self) {
        self.inner.stalls.end();
        self.inner.timer_set.notify_one();
    }

    /// What was asked for and is not lost yet.
    #[must_use]
    pub fn stalls_left(&self) -> usize {
        self.inner.stalls.left()
    }

    /// Let the unsticker look now, and act if it must: three times, so that it would act on whatever is stuck and in memory.
    /// Returns what it did in this life, by reason; after a crash or a kill that is nothing, because recovery suffices.
    pub async fn unstick_now(&self) -> BTreeMap<&'static str, u64> {
        for _ in 0..3 {
            self.inner.look_and_act(false).await;
        }
        self.unstuck()
    }

    /// How often the unsticker has looked.
    #[must_use]
    pub fn looks(&self) -> u64 {
        self.inner.stalls.looks.load(Ordering::SeqCst)
    }

    /// How often it looked so late that it gave everyone grace.
    #[must_use]
    pub fn late_looks(&self) -> u64 {
        self.inner.stalls.late_looks.load(Ordering::SeqCst)
    }
}

impl Inner {
    /// Wait as long as no timer is to be fired.
    pub(crate) async fn until_timers_fire(&self) {
        while self.stalls.loses_timers() {
            self.timer_set.notified().await;
        }
    }
}
