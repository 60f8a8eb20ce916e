//! I4: what the runs say and what happened agree; no key is used too often. I5, in part: fencing tokens rise.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Answer, Call, Entry, Findings, History, Rule, Submission, Violation,
    books::{Books, lines},
    findings::Invariant::{I1, I4, I5},
};
use crate::run::Outcome;

/// What the run says and what happened agree.
pub(super) fn of_run(submission: &Submission, books: &Books<'_>, findings: &mut Findings) {
    let (number, expected) = (submission.number, &submission.expected);
    labels(submission, books, findings);
    match &submission.outcome {
        Some(Outcome::Succeeded(output)) => {
            let wanted = expected.labels.iter().filter(|(_, rule)| **rule == Rule::Receipt);
            receipts(number, &output.value(), wanted.map(|(label, _)| label.as_str()).collect(), books, findings);
        }
        Some(Outcome::Failed { task, failure }) => {
            let label = expected.label_of(task);
            if expected.failures.as_ref().is_some_and(|classes| !classes.contains(&failure.class)) {
                let what = format!("`{label}` failed for no good reason: {}: {}", failure.class, failure.message);
                findings.found(Violation::wrong(I1, what).of(number).showing(books.lines(&label)));
            }
            if books.effects(&label) > 0 && expected.labels.get(&label) != Some(&Rule::Any) {
                let what = format!("`{label}` failed, says its run, and it happened");
                findings.found(Violation::duplicated(I4, what).of(number).showing(books.lines(&label)));
            }
        }
        Some(Outcome::Cancelled { .. }) if expected.may_be_cancelled => {}
        Some(Outcome::Cancelled { reason }) => {
            let what = format!("the run of {} was cancelled, and nobody did: {reason}", expected.prefix);
            findings.found(Violation::wrong(I1, what).of(number));
        }
        None => {}
    }
}

/// Nothing happened too often, and of a run that succeeded nothing too seldom.
fn labels(submission: &Submission, books: &Books<'_>, findings: &mut Findings) {
    let number = submission.number;
    for (label, rule) in &submission.expected.labels {
        let (least, most) = match rule {
            Rule::Receipt | Rule::Once => (1, 1),
            Rule::Maybe => (0, 1),
            Rule::Never => (0, 0),
            Rule::Any => continue,
        };
        let count = books.effects(label);
        if count > most {
            let violation = Violation::duplicated(I4, format!("`{label}` happened {count} times"));
            findings.found(violation.of(number).showing(books.lines(label)));
        }
        if matches!(submission.outcome, Some(Outcome::Succeeded(_))) && count < least {
            let what = format!("the run of `{label}` succeeded, and it never happened");
            findings.found(Violation::lost(I4, what).of(number).showing(books.lines(label)));
        }
    }
}

/// The output holds the receipt of everything that happened, and no other.
fn receipts(number: u64, output: &Value, mut wanted: BTreeSet<&str>, books: &Books<'_>, findings: &mut Findings) {
    let mut given = Vec::new();
    collect(output, &mut given);
    for (label, receipt) in given {
        if !books.under(&label).iter().any(|entry| entry.effect == Some(receipt)) {
            let what = format!("the output of {number} holds receipt {receipt} for `{label}`, which nobody gave");
            findings.found(Violation::wrong(I4, what).of(number).showing(books.lines(&label)));
        }
        if !wanted.remove(label.as_str()) {
            let what = format!("the output of {number} holds `{label}`, which is not wanted, or twice");
            findings.found(Violation::duplicated(I4, what).of(number).showing(books.lines(&label)));
        }
    }
    for label in wanted {
        let what = format!("the output of {number} lacks the result of `{label}`");
        findings.found(Violation::lost(I4, what).of(number).showing(books.lines(label)));
    }
}

/// Every receipt inside a document.
fn collect(value: &Value, given: &mut Vec<(String, u64)>) {
    match value {
        Value::Object(map) => match (map.get("label"), map.get("receipt")) {
            (Some(Value::String(label)), Some(receipt)) => {
                given.push((label.clone(), receipt.as_u64().unwrap_or(0)));
            }
            _ => map.values().for_each(|value| collect(value, given)),
        },
        Value::Array(list) => list.iter().for_each(|value| collect(value, given)),
        _ => {}
    }
}

