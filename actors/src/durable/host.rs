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

use std::{pin::Pin, sync::Arc};

use ractor::{Actor, ActorProcessingErr, ActorRef};

#[cfg(test)]
use super::faults::{Action, Site, Who};
use super::{
    accepted::{Activation, Commit, Receipt},
    entry::Entry,
    flight::{Label, Named},
    hands::Rung,
    hosted::Hosted,
    id::ActorId,
    system::{Inner, Unaccepted},
};
use crate::mutant::Mutant;

/// Turns taken for one ring of the bell, before others get the thread.
const TURNS_AT_ONCE: usize = 32;

/// What a host can be told.
#[derive(Debug)]
pub(crate) enum Bell {
    /// From now on, host this actor. There is something in its mailbox.
    Host(ActorId, Rung),
    /// There is something in the mailbox.
    Ring(Rung),
    /// Let go of the actor, unless there is something in the mailbox.
    Passivate(Why),
}

/// Why a host is to let go of its actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It has been idle for long.
    Idle,
    /// There are more hosts than there should be, and this one was rung least lately.
    Room,
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
    /// The same, while it is not loaded yet.
    activated: Option<Activation>,
    /// A turn that was taken, and whose commit waits for actors to be brought into memory.
    taken: Option<Commit>,
}

/// What is waited for before more can be done.
type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

enum Step {
    Rest,
    End { has_finished: bool },
    Wait(Wait),
}

impl Actor for Host {
    type Msg = Bell;
    type State = HostState;
    type Arguments = Arc<Inner>;

    async fn pre_start(&self, _: ActorRef<Bell>, inner: Arc<Inner>) -> Result<HostState, ActorProcessingErr> {
        Ok(HostState { inner, guest: None })
    }

    /// This future is made and moved for every bell: it stays small because turns themselves never wait.
    async fn handle(
        &self,
        myself: ActorRef<Bell>,
        bell: Bell,
        state: &mut HostState,
    ) -> Result<(), ActorProcessingErr> {
        let (mut rung, why) = match bell {
            Bell::Host(actor, rung) => {
                state.guest = Some(Guest::new(state.inner.clone(), actor));
                (Some(rung), None)
            }
            Bell::Ring(rung) => (Some(rung), None),
            Bell::Passivate(why) => (None, Some(why)),
        };
        #[cfg(test)]
        if let Some(guest) = &state.guest {
            guest.inner.fault(Site::HostRung, Who::Actor(guest.actor)).await;
        }
        // A spare hears the bells of the actor that it let go of.
        while let Some(guest) = &mut state.guest {
            let step = match why {
                None => guest.take_turns(&myself),
                Some(why) => guest.passivate(why),
            };
            match step {
                Step::Wait(wait) => {
                    #[cfg(test)]
                    guest.inner.fault(Site::HostWaits, Who::Actor(guest.actor)).await;
                    // Nobody should wait for the turn of one who waits.
                    drop(rung.take());
                    wait.await;
                    rung = why.is_none().then(|| Rung::new(&state.inner));
                }
                Step::Rest => break,
                Step::End { has_finished } => state.let_go(&myself, has_finished),
            }
        }
        Ok(())
    }
}

impl HostState {
    /// The actor needs no host now: be a spare, or end if there are enough of them.
    fn let_go(&mut self, myself: &ActorRef<Bell>, has_finished: bool) {
        let Some(mut guest) = self.guest.take() else { return };
        #[cfg(test)]
        if let Some(meanwhile) = self.inner.faults.meanwhile.lock().take() {
            meanwhile(&self.inner);
        }
        let is_spare = self.inner.directory.forget(guest.actor, myself, has_finished);
        #[cfg(test)]
        self.inner.fault_at_once(Site::LetGo, Who::Actor(guest.actor));
        let has_mail = guest.deactivate();
        if !is_spare {
            myself.stop(None);
        }
        // A bell that rang meanwhile is lost with this host.
        if has_mail && !Mutant::BellLostWhilePassivating.is_chosen() {
            self.inner.directory.ring(&self.inner, guest.actor);
        }
    }
}

impl Guest {
    fn new(inner: Arc<Inner>, actor: ActorId) -> Self {
        Self { inner, actor, active: None, activation: None, activated: None, taken: None }
    }

