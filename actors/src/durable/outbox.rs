//! What a turn did, collected; nothing has happened yet.

use std::{cell::Cell, fmt, marker::PhantomData};

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    behavior::Rejection,
    call::Request,
    care::Care,
    chain, codec,
    entry::Body,
    id::{ActorId, CallId},
    meters::Mark,
    record::Note,
};

/// An actor of a known behaviour.
pub struct Address<B> {
    /// Which actor.
    pub id: ActorId,
    behavior: PhantomData<fn() -> B>,
}

impl<B> Address<B> {
    /// The address of an actor that is known to have this behaviour.
    #[must_use]
    pub const fn new(id: ActorId) -> Self {
        Self { id, behavior: PhantomData }
    }
}

impl<B> Clone for Address<B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for Address<B> {}

impl<B> fmt::Debug for Address<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl<B> PartialEq for Address<B> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<B> Eq for Address<B> {}

/// As its id: an address may be part of a message, and so tell an actor whom to answer.
impl<B> Serialize for Address<B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.id.serialize(serializer)
    }
}

impl<'de, B> Deserialize<'de> for Address<B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ActorId::deserialize(deserializer).map(Self::new)
    }
}

/// A child to be made, with its first message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spawned {
    pub(crate) id: ActorId,
    pub(crate) kind: u32,
    pub(crate) first: Bytes,
    pub(crate) care: Care,
}

/// A timer to be set (`due_ms` is `Some`) or cleared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TimerChange {
    pub(crate) name: u32,
    pub(crate) due_ms: Option<u64>,
}

/// Most sends of one turn.
pub(crate) const SENDS_MAX: usize = 1_000;
/// Most bytes of one turn.
pub(crate) const BYTES_MAX: usize = 1024 * 1024;

/// What a turn's events and messages are written into, and when there is too little of it left.
const ARENA: usize = 1024;
const ARENA_LEAST: usize = 128;

/// An outbox with room for more than this in its lists is not used again.
const ROOM_MAX: usize = 512;

thread_local! {
    /// The outbox that this thread was last done with.
    static DONE_WITH: Cell<Option<Box<Outbox>>> = const { Cell::new(None) };
}

/// Everything one turn did.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) events: Vec<Bytes>,
    /// By which the events enter their stream's chain; hashed on the actor's own thread.
    pub(crate) digests: Vec<[u8; 32]>,
    pub(crate) sends: Vec<(ActorId, Body)>,
    pub(crate) spawns: Vec<Spawned>,
    pub(crate) timers: Vec<TimerChange>,
    pub(crate) calls: Vec<(CallId, Request, Option<super::call::Failure>)>,
    pub(crate) settled: Vec<CallId>,
    pub(crate) cancelled: Vec<CallId>,
    pub(crate) puts: Vec<(Bytes, Option<Bytes>)>,
    pub(crate) notes: Vec<Note>,
    /// What it counts, once it is accepted; nothing of it is written.
    pub(crate) marks: Vec<Mark>,
    pub(crate) reply: Option<Result<Bytes, String>>,
    /// The message was refused; a message that nobody waits for goes to the dead letters with this reason.
    pub(crate) refusal: Option<Rejection>,
    pub(crate) snapshot: Option<Bytes>,
    pub(crate) stop: bool,
    pub(crate) bytes: usize,
    arena: BytesMut,
}

impl Outbox {
    /// An empty one, in the room of the one that this thread was last done with: most turns fill the same few lists.
    pub(crate) fn empty() -> Box<Self> {
        DONE_WITH.try_with(Cell::take).ok().flatten().unwrap_or_default()
    }

    /// Nobody needs what is left in it: the next turn on this thread uses its room.
    pub(crate) fn put_away(mut self: Box<Self>) {
        if self.clear() <= ROOM_MAX {
            // A thread that is ending takes no more turns.
            let _ = DONE_WITH.try_with(|room| room.set(Some(self)));
        }
    }

    /// Empty all lists; returns how much they have room for.
    fn clear(&mut self) -> usize {
        fn cleared<T>(list: &mut Vec<T>) -> usize {
            list.clear();
            list.capacity()
        }
        // All fields are named, so that a new one is not forgotten here.
        let Self {
            events,
            digests,
            sends,
            spawns,
            timers,
            calls,
            settled,
            cancelled,
            puts,
            notes,
            marks,
            reply,
            refusal,
            snapshot,
            stop,
            bytes,
            arena: _,
        } = self;
        (*reply, *refusal, *snapshot, *stop, *bytes) = (None, None, None, false, 0);
        let room = cleared(events) + cleared(digests) + cleared(sends) + cleared(spawns) + cleared(timers);
        room + cleared(calls) + cleared(settled) + cleared(cancelled) + cleared(puts) + cleared(notes) + cleared(marks)
    }

    pub(crate) fn seal<T: Serialize>(&mut self, format: codec::Format, value: &T) -> Bytes {
        // One allocation serves most turns.
        if self.arena.capacity() < ARENA_LEAST {
            self.arena.reserve(ARENA);
        }
        codec::seal_into(format, value, &mut self.arena);
        let sealed = self.arena.split().freeze();
        self.bytes += sealed.len();
        sealed
    }

    pub(crate) fn emit(&mut self, payload: Bytes) {
        self.digests.push(chain::digest(&payload));
        self.events.push(payload);
    }

    /// Why the turn is too large, if it is.
    pub(crate) fn over_budget(&self) -> Option<String> {
        let sends = self.sends.len() + self.spawns.len() + self.calls.len();
        if sends > SENDS_MAX {
            Some(format!("the turn sends {sends} messages, and {SENDS_MAX} are allowed"))
        } else if self.bytes > BYTES_MAX {
            Some(format!("the turn writes {} bytes, and {BYTES_MAX} are allowed", self.bytes))
        } else {
            None
        }
    }

    /// The same turn as a rejection: it consumes its message and does nothing else.
    pub(crate) fn rejected(rejection: Rejection) -> Self {
        Self { reply: Some(Err(rejection.reason.clone())), refusal: Some(rejection), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outbox_that_is_used_again_holds_nothing_of_the_turn_before() {
        let mut outbox = Outbox::rejected(Rejection::new("refused"));
        outbox.emit(Bytes::from_static(b"event"));
        outbox.sends.push((ActorId(1), Body::Message(Bytes::new())));
        outbox.spawns.push(Spawned { id: ActorId(2), kind: 3, first: Bytes::new(), care: Care::default() });
        outbox.timers.push(TimerChange { name: 4, due_ms: None });
        outbox.settled.push(CallId(5));
        outbox.cancelled.push(CallId(6));
        outbox.puts.push((Bytes::new(), None));
        outbox.notes.push(Note::Buried { reason: String::new() });
        outbox.marks.push(Mark { counter: "", value: "", count: 1, lasted_ms: None });
        (outbox.snapshot, outbox.stop, outbox.bytes) = (Some(Bytes::new()), true, 7);
        Box::new(outbox).put_away();
        let again = Outbox::empty();
        assert_eq!(format!("{again:?}"), format!("{:?}", Outbox::default()));
        assert!(again.sends.capacity() > 0, "it has the room of the one before");
    }
}
