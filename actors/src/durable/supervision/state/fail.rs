//! What follows when a child failed: it is counted, and then it starts again, alone or with others, or all is given up.

use std::time::Duration;

use super::State;
use crate::durable::supervision::{
    child::{Life, Slot},
    event::{Action, Cause},
    policy::Strategy,
    report::Happened,
};

impl State {
    /// A child ended and should not have, or did not start.
    pub(super) fn fail(&mut self, slot: Slot, reason: String, now: Duration) {
        let is_dynamic = self.policy.strategy == Strategy::Dynamic;
        let child = self.book.child_mut(slot);
        let window = if is_dynamic { &mut child.window } else { &mut self.window };
        if window.admit(now, self.policy.intensity) {
            let after = self.count(slot, reason);
            self.restart_after(slot, now.saturating_add(after));
        } else {
            self.escalate(slot, reason);
        }
    }

    /// Count a restart; returns how long it waits.
    fn count(&mut self, slot: Slot, reason: String) -> Duration {
        let child = self.book.child_mut(slot);
        child.streak = child.streak.saturating_add(1);
        child.restarts += 1;
        let (id, times) = (child.spec.id.clone(), child.restarts);
        let after = self.policy.backoff.delay(child.streak, &id);
        self.actions.push(Action::Report(id, Happened::Restarting { times, after, reason }));
        after
    }

    fn restart_after(&mut self, slot: Slot, at: Duration) {
        self.book.set(slot, Life::Due { at });
        let first = match self.policy.strategy {
            Strategy::OneForOne | Strategy::Dynamic => return,
            Strategy::OneForAll => Slot(0),
            Strategy::RestForOne => slot,
        };
        self.regroup_at = at;
        for slot in self.book.from(first) {
            match self.book.child(slot).life {
                Life::Up { incarnation, .. } => self.book.set(slot, Life::Up { incarnation, leaves: true }),
                // As in OTP: what was down comes back with the others.
                Life::Down => self.book.set(slot, Life::Due { at }),
                Life::Due { .. } | Life::Starting { .. } | Life::Ending { .. } => {}
            }
        }
    }

    fn escalate(&mut self, slot: Slot, reason: String) {
        let ends_supervisor = self.policy.strategy != Strategy::Dynamic;
        let id = self.book.child(slot).spec.id.clone();
        self.actions.push(Action::Report(id.clone(), Happened::Escalated { ends_supervisor, reason }));
        self.put_down(slot);
        if ends_supervisor {
            self.end(Cause::Escalated(id));
        }
    }
}
