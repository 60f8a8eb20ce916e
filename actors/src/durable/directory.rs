//! Which host runs which actor: single activation, and the keeper that looks after the hosts.
//!
//! **Invariants:** at most one host per actor is in the directory, and none that is a spare; after any end of a host the
//! accepted mailbox is looked at again, because a bell rung at a dying ractor actor is lost.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use rustc_hash::FxHashMap;

use super::{
    host::{Bell, Host},
    id::ActorId,
    live::shrink,
    record::Note,
    supervision::{Intensity, Window},
    system::Inner,
};

/// Deaths by one message before it is given up.
pub(crate) const DEATHS_MAX: u32 = 5;
/// So many hosts that let go of their actors wait for others; a spare takes 8 KB.
const SPARES_MAX: usize = 1_024;
/// An actor's restarts are written into its stream at most this often.
const NOTE_EVERY: Duration = Duration::from_secs(60);

/// Which host runs which actor.
#[derive(Default)]
pub(crate) struct Directory {
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    keeper: Option<ActorCell>,
    hosts: FxHashMap<ActorId, Hosting>,
    /// Hosts that host nobody, the last to let go at the end.
    spares: Vec<ActorRef<Bell>>,
    actors: FxHashMap<ractor::ActorId, ActorId>,
    deaths: FxHashMap<ActorId, Deaths>,
}

/// A host, and when its bell was last rung.
struct Hosting {
    host: ActorRef<Bell>,
    rung: std::time::Instant,
}

struct Deaths {
    entry: u64,
    count: u32,
    noted: std::time::Instant,
    /// Messages that it died of, lately.
    window: Window,
    began: std::time::Instant,
    /// When its next host comes.
    back_at: std::time::Instant,
}

/// What to do after a death.
#[derive(Debug, PartialEq, Eq)]
enum Cure {
    Reload {
        after: Duration,
        note: bool,
    },
    Bury,
    /// It dies of one message after another.
    Escalate,
}

impl Directory {
    /// A keeper begins: hosts of the one before are not looked after any more, and the fence keeps what they still do
    /// from counting. Returns whose hosts those were.
    fn begin(&self, keeper: ActorCell) -> Vec<ActorId> {
        let mut slots = self.slots.lock();
        slots.actors.clear();
        slots.spares.drain(..).for_each(|spare| spare.kill());
        let former = slots.hosts.drain().map(|(actor, hosting)| {
            hosting.host.kill();
            actor
        });
        let former = former.collect();
        slots.keeper = Some(keeper);
        former
    }

    /// Ring an actor's bell; give it a host if it has none.
    pub(crate) fn ring(&self, inner: &Arc<Inner>, actor: ActorId) {
        #[cfg(test)]
        if inner.faults.loses_bells.swap(false, std::sync::atomic::Ordering::SeqCst) {
            return;
        }
        let mut slots = self.slots.lock();
        match slots.hosts.get_mut(&actor) {
            // Fails only while that host is ending: its keeper then looks at the mailbox again.
            Some(hosting) => {
                hosting.rung = crate::clock::monotonic();
                let _ = hosting.host.send_message(Bell::Ring);
            }
            None => slots.host(inner, actor),
        }
    }

    /// A host lets go of its actor: the next message finds no host and gets one. Says whether the host is a spare now;
    /// otherwise it ends, and its keeper need not hear of it.
    pub(crate) fn forget(&self, actor: ActorId, host: &ActorRef<Bell>) -> bool {
        let mut slots = self.slots.lock();
        let is_known = slots.hosts.get(&actor).is_some_and(|hosting| hosting.host.get_id() == host.get_id());
        if is_known {
            slots.hosts.remove(&actor);
        }
        slots.actors.remove(&host.get_id());
        slots.deaths.remove(&actor);
        // One that is not known is of a former keeper, and is being killed.
        if is_known && slots.spares.len() < SPARES_MAX {
            slots.spares.push(host.clone());
            return true;
        }
        let keeper = slots.keeper.clone();
        drop(slots);
        if let Some(keeper) = keeper {
            host.unlink(keeper);
        }
        false
    }

