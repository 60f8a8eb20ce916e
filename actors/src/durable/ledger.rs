//! The ledger: what happened, in order, read from the durable records; and the check that nobody changed it.
//!
//! Observers read here, from a cursor; they never ask an actor.

mod everything;
mod refold;
mod tail;

use std::{
    collections::{BTreeSet, hash_map::Entry},
    sync::Arc,
};

use bytes::Bytes;
use rustc_hash::FxHashMap;
use serde::Serialize;
use serde_json::Value;

pub use self::{refold::Refolded, tail::Tail};
use super::{
    chain::{self, Head},
    codec,
    id::{ActorId, Sequence, StreamId},
    kind::Registry,
    record::{FORMAT, NOTE, Note, Op, Record},
    store::{self, Past, PastEvent, Store},
};

/// One event in the ledger.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    /// The record it became durable with.
    pub record: u64,
    /// Its stream.
    #[serde(skip)]
    pub stream: StreamId,
    /// Its number in the stream, from 1.
    pub number: u64,
    /// When it was accepted, in milliseconds since 1970.
    pub at_ms: u64,
    /// Whose event it is.
    #[serde(serialize_with = "as_text")]
    pub actor: ActorId,
    /// The actor's kind.
    pub kind: &'static str,
    /// What happened.
    pub what: What,
    /// The chain's hash after it, in hexadecimal.
    pub hash: String,
}

fn as_text<S: serde::Serializer>(actor: &ActorId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(actor)
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A behaviour's event.
    Event(Value),
    /// The runtime's own.
    Runtime(Value),
    /// Bytes that this build cannot read; the chain covers them all the same.
    Unreadable {
        /// How many bytes.
        bytes: usize,
    },
}

/// Reads durable events.
#[derive(Clone)]
pub struct Ledger {
    store: Arc<dyn Store>,
    registry: Registry,
}

/// What a check of the chains found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Streams seen.
    pub streams: u64,
    /// Events whose hashes were computed again.
    pub events: u64,
    /// What is wrong, in sentences; empty when all is well.
    pub problems: Vec<String>,
}

impl Ledger {
    /// A ledger over a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, registry: Registry) -> Self {
        Self { store, registry }
    }

    /// Visit one stream's events in order, while `visit` says `true`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn stream(&self, stream: StreamId, visit: &mut dyn FnMut(Item) -> bool) -> Result<(), store::Error> {
        self.walk(Some(stream), Sequence(1), visit)
    }

    /// Visit the events of all streams, those of each in order, while `visit` says `true`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn all(&self, visit: &mut dyn FnMut(Item) -> bool) -> Result<(), store::Error> {
        self.walk(None, Sequence(1), visit)
    }

    fn walk(
        &self,
        only: Option<StreamId>,
        from: Sequence,
        visit: &mut dyn FnMut(Item) -> bool,
    ) -> Result<(), store::Error> {
        let mut from = from;
        loop {
            let past = self.store.past()?;
            let mut reader = Reader::new(only);
            let mut go_on = true;
            past.visit(only, &mut |head, event| {
                go_on = event.record < from || visit(item(&self.registry, (event.stream, head), event));
                go_on
            })?;
            if !go_on {
                return Ok(());
            }
            let whole = self.scan(past.end().next(), &mut |sequence, record| {
                reader.read(&*past, &self.registry, sequence, record, &mut |item| sequence < from || visit(item))
            })?;
            if whole {
                return Ok(());
            }
            from = from.max(past.end().next());
        }
    }

    /// Compute every chain again and compare it with the heads that the records carry.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn verify(&self) -> Result<Verified, store::Error> {
        self.verify_only(None)
    }

    /// The same for one stream.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn verify_stream(&self, stream: StreamId) -> Result<Verified, store::Error> {
        self.verify_only(Some(stream))
    }

    fn verify_only(&self, only: Option<StreamId>) -> Result<Verified, store::Error> {
        loop {
            if let Some(found) = self.try_to_verify(only)? {
                return Ok(found);
            }
        }
    }

    /// `None` if records went into the past meanwhile.
    fn try_to_verify(&self, only: Option<StreamId>) -> Result<Option<Verified>, store::Error> {
        let past = self.store.past()?;
        let mut reader = Reader::new(only);
        let mut found = Verified { problems: past.verify()?, ..Verified::default() };
        let mut streams = BTreeSet::new();
        past.visit(only, &mut |_, event| {
            streams.insert(event.stream);
            found.events += 1;
            true
        })?;
        let whole = self.scan(past.end().next(), &mut |sequence, record| {
            reader.walk(&*past, sequence, record, &mut |_, _, event| {
                streams.insert(event.stream);
                found.events += 1;
                true
            })?;
            for (stream, head) in record.heads.iter().filter(|(stream, _)| only.is_none_or(|only| only == *stream)) {
                // A record may name a stream without extending it.
                let arrived = reader.heads.get(stream).copied().map_or_else(|| past.head(*stream), Ok)?;
                if arrived != *head {
                    let (at, says) = (arrived.count, head.count);
                    found.problems.push(format!(
                        "record {sequence}: the chain of {stream} does not arrive at its head (at event {at}, and the head says {says})"
                    ));
                }
            }
            Ok(true)
        })?;
        found.streams = streams.len() as u64;
        Ok(whole.then_some(found))
    }

    /// Read records from one on. `false` if it is not there any more, because it went into the past meanwhile: nothing was
    /// visited then, and the past is to be looked at again.
    fn scan(
        &self,
        from: Sequence,
        visit: &mut dyn FnMut(Sequence, &Record) -> Result<bool, store::Error>,
    ) -> Result<bool, store::Error> {
        let (mut wrong, mut next, mut gone) = (None, from, false);
        self.store.scan(from, &mut |sequence, payload| {
            gone = sequence != next;
            if gone {
                return false;
            }
            next = sequence.next();
            let record = codec::open::<Record>(FORMAT, payload)
                .map_err(|error| store::Error::Undecodable { sequence, cause: error.to_string() });
            record.and_then(|record| visit(sequence, &record)).unwrap_or_else(|error| {
                wrong = Some(error);
                false
            })
        })?;
        match wrong {
            Some(error) => Err(error),
            None if gone && self.store.past()?.end() < next => {
                let cause = "it is neither among the records nor in the past".to_owned();
                Err(store::Error::Undecodable { sequence: next, cause })
            }
            None => Ok(!gone),
        }
    }
}

