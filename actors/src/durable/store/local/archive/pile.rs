//! Events on their way into a ledger segment: encoded, as they will lie there.
//!
//! **Invariant:** the events of a stream have numbers one after the other, or nothing is written of any.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::{super::parts::PART, Heads, format};
use crate::durable::{
    chain::Head,
    id::{Sequence, StreamId},
    store::{Error, PastEvent},
};

/// Events for one ledger segment.
pub(crate) struct Pile {
    /// The first record.
    pub(crate) from: Sequence,
    /// About how many bytes they take.
    pub(crate) bytes: usize,
    streams: FxHashMap<StreamId, Stream>,
    /// The first event that does not follow the one before it in its stream.
    stray: Option<(Sequence, String)>,
}

/// The events of one stream.
pub(super) struct Stream {
    pub(super) heads: Heads,
    count: u64,
    /// Payloads of parts, end to end.
    bytes: Vec<u8>,
    /// Where each of them ends but the last.
    ends: Vec<usize>,
}

impl Pile {
    pub(crate) fn new(from: Sequence) -> Self {
        Self { from, bytes: 0, streams: FxHashMap::default(), stray: None }
    }

    /// Add an event, with the heads of its stream before and after it.
    pub(crate) fn push(&mut self, before: Head, after: Head, event: &PastEvent) {
        let stream = self.streams.entry(event.stream).or_insert_with(|| Stream::at(before));
        let follows = stream.heads.before.count + stream.count + 1;
        if event.number != follows {
            let PastEvent { stream, number, record, .. } = event;
            self.stray
                .get_or_insert_with(|| (*record, format!("event {number} of {stream} comes where {follows} should")));
            return;
        }
        let was = stream.bytes.len();
        stream.push(event);
        self.bytes += stream.bytes.len() - was;
        stream.heads.after = after;
    }

    /// Where a record says that a stream has come to; what is written of it is checked against that.
    pub(crate) fn arrives(&mut self, stream: StreamId, head: Head) {
        self.streams.entry(stream).and_modify(|stream| stream.heads.after = head);
    }

    /// All streams, in their order.
    ///
    /// # Errors
    /// [`Error::Undecodable`] if an event did not follow the one before it.
    pub(super) fn streams(self) -> Result<BTreeMap<StreamId, Stream>, Error> {
        match self.stray {
            Some((sequence, cause)) => Err(Error::Undecodable { sequence, cause }),
            None => Ok(self.streams.into_iter().collect()),
        }
    }
}

impl Stream {
    fn at(before: Head) -> Self {
        Self { heads: Heads { before, after: before }, count: 0, bytes: Vec::new(), ends: Vec::new() }
    }

    fn push(&mut self, event: &PastEvent) {
        let begin = self.ends.last().copied().unwrap_or(0);
        let is_full = self.bytes.len() > begin && self.bytes.len() - begin + format::size(event) > PART;
        if is_full {
            self.ends.push(self.bytes.len());
        }
        if is_full || self.bytes.is_empty() {
            format::begin(&mut self.bytes, event);
        }
        format::push(&mut self.bytes, event);
        self.count += 1;
    }

    /// How many events there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// What goes into each part.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        let ends = self.ends.iter().copied().chain(std::iter::once(self.bytes.len()));
        begins.zip(ends).map(|(begin, end)| &self.bytes[begin..end])
    }
}
