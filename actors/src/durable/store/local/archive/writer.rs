//! Makes a ledger segment.
//!
//! **Invariant:** a segment has its name only once every chain was computed from what was read back of it, and arrived where
//! it should: what is in a segment cannot be mended later.

use std::path::{Path, PathBuf};

use super::{
    super::parts::{self, names},
    Header, KIND, Link, Pile, Range, Segment,
    format::Entry,
    name,
};
use crate::durable::{
    journal::{self, disk::Disk},
    store::Error,
};

/// A segment that is whole and read back, and has no name yet.
#[derive(Debug)]
pub(crate) struct Draft {
    /// The records whose events it holds.
    pub(crate) range: Range,
    /// The link of the segment before.
    pub(crate) previous: Link,
    /// What the segment after it has to know it by.
    pub(crate) link: Link,
    path: PathBuf,
}

impl Draft {
    /// Give it its name, durably.
    pub(crate) fn publish(&self, disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
        names::publish(disk, folder, &self.path, &name(self.range)).map(drop)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Write the events of a range of records. The folder is made if it is not there; the segment is there whole, or not at all.
///
/// # Errors
/// [`Error::Undecodable`] if a chain does not arrive at its head, [`Error::Misuse`] if there is no such range,
/// [`Error::DamagedFile`] if other bytes are read than were written, [`Error::Io`] if the system refuses.
pub(crate) fn write(disk: &dyn Disk, folder: &Path, header: &Header, pile: Pile) -> Result<Draft, Error> {
    let range = header.range;
    if !range.is_sound() {
        let cause = format!("there is no range from {} to {}", range.from, range.to);
        return Err(Error::Misuse { cause });
    }
    disk.create_folder(folder).map_err(journal::io("create", folder))?;
    let path = names::draft(folder, &name(range));
    let made = put(disk, &path, header, pile).and_then(|()| read_back(disk, &path));
    let link = made.inspect_err(|_| {
        // Half a segment on a full disk is room that others need.
        let _ = disk.remove(&path);
    })?;
    Ok(Draft { range, previous: header.previous, link, path })
}

fn put(disk: &dyn Disk, draft: &Path, header: &Header, pile: Pile) -> Result<(), Error> {
    let streams = pile.streams()?;
    let mut parts = parts::Writer::create(disk, draft, &KIND, &header.encode())?;
    let (mut index, mut count) = (Vec::new(), 0);
    for (stream, of) in &streams {
        let offset = parts.offset();
        of.parts().try_for_each(|part| parts.part(part))?;
        let length = parts.offset() - offset;
        Entry { stream: *stream, heads: of.heads, offset, length }.push(&mut index);
        count += of.count();
    }
    parts.finish(&index, count)?;
    Ok(())
}

fn read_back(disk: &dyn Disk, draft: &Path) -> Result<Link, Error> {
    let segment = Segment::open(disk, draft)?;
    segment.follow(&|sequence, cause| Error::Undecodable { sequence, cause })?;
    Ok(segment.link())
}
