//! How a thread in the background leaves processor and disk to those who commit.
//!
//! **Invariants:** what it does in pieces takes half of one processor at most, unless it is late; and the system runs others
//! first.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use crate::clock::monotonic;

/// It works so long, and rests for as long: with pieces of 5 ms, under load 99 % of the commits waited 1.4 to 1.7 times as long.
const PIECE: Duration = Duration::from_micros(500);
/// What took longer than this between two pieces was no work: it waited for the disk, or others had the processor.
const WORK_MAX: Duration = Duration::from_millis(20);
/// Of two that want the same processor, one with this niceness gets about a tenth.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Since when it works.
#[derive(Debug, Default)]
pub(super) struct Breath(Cell<Option<Instant>>);

impl Breath {
    /// Let the system run others first. Elsewhere than on Linux a thread has no niceness of its own.
    pub(super) fn stand_back() {
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
            tracing::debug!(%error, "bases are made with as much right to the processor as all else");
        }
    }

    /// Between two small pieces of work: rest if it is time to, and there is time for it.
    pub(super) fn draw(&self, has_time: impl FnOnce() -> bool) {
        if let Some(since) = self.0.get() {
            let Some(pause) = pause(since.elapsed()) else { return };
            if has_time() {
                std::thread::sleep(pause);
            }
        }
        self.0.set(Some(monotonic()));
    }
}

/// How long it rests after so much work; not at all while that was less than a piece.
fn pause(worked: Duration) -> Option<Duration> {
    match worked {
        worked if worked < PIECE => None,
        worked if worked < WORK_MAX => Some(worked),
        _ => Some(PIECE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rests_for_as_long_as_it_worked_and_a_wait_for_the_disk_is_no_work() {
        let pauses = [499, 500, 12_000, 500_000].map(|us| pause(Duration::from_micros(us)).map(|it| it.as_micros()));
        assert_eq!(pauses, [None, Some(500), Some(12_000), Some(500)]);
    }
}
