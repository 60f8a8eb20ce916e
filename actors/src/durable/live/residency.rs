//! Rows on their way between memory and the store.
//!
//! A checkpoint takes rows at the boundary between two records, slice by slice ([`Live::capture`]). Once they are
//! written, what nobody needs leaves memory ([`Live::evict`]); the next operation that touches it brings it back
//! ([`fetch`], [`Live::admit_chain`]).
//!
//! **Invariants:** what is captured is as it was at the end of a record. Only a clean row leaves memory, and a parent not
//! before its children.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::{
    Actor, Live,
    dirty::{Dirty, Marked, Save},
    stored::{self, Key},
};
use crate::durable::{
    chain::Head,
    id::{ActorId, CallId, StreamId},
    store::{self, Rows},
};

/// An actor as the store has it, with the head of the stream whose root it is.
pub(crate) type Fetched = (ActorId, Actor, Option<Head>);

/// Rows on their way to the store.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    from: Dirty,
    /// What is to be written.
    pub(crate) changes: BTreeMap<Bytes, Option<Bytes>>,
    /// Their bytes.
    pub(crate) bytes: usize,
    actors: Vec<ActorId>,
    /// Actors whose rows are to be removed.
    pub(crate) gone: Vec<ActorId>,
    calls: Vec<CallId>,
    index: Vec<Bytes>,
}

impl Capture {
    fn change(&mut self, key: Bytes, value: Option<Bytes>) {
        self.bytes += key.len() + value.as_ref().map_or(0, Bytes::len);
        self.changes.insert(key, value);
    }

    /// All of it was written: what is left to do.
    pub(crate) fn written(self) -> Written {
        Written { actors: self.actors, gone: self.gone, index: self.index }
    }
}

/// Rows that the store has, and of which memory has not heard yet.
#[derive(Debug, Default)]
pub(crate) struct Written {
    actors: Vec<ActorId>,
    pub(crate) gone: Vec<ActorId>,
    index: Vec<Bytes>,
}

impl Written {
    /// Take about so many of them; nothing when none is left.
    pub(crate) fn part(&mut self, most: usize) -> Option<Self> {
        fn take<T>(from: &mut Vec<T>, most: usize) -> Vec<T> {
            from.split_off(from.len().saturating_sub(most))
        }
        let (index, gone) = (take(&mut self.index, most), take(&mut self.gone, most));
        let part = Self { actors: take(&mut self.actors, most), gone, index };
        (!part.index.is_empty() || !part.gone.is_empty() || !part.actors.is_empty()).then_some(part)
    }
}

/// An actor and its ancestors as the store has them, the actor first; empty if it is gone.
pub(crate) fn fetch(rows: &dyn Rows, actor: ActorId) -> Result<Vec<Fetched>, store::Error> {
    let mut chain = Vec::new();
    let mut next = actor;
    while next != ActorId::ENGINE {
        let key = stored::actor_key(next);
        let Some(sealed) = rows.get(&key)? else { break };
        let (row, head) = stored::open_actor(&sealed).map_err(|error| undecodable(&key, &error))?;
        let parent = row.parent;
        chain.push((next, row, head));
        next = parent;
    }
    Ok(chain)
}

pub(crate) fn undecodable(key: &[u8], error: &dyn std::fmt::Display) -> store::Error {
    store::Error::BadRow { key: crate::hex::text(key), cause: error.to_string() }
}

impl Live {
    /// Note from now on what changes, because there is a store for rows.
    pub(crate) fn note_changes(&mut self) {
        self.dirty.noted = true;
    }

    /// Whether changes are noted.
    pub(crate) fn notes_changes(&self) -> bool {
        self.dirty.noted
    }

    /// How many changes wait to be written, about.
    pub(crate) fn changed(&self) -> usize {
        self.dirty.len()
    }

    /// Actors that are gone and that the store may still have.
    pub(crate) fn removed(&self) -> impl Iterator<Item = ActorId> {
        self.dirty.removed.iter().copied()
    }

    /// Whether an actor is among them.
    pub(crate) fn is_removed(&self, actor: ActorId) -> bool {
        self.dirty.removed.contains(&actor)
    }

    /// Take in a row as the store has it.
    pub(crate) fn admit(&mut self, key: &[u8], value: Bytes) -> Result<(), store::Error> {
        match stored::read_key(key) {
            Some(Key::Actor(actor)) => {
                let (row, head) = stored::open_actor(&value).map_err(|error| undecodable(key, &error))?;
                self.admit_actor(actor, row, head);
            }
            Some(Key::Call(call)) => {
                let row = stored::open_call(&value).map_err(|error| undecodable(key, &error))?;
                self.dirty.stored_calls.insert(call);
                self.calls.insert(call, Arc::new(row));
            }
            Some(Key::Index(key)) => self.index.admit(key, value),
            Some(Key::Mail(_) | Key::Timer(..)) => {}
            None => return Err(undecodable(key, &"the key names nothing that is known")),
        }
        Ok(())
    }

