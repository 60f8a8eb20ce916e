//! Calls that may have killed the process go first, one at a time; every other call waits behind them.
//!
//! ```text
//! closed ─ a suspect comes: it has the turn ─► it survived its beginning: the next one ─► nobody is left: open
//!    └─ a suspect that will not come is excused ───────┘           └─ the time is over: open, and told
//! ```
//! The actors before tools ask here before a call takes a permit. So whoever waits holds nothing that a suspect may need, and
//! the time limit of its attempt has not begun.
//!
//! **Invariant:** the gate opens by itself when its time is over: no suspect holds up anybody for ever.

use std::{
    collections::BTreeSet,
    future::Future,
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
    suspects: BTreeSet<CallId>,
    /// Which of them is under way.
    turn: Option<CallId>,
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

    /// How many are to go first still.
    pub(super) fn suspects(&self) -> usize {
        if self.is_open() { 0 } else { self.order.lock().suspects.len() }
    }

    /// Whether this call may begin now. A suspect has the turn from here on, until it [leaves](Self::leave).
    pub(super) fn admits(&self, call: CallId) -> bool {
        if self.is_open() {
            return true;
        }
        let mut order = self.order.lock();
        if order.turn.is_none() && order.suspects.contains(&call) {
            order.turn = Some(call);
        }
        order.turn == Some(call) || order.suspects.is_empty()
    }

    /// This call survived its beginning; says whether it was a suspect.
    pub(super) fn leave(&self, call: CallId) -> bool {
        !self.is_open() && self.keep(|suspect| suspect != call) > 0
    }

    /// Only these are still to come; says how many were excused.
    pub(super) fn keep(&self, comes: impl Fn(CallId) -> bool) -> usize {
        let mut order = self.order.lock();
        let before = order.suspects.len();
        order.suspects.retain(|suspect| comes(*suspect));
        self.settle(&mut order, before)
    }

    /// Open it if its time is over; returns those that did not come.
    pub(super) fn lose_patience(&self) -> Vec<CallId> {
        let mut order = self.order.lock();
        if order.until.is_none_or(|until| crate::clock::monotonic() < until) {
            return Vec::new();
        }
        let before = order.suspects.len();
        let late = std::mem::take(&mut order.suspects).into_iter().collect();
        self.settle(&mut order, before);
        late
    }

    fn settle(&self, order: &mut Order, before: usize) -> usize {
        let left = before - order.suspects.len();
        if left > 0 {
            order.turn = order.turn.filter(|turn| order.suspects.contains(turn));
            self.is_closed.store(!order.suspects.is_empty(), Ordering::SeqCst);
            self.moved.notify_waiters();
        }
        left
    }

    /// Completes when somebody left from here on.
    pub(super) fn moved(&self) -> impl Future<Output = ()> + '_ {
        let mut moved = Box::pin(self.moved.notified());
        // From here on no move is missed.
        moved.as_mut().enable();
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: CallId = CallId(1);
    const SECOND: CallId = CallId(2);
    const OTHER: CallId = CallId(3);

    fn closed() -> Gate {
        let gate = Gate::default();
        gate.close([FIRST, SECOND]);
        gate
    }

    /// They once went in a fixed order, and whoever came early waited with a permit that the first of them had none of.
    #[test]
    fn suspects_go_one_at_a_time_in_the_order_in_which_they_come() {
        let gate = closed();
        assert_eq!([OTHER, SECOND, FIRST].map(|call| gate.admits(call)), [false, true, false]);
        assert!(gate.admits(SECOND), "its tool's actor may have to ask again");
        assert!(gate.leave(SECOND) && !gate.leave(OTHER));
        assert_eq!([OTHER, FIRST].map(|call| gate.admits(call)), [false, true]);
        assert!(gate.leave(FIRST) && gate.is_open());
        assert!(gate.admits(OTHER));
    }

    #[test]
    fn whoever_will_not_come_is_not_waited_for_also_if_it_has_the_turn() {
        let gate = closed();
        assert!(gate.admits(FIRST));
        assert_eq!(gate.keep(|call| call != FIRST), 1);
        assert!(gate.admits(SECOND));
        assert_eq!((gate.keep(|_| false), gate.suspects()), (1, 0));
        assert!(gate.admits(OTHER));
    }

    #[tokio::test]
    async fn a_move_is_heard_by_whoever_listened_before() {
        let gate = closed();
        let moved = gate.moved();
        gate.leave(FIRST);
        moved.await;
    }

    #[test]
    fn patience_ends_with_its_time_and_not_before() {
        let gate = closed();
        assert_eq!(gate.lose_patience(), []);
        gate.order.lock().until = Some(crate::clock::monotonic());
        assert_eq!(gate.lose_patience(), [FIRST, SECOND]);
        assert!(gate.is_open() && gate.admits(OTHER));
    }
}
