//! How much may wait for its rows to be written: past that nothing more is let in, and past more than that no turn is taken.
//!
//! ```text
//! bytes of records that wait for their rows, of which a checkpoint has handed some on
//!
//! 1 x   a checkpoint begins
//! 2 x   but for those handed on: nothing more is let in
//! 4 x   all in all: nothing more is let in
//! 5 x   all in all: no turn is taken
//! ```
//! **Invariants:** what was let in has room to go on, also if the disk is full and the checkpoint that has handed on most of
//! what waits fails; what is handed on counts as waiting until all of its checkpoint is durable.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::system::{Error, Inner};
use crate::mutant::Mutant;

/// When rows are written, and what may wait to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Rows are written at least this often, while any change.
    pub(crate) every: Duration,
    /// And as soon as so many bytes of records came since.
    pub(crate) bytes: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { every: Duration::from_secs(5), bytes: 64 << 20 }
    }
}

impl Pace {
    /// Whether so much waits, and so much of it was not handed on, that nothing more may enter.
    fn is_full(self, waiting: u64, left: u64) -> bool {
        left >= self.bytes.saturating_mul(2) || waiting >= self.bytes.saturating_mul(4)
    }

    /// Whether so much waits that no turn may be taken.
    fn is_overfull(self, waiting: u64) -> bool {
        waiting >= self.bytes.saturating_mul(5)
    }
}

/// Bytes of records whose rows are not written yet.
#[derive(Debug, Default)]
pub(crate) struct Unsaved {
    waiting: AtomicU64,
    /// Those of them whose rows a checkpoint has handed on.
    handed_on: AtomicU64,
}

impl Unsaved {
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Relaxed)
    }

    /// Those that were not handed on.
    pub(crate) fn left(&self) -> u64 {
        self.waiting().saturating_sub(self.handed_on.load(Relaxed))
    }

    /// So many bytes more wait. Says whether now as many wait as are written at once.
    fn add(&self, bytes: u64, at_once: u64) -> bool {
        let before = self.waiting.fetch_add(bytes, Relaxed).saturating_sub(self.handed_on.load(Relaxed));
        before < at_once && before.saturating_add(bytes) >= at_once
    }

    fn hand_on(&self, bytes: u64) {
        self.handed_on.store(bytes, Relaxed);
    }

    /// In this order, so that nobody finds it fuller than it is.
    fn saved(&self, bytes: u64) {
        self.waiting.fetch_sub(bytes, Relaxed);
        self.hand_on(0);
    }
}

/// The part of so many bytes that goes with so many of all rows.
fn share(bytes: u64, rows: u64, of: u64) -> u64 {
    let share = u128::from(bytes) * u128::from(rows.min(of)) / u128::from(of.max(1));
    u64::try_from(share).unwrap_or(bytes)
}

impl Inner {
    /// A checkpoint for which so many bytes waited has handed on so many of its rows.
    pub(super) fn handed_on(&self, bytes: u64, rows: u64, of: u64) {
        self.unsaved.hand_on(share(bytes, rows, of));
    }

    /// A checkpoint is durable, for which so many bytes waited.
    pub(super) fn saved(&self, bytes: u64) {
        self.unsaved.saved(bytes);
        self.room.notify_waiters();
    }

    /// A checkpoint came to nothing, whatever it has handed on.
    pub(super) fn not_saved(&self) {
        self.unsaved.hand_on(0);
    }

    /// A record was appended.
    pub(crate) fn appended(&self, bytes: u64) {
        if self.rows.is_some() && self.unsaved.add(bytes, self.pace.bytes) {
            self.captured.notify_all();
        }
    }

    /// Whether so much waits for its rows that nothing more may enter.
    pub(crate) fn is_full(&self) -> bool {
        self.pace.is_full(self.unsaved.waiting(), self.unsaved.left())
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
        self.pace.is_overfull(self.unsaved.waiting()) && self.core.lock().closed.is_none()
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

    #[test]
    fn the_door_closes_long_before_turns_wait() {
        let pace = Pace { bytes: 10, ..Pace::default() };
        let full = [(19, 19), (20, 20), (25, 15), (39, 19), (40, 0)].map(|(waiting, left)| pace.is_full(waiting, left));
        assert_eq!(full, [false, true, false, false, true]);
        assert_eq!([40, 49, 50].map(|waiting| pace.is_overfull(waiting)), [false, false, true]);
        let boundless = Pace { bytes: u64::MAX, ..pace };
        assert!(!boundless.is_full(u64::MAX - 1, 0) && !boundless.is_overfull(u64::MAX - 1));
    }

    /// A disk on which checkpoints fail, each after all of its rows were handed on, never fills so far that turns wait.
    #[test]
    fn what_was_handed_on_waits_again_when_its_checkpoint_fails() {
        let (pace, unsaved) = (Pace { bytes: 10, ..Pace::default() }, Unsaved::default());
        for _ in 0..10 {
            unsaved.hand_on(unsaved.waiting());
            while !pace.is_full(unsaved.waiting(), unsaved.left()) {
                unsaved.add(1, pace.bytes);
            }
            unsaved.hand_on(0);
        }
        assert_eq!((unsaved.waiting(), unsaved.left()), (40, 40));
        assert!(!pace.is_overfull(unsaved.waiting()));
        unsaved.hand_on(40);
        unsaved.saved(40);
        assert_eq!((unsaved.waiting(), unsaved.left()), (0, 0));
    }

    #[test]
    fn a_checkpoint_is_asked_for_once_when_enough_waits_for_one() {
        let unsaved = Unsaved::default();
        assert_eq!([9, 1, 5, 20].map(|bytes| unsaved.add(bytes, 10)), [false, true, false, false]);
        unsaved.hand_on(30);
        assert_eq!([4, 1, 1].map(|bytes| unsaved.add(bytes, 10)), [false, true, false]);
        assert_eq!((unsaved.waiting(), unsaved.left()), (41, 11));
    }

    #[test]
    fn what_is_handed_on_grows_with_the_rows_up_to_all_of_it() {
        assert_eq!([0, 1, 2, 3, 9].map(|rows| share(1_000, rows, 3)), [0, 333, 666, 1_000, 1_000]);
        assert_eq!(share(5, 0, 0), 0);
        assert_eq!(share(u64::MAX, u64::MAX, u64::MAX), u64::MAX);
    }
}
