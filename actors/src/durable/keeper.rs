//! Looks after the hosts: the ractor supervisor of all of them.
//!
//! What a host's death means is decided elsewhere: how often is too often in `directory/deaths.rs`, whose hosts end with
//! it in `supervision/group.rs`, what becomes of an actor that is not loaded again in `accepted/ending.rs`. Here it is
//! carried out.
//!
//! **Invariants:** a host that was fenced, passivated, or told to end with another one is not dead; the death of the
//! keeper, or of the process, is the death of no host.

use std::{sync::Arc, time::Duration};

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

#[cfg(test)]
use super::faults::{Site, Who};
use super::{
    about::{About, Place},
    directory::{Cure, Ended},
    id::ActorId,
    supervision::{Policy, Sibling, Strategy, together},
    system::Inner,
};
use crate::mutant::Mutant;

/// The keeper.
pub(crate) struct Keeper;

/// What a keeper can be told.
#[derive(Debug)]
pub(crate) enum KeeperMessage {
    /// A back-off is over.
    Reload(ActorId),
}

/// An actor whose host died, and how it is looked after.
pub(crate) struct Charge {
    pub(crate) parent: ActorId,
    /// The message at the head of its mailbox.
    pub(crate) entry: Option<u64>,
    pub(crate) is_temporary: bool,
    /// What its parent's behaviour declares.
    pub(crate) policy: Policy,
}

impl Actor for Keeper {
    type Msg = KeeperMessage;
    type State = Arc<Inner>;
    type Arguments = Arc<Inner>;

    async fn pre_start(&self, _: ActorRef<KeeperMessage>, inner: Arc<Inner>) -> Result<Arc<Inner>, ActorProcessingErr> {
        Ok(inner)
    }

