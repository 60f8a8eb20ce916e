//! What must be true when everything has come to rest.
//!
//! **Invariants:** the oracle is a pure function of the facts. It judges effects by their labels, so that a second effect
//! under a new key is as much a duplicate as one under the old.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use headframe::run::Outcome;
use serde::Serialize;

use crate::{
    recorder::{Answer, Call, Entry},
    workload::{self, Rule},
};

/// Classes of failure that a run of this workload may end with: a decision by the operator, or refusals in a row.
const HONEST: [&str; 2] = ["decided", "refused"];

/// What a broken promise did to its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Harm {
    /// Something promised is not there.
    Lost,
    /// Something is there twice.
    Duplicated,
    /// Neither, for now.
    Wrong,
}

/// In so many calls every fault strikes.
const CALLS_ENOUGH: usize = 5_000;

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Violation {
    /// Which, as TESTING.md numbers them.
    pub(crate) rule: &'static str,
    pub(crate) harm: Harm,
    /// What was seen.
    pub(crate) what: String,
}

impl Violation {
    pub(crate) fn lost(rule: &'static str, what: String) -> Self {
        Self { rule, harm: Harm::Lost, what }
    }

    pub(crate) fn duplicated(rule: &'static str, what: String) -> Self {
        Self { rule, harm: Harm::Duplicated, what }
    }

    pub(crate) fn wrong(rule: &'static str, what: String) -> Self {
        Self { rule, harm: Harm::Wrong, what }
    }
}

/// What is known of one submission at the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Submission {
    pub(crate) number: u64,
    /// The run that its client was told of, ever.
    pub(crate) acknowledged: Option<String>,
    /// The run under its key after the last recovery.
    pub(crate) found: Option<String>,
    /// What a submission under the same key gave then.
    pub(crate) again: Option<String>,
    /// How its run ended.
    pub(crate) outcome: Option<Outcome>,
}

/// What is known at the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) seed: u64,
    /// Deaths of the victim; the life after the last of them is quiet.
    pub(crate) kills: u32,
    pub(crate) submissions: Vec<Submission>,
    /// The books of the outside world.
    pub(crate) entries: Vec<Entry>,
    /// What was wrong before anybody counted.
    pub(crate) complaints: Vec<Violation>,
    /// Calls in doubt that were decided in the quiet time.
    pub(crate) decided: u64,
}

/// Every broken promise.
pub(crate) fn judge(facts: &Facts) -> Vec<Violation> {
    let mut found = facts.complaints.clone();
    let books = Books::read(&facts.entries);
    for submission in &facts.submissions {
        durable(submission, &mut found);
        effects(facts.seed, submission, &books, &mut found);
    }
    keys(&books, &mut found);
    ids(&facts.entries, &mut found);
    intents(facts, &mut found);
    struck(&facts.entries, &mut found);
    found
}

/// The books, by label and by key.
struct Books<'a> {
    labels: BTreeMap<&'a str, Vec<&'a Entry>>,
    keys: BTreeMap<&'a str, Vec<&'a Entry>>,
}

impl<'a> Books<'a> {
    fn read(entries: &'a [Entry]) -> Self {
        let mut books = Self { labels: BTreeMap::new(), keys: BTreeMap::new() };
        for entry in entries {
            books.labels.entry(&entry.call.label).or_default().push(entry);
            books.keys.entry(&entry.call.key).or_default().push(entry);
        }
        books
    }

    fn effects(&self, label: &str) -> usize {
        self.labels.get(label).map_or(0, |entries| entries.iter().filter(|entry| entry.effect.is_some()).count())
    }
}

/// I1, I5: what was acknowledged is there, under its key, and has ended.
fn durable(submission: &Submission, found: &mut Vec<Violation>) {
    let Submission { number, acknowledged, found: stored, again, outcome } = submission;
    if acknowledged.is_some() && stored != acknowledged {
        found.push(Violation::lost(
            "I5",
            format!("submission {number} was acknowledged as {acknowledged:?}; its key has {stored:?}"),
        ));
    }
    if stored.is_some() && again != stored {
        found.push(Violation::duplicated(
            "I5",
            format!("submission {number} is {stored:?}; submitted again it is {again:?}"),
        ));
    }
    if outcome.is_none() {
        found.push(Violation::lost("I1", format!("submission {number}, run {again:?}, has not ended")));
    }
}

