//! What is live: actors, mailboxes, timers, calls and index rows, as the fold of all row operations.
//!
//! The accepted view keeps one, recovery builds one from the records, and a test compares the two.
//!
//! **Invariant:** `Live` changes only through [`Live::apply`] and the removal of a coalesced message, so that what is in
//! memory is what the records say.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::{
    call::{Row, RowState},
    chain::{self, Head},
    codec,
    entry::{Body, Entry},
    id::{ActorId, CallId, StreamId},
    record::{FORMAT, NOTE, Note, Op, Record},
    store::{self, Recovered, Store},
};

/// Most dead letters that are kept; the oldest give way.
const DEAD_LETTERS_MAX: usize = 10_000;

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
    /// Messages in the order they are taken.
    pub mailbox: VecDeque<Entry>,
    pub(crate) next_entry: u64,
    pub(crate) snapshot: Option<Bytes>,
    pub(crate) events: Vec<Bytes>,
    pub(crate) event_bytes: usize,
    pub(crate) timers: Vec<Timer>,
}

/// A timer that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timer {
    pub(crate) name: u32,
    pub(crate) generation: u64,
    pub(crate) due_ms: u64,
}

/// A message that was given up.
#[derive(Clone, Debug, PartialEq)]
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
    /// Actors that have not finished.
    pub actors: FxHashMap<ActorId, Actor>,
    /// Calls without an outcome, oldest first.
    pub calls: BTreeMap<CallId, Row>,
    /// Index rows.
    pub index: BTreeMap<Bytes, Bytes>,
    /// Messages that were given up, oldest first.
    pub dead: VecDeque<DeadLetter>,
    /// Where each stream with a live actor has come to.
    pub streams: FxHashMap<StreamId, Head>,
    /// `(due, actor, name)`.
    pub(crate) timers: BTreeMap<(u64, ActorId, u32), u64>,
    /// The highest number that any id holds.
    pub(crate) highest_id: u64,
    /// No earlier time is given to anything accepted from now on.
    pub(crate) latest_ms: u64,
}

impl Live {
    /// Fold every durable record of a store.
    ///
    /// # Errors
    /// If the store does not recover, a record cannot be read, or a chain does not arrive at its head.
    pub fn fold(store: &dyn Store) -> Result<(Self, Recovered), store::Error> {
        let mut live = Self::default();
        let recovered = store.recover(&mut |sequence, payload| {
            let undecodable = |cause: String| store::Error::Undecodable { sequence, cause };
            let record: Record = codec::open(FORMAT, payload).map_err(|error| undecodable(error.to_string()))?;
            live.apply_record(&record).map_err(undecodable)
        })?;
        Ok((live, recovered))
    }

    /// Apply all of a record.
    ///
    /// # Errors
    /// If a chain does not arrive at the head that the record names.
    pub(crate) fn apply_record(&mut self, record: &Record) -> Result<(), String> {
        for op in &record.ops {
            self.apply(record.base_ms, op);
        }
        for (stream, head) in &record.heads {
            // A stream whose root finished in this record is gone from memory; the ledger still verifies it.
            if self.streams.get(stream).is_some_and(|folded| folded != head) {
                return Err(format!("the chain of {stream} does not arrive at the head that the record names"));
            }
        }
        Ok(())
    }

    /// Apply one operation; its times count from `base_ms`.
    pub(crate) fn apply(&mut self, base_ms: u64, op: &Op) {
        match op {
            Op::Nothing => {}
            Op::Spawn { actor, kind, parent, stream } => self.spawn(*actor, *kind, *parent, *stream),
            Op::Turn { actor, at, consumed, events } => {
                let digests: Vec<_> = events.iter().map(|event| chain::digest(event)).collect();
                self.turn(*actor, self.at(base_ms, *at), *consumed, events, &digests);
            }
            Op::Deliver { to, at, number, body } => self.deliver(*to, self.at(base_ms, *at), *number, body),
            Op::Discard { actor, number } => self.discard(*actor, *number),
            Op::Snapshot { actor, state } => self.snapshot(*actor, state),
            Op::Timer { actor, name, generation, due_ms } => self.set_timer(*actor, *name, *generation, *due_ms),
            Op::TimerGone { actor, name } => self.clear_timer(*actor, *name),
            Op::Call { call, row } => self.call(*call, row),
            Op::CallStarted { call } => self.mark(*call, RowState::Started),
            Op::CallNotStarted { call } => self.mark(*call, RowState::Intended),
            Op::CallDoubted { call, failure } => self.mark(*call, RowState::InDoubt(failure.clone())),
            Op::CallProbing { call, probing } => self.mark(*call, RowState::Probing(probing.clone())),
            Op::CallGone { call } => self.end_call(*call),
            Op::CallCheckpoint { call, bytes } => {
                if let Some(row) = self.calls.get_mut(call) {
                    row.request.checkpoint = Some(bytes.clone());
                }
            }
            Op::Put { key, value } => _ = self.index.insert(key.clone(), value.clone()),
            Op::Remove { key } => _ = self.index.remove(key),
            Op::Stop { actor } => self.stop(*actor),
            Op::Dead { to, at, reason, body } => self.bury(*to, self.at(base_ms, *at), reason, body),
            Op::Suspend { actor, reason } => self.suspend(*actor, Some(reason.clone())),
            Op::Resume { actor } => self.suspend(*actor, None),
            Op::Note { actor, at, note } => self.note(*actor, self.at(base_ms, *at), note),
        }
    }

