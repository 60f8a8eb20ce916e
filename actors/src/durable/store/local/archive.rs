//! Ledger segments: the history of many streams, for a range of records, made from the journal before its segments go.
//!
//! ```text
//! FOLDER/ledger/00000000000000000001-00000000000000004711.led
//! FOLDER/ledger/00000000000000004712-00000000000000009000.led        knows the digest of the one before
//! FOLDER/ledger/00000000000000009001-00000000000000012000.led.new    being written, or left behind
//! ```
//!
//! A file of parts (`parts.rs`). The header's body is `store 8 | first record 8 | last record 8 | link of the segment
//! before 32`; each part holds events of one stream, `stream 8 | number of the first 8`, then for each event `record 8 |
//! time 8 | actor 8 | kind 4 | flags 1 | length 4 | payload`, where flag 1 is a note; the index has an entry for each
//! stream, in their order, `stream 8 | offset 8 | length 8 | head before: count 8, hash 32 | head after: count 8, hash
//! 32`; the count is that of the events. A segment's link is the SHA-256 of the header's body and the index. Through the
//! heads it covers every event, and through the link before it all that went before.
//!
//! **Invariants:** the events of a stream lie together, in order, and lead its chain from the head before to the head
//! after. A segment is never rewritten.

mod check;
mod format;
mod line;
mod pile;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};

pub(crate) use self::{
    line::connected,
    pile::Pile,
    reader::Segment,
    writer::{Draft, write},
};
use super::parts::{Kind, names};
use crate::durable::{chain::Head, id::Sequence, journal::disk::Disk, store::Error};

/// The folder of ledger segments, inside the data folder.
pub(crate) const FOLDER: &str = "ledger";

const KIND: Kind = Kind { magic: *b"hf-ledg\n", format: 2, name: "ledger segment", packs: true };
const SUFFIX: &str = ".led";

/// What one segment is to the next: the digest of what it says of everything in it.
pub(crate) type Link = [u8; 32];

/// The first segment of a store follows this.
pub(crate) const NO_LINK: Link = [0; 32];

/// Records, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Range {
    /// The first.
    pub(crate) from: Sequence,
    /// The last.
    pub(crate) to: Sequence,
}

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The store it belongs to.
    pub(crate) store: u64,
    /// The records whose events it holds.
    pub(crate) range: Range,
    /// The link of the segment before, or [`NO_LINK`].
    pub(crate) previous: Link,
}

/// Where a stream was before the first of its events in a segment, and after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heads {
    /// Before the first.
    pub(crate) before: Head,
    /// After the last.
    pub(crate) after: Head,
}

/// How much a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Streams.
    pub(crate) streams: u64,
    /// Events of all of them.
    pub(crate) events: u64,
    /// The length of the file.
    pub(crate) bytes: u64,
}

/// The segments in a folder, oldest first.
pub(crate) fn list(disk: &dyn Disk, folder: &Path) -> Result<Vec<(Range, PathBuf)>, Error> {
    names::list(disk, folder, parse)
}

/// What was left unfinished in a folder, and can go when nobody is writing there.
pub(crate) fn leftovers(disk: &dyn Disk, folder: &Path) -> Result<Vec<PathBuf>, Error> {
    names::drafts(disk, folder)
}

fn name(range: Range) -> String {
    format!("{}-{}{SUFFIX}", names::digits(range.from), names::digits(range.to))
}

fn parse(name: &str) -> Option<Range> {
    let (from, to) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    Some(Range { from: names::sequence(from)?, to: names::sequence(to)? })
}

impl Range {
    /// Whether there is such a range: records count from 1.
    fn is_sound(self) -> bool {
        Sequence(1) <= self.from && self.from <= self.to
    }
}
