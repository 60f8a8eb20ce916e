//! What looking at a whole store finds, and what mending it did.
//!
//! **Invariant:** whatever is wrong is said in a sentence; an empty list of problems says that all is well.

use std::path::PathBuf;

use super::Sequence;

/// What a check of the whole store found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Records read.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files of the journal.
    pub files: u64,
    /// Bytes of those files.
    pub file_bytes: u64,
    /// The first record that is in the journal, or would be.
    pub first: Sequence,
    /// The last.
    pub last: Sequence,
    /// The last that is known to have been synced. Damage that takes away whole records behind it cannot be told from an
    /// end that was never written.
    pub vouched: Sequence,
    /// Base images, and the rows in them.
    pub bases: Kept,
    /// Ledger segments, and the events in them.
    pub ledger: Kept,
    /// Bytes of the rows in sled.
    pub row_bytes: u64,
    /// Bytes of the reserve for a full disk.
    pub ballast_bytes: u64,
    /// What somebody should know and need not mend, in sentences.
    pub notes: Vec<String>,
    /// What is wrong, in sentences; empty when all is well.
    pub problems: Vec<String>,
}

/// What was kept before an upgrade, so that an older build can be gone back to.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Image {
    /// Its name in the data folder.
    pub name: String,
    /// Whether it was kept to the end; half of one is of no use to anybody.
    pub is_whole: bool,
    /// Its bytes, those of files that it shares with the store included.
    pub bytes: u64,
    /// The bytes of files that nothing else has, but for the images before this one that can go.
    pub own_bytes: u64,
    /// Why it must stay; `None` if nothing but the wish to go back needs it.
    pub needed: Option<String>,
}

/// Files of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Kept {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is in them.
    pub entries: u64,
    /// The last record that they hold.
    pub last: u64,
}

/// What is damaged, and what accepting that would cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Loss {
    /// Ranges of records that cannot be read, each with its cause.
    pub damage: Vec<(u64, u64, String)>,
    /// The state goes on from this record: everything up to it is whole.
    pub until: u64,
    /// The base image that the state is taken from; 0 where the journal alone has it.
    pub base: u64,
    /// Records after that, which are lost, from the first to the last.
    pub state: Option<(u64, u64)>,
    /// Records whose events are lost although the state is not.
    pub history: Option<(u64, u64)>,
}

/// What was done to accept a loss.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Settled {
    /// Where the damaged files are kept.
    pub aside: Option<PathBuf>,
    /// Runs, or other roots, that were told.
    pub roots: u64,
    /// Calls that were put in doubt.
    pub doubted: u64,
    /// What else was done, in sentences.
    pub notes: Vec<String>,
}

/// What a comparison of the rows with base and journal found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct RowsChecked {
    /// Rows compared.
    pub rows: u64,
    /// Why they were not, if they were not.
    pub skipped: Option<String>,
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
    /// Live rows on disk, as of the last checkpoint; not of this life alone.
    pub rows: u64,
}