    /// Kill an actor's host, as a fault would. Says whether there was one.
    pub(crate) fn kill(&self, actor: ActorId) -> bool {
        let host = self.slots.lock().hosts.get(&actor).map(|hosting| hosting.host.clone());
        host.is_some_and(|host| {
            host.kill();
            true
        })
    }

    /// Actors that have a host now.
    pub(crate) fn hosted(&self) -> Vec<ActorId> {
        self.slots.lock().hosts.keys().copied().collect()
    }

    /// Whether an actor has a host now.
    pub(crate) fn has_host(&self, actor: ActorId) -> bool {
        self.slots.lock().hosts.contains_key(&actor)
    }

    /// The host of an actor.
    #[cfg(test)]
    pub(crate) fn host_of(&self, actor: ActorId) -> Option<ractor::ActorId> {
        self.slots.lock().hosts.get(&actor).map(|hosting| hosting.host.get_id())
    }

    /// Hosts that host nobody.
    #[cfg(test)]
    pub(crate) fn spares(&self) -> Vec<ActorCell> {
        self.slots.lock().spares.iter().map(ActorRef::get_cell).collect()
    }

    /// Whether an actor that died has no host yet, because it is to wait a little.
    pub(crate) fn backs_off(&self, actor: ActorId) -> bool {
        let now = crate::clock::monotonic();
        self.slots.lock().deaths.get(&actor).is_some_and(|deaths| now < deaths.back_at)
    }

    /// Ask hosts to let go whose bell has not rung for so long, and of more than `most` the least lately rung. Half of the
    /// spares end: those that are needed come back.
    pub(crate) fn passivate(&self, idle: Duration, most: usize) {
        let now = crate::clock::monotonic();
        let mut slots = self.slots.lock();
        shrink(&mut slots.hosts);
        shrink(&mut slots.actors);
        let half = slots.spares.len() / 2;
        slots.spares.drain(..half).for_each(|spare| spare.stop(None));
        let mut hosts: Vec<_> = slots.hosts.values().collect();
        let surplus = hosts.len().saturating_sub(most);
        if surplus > 0 {
            hosts.sort_unstable_by_key(|hosting| hosting.rung);
        }
        for (at, hosting) in hosts.into_iter().enumerate() {
            if at < surplus || now.duration_since(hosting.rung) >= idle {
                // A host that is ending needs not be asked.
                let _ = hosting.host.send_message(Bell::Passivate);
            }
        }
    }

    /// A host ended; returns whose it was, if it had not been forgotten.
    fn ended(&self, cell: &ActorCell) -> Option<ActorId> {
        let mut slots = self.slots.lock();
        let Some(actor) = slots.actors.remove(&cell.get_id()) else {
            slots.spares.retain(|spare| spare.get_id() != cell.get_id());
            return None;
        };
        slots.hosts.remove(&actor);
        Some(actor)
    }

    /// Count a death against the message at the head of the mailbox.
    fn count(&self, actor: ActorId, entry: u64) -> Cure {
        let now = crate::clock::monotonic();
        let mut slots = self.slots.lock();
        let deaths = slots.deaths.entry(actor).or_insert_with(|| Deaths {
            entry: 0,
            count: 0,
            noted: now - NOTE_EVERY,
            window: Window::default(),
            began: now,
            back_at: now,
        });
        if deaths.entry != entry {
            deaths.entry = entry;
            deaths.count = 0;
            if !deaths.window.admit(now.duration_since(deaths.began), Intensity::default()) {
                slots.deaths.remove(&actor);
                return Cure::Escalate;
            }
        }
        deaths.count += 1;
        if deaths.count >= DEATHS_MAX {
            slots.deaths.remove(&actor);
            return Cure::Bury;
        }
        let note = now.duration_since(deaths.noted) >= NOTE_EVERY;
        if note {
            deaths.noted = now;
        }
        // The first restart is immediate; the next wait 10, 20, 40 ms.
        let after = if deaths.count == 1 { Duration::ZERO } else { Duration::from_millis(5 << (deaths.count - 1)) };
        deaths.back_at = now + after;
        Cure::Reload { after, note }
    }
}

