//! Jumps of the wall clock: against the clock that counts since the machine's start, and across a restart.
//!
//! Durations run on the boot clock, so a jump shortens no wait. But whatever follows the calendar, and whatever compares
//! times across a restart, may be wrong by the jump: what cannot be taken back waits until someone had time to look.
//!
//! **Invariant:** time that passes on both clocks is no jump, however much of it: a stopped process and a sleeping machine
//! did not jump.

use std::{fmt, time::Duration};

use parking_lot::Mutex;

/// What both clocks show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Milliseconds since 1970.
    pub wall_ms: u64,
    /// Milliseconds since the machine started, sleep included.
    pub boot_ms: u64,
}

/// Reads both clocks.
pub trait Readings: Send + Sync + fmt::Debug + 'static {
    /// What they show now.
    fn read(&self) -> Reading;

    /// What the second of them shows now.
    fn boot_ms(&self) -> u64 {
        self.read().boot_ms
    }
}

/// The wall clock is not where it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// By how many milliseconds it is ahead; negative if it is behind.
    pub by_ms: i64,
}

impl Jump {
    /// Clocks may differ so much before it is a jump.
    pub const TOLERANCE: Duration = Duration::from_secs(60);
    /// A store may rest so long before its next start is as suspicious as a jump.
    pub const REST_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

    /// Between two readings of one life.
    #[must_use]
    pub fn between(last: Reading, now: Reading) -> Option<Self> {
        let passed_ms = now.boot_ms.saturating_sub(last.boot_ms);
        let by_ms = difference(now.wall_ms, last.wall_ms.saturating_add(passed_ms));
        (u128::from(by_ms.unsigned_abs()) > Self::TOLERANCE.as_millis()).then_some(Self { by_ms })
    }

    /// Between the last record of a store and a start on it: before that record, or more than seven days after.
    #[must_use]
    pub fn at_start(last_record_ms: u64, wall_ms: u64) -> Option<Self> {
        let by_ms = difference(wall_ms, last_record_ms);
        let limit = if by_ms < 0 { Self::TOLERANCE } else { Self::REST_MAX };
        let is_new = last_record_ms == 0;
        (!is_new && u128::from(by_ms.unsigned_abs()) > limit.as_millis()).then_some(Self { by_ms })
    }
}

fn difference(one_ms: u64, other_ms: u64) -> i64 {
    i64::try_from(i128::from(one_ms) - i128::from(other_ms)).unwrap_or(if one_ms > other_ms {
        i64::MAX
    } else {
        i64::MIN
    })
}

/// For a while after a jump nothing expires that cannot be taken back. Counted on the boot clock, which does not jump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grace {
    until_boot_ms: u64,
}

impl Grace {
    /// How long it is.
    pub const LENGTH: Duration = Duration::from_secs(10 * 60);

    /// From now on.
    #[must_use]
    pub fn from(boot_ms: u64) -> Self {
        Self { until_boot_ms: boot_ms.saturating_add(Self::length_ms()) }
    }

    /// What is left of one that began in a former life, when the wall clock showed `began_ms`.
    #[must_use]
    pub fn resumed(began_ms: u64, now: Reading) -> Self {
        match now.wall_ms.checked_sub(began_ms).and_then(|passed_ms| Self::length_ms().checked_sub(passed_ms)) {
            Some(left_ms) => Self { until_boot_ms: now.boot_ms.saturating_add(left_ms) },
            None => Self::default(),
        }
    }

    /// Whether an expiry that cannot be taken back must wait.
    #[must_use]
    pub fn holds(&self, boot_ms: u64) -> bool {
        boot_ms < self.until_boot_ms
    }

    fn length_ms() -> u64 {
        u64::try_from(Self::LENGTH.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Two clocks that stand still until they are told to move, each by itself.
#[derive(Debug, Default)]
pub struct ManualReadings(Mutex<Reading>);

impl ManualReadings {
    /// Clocks that show this.
    #[must_use]
    pub fn at(reading: Reading) -> Self {
        Self(Mutex::new(reading))
    }

    /// Time passes: both move.
    pub fn advance(&self, by_ms: u64) {
        let mut reading = self.0.lock();
        reading.wall_ms += by_ms;
        reading.boot_ms += by_ms;
    }

    /// Somebody sets the wall clock.
    pub fn set_wall(&self, by_ms: i64) {
        let mut reading = self.0.lock();
        reading.wall_ms = reading.wall_ms.saturating_add_signed(by_ms);
    }
}

impl Readings for ManualReadings {
    fn read(&self) -> Reading {
        *self.0.lock()
    }
}

#[cfg(test)]
mod tests;
