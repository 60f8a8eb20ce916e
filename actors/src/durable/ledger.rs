//! The ledger: what happened, in order, read from the durable records; and the check that nobody changed it.
//!
//! Observers read here, from a cursor; they never ask an actor.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::{broadcast, watch};

use super::{
    chain::{self, Head},
    codec,
    id::{ActorId, Sequence, StreamId},
    kind::Registry,
    record::{FORMAT, NOTE, Op, Record},
    store::{self, Store},
    system::Observed,
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
        let mut reader = Reader::new(Some(stream));
        self.scan(Sequence(1), &mut |sequence, record| reader.read(&self.registry, sequence, record, visit))
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
        let mut reader = Reader::new(only);
        let mut found = Verified::default();
        self.scan(Sequence(1), &mut |sequence, record| {
            found.events += reader.count(record);
            for (stream, head) in record.heads.iter().filter(|(stream, _)| only.is_none_or(|only| only == *stream)) {
                if reader.heads.get(stream) != Some(head) {
                    found
                        .problems
                        .push(format!("record {sequence}: the chain of {stream} does not arrive at its head"));
                }
            }
            true
        })?;
        found.streams = reader.heads.len() as u64;
        Ok(found)
    }

    fn scan(&self, from: Sequence, visit: &mut dyn FnMut(Sequence, &Record) -> bool) -> Result<(), store::Error> {
        let mut undecodable = None;
        self.store.scan(from, &mut |sequence, payload| match codec::open::<Record>(FORMAT, payload) {
            Ok(record) => visit(sequence, &record),
            Err(error) => {
                undecodable = Some(store::Error::Undecodable { sequence, cause: error.to_string() });
                false
            }
        })?;
        undecodable.map_or(Ok(()), Err)
    }
}

/// Hears of one event: its stream, the head after it, whose it is, when and what. Says whether to go on.
type Visit<'a> = dyn FnMut(StreamId, Head, ActorId, u32, (u64, Written<'_>)) -> bool + 'a;

/// Follows streams through the records.
struct Reader {
    wanted: Option<StreamId>,
    actors: BTreeMap<ActorId, (u32, StreamId)>,
    heads: BTreeMap<StreamId, Head>,
}

impl Reader {
    fn new(wanted: Option<StreamId>) -> Self {
        Self { wanted, actors: BTreeMap::new(), heads: BTreeMap::new() }
    }

    fn count(&mut self, record: &Record) -> u64 {
        let mut events = 0;
        self.walk(record, &mut |_, _, _, _, _| {
            events += 1;
            true
        });
        events
    }

    fn read(
        &mut self,
        registry: &Registry,
        sequence: Sequence,
        record: &Record,
        visit: &mut dyn FnMut(Item) -> bool,
    ) -> bool {
        self.walk(record, &mut |stream, head, actor, kind, event| {
            visit(item(registry, sequence, (stream, head), actor, kind, event))
        })
    }

    fn walk(&mut self, record: &Record, visit: &mut Visit<'_>) -> bool {
        for op in &record.ops {
            let go_on = match op {
                Op::Spawn { actor, kind, stream, .. } => {
                    if self.wanted.is_none_or(|wanted| wanted == *stream) {
                        self.actors.insert(*actor, (*kind, *stream));
                    }
                    true
                }
                Op::Turn { actor, at, events, .. } => events
                    .iter()
                    .all(|event| self.step(*actor, record.base_ms + u64::from(*at), Written::Event(event), visit)),
                Op::Note { actor, at, note } => {
                    self.step(*actor, record.base_ms + u64::from(*at), Written::Note(note), visit)
                }
                Op::Stop { actor } | Op::Ended { actor, .. } => {
                    self.actors.remove(actor);
                    true
                }
                _ => true,
            };
            if !go_on {
                return false;
            }
        }
        true
    }

    fn step(&mut self, actor: ActorId, at_ms: u64, written: Written<'_>, visit: &mut Visit<'_>) -> bool {
        let Some((kind, stream)) = self.actors.get(&actor).copied() else { return true };
        let head = self.heads.entry(stream).or_default();
        *head = match &written {
            Written::Event(event) => head.extended(kind, at_ms, &chain::digest(event)),
            Written::Note(note) => head.extended(NOTE.type_id, at_ms, &chain::digest(&codec::seal(NOTE, note))),
        };
        visit(stream, *head, actor, kind, (at_ms, written))
    }
}

enum Written<'a> {
    Event(&'a [u8]),
    Note(&'a super::record::Note),
}

fn item(
    registry: &Registry,
    sequence: Sequence,
    (stream, head): (StreamId, Head),
    actor: ActorId,
    kind: u32,
    (at_ms, written): (u64, Written<'_>),
) -> Item {
    let what = match written {
        Written::Event(event) => {
            registry.describe_event(kind, event).map_or(What::Unreadable { bytes: event.len() }, What::Event)
        }
        Written::Note(note) => What::Runtime(serde_json::to_value(note).unwrap_or(Value::Null)),
    };
    let hash = head.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let kind = registry.name(kind);
    Item { record: sequence.0, stream, number: head.count, at_ms, actor, kind, what, hash }
}

/// Follows one stream: what is in the ledger first, then what becomes durable.
pub struct Tail {
    receiver: broadcast::Receiver<Arc<Observed>>,
    failure: watch::Receiver<Option<Arc<str>>>,
    ledger: Ledger,
    reader: Reader,
    seen: Sequence,
    behind: bool,
}

impl Tail {
    pub(crate) fn new(
        receiver: broadcast::Receiver<Arc<Observed>>,
        failure: watch::Receiver<Option<Arc<str>>>,
        ledger: Ledger,
        stream: StreamId,
    ) -> Self {
        Self { receiver, failure, ledger, reader: Reader::new(Some(stream)), seen: Sequence(0), behind: true }
    }

    /// The next events of the stream, at least one; `None` once the system has stopped.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<Item>>, store::Error> {
        loop {
            let mut items = Vec::new();
            if std::mem::take(&mut self.behind) {
                self.catch_up(&mut items)?;
            } else {
                let heard = tokio::select! {
                    biased;
                    heard = self.receiver.recv() => heard,
                    _ = self.failure.wait_for(Option::is_some) => Err(broadcast::error::RecvError::Closed),
                };
                match heard {
                    Ok(observed) if observed.sequence > self.seen => self.take(&observed, &mut items),
                    Ok(_) => {}
                    // Too much happened at once: what was missed is in the ledger.
                    Err(broadcast::error::RecvError::Lagged(_)) => self.behind = true,
                    Err(broadcast::error::RecvError::Closed) => return Ok(None),
                }
            }
            if !items.is_empty() {
                return Ok(Some(items));
            }
        }
    }

    fn take(&mut self, observed: &Observed, items: &mut Vec<Item>) {
        self.seen = observed.sequence;
        let registry = self.ledger.registry.clone();
        self.reader.read(&registry, observed.sequence, &observed.record, &mut |item| {
            items.push(item);
            true
        });
    }

    fn catch_up(&mut self, items: &mut Vec<Item>) -> Result<(), store::Error> {
        let (reader, seen, registry) = (&mut self.reader, &mut self.seen, &self.ledger.registry);
        self.ledger.scan(seen.next(), &mut |sequence, record| {
            *seen = sequence;
            reader.read(registry, sequence, record, &mut |item| {
                items.push(item);
                true
            });
            true
        })
    }
}
