//! Events on their way into a ledger segment.

use std::collections::BTreeMap;

use super::{Event, Heads};
use crate::durable::{
    chain::Head,
    id::{Sequence, StreamId},
    store::PastEvent,
};

/// Events for one ledger segment.
pub(crate) struct Pile {
    /// The first record.
    pub(crate) from: Sequence,
    pub(crate) heads: BTreeMap<StreamId, Heads>,
    pub(crate) events: Vec<Event>,
    /// About how many bytes they take.
    pub(crate) bytes: usize,
}

impl Pile {
    pub(crate) fn new(from: Sequence) -> Self {
        Self { from, heads: BTreeMap::new(), events: Vec::new(), bytes: 0 }
    }

    pub(crate) fn push(&mut self, before: Head, after: Head, event: PastEvent) {
        let PastEvent { stream, number, record, at_ms, actor, kind, is_note, payload } = event;
        let event = Event { stream, number, record, at_ms, actor, kind, is_note, payload };
        self.bytes += event.payload.len() + 64;
        self.heads.entry(event.stream).or_insert(Heads { before, after }).after = after;
        self.events.push(event);
    }

    /// Where a record says that a stream has come to; the events of it are checked against that when they are written.
    pub(crate) fn arrives(&mut self, stream: StreamId, head: Head) {
        self.heads.entry(stream).and_modify(|heads| heads.after = head);
    }
}
