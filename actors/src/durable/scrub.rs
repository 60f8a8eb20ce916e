//! Compares the rows of a store with what base and journal come to, a little at a time, while everything else goes on.
//!
//! ```text
//! base, then the journal, record by record ─► what each row has to be (`truth.rs`) ─┐
//! rows, a slice at a time, between two checkpoints ─────────────────────────────────┴─► what differs, or is missing
//! ```
//! A slice says up to which record it holds everything, and up to which perhaps some: each of its rows must be as it was at
//! the end of some record between the two. A hint too many does no harm, so only a missing one is wrong.
//!
//! What changed since the base is in memory. When that is much, the comparison goes on from a newer base, if there is one by
//! then; it goes on where it was, too, when the journal that it would have to read next is gone.
//!
//! **Invariants:** nothing is changed. A step reads a bounded piece, holds up the writer of rows for that piece alone, and never
//! anybody else. What is told as wrong is wrong at every record that the rows may stand at: a busy store raises no alarm.

mod compare;
#[cfg(test)]
mod tests;
mod truth;

use std::{ops::ControlFlow, sync::Arc};

use bytes::Bytes;

use self::truth::Truth;
use super::{
    codec,
    id::Sequence,
    record::{FORMAT, Record},
    store::{Error, Slice, Store},
};

/// Rows that are compared at once.
const ROWS: usize = 256;
/// Bytes of records that are read at once.
const BYTES: usize = 2 * 1024 * 1024;
/// When so much changed since the base, a newer one is looked for.
const MEMORY_BYTES: usize = 32 * 1024 * 1024;
/// The most that is told: one cause makes many differences.
const TOLD_MAX: usize = 20;

/// How far one comparison of all rows has come.
pub(crate) struct Round {
    store: Arc<dyn Store>,
    truth: Option<Truth>,
    /// Where the next slice begins.
    cursor: Bytes,
    slice: Option<Slice>,
    /// Rows that are compared at once.
    rows_at_once: usize,
    /// A newer base is looked for when so much has changed since this one, and again after as much more.
    memory_bytes: usize,
    looks_at: usize,
    rows: u64,
    wrong: Vec<String>,
    more: u64,
}

/// What one step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// There is more to do.
    More,
    /// Every row was compared.
    Done,
    /// The journal that it needed is gone, because a newer base has it: the next step goes on from that, where this one was.
    Overtaken,
    /// There are no rows.
    NoRows,
}

impl Round {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            truth: None,
            cursor: Bytes::new(),
            slice: None,
            rows_at_once: ROWS,
            memory_bytes: MEMORY_BYTES,
            looks_at: MEMORY_BYTES,
            rows: 0,
            wrong: Vec::new(),
            more: 0,
        }
    }

    /// Rows compared so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// What is wrong so far, in sentences.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let more = (self.more > 0).then(|| format!("and {} more rows differ", self.more));
        self.wrong.iter().cloned().chain(more).collect()
    }

    /// Go on a little.
    ///
    /// # Errors
    /// If rows, base or journal cannot be read.
    pub(crate) fn step(&mut self) -> Result<Step, Error> {
        let slice = match self.slice.take() {
            Some(slice) => slice,
            None => match self.store.slice(&self.cursor, self.rows_at_once)? {
                Some(slice) => slice,
                None => return Ok(Step::NoRows),
            },
        };
        let mut truth = self.truth_for(&slice)?;
        if !truth.reaches_back_to(slice.from) || !catch_up(&*self.store, &mut truth, &slice)? {
            return Ok(Step::Overtaken);
        }
        let truth = self.truth.insert(truth);
        if truth.at() < slice.to {
            self.slice = Some(slice);
            return Ok(Step::More);
        }
        let found = compare::differences(truth, &self.cursor, &slice)?;
        self.rows += slice.rows.len() as u64;
        let room = TOLD_MAX.saturating_sub(self.wrong.len());
        self.more += found.len().saturating_sub(room) as u64;
        self.wrong.extend(found.into_iter().take(room));
        match slice.next {
            Some(next) => {
                self.cursor = next;
                Ok(Step::More)
            }
            None => Ok(Step::Done),
        }
    }

    /// What rows have to be: as far as that is known, or from the newest base on that a slice allows.
    fn truth_for(&mut self, slice: &Slice) -> Result<Truth, Error> {
        let known = match self.truth.take() {
            Some(truth) if truth.changed_bytes() < self.looks_at => return Ok(truth),
            known => known,
        };
        let image = self.store.image(slice.from)?;
        let (truth, bytes) = match known {
            Some(truth) if image.from <= truth.base() => {
                let bytes = truth.changed_bytes();
                (truth, bytes)
            }
            _ => (Truth::over(image)?, 0),
        };
        self.looks_at = bytes + self.memory_bytes;
        Ok(truth)
    }
}

/// Fold a piece of the journal, up to what a slice may hold; `false` if a record that is needed is gone.
fn catch_up(store: &dyn Store, truth: &mut Truth, slice: &Slice) -> Result<bool, Error> {
    truth.aim(slice.from, slice.to);
    let (mut read, mut failed, mut is_gone) = (0, None, false);
    if truth.at() < slice.to {
        store.scan(truth.at().next(), &mut |sequence, payload| {
            is_gone = sequence != truth.at().next();
            read += payload.len();
            let folded = if is_gone { ControlFlow::Break(Ok(())) } else { fold(truth, sequence, payload) };
            match folded {
                ControlFlow::Break(result) => {
                    failed = result.err();
                    false
                }
                ControlFlow::Continue(()) => read < BYTES && sequence < slice.to,
            }
        })?;
    }
    truth.settle();
    failed.map_or(Ok(!is_gone), Err)
}

fn fold(truth: &mut Truth, sequence: Sequence, payload: &[u8]) -> ControlFlow<Result<(), Error>> {
    let record = codec::open::<Record>(FORMAT, payload)
        .map_err(|error| Error::Undecodable { sequence, cause: error.to_string() });
    match record.and_then(|record| truth.advance(sequence, &record)) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(Err(error)),
    }
}
