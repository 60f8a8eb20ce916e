//! The one place where time is read.
//!
//! Decisions see time only as a number in their turn. Wall time is milliseconds since 1970; the monotonic clock measures
//! how long something took and never leaves the process.

mod jump;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

pub use self::jump::{Grace, Jump, ManualReadings, Reading, Readings};

/// Tells wall time.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where wall time is read")]
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Readings for SystemClock {
    fn read(&self) -> Reading {
        Reading { wall_ms: self.now_ms(), boot_ms: self.boot_ms() }
    }

    fn boot_ms(&self) -> u64 {
        u64::try_from(since_boot().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Wall time at the start, and from there on as much as passed: it never jumps and never runs back, so that a wait is as
/// long as it should be whatever becomes of the wall clock. Time in which the machine sleeps counts (Linux).
#[derive(Clone, Debug)]
pub struct SteadyClock {
    readings: Arc<dyn Readings>,
    start_ms: u64,
    began_ms: u64,
}

impl SteadyClock {
    /// Start at wall time, but not before the latest time that a former life wrote down.
    #[must_use]
    pub fn not_before(latest_ms: u64) -> Self {
        Self::on(Arc::new(SystemClock), latest_ms)
    }

    /// The same on other clocks than the machine's.
    #[must_use]
    pub fn on(readings: Arc<dyn Readings>, latest_ms: u64) -> Self {
        let Reading { wall_ms, boot_ms } = readings.read();
        if latest_ms > wall_ms.saturating_add(60_000) {
            tracing::warn!(
                ahead_ms = latest_ms - wall_ms,
                "the wall clock is behind what was written down; time goes on from there"
            );
        }
        Self { readings, start_ms: wall_ms.max(latest_ms), began_ms: boot_ms }
    }
}

impl Clock for SteadyClock {
    fn now_ms(&self) -> u64 {
        self.start_ms.saturating_add(self.readings.boot_ms().saturating_sub(self.began_ms))
    }
}

#[cfg(target_os = "linux")]
fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(not(target_os = "linux"))]
fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows this time.
    #[must_use]
    pub fn at(now_ms: u64) -> Self {
        Self(AtomicU64::new(now_ms))
    }

    /// Move it forward.
    pub fn advance(&self, by_ms: u64) {
        self.0.fetch_add(by_ms, Ordering::SeqCst);
    }

    /// Move it forward to a time, never back.
    pub fn advance_to(&self, now_ms: u64) {
        self.0.fetch_max(now_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// The monotonic clock; where tokio's is paused, which only tests do, that one.
#[must_use]
pub fn monotonic() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_clock_starts_no_earlier_than_what_was_written_down() {
        let written = SystemClock.now_ms() + 86_400_000;
        let clock = SteadyClock::not_before(written);
        let first = clock.now_ms();
        assert!(first >= written);
        assert!(clock.now_ms() >= first);
        assert!(SteadyClock::not_before(0).now_ms() + 60_000 > SystemClock.now_ms());
    }
}
