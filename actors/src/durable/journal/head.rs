//! How far acknowledgements went, kept outside the journal.
//!
//! Two slots, 4 KiB apart, are written in turn, so that a torn write leaves the other one whole.
//!
//! **Invariant:** what it says is durable was synced before it was written. It may lag, and never leads.

use std::{io, path::Path};

use super::{
    FORMAT,
    disk::{Access, Disk, File},
    frame::{u32_at, u64_at},
};
use crate::durable::{
    id::{Epoch, Sequence},
    store::Error,
};

/// The file's name.
pub(crate) const NAME: &str = "HEAD";
const MAGIC: u64 = u64::from_le_bytes(*b"hf-head\n");
const SLOT: usize = 48;
const APART: usize = 4096;

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Which store this is.
    pub(crate) store: u64,
    /// Which life wrote it.
    pub(crate) incarnation: Epoch,
    /// The last record known to be synced.
    pub(crate) durable: Sequence,
}

/// What reading the file came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// There is no such file.
    Missing,
    /// Neither slot can be read.
    Unreadable,
    /// The newer of the slots, and its count of writes.
    Whole(Head, u64),
    /// One slot is torn; this is the other.
    Half(Head, u64),
}

impl Found {
    /// What the file says, if anything.
    pub(crate) fn head(&self) -> Option<Head> {
        match self {
            Self::Missing | Self::Unreadable => None,
            Self::Whole(head, _) | Self::Half(head, _) => Some(*head),
        }
    }
}

/// Read the file.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> Result<Found, Error> {
    let file = match disk.open(path, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
        file => file.map_err(super::io("open", path))?,
    };
    let mut bytes = [0; APART + SLOT];
    let read = file.read_at(&mut bytes, 0).map_err(super::io("read", path))?;
    bytes[read..].fill(0);
    let slots = [slot(&bytes[..SLOT], path)?, slot(&bytes[APART..], path)?];
    Ok(match slots {
        [Some(a), Some(b)] if a.1 > b.1 => Found::Whole(a.0, a.1),
        [Some(_), Some(b)] => Found::Whole(b.0, b.1),
        [Some(one), None] | [None, Some(one)] => Found::Half(one.0, one.1),
        [None, None] => Found::Unreadable,
    })
}

/// The file, open for notes.
pub(crate) struct Writer {
    file: Box<dyn File>,
    count: u64,
}

impl Writer {
    /// Make the file where there is none; it is there whole, or not at all.
    pub(crate) fn create(disk: &dyn Disk, folder: &Path, head: Head) -> Result<Self, Error> {
        let (path, new) = (folder.join(NAME), folder.join("HEAD.new"));
        let file = disk.open(&new, Access::Create).map_err(super::io("create", &new))?;
        let mut writer = Self { file, count: 0 };
        let made = writer.write(head).and_then(|()| writer.write(head)).and_then(|()| writer.file.sync_all());
        made.map_err(super::io("write", &new))?;
        disk.rename(&new, &path).map_err(super::io("create", &path))?;
        disk.sync_folder(folder).map_err(super::io("sync", folder))?;
        Ok(writer)
    }

    /// Go on with the file that is there.
    pub(crate) fn resume(disk: &dyn Disk, folder: &Path, count: u64) -> Result<Self, Error> {
        let path = folder.join(NAME);
        let file = disk.open(&path, Access::Write).map_err(super::io("open", &path))?;
        Ok(Self { file, count })
    }

    /// Note how far we are, durably.
    pub(crate) fn note(&mut self, head: Head) -> io::Result<()> {
        self.write(head)?;
        self.file.sync_data()
    }

    fn write(&mut self, head: Head) -> io::Result<()> {
        self.count += 1;
        // The slot of the write before stays as it is: it is what a torn write falls back to.
        let offset = (self.count % 2) * APART as u64;
        self.file.write_at(&encode(head, self.count), offset)
    }
}

fn encode(head: Head, count: u64) -> [u8; SLOT] {
    let mut bytes = [0; SLOT];
    bytes[..8].copy_from_slice(&MAGIC.to_le_bytes());
    bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[12..20].copy_from_slice(&count.to_le_bytes());
    bytes[20..28].copy_from_slice(&head.store.to_le_bytes());
    bytes[28..36].copy_from_slice(&head.incarnation.0.to_le_bytes());
    bytes[36..44].copy_from_slice(&head.durable.0.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..44]);
    bytes[44..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// A slot of every format has its checksum in the same place, or an older build could not tell newer from torn.
fn slot(bytes: &[u8], path: &Path) -> Result<Option<(Head, u64)>, Error> {
    if u64_at(bytes, 0) != MAGIC || u32_at(bytes, 44) != crc32c::crc32c(&bytes[..44]) {
        return Ok(None);
    }
    let found = u32_at(bytes, 8);
    if found > FORMAT {
        return Err(Error::Newer { file: path.to_path_buf(), found, known: FORMAT });
    }
    let head =
        Head { store: u64_at(bytes, 20), incarnation: Epoch(u64_at(bytes, 28)), durable: Sequence(u64_at(bytes, 36)) };
    Ok(Some((head, u64_at(bytes, 12))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::Golden;

    /// Bytes that stay on disk: a build that changes them must still read these.
    #[test]
    fn a_slot_keeps_its_bytes() {
        let head = Head { store: 0x99AA_BBCC_DDEE_FF00, incarnation: Epoch(3), durable: Sequence(300) };
        let mut golden = Golden::of("head");
        golden.bytes("slot", &encode(head, 5));
        golden.end();
        assert_eq!(slot(&encode(head, 5), Path::new(NAME)).unwrap(), Some((head, 5)));
    }
}
