//! Live rows in sled.
//!
//! ```text
//! FOLDER/db  conf  snap.*  blobs/    sled's own
//! FOLDER.new                         being made
//! FOLDER.bad-1, FOLDER.bad-2         put aside, for people to look at
//! ```
//! sled is fast and forgets: `engine.rs` says what it does to those who trust it. Here it is a cache of what the journal
//! says, so every doubt ends in a rebuild.
//!
//! **Invariants:** one lock is held by whoever writes, and readers never wait for it. Mark and tally are in the batch of the
//! rows they speak of, so rows that sled lost are missed when all are counted. A failed write closes the shelf, and opening
//! it again shows what is there. Nothing in here panics because of what is on disk.

mod engine;
mod finder;
mod folder;
mod guard;
mod layout;
mod marks;
mod slice;
mod steps;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use sled::IVec;

pub(crate) use self::folder::bytes;
use self::{engine::Engine, marks::Tally, steps::Pile, writer::Writer};
use crate::durable::id::Sequence;
use crate::durable::store::rows::{self, Change, Error, Mark, RowStats, Rows, Written};

/// How long a call into sled may take, before it is taken for one that never ends.
const PATIENCE: Duration = Duration::from_secs(120);

/// How much of a shelf is looked at when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Format, mark and tally. Rows that sled lost without a trace are not missed.
    Mark,
    /// Every row, and that none is missing.
    Rows,
}

/// A shelf, and what opening it found.
pub(crate) struct Opened {
    /// It.
    pub(crate) shelf: Shelf,
    /// How far its rows are.
    pub(crate) mark: Mark,
    /// What was mended on the way, in sentences for people.
    pub(crate) mended: Vec<String>,
}

/// Rows in a folder.
pub(crate) struct Shelf {
    engine: Engine,
    tally: Mutex<Tally>,
    writing: Mutex<Writing>,
}

/// What its writer knows.
struct Writing {
    /// The last checkpoint did not end: chunks may lie about that no row names.
    unsure: bool,
}

impl Shelf {
    /// Open the rows of a store.
    ///
    /// # Errors
    /// [`Error::Unusable`] means: put it [`aside`](Self::aside) and make it anew. [`Error::Io`] and [`Error::Held`] would come
    /// again.
    pub(crate) fn open(folder: &Path, store: u64, check: Check) -> Result<Opened, Error> {
        Self::open_within(PATIENCE, folder, store, check)
    }

    /// Make a folder for the rows of a store, with nothing in it but a mark. sled's own first steps do not survive a
    /// crash, so they are made under another name.
    ///
    /// # Errors
    /// If the system refuses, or the folder is there.
    pub(crate) fn create(folder: &Path, mark: &Mark) -> Result<Opened, Error> {
        rows::admit_mark(mark)?;
        if folder.exists() {
            return Err(Error::Misuse { cause: format!("{} is there already", folder.display()) });
        }
        let new = folder::new_name(folder);
        folder::clear(&new)?;
        let engine = Engine::open(&new, PATIENCE)?;
        let (mut batch, _) = Pile::new(Tally::default()).take(mark);
        batch.insert(layout::FORMAT_KEY, marks::write_format());
        engine.apply(batch)?;
        engine.flush()?;
        engine.close()?;
        folder::publish(&new, folder)?;
        Self::open(folder, mark.store, Check::Mark)
    }

    /// Rename a folder that is of no use, and say to what.
    ///
    /// # Errors
    /// If the system refuses.
    pub(crate) fn aside(folder: &Path) -> Result<PathBuf, Error> {
        folder::aside(folder)
    }

    /// How many rows there are.
    pub(crate) fn count(&self) -> u64 {
        self.tally.lock().rows
    }

    /// Read every row, and find that none is missing; a checkpoint waits meanwhile.
    ///
    /// # Errors
    /// [`Error::Unusable`] if a row is damaged, missing, or one that should not be there.
    pub(crate) fn verify(&self) -> Result<(), Error> {
        let _writing = self.writing.lock();
        let mut found = Tally::default();
        for item in self.engine.range(&layout::row_key(&[]), &layout::chunk_prefix(&[])) {
            let (row_key, stored) = item?;
            self.assemble(&row_key, &stored)?;
            found.turn(None, layout::read_row(&row_key, &stored).map(|row| row.stamp));
        }
        let noted = *self.tally.lock();
        if found == noted {
            return Ok(());
        }
        Err(Error::Unusable { why: format!("{} rows were written and {} others are there", noted.rows, found.rows) })
    }

