//! Writes a base, row by row.
//!
//! **Invariant:** a block is not longer than [`PART`], unless it holds a single row. One that is shorter than a quarter of
//! that is the last, or does not fit into one block with a neighbour: a base that is made of bases again and again does not
//! become many small blocks.

use std::path::Path;

use super::{
    super::parts::{self, PART},
    Header, KEY_MAX, KIND, META_MAX, Summary, VALUE_MAX, rows,
};
use crate::durable::{journal::disk::Disk, store::Error};

/// A shorter block does not stay beside one that it fits into.
const SMALL: usize = PART / 4;

/// A base being written. After an error it is given up.
pub(crate) struct Writer {
    parts: parts::Writer,
    block: Vec<u8>,
    index: Vec<u8>,
    last: Vec<u8>,
    rows: u64,
}

impl Writer {
    /// Make the file, or empty it if it is there. Its folder is there.
    ///
    /// # Errors
    /// [`Error::Misuse`] if the meta is longer than [`META_MAX`]; [`Error::Io`] if the system refuses.
    pub(crate) fn create(disk: &dyn Disk, path: &Path, header: &Header) -> Result<Self, Error> {
        within("meta", header.meta.len(), META_MAX)?;
        let parts = parts::Writer::create(disk, path, &KIND, &header.encode())?;
        Ok(Self { parts, block: Vec::with_capacity(PART), index: Vec::new(), last: Vec::new(), rows: 0 })
    }

    /// Write the next row.
    ///
    /// # Errors
    /// [`Error::Misuse`] if key or value are longer than [`KEY_MAX`] and [`VALUE_MAX`]; [`Error::Io`] if the system refuses.
    ///
    /// # Panics
    /// If the key is not above the last one.
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.follows(key);
        within("key", key.len(), KEY_MAX)?;
        within("value", value.len(), VALUE_MAX)?;
        if self.block.len() + rows::size(key, value) > PART {
            self.flush()?;
        }
        if self.block.is_empty() {
            rows::push_entry(&mut self.index, key, self.parts.offset());
        }
        rows::push(&mut self.block, key, value);
        key.clone_into(&mut self.last);
        self.rows += 1;
        Ok(())
    }

    /// Write the next rows: a block of another base. It is taken as it is, unless it or the one before would be small.
    ///
    /// # Errors
    /// As [`Self::put`].
    ///
    /// # Panics
    /// As [`Self::put`].
    pub(crate) fn put_block(&mut self, block: &[u8]) -> Result<(), Error> {
        let (before, both) = (self.block.len(), self.block.len() + block.len());
        if before > 0 && both <= PART {
            return self.put_all(block, PART);
        }
        if (1..SMALL).contains(&before) {
            return self.put_all(block, both / 2);
        }
        self.flush()?;
        if block.len() < SMALL {
            return self.put_all(block, PART);
        }
        let Some((first, _)) = rows::first(block) else { return Ok(()) };
        self.follows(first);
        rows::push_entry(&mut self.index, first, self.parts.offset());
        let (count, last) = rows::iter(block).fold((0, first), |(count, _), (key, _)| (count + 1, key));
        self.rows += count;
        last.clone_into(&mut self.last);
        self.parts.part(block)
    }

    /// Write the rows of a block one by one, and end the block that they enter where it has a length.
    fn put_all(&mut self, block: &[u8], full: usize) -> Result<(), Error> {
        for (key, value) in rows::iter(block) {
            self.put(key, value)?;
            if self.block.len() >= full {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Write what is left, the index and the footer, and sync the file.
    ///
    /// # Errors
    /// If the system refuses.
    pub(crate) fn finish(mut self) -> Result<Summary, Error> {
        self.flush()?;
        let bytes = self.parts.finish(&self.index, self.rows)?;
        Ok(Summary { rows: self.rows, bytes })
    }

    fn follows(&self, key: &[u8]) {
        assert!(
            self.rows == 0 || *self.last < *key,
            "the rows of a base are put in the order of their keys, each once"
        );
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.block.is_empty() {
            return Ok(());
        }
        self.parts.part(&self.block)?;
        self.block.clear();
        Ok(())
    }
}

fn within(what: &str, length: usize, most: usize) -> Result<(), Error> {
    if length <= most {
        return Ok(());
    }
    Err(Error::Misuse { cause: format!("a {what} of {length} bytes was to enter a base, and {most} are the most") })
}
