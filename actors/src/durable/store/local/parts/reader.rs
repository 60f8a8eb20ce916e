//! Reads a file of parts.
//!
//! **Invariant:** a file that opens is as long as it was written, and its header, index and footer are whole. What is
//! wrong with a file is told with its name.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{
    Kind, PART,
    seal::{self, BODY_MAX, FOOTER, Footer, HEADER, Pin, Refused},
};
use crate::durable::{
    journal::{
        self,
        disk::{Access, Disk, File},
    },
    store::Error,
};

/// Of parts that follow each other so much is read at once, and all of one that is larger.
const AHEAD: u64 = 2 * PART as u64;

/// An open file.
pub(crate) struct Reader {
    source: Source,
    pin: Pin,
    body: Vec<u8>,
    footer: Footer,
    index: Bytes,
}

impl Reader {
    /// Open a file, and check all of it but its parts.
    pub(crate) fn open(disk: &dyn Disk, path: &Path, kind: &Kind) -> Result<Self, Error> {
        let source = Source::open(disk, path)?;
        let (body, pin) = source.header(kind)?;
        let footer = source.footer(pin)?;
        let mut reader = Self { source, pin, body, footer, index: Bytes::new() };
        if footer.index_at < reader.start() {
            return Err(reader.damaged("its footer points into its header"));
        }
        reader.index = reader.part(footer.index_at, footer.len - FOOTER as u64)?;
        Ok(reader)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.source.path
    }

    /// What its header says.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Its index.
    pub(crate) fn index(&self) -> &Bytes {
        &self.index
    }

    /// Where the first part lies.
    pub(crate) fn start(&self) -> u64 {
        (HEADER + self.body.len()) as u64
    }

    /// Where the last part ends.
    pub(crate) fn end(&self) -> u64 {
        self.footer.index_at
    }

    /// How many there are of what it holds.
    pub(crate) fn count(&self) -> u64 {
        self.footer.count
    }

    /// How long it is.
    pub(crate) fn len(&self) -> u64 {
        self.footer.len
    }

    /// The part that fills these offsets.
    pub(crate) fn part(&self, from: u64, to: u64) -> Result<Bytes, Error> {
        let bytes = Bytes::from(self.source.bytes(from, to)?);
        seal::open(self.pin, from, &bytes).ok_or_else(|| self.bad_part(from))
    }

    /// The parts that lie end to end between two offsets.
    pub(crate) fn between(&self, from: u64, to: u64) -> Between<'_> {
        Between { reader: self, at: from, to, ahead: Bytes::new() }
    }

    /// Something in it is not what was written.
    pub(crate) fn damaged(&self, cause: impl Into<String>) -> Error {
        self.source.damaged(cause)
    }

    fn bad_part(&self, offset: u64) -> Error {
        self.damaged(format!("what lies at {offset} is not what was written there"))
    }
}

/// Parts, one after the other, read some at a time.
pub(crate) struct Between<'a> {
    reader: &'a Reader,
    at: u64,
    to: u64,
    /// What was read from there on.
    ahead: Bytes,
}

impl Between<'_> {
    /// The next part; `None` behind the last.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let (reader, at) = (self.reader, self.at);
        if at >= self.to {
            return Ok(None);
        }
        let size = match self.size().filter(|size| *size <= self.ahead.len() as u64) {
            Some(size) => size,
            None => self.read(AHEAD).and_then(|()| self.size().ok_or_else(|| reader.bad_part(at)))?,
        };
        if size > self.to - at {
            return Err(reader.bad_part(at));
        }
        if size > self.ahead.len() as u64 {
            self.read(size)?;
        }
        let part = self.ahead.split_to(usize::try_from(size).unwrap_or(usize::MAX).min(self.ahead.len()));
        let payload = seal::open(reader.pin, at, &part).ok_or_else(|| reader.bad_part(at))?;
        self.at += size;
        Ok(Some(payload))
    }

    fn size(&self) -> Option<u64> {
        self.ahead.first_chunk().map(seal::size)
    }

    fn read(&mut self, most: u64) -> Result<(), Error> {
        self.ahead = self.reader.source.bytes(self.at, self.to.min(self.at.saturating_add(most)))?.into();
        Ok(())
    }
}

/// A file of which nothing is known but its length.
struct Source {
    file: Box<dyn File>,
    path: PathBuf,
    len: u64,
}

impl Source {
    fn open(disk: &dyn Disk, path: &Path) -> Result<Self, Error> {
        let file = disk.open(path, Access::Read).map_err(journal::io("open", path))?;
        let len = file.len().map_err(journal::io("read", path))?;
        Ok(Self { file, path: path.to_path_buf(), len })
    }

    fn header(&self, kind: &Kind) -> Result<(Vec<u8>, Pin), Error> {
        let head = self.bytes(0, HEADER as u64)?;
        let head = head.first_chunk().ok_or_else(|| self.damaged("it ends in its header"))?;
        // A length beyond the bound is a flipped bit, and must not be believed.
        let body = self.bytes(HEADER as u64, (HEADER + seal::body_len(head).min(BODY_MAX)) as u64)?;
        match seal::open_header(kind, head, &body) {
            Ok(pin) => Ok((body, pin)),
            Err(Refused::Damaged) => Err(self.damaged("its header is not what was written")),
            Err(Refused::Other) => Err(self.damaged(format!("it does not begin as a {} does", kind.name))),
            Err(Refused::Newer(found)) => Err(Error::Newer { file: self.path.clone(), found, known: kind.format }),
        }
    }

    fn footer(&self, pin: Pin) -> Result<Footer, Error> {
        let at = self.len.checked_sub(FOOTER as u64).ok_or_else(|| self.damaged("it is too short"))?;
        let bytes = self.bytes(at, self.len)?.into();
        let footer = seal::open(pin, at, &bytes).and_then(|payload| Footer::decode(&payload));
        let footer = footer.filter(|footer| footer.len == self.len && footer.index_at <= at);
        footer.ok_or_else(|| self.damaged("it does not end with its footer: something was cut off or added"))
    }

    /// What lies between two offsets, which may claim anything.
    fn bytes(&self, from: u64, to: u64) -> Result<Vec<u8>, Error> {
        let length = to.checked_sub(from).filter(|_| to <= self.len).and_then(|length| usize::try_from(length).ok());
        let length = length.ok_or_else(|| self.damaged(format!("it ends before {to}")))?;
        let mut bytes = vec![0; length];
        let read = self.file.read_at(&mut bytes, from).map_err(journal::io("read", &self.path))?;
        if read == length { Ok(bytes) } else { Err(self.damaged(format!("it ends before {to}"))) }
    }

    fn damaged(&self, cause: impl Into<String>) -> Error {
        Error::DamagedFile { file: self.path.clone(), cause: cause.into() }
    }
}