    fn take_turns(&mut self, myself: &ActorRef<Bell>) -> Step {
        if let Some(wait) = self.until_due() {
            return Step::Wait(wait);
        }
        let most = if self.inner.flight.is_wary() { 1 } else { TURNS_AT_ONCE };
        let mut next = if self.active.is_some() { self.inner.head(self.actor) } else { self.wake() };
        for _ in 0..most {
            let Some(entry) = next else { return Step::Rest };
            if self.active.is_none() && !self.load(&entry) {
                return Step::End { has_finished: false };
            }
            match self.take(&entry) {
                Ok(receipt) if receipt.stopped => return Step::End { has_finished: true },
                Ok(receipt) => next = receipt.next,
                Err(Unaccepted::Closed | Unaccepted::Fenced) => return Step::End { has_finished: false },
                Err(Unaccepted::Cold(cold)) => return Step::Wait(self.until_here(cold)),
                // The behaviour broke a rule: die of it, so that the message is counted and in the end given up.
                Err(Unaccepted::Broken(rule)) => panic!("{rule}"),
            }
        }
        // Others first; the rest is still in the mailbox. A bell that cannot be rung is that of a host which is ending,
        // and its keeper looks at the mailbox again.
        let _ = myself.send_message(Bell::Ring(Rung::new(&self.inner)));
        Step::Rest
    }

    /// Turns wait while rows wait to be written; in a wary life the next message is durable before it is taken.
    fn until_due(&self) -> Option<Wait> {
        let inner = self.inner.clone();
        if inner.lacks_room() {
            return Some(Box::pin(async move { inner.until_room().await }));
        }
        if !inner.flight.is_wary() {
            return None;
        }
        let (sequence, _) = inner.head(self.actor)?.place?;
        // Of a closed store the turns hear by themselves.
        (!inner.is_durable(sequence)).then(|| Box::pin(async move { _ = inner.until_durable(sequence).await }) as Wait)
    }

    fn until_here(&self, cold: Vec<ActorId>) -> Wait {
        let inner = self.inner.clone();
        // It fails only for a closed store, and of that the turns hear by themselves.
        Box::pin(async move { _ = inner.bring(cold).await })
    }

    /// End if nothing is to be done. The row stays in memory while those of children do; a host is not needed for that.
    fn passivate(&mut self, why: Why) -> Step {
        #[cfg(test)]
        self.inner.fault_at_once(Site::BeforePassivation, Who::Actor(self.actor));
        if !self.inner.may_passivate(self.actor) {
            return Step::Rest;
        }
        self.inner.meters.passivated(why);
        Step::End { has_finished: false }
    }

    /// From here on the actor's row may leave memory. Says whether it has mail.
    fn deactivate(&mut self) -> bool {
        let activation = self.activation.take();
        let has_mail = self.inner.with_accepted(|accepted, _| {
            activation.into_iter().for_each(|activation| accepted.deactivate(self.actor, activation));
            accepted.head(self.actor).is_some()
        });
        // A closed store needs no room, and has no turns to be taken.
        has_mail.unwrap_or(false)
    }

    /// The next message of an actor that is not loaded yet, with an activation to load it by.
    fn wake(&mut self) -> Option<Entry> {
        let (entry, activation) = self.inner.activate(self.actor)?;
        self.activation = Some(activation.number);
        self.activated = Some(activation);
        Some(entry)
    }

    fn load(&mut self, first: &Entry) -> bool {
        if self.activated.is_none() {
            self.wake();
        }
        let Some(activation) = self.activated.take() else { return false };
        let named = Named::Turn { actor: self.actor, entry: first.number };
        let _noted = self.inner.flight.begin(named, Label::Kind("being loaded"));
        #[cfg(test)]
        self.inner.fault_at_once(Site::BeforeLoad, Who::Actor(self.actor));
        self.active = self.inner.load(self.actor, activation);
        #[cfg(test)]
        self.inner.fault_at_once(Site::AfterLoad, Who::Actor(self.actor));
        self.active.is_some()
    }

    /// Take a turn, or hand in again the one whose commit had to wait.
    fn take(&mut self, entry: &Entry) -> Result<Receipt, Unaccepted> {
        #[cfg(test)]
        self.inner.fault_at_once(Site::BeforeTurn, Who::Actor(self.actor));
        let active = self.active.as_mut().expect("loaded before the first turn");
        let named = Named::Turn { actor: self.actor, entry: entry.number };
        let _noted = self.inner.flight.begin(named, Label::Kind(self.inner.registry.name(active.kind())));
        let _in_span = self.inner.turn_span(self.actor, active).entered();
        let taken = self.taken.take();
        let mut commit =
            taken.unwrap_or_else(|| active.take(self.actor, entry, &self.inner.ids, &self.inner.extensions));
        #[cfg(test)]
        match self.inner.fault_at_once(Site::Decided, Who::Actor(self.actor)) {
            Some(Action::Error) => return Err(Unaccepted::Fenced),
            Some(Action::Race) => self.inner.take_beside(self.actor, entry),
            _ => {}
        }
        let is_dirty = active.is_dirty;
        let accepted = self.inner.accept(&mut commit);
        if let Err(Unaccepted::Cold(_)) = accepted {
            self.taken = Some(commit);
            return accepted;
        }
        commit.outbox.put_away();
        if is_dirty {
            self.active = None;
        }
        accepted
    }
}
