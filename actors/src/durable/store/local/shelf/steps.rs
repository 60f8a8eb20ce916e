//! What one change does, step by step, and steps gathered into batches.
//!
//! **Invariants:** a value's chunks are written before the row that names them, and an older value's chunks go after it.
//! A batch may end between any two steps, and then either the old value is whole or the new one. A batch must hold a row at
//! most once, because sled forgets the order inside it (`writer.rs` sees to that).

use bytes::Bytes;

use super::{
    layout::{self, Row},
    marks::{self, Tally},
};
use crate::durable::store::rows::{BATCH_MAX, Mark};

/// Mark and tally go with every batch.
const STEPS_MAX: usize = BATCH_MAX - 2;

/// One write below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    turn: Option<(Option<u64>, Option<u64>)>,
}

/// What a row is before a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Before {
    /// Its generation and stamp, if it is there.
    pub(super) row: Option<(u32, u64)>,
    /// Where chunks of the key lie.
    pub(super) chunks: Vec<Vec<u8>>,
}

impl Before {
    /// Where the chunks of a sound row lie.
    pub(super) fn of(key: &[u8], row: Option<Row<'_>>) -> Self {
        let generation = row.map_or(0, |row| row.generation);
        let indexes = 1..=row.map_or(0, |row| row.chunks);
        Self {
            row: row.map(|row| (row.generation, row.stamp)),
            chunks: indexes.map(|index| layout::chunk_key(key, generation, index)).collect(),
        }
    }
}

/// The steps of one change.
pub(super) fn steps<'a>(key: &'a [u8], value: Option<&'a Bytes>, before: Before) -> impl Iterator<Item = Step> + 'a {
    let generation = before.row.map_or(0, |(generation, _)| generation.wrapping_add(1));
    let count = value.map_or(0, |value| layout::chunks(value));
    let own = move |index| layout::chunk_key(key, generation, index);
    let put = value.into_iter().flat_map(move |value| {
        (1..=count).map(move |index| {
            let key = own(index);
            Step { value: Some(layout::write_chunk(&key, value, index)), key, turn: None }
        })
    });
    let is_own = move |chunk: &Vec<u8>| (1..=count).contains(&index_of(chunk)) && *chunk == own(index_of(chunk));
    let stale = before.chunks.into_iter().filter(move |chunk| !is_own(chunk));
    let remove = stale.map(|key| Step { key, value: None, turn: None });
    put.chain([turn(key, generation, value, before.row.map(|(_, stamp)| stamp))]).chain(remove)
}

fn turn(key: &[u8], generation: u32, value: Option<&Bytes>, before: Option<u64>) -> Step {
    let row_key = layout::row_key(key);
    let value = value.map(|value| layout::write_row(key, generation, value));
    let after = value.as_ref().map(|stored| layout::stamp(&row_key, stored));
    Step { key: row_key, value, turn: Some((before, after)) }
}

fn index_of(chunk_key: &[u8]) -> u32 {
    chunk_key.last_chunk().map_or(0, |index| u32::from_be_bytes(*index))
}

/// A batch being filled.
pub(super) struct Pile {
    batch: sled::Batch,
    count: usize,
    tally: Tally,
}

impl Pile {
    /// Nothing yet, on top of what there is.
    pub(super) fn new(tally: Tally) -> Self {
        Self { batch: sled::Batch::default(), count: 0, tally }
    }

    /// Whether it has to be written before the next step.
    pub(super) fn is_full(&self) -> bool {
        self.count >= STEPS_MAX
    }

    pub(super) fn push(&mut self, step: Step) {
        self.count += 1;
        if let Some((before, after)) = step.turn {
            self.tally.turn(before, after);
        }
        match step.value {
            Some(value) => self.batch.insert(step.key, value),
            None => self.batch.remove(step.key),
        }
    }

    /// The batch under its mark, and the tally that holds once it is written; what follows starts from there.
    pub(super) fn take(&mut self, mark: &Mark) -> (sled::Batch, Tally) {
        let tally = self.tally;
        let Self { mut batch, .. } = std::mem::replace(self, Self::new(tally));
        batch.insert(layout::MARK_KEY, marks::write_mark(mark));
        batch.insert(layout::TALLY_KEY, marks::write_tally(tally));
        (batch, tally)
    }
}
