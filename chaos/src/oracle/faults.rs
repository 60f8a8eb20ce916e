//! A fault that never struck proves nothing, and neither does a check that had nothing to check: with enough calls, each
//! must have.

use super::{Findings, Invariant::Suite, Violation};
use crate::recorder::{Answer, Entry};

/// In so many calls every fault strikes.
pub(super) const CALLS_ENOUGH: usize = 5_000;

type Is = fn(&Entry) -> bool;

const FAULTS: [(&str, Is); 5] = [
    ("a refusal", |entry| entry.answer == Answer::Refused),
    ("a lost answer", |entry| entry.answer == Answer::Lost),
    ("a late answer", |entry| matches!(entry.answer, Answer::Late(_))),
    ("a caller that broke down", |entry| entry.call.deaf),
    ("a repeat after a crash", |entry| entry.effect.is_none() && matches!(entry.answer, Answer::Done(_))),
];

pub(super) fn struck(entries: &[Entry], findings: &mut Findings) {
    for (name, is_it) in FAULTS {
        let struck = entries.iter().any(is_it);
        findings.tested(Suite, usize::from(struck));
        if !struck && entries.len() >= CALLS_ENOUGH {
            findings.found(Violation::wrong(Suite, format!("in {} calls there was never {name}", entries.len())));
        }
    }
}

/// Whether each invariant was put to the test at all.
pub(super) fn put_to_the_test(calls: usize, findings: &mut Findings) {
    let idle = findings.never_tested().into_iter().filter(|invariant| *invariant != Suite);
    for invariant in idle.filter(|_| calls >= CALLS_ENOUGH).collect::<Vec<_>>() {
        findings.found(Violation::wrong(Suite, format!("in {calls} calls {invariant} was never put to the test")));
    }
}
