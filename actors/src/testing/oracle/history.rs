//! All that is known when everything has come to rest.

use std::collections::BTreeMap;

use super::{Entry, Findings, Told};
use crate::run::Outcome;

/// What is known at the end: the input of [`check`](super::check).
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Deaths of the process. Its lives are counted from 1; the one after the last death is quiet.
    pub deaths: u32,
    /// What clients submitted.
    pub submissions: Vec<Submission>,
    /// The books of the outside world, in the order in which it happened.
    pub entries: Vec<Entry>,
    /// What the ledger tells.
    pub told: Told,
    /// What was checked, and found wrong, before anybody counted.
    pub findings: Findings,
}

/// What is known of one submission at the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Submission {
    /// By which its client knows it.
    pub number: u64,
    /// The run that its client was told of, ever.
    pub acknowledged: Option<String>,
    /// The run under its key after the last recovery.
    pub found: Option<String>,
    /// What a submission under the same key gave then.
    pub again: Option<String>,
    /// How its run ended.
    pub outcome: Option<Outcome>,
    /// What it was to do.
    pub expected: Expected,
}

/// What a run was to do, and how it may end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The first part of every label of this run, up to the first `/`.
    pub prefix: String,
    /// What must have happened under each label: `PREFIX/PHASE/TASK`, and `/ITEM` where there are items.
    pub labels: BTreeMap<String, Rule>,
    /// Classes of failure that the run may end with; all, if nothing is said.
    pub failures: Option<Vec<String>>,
    /// Whether somebody may have cancelled it.
    pub may_be_cancelled: bool,
}

/// What must have happened under a label once its run has succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Exactly once, and the run's output holds the receipt, as `{"label": .., "receipt": ..}` anywhere in it.
    Receipt,
    /// Exactly once.
    Once,
    /// Once or not at all.
    Maybe,
    /// Not at all.
    Never,
    /// Any number of times: a rule of the plan repeats what is in doubt, or takes it for failed.
    Any,
}

impl Expected {
    /// The label of a task, or of one of its items, by the name that a failure gives it: `PHASE/TASK` or
    /// `PHASE/TASK[ITEM]`.
    #[must_use]
    pub fn label_of(&self, task: &str) -> String {
        format!("{}/{}", self.prefix, task.replace('[', "/").replace(']', ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_label() {
        let expected = Expected { prefix: "k7".to_owned(), ..Expected::default() };
        assert_eq!(expected.label_of("each/measure[3]"), "k7/each/measure/3");
        assert_eq!(expected.label_of("pay/charge"), "k7/pay/charge");
    }
}
