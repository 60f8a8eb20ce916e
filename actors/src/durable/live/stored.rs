//! How rows lie in the store: their keys and their bytes.
//!
//! ```text
//! a ACTOR            an actor: mailbox, last snapshot, events since, timers; a root's also holds its stream's head
//! c CALL             a call without an outcome
//! i KEY              an index row
//! q ACTOR            this actor has mail or is suspended: a start looks at it
//! t DUE ACTOR NAME   this timer is set
//! ```
//! Numbers in keys are big-endian, so that keys sort as numbers do.
//!
//! **Invariants:** the bytes of a row depend on what it says alone, so two ways to the same state give the same bytes.
//! `q` and `t` are hints: one too many does no harm, because the actor's row is asked; none is missing.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::{Actor, Timer, dirty::Keep};
use crate::durable::{
    call::Row,
    care::Supervised,
    chain::Head,
    codec,
    entry::{Body, Entry},
    id::{ActorId, CallId, Sequence, StreamId},
};

const ACTOR: codec::Format = codec::Format::new("row/actor", 1);
/// The same, of an actor about whose supervision something was said.
const SUPERVISED: codec::Format = codec::Format::new("row/actor", 2);
const CALL: codec::Format = codec::Format::new("row/call", 1);
/// A call that promises heartbeats: the row, and the longest silence in milliseconds.
const BEATING: codec::Format = codec::Format::new("row/call", 2);

/// What a key names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Actor(ActorId),
    Call(CallId),
    Index(Bytes),
    Mail(ActorId),
    Timer(u64, ActorId, u32),
}

pub(crate) fn actor_key(actor: ActorId) -> Bytes {
    tagged(b'a', &actor.0.to_be_bytes())
}

pub(crate) fn call_key(call: CallId) -> Bytes {
    tagged(b'c', &call.0.to_be_bytes())
}

pub(crate) fn index_key(key: &[u8]) -> Bytes {
    tagged(b'i', key)
}

pub(crate) fn mail_key(actor: ActorId) -> Bytes {
    tagged(b'q', &actor.0.to_be_bytes())
}

pub(crate) fn timer_key((due_ms, actor, name): (u64, ActorId, u32)) -> Bytes {
    let mut key = BytesMut::with_capacity(21);
    key.put_u8(b't');
    key.put_u64(due_ms);
    key.put_u64(actor.0);
    key.put_u32(name);
    key.freeze()
}

fn tagged(tag: u8, rest: &[u8]) -> Bytes {
    let mut key = BytesMut::with_capacity(1 + rest.len());
    key.put_u8(tag);
    key.put_slice(rest);
    key.freeze()
}

/// Above every key.
pub(crate) const END: [u8; 1] = [b't' + 1];

/// All keys with a tag.
pub(crate) fn all(tag: u8) -> ([u8; 1], [u8; 1]) {
    ([tag], [tag + 1])
}

/// What a key names; `None` if it is none of ours.
pub(crate) fn read_key(key: &[u8]) -> Option<Key> {
    let (tag, rest) = key.split_first()?;
    let number =
        |at: usize| rest.get(at..at + 8).map(|bytes| u64::from_be_bytes(bytes.try_into().expect("eight bytes")));
    match (tag, rest.len()) {
        (b'a', 8) => Some(Key::Actor(ActorId(number(0)?))),
        (b'c', 8) => Some(Key::Call(CallId(number(0)?))),
        (b'i', _) => Some(Key::Index(Bytes::copy_from_slice(rest))),
        (b'q', 8) => Some(Key::Mail(ActorId(number(0)?))),
        (b't', 20) => {
            let name = u32::from_be_bytes(rest[16..].try_into().expect("four bytes"));
            Some(Key::Timer(number(0)?, ActorId(number(8)?), name))
        }
        _ => None,
    }
}

/// Whose row a key names, if it names an actor's.
pub(crate) fn actor_of(key: &[u8]) -> Option<ActorId> {
    match read_key(key) {
        Some(Key::Actor(actor)) => Some(actor),
        _ => None,
    }
}

