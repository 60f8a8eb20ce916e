//! Reads a ledger segment: one stream, or everything.
//!
//! **Invariant:** only the index is in memory, and one part at a time. A stream's events are handed out in order, each
//! once, or an error says that some are missing.

use std::path::Path;

use bytes::Bytes;

use super::{
    super::parts::{self, names},
    Header, KIND, Link, Range, Summary,
    check::Follower,
    format::{self, Entry},
    parse,
};
use crate::durable::{
    id::{Sequence, StreamId},
    journal::disk::Disk,
    store::{Error, PastEvent},
};

/// An open ledger segment.
pub(crate) struct Segment {
    parts: parts::Reader,
    header: Header,
    index: Vec<Entry>,
}

impl Segment {
    /// Open a segment, and check all of it but its events.
    ///
    /// # Errors
    /// [`Error::DamagedFile`] if it is not what was written, [`Error::Newer`] if a later build wrote it.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<Self, Error> {
        let parts = parts::Reader::open(disk, path, &KIND)?;
        let header = Header::decode(parts.body()).ok_or_else(|| parts.damaged("its header cannot be read"))?;
        let Range { from, to } = header.range;
        if names::named(path, parse).is_some_and(|named| named != header.range) {
            return Err(parts.damaged(format!("it holds records {from} to {to} under another name")));
        }
        let index = format::entries(parts.index(), parts.start(), parts.end(), parts.count());
        let index = index.ok_or_else(|| parts.damaged("its index does not fit its streams"))?;
        Ok(Self { parts, header, index })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.parts.path()
    }

    /// What it says about itself.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// The records whose events it holds.
    pub(crate) fn range(&self) -> Range {
        self.header.range
    }

    /// What the segment after it has to know it by.
    pub(crate) fn link(&self) -> Link {
        format::link(self.parts.body(), self.parts.index())
    }

    /// Its streams, in their order.
    pub(crate) fn streams(&self) -> &[Entry] {
        &self.index
    }

    /// One of its streams.
    pub(crate) fn entry(&self, stream: StreamId) -> Option<&Entry> {
        let at = self.index.binary_search_by_key(&stream, |entry| entry.stream).ok()?;
        self.index.get(at)
    }

    /// How much it holds, as index and footer say.
    pub(crate) fn summary(&self) -> Summary {
        Summary { streams: self.index.len() as u64, events: self.parts.count(), bytes: self.parts.len() }
    }

    /// Visit a stream's events in order, while `visit` says `true`. A stream that is not here has none.
    ///
    /// # Errors
    /// If a part cannot be read, or is damaged. What was visited before stands.
    pub(crate) fn stream(&self, stream: StreamId, visit: &mut dyn FnMut(PastEvent) -> bool) -> Result<(), Error> {
        self.entry(stream).map_or(Ok(()), |entry| self.walk(entry, &mut |event| Ok(visit(event))))
    }

    /// Read everything, and compute every chain again.
    ///
    /// # Errors
    /// Whatever is wrong first.
    pub(crate) fn verify(&self) -> Result<Summary, Error> {
        self.follow(&|_, cause| self.parts.damaged(cause))
    }

    /// The same, with another error for events that do not lead to their heads: it is told of which record they are.
    pub(super) fn follow(&self, strays: &dyn Fn(Sequence, String) -> Error) -> Result<Summary, Error> {
        for entry in &self.index {
            let mut follower = Follower::new(entry.heads.before, self.range());
            let mut take =
                |event: PastEvent| follower.take(&event).map(|()| true).map_err(|cause| strays(event.record, cause));
            self.walk(entry, &mut take)?;
            if !follower.has_arrived(&entry.heads) {
                let cause = format!("the chain of {} does not arrive at its head", entry.stream);
                return Err(strays(follower.record(), cause));
            }
        }
        Ok(self.summary())
    }

    fn walk(&self, entry: &Entry, visit: &mut dyn FnMut(PastEvent) -> Result<bool, Error>) -> Result<(), Error> {
        let mut number = entry.first();
        let mut parts = self.parts.between(entry.offset, entry.offset + entry.length);
        while let Some(mut part) = parts.next()? {
            if format::begun(&mut part) != Some((entry.stream, number)) {
                return Err(self.lost(entry, number));
            }
            while !part.is_empty() {
                if !visit(self.event(entry, number, &mut part)?)? {
                    return Ok(());
                }
                number += 1;
            }
        }
        if number == entry.last() + 1 { Ok(()) } else { Err(self.lost(entry, number)) }
    }

    fn event(&self, entry: &Entry, number: u64, part: &mut Bytes) -> Result<PastEvent, Error> {
        let event = if number <= entry.last() { format::take(part, entry.stream, number) } else { None };
        event.ok_or_else(|| self.lost(entry, number))
    }

    fn lost(&self, entry: &Entry, number: u64) -> Error {
        self.parts.damaged(format!("event {number} of {} is not where it should be", entry.stream))
    }
}
