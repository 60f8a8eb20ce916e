//! What is live: actors, mailboxes, timers, calls and index rows, as the fold of all row operations.
//!
//! The accepted view keeps one, recovery builds one from the records, and a test compares the two. It need not hold
//! everything: a row that nobody needs lies in the store (`live/residency.rs`), and is loaded when an operation touches
//! it.
//!
//! **Invariants:** `Live` changes only through [`Live::apply`] and the removal of a coalesced message, so that what is in
//! memory is what the records say. A row is in memory, where it is the truth, or in the store, or gone. While an actor
//! is in memory, so is its parent. Every call is in memory.

mod dirty;
mod index;
mod replay;
mod residency;
#[cfg(test)]
mod sabotage;
pub(crate) mod stored;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use rustc_hash::FxHashMap;

use self::dirty::{Dirty, Keep};
pub use self::index::Index;
pub(crate) use self::{
    dirty::Listed,
    index::{Known, dead_letter_key, dead_letter_number, dead_letters},
    replay::highest_id,
    residency::{Capture, Fetched, Written, fetch, shrink, undecodable},
};
use super::{
    call::{Row, RowState},
    care::Supervised,
    chain::{self, Head},
    codec,
    entry::{Body, Entry},
    id::{ActorId, CallId, Sequence, StreamId},
    record::{NOTE, Note, Op},
};
use crate::mutant::Mutant;

/// Most dead letters that are kept; the oldest give way.
pub(crate) const DEAD_LETTERS_MAX: u64 = 10_000;

/// One live actor.
#[derive(Clone, Debug, PartialEq)]
pub struct Actor {
    /// Its behaviour, by the hash of the storage name.
    pub kind: u32,
    /// Who spawned it.
    pub parent: ActorId,
    /// Where its events go.
    pub stream: StreamId,
    /// Turns committed so far.
    pub version: u64,
    /// Live children.
    pub children: u32,
    /// Calls without an outcome.
    pub calls: u32,
    /// Why it is not run, if it is not.
    pub suspended: Option<String>,
    pub(crate) supervised: Supervised,
    /// Messages in the order they are taken.
    pub mailbox: VecDeque<Entry>,
    pub(crate) next_entry: u64,
    pub(crate) snapshot: Option<Bytes>,
    pub(crate) events: Vec<Bytes>,
    pub(crate) event_bytes: usize,
    pub(crate) timers: Vec<Timer>,
    pub(crate) keep: Keep,
}

/// A timer that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Timer {
    pub(crate) name: u32,
    pub(crate) generation: u64,
    pub(crate) due_ms: u64,
    /// Whether the store may have an entry of it in its list of timers.
    #[serde(skip)]
    pub(crate) listed: Listed,
}

/// A message that was given up.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DeadLetter {
    /// Whom it was for.
    pub to: ActorId,
    /// When it was given up, in milliseconds since 1970.
    pub at_ms: u64,
    /// Why.
    pub reason: String,
    /// What it says.
    pub body: Body,
}

/// Everything that is live.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// Actors that have not finished and are in memory.
    pub actors: FxHashMap<ActorId, Actor>,
    /// Calls without an outcome, oldest first.
    pub calls: BTreeMap<CallId, Arc<Row>>,
    /// Index rows, as far as they are in memory.
    pub index: Index,
    /// Where each stream whose root is in memory has come to.
    pub streams: FxHashMap<StreamId, Head>,
    /// `(due, actor, name)`: those of actors in memory, and of others those that come due soon.
    pub(crate) timers: BTreeMap<(u64, ActorId, u32), u64>,
    /// The highest number that any id holds.
    pub(crate) highest_id: u64,
    /// No earlier time is given to anything accepted from now on.
    pub(crate) latest_ms: u64,
    /// The number of the next dead letter.
    pub(crate) next_dead: u64,
    dirty: Dirty,
}

