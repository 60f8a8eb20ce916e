//! Ids inside a store: small numbers, because a long name in every record would cost more than the work.
//!
//! **Invariant:** an id is never used twice in the life of a store. The lowest eight bits of an actor's id are its
//! partition, so that anyone can tell where a message must go.

use std::{fmt, num::ParseIntError, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{:x}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            fn from_str(text: &str) -> Result<Self, ParseIntError> {
                let digits = text.strip_prefix(concat!($prefix, "_")).unwrap_or(text);
                u64::from_str_radix(digits, 16).map(Self)
            }
        }
    };
}

id!(
    /// An actor. Its lowest eight bits are its partition.
    ActorId,
    "actor"
);
id!(
    /// A call in a tool's mailbox.
    CallId,
    "call"
);
id!(
    /// A stream of events: a run tree, or one of the engine's own. Named by the id of its first actor.
    StreamId,
    "stream"
);

impl ActorId {
    /// The engine itself: the parent of every actor that has no other.
    pub const ENGINE: ActorId = ActorId(0);

    /// Where the actor lives.
    #[must_use]
    pub fn partition(self) -> Partition {
        #[expect(clippy::cast_possible_truncation, reason = "the lowest eight bits are the partition")]
        Partition(self.0 as u8)
    }
}

/// One of the 256 logical partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Partition(pub u8);

/// Which life of a partition's owner wrote something; it only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Epoch(pub u64);

/// The number of a record: how far a store has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The one after.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
