//! Which slot a thread notes in: one per thread and recorder, given back when the thread ends.
//!
//! **Invariant:** nothing is shared between recorders: a thread that works for two systems has a slot in each.

use std::{
    cell::RefCell,
    sync::{Arc, Weak},
};

use super::Recorder;

thread_local! {
    static LEASES: RefCell<Vec<Lease>> = const { RefCell::new(Vec::new()) };
}

struct Lease {
    /// Holds the address too: no other recorder comes to lie there while this lease is known.
    recorder: Weak<Recorder>,
    slot: usize,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(recorder) = self.recorder.upgrade() {
            recorder.give_back(self.slot);
        }
    }
}

/// This thread's slot; `None` when all are taken or the thread is ending.
pub(super) fn slot_of_this_thread(recorder: &Arc<Recorder>) -> Option<usize> {
    let slot = LEASES.try_with(|leases| {
        let mut leases = leases.borrow_mut();
        let is_ours = |lease: &&Lease| std::ptr::eq(lease.recorder.as_ptr(), Arc::as_ptr(recorder));
        if let Some(lease) = leases.iter().find(is_ours) {
            return Some(lease.slot);
        }
        leases.retain(|lease| lease.recorder.strong_count() > 0);
        let slot = recorder.take_slot()?;
        leases.push(Lease { recorder: Arc::downgrade(recorder), slot });
        Some(slot)
    });
    slot.ok().flatten()
}