    fn open_within(patience: Duration, folder: &Path, store: u64, check: Check) -> Result<Opened, Error> {
        let mended = folder::ready(folder)?;
        let engine = Engine::open(folder, patience)?;
        let stored = |key: &'static [u8]| engine.get(key)?.ok_or_else(|| torn("a row that is always there is missing"));
        marks::check_format(&stored(layout::FORMAT_KEY)?).map_err(|why| Error::Unusable { why })?;
        let mark = marks::read_mark(&stored(layout::MARK_KEY)?).ok_or_else(|| torn("the mark is torn"))?;
        let tally = marks::read_tally(&stored(layout::TALLY_KEY)?).ok_or_else(|| torn("the tally is torn"))?;
        if mark.store != store {
            return Err(torn("the rows are those of another store"));
        }
        let writing = Mutex::new(Writing { unsure: !mark.reached });
        let shelf = Self { engine, tally: Mutex::new(tally), writing };
        if check == Check::Rows {
            shelf.verify()?;
        }
        Ok(Opened { shelf, mark, mended })
    }

    /// The value of a row. A checkpoint may replace it while its parts are gathered; then the newer one is taken.
    fn settle(&self, row_key: &[u8], mut stored: Option<IVec>) -> Result<Option<Bytes>, Error> {
        loop {
            let Some(seen) = stored else { return Ok(None) };
            match self.assemble(row_key, &seen) {
                Ok(value) => return Ok(Some(value)),
                Err(error) => {
                    stored = Some(self.engine.get(row_key)?).filter(|now| now.as_ref() != Some(&seen)).ok_or(error)?
                }
            }
        }
    }

    /// Put the parts of a value together.
    fn assemble(&self, row_key: &[u8], stored: &IVec) -> Result<Bytes, Error> {
        let row = layout::read_row(row_key, stored).ok_or_else(|| torn("a row is torn"))?;
        let mut value = row.part.to_vec();
        for index in 1..=row.chunks {
            let chunk_key = layout::chunk_key(layout::key_of(row_key), row.generation, index);
            let chunk = self.engine.get(&chunk_key)?.ok_or_else(|| torn("a part of a row is missing"))?;
            let part = layout::unsealed(&chunk_key, &chunk).ok_or_else(|| torn("a part of a row is torn"))?;
            value.extend_from_slice(part);
        }
        if row.vouches_for(&value) { Ok(value.into()) } else { Err(torn("the parts of a row do not belong together")) }
    }
}

impl Rows for Shelf {
    #[cfg(test)]
    fn mark(&self) -> Result<Option<Mark>, Error> {
        let read = |stored: IVec| marks::read_mark(&stored).ok_or_else(|| torn("the mark is torn"));
        self.engine.get(layout::MARK_KEY)?.map(read).transpose()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let row_key = layout::row_key(key);
        self.settle(&row_key, self.engine.get(&row_key)?)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], Bytes) -> bool) -> Result<(), Error> {
        self.engine.alive()?;
        for item in self.engine.range(&layout::row_key(from), &layout::row_key(to)) {
            let (row_key, stored) = item?;
            let Some(value) = self.settle(&row_key, Some(stored))? else { continue };
            if !visit(layout::key_of(&row_key), value) {
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
        rows::admit_mark(mark)?;
        let mut writing = self.writing.lock();
        let mut writer = Writer::new(self, mark.begun(since), writing.unsure);
        let outcome = writer.write(changes, mark, pace);
        // Also after it failed nothing is under way once the lock is free.
        let landed = writer.land();
        writing.unsure |= writer.has_written();
        let written = outcome?;
        landed?;
        self.engine.flush()?;
        writing.unsure = false;
        Ok(written)
    }

    fn stats(&self) -> RowStats {
        RowStats { rows: self.tally.lock().rows, disk_bytes: self.engine.disk_bytes() }
    }
}

fn torn(why: &str) -> Error {
    Error::Unusable { why: why.to_owned() }
}
