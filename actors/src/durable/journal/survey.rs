//! What lies in a data folder, before any record is read.
//!
//! **Invariant:** `HEAD` is read before the journal's names are listed, so that what it promises is among them even while
//! another process writes. A file that was removed between the look at the names and the look into it is no damage.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    disk::Disk,
    head,
    segment::{self, Header, Segment},
};
use crate::durable::{
    id::{Epoch, Sequence},
    store::Error,
};

/// What lies there.
pub(crate) struct Survey {
    /// The data folder.
    pub(crate) folder: PathBuf,
    /// What HEAD says.
    pub(crate) head: head::Found,
    /// Every segment, by number.
    pub(crate) all: Vec<Segment>,
    /// Those whose records count.
    pub(crate) live: Vec<Segment>,
    /// Files that a crash left half made.
    pub(crate) unfinished: Vec<PathBuf>,
}

impl Survey {
    /// Look.
    pub(crate) fn take(disk: &dyn Disk, folder: &Path) -> Result<Self, Error> {
        Self::look(disk, folder, Segment::read)
    }

    /// Look, and keep the segments open: another process may remove them while we read.
    pub(crate) fn hold(disk: &dyn Disk, folder: &Path) -> Result<Self, Error> {
        Self::look(disk, folder, Segment::read_and_hold)
    }

    fn look(disk: &dyn Disk, folder: &Path, read: Read) -> Result<Self, Error> {
        loop {
            let head = head::read(disk, &folder.join(head::NAME))?;
            let names = listed(disk, folder)?;
            match Self::of(disk, folder, head, &names, read) {
                // Whoever trims the journal was quicker. If not, it is there by name and not to be opened.
                Err(error) if error.is_gone() && listed(disk, folder)? != names => {}
                survey => return survey,
            }
        }
    }

    fn of(disk: &dyn Disk, folder: &Path, head: head::Found, names: &[String], read: Read) -> Result<Self, Error> {
        let journal = folder.join(segment::FOLDER);
        let numbers = names.iter().filter_map(|name| segment::number(name));
        let all = numbers.map(|number| read(disk, &journal, number)).collect::<Result<Vec<_>, _>>()?;
        let unfinished = names.iter().filter(|name| name.ends_with(".new")).map(|name| journal.join(name)).collect();
        let survey = Self { folder: folder.to_path_buf(), head, live: live(&all), all, unfinished };
        survey.fits()?;
        Ok(survey)
    }

    /// The last record known to be synced: HEAD says so, or it went with a segment, which only what was synced does.
    pub(crate) fn floor(&self) -> Sequence {
        let trimmed = Sequence(self.first().0.saturating_sub(1));
        self.head.head().map_or(trimmed, |head| head.durable.max(trimmed))
    }

    /// The first record that is there, or would be: those before it were put into a base, and their segments removed.
    pub(crate) fn first(&self) -> Sequence {
        let first = self.live.first().and_then(|segment| segment.header.as_ref().ok());
        first.map_or(Sequence(1), |header| header.first)
    }

    /// The latest life that left a trace.
    pub(crate) fn epoch(&self) -> Epoch {
        let written = self.headers().map(|header| header.epoch).max().unwrap_or_default();
        self.head.head().map_or(written, |head| head.incarnation.max(written))
    }

    /// Which store this is, if it is one already.
    pub(crate) fn store(&self) -> Option<u64> {
        self.head.head().map(|head| head.store).or_else(|| self.headers().map(|header| header.store).next())
    }

    /// Whether nothing was ever here.
    pub(crate) fn is_new(&self) -> bool {
        self.all.is_empty() && self.head == head::Found::Missing
    }

    /// Every life begins a segment before it notes so in HEAD.
    pub(crate) fn newest_is_there(&self) -> Result<(), Error> {
        let newest = self.headers().map(|header| header.epoch).max().unwrap_or_default();
        if self.head.head().is_some_and(|head| head.incarnation > newest) {
            return Err(
                self.inconsistent("the newest segment of the journal is missing; restore a backup of the folder")
            );
        }
        Ok(())
    }

    /// What was found amiss with HEAD, in a sentence.
    pub(crate) fn remark(&self, last: Sequence) -> Option<String> {
        let fresh = self.epoch() <= Epoch(1) && last == Sequence(0);
        match self.head {
            head::Found::Missing if self.is_new() => None,
            head::Found::Missing if fresh => {
                Some("the creation of the store, which a crash had interrupted, was completed".to_owned())
            }
            head::Found::Missing => Some(format!(
                "HEAD was missing: the journal was taken as it is, up to record {last}; records behind it cannot be known"
            )),
            head::Found::Unreadable => Some(format!(
                "HEAD was unreadable: the journal was taken as it is, up to record {last}; records behind it cannot be known"
            )),
            head::Found::Half(..) => Some("one slot of HEAD was torn; the other was used".to_owned()),
            head::Found::Whole(..) => None,
        }
    }

    fn headers(&self) -> impl Iterator<Item = &Header> {
        self.all.iter().filter_map(|segment| segment.header.as_ref().ok())
    }

    fn fits(&self) -> Result<(), Error> {
        if self.all.is_empty() && self.head != head::Found::Missing {
            return Err(self.inconsistent("HEAD is there and the journal is not; put the folder `journal` back, or restore a backup of the whole folder"));
        }
        let store = self.store();
        if self.headers().any(|header| Some(header.store) != store) {
            return Err(
                self.inconsistent("HEAD and journal belong to different stores; restore a backup of the whole folder")
            );
        }
        if !self.headers().is_sorted_by_key(|header| header.epoch) {
            return Err(self.inconsistent("the segments of the journal are not in the order in which they were written; restore a backup of the whole folder"));
        }
        Ok(())
    }

    fn inconsistent(&self, cause: &str) -> Error {
        Error::Inconsistent { folder: self.folder.clone(), cause: cause.to_owned() }
    }
}

type Read = fn(&dyn Disk, &Path, u64) -> Result<Segment, Error>;

fn listed(disk: &dyn Disk, folder: &Path) -> Result<Vec<String>, Error> {
    let journal = folder.join(segment::FOLDER);
    let mut names = match disk.list(&journal) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names.map_err(super::io("list", &journal))?,
    };
    names.sort();
    Ok(names)
}

/// From a segment's first sequence on, segments before it count for nothing.
fn live(all: &[Segment]) -> Vec<Segment> {
    let mut lowest = Sequence(u64::MAX);
    let counts = |segment: &&Segment| match &segment.header {
        Ok(header) if header.first >= lowest => false,
        Ok(header) => {
            lowest = header.first;
            true
        }
        Err(_) => true,
    };
    let mut live: Vec<Segment> = all.iter().rev().filter(counts).cloned().collect();
    live.reverse();
    live
}
