//! What a sealed record says: row operations with opaque event bytes.
//!
//! Replay, checkpoints and bases never decode an actor's types: they apply these operations. Variants are appended,
//! never reordered.
//!
//! **Invariant:** applying the operations of records 1 to n, in order, gives the state that was accepted at n.

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::{
    call::{Failure, Probing, Row},
    care::Supervised,
    chain::Head,
    codec,
    entry::Body,
    id::{ActorId, CallId, StreamId},
};

/// The format of a record's payload.
pub(crate) const FORMAT: codec::Format = codec::Format::new("record", 1);
/// A record is sealed before it grows past this many bytes; one commit is never split.
pub(crate) const BYTES_MAX: usize = 8 * 1024 * 1024;
/// The room for a record that was larger than this, which one commit alone can be, is not kept for the next.
const ROOM_MOST: usize = 2 * BYTES_MAX;

/// Many commits, sealed together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Times in the operations count from here, in milliseconds since 1970.
    pub(crate) base_ms: u64,
    /// In the order they were accepted.
    pub(crate) ops: Vec<Op>,
    /// Where the streams it advances have come to.
    pub(crate) heads: Vec<(StreamId, Head)>,
}

/// Writes records as they lie in a journal, in room that it keeps from one to the next.
///
/// Many commits in one record say much the same: they are compressed.
#[derive(Default)]
pub(crate) struct Encoder {
    packer: codec::Packer,
    sealed: BytesMut,
}

impl Encoder {
    /// The record's bytes.
    pub(crate) fn seal(&mut self, record: &Record) -> &[u8] {
        if self.packer.plain_bytes() > ROOM_MOST {
            *self = Self::default();
        }
        self.sealed.clear();
        self.packer.seal_into(FORMAT, record, &mut self.sealed);
        &self.sealed
    }

    /// How many bytes the last one has when it is read.
    pub(crate) fn read_bytes(&self) -> u64 {
        self.packer.plain_bytes() as u64
    }
}

/// One change of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Op {
    /// Was coalesced away before sealing.
    Nothing,
    /// An actor came to be. Where `stream` is its own id, a stream begins.
    Spawn { actor: ActorId, kind: u32, parent: ActorId, stream: StreamId },
    /// An actor took a message. `consumed` is 0 when the message never reached the disk.
    Turn { actor: ActorId, at: u32, consumed: u64, events: Vec<Bytes> },
    /// A message came into a mailbox.
    Deliver { to: ActorId, at: u32, number: u64, body: Body },
    /// A message left a mailbox without a turn.
    Discard { actor: ActorId, number: u64 },
    /// The state at the actor's version, as a cache of the fold.
    Snapshot { actor: ActorId, state: Bytes },
    /// A timer was set; an older one of its name is gone.
    Timer { actor: ActorId, name: u32, generation: u64, due_ms: u64 },
    /// A timer fired or was cleared.
    TimerGone { actor: ActorId, name: u32 },
    /// A call came into a tool's mailbox.
    Call { call: CallId, row: Arc<Row> },
    /// An at-most-once call is about to be made.
    CallStarted { call: CallId },
    /// A call is in doubt.
    CallDoubted { call: CallId, failure: Box<Failure> },
    /// As [`Op::CallEnded`]; written by older builds.
    CallGone { call: CallId },
    /// An index row was written.
    Put { key: Bytes, value: Bytes },
    /// An index row was removed.
    Remove { key: Bytes },
    /// As [`Op::Ended`]; written by older builds.
    Stop { actor: ActorId },
    /// A message was put with the dead letters; written by older builds. Now they are index rows.
    Dead { to: ActorId, at: u32, reason: String, body: Body },
    /// An actor is not run until it is resumed; its mailbox is kept.
    Suspend { actor: ActorId, reason: String },
    /// A suspended actor runs again.
    Resume { actor: ActorId },
    /// The runtime wrote into an actor's stream; the fold of its state skips this.
    Note { actor: ActorId, at: u32, note: Note },
    /// An at-most-once call whose start was written was surely not made.
    CallNotStarted { call: CallId },
    /// A running call saved something for its next attempt.
    CallCheckpoint { call: CallId, bytes: Bytes },
    /// An actor finished: mailbox and timers are gone. Names its parent, whose row it changes too.
    Ended { actor: ActorId, parent: ActorId },
    /// A call has its outcome, or is no longer wanted. Names its caller, whose row it changes too.
    CallEnded { call: CallId, caller: ActorId },
    /// Nobody knows whether a call happened, and its tool is asked.
    CallProbing { call: CallId, probing: Box<Probing> },
    /// The call promises a heartbeat at least this often. Follows its [`Op::Call`].
    CallBeats { call: CallId, within_ms: u64 },
    /// How an actor is looked after.
    Supervised { actor: ActorId, supervised: Supervised },
}

