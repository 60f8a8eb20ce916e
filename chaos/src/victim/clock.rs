//! The victim's wall clock, which others set; and what time it is for its engine.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use headframe::clock::{Clock as _, Reading, Readings, SteadyClock, SystemClock};

/// The machine's clocks, of which the wall clock is wrong on purpose.
#[derive(Debug, Default)]
pub(crate) struct Wrong {
    ahead_ms: AtomicI64,
}

impl Wrong {
    pub(crate) fn ahead(ahead_ms: i64) -> Arc<Self> {
        Arc::new(Self { ahead_ms: AtomicI64::new(ahead_ms) })
    }

    /// Somebody sets the wall clock.
    pub(crate) fn set(&self, ahead_ms: i64) {
        self.ahead_ms.store(ahead_ms, Ordering::SeqCst);
    }
}

impl Readings for Wrong {
    fn read(&self) -> Reading {
        let Reading { wall_ms, boot_ms } = SystemClock.read();
        Reading { wall_ms: wall_ms.saturating_add_signed(self.ahead_ms.load(Ordering::SeqCst)), boot_ms }
    }
}

/// What an engine that starts now goes by, told from outside: never before what its former lives can have written down, and
/// then with time that passes. It is the engine's time, or a moment later.
pub(crate) fn of_engine(wrong: &Arc<Wrong>, latest_ms: u64) -> SteadyClock {
    SteadyClock::on(wrong.clone(), latest_ms)
}

/// The latest that a life can have written down which was born when the machine's clock showed `born_ms` and died at `died_ms`.
pub(crate) fn latest(latest_ms: u64, ahead_ms: i64, born_ms: u64, died_ms: u64) -> u64 {
    let went_on = latest_ms.saturating_add(died_ms.saturating_sub(born_ms));
    went_on.max(died_ms.saturating_add_signed(ahead_ms))
}

/// The machine's wall clock now.
pub(crate) fn machine_ms() -> u64 {
    SystemClock.now_ms()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_an_engine_never_runs_back_whatever_becomes_of_the_wall_clock() {
        let ahead = latest(0, 5_000, 1_000, 1_200);
        assert_eq!(ahead, 6_200);
        assert_eq!(latest(ahead, -900, 1_300, 1_500), 6_400);
        assert_eq!(latest(0, -900, 1_300, 1_500), 600);
    }
}
