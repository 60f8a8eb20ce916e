//! The client: it knows what it sent, what was acknowledged and what it saw end.
//!
//! After a kill it does what every client must: it submits again, under the same keys, whatever it has no answer to.
//!
//! **Invariant:** nothing that was heard is forgotten; a second answer that differs from the first is kept as a complaint.

use std::collections::BTreeMap;

use headframe::run::Outcome;

use crate::{
    oracle::{
        Invariant::{I1, I5},
        Violation,
    },
    victim::Said,
};

/// One submission, as its client sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Submitted {
    /// The run that was acknowledged.
    pub(crate) run: Option<String>,
    /// The end that was seen.
    pub(crate) outcome: Option<Outcome>,
    /// How many lives it was sent to.
    pub(crate) lives: u32,
}

/// The client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) seed: u64,
    pub(crate) submitted: BTreeMap<u64, Submitted>,
    /// What it was told that cannot be.
    pub(crate) complaints: Vec<Violation>,
    in_flight: u32,
    next: u64,
}

impl Client {
    pub(crate) fn new(seed: u64, in_flight: u32) -> Self {
        Self { seed, submitted: BTreeMap::new(), complaints: Vec::new(), in_flight, next: 1 }
    }

    /// What a new life is sent first: everything without an end, and as much new as fits.
    pub(crate) fn begin(&mut self) -> Vec<u64> {
        let mut numbers: Vec<_> =
            self.submitted.iter().filter(|(_, known)| known.outcome.is_none()).map(|(number, _)| *number).collect();
        while numbers.len() < self.in_flight as usize {
            numbers.push(self.fresh());
        }
        for number in &numbers {
            self.submitted.entry(*number).or_default().lives += 1;
        }
        numbers
    }

    fn fresh(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        self.submitted.insert(number, Submitted::default());
        number
    }

    /// Hear the victim; returns what to send next, if something ended.
    pub(crate) fn hear(&mut self, said: &Said) -> Option<u64> {
        match said {
            Said::Acknowledged { number, run } => self.acknowledged(*number, run),
            Said::Ended { number, outcome } if self.ended(*number, outcome) => return Some(self.fresh()),
            Said::Refused { number, why } => {
                self.complain(Violation::wrong(I5, format!("submission {number} was refused: {why}")).of(*number))
            }
            Said::Closed { cause } => {
                self.complain(Violation::wrong(I5, format!("the store closed by itself: {cause}")))
            }
            Said::Ended { .. } | Said::Up | Said::Waits { .. } | Said::Struck { .. } | Said::Healed { .. } => {}
        }
        None
    }

    pub(crate) fn complain(&mut self, complaint: Violation) {
        self.complaints.push(complaint);
    }

    /// What is acknowledged once keeps its run.
    pub(crate) fn acknowledged(&mut self, number: u64, run: &str) {
        let known = self.submitted.entry(number).or_default();
        match &known.run {
            Some(first) if first != run => {
                let what = format!("submission {number} was acknowledged as {first} and later as {run}");
                self.complain(Violation::duplicated(I5, what).of(number));
            }
            _ => known.run = Some(run.to_owned()),
        }
    }

    /// What has ended once stays as it ended; says whether this was the first news of it.
    pub(crate) fn ended(&mut self, number: u64, outcome: &Outcome) -> bool {
        let known = self.submitted.entry(number).or_default();
        match &known.outcome {
            Some(first) if first != outcome => {
                let what = format!("submission {number} ended as {first:?} and later as {outcome:?}");
                self.complain(Violation::duplicated(I1, what).of(number));
                false
            }
            Some(_) => false,
            None => {
                known.outcome = Some(outcome.clone());
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use headframe::json::Json;

    use super::*;

    #[test]
    fn what_has_no_end_is_sent_again() {
        let mut client = Client::new(7, 3);
        assert_eq!(client.begin(), [1, 2, 3]);
        let end = Said::Ended { number: 2, outcome: Outcome::Succeeded(Json::NULL) };
        assert_eq!(client.hear(&end), Some(4));
        assert_eq!(client.begin(), [1, 3, 4]);
    }

    #[test]
    fn a_key_that_changes_its_run_is_a_complaint() {
        let mut client = Client::new(7, 1);
        client.acknowledged(1, "run_a");
        client.acknowledged(1, "run_a");
        assert_eq!(client.complaints, []);
        client.acknowledged(1, "run_b");
        assert_eq!(client.complaints[0].invariant, I5);
    }

    #[test]
    fn a_second_end_is_a_complaint() {
        let mut client = Client::new(7, 1);
        client.ended(1, &Outcome::Succeeded(Json::NULL));
        client.ended(1, &Outcome::Cancelled { reason: "no".to_owned() });
        assert_eq!(client.complaints[0].invariant, I1);
    }
}
