//! What was lost on purpose, how soon that was cured, and what the unsticker did that nobody asked for.
//!
//! **Invariant:** one thing is lost at a time. An act of the unsticker is expected while what it is about is lost, and a few
//! looks longer; every other act is one where recovery alone should have sufficed.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{wire::Looks, workload::Kind};

/// An act is told a little later than the cure that it was.
const TOLD_LATER: Duration = Duration::from_secs(15);

/// What became of one kind of stall.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Stalled {
    /// So often it was tried.
    pub(crate) tried: u64,
    /// So often something was lost, and cured all the same.
    pub(crate) cured: u64,
    /// So often a kill came between, and the next start cured it.
    pub(crate) cut_off: u64,
    /// The run was faster, and nothing was lost.
    pub(crate) missed: u64,
    /// Looks of the unsticker from the loss to the end of the run, of the slowest, without the grace that late looks give;
    /// and how many it may take.
    pub(crate) looks: u64,
    pub(crate) looks_max: u64,
    /// Acts of the unsticker about it.
    pub(crate) acts: u64,
}

/// The stalls of a soak.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stalls {
    kinds: BTreeMap<&'static str, Stalled>,
    begun: usize,
    current: Option<Kind>,
    /// What was lost last, and when it was over.
    former: Option<(Kind, Instant)>,
    unexpected: BTreeMap<String, u64>,
}

impl Stalls {
    /// The next kind, unless one is under way.
    pub(super) fn next(&mut self, now: Instant) -> Option<Kind> {
        let is_quiet = self.former.is_none_or(|(_, over)| now.duration_since(over) > TOLD_LATER);
        if self.current.is_some() || !is_quiet {
            return None;
        }
        let kind = Kind::STALLS[self.begun % Kind::STALLS.len()];
        self.begun += 1;
        self.current = Some(kind);
        let stalled = self.of(kind);
        stalled.tried += 1;
        stalled.looks_max = kind.looks_max();
        Some(kind)
    }

    pub(super) fn cured(&mut self, kind: Kind, looks: Looks, lost: bool, now: Instant) {
        let stalled = self.of(kind);
        if lost {
            stalled.cured += 1;
            stalled.looks = stalled.looks.max(looks.without_grace());
        } else {
            stalled.missed += 1;
        }
        self.over(now);
    }

    pub(super) fn cut_off(&mut self, now: Instant) {
        if let Some(kind) = self.current {
            self.of(kind).cut_off += 1;
            self.over(now);
        }
    }

    fn over(&mut self, now: Instant) {
        self.former = self.current.take().map(|kind| (kind, now));
    }

    pub(super) fn acted(&mut self, reason: &str, times: u64, now: Instant) {
        let former = self.former.filter(|(_, over)| now.duration_since(*over) <= TOLD_LATER).map(|(kind, _)| kind);
        match self.current.or(former) {
            Some(kind) if kind.reason().is_some_and(|known| known.word() == reason) => self.of(kind).acts += times,
            _ => *self.unexpected.entry(reason.to_owned()).or_default() += times,
        }
    }

    fn of(&mut self, kind: Kind) -> &mut Stalled {
        self.kinds.entry(kind.name()).or_default()
    }

    pub(crate) fn kinds(&self) -> &BTreeMap<&'static str, Stalled> {
        &self.kinds
    }

    pub(crate) fn unexpected(&self) -> &BTreeMap<String, u64> {
        &self.unexpected
    }
}

#[cfg(test)]
mod tests {
    use headframe::clock::monotonic;

    use super::*;

    #[test]
    fn an_act_is_expected_while_what_it_is_about_is_lost_and_never_else() {
        let (mut stalls, now) = (Stalls::default(), monotonic());
        stalls.acted("lost-doorbell", 1, now);
        assert_eq!(stalls.next(now), Some(Kind::Bell));
        assert_eq!(stalls.next(now), None, "one at a time");
        stalls.acted("lost-doorbell", 1, now);
        stalls.acted("lost-call", 1, now);
        stalls.cured(Kind::Bell, Looks { all: 4, late: 1 }, true, now);
        stalls.acted("lost-doorbell", 1, now + Duration::from_secs(1));
        stalls.acted("lost-doorbell", 1, now + Duration::from_secs(60));
        let bell = &stalls.kinds()["lost-bell"];
        assert_eq!((bell.tried, bell.cured, bell.looks, bell.acts), (1, 1, 2, 2));
        let unexpected: Vec<_> = stalls.unexpected().iter().map(|(reason, times)| (reason.as_str(), *times)).collect();
        assert_eq!(unexpected, [("lost-call", 1), ("lost-doorbell", 2)]);
    }

    #[test]
    fn what_a_kill_cuts_off_is_no_cure() {
        let (mut stalls, now) = (Stalls::default(), monotonic());
        stalls.next(now);
        stalls.cut_off(now);
        assert_eq!(stalls.kinds()["lost-bell"], Stalled { tried: 1, cut_off: 1, looks_max: 3, ..Stalled::default() });
    }
}
