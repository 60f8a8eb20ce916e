//! Which rows changed since they were last written to the store.
//!
//! ```text
//! Clean ─change─► Dirty ─capture─► Flying ─written─► Clean
//!                   ▲                 │ change
//!                   └────written──── Again
//! ```
//! **Invariant:** a row that is not `Clean` stays in memory.

use bytes::Bytes;
use rustc_hash::FxHashSet;

use super::Actor;
use crate::durable::id::{ActorId, CallId, Sequence};

/// One row to be written, or removed.
pub(crate) type Change = (Bytes, Option<Bytes>);

/// How a row in memory stands to the one in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Save {
    /// The store has it as it is.
    Clean,
    /// The store does not have it like this.
    #[default]
    Dirty,
    /// It is on its way to the store.
    Flying,
    /// An older form of it is on its way to the store.
    Again,
}

/// What is known of a row beside what it says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Keep {
    /// The last record that changed it.
    pub(crate) changed: Sequence,
    /// What was loaded holds every record up to this one.
    pub(super) holds: Sequence,
    pub(super) save: Save,
    /// Whether it has been in [`Dirty`]'s list since it was last captured.
    pub(super) listed: bool,
    /// Whether the store may have a row of it.
    pub(super) in_store: bool,
    /// How many of its children are in memory.
    pub(super) resident_children: u32,
    /// Whether the store lists it among those that have mail, if that is known.
    pub(super) marked: Marked,
}

/// What is known of the store's list of those that have mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Marked {
    /// It is not on it.
    #[default]
    No,
    /// It is.
    Yes,
    /// A checkpoint did not end: it may be, or not.
    Unsure,
}

impl Marked {
    pub(super) fn of(has_mail: bool) -> Self {
        if has_mail { Self::Yes } else { Self::No }
    }
}

impl Keep {
    /// Of a row as the store has it.
    pub(super) fn loaded(changed: Sequence, has_mail: bool) -> Self {
        let marked = Marked::of(has_mail);
        Self { changed, holds: changed, save: Save::Clean, in_store: true, marked, ..Self::default() }
    }
}

/// Where a row lies is no part of what it says.
impl PartialEq for Keep {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What changed since the last capture.
#[derive(Clone, Debug, Default)]
pub(super) struct Dirty {
    /// Whether anything is noted at all: without a store for rows nothing is.
    pub(super) noted: bool,
    pub(super) actors: Vec<ActorId>,
    /// Actors that are gone and of which the store may have a row, and whether also one of mail.
    pub(super) gone: Vec<(ActorId, bool)>,
    /// All of those until the store has removed them: what the store says of them does not count.
    pub(super) removed: FxHashSet<ActorId>,
    pub(super) calls: Vec<CallId>,
    /// Timers that are gone and of which the store may have a row.
    pub(super) timers_gone: Vec<(u64, ActorId, u32)>,
    pub(super) index: Vec<Bytes>,
    /// Calls of which the store may have a row.
    pub(super) stored_calls: FxHashSet<CallId>,
}

/// What changed is no part of what is live.
impl PartialEq for Dirty {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Dirty {
    /// A row is about to change by this record; `false` if it holds the record already, and must not.
    pub(super) fn actor(&mut self, record: Sequence, actor: ActorId, row: &mut Actor) -> bool {
        if record <= row.keep.holds {
            return false;
        }
        row.keep.changed = record;
        row.keep.save = match row.keep.save {
            Save::Clean | Save::Dirty => Save::Dirty,
            Save::Flying | Save::Again => Save::Again,
        };
        if self.noted && !row.keep.listed {
            row.keep.listed = true;
            self.actors.push(actor);
        }
        true
    }

    pub(super) fn gone(&mut self, actor: ActorId, row: &Actor) {
        if row.keep.in_store {
            self.gone.push((actor, row.keep.marked != Marked::No));
            self.removed.insert(actor);
        }
    }

    /// Write this row again, whatever the store has.
    pub(super) fn again(&mut self, actor: ActorId, row: &mut Actor) {
        row.keep.save = Save::Dirty;
        if !row.keep.listed {
            row.keep.listed = true;
            self.actors.push(actor);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.actors.len() + self.gone.len() + self.calls.len() + self.timers_gone.len() + self.index.len()
    }

    /// Take what changed so far; what changes from now on is noted anew.
    pub(super) fn take(&mut self) -> Self {
        let (stored_calls, removed) = (std::mem::take(&mut self.stored_calls), std::mem::take(&mut self.removed));
        std::mem::replace(self, Self { noted: self.noted, stored_calls, removed, ..Self::default() })
    }

    pub(super) fn call(&mut self, call: CallId) {
        if self.noted {
            self.calls.push(call);
        }
    }

    pub(super) fn timer_gone(&mut self, key: (u64, ActorId, u32), stored: bool) {
        if stored {
            self.timers_gone.push(key);
        }
    }
}

/// Whether the store may have an entry of a timer. Where a timer lies is no part of what it says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Listed(pub(crate) bool);

impl PartialEq for Listed {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Listed {}
