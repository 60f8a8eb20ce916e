//! What waits, as far as a store alone can tell: without hosts, tools and adapters.
//!
//! **Invariant:** nothing is called stuck because no process is there to work on it.

use rustc_hash::FxHashSet;

use super::{ActorView, CallView, Holder, Reason, Waiting, classify_actor, classify_call};
use crate::durable::{
    id::ActorId,
    kind::Registry,
    live::{Actor, DeadLetter, Live},
};

impl Waiting {
    /// An actor waits for a message that was given up.
    pub(crate) fn poison(number: u64, letter: &DeadLetter) -> Self {
        Self {
            actor: letter.to,
            call: None,
            reason: Reason::Poison,
            sentence: format!("{} waits for a message that lies in dead letter {number}: {}", letter.to, letter.reason),
            since_ms: Some(letter.at_ms),
        }
    }
}

impl Live {
    /// What waits for a person, or for what cannot come.
    #[must_use]
    pub fn waiting(&self, registry: &Registry) -> Vec<Waiting> {
        let callers: FxHashSet<_> = self.calls.values().map(|row| row.caller).collect();
        let parents: FxHashSet<_> = self.actors.values().map(|row| row.parent).collect();
        let actors = self.actors.iter().filter_map(|(actor, row)| {
            let view = ActorView {
                lacks_calls: row.calls > 0 && !callers.contains(actor),
                lacks_children: row.children > 0 && !parents.contains(actor),
                ..self.view(registry, *actor, row)
            };
            // Mail and timers are taken up by the next start.
            classify_actor(&view, 0).filter(|waiting| waiting.reason != Reason::LostDoorbell)
        });
        let calls = self.calls.iter().filter_map(|(call, row)| {
            let has_caller = self.actors.contains_key(&row.caller);
            classify_call(&CallView::of(*call, row, has_caller, Holder::Queue))
        });
        let letters = self.dead_letters().filter(|(_, letter)| self.actors.contains_key(&letter.to));
        let mut found: Vec<_> =
            actors.chain(calls).chain(letters.map(|(number, letter)| Waiting::poison(number, &letter))).collect();
        found.sort_by_key(|waiting| (waiting.reason, waiting.actor, waiting.call));
        found
    }

    /// What is known of an actor that was not looked at before, and of its parent.
    pub(crate) fn view(&self, registry: &Registry, actor: ActorId, row: &Actor) -> ActorView {
        ActorView {
            actor,
            kind: registry.name(row.kind),
            may_rest: registry.may_rest(row.kind),
            is_held: false,
            suspended: row.suspended.clone(),
            parent: row.parent,
            has_parent: row.parent == ActorId::ENGINE || self.actors.contains_key(&row.parent),
            mail: row.mailbox.len(),
            is_busy: false,
            has_moved: false,
            next_due_ms: row.timers.iter().map(|timer| timer.due_ms).min(),
            calls: row.calls,
            lacks_calls: false,
            children: row.children,
            has_children_here: row.resident_children() > 0,
            lacks_children: false,
        }
    }
}
