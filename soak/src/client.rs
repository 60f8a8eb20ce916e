//! The client: what is under way, what it was told, and how long that took.
//!
//! ```text
//! load: so many at once, and so many a second ─┐
//! probes: one every 250 ms, whatever became of ├─► open ─► ended: counted, timed, forgotten
//! the one before; stalls: one now and then    ─┘     └─ a kill: all that is open is submitted again
//! ```
//! **Invariants:** bounded by what is open; a run that has ended is counted and forgotten. What was acknowledged keeps its
//! run, also across kills. Every run ends as its kind says; the first that does not ends the soak with its reason.

pub(crate) mod probes;
mod stalls;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::bail;
use hdrhistogram::Histogram;
use serde::Serialize;

pub(crate) use self::{
    probes::{Answered, Probes},
    stalls::{Stalled, Stalls},
};
use crate::{
    wire::{Ended, Order, Said},
    workload::Kind,
};

/// Behind by more than this, the load does not catch up.
const LAG_MAX: Duration = Duration::from_secs(1);

/// Runs, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Runs {
    pub(crate) submitted: u64,
    pub(crate) acknowledged: u64,
    pub(crate) ended: u64,
    pub(crate) cancelled: u64,
    /// Submitted again after a kill, because there was no answer yet.
    pub(crate) again: u64,
}

/// One submission without an end.
#[derive(Clone, Debug)]
struct Open {
    kind: Kind,
    since: Instant,
    run: Option<String>,
    /// It met a kill, or the start after it.
    met_kill: bool,
}

/// Who submits.
pub(crate) struct Client {
    concurrency: usize,
    rate: Option<u32>,
    next: u64,
    open: BTreeMap<u64, Open>,
    load_open: usize,
    /// When the next run of the load is due, if there is a rate.
    due: Instant,
    load_begun: usize,
    pub(crate) runs: Runs,
    /// Of the load since the last look, in microseconds.
    times: Histogram<u64>,
    pub(crate) probes: Probes,
    pub(crate) stalls: Stalls,
    /// From a kill to the first answer.
    is_recovering: bool,
}

impl Client {
    pub(crate) fn new(concurrency: u32, rate: Option<u32>, within: Duration, now: Instant) -> Self {
        Self {
            concurrency: concurrency as usize,
            rate,
            next: 1,
            open: BTreeMap::new(),
            load_open: 0,
            due: now,
            load_begun: 0,
            runs: Runs::default(),
            times: empty(),
            probes: Probes::new(within),
            stalls: Stalls::default(),
            is_recovering: false,
        }
    }

    /// The runs of the load that are due now.
    pub(crate) fn load(&mut self, now: Instant) -> Vec<Order> {
        let mut orders = Vec::new();
        while self.load_open < self.concurrency && self.is_due(now) {
            let kind = Kind::LOAD[self.load_begun % Kind::LOAD.len()];
            self.load_begun += 1;
            self.load_open += 1;
            let number = self.begin(kind, now);
            orders.push(Order::Submit { number, kind });
        }
        orders
    }

    /// When more of the load is due, if time alone decides that.
    pub(crate) fn next_load(&self) -> Option<Instant> {
        self.rate.filter(|_| self.load_open < self.concurrency).map(|_| self.due)
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let Some(rate) = self.rate else { return true };
        if now < self.due {
            return false;
        }
        self.due = self.due.max(now - LAG_MAX) + Duration::from_secs(1) / rate;
        true
    }

    /// A probe, unless too many are under way.
    pub(crate) fn probe(&mut self, now: Instant) -> Option<Order> {
        if !self.probes.has_room() {
            self.probes.not_sent(self.is_recovering);
            return None;
        }
        self.probes.begun();
        let number = self.begin(Kind::Probe, now);
        Some(Order::Submit { number, kind: Kind::Probe })
    }

    /// Something to lose, unless something is being lost.
    pub(crate) fn stall(&mut self, now: Instant) -> Option<Order> {
        let kind = self.stalls.next(now)?;
        let number = self.begin(kind, now);
        Some(Order::Stall { number, kind })
    }

    fn begin(&mut self, kind: Kind, now: Instant) -> u64 {
        let number = self.next;
        self.next += 1;
        self.runs.submitted += 1;
        self.open.insert(number, Open { kind, since: now, run: None, met_kill: self.is_recovering });
        number
    }

    /// The victim is dead.
    pub(crate) fn killed(&mut self, now: Instant) {
        self.is_recovering = true;
        self.open.values_mut().for_each(|open| open.met_kill = true);
        self.stalls.cut_off(now);
    }

    /// A victim is up: all that has no end.
    pub(crate) fn again(&mut self) -> Vec<Order> {
        self.runs.again += self.open.len() as u64;
        self.open.iter().map(|(number, open)| Order::Submit { number: *number, kind: open.kind }).collect()
    }

    /// Hear it. Says whether this was the first answer after a kill.
    ///
    /// # Errors
    /// What must not be.
    pub(crate) fn hear(&mut self, said: Said, now: Instant) -> anyhow::Result<bool> {
        match said {
            Said::Acknowledged { number, run } => self.acknowledged(number, run)?,
            Said::Ended { number, end } => {
                self.ended(number, end, now)?;
                return Ok(std::mem::take(&mut self.is_recovering));
            }
            Said::Stalled { number, looks, lost } => {
                if let Some(open) = self.open.get(&number) {
                    self.stalls.cured(open.kind, looks, lost, now);
                }
            }
            Said::Acted { reason, times } => self.stalls.acted(&reason, times, now),
            Said::Failed { why } => bail!("the engine failed: {why}"),
            Said::Up | Said::Looked(_) | Said::Rested { .. } => {}
        }
        Ok(false)
    }

