//! History that was lost, and that somebody accepted to be without.
//!
//! ```text
//! FOLDER/ledger/00000000000000000120-00000000000000000200.lost     one sentence for people
//! ```
//! The name says which records' events are in no ledger segment. Where such a range ends there is a base, so the ledger goes
//! on behind it.
//!
//! **Invariant:** a gap between ledger segments, or before the first, is either named by such a file, or damage.

use std::path::{Path, PathBuf};

use super::{
    archive::{self, Range, Segment},
    format,
    gone::Gone,
    parts::names,
};
use crate::durable::{
    journal::{
        self,
        disk::{self, Disk},
    },
    store::Error,
};

const SUFFIX: &str = ".lost";

/// The ranges that were lost, oldest first, but for those that nobody would ask for any more.
pub(super) fn list(disk: &dyn Disk, folder: &Path, gone: Gone) -> Result<Vec<Range>, Error> {
    Ok(files(disk, folder)?.into_iter().map(|(range, _)| range).filter(|range| !gone.covers(*range)).collect())
}

/// All notes of losses.
pub(super) fn files(disk: &dyn Disk, folder: &Path) -> Result<Vec<(Range, PathBuf)>, Error> {
    names::list(disk, &folder.join(archive::FOLDER), parse)
}

/// Note that a range is lost, durably.
pub(super) fn note(disk: &dyn Disk, folder: &Path, range: Range) -> Result<PathBuf, Error> {
    let ledger = folder.join(archive::FOLDER);
    disk.create_folder(&ledger).map_err(journal::io("create", &ledger))?;
    let path = ledger.join(format!("{}-{}{SUFFIX}", names::digits(range.from), names::digits(range.to)));
    let text = format!(
        "The events of records {} to {} were damaged, and it was accepted to go on without.\n",
        range.from, range.to
    );
    disk::write(disk, &path, text.as_bytes()).map_err(journal::io("write", &path))?;
    format::sync(disk, &ledger)?;
    Ok(path)
}

/// Whether ledger segments begin with the first record that is not gone and follow each other without a gap that nobody
/// accepted.
pub(super) fn connected(
    folder: &Path,
    store: u64,
    segments: &[Segment],
    lost: &[Range],
    gone: Gone,
) -> Result<(), Error> {
    let begins =
        lost.first().into_iter().map(|range| range.from).chain(segments.first().map(|first| first.range().from));
    if let Some(first) = begins.min().filter(|first| *first != gone.to.next()) {
        let cause = format!("the ledger begins at record {first}; put back the segments before it");
        return Err(Error::Inconsistent { folder: folder.to_path_buf(), cause });
    }
    let mut rest = segments;
    for range in lost {
        let before = rest.iter().take_while(|segment| segment.range().to < range.from).count();
        let (older, newer) = rest.split_at(before);
        archive::connected(folder, store, older)?;
        let ends = older.last().map(|segment| segment.range().to.next());
        let begins = newer.first().map(|segment| segment.range().from);
        if ends.is_some_and(|end| end != range.from) || begins.is_some_and(|begin| begin != range.to.next()) {
            let cause = format!(
                "ledger segments do not fit the loss of records {} to {} that was accepted; put back what is missing",
                range.from, range.to
            );
            return Err(Error::Inconsistent { folder: folder.to_path_buf(), cause });
        }
        rest = newer;
    }
    archive::connected(folder, store, rest)
}

fn parse(name: &str) -> Option<Range> {
    let (from, to) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    Some(Range { from: names::sequence(from)?, to: names::sequence(to)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{id::Sequence, journal::disk::RealDisk};

    /// A name that stays on disk, and means that these records are in no ledger segment.
    #[test]
    fn a_lost_range_keeps_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let range = Range { from: Sequence(120), to: Sequence(200) };
        let path = note(&crate::durable::journal::disk::RealDisk, folder.path(), range).unwrap();
        assert_eq!(path, folder.path().join("ledger/00000000000000000120-00000000000000000200.lost"));
        assert_eq!(list(&RealDisk, folder.path(), Gone::default()).unwrap(), [range]);
    }
}