    /// The hosts of a keeper that died are replaced by its successor's.
    async fn post_start(
        &self,
        myself: ActorRef<KeeperMessage>,
        inner: &mut Arc<Inner>,
    ) -> Result<(), ActorProcessingErr> {
        #[cfg(test)]
        inner.faults.sites.enlist("runs", myself.get_cell());
        #[cfg(test)]
        inner.fault(Site::KeeperStarts, Who::Service("runs")).await;
        for actor in inner.directory.begin(myself.get_cell()) {
            inner.release(actor);
        }
        inner.ring_everyone();
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<KeeperMessage>,
        message: KeeperMessage,
        inner: &mut Arc<Inner>,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            KeeperMessage::Reload(actor) => {
                #[cfg(test)]
                inner.fault(Site::KeeperReloads, Who::Service("runs")).await;
                inner.directory.end_wait(actor);
                look_again(inner, actor);
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<KeeperMessage>,
        event: SupervisionEvent,
        inner: &mut Arc<Inner>,
    ) -> Result<(), ActorProcessingErr> {
        let (cell, panic) = match event {
            SupervisionEvent::ActorFailed(cell, error) => (cell, Some(error.to_string())),
            SupervisionEvent::ActorTerminated(cell, _, _) => (cell, None),
            _ => return Ok(()),
        };
        #[cfg(test)]
        inner.fault(Site::KeeperHears, Who::Service("runs")).await;
        let ended = inner.directory.ended(&cell);
        #[cfg(test)]
        inner.fault(Site::KeeperKnows, Who::Service("runs")).await;
        match (ended, panic) {
            (Ended::Unasked(actor), Some(reason)) => died(inner, &myself, actor, &reason),
            (Ended::Unasked(actor), None) => was_killed(inner, &myself, actor),
            (Ended::Asked(actor), _) => look_again(inner, actor),
            (Ended::Forgotten, _) => {}
        }
        Ok(())
    }
}

fn look_again(inner: &Arc<Inner>, actor: ActorId) {
    if inner.head(actor).is_some() {
        inner.directory.ring(inner, actor);
    } else {
        inner.release(actor);
    }
}

/// A host panicked, so in a turn: the message that it took is blamed.
fn died(inner: &Arc<Inner>, keeper: &ActorRef<KeeperMessage>, actor: ActorId, reason: &str) {
    let Some((charge, entry)) = inner.charge(actor).and_then(|charge| charge.entry.map(|entry| (charge, entry))) else {
        return inner.release(actor);
    };
    let About { path, attempt } = inner.about(actor);
    let Place { run, phase, task } = Place::of(&path);
    tracing::warn!(%actor, run, phase, task, attempt, entry, reason, "an actor died of a message");
    if charge.is_temporary {
        return inner.end_temporary(actor, Some(entry), reason);
    }
    match inner.directory.count(actor, entry, &charge.policy) {
        Cure::Reload { .. } if Mutant::MessageLostWithItsTurn.is_chosen() => inner.bury(actor, entry, reason),
        Cure::Bury => {
            inner.bury(actor, entry, reason);
            reload(inner, keeper, actor, &charge, Duration::ZERO);
        }
        Cure::Escalate => inner.escalate(actor, charge.policy.intensity, reason),
        Cure::Reload { after } => {
            inner.note_restart(actor, reason);
            reload(inner, keeper, actor, &charge, after);
        }
    }
}

/// A host was killed from outside. It counts for no intensity, because nobody's code failed.
fn was_killed(inner: &Arc<Inner>, keeper: &ActorRef<KeeperMessage>, actor: ActorId) {
    let Some(charge) = inner.charge(actor) else { return inner.release(actor) };
    if charge.is_temporary {
        return inner.end_temporary(actor, None, "it was killed");
    }
    if Mutant::BellLostAtDeath.is_chosen() {
        return;
    }
    inner.note_restart(actor, "it was killed");
    reload(inner, keeper, actor, &charge, Duration::ZERO);
}

/// Load an actor again, and whoever is loaded with it. Only the one that died waits: the others did nothing wrong.
fn reload(inner: &Arc<Inner>, keeper: &ActorRef<KeeperMessage>, actor: ActorId, charge: &Charge, after: Duration) {
    let others = match charge.policy.strategy {
        // No look at the siblings for those who chose nothing.
        Strategy::OneForOne | Strategy::Dynamic => Vec::new(),
        strategy => together(strategy, &inner.siblings(charge.parent, actor), actor),
    };
    inner.directory.reload(&others);
    if after.is_zero() {
        look_again(inner, actor);
    } else {
        inner.directory.wait(actor);
        keeper.send_after(after, move || KeeperMessage::Reload(actor));
    }
}

impl Inner {
    /// How an actor whose host died is looked after; nothing if it is gone.
    fn charge(&self, actor: ActorId) -> Option<Charge> {
        let core = self.core.lock();
        if core.closed.is_some() {
            return None;
        }
        let live = core.accepted.live();
        let row = live.actors.get(&actor)?;
        let policy =
            live.actors.get(&row.parent).map_or(Policy::DEFAULT, |parent| self.registry.supervision(parent.kind));
        let entry = core.accepted.head(actor).map(|head| head.number);
        Some(Charge { parent: row.parent, entry, is_temporary: row.supervised.care.is_temporary, policy })
    }

    /// The children of an actor that have a host, and `died`, in the order in which they were spawned. One without a host
    /// has nothing to be loaded again.
    fn siblings(&self, parent: ActorId, died: ActorId) -> Vec<Sibling<ActorId>> {
        let mut hosted = self.directory.hosted();
        hosted.push(died);
        // Later children have higher numbers.
        hosted.sort_unstable();
        hosted.dedup();
        let core = self.core.lock();
        let live = core.accepted.live();
        let children = hosted.into_iter().filter_map(|id| Some((id, live.actors.get(&id)?)));
        let children = children.filter(|(_, row)| row.parent == parent && parent != ActorId::ENGINE);
        children.map(|(id, row)| Sibling { id, is_temporary: row.supervised.care.is_temporary }).collect()
    }
}
