//! The ractor actor that hosts one durable actor.
//!
//! Its ractor mailbox is a doorbell: the messages lie in the accepted view. A panic kills it, and nothing of the broken
//! turn was visible to anyone; the keeper loads the actor again.
//!
//! A host whose actor finished, or has been idle for long (`system/passivation.rs`), lets go of it and waits as a spare for
//! another one: a ractor actor costs as much as a turn to make. One that panicked or was killed is never used again.
//!
//! **Invariants:** what a host knows is what its last accepted commit left; when a commit is refused, the host lets go. A
//! host that lets go takes nothing of its actor along.

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
    /// From now on, host this actor. There is something in its mailbox.
    Host(ActorId),
    /// There is something in the mailbox.
    Ring,
    /// The actor has been idle for long: let go of it, unless there is something in the mailbox.
    Passivate,
}

/// Hosts one durable actor at a time.
pub(crate) struct Host;

/// What a host keeps in memory.
pub(crate) struct HostState {
    inner: Arc<Inner>,
    /// A spare has none.
    guest: Option<Guest>,
}

/// The actor that is hosted.
struct Guest {
    inner: Arc<Inner>,
    actor: ActorId,
    active: Option<Hosted>,
    /// Its latest activation by this host.
    activation: Option<u64>,
}

impl Actor for Host {
    type Msg = Bell;
    type State = HostState;
    type Arguments = Arc<Inner>;

    async fn pre_start(&self, _: ActorRef<Bell>, inner: Arc<Inner>) -> Result<HostState, ActorProcessingErr> {
        Ok(HostState { inner, guest: None })
    }

    async fn handle(
        &self,
        myself: ActorRef<Bell>,
        bell: Bell,
        state: &mut HostState,
    ) -> Result<(), ActorProcessingErr> {
        if let Bell::Host(actor) = bell {
            state.guest = Some(Guest { inner: state.inner.clone(), actor, active: None, activation: None });
        }
        // A spare hears the bells of the actor that it let go of.
        let Some(guest) = &mut state.guest else { return Ok(()) };
        let step = match bell {
            Bell::Host(_) | Bell::Ring => {
                let most = turns_allowed(&guest.inner, guest.actor).await;
                guest.take_turns(&myself, most).await
            }
            Bell::Passivate => guest.passivate(),
        };
        if let Step::End = step {
            state.let_go(&myself);
        }
        Ok(())
    }
}

impl HostState {
    /// The actor needs no host now: be a spare, or end if there are enough of them.
    fn let_go(&mut self, myself: &ActorRef<Bell>) {
        let Some(mut guest) = self.guest.take() else { return };
        let is_spare = self.inner.directory.forget(guest.actor, myself);
        guest.deactivate();
        if !is_spare {
            myself.stop(None);
        }
        // A bell that rang meanwhile is lost with this host.
        if self.inner.head(guest.actor).is_some() {
            self.inner.directory.ring(&self.inner, guest.actor);
        }
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
    End,
}

impl Guest {
    async fn take_turns(&mut self, myself: &ActorRef<Bell>, most: usize) -> Step {
        self.inner.until_room().await;
        let mut next = self.inner.head(self.actor);
        for _ in 0..most {
            let Some(entry) = next else { return Step::Rest };
            if self.active.is_none() && !self.load(&entry) {
                return Step::End;
            }
            match self.take(&entry).await {
                Ok(receipt) if receipt.stopped => return Step::End,
                Ok(receipt) => next = receipt.next,
                Err(Unaccepted::Closed | Unaccepted::Fenced) => return Step::End,
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
        if self.inner.may_passivate(self.actor) { Step::End } else { Step::Rest }
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