/// What was live before the first record that is read.
pub(crate) trait Ground {
    /// The kind and the stream of an actor.
    fn whose(&self, actor: ActorId) -> Result<Option<(u32, StreamId)>, store::Error>;
    /// Where a stream had come to.
    fn head(&self, stream: StreamId) -> Result<Head, store::Error>;
}

impl Ground for dyn Past {
    fn whose(&self, actor: ActorId) -> Result<Option<(u32, StreamId)>, store::Error> {
        Past::whose(self, actor)
    }

    fn head(&self, stream: StreamId) -> Result<Head, store::Error> {
        Past::head(self, stream)
    }
}

/// Hears of one event, and of its stream's heads before and after it. Says whether to go on.
pub(crate) type Visit<'a> = dyn FnMut(Head, Head, PastEvent) -> bool + 'a;

/// Follows streams through the records.
pub(crate) struct Reader {
    wanted: Option<StreamId>,
    /// Whether streams come to where records say.
    trusts: bool,
    actors: FxHashMap<ActorId, Option<(u32, StreamId)>>,
    heads: FxHashMap<StreamId, Head>,
}

impl Reader {
    pub(crate) fn new(wanted: Option<StreamId>) -> Self {
        Self { wanted, trusts: false, actors: FxHashMap::default(), heads: FxHashMap::default() }
    }

    /// One that takes streams to come to where records say, and hashes no event of those: between two heads that a record
    /// says, only the count of a head holds. Whoever keeps what it reads checks that it leads from head to head.
    pub(crate) fn trusting() -> Self {
        Self { trusts: true, ..Self::new(None) }
    }

