//! What is live, as rows: opaque keys to opaque values, written by checkpoints.
//!
//! ```text
//! journal (the truth) ─► overlay in memory ─► checkpoint ─► rows, with a mark that says how far they are
//! ```
//! A start reads the mark and replays the journal from there, instead of from the beginning.
//!
//! **Invariants:** rows hold nothing that the journal does not have, so every trouble here ends in a rebuild. A read gives
//! the value that was written, nothing, or an error; never a part of a value. What a checkpoint says it reached is durable.
//! Everything here blocks: it is never called on a thread of the runtime.

#[cfg(test)]
mod contract;
#[cfg(test)]
mod memory;

use std::{io, path::PathBuf};

use bytes::Bytes;

#[cfg(test)]
pub(crate) use self::memory::Memory;
use crate::durable::id::Sequence;

/// The longest key, in bytes.
pub(crate) const KEY_MAX: usize = 1024;
/// The longest value, in bytes.
pub(crate) const VALUE_MAX: usize = 64 * 1024 * 1024;
/// The most that a mark carries for its writer, in bytes.
pub(crate) const META_MAX: usize = 4 * 1024;
/// The most that one batch changes, in rows of the store below: a batch keeps every reader waiting, for about 2 ms at most,
/// and is a write of its own.
pub(crate) const BATCH_MAX: usize = 400;

/// Which records the rows contain: everything up to `from`, and while `reached` is false perhaps more, up to `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Whose rows they are.
    pub(crate) store: u64,
    /// Everything up to here is in the rows.
    pub(crate) from: Sequence,
    /// Nothing after this is in the rows.
    pub(crate) to: Sequence,
    /// Whether the checkpoint to `to` was finished.
    pub(crate) reached: bool,
    /// What the writer keeps beside its rows; at most [`META_MAX`].
    pub(crate) meta: Bytes,
}

impl Mark {
    /// As it stands while a checkpoint is being written, of which nothing counts yet but what was there before.
    pub(crate) fn begun(&self, since: Sequence) -> Self {
        Self { from: since, reached: false, ..self.clone() }
    }

    /// As it stands when the checkpoint is whole, and everything up to `to` is in the rows.
    #[cfg(test)]
    pub(crate) fn ended(&self) -> Self {
        Self { from: self.to, reached: true, ..self.clone() }
    }
}

/// A row, and its new value; without one it goes.
pub(crate) type Change = (Bytes, Option<Bytes>);

/// What one checkpoint wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Rows put or removed.
    pub(crate) rows: u64,
    /// Bytes of their keys and values.
    pub(crate) bytes: u64,
}

/// Figures of what is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RowStats {
    /// Rows there are.
    pub(crate) rows: u64,
    /// Bytes they take on disk.
    pub(crate) disk_bytes: u64,
}

/// Keeps rows. Blocking: never called on a thread of the runtime.
pub(crate) trait Rows: Send + Sync {
    /// How far the rows are; `None` if nothing was ever written.
    ///
    /// # Errors
    /// If the mark cannot be read.
    #[cfg(test)]
    fn mark(&self) -> Result<Option<Mark>, Error>;

    /// The value of one row.
    ///
    /// # Errors
    /// If the row is there and cannot be read whole.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// The rows from a key on, up to another and without it, in ascending order, while `visit` says `true`. A checkpoint
    /// may write meanwhile: each row is then seen as it was or as it is.
    ///
    /// # Errors
    /// If a row cannot be read whole; those before it were visited.
    fn scan(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], Bytes) -> bool) -> Result<(), Error>;

    /// Write one checkpoint, in batches of at most [`BATCH_MAX`], after which the rows stand at `mark`; on the way they hold
    /// everything up to `since`, and perhaps more. `pace` is called between batches, with how many of the changes were
    /// taken: it may take its time, or say `false` to stop. `Ok` means that all of it is durable. After a checkpoint that
    /// did not end, the next one has to cover the same rows, which it does if it starts from the mark.
    ///
    /// # Errors
    /// [`Error::Stopped`] if `pace` said so: the mark then says that `to` was not reached, and another checkpoint may follow.
    /// Any other error of the disk closes the rows.
    fn write(
        &self,
        since: Sequence,
        mark: &Mark,
        changes: &mut dyn Iterator<Item = Change>,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Written, Error>;

    /// Write one checkpoint that leaves nothing between `from` and `to`.
    #[cfg(test)]
    fn checkpoint(
        &self,
        mark: &Mark,
        changes: &mut dyn Iterator<Item = Change>,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Written, Error> {
        self.write(mark.from, &mark.ended(), changes, pace)
    }

    /// Figures of what is kept.
    fn stats(&self) -> RowStats;
}

/// Why rows were not read or written, sorted by what the caller can do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// The caller stopped it; go on when it suits.
    #[error("the checkpoint was stopped between two batches")]
    Stopped,
    /// What is on disk is not what this store wrote, or not readable: put it aside and rebuild it from the journal.
    #[error("the rows cannot be used: {why}")]
    Unusable {
        /// What is wrong.
        why: String,
    },
    /// An earlier failure closed the rows; open them again when its cause is gone.
    #[error("the rows are closed after an earlier failure: {cause}")]
    Closed {
        /// What closed them.
        cause: String,
    },
    /// Another handle has the folder: let it go first.
    #[error("the rows in {folder} are open already")]
    Held {
        /// The folder.
        folder: PathBuf,
    },
    /// The operating system refused, mostly because the disk is full; a rebuild would meet the same.
    #[error("cannot {action} {file}: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A limit was not kept. A mistake of the caller.
    #[error("the rows were used against their contract: {cause}")]
    Misuse {
        /// What was asked for.
        cause: String,
    },
}

/// Refuse a change that is too large.
pub(crate) fn admit((key, value): &Change) -> Result<(), Error> {
    let value_len = value.as_ref().map_or(0, Bytes::len);
    fits("a key", key.len(), KEY_MAX)?;
    fits("a value", value_len, VALUE_MAX)
}

/// Refuse a mark that carries too much.
pub(crate) fn admit_mark(mark: &Mark) -> Result<(), Error> {
    fits("what a mark carries", mark.meta.len(), META_MAX)
}

/// Count one change.
pub(crate) fn count(written: &mut Written, (key, value): &Change) {
    written.rows += 1;
    written.bytes += (key.len() + value.as_ref().map_or(0, Bytes::len)) as u64;
}

fn fits(what: &str, len: usize, max: usize) -> Result<(), Error> {
    if len <= max {
        return Ok(());
    }
    Err(Error::Misuse { cause: format!("{what} of {len} bytes, and at most {max} are taken") })
}
