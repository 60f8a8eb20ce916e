//! Which host runs which actor: single activation, and who has to wait before there is a host again.
//!
//! **Invariants:** at most one host per actor is in the directory, and none that is a spare; after any end of a host the
//! accepted mailbox is looked at again, because a bell rung at the door of a dying one is lost. A host that is killed stays in
//! the directory until it has ended, so that its successor does not run beside it, and is never a spare.

mod deaths;
mod recency;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use ractor::{Actor, ActorCell, ActorRef};
use rustc_hash::{FxHashMap, FxHashSet};

pub(crate) use self::deaths::Cure;
use self::{
    deaths::Deaths,
    recency::{Recency, Ticket},
};
#[cfg(test)]
use super::faults::{Action, Site, Who};
use super::{
    door::Door,
    host::{Begin, Host, Why},
    id::ActorId,
    live::shrink,
    supervision::Policy,
    system::Inner,
};
use crate::mutant::Mutant;

/// So many hosts that let go of their actors wait for others; a spare takes 8 KB.
const SPARES_MAX: usize = 1_024;

/// Which host runs which actor.
#[derive(Default)]
pub(crate) struct Directory {
    slots: Mutex<Slots>,
}

/// Away from the byte that those look at who wait for the lock.
#[derive(Default)]
#[repr(align(128))]
struct Slots {
    keeper: Option<ActorCell>,
    hosts: FxHashMap<ActorId, Hosting>,
    /// Hosts that host nobody, the last to let go at the end.
    spares: Vec<Reach>,
    /// Who was rung least lately.
    recency: Recency,
    actors: FxHashMap<ractor::ActorId, ActorId>,
    deaths: FxHashMap<ActorId, Deaths>,
    /// Hosts that were told to end, because another one died.
    asked: FxHashSet<ractor::ActorId>,
    /// Actors that get no host before their back-off is over.
    waiting: FxHashSet<ActorId>,
}

/// A host, and where it is rung.
struct Reach {
    host: ActorRef<Begin>,
    door: Arc<Door>,
}

/// The host of an actor, and when its bell was last rung.
struct Hosting {
    reach: Reach,
    rung: std::time::Instant,
    ticket: Ticket,
    /// It was killed, and has not ended yet.
    is_doomed: bool,
}

/// What ended when a host did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The host of this actor, without having been told to.
    Unasked(ActorId),
    /// The host of this actor, because others are loaded again with it.
    Asked(ActorId),
    /// A host that nobody looks after any more.
    Forgotten,
}

impl Directory {
    /// A keeper begins: hosts of the one before are not looked after any more, and the fence keeps what they still do
    /// from counting. Returns whose hosts those were.
    pub(super) fn begin(&self, keeper: ActorCell) -> Vec<ActorId> {
        let mut slots = self.slots.lock();
        slots.actors.clear();
        slots.asked.clear();
        slots.waiting.clear();
        slots.recency = Recency::default();
        slots.spares.drain(..).for_each(|spare| spare.host.kill());
        let former = slots.hosts.drain().map(|(actor, hosting)| {
            hosting.reach.host.kill();
            actor
        });
        let former = former.collect();
        slots.keeper = Some(keeper);
        former
    }

    /// Ring an actor's bell; give it a host if it has none.
    pub(crate) fn ring(&self, inner: &Arc<Inner>, actor: ActorId) {
        #[cfg(feature = "testing")]
        if inner.stalls.loses_bell(actor) {
            return;
        }
        #[cfg(test)]
        match inner.fault_at_once(Site::Ring, Who::Actor(actor)) {
            Some(Action::Drop) => return,
            Some(_) => return inner.ring_later(actor),
            None => {}
        }
        self.ring_now(inner, actor);
    }

