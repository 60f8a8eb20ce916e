//! What is done about what is stuck.
//!
//! **Invariant:** what was found is looked at once more under the lock, right before anything is done about it.

use std::sync::Arc;

use crate::durable::{
    about::{About, Place},
    call::RowState,
    codec,
    id::{ActorId, CallId},
    record::Note,
    system::inner::Inner,
    unsticker::{Action, Due, Reason, Waiting},
};

impl Inner {
    pub(super) async fn unstick(self: &Arc<Self>, due: Due) {
        let Due { waiting, action } = due;
        if self.bring(vec![waiting.actor]).await.is_err() || !self.act(&waiting, action).await {
            return;
        }
        let reason = waiting.reason.word();
        let About { path, attempt } = self.about(waiting.actor);
        let Place { run, phase, task } = Place::of(&path);
        tracing::warn!(actor = %waiting.actor, run, phase, task, attempt, reason, "{}: {}", waiting.sentence, action.words());
        let note = Note::Unstuck { reason: reason.to_owned(), action: action.words().to_owned() };
        // A closed store takes no notes; an actor that ended meanwhile needs none.
        let _ = self.with_accepted(|accepted, now_ms| {
            if accepted.live().actors.contains_key(&waiting.actor) {
                accepted.note(now_ms, waiting.actor, note);
            }
        });
        // Who sees the count finds the note.
        *self.unstick.counts.lock().entry(reason).or_default() += 1;
        self.meters.unstuck(reason);
    }

    /// Do it; says whether there still was anything to do.
    async fn act(self: &Arc<Self>, waiting: &Waiting, action: Action) -> bool {
        let actor = waiting.actor;
        match action {
            Action::Ring => self.directory.ring(self, actor),
            Action::Reload => {
                self.directory.kill(actor);
                self.directory.ring(self, actor);
            }
            Action::Dispatch => return self.dispatch_again(waiting.call).await,
            Action::RestartTool => return self.restart_tool_of(waiting.call),
            Action::Fire | Action::Forget => {
                self.timer_set.notify_one();
                if let Ok(receipt) = self.with_accepted(|accepted, now_ms| accepted.fire(now_ms, 256)) {
                    self.ring_all(&receipt, None);
                }
            }
            Action::TellOwner => return self.tell_owner_of(waiting).await,
            Action::TellRoot => return self.tell_root_of(actor, &waiting.sentence).await,
            Action::GiveUp => return waiting.call.is_some_and(|call| self.in_flight.give_up(call)),
            Action::EndCall => return waiting.call.is_some_and(|call| self.end_orphan(call)),
            Action::Report => tracing::error!(%actor, "{}", waiting.sentence),
        }
        true
    }

    fn row_of(&self, call: Option<CallId>) -> Option<(CallId, u32, bool)> {
        let call = call?;
        let core = self.core.lock();
        let live = core.accepted.live();
        let row = live.calls.get(&call).filter(|row| live.actors.contains_key(&row.caller))?;
        if self.in_flight.contains(call) {
            return None;
        }
        match row.state {
            RowState::InDoubt(_) => None,
            RowState::Intended | RowState::Probing(_) => Some((call, codec::fnv1a(&row.request.tool), false)),
            RowState::Started => Some((call, codec::fnv1a(&row.request.tool), true)),
        }
    }

    /// Nothing is handed to a tool before it is durable: a start that was accepted meanwhile may not be yet, and whoever
    /// accepted it hands it over.
    pub(crate) async fn dispatch_again(self: &Arc<Self>, call: Option<CallId>) -> bool {
        let before = self.row_of(call);
        if before.is_none() || self.until_durable(self.latest()).await.is_err() {
            return false;
        }
        match self.row_of(call).filter(|now| Some(*now) == before) {
            None => return false,
            Some((call, tool, false)) => self.dispatch(&[(tool, call)], &[]),
            Some((call, tool, true)) => self.dispatch(&[], &[(tool, call)]),
        }
        true
    }

    fn restart_tool_of(&self, call: Option<CallId>) -> bool {
        let Some((_, tool, _)) = self.row_of(call) else { return false };
        self.tools.get(&tool).is_some_and(|slot| slot.kill())
    }

    async fn tell_owner_of(self: &Arc<Self>, waiting: &Waiting) -> bool {
        let (actor, reason) = (waiting.actor, &waiting.sentence);
        let is_lacking = matches!(waiting.reason, Reason::MissingCall | Reason::MissingChild);
        let parent = self.core.lock().accepted.live().actors.get(&actor).map(|row| row.parent);
        if self.bring(parent.into_iter().collect()).await.is_err() {
            return false;
        }
        match self.with_accepted(|accepted, now_ms| accepted.tell_of_stuck(now_ms, actor, is_lacking, reason)) {
            Ok(Some(receipt)) => {
                self.ring_all(&receipt, None);
                true
            }
            _ => false,
        }
    }

    /// The parent may only have been out of memory, which brings it back.
    async fn tell_root_of(self: &Arc<Self>, actor: ActorId, reason: &str) -> bool {
        let row = self.core.lock().accepted.live().actors.get(&actor).map(|row| (row.parent, row.stream));
        let Some((parent, stream)) = row else { return false };
        if self.bring(vec![parent, ActorId(stream.0)]).await.is_err() {
            return false;
        }
        match self.with_accepted(|accepted, now_ms| accepted.tell_of_orphan(now_ms, actor, reason)) {
            Ok(Some(receipt)) => {
                if receipt.stopped {
                    self.directory.kill(actor);
                }
                self.ring_all(&receipt, None);
                true
            }
            _ => false,
        }
    }

    /// Under the lock under which calls begin: one that runs is left alone.
    fn end_orphan(self: &Arc<Self>, call: CallId) -> bool {
        let ended = self.with_accepted(|accepted, now_ms| {
            if self.in_flight.contains(call) { None } else { accepted.end_orphan_call(now_ms, call) }
        });
        match ended {
            Ok(Some(receipt)) => {
                self.ring_all(&receipt, None);
                true
            }
            _ => false,
        }
    }
}
