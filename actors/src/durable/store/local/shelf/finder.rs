//! What is there before a change.
//!
//! Most rows of a checkpoint are either new, many of them in a line, or there already. So whoever asks in ascending order
//! for two rows in turn that are not there is told how far the gap reaches, and no row in it is looked for any more.
//!
//! **Invariant:** nobody but the one who asks changes rows meanwhile, and he changes none behind the key that he asks for.

use sled::IVec;

use super::{engine::Engine, layout};
use crate::durable::store::rows::Error;

/// Finds rows of a shelf.
#[derive(Default)]
pub(super) struct Finder {
    /// The last key that was asked for.
    last: Vec<u8>,
    /// There is no row behind the last one that was asked for and before this one.
    until: Option<Vec<u8>>,
    missed: bool,
}

impl Finder {
    /// Whether a key comes after all that were asked for.
    pub(super) fn is_ahead(&self, row_key: &[u8]) -> bool {
        self.last.as_slice() < row_key
    }

    /// The row of a key.
    pub(super) fn find(&mut self, engine: &Engine, row_key: &[u8]) -> Result<Option<IVec>, Error> {
        let is_in_gap = self.is_ahead(row_key) && self.until.as_deref().is_some_and(|until| row_key < until);
        self.last.clear();
        self.last.extend_from_slice(row_key);
        if is_in_gap {
            return Ok(None);
        }
        let found = engine.get(row_key)?;
        let is_gap = std::mem::replace(&mut self.missed, found.is_none()) && found.is_none();
        self.until = if is_gap { Some(next(engine, row_key)?) } else { None };
        Ok(found)
    }
}

/// Where the next row is, or where rows end.
fn next(engine: &Engine, row_key: &[u8]) -> Result<Vec<u8>, Error> {
    let end = layout::chunk_prefix(&[]);
    let next = engine.range(row_key, &end).next().transpose()?;
    Ok(next.map_or(end, |(key, _)| key.to_vec()))
}