/// What the runtime itself writes into a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note {
    /// The actor died and was loaded again; written by older builds.
    Restarted {
        /// What the panic said.
        reason: String,
    },
    /// A message was given up and put with the dead letters.
    Buried {
        /// What the last panic said.
        reason: String,
    },
    /// The actor is not run until it is resumed.
    Suspended {
        /// Why.
        reason: String,
    },
    /// A call's outcome was decided by a person or a rule.
    Decided {
        /// Which call.
        call: CallId,
        /// What was decided, for people.
        decision: String,
        /// Who decided.
        by: String,
    },
    /// Records were lost, and the actor goes on from what it was before them.
    Restored {
        /// The first of them.
        from: u64,
        /// The last.
        to: u64,
    },
    /// A message that had been given up was delivered again.
    Redelivered {
        /// The number of the dead letter.
        letter: u64,
        /// Who decided.
        by: String,
    },
    /// A message that had been given up was dropped for good.
    Dropped {
        /// The number of the dead letter.
        letter: u64,
        /// Who decided.
        by: String,
    },
    /// Everything below the actor was given up.
    GivenUp {
        /// How many actors that were.
        actors: u64,
        /// Who decided.
        by: String,
    },
    /// The actor waited for what could not come, and something was done about it.
    Unstuck {
        /// What it waited for.
        reason: String,
        /// What was done.
        action: String,
    },
    /// The actor's host died and the actor was loaded again, so often since the last such note.
    Restarts {
        /// How often.
        count: u64,
        /// What the last death was.
        reason: String,
    },
    /// The runtime ends the actor, with everything below it.
    Ending {
        /// Why.
        reason: String,
    },
}

/// Events of the runtime enter the chain under this kind and format.
pub(crate) const NOTE: codec::Format = codec::Format::new("runtime/note", 1);

impl Op {
    /// About how many bytes the operation takes in a record.
    pub(crate) fn size(&self) -> usize {
        match self {
            Op::Turn { events, .. } => 20 + events.iter().map(|event| event.len() + 4).sum::<usize>(),
            Op::Deliver { body, .. } | Op::Dead { body, .. } => 24 + body_size(body),
            Op::Call { row, .. } => 120 + row.request.input.len() + row.request.path.len(),
            Op::Snapshot { state, .. } => 12 + state.len(),
            Op::Put { key, value } => 8 + key.len() + value.len(),
            Op::CallCheckpoint { bytes, .. } => 16 + bytes.len(),
            Op::CallProbing { probing, .. } => probing.bytes(),
            Op::Nothing => 0,
            _ => 24,
        }
    }
}

fn body_size(body: &Body) -> usize {
    use super::call::{Outcome, Verdict};
    match body {
        Body::Message(bytes) => bytes.len(),
        Body::Answer(answer) => match &answer.verdict {
            Verdict::Ended(Outcome::Done(json)) => json.len() + 32,
            _ => 128,
        },
        Body::Fired(_) | Body::Fate(_) => 32,
    }
}
