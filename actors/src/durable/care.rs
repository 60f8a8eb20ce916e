//! How a durable child is looked after: what its parent chose when it spawned it, and what is kept of that.
//!
//! How children are looked after together (strategy, intensity, back-off) is code of the parent's behaviour:
//! [`Behavior::SUPERVISION`](super::Behavior::SUPERVISION). What differs from child to child is in the child's row.
//!
//! **Invariant:** what is here is set, never counted, by the operation that names it, so that a replay over newer rows
//! comes to the same end.

use serde::{Deserialize, Serialize};

/// How one child is looked after; the default is loaded again whenever its host dies, and its end means nothing to
/// others.
///
/// OTP knows *permanent*, *transient* and *temporary* children. Here a child that is not temporary is transient. There
/// is no permanent one: `Turn::stop` is a durable end, an id is never used again, and so the only thing that could be
/// started after it is a new actor without the former one's state. Its owner, whom the child told of its end,
/// can spawn that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Care {
    /// Whether the death of its host is its end.
    pub(crate) is_temporary: bool,
    /// Whether its end counts for its parent's [`AutoShutdown`](super::supervision::AutoShutdown).
    pub(crate) is_significant: bool,
}

impl Care {
    /// As a child is looked after when nothing else is said.
    pub const TRANSIENT: Self = Self { is_temporary: false, is_significant: false };
    /// The first death of its host ends the child: the message that it died of goes to the dead letters, its mail, its
    /// timers and its children go, calls are asked to stop and awaited, and its parent is told
    /// [`Fate::Ended`](super::Fate::Ended). The death of the whole process, passivation and the fence are no deaths of a
    /// host.
    pub const TEMPORARY: Self = Self { is_temporary: true, is_significant: false };

    /// Its end counts for its parent's `auto_shutdown`, if the parent's behaviour chose one; otherwise it means nothing.
    #[must_use]
    pub const fn significant(mut self) -> Self {
        self.is_significant = true;
        self
    }
}

/// What an actor's row keeps of its supervision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Supervised {
    pub(crate) care: Care,
    /// Its significant children that have not ended.
    pub(crate) significants: u32,
    /// It takes no more turns, and ends when no call in it or below it is without an outcome.
    pub(crate) is_ending: bool,
}
