//! What ends with a system.
//!
//! **Invariant:** a store is let go of once, however a start or a system ends.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;

use super::inner::Inner;
use crate::durable::supervision::Supervisor;

/// Ends a system when its last handle goes.
pub(super) struct Life {
    pub(super) root: Supervisor,
    ending: Ending,
}

impl Life {
    pub(super) fn new(root: Supervisor, ending: Ending) -> Self {
        Self { root, ending }
    }

    /// Accept nothing more, let go of the store, end every actor.
    pub(super) fn end(&self) {
        self.ending.end();
        self.root.cell().stop(None);
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.end();
    }
}

/// Closes the store, also when a start fails half-way.
pub(super) struct Ending {
    inner: Arc<Inner>,
    /// Once: by the next time, its files may belong to another system.
    is_over: AtomicBool,
}

impl Ending {
    pub(super) fn of(inner: Arc<Inner>) -> Self {
        Self { inner, is_over: AtomicBool::new(false) }
    }

    fn end(&self) {
        if self.is_over.swap(true, Ordering::SeqCst) {
            return;
        }
        self.inner.close("the system stopped");
        self.inner.flight.close();
        self.inner.store.release();
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.end();
    }
}

/// Takes a watch back when nobody waits for it any more.
pub(super) struct Watching<'a> {
    pub(super) inner: &'a Inner,
    pub(super) key: &'a Bytes,
    pub(super) watch: u64,
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        let mut core = self.inner.core.lock();
        core.watches.remove(&self.watch);
        core.accepted.unwatch(self.key, self.watch);
    }
}