    /// Take in an actor as [`fetch`] found it; its parent comes first.
    pub(crate) fn admit_actor(&mut self, actor: ActorId, row: Actor, head: Option<Head>) {
        if self.actors.contains_key(&actor) || self.is_removed(actor) {
            return;
        }
        for timer in &row.timers {
            self.timers.insert((timer.due_ms, actor, timer.name), timer.generation);
        }
        if let Some(head) = head {
            self.streams.insert(StreamId(actor.0), head);
        }
        if let Some(parent) = self.actors.get_mut(&row.parent) {
            parent.keep.resident_children += 1;
        }
        self.actors.insert(actor, row);
    }

    /// Rows that were taken in from an image come in any order: count the children that are in memory.
    pub(crate) fn count_children(&mut self) {
        let parents: Vec<_> = self.actors.values().map(|row| row.parent).collect();
        for row in self.actors.values_mut() {
            row.keep.resident_children = 0;
        }
        for parent in parents {
            if let Some(parent) = self.actors.get_mut(&parent) {
                parent.keep.resident_children += 1;
            }
        }
    }

    /// Begin to take what changed. To be called at the boundary between two records, as is [`Live::capture`].
    pub(crate) fn begin_capture(&mut self) -> Capture {
        Capture { from: self.dirty.take(), ..Capture::default() }
    }

    /// Take about so many rows; says whether there are more.
    pub(crate) fn capture(&mut self, capture: &mut Capture, most: usize) -> bool {
        let upto = capture.changes.len() + most;
        while capture.changes.len() < upto {
            // What is gone first: a timer that was set again has the same key, and is put by its actor.
            if let Some(key) = capture.from.timers_gone.pop() {
                capture.change(stored::timer_key(key), None);
            } else if let Some((actor, marked)) = capture.from.gone.pop() {
                capture.change(stored::actor_key(actor), None);
                if marked {
                    capture.change(stored::mail_key(actor), None);
                }
                capture.gone.push(actor);
            } else if let Some(actor) = capture.from.actors.pop() {
                self.capture_actor(actor, capture);
            } else if let Some(call) = capture.from.calls.pop() {
                self.capture_call(call, capture);
            } else if let Some(key) = capture.from.index.pop() {
                if let Some((stored, value)) = self.index.capture(&key) {
                    capture.index.push(key);
                    capture.change(stored, value);
                }
            } else {
                return false;
            }
        }
        capture.from.len() > 0
    }

    fn capture_actor(&mut self, actor: ActorId, capture: &mut Capture) {
        let Some(row) = self.actors.get_mut(&actor) else { return };
        let head = if row.stream.0 == actor.0 { self.streams.get(&row.stream).copied() } else { None };
        for timer in row.timers.iter_mut().filter(|timer| !timer.listed.0) {
            timer.listed.0 = true;
            let value = Bytes::copy_from_slice(&timer.generation.to_be_bytes());
            capture.change(stored::timer_key((timer.due_ms, actor, timer.name)), Some(value));
        }
        let has_mail = !row.mailbox.is_empty() || row.suspended.is_some();
        if row.keep.marked != Marked::of(has_mail) {
            row.keep.marked = Marked::of(has_mail);
            capture.change(stored::mail_key(actor), has_mail.then(Bytes::new));
        }
        row.keep.save = Save::Flying;
        row.keep.listed = false;
        row.keep.in_store = true;
        capture.change(stored::actor_key(actor), Some(stored::seal_actor(row, head)));
        capture.actors.push(actor);
    }

    fn capture_call(&mut self, call: CallId, capture: &mut Capture) {
        match self.calls.get(&call) {
            Some(row) => {
                self.dirty.stored_calls.insert(call);
                capture.change(stored::call_key(call), Some(stored::seal_call(row)));
                capture.calls.push(call);
            }
            None if self.dirty.stored_calls.remove(&call) => capture.change(stored::call_key(call), None),
            None => {}
        }
    }

    /// The store has what was captured. Returns the actors whose rows are clean now.
    pub(crate) fn written(&mut self, written: Written) -> Vec<ActorId> {
        for key in &written.index {
            self.index.written(key);
        }
        for actor in &written.gone {
            self.dirty.removed.remove(actor);
        }
        let mut clean = written.actors;
        clean.retain(|actor| {
            let Some(row) = self.actors.get_mut(actor) else { return false };
            row.keep.save = match row.keep.save {
                Save::Flying | Save::Clean => Save::Clean,
                Save::Again | Save::Dirty => Save::Dirty,
            };
            row.keep.save == Save::Clean
        });
        clean
    }