    fn acknowledged(&mut self, number: u64, run: String) -> anyhow::Result<()> {
        let Some(open) = self.open.get_mut(&number) else { return Ok(()) };
        match &open.run {
            Some(first) if *first != run => {
                bail!(
                    "submission {number} was acknowledged as {first}, and after a kill as {run}: what was acknowledged is lost"
                )
            }
            Some(_) => {}
            None => {
                self.runs.acknowledged += 1;
                open.run = Some(run);
            }
        }
        Ok(())
    }

    fn ended(&mut self, number: u64, end: Ended, now: Instant) -> anyhow::Result<()> {
        let Some(open) = self.open.remove(&number) else { bail!("run {number} ended twice") };
        let (kind, took) = (open.kind, now.saturating_duration_since(open.since));
        let run = open.run.unwrap_or_default();
        match (end, kind) {
            (Ended::Cancelled, Kind::Cancelled) => self.runs.cancelled += 1,
            (Ended::Succeeded, kind) if kind != Kind::Cancelled => {}
            (end, kind) => bail!("{run}, submission {number} ({}), ended as {end:?}", kind.name()),
        }
        self.runs.ended += 1;
        if kind == Kind::Probe {
            self.probes.ended(took, open.met_kill || self.is_recovering);
        } else if Kind::LOAD.contains(&kind) {
            self.load_open -= 1;
            self.times.saturating_record(u64::try_from(took.as_micros())?);
        }
        Ok(())
    }

    /// Times of the load since the last look, in microseconds.
    pub(crate) fn take_times(&mut self) -> Histogram<u64> {
        std::mem::replace(&mut self.times, empty())
    }

    /// What has no end.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// Some of it, for people.
    pub(crate) fn examples(&self) -> String {
        let told = self.open.iter().take(5).map(|(number, open)| {
            format!("{number} ({}, {})", open.kind.name(), open.run.as_deref().unwrap_or("not acknowledged"))
        });
        told.collect::<Vec<_>>().join(", ")
    }
}

fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("an hour in microseconds, to three digits")
}

#[cfg(test)]
mod tests {
    use headframe::clock::monotonic;

    use super::*;

    fn client(rate: Option<u32>) -> (Client, Instant) {
        let now = monotonic();
        (Client::new(8, rate, Duration::from_secs(1), now), now)
    }

    fn acknowledged(number: u64, run: &str) -> Said {
        Said::Acknowledged { number, run: run.to_owned() }
    }

    #[test]
    fn what_has_no_end_is_submitted_again_and_keeps_its_run() {
        let (mut client, now) = client(None);
        assert_eq!(client.load(now).len(), 8);
        client.hear(acknowledged(1, "run_a"), now).unwrap();
        client.hear(Said::Ended { number: 1, end: Ended::Succeeded }, now).unwrap();
        client.hear(acknowledged(2, "run_b"), now).unwrap();
        client.killed(now);
        assert_eq!(client.again().len(), 7);
        client.hear(acknowledged(2, "run_b"), now).unwrap();
        let lost = client.hear(acknowledged(2, "run_c"), now).unwrap_err().to_string();
        assert!(lost.contains("acknowledged as run_b, and after a kill as run_c"), "{lost}");
    }

    #[test]
    fn a_rate_bounds_the_load_and_what_was_missed_for_long_is_not_caught_up() {
        let (mut client, now) = client(Some(10));
        assert_eq!(client.load(now).len(), 1);
        assert_eq!(client.load(now + Duration::from_millis(99)).len(), 0);
        assert_eq!(client.load(now + Duration::from_millis(200)).len(), 2);
        client.concurrency = 1_000;
        assert!(client.load(now + Duration::from_secs(60)).len() <= 11);
    }

    #[test]
    fn a_run_that_ends_otherwise_than_its_kind_says_ends_the_soak() {
        let (mut client, now) = client(None);
        client.load(now);
        let wrong = client.hear(Said::Ended { number: 1, end: Ended::Cancelled }, now).unwrap_err().to_string();
        assert!(wrong.contains("submission 1 (steps), ended as Cancelled"), "{wrong}");
        // The sixth of the load is the one that is cancelled.
        client.hear(Said::Ended { number: 6, end: Ended::Cancelled }, now).unwrap();
        assert_eq!(client.runs.cancelled, 1);
    }

    #[test]
    fn a_probe_that_met_a_kill_is_counted_apart() {
        let (mut client, now) = client(None);
        client.probe(now);
        client.killed(now);
        client.probe(now);
        assert!(client.hear(Said::Ended { number: 1, end: Ended::Succeeded }, now).unwrap(), "the first answer");
        assert!(!client.hear(Said::Ended { number: 2, end: Ended::Succeeded }, now).unwrap());
        client.probe(now);
        client.hear(Said::Ended { number: 3, end: Ended::Succeeded }, now + Duration::from_secs(2)).unwrap();
        let answered = client.probes.so_far();
        assert_eq!((answered.sent, answered.in_time, answered.beside.sent, answered.beside.in_time), (3, 2, 1, 0));
    }
}
