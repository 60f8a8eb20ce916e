//! Calls that may have killed the process go first, one at a time; every other call waits behind them.
//!
//! **Invariant:** the gate opens by itself when its time is over: a suspect whose tool is gone holds up nobody for ever.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::durable::id::CallId;

/// Longest wait for all suspects together.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(super) struct Gate {
    is_closed: AtomicBool,
    order: Mutex<Order>,
    moved: Notify,
}

#[derive(Default)]
struct Order {
    suspects: VecDeque<CallId>,
    until: Option<Instant>,
}

impl Gate {
    /// Let these through first.
    pub(super) fn close(&self, suspects: impl IntoIterator<Item = CallId>) {
        let mut order = self.order.lock();
        order.suspects = suspects.into_iter().collect();
        order.until = Some(crate::clock::monotonic() + PATIENCE);
        self.is_closed.store(!order.suspects.is_empty(), Ordering::SeqCst);
    }

    /// Whether nobody has to wait.
    pub(super) fn is_open(&self) -> bool {
        !self.is_closed.load(Ordering::SeqCst)
    }

    /// Wait until it is this call's turn.
    pub(super) async fn pass(&self, call: CallId) {
        while !self.is_open() {
            let mut moved = std::pin::pin!(self.moved.notified());
            // From here on no move is missed.
            moved.as_mut().enable();
            let Some(wait) = self.wait_of(call) else { return };
            // Either way the loop looks again.
            let _ = tokio::time::timeout(wait, moved).await;
        }
    }

    fn wait_of(&self, call: CallId) -> Option<Duration> {
        let mut order = self.order.lock();
        let now = crate::clock::monotonic();
        let until = order.until.unwrap_or(now);
        if order.suspects.front().is_none_or(|first| *first == call) {
            return None;
        }
        if now >= until {
            order.suspects.clear();
            self.is_closed.store(false, Ordering::SeqCst);
            return None;
        }
        Some(until - now)
    }

    /// This call survived its beginning; says whether it was a suspect.
    pub(super) fn leave(&self, call: CallId) -> bool {
        if self.is_open() {
            return false;
        }
        let mut order = self.order.lock();
        let before = order.suspects.len();
        order.suspects.retain(|suspect| *suspect != call);
        let was_suspect = order.suspects.len() < before;
        self.is_closed.store(!order.suspects.is_empty(), Ordering::SeqCst);
        drop(order);
        self.moved.notify_waiters();
        was_suspect
    }
}