    /// The store does not have what was captured: all of it is to be written again.
    pub(crate) fn unwritten(&mut self, capture: Capture) {
        for key in &capture.index {
            self.index.unwritten(key, &mut self.dirty);
        }
        for actor in capture.actors {
            if let Some(row) = self.actors.get_mut(&actor) {
                row.forget_hints();
                self.dirty.again(actor, row);
            }
        }
        self.dirty.calls.extend(capture.calls);
        for (key, value) in capture.changes {
            // What is gone must be removed all the same.
            match stored::read_key(&key) {
                Some(Key::Actor(actor)) if value.is_none() => self.dirty.gone.push((actor, true)),
                Some(Key::Call(call)) if value.is_none() => {
                    self.dirty.stored_calls.insert(call);
                    self.dirty.calls.push(call);
                }
                Some(Key::Timer(due_ms, actor, name)) if value.is_none() => {
                    self.dirty.timers_gone.push((due_ms, actor, name));
                }
                _ => {}
            }
        }
    }

    /// Whether a due timer is one that its actor has set, which must be in memory; one that is not is forgotten.
    pub(crate) fn confirm_timer(&mut self, key: (u64, ActorId, u32), generation: u64) -> bool {
        let (due_ms, actor, name) = key;
        let is_set = |row: &Actor| {
            row.timers.iter().any(|timer| (timer.due_ms, timer.name, timer.generation) == (due_ms, name, generation))
        };
        let confirmed = self.actors.get(&actor).is_some_and(is_set);
        if !confirmed {
            self.timers.remove(&key);
            self.dirty.timer_gone(key, true);
        }
        confirmed
    }

    /// Timers as the store lists them; of an actor in memory, memory knows better.
    pub(crate) fn admit_timers(&mut self, timers: Vec<((u64, ActorId, u32), u64)>) {
        for (key, generation) in timers {
            if !self.actors.contains_key(&key.1) {
                self.timers.insert(key, generation);
            }
        }
    }

    /// Let an actor leave memory, and its ancestors that only it kept here. `needed` says who must stay.
    pub(crate) fn evict(
        &mut self,
        actor: ActorId,
        window_ms: u64,
        needed: &impl Fn(ActorId, StreamId) -> bool,
    ) -> usize {
        let mut evicted = 0;
        let mut next = actor;
        while let Some(row) = self.actors.get(&next)
            && row.may_leave()
            && !needed(next, row.stream)
        {
            let Some(row) = self.actors.remove(&next) else { break };
            for timer in row.timers.iter().filter(|timer| timer.due_ms >= window_ms) {
                self.timers.remove(&(timer.due_ms, next, timer.name));
            }
            if row.stream.0 == next.0 {
                self.streams.remove(&row.stream);
            }
            evicted += 1;
            let Some(parent) = self.actors.get_mut(&row.parent) else { break };
            parent.keep.resident_children = parent.keep.resident_children.saturating_sub(1);
            next = row.parent;
        }
        evicted
    }
}

/// Maps with less room are left as they are.
const ROOM_MIN: usize = 4_096;

/// Give back the room of a map that is nearly empty. What is left of it is moved, and that is little.
pub(crate) fn shrink<K: Eq + std::hash::Hash, V>(map: &mut FxHashMap<K, V>) {
    if map.capacity() > ROOM_MIN && map.len() < map.capacity() / 16 {
        map.shrink_to(map.len() * 2);
    }
}

impl Live {
    /// Give back the room of those who left.
    pub(crate) fn give_room_back(&mut self) {
        shrink(&mut self.actors);
        shrink(&mut self.streams);
    }
}

impl Actor {
    /// The store's hints of it may be of another age: the next capture writes them again.
    pub(super) fn forget_hints(&mut self) {
        for timer in &mut self.timers {
            timer.listed.0 = false;
        }
        self.keep.marked = Marked::Unsure;
    }

    /// Whether nothing of it has to be in memory.
    fn may_leave(&self) -> bool {
        self.keep.save == Save::Clean && self.is_idle()
    }

    /// How many of its children are in memory.
    pub(crate) fn resident_children(&self) -> u32 {
        self.keep.resident_children
    }

    /// Whether it has no mail and keeps no children in memory.
    pub(crate) fn is_idle(&self) -> bool {
        self.mailbox.is_empty() && self.keep.resident_children == 0
    }
}
