//! Some rows, and how far they are, read together.
//!
//! **Invariant:** no checkpoint writes meanwhile, so the mark is that of the rows.

use bytes::Bytes;

use super::{Shelf, layout, marks, torn};
use crate::durable::store::{
    Slice,
    rows::{Error, Rows as _},
};

/// A slice ends with the row that makes it so large, in bytes.
const BYTES: usize = 1024 * 1024;

impl Shelf {
    /// At most so many rows from a key on.
    ///
    /// # Errors
    /// If they cannot be read whole.
    pub(crate) fn slice(&self, from: &[u8], most: usize) -> Result<Slice, Error> {
        let _writing = self.writing.lock();
        let stored = self.engine.get(layout::MARK_KEY)?.ok_or_else(|| torn("the mark is missing"))?;
        let mark = marks::read_mark(&stored).ok_or_else(|| torn("the mark is torn"))?;
        let mut slice = Slice { from: mark.from, to: mark.to, ..Slice::default() };
        let mut bytes = 0;
        self.scan(from, &[u8::MAX; 2], &mut |key, value| {
            let key = Bytes::copy_from_slice(key);
            if slice.rows.len() == most || bytes > BYTES {
                slice.next = Some(key);
                return false;
            }
            bytes += key.len() + value.len();
            slice.rows.push((key, value));
            true
        })?;
        Ok(slice)
    }
}

#[cfg(test)]
impl Shelf {
    /// Put this row where a key is, or nothing, past everything that watches over rows.
    pub(crate) fn tamper(&self, key: &[u8], row: Option<&[u8]>) {
        let mut batch = sled::Batch::default();
        match row {
            Some(row) => batch.insert(layout::row_key(key), layout::write_row(key, 1, row)),
            None => batch.remove(layout::row_key(key)),
        }
        self.engine.apply(batch).expect("sled takes it");
    }
}