/// I4: what the run says and what happened agree.
fn effects(seed: u64, submission: &Submission, books: &Books<'_>, found: &mut Vec<Violation>) {
    let key = workload::key(submission.number);
    let expected = workload::SHAPES[workload::shape(seed, submission.number)].expected(&key);
    for workload::Expected { label, rule } in &expected {
        let count = books.effects(label);
        let most = usize::from(*rule != Rule::Never);
        if count > most {
            found.push(Violation::duplicated("I4", format!("`{label}` happened {count} times")));
        }
        let succeeded = matches!(submission.outcome, Some(Outcome::Succeeded(_)));
        if succeeded && *rule == Rule::Once && count == 0 {
            found.push(Violation::lost("I4", format!("the run of `{label}` succeeded, and it never happened")));
        }
    }
    match &submission.outcome {
        Some(Outcome::Succeeded(output)) => {
            let wanted = expected.iter().filter(|expected| expected.rule == Rule::Once);
            let wanted = wanted.map(|expected| expected.label.as_str()).collect();
            receipts(&key, &output.value(), wanted, books, found);
        }
        Some(Outcome::Failed { task, failure }) => {
            let label = workload::label_of(&key, task);
            if !HONEST.contains(&failure.class.as_str()) {
                found.push(Violation::wrong(
                    "I1",
                    format!("`{label}` failed for no good reason: {}: {}", failure.class, failure.message),
                ));
            }
            if books.effects(&label) > 0 {
                found.push(Violation::duplicated("I4", format!("`{label}` failed, says its run, and it happened")));
            }
        }
        Some(Outcome::Cancelled { .. }) if workload::cancels(seed, submission.number).is_some() => {}
        Some(Outcome::Cancelled { reason }) => {
            found.push(Violation::wrong("I1", format!("the run of {key} was cancelled, and nobody did: {reason}")));
        }
        None => {}
    }
}

/// The output holds the receipt of everything that happened, and no other.
fn receipts(
    key: &str,
    output: &serde_json::Value,
    mut wanted: BTreeSet<&str>,
    books: &Books<'_>,
    found: &mut Vec<Violation>,
) {
    let mut given = Vec::new();
    collect(output, &mut given);
    for (label, receipt) in given {
        let entries = books.labels.get(label.as_str()).map_or(&[][..], Vec::as_slice);
        if !entries.iter().any(|entry| entry.effect == Some(receipt)) {
            found.push(Violation::wrong(
                "I4",
                format!("the output of {key} holds receipt {receipt} for `{label}`, which nobody gave"),
            ));
        }
        if !wanted.remove(label.as_str()) {
            found.push(Violation::duplicated(
                "I4",
                format!("the output of {key} holds `{label}`, which is not wanted, or twice"),
            ));
        }
    }
    for label in wanted {
        found.push(Violation::lost("I4", format!("the output of {key} lacks the result of `{label}`")));
    }
}

/// Every receipt inside a document.
fn collect(value: &serde_json::Value, given: &mut Vec<(String, u64)>) {
    match value {
        serde_json::Value::Object(map) => match (map.get("label"), map.get("receipt")) {
            (Some(serde_json::Value::String(label)), Some(receipt)) => {
                given.push((label.clone(), receipt.as_u64().unwrap_or(0)));
            }
            _ => map.values().for_each(|value| collect(value, given)),
        },
        serde_json::Value::Array(list) => list.iter().for_each(|value| collect(value, given)),
        _ => {}
    }
}

/// I4: within one life a key is used once, and once more for every answer that was lost; a key of a tool without memory
/// is used once at all.
fn keys(books: &Books<'_>, found: &mut Vec<Violation>) {
    for (key, entries) in &books.keys {
        let label = &entries[0].call.label;
        let mut lives: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
        for entry in entries {
            let (calls, lost) = lives.entry(entry.call.life).or_default();
            *calls += 1;
            *lost += usize::from(entry.answer == Answer::Lost || entry.call.deaf || is_timed(&entry.call));
        }
        let is_memoryless = entries[0].call.tool == "once" && entries.len() > 1;
        if is_memoryless || lives.values().any(|(calls, lost)| *calls > 1 + lost) {
            let what = format!("`{label}` was called too often with key {key:.8}: {}", told(entries));
            found.push(Violation::duplicated("I4", what));
        }
        if entries.iter().any(|entry| entry.call.label != *label) {
            found.push(Violation::wrong("I4", format!("key {key} was used for `{label}` and for something else")));
        }
    }
}

