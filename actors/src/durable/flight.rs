//! The flight recorder: what every thread is at, so that a process that died tells its successor of what.
//!
//! ```text
//! begin ─► slot (memory) ─► slot (file, one write, no sync) ─► turn or poll ─► idle (memory)
//!                                                                    └─► the process dies: the file names it
//! ```
//! A turn that ended leaves its name in the file until the thread's next turn or the watcher's next look, because
//! clearing would cost as much as noting. That is right all the same: a message that is consumed is not in the mailbox of
//! the next life, and one whose commit was lost runs alone once more and is no longer suspected. The same holds for a call
//! that is done. The name of one that is not is cleared after the poll, because its row stays for as long as it waits.
//!
//! Noting costs about as much as a tenth of a turn. So a life that follows a clean end does not note; one that follows a
//! death does, for its first ten minutes. What kills the process is thus found at its second death, not at its first.
//!
//! **Invariants:** a start counts the death of its predecessor before anything runs; a recorder belongs to one system;
//! without a file everything works and nothing outlives the process.

mod gate;
mod lease;
mod noted_call;
mod notes;
mod page;
#[cfg(test)]
mod tests;

use std::{
    future::Future,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

pub(crate) use self::page::{Named, Suspect};
use self::{gate::Gate, noted_call::NotedCall, notes::Notes, page::SLOTS};
use super::{
    id::{ActorId, CallId},
    watch::Told,
};
use crate::clock;

/// What a thread is at.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) named: Named,
    /// The behaviour or the tool, for people.
    pub(crate) of: Label,
    /// How long it has been running in the watcher's own ticks; `None` until it was seen first.
    pub(crate) age: Option<Duration>,
    /// What was said of it.
    pub(crate) told: Told,
}

/// The name of a behaviour or a tool.
#[derive(Clone, Debug)]
pub(crate) enum Label {
    Kind(&'static str),
    Tool(Arc<str>),
}

impl Label {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Label::Kind(name) => name,
            Label::Tool(name) => name,
        }
    }
}

/// What every thread is at.
#[derive(Default)]
pub(crate) struct Recorder {
    slots: Vec<Slot>,
    free: Mutex<Vec<usize>>,
    notes: Option<Notes>,
    gate: Gate,
    is_wary: AtomicBool,
    /// Nothing is noted in the file: the last life ended well, or died long ago.
    is_trusting: AtomicBool,
    /// When this life, which follows a death, may be trusted.
    trusted_at: Option<Instant>,
    watcher_sleeps: AtomicBool,
    has_ended: Mutex<bool>,
    bell: Condvar,
}

/// One thread's. Threads must not share a line of the cache.
#[derive(Default)]
#[repr(align(128))]
struct Slot(Mutex<SlotState>);

#[derive(Default)]
struct SlotState {
    running: Option<Running>,
    /// Whether the file names something here.
    is_noted: bool,
}

impl Recorder {
    /// Without a file: for the watcher alone.
    pub(crate) fn in_memory() -> Self {
        Self {
            slots: std::iter::repeat_with(Slot::default).take(SLOTS).collect(),
            free: Mutex::new((0..SLOTS).rev().collect()),
            ..Self::default()
        }
    }

