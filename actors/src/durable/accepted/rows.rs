//! Which rows are in memory: who must be brought, who may leave, and what a checkpoint takes.
//!
//! **Invariants:** an actor that has mail, a host or children in memory is in memory; a commit is accepted only when
//! everyone it tells something is, or is known to be gone.

use rustc_hash::FxHashSet;

use super::Accepted;
use crate::durable::{
    id::{ActorId, Sequence},
    live::{Capture, Fetched, Known, Written, shrink},
};

/// So many actors that are gone are remembered.
const GONE_MAX: usize = 10_000;

/// What is known of rows that are not in memory.
#[derive(Debug, Default)]
pub(super) struct Residency {
    /// Actors that were looked for in the store and are not there.
    gone: FxHashSet<ActorId>,
    /// By partition: grows whenever an actor leaves memory. Who looked into the store before that looks again.
    evictions: Vec<u64>,
    /// Timers of actors in the store are in memory if they are due before this.
    window_ms: u64,
}

impl Accepted {
    /// Whether everyone is in memory or known to be gone; otherwise, who is not.
    pub(crate) fn all_here(&self, actors: impl Iterator<Item = ActorId>) -> Result<(), Vec<ActorId>> {
        if !self.live.notes_changes() {
            return Ok(());
        }
        let cold: Vec<_> = actors.filter(|actor| self.is_cold(*actor)).collect();
        if cold.is_empty() { Ok(()) } else { Err(cold) }
    }

    /// Whether an actor may be in the store and is not in memory.
    pub(crate) fn is_cold(&self, actor: ActorId) -> bool {
        self.live.notes_changes()
            && actor != ActorId::ENGINE
            && actor.0 >> 8 <= self.live.highest_id
            && !self.live.actors.contains_key(&actor)
            && !self.live.is_removed(actor)
            && !self.residency.gone.contains(&actor)
    }

    /// To be read before the store is asked for an actor, and handed to [`Accepted::bring`].
    pub(crate) fn evictions(&self, actor: ActorId) -> u64 {
        self.residency.evictions.get(usize::from(actor.partition().0)).copied().unwrap_or_default()
    }

    /// Take in what the store has of an actor; `false` if that may be outdated, and must be fetched again.
    pub(crate) fn bring(&mut self, actor: ActorId, evictions: u64, chain: Vec<Fetched>) -> bool {
        if self.evictions(actor) != evictions {
            return false;
        }
        if chain.is_empty() {
            if self.residency.gone.len() >= GONE_MAX {
                self.residency.gone.clear();
            }
            self.residency.gone.insert(actor);
        }
        for (actor, row, head) in chain.into_iter().rev() {
            // Whoever came, or finished, meanwhile is known better here.
            if self.is_cold(actor) {
                self.live.admit_actor(actor, row, head);
            }
        }
        true
    }

    /// What memory knows of an index row.
    pub(crate) fn known(&self, key: &[u8]) -> Known {
        self.live.index.known(key)
    }

    /// Actors whose timers are due and who are not in memory; at most so many.
    pub(crate) fn cold_due(&self, now_ms: u64, most: usize) -> Vec<ActorId> {
        let due = self.live.timers.range(..(now_ms.saturating_add(1), ActorId(0), 0));
        due.map(|((_, actor, _), _)| *actor).filter(|actor| self.is_cold(*actor)).take(most).collect()
    }

    /// Up to when the timers of all actors are in memory.
    pub(crate) fn window_ms(&self) -> u64 {
        if self.live.notes_changes() { self.residency.window_ms } else { u64::MAX }
    }

    /// Timers from the store: now those of all actors are in memory up to `window_ms`.
    pub(crate) fn extend_window(&mut self, window_ms: u64, timers: Vec<((u64, ActorId, u32), u64)>) {
        self.live.admit_timers(timers);
        self.residency.window_ms = self.residency.window_ms.max(window_ms);
    }

    /// The last whole record, if nothing was accepted since: the only moment at which rows may be captured.
    pub(crate) fn boundary(&self) -> Option<Sequence> {
        self.open.boundary()
    }

    pub(crate) fn begin_capture(&mut self) -> Capture {
        self.live.begin_capture()
    }

    pub(crate) fn capture(&mut self, capture: &mut Capture, most: usize) -> bool {
        self.live.capture(capture, most)
    }

    /// The store has this part of what was captured: whoever is not needed leaves memory.
    pub(crate) fn checkpointed(&mut self, written: Written) {
        for actor in &written.gone {
            self.left(*actor);
        }
        for actor in self.live.written(written) {
            self.evict(actor);
        }
    }

    /// Maps keep the room of their largest size; after a crowd has left, that would be most of what it took.
    pub(crate) fn give_room_back(&mut self) {
        self.live.give_room_back();
        shrink(&mut self.activations);
    }

    /// The store does not have what was captured.
    pub(crate) fn not_checkpointed(&mut self, capture: Capture) {
        self.live.unwritten(capture);
    }

    /// An actor's host has ended.
    pub(crate) fn deactivate(&mut self, actor: ActorId, activation: u64) {
        if self.activations.get(&actor) == Some(&activation) {
            self.activations.remove(&actor);
            self.evict(actor);
        }
    }

    /// An actor has no host any more, whatever became of it.
    pub(crate) fn release(&mut self, actor: ActorId) {
        if let Some(activation) = self.activations.get(&actor).copied() {
            self.deactivate(actor, activation);
        }
    }

    /// Somebody only looked at an actor: without a host it may leave memory again.
    pub(crate) fn let_go(&mut self, actor: ActorId) {
        self.evict(actor);
    }

    /// Whether an actor has no mail and keeps no children here.
    pub(crate) fn is_idle(&self, actor: ActorId) -> bool {
        self.live.actors.get(&actor).is_none_or(crate::durable::live::Actor::is_idle)
    }

    fn evict(&mut self, actor: ActorId) {
        if !self.live.notes_changes() {
            return;
        }
        let (activations, held) = (&self.activations, &self.held);
        let needed = |actor, stream| activations.contains_key(&actor) || held.contains(&stream);
        if self.live.evict(actor, self.residency.window_ms, &needed) > 0 {
            self.left(actor);
        }
    }

    /// What was read of an actor's partition before this may be outdated.
    fn left(&mut self, actor: ActorId) {
        self.residency.evictions.resize(256, 0);
        self.residency.evictions[usize::from(actor.partition().0)] += 1;
    }
}
