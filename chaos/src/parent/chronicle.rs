//! What struck when, and how long it took to get over it.
//!
//! **Invariant:** every strike is counted; of marks on the timeline only so many are kept.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use headframe::clock::monotonic;

use crate::fault::Fault;

/// Most marks on the timeline; what comes after is only counted.
const MARKS_MAX: usize = 500_000;

/// Something on the timeline, in milliseconds since the beginning.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mark {
    pub(crate) fault: Fault,
    pub(crate) at_ms: f64,
    /// How long it lasted, or how long the recovery took.
    pub(crate) lasted_ms: f64,
    pub(crate) kind: Kind,
    pub(crate) what: Arc<str>,
}

/// What a mark is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Strike,
    Recovery,
}

/// What was counted of one kind of fault.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) strikes: u64,
    /// By what was hit, or what came of it.
    pub(crate) kinds: BTreeMap<Arc<str>, u64>,
    /// In microseconds.
    pub(crate) recoveries: Histogram<u64>,
    /// Why it did not strike although it was chosen.
    pub(crate) skipped: Option<String>,
}

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct Chronicle {
    began: Instant,
    pub(crate) marks: Vec<Mark>,
    figures: BTreeMap<Fault, Figures>,
    /// One text for all marks that say the same.
    words: BTreeMap<Box<str>, Arc<str>>,
}

impl Default for Chronicle {
    fn default() -> Self {
        Self { began: monotonic(), marks: Vec::new(), figures: BTreeMap::new(), words: BTreeMap::new() }
    }
}

impl Chronicle {
    /// How long it has been going on.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Something struck just now.
    pub(crate) fn struck(&mut self, fault: Fault, what: &str) {
        self.lasted(fault, what, Duration::ZERO);
    }

    /// Something struck that will last so long.
    pub(crate) fn lasted(&mut self, fault: Fault, what: &str, length: Duration) {
        let what = self.word(what);
        let figures = self.figures_of(fault);
        figures.strikes += 1;
        *figures.kinds.entry(what.clone()).or_default() += 1;
        self.mark(fault, Kind::Strike, monotonic(), length, what);
    }

    /// What struck is over, after so long.
    pub(crate) fn healed(&mut self, fault: Fault, after: Duration) {
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        self.figures_of(fault).recoveries.saturating_record(micros.max(1));
        let (what, now) = (self.word("recovered"), monotonic());
        self.mark(fault, Kind::Recovery, now.checked_sub(after).unwrap_or(self.began), after, what);
    }

    /// It was chosen and cannot be done here.
    pub(crate) fn skipped(&mut self, fault: Fault, why: &str) {
        self.figures_of(fault).skipped = Some(why.to_owned());
    }

    pub(crate) fn figures(&self, fault: Fault) -> Figures {
        self.figures.get(&fault).cloned().unwrap_or_else(Figures::none)
    }

    fn figures_of(&mut self, fault: Fault) -> &mut Figures {
        self.figures.entry(fault).or_insert_with(Figures::none)
    }

    fn mark(&mut self, fault: Fault, kind: Kind, at: Instant, lasted: Duration, what: Arc<str>) {
        if self.marks.len() < MARKS_MAX {
            let at_ms = at.saturating_duration_since(self.began).as_secs_f64() * 1_000.0;
            self.marks.push(Mark { fault, at_ms, lasted_ms: lasted.as_secs_f64() * 1_000.0, kind, what });
        }
    }

    fn word(&mut self, what: &str) -> Arc<str> {
        self.words.entry(what.into()).or_insert_with(|| what.into()).clone()
    }
}

impl Figures {
    fn none() -> Self {
        let recoveries =
            Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("an hour in microseconds, to three digits");
        Self { strikes: 0, kinds: BTreeMap::new(), recoveries, skipped: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strikes_and_recoveries_are_counted_by_fault_and_by_what_was_hit() {
        let mut chronicle = Chronicle::default();
        chronicle.struck(Fault::Actors, "task");
        chronicle.struck(Fault::Actors, "task");
        chronicle.struck(Fault::Actors, "tool");
        chronicle.healed(Fault::Actors, Duration::from_millis(3));
        let figures = chronicle.figures(Fault::Actors);
        assert_eq!((figures.strikes, figures.kinds["task"], figures.recoveries.len()), (3, 2, 1));
        assert_eq!(chronicle.figures(Fault::Stop).strikes, 0);
        assert_eq!(chronicle.marks.len(), 4);
    }
}