impl Live {
    /// Apply one operation of a record; its times count from `base_ms`. A row that holds the record already is left as
    /// it is.
    pub(crate) fn apply(&mut self, record: Sequence, base_ms: u64, op: &Op) {
        match op {
            Op::Nothing => {}
            Op::Spawn { actor, kind, parent, stream } => self.spawn(record, *actor, *kind, *parent, *stream),
            Op::Turn { actor, at, consumed, events } => {
                let digests: Vec<_> = events.iter().map(|event| chain::digest(event)).collect();
                self.turn(record, *actor, at_ms(base_ms, *at), *consumed, events, &digests);
            }
            Op::Deliver { to, at, number, body } => self.deliver(record, *to, at_ms(base_ms, *at), *number, body),
            Op::Discard { actor, number } => _ = self.change(record, *actor, |row| row.remove_entry(*number)),
            Op::Snapshot { actor, state } => {
                self.change(record, *actor, |row| {
                    row.snapshot = Some(state.clone());
                    row.version += u64::from(Mutant::SnapshotRaisesVersion.is_chosen());
                    row.events.clear();
                    row.event_bytes = 0;
                });
            }
            Op::Timer { actor, name, generation, due_ms } => {
                let timer = Timer { name: *name, generation: *generation, due_ms: *due_ms, listed: Listed(false) };
                self.set_timer(record, *actor, timer);
            }
            Op::TimerGone { actor, name } => self.clear_timer(record, *actor, *name),
            Op::Call { call, row } => self.call(record, *call, row),
            Op::CallStarted { call } => self.mark(*call, RowState::Started),
            Op::CallNotStarted { call } => self.mark(*call, RowState::Intended),
            Op::CallDoubted { call, failure } => self.mark(*call, RowState::InDoubt((**failure).clone())),
            Op::CallProbing { call, probing } => self.mark(*call, RowState::Probing((**probing).clone())),
            Op::CallBeats { call, within_ms } => {
                if let Some(row) = self.calls.get_mut(call) {
                    Arc::make_mut(row).request.heartbeat_ms = Some(*within_ms);
                    self.dirty.call(*call);
                }
            }
            Op::CallGone { call } => {
                if let Some(caller) = self.calls.get(call).map(|row| row.caller) {
                    self.end_call(record, *call, caller);
                }
            }
            Op::CallEnded { call, caller } => self.end_call(record, *call, *caller),
            Op::CallCheckpoint { call, bytes } => {
                if let Some(row) = self.calls.get_mut(call) {
                    Arc::make_mut(row).request.checkpoint = Some(bytes.clone());
                    self.dirty.call(*call);
                }
            }
            Op::Put { key, value } => self.put(key, value),
            Op::Remove { key } => self.index.remove(key, &mut self.dirty),
            Op::Stop { actor } => {
                if let Some(parent) = self.actors.get(actor).map(|row| row.parent) {
                    self.stop(record, *actor, parent);
                }
            }
            Op::Ended { actor, parent } => self.stop(record, *actor, *parent),
            Op::Dead { to, at, reason, body } => {
                let letter =
                    DeadLetter { to: *to, at_ms: at_ms(base_ms, *at), reason: reason.clone(), body: body.clone() };
                let (key, value) = (dead_letter_key(self.next_dead), letter.seal());
                self.put(&key, &value);
            }
            Op::Suspend { actor, reason } => {
                self.change(record, *actor, |row| row.suspended = Some(reason.clone()));
            }
            Op::Resume { actor } => _ = self.change(record, *actor, |row| row.suspended = None),
            Op::Note { actor, at, note } => self.note(record, *actor, at_ms(base_ms, *at), note),
            Op::Supervised { actor, supervised } => {
                self.change(record, *actor, |row| row.supervised = *supervised);
            }
        }
    }

    /// Change an actor's row, unless it holds the record already.
    fn change<T>(&mut self, record: Sequence, actor: ActorId, change: impl FnOnce(&mut Actor) -> T) -> Option<T> {
        let row = self.actors.get_mut(&actor)?;
        self.dirty.actor(record, actor, row).then(|| change(row))
    }

    fn spawn(&mut self, record: Sequence, actor: ActorId, kind: u32, parent: ActorId, stream: StreamId) {
        self.highest_id = self.highest_id.max(actor.0 >> 8);
        self.change(record, parent, |parent| {
            parent.children += 1;
        });
        if self.actors.contains_key(&actor) {
            return;
        }
        if let Some(parent) = self.actors.get_mut(&parent) {
            parent.keep.resident_children += 1;
        }
        if stream.0 == actor.0 {
            self.streams.insert(stream, Head::default());
        }
        let mut row = Actor::new(kind, parent, stream);
        self.dirty.actor(record, actor, &mut row);
        self.actors.insert(actor, row);
    }

    /// Apply a turn whose events are hashed already.
    pub(crate) fn turn(
        &mut self,
        record: Sequence,
        actor: ActorId,
        at_ms: u64,
        consumed: u64,
        events: &[Bytes],
        digests: &[[u8; 32]],
    ) {
        self.latest_ms = self.latest_ms.max(at_ms);
        let Some(row) = self.actors.get_mut(&actor) else { return };
        let (kind, stream) = (row.kind, row.stream);
        if self.dirty.actor(record, actor, row) {
            row.version += 1;
            row.remove_entry(consumed);
            for event in events {
                row.event_bytes += event.len();
                row.events.push(event.clone());
            }
        }
        if Mutant::EventOutsideChain.is_chosen() && digests.len() > 1 {
            return;
        }
        self.extend(record, stream, |head| {
            digests.iter().fold(head, |head, digest| head.extended(kind, at_ms, digest))
        });
    }

    fn note(&mut self, record: Sequence, actor: ActorId, at_ms: u64, note: &Note) {
        let Some(stream) = self.actors.get(&actor).map(|row| row.stream) else { return };
        self.extend(record, stream, |head| {
            head.extended(NOTE.type_id, at_ms, &chain::digest(&codec::seal(NOTE, note)))
        });
    }

    /// A stream's head is part of its root's row.
    fn extend(&mut self, record: Sequence, stream: StreamId, extended: impl FnOnce(Head) -> Head) {
        let root = ActorId(stream.0);
        let Some(row) = self.actors.get_mut(&root) else { return };
        if self.dirty.actor(record, root, row)
            && let Some(head) = self.streams.get_mut(&stream)
        {
            *head = extended(*head);
        }
    }

