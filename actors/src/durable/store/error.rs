//! Why a store did not do as asked.
//!
//! **Invariant:** whatever a person can do something about has a number, under which `docs/ERRORS.md` says what.

use std::path::PathBuf;

use super::{Epoch, Sequence};

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
        "HF0003: {file}: records {from} to {to} were acknowledged and are damaged: {cause}; restore a backup of the folder, look at what is left with `headframe store verify`, or accept the loss with `headframe doctor --accept-loss`"
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
    /// A behaviour wrote with a newer version than this build knows.
    #[error(
        "HF0005: {file} says that {part}s of version {found} were written here, and this build reads up to {known}; use a newer build"
    )]
    NewerVersion {
        /// The file.
        file: PathBuf,
        /// The kind, and whether it is its event or its state.
        part: String,
        /// The version that was written.
        found: u16,
        /// The newest version this build reads.
        known: u16,
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
    /// The rows cannot be read or written. The journal has everything, so they are built again from it.
    #[error(
        "HF0013: the rows in {folder} are of no use: {cause}; start again, and they are built anew from the journal"
    )]
    Rows {
        /// Where they are.
        folder: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// A row in the store is not what its key says.
    #[error(
        "HF0014: the row {key} cannot be understood: {cause}; the rows are built again by `headframe store repair`"
    )]
    BadRow {
        /// Its key, in hexadecimal.
        key: String,
        /// What is wrong with it.
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
    /// A loss was accepted, and the process ended before all of it was settled.
    #[error(
        "HF0020: {folder}: a loss was being accepted, and that did not come to its end; run `headframe doctor --accept-loss --yes` again"
    )]
    Unsettled {
        /// The folder.
        folder: PathBuf,
    },
    /// A file that is written once is not what was written.
    #[error("HF0009: {file} is damaged: {cause}; put the file back from a backup")]
    DamagedFile {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
}

impl Error {
    /// Whether a file was not there.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }
}
