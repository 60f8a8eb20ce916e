//! Whether the events of a stream are what its heads say.
//!
//! **Invariant:** the same check stands before a segment is named and behind every reading of all of it.

use super::{Heads, Range};
use crate::durable::{chain::Head, id::Sequence, ledger::extended, store::PastEvent};

/// Follows one stream through one segment.
#[derive(Debug)]
pub(super) struct Follower {
    head: Head,
    record: Sequence,
    last: Sequence,
}

impl Follower {
    /// At the head before the first event, in a segment of these records.
    pub(super) fn new(before: Head, range: Range) -> Self {
        Self { head: before, record: range.from, last: range.to }
    }

    /// Take the next event, or say what is wrong with it.
    pub(super) fn take(&mut self, event: &PastEvent) -> Result<(), String> {
        let PastEvent { stream, number, record, .. } = event;
        if self.head.count.checked_add(1) != Some(*number) {
            return Err(format!("event {number} of {stream} follows event {}", self.head.count));
        }
        if *record < self.record || self.last < *record {
            return Err(format!("event {number} of {stream} is of record {record}, which does not belong here"));
        }
        (self.head, self.record) = (extended(&self.head, event), *record);
        Ok(())
    }

    /// The record of the last event.
    pub(super) fn record(&self) -> Sequence {
        self.record
    }

    /// Whether it came to the head after the last event.
    pub(super) fn has_arrived(&self, heads: &Heads) -> bool {
        self.head == heads.after
    }
}