    pub(super) fn ring_now(&self, inner: &Arc<Inner>, actor: ActorId) {
        let slots = &mut *self.slots.lock();
        match slots.hosts.get_mut(&actor) {
            // In vain only while that host is ending: its keeper then looks at the mailbox again.
            Some(hosting) => {
                hosting.rung = crate::clock::monotonic();
                hosting.reach.door.ring(inner);
            }
            None if slots.waiting.contains(&actor) => {}
            None => slots.host(inner, actor),
        }
    }

    /// A host lets go of its actor: the next message finds no host and gets one. Says whether the host is a spare now;
    /// otherwise it ends, and its keeper need not hear of it.
    pub(crate) fn forget(&self, actor: ActorId, host: &ActorRef<Begin>, has_finished: bool) -> bool {
        let mut slots = self.slots.lock();
        let is_known = slots.hosts.get(&actor).is_some_and(|hosting| hosting.reach.host.get_id() == host.get_id());
        // One that is not known is of a former keeper, or of an actor that was given up: it is being killed.
        let known = if is_known { slots.hosts.remove(&actor) } else { None };
        slots.actors.remove(&host.get_id());
        slots.asked.remove(&host.get_id());
        if has_finished {
            slots.deaths.remove(&actor);
        }
        if let Some(Hosting { reach, is_doomed: false, .. }) = known
            && slots.spares.len() < SPARES_MAX
        {
            slots.spares.push(reach);
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
        self.slots.lock().hosts.get_mut(&actor).is_some_and(|hosting| {
            hosting.kill();
            true
        })
    }

    /// End the hosts of these actors, and let them come back.
    pub(super) fn reload(&self, actors: &[ActorId]) {
        let slots = &mut *self.slots.lock();
        for actor in actors {
            if let Some(hosting) = slots.hosts.get_mut(actor) {
                slots.asked.insert(hosting.reach.host.get_id());
                hosting.kill();
            }
        }
    }

    /// An actor gets no host until its back-off is over.
    pub(super) fn wait(&self, actor: ActorId) {
        self.slots.lock().waiting.insert(actor);
    }

    /// The back-off of an actor is over.
    pub(super) fn end_wait(&self, actor: ActorId) {
        self.slots.lock().waiting.remove(&actor);
    }

    /// These actors are gone: so are their hosts, and nobody hears of that.
    pub(crate) fn dismiss(&self, actors: &[ActorId]) {
        let mut slots = self.slots.lock();
        for actor in actors {
            slots.deaths.remove(actor);
            slots.waiting.remove(actor);
            if let Some(hosting) = slots.hosts.remove(actor) {
                let host = hosting.reach.host;
                slots.actors.remove(&host.get_id());
                slots.asked.remove(&host.get_id());
                host.kill();
            }
        }
    }

    /// Actors that have a host now.
    pub(crate) fn hosted(&self) -> Vec<ActorId> {
        self.slots.lock().hosts.keys().copied().collect()
    }

    /// How many actors have a host now.
    pub(crate) fn len(&self) -> usize {
        self.slots.lock().hosts.len()
    }

    /// Whether an actor has a host now.
    pub(crate) fn has_host(&self, actor: ActorId) -> bool {
        self.slots.lock().hosts.contains_key(&actor)
    }

    /// The host of an actor.
    #[cfg(test)]
    pub(crate) fn host_of(&self, actor: ActorId) -> Option<ractor::ActorId> {
        self.slots.lock().hosts.get(&actor).map(|hosting| hosting.reach.host.get_id())
    }

    /// Hosts that host nobody.
    #[cfg(test)]
    pub(crate) fn spares(&self) -> Vec<ActorCell> {
        self.slots.lock().spares.iter().map(|spare| spare.host.get_cell()).collect()
    }

    /// Whether an actor that died has no host yet, because it is to wait a little.
    pub(crate) fn backs_off(&self, actor: ActorId) -> bool {
        self.slots.lock().waiting.contains(&actor)
    }

    /// Ask hosts to let go whose bell has not rung for so long. Half of the spares end: those that are needed come back.
    pub(crate) fn passivate(&self, idle: Duration) {
        let now = crate::clock::monotonic();
        let mut slots = self.slots.lock();
        shrink(&mut slots.hosts);
        shrink(&mut slots.actors);
        slots.deaths.retain(|_, deaths| !deaths.are_over(now));
        let half = slots.spares.len() / 2;
        slots.spares.drain(..half).for_each(|spare| spare.door.dismiss());
        for hosting in slots.hosts.values().filter(|hosting| now.duration_since(hosting.rung) >= idle) {
            hosting.reach.door.passivate(Why::Idle);
        }
    }

    /// A host ended.
    pub(super) fn ended(&self, cell: &ActorCell) -> Ended {
        let mut slots = self.slots.lock();
        let was_asked = slots.asked.remove(&cell.get_id());
        let Some(actor) = slots.actors.remove(&cell.get_id()) else {
            slots.spares.retain(|spare| spare.host.get_id() != cell.get_id());
            return Ended::Forgotten;
        };
        slots.hosts.remove(&actor);
        if was_asked { Ended::Asked(actor) } else { Ended::Unasked(actor) }
    }

    /// Count a death against the message at the head of the mailbox.
    pub(super) fn count(&self, actor: ActorId, entry: u64, policy: &Policy) -> Cure {
        let now = crate::clock::monotonic();
        let mut slots = self.slots.lock();
        let actor = if Mutant::IntensityPerSupervisor.is_chosen() { ActorId::ENGINE } else { actor };
        let cure = slots.deaths.entry(actor).or_insert_with(|| Deaths::since(now)).count(now, actor, entry, policy);
        if cure == Cure::Escalate {
            slots.deaths.remove(&actor);
        }
        cure
    }
}

impl Hosting {
    fn kill(&mut self) {
        self.is_doomed = true;
        self.reach.host.kill();
    }
}

impl Slots {
    fn host(&mut self, inner: &Arc<Inner>, actor: ActorId) {
        #[cfg(test)]
        if inner.fault_at_once(Site::SpawnHost, Who::Actor(actor)).is_some() {
            return;
        }
        let Some(reach) = self.spares.pop().or_else(|| self.spawn(inner)) else {
            tracing::debug!(%actor, "no host could be spawned: the system is stopping");
            return;
        };
        // In vain only while a spare is ending that was killed: its keeper then looks at the mailbox again.
        reach.door.host(inner, actor);
        self.actors.insert(reach.host.get_id(), actor);
        let rung = crate::clock::monotonic();
        let ticket = self.recency.enter(actor, rung);
        self.hosts.insert(actor, Hosting { reach, rung, ticket, is_doomed: false });
        self.make_room(inner.idle.hosts_max);
    }

    /// Of more hosts than there may be, ask those that were rung least lately to let go. One that is not idle stays, so
    /// that there may be more: whoever has something to do has a host.
    fn make_room(&mut self, most: usize) {
        let Self { hosts, recency, .. } = self;
        let rung = |actor, ticket| hosts.get(&actor).filter(|of| of.ticket == ticket).map(|of| of.rung);
        if recency.is_untidy(hosts.len()) {
            recency.tidy(|actor, ticket| rung(actor, ticket).is_some());
        }
        if hosts.len() > most {
            for actor in recency.least_lately(rung) {
                hosts.get(&actor).into_iter().for_each(|hosting| hosting.reach.door.passivate(Why::Room));
            }
        }
    }

    fn spawn(&self, inner: &Arc<Inner>) -> Option<Reach> {
        let keeper = self.keeper.clone()?;
        let _runtime = inner.runtime.enter();
        // `pre_start` is ready at once, so one poll spawns the host.
        let door = Arc::<Door>::default();
        let spawning = Actor::spawn_linked(None, Host, (inner.clone(), door.clone()), keeper);
        let (host, _) = ready_at_once(spawning)?.ok()?;
        Some(Reach { host, door })
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