    fn read(
        &mut self,
        ground: &(dyn Past + 'static),
        registry: &Registry,
        sequence: Sequence,
        record: &Record,
        visit: &mut dyn FnMut(Item) -> bool,
    ) -> Result<bool, store::Error> {
        self.walk(ground, sequence, record, &mut |_, head, event| visit(item(registry, (event.stream, head), event)))
    }

    /// Visit the events of one record; says whether to go on.
    pub(crate) fn walk<G: Ground + ?Sized>(
        &mut self,
        ground: &G,
        sequence: Sequence,
        record: &Record,
        visit: &mut Visit<'_>,
    ) -> Result<bool, store::Error> {
        for op in &record.ops {
            let go_on = match op {
                Op::Spawn { actor, kind, stream, .. } => {
                    let is_wanted = self.wanted.is_none_or(|wanted| wanted == *stream);
                    self.actors.insert(*actor, is_wanted.then_some((*kind, *stream)));
                    // A stream begins with its root, and nobody need look where it had come to before.
                    if is_wanted && stream.0 == actor.0 {
                        self.heads.insert(*stream, Head::default());
                    }
                    true
                }
                Op::Turn { actor, at, events, .. } => {
                    let at_ms = record.base_ms + u64::from(*at);
                    let mut go_on = true;
                    for event in events {
                        go_on = go_on
                            && self.step(ground, (sequence, record), *actor, at_ms, (event.clone(), false), visit)?;
                    }
                    go_on
                }
                Op::Note { actor, at, note } => {
                    let at_ms = record.base_ms + u64::from(*at);
                    self.step(ground, (sequence, record), *actor, at_ms, (codec::seal(NOTE, note), true), visit)?
                }
                Op::Stop { actor } | Op::Ended { actor, .. } => {
                    self.actors.remove(actor);
                    true
                }
                _ => true,
            };
            if !go_on {
                return Ok(false);
            }
        }
        if self.trusts {
            for (stream, head) in &record.heads {
                self.heads.entry(*stream).and_modify(|come_to| *come_to = *head);
            }
        }
        Ok(true)
    }

    fn step<G: Ground + ?Sized>(
        &mut self,
        ground: &G,
        (sequence, record): (Sequence, &Record),
        actor: ActorId,
        at_ms: u64,
        (payload, is_note): (Bytes, bool),
        visit: &mut Visit<'_>,
    ) -> Result<bool, store::Error> {
        let known = match self.actors.get(&actor) {
            Some(known) => *known,
            None => {
                let found = ground.whose(actor)?;
                let wanted = found.filter(|(_, stream)| self.wanted.is_none_or(|wanted| wanted == *stream));
                *self.actors.entry(actor).or_insert(wanted)
            }
        };
        let Some((kind, stream)) = known else { return Ok(true) };
        let come_to = match self.heads.entry(stream) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(ground.head(stream)?),
        };
        let before = *come_to;
        let number = before.count + 1;
        let event = PastEvent { stream, number, record: sequence, at_ms, actor, kind, is_note, payload };
        let is_told = self.trusts && record.heads.binary_search_by_key(&stream, |(stream, _)| *stream).is_ok();
        let after = if is_told { Head { count: number, ..before } } else { extended(&before, &event) };
        *come_to = after;
        Ok(visit(before, after, event))
    }
}

/// Where a stream has come to with one more event.
pub(crate) fn extended(head: &Head, event: &PastEvent) -> Head {
    let kind = if event.is_note { NOTE.type_id } else { event.kind };
    head.extended(kind, event.at_ms, &chain::digest(&event.payload))
}

fn item(registry: &Registry, (stream, head): (StreamId, Head), event: PastEvent) -> Item {
    let what = if event.is_note {
        let note = codec::open::<Note>(NOTE, &event.payload).ok().and_then(|note| serde_json::to_value(note).ok());
        note.map(What::Runtime)
    } else {
        registry.describe_event(event.kind, &event.payload).map(What::Event)
    };
    let what = what.unwrap_or(What::Unreadable { bytes: event.payload.len() });
    let hash = head.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let PastEvent { number, record, at_ms, actor, kind, .. } = event;
    Item { record: record.0, stream, number, at_ms, actor, kind: registry.name(kind), what, hash }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was live before, of which nobody should need to know.
    struct Unasked;

    impl Ground for Unasked {
        fn whose(&self, actor: ActorId) -> Result<Option<(u32, StreamId)>, store::Error> {
            panic!("{actor} was looked for")
        }

        fn head(&self, stream: StreamId) -> Result<Head, store::Error> {
            panic!("{stream} was looked for")
        }
    }

    /// Once every run cost its ledger segment a look into a base.
    #[test]
    fn a_stream_that_begins_in_what_is_read_is_looked_for_nowhere() {
        let (actor, stream) = (ActorId(0x100), StreamId(0x100));
        let events = vec![Bytes::from("one"), Bytes::from("two")];
        let spawn = Op::Spawn { actor, kind: 7, parent: ActorId::ENGINE, stream };
        let ops = vec![spawn, Op::Turn { actor, at: 0, consumed: 0, events }];
        let mut counts = Vec::new();
        let mut visit = |before: Head, after: Head, event: PastEvent| {
            counts.push((before.count, after.count, event.number));
            true
        };
        let record = Record { base_ms: 5, ops, heads: Vec::new() };
        assert!(Reader::new(None).walk(&Unasked, Sequence(1), &record, &mut visit).unwrap());
        assert_eq!(counts, [(0, 1, 1), (1, 2, 2)]);
    }
}