    /// Begin a life; returns what the last one may have died of, its death counted and synced.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Vec<Suspect>)> {
        let notes = Notes::open(path)?;
        let suspects = notes.suspects();
        Ok((Self { notes: Some(notes), ..Self::in_memory() }, suspects))
    }

    /// The last life ended well: note nothing. Otherwise, note for as long as `at_first`.
    pub(crate) fn trust(&mut self, ended_well: bool, at_first: Duration) {
        self.is_trusting = AtomicBool::new(ended_well);
        self.trusted_at = clock::monotonic().checked_add(at_first);
    }

    /// Note what this thread is at, until the guard goes.
    pub(crate) fn begin(self: &Arc<Self>, named: Named, of: Label) -> Noted<'_> {
        let slot = lease::slot_of_this_thread(self);
        if let Some(at) = slot {
            let mut slot = self.slots[at].0.lock();
            slot.running = Some(Running { named, of, age: None, told: Told::Nothing });
            if let Some(notes) = self.notes.as_ref().filter(|_| !self.is_trusting.load(Ordering::Relaxed)) {
                slot.is_noted = true;
                notes.name(at, named);
            }
            drop(slot);
            // Whoever looked at the slot before this saw it idle and said before that it sleeps: the slot's lock orders
            // the two.
            if self.watcher_sleeps.load(Ordering::SeqCst) {
                self.wake();
            }
        }
        Noted { recorder: self, slot, named }
    }

    /// A call that is noted while it is polled.
    pub(crate) fn noted_call<F: Future + Unpin>(
        self: &Arc<Self>,
        caller: ActorId,
        call: CallId,
        tool: &Arc<str>,
        calling: F,
    ) -> NotedCall<F> {
        NotedCall::new(self.clone(), Named::Call { caller, call }, tool.clone(), calling)
    }

    fn survived(&self, named: Named, call: CallId) {
        if self.gate.leave(call)
            && let Some(notes) = &self.notes
        {
            warn_unwritten(notes.lift(named));
        }
    }

    /// These calls go first, one at a time: from here on others are not [admitted](Self::admits).
    pub(crate) fn let_first(&self, calls: impl IntoIterator<Item = CallId>) {
        self.gate.close(calls);
    }

    /// Whether every call may begin.
    pub(crate) fn admits_all(&self) -> bool {
        self.gate.is_open()
    }

    /// Whether this call may begin now; see [`Self::let_first`].
    pub(crate) fn admits(&self, call: CallId) -> bool {
        self.gate.admits(call)
    }

    /// How many calls are to go first still.
    pub(crate) fn first(&self) -> usize {
        self.gate.suspects()
    }

    /// Nobody waits for a call that will not begin. It is suspected still: it has not survived anything.
    pub(crate) fn excuse(&self, comes: impl Fn(CallId) -> bool) -> usize {
        self.gate.keep(comes)
    }

    /// Wait no longer for those that did not come in time, and say which these are.
    pub(crate) fn lose_patience(&self) -> Vec<CallId> {
        self.gate.lose_patience()
    }

    /// Completes when one of those that go first has begun, or is not waited for any more.
    pub(crate) fn moved(&self) -> impl Future<Output = ()> + '_ {
        self.gate.moved()
    }

    /// Lives in a row that died during something which the store does not hold.
    pub(crate) fn strays(&self) -> u32 {
        self.notes.as_ref().map_or(0, Notes::strays)
    }

    /// From now on only these are suspected. Blocks on a sync.
    pub(crate) fn keep(&self, suspects: Vec<Suspect>, strays: u32) {
        if let Some(notes) = &self.notes {
            warn_unwritten(notes.keep(suspects, strays));
        }
    }

    /// In this life no message is taken before it is durable, so that the next one finds it.
    pub(crate) fn be_wary(&self) {
        self.is_wary.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_wary(&self) -> bool {
        self.is_wary.load(Ordering::Relaxed)
    }

    /// Look at whatever runs, and clear what idle threads left in the file; says whether there was anything.
    pub(crate) fn survey(&self, mut look: impl FnMut(&mut Running)) -> bool {
        if self.trusted_at.is_some_and(|at| clock::monotonic() >= at) {
            self.is_trusting.store(true, Ordering::Relaxed);
        }
        let mut is_busy = false;
        for (at, slot) in self.slots.iter().enumerate() {
            let mut slot = slot.0.lock();
            match &mut slot.running {
                Some(running) => {
                    is_busy = true;
                    look(running);
                }
                None => self.clear(at, &mut slot),
            }
        }
        is_busy
    }

    fn clear(&self, at: usize, slot: &mut SlotState) {
        if std::mem::take(&mut slot.is_noted)
            && let Some(notes) = &self.notes
        {
            notes.clear(at);
        }
    }

    /// Sleep for a while, or, when nothing runs, until something does; `false` when the life has ended.
    pub(crate) fn rest(&self, for_a_while: Option<Duration>) -> bool {
        let mut has_ended = self.has_ended.lock();
        if *has_ended {
            return false;
        }
        if let Some(duration) = for_a_while {
            // Either way the watcher looks again.
            let _ = self.bell.wait_for(&mut has_ended, duration);
            return !*has_ended;
        }
        self.watcher_sleeps.store(true, Ordering::SeqCst);
        let is_idle = |slot: &Slot| {
            let slot = slot.0.lock();
            slot.running.is_none() && !slot.is_noted
        };
        if self.slots.iter().all(is_idle) {
            while self.watcher_sleeps.load(Ordering::SeqCst) && !*has_ended {
                self.bell.wait(&mut has_ended);
            }
        }
        self.watcher_sleeps.store(false, Ordering::SeqCst);
        !*has_ended
    }

    fn wake(&self) {
        // Under the lock that the watcher holds until it waits.
        let _has_ended = self.has_ended.lock();
        self.watcher_sleeps.store(false, Ordering::SeqCst);
        self.bell.notify_all();
    }

    /// The life ends by itself: nobody is suspected of it, and the watcher ends.
    pub(crate) fn close(&self) {
        if std::mem::replace(&mut *self.has_ended.lock(), true) {
            return;
        }
        self.bell.notify_all();
        let Some(notes) = &self.notes else { return };
        notes.end();
        for (at, slot) in self.slots.iter().enumerate() {
            let mut slot = slot.0.lock();
            self.clear(at, &mut slot);
        }
        notes.close();
    }

    fn take_slot(&self) -> Option<usize> {
        self.free.lock().pop()
    }

    fn give_back(&self, slot: usize) {
        self.free.lock().push(slot);
    }
}

fn warn_unwritten(written: io::Result<()>) {
    if let Err(error) = written {
        tracing::warn!(%error, "the flight recorder cannot be written: deaths of the process may not be counted");
    }
}

/// Something is under way on this thread.
pub(crate) struct Noted<'a> {
    recorder: &'a Recorder,
    slot: Option<usize>,
    named: Named,
}

impl Noted<'_> {
    /// What was noted stays in the store for a while without running: it must not be suspected of what comes.
    fn waits(&self) {
        if let Some(at) = self.slot {
            self.recorder.clear(at, &mut self.recorder.slots[at].0.lock());
        }
    }
}

/// Also when what ran panicked: a panic is no death of the process.
impl Drop for Noted<'_> {
    fn drop(&mut self) {
        if let Some(at) = self.slot {
            self.recorder.slots[at].0.lock().running = None;
        }
        if let Named::Call { call, .. } = self.named {
            self.recorder.survived(self.named, call);
        }
    }
}
