//! The journal: records in the order in which they became true, in files that only grow.
//!
//! ```text
//! FOLDER/LOCK                      one process at a time; says which
//! FOLDER/HEAD                      how far acknowledgements went: two slots, written in turn
//! FOLDER/journal/0000000007.seg    a header page, then records, then zeros
//! FOLDER/journal/spare.new         the next segment, being filled with zeros
//! ```
//!
//! All numbers are little-endian and every checksum is crc32c. A record is `segment id (8), length (4), sequence (8),
//! checksum of the record before (4), payload, checksum of all that (4)`.
//!
//! **Invariants:** at most one record is not yet synced; `HEAD` is never ahead of a sync; a life writes only to segments
//! that it created. From the first sequence of a segment on, the records in segments before it count for nothing: that is
//! how a start replaces the unsure end of the life before it in one rename.

pub(crate) mod disk;
pub(crate) mod frame;
pub(crate) mod head;
pub(crate) mod lock;
pub(crate) mod reader;
pub(crate) mod recovery;
pub(crate) mod replay;
pub(crate) mod segment;
#[cfg(test)]
pub(crate) mod sim;
pub(crate) mod spare;
pub(crate) mod survey;
#[cfg(test)]
mod tests;
pub(crate) mod writer;

use std::path::Path;

use super::store::Error;

/// The format that this build writes, and the newest that it reads.
pub(crate) const FORMAT: u32 = 1;

/// Name the file and what was being done to it.
pub(crate) fn io(action: &'static str, file: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let file = file.to_path_buf();
    move |source| Error::Io { action, file, source }
}
