//! I6: nothing happened that the store had not intended before, durably.
//!
//! A call that was made before its intent was durable, and whose victim died, is in the books and in no ledger.

use std::collections::BTreeSet;

use super::{Facts, Findings, Violation, books::lines, findings::Invariant::I6, history::SLACK_MS};
use crate::{recorder::Entry, workload};

/// Nothing happened for a run that the store does not know.
pub(super) fn known(facts: &Facts, findings: &mut Findings) {
    let known = facts.submissions.iter().map(|submission| workload::key(submission.number));
    let known: BTreeSet<_> = known.collect();
    let labels = facts.entries.iter().filter_map(|entry| entry.call.label.split('/').next());
    for stranger in labels.filter(|key| !known.contains(*key)).collect::<BTreeSet<_>>() {
        let what = format!("something happened for {stranger}, which nobody submitted");
        findings.found(Violation::wrong(I6, what));
    }
    for submission in facts.submissions.iter().filter(|submission| submission.found.is_none()) {
        let number = submission.number;
        let before = |entry: &&Entry| entry.call.label.starts_with(&format!("{}/", workload::key(number)));
        if let Some(entry) = facts.entries.iter().filter(before).find(|entry| entry.call.life <= facts.kills) {
            let what = format!("`{}` happened, and no recovery knows of its run", entry.call.label);
            findings.found(Violation::wrong(I6, what).of(number).at_call(&entry.call.call).showing(lines(&[entry])));
        }
    }
}

/// The ledger holds the intent of every call in the books, and not from afterwards.
pub(super) fn told(facts: &Facts, findings: &mut Findings) {
    if !facts.told.is_whole {
        return;
    }
    findings.tested(I6, facts.entries.len());
    for entry in &facts.entries {
        let call = &entry.call.call;
        let what = match facts.told.intents.get(call) {
            None => format!("`{}` was called as {call}, and the ledger knows of no such intent", entry.call.label),
            Some(at_ms) if *at_ms > entry.at_ms + SLACK_MS => {
                format!("`{}` was called at {}, and {call} was intended at {at_ms}", entry.call.label, entry.at_ms)
            }
            Some(_) => continue,
        };
        let violation =
            Violation { submission: workload::number_of_label(&entry.call.label), ..Violation::wrong(I6, what) };
        findings.found(violation.at_call(call).showing(lines(&[entry])));
    }
}
