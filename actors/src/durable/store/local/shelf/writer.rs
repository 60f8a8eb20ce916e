//! One checkpoint on its way into sled: while one batch is written, the next is filled.
//!
//! ```text
//! change ─► what is there (`finder.rs`) ─► steps (`steps.rs`) ─► pile ─► batch under way ─► tally
//! ```
//! **Invariants:** at most one batch is under way. A row that was changed is asked for only once that is written.

use super::{
    Shelf,
    engine::Applying,
    finder::Finder,
    layout,
    marks::Tally,
    steps::{Before, Pile, Step, steps},
    torn,
};
use crate::durable::store::rows::{self, Change, Error, Mark, Written};

/// Writes one checkpoint.
pub(super) struct Writer<'a> {
    shelf: &'a Shelf,
    /// As it stands until all is written.
    begun: Mark,
    /// Chunks may lie about that no row names.
    unsure: bool,
    finder: Finder,
    pile: Pile,
    /// A batch under way, and the tally that holds once it is written.
    under_way: Option<(Applying, Tally)>,
    has_written: bool,
    /// What was handed on.
    written: Written,
}

impl<'a> Writer<'a> {
    pub(super) fn new(shelf: &'a Shelf, begun: Mark, unsure: bool) -> Self {
        let pile = Pile::new(*shelf.tally.lock());
        Self {
            shelf,
            begun,
            unsure,
            finder: Finder::default(),
            pile,
            under_way: None,
            has_written: false,
            written: Written::default(),
        }
    }

    /// Whether any batch was begun.
    pub(super) fn has_written(&self) -> bool {
        self.has_written
    }

    /// Write changes, and a mark with the last of them.
    pub(super) fn write(
        &mut self,
        changes: &mut dyn Iterator<Item = Change>,
        mark: &Mark,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Written, Error> {
        for change in changes {
            rows::admit(&change)?;
            rows::count(&mut self.written, &change);
            let (key, value) = &change;
            let row_key = layout::row_key(key);
            if !self.finder.is_ahead(&row_key) {
                self.turn_over(pace)?;
                self.land()?;
            }
            for step in steps(key, value.as_ref(), self.before(key, &row_key)?) {
                self.push(step, pace)?;
            }
        }
        self.rest(pace)?;
        let (batch, tally) = self.pile.take(mark);
        self.begin(batch, tally)?;
        self.land()?;
        Ok(self.written)
    }

    /// Wait for the batch under way.
    pub(super) fn land(&mut self) -> Result<(), Error> {
        if let Some((applying, tally)) = self.under_way.take() {
            self.shelf.engine.applied(applying)?;
            *self.shelf.tally.lock() = tally;
        }
        Ok(())
    }

    /// What a change will find.
    fn before(&mut self, key: &[u8], row_key: &[u8]) -> Result<Before, Error> {
        let stored = self.finder.find(&self.shelf.engine, row_key)?;
        let read = |stored| layout::read_row(row_key, stored).ok_or_else(|| torn("a row is torn"));
        let mut before = Before::of(key, stored.as_deref().map(read).transpose()?);
        if self.unsure {
            let found =
                self.shelf.engine.prefixed(&layout::chunk_prefix(key)).map(|item| item.map(|(key, _)| key.to_vec()));
            before.chunks = found.collect::<Result<_, _>>()?;
        }
        Ok(before)
    }

    fn push(&mut self, step: Step, pace: &mut dyn FnMut(u64) -> bool) -> Result<(), Error> {
        if self.pile.is_full() {
            self.turn_over(pace)?;
        }
        self.pile.push(step);
        Ok(())
    }

    /// Have what was gathered written, once the batch before it is.
    fn turn_over(&mut self, pace: &mut dyn FnMut(u64) -> bool) -> Result<(), Error> {
        self.rest(pace)?;
        let (batch, tally) = self.pile.take(&self.begun);
        self.begin(batch, tally)
    }

    /// Between two batches.
    fn rest(&mut self, pace: &mut dyn FnMut(u64) -> bool) -> Result<(), Error> {
        let is_between = self.under_way.is_some();
        self.land()?;
        if is_between && !pace(self.written.rows) { Err(Error::Stopped) } else { Ok(()) }
    }

    fn begin(&mut self, batch: sled::Batch, tally: Tally) -> Result<(), Error> {
        self.has_written = true;
        self.under_way = Some((self.shelf.engine.begin(batch)?, tally));
        Ok(())
    }
}
