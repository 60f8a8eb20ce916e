//! Rows for tests and simulation: a map in memory.
//!
//! Clones share the map, as handles opened one after the other share a disk.
//!
//! **Invariant:** batches and marks come in the same order as on disk, so a stopped checkpoint leaves the same behind.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::durable::id::Sequence;

use super::{BATCH_MAX, Change, Error, Mark, RowStats, Rows, Written, admit, admit_mark, count};

/// Rows in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    mark: Option<Mark>,
    rows: BTreeMap<Bytes, Bytes>,
}

impl Kept {
    fn apply(&mut self, mark: Mark, batch: &mut Vec<Change>) {
        self.mark = Some(mark);
        for (key, value) in batch.drain(..) {
            match value {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
    }
}

impl Rows for Memory {
    fn mark(&self) -> Result<Option<Mark>, Error> {
        Ok(self.0.lock().mark.clone())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.0.lock().rows.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], Bytes) -> bool) -> Result<(), Error> {
        if from >= to {
            return Ok(());
        }
        let bounds = (Bound::Included(from), Bound::Excluded(to));
        // Copied, so that a visitor may read and write too.
        let rows: Vec<_> =
            self.0.lock().rows.range::<[u8], _>(bounds).map(|(key, value)| (key.clone(), value.clone())).collect();
        for (key, value) in rows {
            if !visit(&key, value) {
                break;
            }
        }
        Ok(())
    }

    fn write(
        &self,
        since: Sequence,
        mark: &Mark,
        changes: &mut dyn Iterator<Item = Change>,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Written, Error> {
        admit_mark(mark)?;
        let (mut written, mut batch) = (Written::default(), Vec::new());
        for change in changes {
            admit(&change)?;
            if batch.len() == BATCH_MAX {
                self.0.lock().apply(mark.begun(since), &mut batch);
                if !pace(written.rows) {
                    return Err(Error::Stopped);
                }
            }
            count(&mut written, &change);
            batch.push(change);
        }
        self.0.lock().apply(mark.clone(), &mut batch);
        Ok(written)
    }

    fn stats(&self) -> RowStats {
        RowStats { rows: self.0.lock().rows.len() as u64, disk_bytes: 0 }
    }
}
