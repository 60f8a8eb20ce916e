//! Writes a file of parts, through one buffer.
//!
//! **Invariant:** what [`finish`](Writer::finish) returned `Ok` for is whole and synced. After an error the file is given
//! up: nothing is tried again, and whoever made it removes what is left.

use std::path::{Path, PathBuf};

use bytes::BytesMut;

use super::{
    Kind,
    seal::{self, FOOTER, Footer, Pin},
};
use crate::durable::{
    codec::{self, PACKED_LEAST, VALUE_MAX},
    journal::{
        self,
        disk::{Access, Disk, File},
    },
    store::Error,
};

const BUFFER: usize = 256 * 1024;
/// So much is handed to the disk at once: all of a large file would hold up the syncs of those who commit.
const UNSYNCED_MAX: u64 = 8 * 1024 * 1024;

/// A file being written.
pub(crate) struct Writer {
    file: Box<dyn File>,
    path: PathBuf,
    pin: Pin,
    buffer: Vec<u8>,
    /// Room for a part that is compressed, where parts are.
    packed: Option<BytesMut>,
    written: u64,
    synced: u64,
}

impl Writer {
    /// Make a file, or empty it if it is there. Its folder is there.
    pub(crate) fn create(disk: &dyn Disk, path: &Path, kind: &Kind, body: &[u8]) -> Result<Self, Error> {
        let file = disk.open(path, Access::Create).map_err(journal::io("create", path))?;
        let (buffer, pin) = seal::header(kind, body);
        let packed = kind.packs.then(BytesMut::new);
        Ok(Self { file, path: path.to_path_buf(), pin, buffer, packed, written: 0, synced: 0 })
    }

    /// Where the next part will lie.
    pub(crate) fn offset(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Write a part.
    pub(crate) fn part(&mut self, payload: &[u8]) -> Result<(), Error> {
        let offset = self.offset();
        let packed = self.packed.as_mut().filter(|_| (PACKED_LEAST..=VALUE_MAX).contains(&payload.len()));
        let packed = packed.map(|packed| {
            packed.clear();
            codec::pack_bytes(payload, packed);
            &packed[..]
        });
        match packed.filter(|packed| packed.len() < payload.len()) {
            Some(packed) => seal::seal_packed(&mut self.buffer, self.pin, offset, packed),
            None => seal::seal(&mut self.buffer, self.pin, offset, payload),
        }
        if self.buffer.len() < BUFFER { Ok(()) } else { self.flush() }
    }

    /// Write index and footer, and sync; returns how long the file is.
    pub(crate) fn finish(mut self, index: &[u8], count: u64) -> Result<u64, Error> {
        let index_at = self.offset();
        self.part(index)?;
        let len = self.offset() + FOOTER as u64;
        self.part(&Footer { index_at, count, len }.encode())?;
        self.flush()?;
        self.file.sync_all().map_err(journal::io("sync", &self.path))?;
        Ok(len)
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.file.write_at(&self.buffer, self.written).map_err(journal::io("write", &self.path))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.written - self.synced >= UNSYNCED_MAX {
            self.file.sync_data().map_err(journal::io("sync", &self.path))?;
            self.synced = self.written;
        }
        Ok(())
    }
}
