//! Watching the clocks, and writing down when the wall clock jumped.
//!
//! **Invariant:** a jump is in the store (index row `clock/jump`, the last one) and in the log before the grace that it
//! begins is over; the grace begins at once.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{Error, System, inner::Inner};
use crate::{
    clock::{Grace, Jump, Reading, Readings},
    durable::{
        accepted::Entrance,
        codec::{self, Format},
        live::{Known, stored},
        store,
    },
    mutant::Mutant,
};

const ROW: Bytes = Bytes::from_static(b"clock/jump");
const FORMAT: Format = Format::new("clock-jump", 1);
/// Slow corrections of the clock add up to less than a jump in this time.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// A jump of the wall clock, as it was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jumped {
    /// By how many milliseconds the wall clock was ahead; negative if it was behind.
    pub by_ms: i64,
    /// What it showed afterwards, in milliseconds since 1970.
    pub wall_ms: u64,
    /// Whether it was found at a start, against the last record.
    pub at_start: bool,
}

/// The clocks of a system, and whether they can be trusted.
#[derive(Debug)]
pub(crate) struct Clocks {
    readings: Option<Arc<dyn Readings>>,
    last: Mutex<Reading>,
    grace: Mutex<Grace>,
}

impl Clocks {
    pub(super) fn new(readings: Option<Arc<dyn Readings>>) -> Self {
        let last = readings.as_ref().map(|readings| readings.read()).unwrap_or_default();
        Self { readings, last: Mutex::new(last), grace: Mutex::default() }
    }
}

impl Inner {
    /// Compare the start with the last record.
    pub(super) fn note_start(self: &Arc<Self>, last_record_ms: u64) {
        let Some(now) = self.clocks.readings.as_ref().map(|readings| readings.read()) else { return };
        if let Some(jump) = Jump::at_start(last_record_ms, now.wall_ms) {
            return self.note_jump(jump, now, true);
        }
        match self.former_jump() {
            Ok(None) => {}
            Ok(Some(former)) => *self.clocks.grace.lock() = grace_after(&former, now),
            Err(error) => {
                tracing::warn!(%error, "it is not known whether the clock jumped just now; it is taken to have");
                *self.clocks.grace.lock() = Grace::from(now.boot_ms);
            }
        }
    }

    /// Compare the clocks with what they showed before.
    pub(crate) fn look_at_clocks(self: &Arc<Self>) {
        let Some(now) = self.clocks.readings.as_ref().map(|readings| readings.read()) else { return };
        let last = std::mem::replace(&mut *self.clocks.last.lock(), now);
        if let Some(jump) = Jump::between(last, now) {
            self.note_jump(jump, now, false);
        }
    }

    /// The last jump that was written down. After a checkpoint its row is in the store alone.
    fn former_jump(&self) -> Result<Option<Bytes>, store::Error> {
        let known = self.core.lock().accepted.known(&ROW);
        match (known, &self.rows) {
            (Known::Here(row), _) => Ok(Some(row)),
            (Known::Unknown(_), Some(rows)) => rows.get(&stored::index_key(&ROW)),
            (Known::Gone | Known::Unknown(_), _) => Ok(None),
        }
    }

    fn note_jump(self: &Arc<Self>, jump: Jump, now: Reading, at_start: bool) {
        if !Mutant::JumpWithoutGrace.is_chosen() {
            *self.clocks.grace.lock() = Grace::from(now.boot_ms);
        }
        let by_ms = jump.by_ms;
        tracing::warn!(by_ms, at_start, "the wall clock jumped; what cannot be taken back expires later");
        let row = codec::seal(FORMAT, &Jumped { by_ms, wall_ms: now.wall_ms, at_start });
        let entrance = Entrance { puts: vec![(ROW, row)], ..Entrance::default() };
        // A closed store takes no notes, and the next start compares again.
        let _ = self.with_accepted(|accepted, now_ms| accepted.enter(now_ms, entrance).is_ok());
    }

    /// Whether an expiry that cannot be taken back must wait.
    pub(crate) fn holds_expiries(&self) -> bool {
        let readings = self.clocks.readings.as_ref();
        readings.is_some_and(|readings| self.clocks.grace.lock().holds(readings.read().boot_ms))
    }

    /// Look until the life ends.
    pub(super) async fn run_clocks(self: Arc<Self>) {
        if self.clocks.readings.is_none() {
            return;
        }
        let mut failure = self.failure.subscribe();
        while tokio::time::timeout(LOOK_EVERY, failure.wait_for(Option::is_some)).await.is_err() {
            self.look_at_clocks();
        }
    }
}

/// What is left of the grace after the jump that a former life wrote down. When that was cannot be read in a row of a later
/// build, so it may have been just now.
fn grace_after(former: &[u8], now: Reading) -> Grace {
    match codec::open::<Jumped>(FORMAT, former) {
        Ok(former) => Grace::resumed(former.wall_ms, now),
        Err(error) => {
            tracing::warn!(%error, "the last jump of the clock cannot be read; what cannot be taken back expires later");
            Grace::from(now.boot_ms)
        }
    }
}

impl System {
    /// The last jump of the wall clock that was written down.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before, [`Error::Codec`] if the row does not decode.
    pub async fn last_jump(&self) -> Result<Option<Jumped>, Error> {
        let row = self.get(&ROW).await?;
        Ok(row.map(|row| codec::open(FORMAT, &row)).transpose()?)
    }

    /// Whether the wall clock jumped a while ago, so that an expiry which cannot be taken back must wait.
    #[must_use]
    pub fn holds_expiries(&self) -> bool {
        self.inner.holds_expiries()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::Golden;

    /// Bytes that stay on disk, under the key `clock/jump`.
    #[test]
    fn the_row_keeps_its_bytes() {
        let mut golden = Golden::of("clock-jump");
        golden.value("back", FORMAT, &Jumped { by_ms: -60_001, wall_ms: 1_795_244_940_000, at_start: true });
        golden.value("ahead", FORMAT, &Jumped { by_ms: 7, wall_ms: 0, at_start: false });
        golden.bytes("key", &ROW);
        golden.end();
    }

    /// Keys once went at once after a jump that a later build had written down, because the row began no grace.
    #[test]
    fn a_jump_of_a_later_build_is_refused_by_name_and_taken_for_one_of_just_now() {
        let row = codec::seal(FORMAT, &Jumped { by_ms: 7, wall_ms: 0, at_start: true });
        let later = codec::of_a_later_build(&row);
        let refused = codec::open::<Jumped>(FORMAT, &later);
        assert_eq!(refused, Err(codec::Error::Version { found: codec::LATER, known: 1 }));
        let now = Reading { boot_ms: 5, wall_ms: u64::MAX };
        assert!(!grace_after(&row, now).holds(5), "it is long over");
        assert!(grace_after(&later, now).holds(5));
    }
}
