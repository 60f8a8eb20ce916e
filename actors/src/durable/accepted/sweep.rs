//! Removing index rows whose time is over, or marking them, in one commit.
//!
//! **Invariant:** a row that is not what was looked at is left alone.

use bytes::Bytes;

use super::{Accepted, Receipt};
use crate::durable::{live::Known, record::Op};

/// A row that was looked at, and what is to become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sweeping {
    pub(crate) key: Bytes,
    pub(crate) seen: Bytes,
    /// `None`: it goes.
    pub(crate) becomes: Option<Bytes>,
}

impl Accepted {
    /// Sweep these rows, which were looked at when there had been so many evictions, and put beside them what `tally` makes
    /// of how many went, if anything. No receipt if there is nothing to do; and what was left alone.
    pub(crate) fn sweep(
        &mut self,
        now_ms: u64,
        rows: Vec<Sweeping>,
        evictions: u64,
        tally: impl FnOnce(u64) -> Option<(Bytes, Bytes)>,
    ) -> (Option<Receipt>, Vec<Sweeping>) {
        let is_as_seen = |row: &Sweeping| match self.known(&row.key) {
            Known::Here(now) => now == row.seen,
            Known::Gone => false,
            Known::Unknown(now) => now == evictions,
        };
        let (rows, left): (Vec<_>, Vec<_>) = rows.into_iter().partition(is_as_seen);
        if rows.is_empty() {
            return (None, left);
        }
        let gone = rows.iter().filter(|row| row.becomes.is_none()).count() as u64;
        let bytes = rows.iter().map(|row| row.key.len() + row.becomes.as_ref().map_or(0, Bytes::len) + 16).sum();
        self.begin(now_ms, bytes);
        let receipt = Receipt { sequence: self.open.sequence(), ..Receipt::default() };
        for row in rows {
            self.index(row.key, row.becomes);
        }
        if gone > 0
            && let Some((key, value)) = tally(gone)
        {
            self.push(Op::Put { key, value });
        }
        (Some(receipt), left)
    }
}
