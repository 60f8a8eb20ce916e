//! Availability: now and then a small run is submitted, whatever became of the one before, and must end in time.
//!
//! **Invariant:** an open loop. A probe that is late does not keep the next one from being sent, up to a bound; beyond it
//! a probe counts as not answered without being sent.

use std::time::Duration;

use serde::Serialize;

/// No more are on their way.
const OPEN_MAX: usize = 256;

/// Probes that came to their end, and those in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Share {
    pub(crate) sent: u64,
    pub(crate) in_time: u64,
}

impl Share {
    /// In percent; all of none.
    pub(crate) fn percent(self) -> f64 {
        if self.sent == 0 { 100.0 } else { self.in_time as f64 * 100.0 / self.sent as f64 }
    }

    fn add(&mut self, in_time: bool) {
        self.sent += 1;
        self.in_time += u64::from(in_time);
    }
}

/// What came of the probes so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) sent: u64,
    pub(crate) in_time: u64,
    /// Without those that met a kill, or the start after it.
    pub(crate) beside: Share,
}

impl Answered {
    /// All of them.
    pub(crate) fn all(self) -> Share {
        Share { sent: self.sent, in_time: self.in_time }
    }

    pub(crate) fn since(self, former: Self) -> Share {
        Share { sent: self.sent - former.sent, in_time: self.in_time - former.in_time }
    }
}

/// Counts them.
pub(crate) struct Probes {
    within: Duration,
    open: usize,
    all: Share,
    beside: Share,
}

impl Probes {
    pub(super) fn new(within: Duration) -> Self {
        Self { within, open: 0, all: Share::default(), beside: Share::default() }
    }

    pub(super) fn has_room(&self) -> bool {
        self.open < OPEN_MAX
    }

    pub(super) fn begun(&mut self) {
        self.open += 1;
    }

    pub(super) fn not_sent(&mut self, met_kill: bool) {
        self.count(false, met_kill);
    }

    pub(super) fn ended(&mut self, took: Duration, met_kill: bool) {
        self.open -= 1;
        self.count(took <= self.within, met_kill);
    }

    fn count(&mut self, in_time: bool, met_kill: bool) {
        self.all.add(in_time);
        if !met_kill {
            self.beside.add(in_time);
        }
    }

    pub(crate) fn so_far(&self) -> Answered {
        Answered { sent: self.all.sent, in_time: self.all.in_time, beside: self.beside }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_of_those_that_were_sent() {
        let former = Answered { sent: 100, in_time: 100, ..Answered::default() };
        let now = Answered { sent: 104, in_time: 103, ..Answered::default() };
        assert_eq!(now.since(former).percent(), 75.0);
        assert_eq!(Answered::default().all().percent(), 100.0);
    }
}
