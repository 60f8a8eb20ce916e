//! Reads a base: one row, a range of them, or all.
//!
//! **Invariant:** only the index is in memory, and one block at a time. A block is checked whole before a row of it is
//! handed out.

use std::path::Path;

use bytes::{Buf, Bytes};

use super::{
    super::parts::{self, names},
    Header, KIND, META_MAX, Summary, parse,
    rows::{self, Entry},
};
use crate::durable::{journal::disk::Disk, store::Error};

/// An open base.
pub(crate) struct Base {
    parts: parts::Reader,
    header: Header,
    index: Vec<Entry>,
}

impl Base {
    /// Open a base, and check all of it but its blocks.
    ///
    /// # Errors
    /// [`Error::DamagedFile`] if it is not what was written, [`Error::Newer`] if a later build wrote it.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<Self, Error> {
        let parts = parts::Reader::open(disk, path, &KIND)?;
        let header = Header::decode(parts.body()).filter(|header| header.meta.len() <= META_MAX);
        let header = header.ok_or_else(|| parts.damaged("its header cannot be read"))?;
        if names::named(path, parse).is_some_and(|named| named != header.sequence) {
            return Err(parts.damaged(format!("it is the base of record {} under another name", header.sequence)));
        }
        let index = rows::entries(parts.index(), parts.start(), parts.end());
        let index = index.ok_or_else(|| parts.damaged("its index does not fit its blocks"))?;
        Ok(Self { parts, header, index })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.parts.path()
    }

    /// What it says about itself.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// How much it holds, as its footer says.
    pub(crate) fn summary(&self) -> Summary {
        Summary { rows: self.parts.count(), bytes: self.parts.len() }
    }

    /// The value of a key. Reads one block.
    ///
    /// # Errors
    /// If the block cannot be read, or is damaged.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let Some(at) = self.block_of(key) else { return Ok(None) };
        let block = self.block(at)?;
        let found = rows::iter(&block).find(|(found, _)| *found >= key);
        Ok(found.filter(|(found, _)| *found == key).map(|(_, value)| value.to_vec()))
    }

    /// Visit the rows from a key on, up to before another, in order, while `visit` says `true`.
    ///
    /// # Errors
    /// If a block cannot be read or is damaged, or `visit` returns an error. What was visited before stands.
    #[expect(clippy::type_complexity, reason = "written out it says more than a name would")]
    pub(crate) fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        for at in self.block_of(from).unwrap_or(0)..self.index.len() {
            for (key, value) in rows::iter(&self.block(at)?).filter(|(key, _)| *key >= from) {
                if to.is_some_and(|to| key >= to) || !visit(key, value)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// All rows, from the first on.
    pub(crate) fn rows(self) -> Rows {
        Rows { base: self, next: 0, block: Bytes::new() }
    }

    /// Read everything.
    ///
    /// # Errors
    /// Whatever is wrong first.
    pub(crate) fn verify(&self) -> Result<Summary, Error> {
        let mut rows = 0;
        for at in 0..self.index.len() {
            rows += rows::iter(&self.block(at)?).count() as u64;
        }
        let counted = Summary { rows, ..self.summary() };
        if counted == self.summary() { Ok(counted) } else { Err(self.parts.damaged("it does not hold all its rows")) }
    }

    /// The block that holds a key, if any does.
    fn block_of(&self, key: &[u8]) -> Option<usize> {
        self.index.partition_point(|entry| *entry.first <= *key).checked_sub(1)
    }

    /// How many blocks there are.
    #[cfg(test)]
    pub(crate) fn blocks(&self) -> usize {
        self.index.len()
    }

    /// Where a block lies; behind the last one, where they end.
    pub(super) fn offset(&self, at: usize) -> u64 {
        self.index.get(at).map_or(self.parts.end(), |entry| entry.offset)
    }

    pub(super) fn block(&self, at: usize) -> Result<Bytes, Error> {
        let (entry, next) = (&self.index[at], self.index.get(at + 1));
        let block = self.parts.part(entry.offset, self.offset(at + 1))?;
        let below = next.map(|next| &*next.first);
        let is_whole = rows::check(&block, &entry.first, below);
        if is_whole { Ok(block) } else { Err(self.parts.damaged(format!("rows at {} are out of order", entry.offset))) }
    }
}

/// A key and its value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// The rows of a base, one after the other.
pub(crate) struct Rows {
    base: Base,
    next: usize,
    block: Bytes,
}

impl Rows {
    /// The next block as it lies in the file, if one begins here and all its keys are below a bound. Below no bound are all.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged.
    pub(crate) fn block_below(&mut self, bound: Option<&[u8]>) -> Result<Option<Bytes>, Error> {
        let index = &self.base.index;
        let is_below = bound.is_none_or(|bound| index.get(self.next + 1).is_some_and(|next| *next.first <= *bound));
        if !self.block.is_empty() || self.next == index.len() || !is_below {
            return Ok(None);
        }
        self.next += 1;
        self.base.block(self.next - 1).map(Some)
    }

    /// The next row.
    ///
    /// # Errors
    /// If a block cannot be read, or is damaged.
    pub(crate) fn next(&mut self) -> Result<Option<Row>, Error> {
        if self.block.is_empty() {
            if self.next == self.base.index.len() {
                return Ok(None);
            }
            self.block = self.base.block(self.next)?;
            self.next += 1;
        }
        let (key, value) = rows::first(&self.block).expect("a checked block that is not empty begins with a row");
        let (row, used) = ((key.to_vec(), value.to_vec()), rows::size(key, value));
        self.block.advance(used);
        Ok(Some(row))
    }
}
