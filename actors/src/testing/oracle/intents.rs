//! I6: nothing happened that the store had not intended before, durably.
//!
//! A call that was made before its intent was durable, and whose victim died, is in the books and in no ledger.

use std::collections::BTreeSet;

use super::{
    Entry, Findings, History, Violation,
    books::{Books, lines},
    findings::Invariant::I6,
    ledger::SLACK_MS,
};

/// Nothing happened for a run that the store does not know.
pub(super) fn known(history: &History, findings: &mut Findings) {
    let known: BTreeSet<_> = history.submissions.iter().map(|submission| &*submission.expected.prefix).collect();
    let prefixes = history.entries.iter().filter_map(|entry| entry.call.label.split('/').next());
    for stranger in prefixes.filter(|prefix| !known.contains(prefix)).collect::<BTreeSet<_>>() {
        let what = format!("something happened for {stranger}, which nobody submitted");
        findings.found(Violation::wrong(I6, what));
    }
    for submission in history.submissions.iter().filter(|submission| submission.found.is_none()) {
        let (number, start) = (submission.number, format!("{}/", submission.expected.prefix));
        let before = |entry: &&Entry| entry.call.label.starts_with(&start);
        if let Some(entry) = history.entries.iter().filter(before).find(|entry| entry.call.life <= history.deaths) {
            let what = format!("`{}` happened, and no recovery knows of its run", entry.call.label);
            findings.found(Violation::wrong(I6, what).of(number).at_call(&entry.call.call).showing(lines(&[entry])));
        }
    }
}

/// The ledger holds the intent of every call in the books, and not from afterwards.
pub(super) fn told(history: &History, books: &Books<'_>, findings: &mut Findings) {
    if !history.told.is_whole {
        return;
    }
    findings.tested(I6, history.entries.len());
    for entry in &history.entries {
        let call = &entry.call.call;
        let what = match history.told.intents.get(call) {
            None => format!("`{}` was called as {call}, and the ledger knows of no such intent", entry.call.label),
            Some(at_ms) if *at_ms > entry.at_ms + SLACK_MS => {
                format!("`{}` was called at {}, and {call} was intended at {at_ms}", entry.call.label, entry.at_ms)
            }
            Some(_) => continue,
        };
        let violation = Violation { submission: books.submission_of(&entry.call.label), ..Violation::wrong(I6, what) };
        findings.found(violation.at_call(call).showing(lines(&[entry])));
    }
}