    fn deliver(&mut self, record: Sequence, to: ActorId, accepted_at: u64, number: u64, body: &Body) {
        self.latest_ms = self.latest_ms.max(accepted_at);
        self.change(record, to, |row| {
            row.next_entry = row.next_entry.max(number + 1);
            if row.mailbox.capacity() == 0 {
                // Most mailboxes never hold a second message.
                row.mailbox.reserve_exact(1);
            }
            row.mailbox.push_back(Entry { number, accepted_at, body: body.clone(), reply: None, place: None });
        });
    }

    fn set_timer(&mut self, record: Sequence, actor: ActorId, timer: Timer) {
        let Some(row) = self.actors.get_mut(&actor) else { return };
        if !self.dirty.actor(record, actor, row) {
            return;
        }
        if let Some(old) = row.take_timer(timer.name) {
            self.forget_timer(actor, old);
        }
        if let Some(row) = self.actors.get_mut(&actor) {
            row.timers.push(timer);
        }
        self.timers.insert((timer.due_ms, actor, timer.name), timer.generation);
    }

    fn clear_timer(&mut self, record: Sequence, actor: ActorId, name: u32) {
        if let Some(Some(old)) = self.change(record, actor, |row| row.take_timer(name)) {
            self.forget_timer(actor, old);
        }
    }

    fn forget_timer(&mut self, actor: ActorId, timer: Timer) {
        let key = (timer.due_ms, actor, timer.name);
        self.timers.remove(&key);
        self.dirty.timer_gone(key, timer.listed.0);
    }

    fn call(&mut self, record: Sequence, call: CallId, row: &Arc<Row>) {
        self.highest_id = self.highest_id.max(call.0);
        self.change(record, row.caller, |caller| {
            caller.calls += 1;
        });
        self.dirty.call(call);
        self.calls.insert(call, row.clone());
    }

    fn mark(&mut self, call: CallId, state: RowState) {
        if let Some(row) = self.calls.get_mut(&call) {
            Arc::make_mut(row).state = state;
            self.dirty.call(call);
        }
    }

    fn end_call(&mut self, record: Sequence, call: CallId, caller: ActorId) {
        self.change(record, caller, |caller| caller.calls = caller.calls.saturating_sub(1));
        self.calls.remove(&call);
        self.dirty.call(call);
    }

    /// Put an index row. The dead letters among them are counted, and the oldest give way.
    fn put(&mut self, key: &Bytes, value: &Bytes) {
        if let Some(number) = index::dead_letter_number(key) {
            self.next_dead = self.next_dead.max(number + 1);
            if let Some(oldest) = number.checked_sub(DEAD_LETTERS_MAX) {
                self.index.remove(&dead_letter_key(oldest), &mut self.dirty);
            }
        }
        self.index.put(key, value, &mut self.dirty);
    }

    fn stop(&mut self, record: Sequence, actor: ActorId, parent: ActorId) {
        self.change(record, parent, |parent| parent.children = parent.children.saturating_sub(1));
        let Some(row) = self.actors.remove(&actor) else { return };
        self.dirty.gone(actor, &row);
        for timer in &row.timers {
            self.forget_timer(actor, *timer);
        }
        if let Some(parent) = self.actors.get_mut(&parent) {
            parent.keep.resident_children = parent.keep.resident_children.saturating_sub(1);
        }
        if row.stream.0 == actor.0 {
            self.streams.remove(&row.stream);
        }
    }

    /// The dead letters in memory that can be read, oldest first, each with its number.
    pub fn dead_letters(&self) -> impl Iterator<Item = (u64, DeadLetter)> {
        let (from, to) = index::dead_letters();
        let rows = self.index.range(from..to);
        rows.filter_map(|(key, sealed)| Some((dead_letter_number(key)?, DeadLetter::open(sealed).ok()?)))
    }

    /// The key of the next dead letter.
    pub(crate) fn next_dead_letter_key(&self) -> Bytes {
        dead_letter_key(self.next_dead)
    }
}

fn at_ms(base_ms: u64, at: u32) -> u64 {
    base_ms + u64::from(at)
}

impl Actor {
    fn new(kind: u32, parent: ActorId, stream: StreamId) -> Self {
        Self {
            kind,
            parent,
            stream,
            version: 0,
            children: 0,
            calls: 0,
            suspended: None,
            supervised: Supervised::default(),
            mailbox: VecDeque::new(),
            next_entry: 1,
            snapshot: None,
            events: Vec::new(),
            event_bytes: 0,
            timers: Vec::new(),
            keep: Keep::default(),
        }
    }

    fn remove_entry(&mut self, number: u64) {
        if self.mailbox.front().is_some_and(|entry| entry.number == number) {
            self.mailbox.pop_front();
        } else if number != 0 {
            self.mailbox.retain(|entry| entry.number != number);
        }
    }

    fn take_timer(&mut self, name: u32) -> Option<Timer> {
        let at = self.timers.iter().position(|timer| timer.name == name)?;
        Some(self.timers.swap_remove(at))
    }
}