/// Whoever waits only for a short time may miss any answer on a busy machine.
fn is_timed(call: &Call) -> bool {
    call.tool == "slow"
}

/// The calls with one key, in the order of the books.
fn told(entries: &[&Entry]) -> String {
    let tell = |Entry { call, answer, .. }: &Entry| {
        let answer = match answer {
            Answer::Late(_) => "answered late",
            Answer::Done(_) if call.deaf => "done, and the caller broke down",
            Answer::Done(_) => "done",
            Answer::Refused => "refused",
            Answer::Lost => "answer lost",
        };
        format!("{} attempt {} in life {} ({answer})", call.call, call.attempt, call.life)
    };
    entries.iter().map(|entry| tell(entry)).collect::<Vec<_>>().join(", ")
}

/// A call's id belongs to one key for ever, and every life has a fencing token above the one before.
fn ids(entries: &[Entry], found: &mut Vec<Violation>) {
    let mut calls: BTreeMap<&str, &str> = BTreeMap::new();
    let mut epochs: BTreeMap<u32, u64> = BTreeMap::new();
    for Entry { call, .. } in entries {
        let first = calls.entry(&call.call).or_insert(&call.key);
        if *first != call.key {
            found.push(Violation::wrong(
                "I4",
                format!("{} had key {first} and later {} (`{}`)", call.call, call.key, call.label),
            ));
        }
        let first = epochs.entry(call.life).or_insert(call.epoch);
        if *first != call.epoch {
            found.push(Violation::wrong(
                "I5",
                format!("life {} had the fencing tokens {first} and {}", call.life, call.epoch),
            ));
        }
    }
    for ((former, low), (later, high)) in epochs.iter().zip(epochs.iter().skip(1)) {
        if low >= high {
            found.push(Violation::wrong(
                "I5",
                format!("life {former} had the fencing token {low}, life {later} has {high}"),
            ));
        }
    }
}

/// I6: nothing happened for a run that the store does not know.
fn intents(facts: &Facts, found: &mut Vec<Violation>) {
    let known = facts.submissions.iter().map(|submission| workload::key(submission.number));
    let known: BTreeSet<_> = known.collect();
    let labels = facts.entries.iter().filter_map(|entry| entry.call.label.split('/').next());
    for stranger in labels.filter(|key| !known.contains(*key)).collect::<BTreeSet<_>>() {
        found.push(Violation::wrong("I6", format!("something happened for {stranger}, which nobody submitted")));
    }
    for submission in facts.submissions.iter().filter(|submission| submission.found.is_none()) {
        let before = |entry: &&Entry| entry.call.label.starts_with(&format!("{}/", workload::key(submission.number)));
        if let Some(entry) = facts.entries.iter().filter(before).find(|entry| entry.call.life <= facts.kills) {
            found.push(Violation::wrong(
                "I6",
                format!("`{}` happened, and no recovery knows of its run", entry.call.label),
            ));
        }
    }
}

/// A fault that never struck proves nothing: with enough calls, each must have.
fn struck(entries: &[Entry], found: &mut Vec<Violation>) {
    if entries.len() < CALLS_ENOUGH {
        return;
    }
    type Is = fn(&Entry) -> bool;
    let faults: [(&str, Is); 5] = [
        ("a refusal", |entry| entry.answer == Answer::Refused),
        ("a lost answer", |entry| entry.answer == Answer::Lost),
        ("a late answer", |entry| matches!(entry.answer, Answer::Late(_))),
        ("a caller that broke down", |entry| entry.call.deaf),
        ("a repeat after a crash", |entry| entry.effect.is_none() && matches!(entry.answer, Answer::Done(_))),
    ];
    for (name, is_it) in faults {
        if !entries.iter().any(is_it) {
            found.push(Violation::wrong("suite", format!("in {} calls there was never {name}", entries.len())));
        }
    }
}
