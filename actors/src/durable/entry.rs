//! What lies in a mailbox.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    behavior::{Behavior, message_format},
    call::Answer,
    codec,
    id::{ActorId, Sequence},
};

/// One message in an actor's mailbox.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number in this mailbox.
    pub number: u64,
    /// When it was accepted, in milliseconds since 1970.
    pub accepted_at: u64,
    /// What it says.
    pub body: Body,
    /// Who outside waits for a reply, in this life of the process.
    pub(crate) reply: Option<u64>,
    /// Where the delivery stands in a record that is not sealed yet: `(record, position)`. A message that is consumed
    /// before its record is sealed never reaches the disk.
    pub(crate) place: Option<(Sequence, u32)>,
}

/// Who waits for a reply, and where an unsealed delivery stands, belong to one life of the process and not to the entry.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.number, self.accepted_at, &self.body) == (other.number, other.accepted_at, &other.body)
    }
}

/// What a message says. Kept in the runtime's own shapes, so that a behaviour may change its message type freely.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// A behaviour's own message, sealed.
    Message(Bytes),
    /// A tool's answer.
    Answer(Arc<Answer>),
    /// A timer came due.
    Fired(Fired),
    /// Something befell a child.
    Fate(Fate),
}

impl Body {
    /// A message to an actor of a known behaviour.
    #[must_use]
    pub fn message<B: Behavior>(message: &B::Message) -> Self {
        Self::Message(codec::seal(message_format::<B>(), message))
    }
}

/// A timer came due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    /// The timer's name, the behaviour's own number for it.
    pub name: u32,
    /// Which setting of it this was.
    pub generation: u64,
    /// When it was due, in milliseconds since 1970.
    pub due_ms: u64,
}

/// What befell a child that its parent must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// It died of the same message again and again; the message lies with the dead letters.
    Poisoned {
        /// The child.
        child: ActorId,
        /// What the last panic said.
        reason: String,
    },
    /// It cannot be loaded; its mailbox is kept.
    Suspended {
        /// The child.
        child: ActorId,
        /// Why it cannot be loaded.
        reason: String,
    },
    /// It waits for nothing that could come. Of a root, the root itself is told.
    Stuck {
        /// The child.
        child: ActorId,
        /// What is known.
        reason: String,
    },
    /// It was ended with everything below it: it is temporary and its host died, or it ended with its significant
    /// children.
    Ended {
        /// The child.
        child: ActorId,
        /// Why.
        reason: String,
    },
}
