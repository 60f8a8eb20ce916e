//! History that was kept long enough, and is gone.
//!
//! ```text
//! FOLDER/ledger/00000000000000004711-00000000000000052480.gone     one sentence for people
//! ```
//! The name says up to which record the events are gone, and below which number there is no stream that anybody still asks
//! for: what is left of those need not be whole. All others are as whole as ever.
//!
//! **Invariants:** the note is durable before the first segment is removed, so a gap is either named, or damage. Whatever
//! the newest note covers counts for nothing, whether it is still there or not.

use std::path::{Path, PathBuf};

use super::{
    archive::{self, Range},
    format,
    parts::names,
};
use crate::durable::{
    id::{Sequence, StreamId},
    journal::{
        self,
        disk::{self, Disk},
    },
    store::Error,
};

const SUFFIX: &str = ".gone";

/// What is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Gone {
    /// The last record whose events are gone; 0 if all are there.
    pub(super) to: Sequence,
    /// Streams below this may have lost their begin.
    pub(super) below: StreamId,
}

impl Gone {
    /// What the newest note says.
    pub(super) fn read(disk: &dyn Disk, folder: &Path) -> Result<Self, Error> {
        Ok(notes(disk, folder)?.last().map(|(gone, _)| *gone).unwrap_or_default())
    }

    /// Note it, durably.
    pub(super) fn note(self, disk: &dyn Disk, folder: &Path) -> Result<PathBuf, Error> {
        let ledger = folder.join(archive::FOLDER);
        let path = ledger.join(format!("{}-{}{SUFFIX}", names::digits(self.to), names::digits(Sequence(self.below.0))));
        let text = format!(
            "The events of records 1 to {} were kept for as long as was asked for, and are gone, with the runs they were of.\n",
            self.to
        );
        disk::write(disk, &path, text.as_bytes()).map_err(journal::io("write", &path))?;
        format::sync(disk, &ledger)?;
        Ok(path)
    }

    /// Whether a range of records counts for nothing any more.
    pub(super) fn covers(self, range: Range) -> bool {
        range.to <= self.to
    }

    /// Remove what it covers, and the notes before it.
    pub(super) fn remove_covered(
        self,
        disk: &dyn Disk,
        folder: &Path,
        lost: Vec<(Range, PathBuf)>,
    ) -> Result<(), Error> {
        let ledger = folder.join(archive::FOLDER);
        let covered = archive::list(disk, &ledger)?.into_iter().chain(lost);
        let covered = covered.filter(|(range, _)| self.covers(*range)).map(|(_, path)| path);
        let notes = notes(disk, folder)?.into_iter().filter(|(gone, _)| *gone < self).map(|(_, path)| path);
        let needless: Vec<_> = covered.chain(notes).collect();
        if needless.is_empty() {
            return Ok(());
        }
        // Whoever wrote this note may have died before its name was durable.
        format::sync(disk, &ledger)?;
        for path in &needless {
            disk.remove(path).map_err(journal::io("remove", path))?;
        }
        format::sync(disk, &ledger)
    }
}

fn notes(disk: &dyn Disk, folder: &Path) -> Result<Vec<(Gone, PathBuf)>, Error> {
    names::list(disk, &folder.join(archive::FOLDER), parse)
}

fn parse(name: &str) -> Option<Gone> {
    let (to, below) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    Some(Gone { to: names::sequence(to)?, below: StreamId(names::sequence(below)?.0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::journal::disk::RealDisk;

    /// A name that stays on disk, and says what is not there any more.
    #[test]
    fn what_is_gone_keeps_its_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("ledger")).unwrap();
        let gone = Gone { to: Sequence(4_711), below: StreamId(52_480) };
        let path = gone.note(&RealDisk, folder.path()).unwrap();
        assert_eq!(path, folder.path().join("ledger/00000000000000004711-00000000000000052480.gone"));
        assert_eq!(Gone::read(&RealDisk, folder.path()).unwrap(), gone);
    }
}