/// An actor as it is stored.
#[derive(Serialize, Deserialize)]
struct ActorRow<'a> {
    kind: u32,
    parent: ActorId,
    stream: StreamId,
    version: u64,
    children: u32,
    calls: u32,
    suspended: Cow<'a, Option<String>>,
    mailbox: Vec<(u64, u64, Cow<'a, Body>)>,
    snapshot: Cow<'a, Option<Bytes>>,
    events: Cow<'a, [Bytes]>,
    timers: Cow<'a, [Timer]>,
    head: Option<Head>,
    changed: Sequence,
}

/// One about whose supervision something was said.
#[derive(Serialize, Deserialize)]
struct SupervisedRow<'a> {
    row: ActorRow<'a>,
    supervised: Supervised,
}

/// The bytes of an actor's row; `head` is that of the stream whose root it is.
pub(crate) fn seal_actor(actor: &Actor, head: Option<Head>) -> Bytes {
    let stored = ActorRow {
        kind: actor.kind,
        parent: actor.parent,
        stream: actor.stream,
        version: actor.version,
        children: actor.children,
        calls: actor.calls,
        suspended: Cow::Borrowed(&actor.suspended),
        mailbox: actor
            .mailbox
            .iter()
            .map(|entry| (entry.number, entry.accepted_at, Cow::Borrowed(&entry.body)))
            .collect(),
        snapshot: Cow::Borrowed(&actor.snapshot),
        events: Cow::Borrowed(&actor.events),
        timers: Cow::Borrowed(&actor.timers),
        head,
        changed: actor.keep.changed,
    };
    if actor.supervised == Supervised::default() {
        codec::seal(ACTOR, &stored)
    } else {
        codec::seal(SUPERVISED, &SupervisedRow { row: stored, supervised: actor.supervised })
    }
}

/// The actor in a row, and the head of the stream whose root it is.
pub(crate) fn open_actor(sealed: &[u8]) -> Result<(Actor, Option<Head>), codec::Error> {
    let wrapped = codec::unwrap(ACTOR.type_id, sealed)?;
    let (stored, supervised): (ActorRow<'static>, Supervised) = match wrapped.format {
        ACTOR => (wrapped.decode()?, Supervised::default()),
        SUPERVISED => {
            let SupervisedRow { row, supervised } = wrapped.decode()?;
            (row, supervised)
        }
        format => return Err(codec::Error::Version { found: format.version, known: SUPERVISED.version }),
    };
    let mailbox = stored.mailbox.into_iter().map(|(number, accepted_at, body)| Entry {
        number,
        accepted_at,
        body: body.into_owned(),
        reply: None,
        place: None,
    });
    let mailbox: std::collections::VecDeque<_> = mailbox.collect();
    let suspended = stored.suspended.into_owned();
    let keep = Keep::loaded(stored.changed, !mailbox.is_empty() || suspended.is_some());
    let events = stored.events.into_owned();
    let timers = stored.timers.iter().map(|timer| Timer { listed: super::Listed(true), ..*timer }).collect();
    let actor = Actor {
        kind: stored.kind,
        parent: stored.parent,
        stream: stored.stream,
        version: stored.version,
        children: stored.children,
        calls: stored.calls,
        suspended,
        supervised,
        next_entry: mailbox.back().map_or(1, |entry| entry.number + 1),
        mailbox,
        snapshot: stored.snapshot.into_owned(),
        event_bytes: events.iter().map(Bytes::len).sum(),
        events,
        timers,
        keep,
    };
    Ok((actor, stored.head))
}

pub(crate) fn seal_call(row: &Row) -> Bytes {
    match row.request.heartbeat_ms {
        None => codec::seal(CALL, row),
        Some(within_ms) => codec::seal(BEATING, &(row, within_ms)),
    }
}

pub(crate) fn open_call(sealed: &[u8]) -> Result<Row, codec::Error> {
    let stored = codec::unwrap(CALL.type_id, sealed)?;
    match stored.format {
        CALL => stored.decode(),
        BEATING => {
            let (mut row, within_ms): (Row, u64) = stored.decode()?;
            row.request.heartbeat_ms = Some(within_ms);
            Ok(row)
        }
        format => Err(codec::Error::Version { found: format.version, known: BEATING.version }),
    }
}
