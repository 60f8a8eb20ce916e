//! Writes a base, row by row.
//!
//! **Invariant:** a block is not longer than [`PART`], unless it holds a single row.

use std::path::Path;

use super::{
    super::parts::{self, PART},
    Header, KEY_MAX, KIND, META_MAX, Summary, VALUE_MAX, rows,
};
use crate::durable::{journal::disk::Disk, store::Error};

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

    /// Write the next rows: a block of another base, which is taken as it is unless that would leave little in the one before.
    ///
    /// # Errors
    /// As [`Self::put`].
    ///
    /// # Panics
    /// As [`Self::put`].
    pub(crate) fn put_block(&mut self, block: &[u8]) -> Result<(), Error> {
        if !self.block.is_empty() && self.block.len() < PART / 4 {
            let half = (self.block.len() + block.len()) / 2;
            for (key, value) in rows::iter(block) {
                if self.block.len() >= half {
                    self.flush()?;
                }
                self.put(key, value)?;
            }
            return self.flush();
        }
        self.flush()?;
        let Some((first, _)) = rows::first(block) else { return Ok(()) };
        self.follows(first);
        rows::push_entry(&mut self.index, first, self.parts.offset());
        let (count, last) = rows::iter(block).fold((0, first), |(count, _), (key, _)| (count + 1, key));
        self.rows += count;
        last.clone_into(&mut self.last);
        self.parts.part(block)
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
