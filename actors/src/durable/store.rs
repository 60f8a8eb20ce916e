//! Where records are kept: the trait, and the stores behind it.
//!
//! A store sees sealed records only: opaque bytes in one order, each durable or not. Versions, mailboxes, coalescing
//! and chain heads belong to the accepted view, one module above.
//!
//! **Invariants:** records are dense, from 1; what `append` returned `Ok` for is there after any crash; a record is
//! there whole or not at all; a writer of an older epoch is refused. A failed append closes the store for good: a failed
//! sync is never retried on the same handle.

#[cfg(test)]
mod contract;
mod local;
mod memory;
#[cfg_attr(not(test), expect(dead_code, reason = "checkpoints, which write them, are not there yet"))]
pub(crate) mod rows;

use std::path::PathBuf;

#[cfg(test)]
pub(crate) use self::local::{Tuning, check};
pub use self::{
    local::{Durability, Local, LocalOptions},
    memory::{Memory, Tail},
};
use super::id::{Epoch, Partition, Sequence};

/// Which partitions a record belongs to, and under which life of their owner it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// `None`: all partitions of a store with a single owner.
    pub partition: Option<Partition>,
    /// The owner's epoch.
    pub epoch: Epoch,
}

/// What a start found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The fence for this life: its epoch is above any before.
    pub fence: Fence,
    /// The last durable record.
    pub durable: Sequence,
    /// What was mended on the way, in sentences for people.
    pub repairs: Vec<String>,
}

/// What a check of the whole store found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Records read.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files read.
    pub files: u64,
    /// What is wrong, in sentences; empty when all is well.
    pub problems: Vec<String>,
}

/// Figures of a store's work in this life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records made durable.
    pub records: u64,
    /// Payload bytes in them.
    pub payload_bytes: u64,
    /// Bytes written for them, headers and all.
    pub written_bytes: u64,
    /// Syncs that were waited for.
    pub syncs: u64,
}

/// Keeps records. Blocking: the committer calls it from a thread of its own.
pub trait Store: Send + Sync + 'static {
    /// Find what is durable and hand over every record in order; called once, before the first append.
    ///
    /// # Errors
    /// If the store is damaged below what was acknowledged, or `visit` refuses a record.
    #[expect(clippy::type_complexity, reason = "written out it says more than a name would")]
    fn recover(&self, visit: &mut dyn FnMut(Sequence, &[u8]) -> Result<(), Error>) -> Result<Recovered, Error>;

    /// Make one record durable. `sequence` is one above the last.
    ///
    /// # Errors
    /// If it is not known to be durable; the store is then closed.
    fn append(&self, fence: Fence, sequence: Sequence, payload: &[u8]) -> Result<(), Error>;

    /// Read durable records again, from a sequence on, in order, while `visit` says `true`.
    ///
    /// # Errors
    /// If a record below the durable end cannot be read.
    fn scan(&self, from: Sequence, visit: &mut dyn FnMut(Sequence, &[u8]) -> bool) -> Result<(), Error>;

    /// Nothing comes for a while: note how far acknowledgements went.
    ///
    /// # Errors
    /// If the note cannot be written.
    fn idle(&self) -> Result<(), Error>;

    /// Write nothing more and let go of everything, so that another life can begin.
    fn release(&self);

    /// Figures of this life.
    fn stats(&self) -> Stats;
}

/// Why a store did not do as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process holds the folder: stop it, or use another folder.
    #[error(
        "HF0001: the data folder {folder} is in use by {holder}; stop that process or choose another folder with --data"
    )]
    Held {
        /// The folder.
        folder: PathBuf,
        /// Who holds it, as it described itself.
        holder: String,
    },
    /// The owner of an older epoch tried to write; it must stop.
    #[error("a writer of epoch {epoch:?} was refused: epoch {current:?} has taken over")]
    Fenced {
        /// The writer's epoch.
        epoch: Epoch,
        /// The epoch in force.
        current: Epoch,
    },
    /// An earlier failure closed the store; memory may be ahead of disk, so recover.
    #[error("HF0002: the store is closed after an earlier failure: {cause}; start again to recover from disk")]
    Closed {
        /// What closed it.
        cause: String,
    },
    /// What was acknowledged cannot be read any more.
    #[error(
        "HF0003: {file}: records {from} to {to} were acknowledged and are damaged: {cause}; restore a backup of the folder, or look at what is left with `headframe store verify`"
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The first damaged record.
        from: Sequence,
        /// The last record known to have been acknowledged.
        to: Sequence,
        /// What is wrong with it.
        cause: String,
    },
    /// Files are there that do not fit together.
    #[error("HF0004: {folder}: {cause}")]
    Inconsistent {
        /// The folder.
        folder: PathBuf,
        /// What does not fit, and what to do.
        cause: String,
    },
    /// A format this build does not know.
    #[error("HF0005: {file} has format version {found}, and this build reads up to {known}; use a newer headframe")]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version this build reads.
        known: u32,
    },
    /// The operating system refused.
    #[error("HF0006: cannot {action} {file}: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The reader refused a record.
    #[error("HF0007: record {sequence} cannot be understood: {cause}")]
    Undecodable {
        /// Which record.
        sequence: Sequence,
        /// Why.
        cause: String,
    },
    /// The caller broke the contract of the store.
    #[error(
        "HF0008: the store was used against its contract: {cause}; this is a mistake in headframe, please report it"
    )]
    Misuse {
        /// What was asked for.
        cause: String,
    },
}
