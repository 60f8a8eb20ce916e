//! I1, I5: what was acknowledged is there, under its key, and has ended.

use super::{
    Findings, Submission, Violation,
    findings::Invariant::{I1, I5},
};

pub(super) fn durable(submission: &Submission, findings: &mut Findings) {
    let Submission { number, acknowledged, found: stored, again, outcome, .. } = submission;
    findings.tested(I5, usize::from(acknowledged.is_some()));
    findings.tested(I1, usize::from(acknowledged.is_some()));
    if acknowledged.is_some() && stored != acknowledged {
        let what = format!("submission {number} was acknowledged as {acknowledged:?}; its key has {stored:?}");
        findings.found(Violation::lost(I5, what).of(*number));
    }
    if stored.is_some() && again != stored {
        let what = format!("submission {number} is {stored:?}; submitted again it is {again:?}");
        findings.found(Violation::duplicated(I5, what).of(*number));
    }
    if outcome.is_none() {
        let what = format!("submission {number}, run {again:?}, has not ended");
        findings.found(Violation::lost(I1, what).of(*number));
    }
}
