//! What a supervisor makes of what it hears: a start is over, or a child ended.
//!
//! **Invariant:** what is heard of a former incarnation changes nothing.

use std::time::Duration;

use super::{Phase, State};
use crate::durable::supervision::{
    child::{Key, Life, Slot, Starter},
    error::Error,
    event::{Action, Cause},
    exit::Exit,
    policy::{AutoShutdown, Restart, Strategy},
    report::Happened,
};

impl State {
    pub(super) fn started(&mut self, key: Key, now: Duration) {
        let Some((child, Life::Starting { by, .. })) = self.book.current(key) else { return };
        let (id, must_end) = (child.spec.id.clone(), child.stays_down);
        self.book.child_mut(key.slot).up_since = now;
        self.book.set(key.slot, Life::Up { incarnation: key.incarnation, leaves: false });
        self.actions.push(Action::Report(id, Happened::Started { incarnation: key.incarnation }));
        if let Starter::Added(ticket) | Starter::Restarted(ticket) = by {
            self.actions.push(Action::Reply(ticket, Ok(key.slot)));
        }
        if must_end && self.cause().is_none() {
            self.stop(key.slot, now);
        }
    }

    pub(super) fn start_failed(&mut self, key: Key, reason: String, now: Duration) {
        let Some((child, Life::Starting { by, .. })) = self.book.current(key) else { return };
        let (id, stays_down) = (child.spec.id.clone(), child.stays_down);
        self.actions.push(Action::Report(id.clone(), Happened::StartFailed { reason: reason.clone() }));
        match by {
            Starter::Added(ticket) | Starter::Restarted(ticket) => {
                self.put_down(key.slot);
                if let Starter::Added(_) = by {
                    self.book.remove(key.slot);
                }
                self.actions.push(Action::Reply(ticket, Err(Error::StartFailed { child: id, reason })));
            }
            Starter::Supervisor if stays_down || self.cause().is_some() => self.put_down(key.slot),
            Starter::Supervisor if self.phase == Phase::Starting => {
                self.put_down(key.slot);
                self.end(Cause::StartFailed { child: id, reason });
            }
            Starter::Supervisor => self.fail(key.slot, reason, now),
        }
    }

    pub(super) fn exited(&mut self, key: Key, exit: Exit, now: Duration) {
        let Some((child, life)) = self.book.current(key) else { return };
        let exit = as_asked(exit, life);
        let id = child.spec.id.clone();
        let was_told = matches!(life, Life::Ending { .. } | Life::Up { leaves: true, .. });
        let is_restarted = exit != Exit::Asked && child.is_restarted_after(exit.is_abnormal());
        let returns = !child.stays_down && child.spec.restart != Restart::Temporary;
        self.actions.push(Action::Report(id, Happened::Exited { exit: exit.clone() }));
        if self.cause().is_some() {
            self.put_down(key.slot);
        } else if was_told && returns {
            self.book.set(key.slot, Life::Due { at: self.regroup_at });
        } else if was_told || exit == Exit::Asked {
            self.put_down(key.slot);
        } else if is_restarted {
            let child = self.book.child_mut(key.slot);
            if now.saturating_sub(child.up_since) > self.policy.intensity.period {
                child.streak = 0;
            }
            self.fail(key.slot, exit.to_string(), now);
        } else {
            self.ended_for_good(key.slot);
        }
    }

    /// A child ended by itself, and is not started again.
    fn ended_for_good(&mut self, slot: Slot) {
        let (id, is_significant) = {
            let spec = &self.book.child(slot).spec;
            (spec.id.clone(), spec.significant)
        };
        self.put_down(slot);
        let ends = match self.policy.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => is_significant,
            AutoShutdown::AllSignificant => is_significant && !self.book.has_significant(),
        };
        if ends {
            self.end(Cause::Auto(id));
        }
    }

    /// A child is down; what nothing can start again is forgotten.
    pub(super) fn put_down(&mut self, slot: Slot) {
        self.book.set(slot, Life::Down);
        let child = self.book.child_mut(slot);
        child.stays_down = false;
        let replies = std::mem::take(&mut child.tickets).into_iter().map(|ticket| Action::Reply(ticket, Ok(slot)));
        let is_kept = child.spec.restart != Restart::Temporary && self.policy.strategy != Strategy::Dynamic;
        self.actions.extend(replies);
        if !is_kept {
            self.book.remove(slot);
        }
    }
}

/// How the end of a child looks when it was told to: it did as told, unless it had to be killed or broke on the way.
fn as_asked(exit: Exit, life: Life) -> Exit {
    match (life, exit) {
        (Life::Ending { .. }, exit @ Exit::Failed(_)) => exit,
        (Life::Ending { is_killed: true, .. }, _) => Exit::Killed,
        (Life::Ending { is_killed: false, .. }, Exit::Normal | Exit::Shutdown | Exit::Asked) => Exit::Asked,
        (_, exit) => exit,
    }
}
