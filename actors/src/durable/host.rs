//! The ractor actor that hosts one durable actor.
//!
//! It is rung at its door (`door.rs`): the messages lie in the accepted view. A panic kills it, and nothing of the broken
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
    door::Door,
    entry::Entry,
    flight::{Label, Named},
    hands::Rung,
    hosted::Hosted,
    id::ActorId,
    system::{Inner, Unaccepted},
};
use crate::mutant::Mutant;

/// Turns taken for one bell, before others get the thread.
const TURNS_AT_ONCE: usize = 32;

/// The only message of a host, which it sends itself: from here on it waits at its door, as long as it lives.
#[derive(Debug)]
pub(crate) struct Begin;

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
    door: Arc<Door>,
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
    /// There is more to do, and others come first.
    Yield,
    End {
        has_finished: bool,
    },
    Wait(Wait),
}

impl Actor for Host {
    type Msg = Begin;
    type State = HostState;
    type Arguments = (Arc<Inner>, Arc<Door>);

    async fn pre_start(
        &self,
        myself: ActorRef<Begin>,
        (inner, door): Self::Arguments,
    ) -> Result<HostState, ActorProcessingErr> {
        myself.send_message(Begin)?;
        Ok(HostState { inner, door, guest: None })
    }

    /// A host's life. What kills it ends this, too: turns never wait, so that it is never in the middle of one.
    async fn handle(&self, myself: ActorRef<Begin>, _: Begin, state: &mut HostState) -> Result<(), ActorProcessingErr> {
        loop {
            let mut bells = state.door.heard().await;
            if let Some(actor) = bells.guest {
                state.guest = Some(Guest::new(state.inner.clone(), actor));
            }
            #[cfg(test)]
            if let Some(guest) = &state.guest {
                guest.inner.fault(Site::HostRung, Who::Actor(guest.actor)).await;
            }
            // A spare hears the bells of the actor that it let go of.
            while let Some(guest) = &mut state.guest {
                let step = if bells.rung.is_some() {
                    guest.take_turns()
                } else if let Some(why) = bells.passivate.take() {
                    guest.passivate(why)
                } else {
                    break;
                };
                match step {
                    Step::Rest => bells.rung = None,
                    Step::Yield => tokio::task::yield_now().await,
                    Step::Wait(wait) => {
                        #[cfg(test)]
                        guest.inner.fault(Site::HostWaits, Who::Actor(guest.actor)).await;
                        // Nobody should wait for the turn of one who waits.
                        bells.rung = None;
                        wait.await;
                        bells.rung = Some(Rung::new(&state.inner));
                    }
                    Step::End { has_finished } => bells.leave |= !state.let_go(&myself, has_finished),
                }
            }
            if bells.leave {
                myself.stop(None);
                return Ok(());
            }
        }
    }
}

impl Drop for HostState {
    fn drop(&mut self) {
        self.door.shut();
    }
}

impl HostState {
    /// The actor needs no host now: be a spare, or end if there are enough of them. Says which.
    fn let_go(&mut self, myself: &ActorRef<Begin>, has_finished: bool) -> bool {
        let Some(mut guest) = self.guest.take() else { return true };
        #[cfg(test)]
        if let Some(meanwhile) = self.inner.faults.meanwhile.lock().take() {
            meanwhile(&self.inner);
        }
        let is_spare = self.inner.directory.forget(guest.actor, myself, has_finished);
        #[cfg(test)]
        self.inner.fault_at_once(Site::LetGo, Who::Actor(guest.actor));
        // With a finished actor went its mailbox and its activation.
        let is_gone = has_finished && !Mutant::LateMessageRevives.is_chosen();
        let has_mail = !is_gone && guest.deactivate();
        // A bell that rang meanwhile is lost with this host.
        if has_mail && !Mutant::BellLostWhilePassivating.is_chosen() {
            self.inner.directory.ring(&self.inner, guest.actor);
        }
        is_spare
    }
}

impl Guest {
    fn new(inner: Arc<Inner>, actor: ActorId) -> Self {
        Self { inner, actor, active: None, activation: None, activated: None, taken: None }
    }

    fn take_turns(&mut self) -> Step {
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
        Step::Yield
    }

    /// Turns wait while rows wait to be written; in a wary life the next message is durable before it is taken.
    fn until_due(&self) -> Option<Wait> {
        if self.inner.lacks_room() {
            let inner = self.inner.clone();
            return Some(Box::pin(async move { inner.until_room().await }));
        }
        if !self.inner.flight.is_wary() {
            return None;
        }
        let inner = self.inner.clone();
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
