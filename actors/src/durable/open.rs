//! The record that is being filled, and the ones that wait for the disk.
//!
//! **Invariant:** operations leave in the order they were accepted; what is coalesced away leaves no trace.

use std::collections::VecDeque;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::{
    chain::Head,
    id::{CallId, Sequence, StreamId},
    record::{BYTES_MAX, Op, Record},
    system::Ended,
};
use crate::mutant::Mutant;

/// Room for so many operations is kept for the next record.
const ROOM_MAX: usize = 16 * 1024;

/// What must happen outside once a record is durable.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Calls that may be made now, with the hash of their tool's name.
    pub(crate) calls: Vec<(u32, CallId)>,
    /// At-most-once calls whose start is written.
    pub(crate) started: Vec<(u32, CallId)>,
    /// Answers for those who ask from outside.
    pub(crate) replies: Vec<(u64, Result<Bytes, String>)>,
    /// Watchers of index rows that changed, and what became of those; `None` for one that was removed.
    pub(crate) watchers: Vec<(u64, Option<Bytes>)>,
    /// Outcomes in this record of calls that may not simply be made again: if the record is lost with its store, the next
    /// one in this process is given them.
    pub(crate) outcomes: Vec<Ended>,
}

/// A record, ready for the disk.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) sequence: Sequence,
    pub(crate) record: Record,
    pub(crate) effects: Effects,
}

/// Filling and sealing.
#[derive(Debug)]
pub(crate) struct Open {
    current: Sealed,
    heads: FxHashMap<StreamId, Head>,
    bytes: usize,
    full: VecDeque<Sealed>,
    /// Room for the operations of the next record, from one that is durable: growing it anew copies each of them twice.
    room: Vec<Op>,
    /// What follows now belongs to the commit that came last: no record ends before it does.
    pub(crate) is_one_commit: bool,
    /// How many wait for what is in here.
    pub(crate) demand: usize,
}

impl Open {
    pub(crate) fn starting_at(sequence: Sequence) -> Self {
        Self {
            current: Sealed { sequence, record: Record::default(), effects: Effects::default() },
            heads: FxHashMap::default(),
            bytes: 0,
            full: VecDeque::new(),
            room: Vec::new(),
            is_one_commit: false,
            demand: 0,
        }
    }

    pub(crate) fn sequence(&self) -> Sequence {
        self.current.sequence
    }

    /// The last record that holds anything.
    pub(crate) fn latest(&self) -> Sequence {
        let current = self.current.sequence;
        if self.current.record.ops.is_empty() { Sequence(current.0 - 1) } else { current }
    }

    /// The last whole record, if the one that is being filled is empty.
    pub(crate) fn boundary(&self) -> Option<Sequence> {
        let is_whole = self.current.record.ops.is_empty() || Mutant::RowsOutOfStep.is_chosen();
        is_whole.then(|| Sequence(self.current.sequence.0 - 1))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.full.is_empty() && self.current.record.ops.is_empty()
    }

    /// Begin a commit of about so many bytes at a time: seals first what would grow too large. Returns the commit's
    /// time as the record counts it.
    pub(crate) fn begin(&mut self, bytes: usize, now_ms: u64) -> u32 {
        let record = &mut self.current.record;
        let late = u32::try_from(now_ms.saturating_sub(record.base_ms)).is_err();
        if !record.ops.is_empty() && !self.is_one_commit && (late || self.bytes + bytes > BYTES_MAX) {
            self.roll();
        }
        let record = &mut self.current.record;
        if record.ops.is_empty() {
            record.base_ms = now_ms;
        }
        u32::try_from(now_ms.saturating_sub(record.base_ms)).unwrap_or(0)
    }

    pub(crate) fn base_ms(&self) -> u64 {
        self.current.record.base_ms
    }

    /// Append an operation; returns its place.
    pub(crate) fn push(&mut self, op: Op) -> (Sequence, u32) {
        if Mutant::SplitCommit.is_chosen() && self.current.record.ops.len() % 3 == 2 {
            self.roll();
        }
        self.bytes += op.size();
        let ops = &mut self.current.record.ops;
        ops.push(op);
        (self.current.sequence, u32::try_from(ops.len() - 1).expect("a record holds far fewer operations"))
    }

    /// Take back an operation that is still here; says whether it was.
    pub(crate) fn take_back(&mut self, place: Option<(Sequence, u32)>) -> bool {
        let Some((sequence, at)) = place else { return false };
        if sequence != self.current.sequence {
            return false;
        }
        let op = &mut self.current.record.ops[at as usize];
        self.bytes -= op.size();
        *op = Op::Nothing;
        true
    }

    pub(crate) fn advance(&mut self, stream: StreamId, head: Head) {
        self.heads.insert(stream, head);
    }

    pub(crate) fn effects(&mut self) -> &mut Effects {
        &mut self.current.effects
    }

    /// The next record for the disk, oldest first.
    pub(crate) fn seal(&mut self) -> Option<Sealed> {
        if self.full.is_empty() && !self.current.record.ops.is_empty() {
            self.roll();
            self.demand = 0;
        }
        self.full.pop_front()
    }

    /// Take back the room of a record that is durable.
    pub(crate) fn reuse(&mut self, room: Vec<Op>) {
        debug_assert!(room.is_empty(), "operations leave in one record");
        if room.capacity() <= ROOM_MAX {
            self.room = room;
        }
    }

    /// Outcomes that no store will take.
    pub(crate) fn lose(&mut self) -> Vec<Ended> {
        let full = self.full.iter_mut().map(|sealed| &mut sealed.effects);
        let lost = full.chain([&mut self.current.effects]).map(|effects| std::mem::take(&mut effects.outcomes));
        lost.flatten().collect()
    }

    /// Seal the record that is being filled.
    pub(super) fn roll(&mut self) {
        let next = Sealed {
            sequence: self.current.sequence.next(),
            record: Record {
                base_ms: self.current.record.base_ms,
                ops: std::mem::take(&mut self.room),
                heads: Vec::new(),
            },
            effects: Effects::default(),
        };
        let mut sealed = std::mem::replace(&mut self.current, next);
        sealed.record.heads = self.heads.drain().collect();
        sealed.record.heads.sort_unstable_by_key(|(stream, _)| *stream);
        sealed.record.ops.retain(|op| *op != Op::Nothing);
        self.bytes = 0;
        self.full.push_back(sealed);
    }
}
