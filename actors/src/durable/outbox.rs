//! What a turn did, collected; nothing has happened yet.

use std::{fmt, marker::PhantomData};

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    behavior::Rejection,
    call::Request,
    care::Care,
    chain, codec,
    entry::Body,
    id::{ActorId, CallId},
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
    pub(crate) reply: Option<Result<Bytes, String>>,
    /// The message was refused; a message that nobody waits for goes to the dead letters with this reason.
    pub(crate) refusal: Option<Rejection>,
    pub(crate) snapshot: Option<Bytes>,
    pub(crate) stop: bool,
    pub(crate) bytes: usize,
    arena: BytesMut,
}

impl Outbox {
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
