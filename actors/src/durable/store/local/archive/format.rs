//! How header, events and index of a ledger segment lie in its parts.
//!
//! **Invariant:** what does not decode is `None`; nothing that a count or a length claims is believed.

use bytes::Bytes;

use super::{
    super::parts::{Fields, seal},
    Header, Heads, Link, Range,
};
use crate::durable::{
    chain::{self, Head},
    id::{ActorId, Sequence, StreamId},
    store::PastEvent,
};

/// Bytes of an event that are not payload.
const EVENT: usize = 33;
const IS_NOTE: u8 = 1;

/// A stream, as the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Which stream.
    pub(crate) stream: StreamId,
    /// Where it was, and where it has come to.
    pub(crate) heads: Heads,
    /// Where its parts lie.
    pub(super) offset: u64,
    /// How long they are together.
    pub(super) length: u64,
}

/// What the next segment will say about one with this header and this index.
pub(super) fn link(body: &[u8], index: &[u8]) -> Link {
    chain::digest(&[body, index].concat())
}

/// The bytes that an event takes.
pub(super) fn size(event: &PastEvent) -> usize {
    EVENT + event.payload.len()
}

/// Begin a part with an event's stream and number.
pub(super) fn begin(part: &mut Vec<u8>, event: &PastEvent) {
    part.extend_from_slice(&event.stream.0.to_le_bytes());
    part.extend_from_slice(&event.number.to_le_bytes());
}

/// Append an event to a part.
pub(super) fn push(part: &mut Vec<u8>, event: &PastEvent) {
    let length = u32::try_from(event.payload.len()).expect("a payload came from a record, which is bounded");
    part.extend_from_slice(&event.record.0.to_le_bytes());
    part.extend_from_slice(&event.at_ms.to_le_bytes());
    part.extend_from_slice(&event.actor.0.to_le_bytes());
    part.extend_from_slice(&event.kind.to_le_bytes());
    part.push(if event.is_note { IS_NOTE } else { 0 });
    part.extend_from_slice(&length.to_le_bytes());
    part.extend_from_slice(&event.payload);
}

/// The stream of a part's events, and the number of the first.
pub(super) fn begun(part: &mut Bytes) -> Option<(StreamId, u64)> {
    let mut fields = Fields(part);
    let begun = (StreamId(fields.u64()?), fields.u64()?);
    let rest = part.slice_ref(fields.0);
    *part = rest;
    Some(begun)
}

/// Take the next event off a part.
pub(super) fn take(part: &mut Bytes, stream: StreamId, number: u64) -> Option<PastEvent> {
    let mut fields = Fields(part);
    let (record, at_ms, actor) = (Sequence(fields.u64()?), fields.u64()?, ActorId(fields.u64()?));
    let (kind, flags, length) = (fields.u32()?, fields.u8()?, fields.u32()?);
    let payload = part.slice_ref(fields.bytes(usize::try_from(length).ok()?)?);
    let rest = part.slice_ref(fields.0);
    *part = rest;
    let event = PastEvent { stream, number, record, at_ms, actor, kind, is_note: flags == IS_NOTE, payload };
    (flags & !IS_NOTE == 0).then_some(event)
}

impl Entry {
    /// The number of its first event here.
    pub(crate) fn first(&self) -> u64 {
        self.heads.before.count + 1
    }

    /// The number of its last event here.
    pub(crate) fn last(&self) -> u64 {
        self.heads.after.count
    }

    /// How many events are here.
    pub(crate) fn count(&self) -> u64 {
        self.last() - self.heads.before.count
    }

    pub(super) fn push(&self, index: &mut Vec<u8>) {
        for number in [self.stream.0, self.offset, self.length] {
            index.extend_from_slice(&number.to_le_bytes());
        }
        for head in [self.heads.before, self.heads.after] {
            index.extend_from_slice(&head.count.to_le_bytes());
            index.extend_from_slice(&head.hash);
        }
    }

    fn take(fields: &mut Fields<'_>) -> Option<Self> {
        let (stream, offset, length) = (StreamId(fields.u64()?), fields.u64()?, fields.u64()?);
        let before = Head { count: fields.u64()?, hash: fields.array()? };
        let after = Head { count: fields.u64()?, hash: fields.array()? };
        Some(Self { stream, heads: Heads { before, after }, offset, length })
    }

    /// Where its parts end, if it can be there at all: behind another's parts, with at least one event.
    fn end(&self, offset: u64) -> Option<u64> {
        let is_sound = self.offset == offset
            && self.length > seal::OVERHEAD as u64
            && self.heads.before.count < self.heads.after.count
            && self.heads.after.count < u64::MAX;
        if is_sound { self.offset.checked_add(self.length) } else { None }
    }
}

/// The streams in an index, if they lie one behind the other between two offsets, in order, with so many events.
pub(super) fn entries(index: &[u8], start: u64, end: u64, count: u64) -> Option<Vec<Entry>> {
    let (mut fields, mut entries) = (Fields(index), Vec::<Entry>::new());
    let (mut offset, mut events) = (start, 0_u64);
    while !fields.is_empty() {
        let entry = Entry::take(&mut fields)?;
        offset = entry.end(offset)?;
        events = events.checked_add(entry.count())?;
        if entries.last().is_some_and(|last| last.stream >= entry.stream) {
            return None;
        }
        entries.push(entry);
    }
    (offset == end && events == count).then_some(entries)
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let Range { from, to } = self.range;
        [&self.store.to_le_bytes()[..], &from.0.to_le_bytes(), &to.0.to_le_bytes(), &self.previous].concat()
    }

    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let mut fields = Fields(body);
        let store = fields.u64()?;
        let range = Range { from: Sequence(fields.u64()?), to: Sequence(fields.u64()?) };
        let header = Self { store, range, previous: fields.array()? };
        (fields.is_empty() && range.is_sound()).then_some(header)
    }
}