/// No key is used too often; one that may be used once is used once at all.
pub(super) fn keys(history: &History, books: &Books<'_>, findings: &mut Findings) {
    findings.tested(I4, books.keys.len());
    let mut began: BTreeMap<u32, u64> = BTreeMap::new();
    for entry in books.keys.values().flatten() {
        let first = began.entry(entry.call.life).or_insert(entry.at_ms);
        *first = entry.at_ms.min(*first);
    }
    for (key, entries) in &books.keys {
        let Call { label, call, .. } = &entries[0].call;
        // Intended before its life called anybody: a former life may have made it.
        let is_inherited = history.told.intents.get(call).is_some_and(|at_ms| *at_ms < began[&entries[0].call.life]);
        let number = books.submission_of(label);
        let tell = |violation: Violation| {
            let violation = Violation { submission: number, ..violation };
            violation.at_call(call).showing(lines(entries))
        };
        let is_repeated = entries[0].call.only_once && entries.len() > 1;
        if is_repeated || is_used_too_often(entries, is_inherited) {
            let what = format!("`{label}` was called too often with key {key:.12}");
            findings.found(tell(Violation::duplicated(I4, what)));
        }
        if entries.iter().any(|entry| entry.call.label != *label) {
            let what = format!("key {key:.12} was used for `{label}` and for something else");
            findings.found(tell(Violation::wrong(I4, what)));
        }
    }
}

/// Within one life a key is used once, and once more for every answer that was lost. A refusal ends a key, unless nobody
/// knows whether a call before it had the same one and an effect: a new key could be a second effect then.
fn is_used_too_often(entries: &[&Entry], is_inherited: bool) -> bool {
    let mut lives: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    let mut is_unsure = is_inherited;
    for entry in entries {
        // What an earlier life called with this key, and nobody heard of.
        is_unsure |= lives.keys().any(|life| *life < entry.call.life);
        let is_lost = entry.answer == Answer::Lost || entry.call.may_be_unheard;
        let is_excused = is_lost || (is_unsure && entry.answer == Answer::Refused);
        is_unsure |= is_lost;
        let (calls, excused) = lives.entry(entry.call.life).or_default();
        *calls += 1;
        *excused += usize::from(is_excused);
    }
    lives.values().any(|(calls, excused)| *calls > 1 + excused)
}

/// A call's id belongs to one key for ever, and every life has a fencing token above the one before.
pub(super) fn ids(entries: &[Entry], findings: &mut Findings) {
    let mut calls: BTreeMap<&str, &str> = BTreeMap::new();
    let mut epochs: BTreeMap<u32, u64> = BTreeMap::new();
    for Entry { call, .. } in entries {
        let first = calls.entry(&call.call).or_insert(&call.key);
        if *first != call.key {
            let what = format!("{} had key {first} and later {} (`{}`)", call.call, call.key, call.label);
            findings.found(Violation::wrong(I4, what).at_call(&call.call));
        }
        let first = epochs.entry(call.life).or_insert(call.epoch);
        if *first != call.epoch {
            let what = format!("life {} had the fencing tokens {first} and {}", call.life, call.epoch);
            findings.found(Violation::wrong(I5, what));
        }
    }
    for ((former, low), (later, high)) in epochs.iter().zip(epochs.iter().skip(1)) {
        if low >= high {
            let what = format!("life {former} had the fencing token {low}, life {later} has {high}");
            findings.found(Violation::wrong(I5, what));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(life: u32, answer: Answer) -> Entry {
        let [tool, key, call, label] = ["flaky", "key", "call_1", "label"].map(str::to_owned);
        let (may_be_unheard, only_once) = (false, false);
        let call = Call { tool, key, call, label, attempt: 1, life, epoch: 1, may_be_unheard, only_once };
        Entry { call, answer, effect: None, at_ms: 1_000 }
    }

    fn too_often(calls: &[(u32, Answer)]) -> bool {
        let entries: Vec<_> = calls.iter().map(|(life, answer)| called(*life, *answer)).collect();
        is_used_too_often(&entries.iter().collect::<Vec<_>>(), false)
    }

    /// A key that was refused for ever after a crash was called a violation once: it has to stay.
    #[test]
    fn a_refusal_ends_a_key_unless_nobody_knows_what_became_of_a_call_before_it() {
        let (refused, lost) = (Answer::Refused, Answer::Lost);
        assert!(!too_often(&[(1, refused)]));
        assert!(too_often(&[(1, refused), (1, refused)]));
        assert!(!too_often(&[(1, refused), (2, refused), (2, refused)]), "cut off by a crash");
        assert!(!too_often(&[(1, lost), (1, refused), (1, refused)]), "an answer was lost");
        assert!(too_often(&[(1, refused), (1, refused), (1, lost)]), "lost only afterwards");
        let calls = [called(2, refused), called(2, refused)];
        assert!(!is_used_too_often(&calls.iter().collect::<Vec<_>>(), true), "a former life intended it");
    }
}