    fn at(&self, base_ms: u64, at: u32) -> u64 {
        base_ms + u64::from(at)
    }

    fn spawn(&mut self, actor: ActorId, kind: u32, parent: ActorId, stream: StreamId) {
        self.highest_id = self.highest_id.max(actor.0 >> 8);
        self.streams.entry(stream).or_default();
        if let Some(parent) = self.actors.get_mut(&parent) {
            parent.children += 1;
        }
        self.actors.insert(
            actor,
            Actor {
                kind,
                parent,
                stream,
                version: 0,
                children: 0,
                calls: 0,
                suspended: None,
                mailbox: VecDeque::new(),
                next_entry: 1,
                snapshot: None,
                events: Vec::new(),
                event_bytes: 0,
                timers: Vec::new(),
            },
        );
    }

    /// Apply a turn whose events are hashed already.
    pub(crate) fn turn(&mut self, actor: ActorId, at_ms: u64, consumed: u64, events: &[Bytes], digests: &[[u8; 32]]) {
        self.latest_ms = self.latest_ms.max(at_ms);
        let Some(row) = self.actors.get_mut(&actor) else { return };
        row.version += 1;
        row.remove_entry(consumed);
        let (kind, stream) = (row.kind, row.stream);
        for event in events {
            row.event_bytes += event.len();
            row.events.push(event.clone());
        }
        if let Some(head) = self.streams.get_mut(&stream) {
            *head = digests.iter().fold(*head, |head, digest| head.extended(kind, at_ms, digest));
        }
    }

    fn note(&mut self, actor: ActorId, at_ms: u64, note: &Note) {
        let Some(stream) = self.actors.get(&actor).map(|row| row.stream) else { return };
        if let Some(head) = self.streams.get_mut(&stream) {
            *head = head.extended(NOTE.type_id, at_ms, &chain::digest(&codec::seal(NOTE, note)));
        }
    }

    fn deliver(&mut self, to: ActorId, accepted_at: u64, number: u64, body: &Body) {
        self.latest_ms = self.latest_ms.max(accepted_at);
        let Some(row) = self.actors.get_mut(&to) else { return };
        row.next_entry = row.next_entry.max(number + 1);
        row.mailbox.push_back(Entry { number, accepted_at, body: body.clone(), reply: None, place: None });
    }

    fn discard(&mut self, actor: ActorId, number: u64) {
        if let Some(row) = self.actors.get_mut(&actor) {
            row.remove_entry(number);
        }
    }

    fn snapshot(&mut self, actor: ActorId, state: &Bytes) {
        if let Some(row) = self.actors.get_mut(&actor) {
            row.snapshot = Some(state.clone());
            row.events.clear();
            row.event_bytes = 0;
        }
    }

    fn set_timer(&mut self, actor: ActorId, name: u32, generation: u64, due_ms: u64) {
        self.clear_timer(actor, name);
        if let Some(row) = self.actors.get_mut(&actor) {
            row.timers.push(Timer { name, generation, due_ms });
            self.timers.insert((due_ms, actor, name), generation);
        }
    }

    fn clear_timer(&mut self, actor: ActorId, name: u32) {
        let Some(row) = self.actors.get_mut(&actor) else { return };
        if let Some(at) = row.timers.iter().position(|timer| timer.name == name) {
            let timer = row.timers.swap_remove(at);
            self.timers.remove(&(timer.due_ms, actor, name));
        }
    }

    fn call(&mut self, call: CallId, row: &Row) {
        self.highest_id = self.highest_id.max(call.0);
        if let Some(caller) = self.actors.get_mut(&row.caller) {
            caller.calls += 1;
        }
        self.calls.insert(call, row.clone());
    }

    fn mark(&mut self, call: CallId, state: RowState) {
        if let Some(row) = self.calls.get_mut(&call) {
            row.state = state;
        }
    }

    fn end_call(&mut self, call: CallId) {
        if let Some(row) = self.calls.remove(&call)
            && let Some(caller) = self.actors.get_mut(&row.caller)
        {
            caller.calls = caller.calls.saturating_sub(1);
        }
    }

    fn stop(&mut self, actor: ActorId) {
        let Some(row) = self.actors.remove(&actor) else { return };
        for timer in &row.timers {
            self.timers.remove(&(timer.due_ms, actor, timer.name));
        }
        if let Some(parent) = self.actors.get_mut(&row.parent) {
            parent.children = parent.children.saturating_sub(1);
        }
        if row.stream.0 == actor.0 {
            self.streams.remove(&row.stream);
        }
    }

    fn bury(&mut self, to: ActorId, at_ms: u64, reason: &str, body: &Body) {
        if self.dead.len() == DEAD_LETTERS_MAX {
            self.dead.pop_front();
        }
        self.dead.push_back(DeadLetter { to, at_ms, reason: reason.to_owned(), body: body.clone() });
    }

    fn suspend(&mut self, actor: ActorId, reason: Option<String>) {
        if let Some(row) = self.actors.get_mut(&actor) {
            row.suspended = reason;
        }
    }
}

impl Actor {
    fn remove_entry(&mut self, number: u64) {
        if self.mailbox.front().is_some_and(|entry| entry.number == number) {
            self.mailbox.pop_front();
        } else if number != 0 {
            self.mailbox.retain(|entry| entry.number != number);
        }
    }
}
