//! Restarts as records, of which there are never many.
//!
//! A child that fails in a loop would fill a ledger: so there is at most one record for a child and minute, with a count.
//!
//! **Invariants:** two records of a child are at least a minute apart; the counts of its records add up to its restarts,
//! once what is pending has been taken; nothing is kept of a child that has been quiet for a minute.

use rustc_hash::FxHashMap;

use super::{
    child::ChildId,
    report::{Happened, Report},
};

/// A child's records are at least so far apart.
const EVERY_MS: u64 = 60_000;

/// Restarts of one child, to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartRecord {
    /// Whose.
    pub child: ChildId,
    /// How many since its last record.
    pub count: u64,
    /// Why it failed last.
    pub reason: String,
}

/// Turns the reports of a supervisor into bounded records.
#[derive(Debug, Default)]
pub struct RestartLog {
    children: FxHashMap<ChildId, Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    /// When its last record was given; none yet for a child that is new here.
    recorded_ms: Option<u64>,
    count: u64,
    reason: String,
}

impl RestartLog {
    /// Take a report. The first restart of a child gives a record at once; those of the minute after it are counted.
    pub fn note(&mut self, now_ms: u64, report: &Report) -> Option<RestartRecord> {
        let Happened::Restarting { reason, .. } = &report.happened else { return None };
        self.count(now_ms, &report.child, reason)
    }

    /// Take a restart that no supervisor's report tells of.
    pub fn count(&mut self, now_ms: u64, child: &ChildId, reason: &str) -> Option<RestartRecord> {
        let recent = self.children.entry(child.clone()).or_default();
        recent.count += 1;
        reason.clone_into(&mut recent.reason);
        recent.is_due(now_ms).then(|| recent.record(now_ms, child))
    }

    /// When [`Self::due`] has something to do next.
    #[must_use]
    pub fn next_due_ms(&self) -> Option<u64> {
        self.children.values().filter_map(|recent| recent.recorded_ms).min().map(|at_ms| at_ms.saturating_add(EVERY_MS))
    }

    /// The records whose minute is over.
    pub fn due(&mut self, now_ms: u64) -> Vec<RestartRecord> {
        self.children.retain(|_, recent| recent.count > 0 || !recent.is_due(now_ms));
        let due = self.children.iter_mut().filter(|(_, recent)| recent.is_due(now_ms));
        due.map(|(child, recent)| recent.record(now_ms, child)).collect()
    }

    /// Whatever is pending, minute or not: for the end of the supervisor.
    pub fn finish(self) -> Vec<RestartRecord> {
        let pending = self.children.into_iter().filter(|(_, recent)| recent.count > 0);
        pending.map(|(child, recent)| RestartRecord { child, count: recent.count, reason: recent.reason }).collect()
    }
}

impl Recent {
    fn is_due(&self, now_ms: u64) -> bool {
        self.recorded_ms.is_none_or(|at_ms| now_ms.saturating_sub(at_ms) >= EVERY_MS)
    }

    fn record(&mut self, now_ms: u64, child: &ChildId) -> RestartRecord {
        self.recorded_ms = Some(now_ms);
        let (count, reason) = (std::mem::take(&mut self.count), std::mem::take(&mut self.reason));
        RestartRecord { child: child.clone(), count, reason }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn restarting(child: &str) -> Report {
        let happened = Happened::Restarting { times: 1, after: Duration::ZERO, reason: "it broke".to_owned() };
        Report { supervisor: "s".into(), child: child.into(), happened }
    }

    fn count(record: Option<RestartRecord>) -> Option<u64> {
        record.map(|record| record.count)
    }

    #[test]
    fn a_child_has_at_most_one_record_a_minute_with_a_count() {
        let mut log = RestartLog::default();
        let records: Vec<_> = (0..180).map(|second| log.note(second * 1_000, &restarting("a"))).collect();
        let at: Vec<_> =
            records.iter().enumerate().filter_map(|(at, record)| Some((at, count(record.clone())?))).collect();
        assert_eq!(at, [(0, 1), (60, 60), (120, 60)]);
        assert_eq!(log.finish().iter().map(|record| record.count).sum::<u64>(), 59);
    }

    #[test]
    fn children_are_counted_apart() {
        let mut log = RestartLog::default();
        assert_eq!(count(log.note(0, &restarting("a"))), Some(1));
        assert_eq!(count(log.note(1, &restarting("b"))), Some(1));
        assert_eq!(count(log.note(2, &restarting("a"))), None);
    }

    #[test]
    fn what_was_counted_is_recorded_when_the_minute_is_over() {
        let mut log = RestartLog::default();
        log.note(5, &restarting("a"));
        log.note(6, &restarting("a"));
        assert_eq!(log.next_due_ms(), Some(60_005));
        assert_eq!(log.due(60_004), []);
        assert_eq!(log.due(60_005), [RestartRecord { child: "a".into(), count: 1, reason: "it broke".to_owned() }]);
    }

    #[test]
    fn a_quiet_child_is_forgotten() {
        let mut log = RestartLog::default();
        log.note(0, &restarting("a"));
        assert_eq!(log.due(60_000), []);
        assert!(log.children.is_empty());
        assert_eq!(log.next_due_ms(), None);
    }

    #[test]
    fn other_reports_give_no_record() {
        let started = Report { happened: Happened::Started { incarnation: 1 }, ..restarting("a") };
        assert_eq!(RestartLog::default().note(0, &started), None);
    }

    crate::properties! {
        /// Any restarts of any children, looked at whenever: records are a minute apart, and add up.
        #[test]
        fn records_are_a_minute_apart_and_add_up_and_nothing_is_kept_of_the_quiet(
            steps in prop::collection::vec((0..4_u8, 0..40_000_u64, any::<bool>()), 0..100),
        ) {
            let (mut log, mut now_ms) = (RestartLog::default(), 0);
            let (mut noted, mut counted, mut last) = ([0_u64; 4], [0_u64; 4], [None::<u64>; 4]);
            let place = |child: &str| child.parse::<usize>().unwrap();
            for (child, wait_ms, is_restart) in steps {
                now_ms += wait_ms;
                let mut records = log.due(now_ms);
                if is_restart {
                    noted[usize::from(child)] += 1;
                    records.extend(log.note(now_ms, &restarting(&child.to_string())));
                }
                for record in records {
                    let at = place(&record.child);
                    prop_assert!(last[at].is_none_or(|at_ms| now_ms - at_ms >= EVERY_MS), "two within a minute");
                    prop_assert!(record.count > 0, "a record of nothing");
                    (last[at], counted[at]) = (Some(now_ms), counted[at] + record.count);
                }
                prop_assert!(log.next_due_ms().is_none_or(|due_ms| due_ms > now_ms), "something was due and left");
            }
            for record in log.due(now_ms + EVERY_MS).into_iter().chain(log.due(now_ms + EVERY_MS * 2)) {
                counted[place(&record.child)] += record.count;
            }
            prop_assert!(log.children.is_empty(), "it has been quiet");
            prop_assert_eq!(noted, counted);
        }
    }
}
