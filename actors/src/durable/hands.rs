//! How many bells were rung and not answered yet: whether turns are being taken, or are about to be.
//!
//! A submission is told to somebody who waits, so its record is due at once. But the turns that follow from it take less
//! time than a sync, and the first call that they end in waits for a sync as well. The committer looks here, and lets both
//! go into one record; where many wait, it sees here that nobody else is about to.
//!
//! **Invariant:** a bell is counted from before it is rung until whoever heard it is done, or is dead.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use super::system::Inner;

/// The count of bells, which changes all the time: nothing else lies beside it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Hands {
    full: AtomicUsize,
    awaited: AtomicBool,
}

impl Hands {
    /// How many turns are being taken, or are about to be.
    pub(crate) fn full(&self) -> usize {
        self.full.load(Ordering::SeqCst)
    }

    /// Whether the last one that is done is to say so. Said before [`Self::full`] is asked.
    pub(crate) fn await_free(&self, awaited: bool) {
        self.awaited.store(awaited, Ordering::SeqCst);
    }

    fn take(&self) {
        self.full.fetch_add(1, Ordering::Relaxed);
    }

    /// Says whether somebody must be told that all are free.
    fn put_down(&self) -> bool {
        self.full.fetch_sub(1, Ordering::SeqCst) == 1 && self.awaited.load(Ordering::SeqCst)
    }
}

/// A bell that was rung, until it is answered.
pub(crate) struct Rung(Arc<Inner>);

impl Rung {
    pub(crate) fn new(inner: &Arc<Inner>) -> Self {
        inner.hands.take();
        Self(inner.clone())
    }
}

impl Drop for Rung {
    fn drop(&mut self) {
        if self.0.hands.put_down() {
            // Without the lock, which whoever drops this may hold: a signal that comes just before the committer sleeps is
            // lost, and costs it the bound of its wait.
            self.0.work.notify_one();
        }
    }
}

impl fmt::Debug for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rung")
    }
}