impl Slots {
    fn host(&mut self, inner: &Arc<Inner>, actor: ActorId) {
        let Some(host) = self.spares.pop().or_else(|| self.spawn(inner)) else {
            tracing::debug!(%actor, "no host could be spawned: the system is stopping");
            return;
        };
        // Fails only while a spare is ending that was killed: its keeper then looks at the mailbox again.
        let _ = host.send_message(Bell::Host(actor));
        self.actors.insert(host.get_id(), actor);
        self.hosts.insert(actor, Hosting { host, rung: crate::clock::monotonic() });
    }

    fn spawn(&self, inner: &Arc<Inner>) -> Option<ActorRef<Bell>> {
        let keeper = self.keeper.clone()?;
        let _runtime = inner.runtime.enter();
        // `pre_start` is ready at once, so one poll spawns the host.
        let spawning = Actor::spawn_linked(None, Host, inner.clone(), keeper);
        let (host, _) = ready_at_once(spawning)?.ok()?;
        Some(host)
    }
}

/// The value of a future that is ready when first polled.
fn ready_at_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

/// Looks after the hosts: the ractor supervisor of all of them.
pub(crate) struct Keeper;

/// What a keeper can be told.
#[derive(Debug)]
pub(crate) enum KeeperMessage {
    /// A back-off is over.
    Reload(ActorId),
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
            KeeperMessage::Reload(actor) => look_again(inner, actor),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<KeeperMessage>,
        event: SupervisionEvent,
        inner: &mut Arc<Inner>,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(cell, error) => {
                if let Some(actor) = inner.directory.ended(&cell) {
                    died(inner, &myself, actor, &error.to_string());
                }
            }
            SupervisionEvent::ActorTerminated(cell, _, _) => {
                if let Some(actor) = inner.directory.ended(&cell) {
                    look_again(inner, actor);
                }
            }
            _ => {}
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

fn died(inner: &Arc<Inner>, keeper: &ActorRef<KeeperMessage>, actor: ActorId, reason: &str) {
    let Some(head) = inner.head(actor) else { return inner.release(actor) };
    tracing::warn!(%actor, entry = head.number, reason, "an actor died of a message");
    match inner.directory.count(actor, head.number) {
        Cure::Bury => inner.bury(actor, head.number, reason),
        Cure::Escalate => inner.escalate(actor, reason),
        Cure::Reload { after, note } => {
            if note {
                inner.note(actor, Note::Restarted { reason: reason.to_owned() });
            }
            if after.is_zero() {
                look_again(inner, actor);
            } else {
                keeper.send_after(after, move || KeeperMessage::Reload(actor));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTOR: ActorId = ActorId(1 << 8);

    #[test]
    fn an_actor_that_dies_of_one_message_is_reloaded_until_the_message_is_given_up() {
        let directory = Directory::default();
        let reloads = (1..DEATHS_MAX).all(|_| matches!(directory.count(ACTOR, 1), Cure::Reload { .. }));
        assert!(reloads);
        assert_eq!(directory.count(ACTOR, 1), Cure::Bury);
    }

    #[test]
    fn an_actor_that_dies_of_one_message_after_another_is_given_up_itself() {
        let directory = Directory::default();
        let reloads = (1..=3).all(|entry| matches!(directory.count(ACTOR, entry), Cure::Reload { .. }));
        assert!(reloads);
        assert_eq!(directory.count(ACTOR, 4), Cure::Escalate);
        assert!(matches!(directory.count(ActorId(2 << 8), 1), Cure::Reload { .. }), "each counts for itself");
    }
}
