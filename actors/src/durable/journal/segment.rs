//! One file of the journal: its name, its header, its making.
//!
//! The header fills a page of its own, so that no write of a record can tear it. The rest is zeros, really written:
//! space that was only promised costs more with every sync, and may not be there when it is needed.
//!
//! **Invariant:** a file has its final name only once its header is synced, so a header that cannot be read is damage.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    FORMAT,
    disk::{Access, Disk, File},
    frame::{u32_at, u64_at},
};
use crate::durable::{
    id::{Epoch, Sequence},
    store::Error,
};

/// The folder of segments.
pub(crate) const FOLDER: &str = "journal";
/// Where the first record lies.
pub(crate) const HEADER: u64 = 4096;
const MAGIC: u64 = u64::from_le_bytes(*b"hf-segm\n");
const USED: usize = 68;
const FILL: usize = 1024 * 1024;

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Its number, which is also its name.
    pub(crate) number: u64,
    /// The random number that its records repeat.
    pub(crate) id: u64,
    /// The store it belongs to.
    pub(crate) store: u64,
    /// The life that wrote it.
    pub(crate) epoch: Epoch,
    /// The sequence of its first record.
    pub(crate) first: Sequence,
    /// The checksum of the record before that one.
    pub(crate) previous: u32,
    /// Whether each record was synced before the next was written.
    pub(crate) synced: bool,
}

/// A segment as a start finds it.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// By its name.
    pub(crate) number: u64,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What it says, or why that cannot be read.
    pub(crate) header: Result<Header, String>,
    /// The file, if it is kept open: whoever only looks reads on when it is removed.
    pub(crate) held: Option<Held>,
}

/// A file that is kept open.
#[derive(Clone)]
pub(crate) struct Held(Arc<dyn File>);

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

/// A segment's file.
pub(crate) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}.seg"))
}

/// The number in a segment's name.
pub(crate) fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    if digits.len() == 10 { digits.parse().ok() } else { None }
}

/// Make a file of zeros, and wait until it is on disk.
pub(crate) fn fill(disk: &dyn Disk, path: &Path, len: u64) -> io::Result<Box<dyn File>> {
    let file = disk.open(path, Access::Create)?;
    let zeros = vec![0; FILL.min(usize::try_from(len).unwrap_or(FILL))];
    let mut at = 0;
    while at < len {
        let part = usize::try_from(len - at).unwrap_or(FILL).min(FILL);
        file.write_at(&zeros[..part], at)?;
        at += part as u64;
    }
    file.sync_all()?;
    Ok(file)
}

/// Give a file its final name, durably.
pub(crate) fn publish(disk: &dyn Disk, folder: &Path, from: &Path, number: u64) -> Result<PathBuf, Error> {
    let to = path(folder, number);
    disk.rename(from, &to).map_err(super::io("rename to its final name", from))?;
    disk.sync_folder(folder).map_err(super::io("sync", folder))?;
    Ok(to)
}

impl Segment {
    /// Read what a file says about itself.
    pub(crate) fn read(disk: &dyn Disk, folder: &Path, number: u64) -> Result<Self, Error> {
        Self::read_and_hold(disk, folder, number).map(|segment| Self { held: None, ..segment })
    }

    /// The same, and keep the file open.
    pub(crate) fn read_and_hold(disk: &dyn Disk, folder: &Path, number: u64) -> Result<Self, Error> {
        let path = path(folder, number);
        let file = disk.open(&path, Access::Read).map_err(super::io("open", &path))?;
        let mut bytes = [0; USED];
        let read = file.read_at(&mut bytes, 0).map_err(super::io("read", &path))?;
        let header = match Header::decode(&bytes[..read]) {
            Err(Some(found)) => return Err(Error::Newer { file: path, found, known: FORMAT }),
            Err(None) => Err("its header cannot be read".to_owned()),
            Ok(header) if header.number != number => {
                Err(format!("it holds segment {} under another name", header.number))
            }
            Ok(header) => Ok(header),
        };
        Ok(Self { number, path, header, held: Some(Held(file.into())) })
    }

    /// Its file, to be read.
    pub(crate) fn open(&self, disk: &dyn Disk) -> io::Result<Arc<dyn File>> {
        match &self.held {
            Some(Held(file)) => Ok(file.clone()),
            None => disk.open(&self.path, Access::Read).map(Arc::from),
        }
    }
}

impl Header {
    /// Its bytes.
    pub(crate) fn encode(&self) -> [u8; USED] {
        let mut bytes = [0; USED];
        bytes[..8].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.number.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.id.to_le_bytes());
        bytes[28..36].copy_from_slice(&self.store.to_le_bytes());
        bytes[36..44].copy_from_slice(&self.epoch.0.to_le_bytes());
        bytes[44..52].copy_from_slice(&self.first.0.to_le_bytes());
        bytes[52..56].copy_from_slice(&self.previous.to_le_bytes());
        bytes[56] = u8::from(self.synced);
        let crc = crc32c::crc32c(&bytes[..64]);
        bytes[64..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Every format has its checksum in the same place. The error holds the version if that is what is wrong.
    fn decode(bytes: &[u8]) -> Result<Self, Option<u32>> {
        if bytes.len() < USED || u64_at(bytes, 0) != MAGIC || u32_at(bytes, 64) != crc32c::crc32c(&bytes[..64]) {
            return Err(None);
        }
        if u32_at(bytes, 8) > FORMAT {
            return Err(Some(u32_at(bytes, 8)));
        }
        Ok(Self {
            number: u64_at(bytes, 12),
            id: u64_at(bytes, 20),
            store: u64_at(bytes, 28),
            epoch: Epoch(u64_at(bytes, 36)),
            first: Sequence(u64_at(bytes, 44)),
            previous: u32_at(bytes, 52),
            synced: bytes[56] != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::Golden;

    /// Bytes that stay on disk: a build that changes them must still read these.
    #[test]
    fn a_header_keeps_its_bytes() {
        let header = Header {
            number: 7,
            id: 0x1122_3344_5566_7788,
            store: 0x99AA_BBCC_DDEE_FF00,
            epoch: Epoch(3),
            first: Sequence(300),
            previous: 0xDEAD_BEEF,
            synced: true,
        };
        let mut golden = Golden::of("segment");
        golden.bytes("synced", &header.encode());
        golden.bytes("not synced", &Header { synced: false, ..header }.encode());
        golden.end();
        assert_eq!(Header::decode(&header.encode()), Ok(header));
        assert_eq!(path(Path::new("journal"), 7), Path::new("journal/0000000007.seg"));
    }
}
