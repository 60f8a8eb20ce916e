//! The ractor actor that hosts one durable actor.
//!
//! Its ractor mailbox is a doorbell: the messages lie in the accepted view. A panic kills it, and nothing of the broken
//! turn was visible to anyone; the keeper loads the actor again.
//!
//! A host that has been idle for long ends, and the next message makes a new one (`system/passivation.rs`).
//!
//! **Invariant:** what a host knows is what its last accepted commit left; when a commit is refused, the host ends.

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::{
    accepted::Receipt,
    entry::Entry,
    flight::{Label, Named},
    hosted::Hosted,
    id::ActorId,
    system::{Inner, Unaccepted},
};

/// Turns taken for one ring of the bell, before others get the thread.
const TURNS_AT_ONCE: usize = 32;

/// What a host can be told.
#[derive(Debug)]
pub(crate) enum Bell {
    /// There is something in the mailbox.
    Ring,
    /// It has been idle for long: end, unless there is something in the mailbox.
    Passivate,
}

/// Hosts one durable actor.
pub(crate) struct Host;

/// What a host keeps in memory.
pub(crate) struct HostState {
    inner: Arc<Inner>,
    actor: ActorId,
    active: Option<Hosted>,
    /// The latest activation of this host.
    activation: Option<u64>,
}

impl Actor for Host {
    type Msg = Bell;
    type State = HostState;
    type Arguments = (Arc<Inner>, ActorId);

    async fn pre_start(
        &self,
        _: ActorRef<Bell>,
        (inner, actor): Self::Arguments,
    ) -> Result<HostState, ActorProcessingErr> {
        Ok(HostState { inner, actor, active: None, activation: None })
    }

    async fn handle(
        &self,
        myself: ActorRef<Bell>,
        bell: Bell,
        hosted: &mut HostState,
    ) -> Result<(), ActorProcessingErr> {
        let step = match bell {
            Bell::Ring => {
                let most = turns_allowed(&hosted.inner, hosted.actor).await;
                hosted.take_turns(&myself, most).await
            }
            Bell::Passivate => hosted.passivate(),
        };
        if let Step::End { has_finished } = step {
            hosted.inner.directory.forget(hosted.actor, &myself.get_cell(), has_finished);
            hosted.deactivate();
            myself.stop(None);
            // A bell that rang meanwhile is lost with this host.
            if hosted.inner.head(hosted.actor).is_some() {
                hosted.inner.directory.ring(&hosted.inner, hosted.actor);
            }
        }
        Ok(())
    }
}

/// How many turns may be taken now. In a wary life the next message is durable before it is taken.
async fn turns_allowed(inner: &Inner, actor: ActorId) -> usize {
    if !inner.flight.is_wary() {
        return TURNS_AT_ONCE;
    }
    if let Some((sequence, _)) = inner.head(actor).and_then(|entry| entry.place) {
        // Of a closed store the turns hear by themselves.
        let _ = inner.until_durable(sequence).await;
    }
    1
}

enum Step {
    Rest,
    End { has_finished: bool },
}

impl HostState {
    async fn take_turns(&mut self, myself: &ActorRef<Bell>, most: usize) -> Step {
        self.inner.until_room().await;
        let mut next = self.inner.head(self.actor);
        for _ in 0..most {
            let Some(entry) = next else { return Step::Rest };
            if self.active.is_none() && !self.load(&entry) {
                return Step::End { has_finished: false };
            }
            match self.take(&entry).await {
                Ok(receipt) if receipt.stopped => return Step::End { has_finished: true },
                Ok(receipt) => next = receipt.next,
                Err(Unaccepted::Closed | Unaccepted::Fenced) => return Step::End { has_finished: false },
                // The behaviour broke a rule: die of it, so that the message is counted and in the end given up.
                Err(Unaccepted::Broken(rule)) => panic!("{rule}"),
            }
        }
        // Others first; the rest is still in the mailbox. A bell that cannot be rung is that of a host which is ending,
        // and its keeper looks at the mailbox again.
        let _ = myself.send_message(Bell::Ring);
        Step::Rest
    }

    /// End if nothing is to be done; children that are in memory keep their parent here.
    fn passivate(&mut self) -> Step {
        if self.inner.may_passivate(self.actor) { Step::End { has_finished: false } } else { Step::Rest }
    }

    /// From here on the actor's row may leave memory.
    fn deactivate(&mut self) {
        if let Some(activation) = self.activation.take() {
            // A closed store needs no room.
            let _ = self.inner.with_accepted(|accepted, _| accepted.deactivate(self.actor, activation));
        }
    }

    fn load(&mut self, first: &Entry) -> bool {
        let named = Named::Turn { actor: self.actor, entry: first.number };
        let _noted = self.inner.flight.begin(named, Label::Kind("being loaded"));
        self.active = self.inner.load(self.actor);
        self.activation = self.active.as_ref().map(Hosted::activation).or(self.activation);
        self.active.is_some()
    }

    async fn take(&mut self, entry: &Entry) -> Result<Receipt, Unaccepted> {
        let active = self.active.as_mut().expect("loaded before the first turn");
        let named = Named::Turn { actor: self.actor, entry: entry.number };
        let _noted = self.inner.flight.begin(named, Label::Kind(self.inner.registry.name(active.kind())));
        let commit = active.take(self.actor, entry, &self.inner.ids, &self.inner.extensions);
        let is_dirty = active.is_dirty;
        let receipt = self.inner.accept(commit).await?;
        if is_dirty {
            self.active = None;
        }
        Ok(receipt)
    }
}
