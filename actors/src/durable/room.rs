//! How much may wait for its rows to be written: past that, hosts and admission wait, too.
//!
//! ```text
//! record appended ─► unsaved ─► a share of it with each batch of rows that is written ─► whoever waits for room
//! ```
//! **Invariants:** what is given back while a checkpoint is written is no more than what waited when it began; of one that
//! fails all of it is taken again.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use super::system::{Error, Inner};
use crate::mutant::Mutant;

/// When rows are written, and what may wait to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Rows are written at least this often, while any change.
    pub(crate) every: Duration,
    /// And as soon as so many bytes of records came since.
    pub(crate) bytes: u64,
    /// When so many bytes of records wait for their rows to be written, hosts and admission wait too.
    pub(crate) bytes_max: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { every: Duration::from_secs(5), bytes: 64 << 20, bytes_max: 128 << 20 }
    }
}

/// What a checkpoint gives back as its rows are written, so that work goes on beside it, not after it.
#[derive(Debug)]
pub(super) struct Room {
    /// Bytes of records that waited for these rows.
    bytes: u64,
    rows: u64,
    /// What was given back so far.
    pub(super) given: u64,
}

impl Room {
    pub(super) fn new(bytes: u64, rows: u64) -> Self {
        Self { bytes, rows, given: 0 }
    }

    /// So many rows are on their way: what may be used again, and was not said before.
    pub(super) fn back(&mut self, rows: u64) -> u64 {
        let share = u128::from(self.bytes) * u128::from(rows.min(self.rows)) / u128::from(self.rows.max(1));
        let back = u64::try_from(share).unwrap_or(u64::MAX).saturating_sub(self.given);
        self.given += back;
        back
    }
}

impl Inner {
    /// Bytes of records whose rows are not written yet.
    pub(crate) fn unsaved(&self) -> u64 {
        self.unsaved.load(Relaxed)
    }

    pub(super) fn saved(&self, bytes: u64) {
        self.unsaved.fetch_sub(bytes, Relaxed);
        self.room.notify_waiters();
    }

    /// A record was appended.
    pub(crate) fn appended(&self, bytes: u64) {
        if self.rows.is_some() {
            self.unsaved.fetch_add(bytes, Relaxed);
        }
    }

    /// Whether so much waits for its rows that nothing more may enter.
    pub(crate) fn is_full(&self) -> bool {
        self.unsaved() >= self.pace.bytes_max
    }

    /// Whether anything more may enter.
    pub(crate) fn admits(&self) -> Result<(), Error> {
        if Mutant::FullStoreLetsIn.is_chosen() || !self.is_full() && !self.is_short.load(Relaxed) {
            return Ok(());
        }
        let core = self.core.lock();
        let cause = core.shortage.clone().or_else(|| core.checkpoint_trouble.clone());
        drop(core);
        let cause = cause.unwrap_or_else(|| "rows wait to be written".to_owned());
        Err(Error::Busy { cause })
    }

    /// Whether turns must wait until rows are written. A closed store never makes room, and takes no turns either.
    pub(crate) fn lacks_room(&self) -> bool {
        self.is_full() && self.core.lock().closed.is_none()
    }

    /// Wait until rows are written, if too much waits for that.
    pub(crate) async fn until_room(&self) {
        while self.lacks_room() {
            let room = self.room.notified();
            if !self.lacks_room() {
                return;
            }
            // A closed store never makes room: look again now and then.
            let _ = tokio::time::timeout(Duration::from_millis(100), room).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is told of the way, all of it is given back in the end, and nothing twice.
    #[test]
    fn room_is_given_back_as_rows_are_written_and_once() {
        let mut room = Room::new(1_000, 3);
        assert_eq!([0, 1, 1, 2, 9, 3].map(|rows| room.back(rows)), [0, 333, 0, 333, 334, 0]);
        assert_eq!(room.given, 1_000);
        let mut nothing = Room::new(5, 0);
        assert_eq!(nothing.back(0), 0);
        let mut large = Room::new(u64::MAX, u64::MAX);
        assert_eq!(large.back(u64::MAX), u64::MAX);
    }
}
