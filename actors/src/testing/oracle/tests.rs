//! The oracle sees what it is there to see: of each invariant a history that breaks that one, and no other.

use serde_json::{Map, Value, json};

use super::{
    Invariant::{I1, I4, I5, I6},
    *,
};
use crate::{durable::Failure, json::Json, run::Outcome};

type Spoil = fn(&mut History);

#[test]
fn a_run_that_did_everything_once_is_fine() {
    let findings = check(&sound());
    assert_eq!(findings.violations, []);
    assert_eq!([I1, I4, I5, I6].map(|invariant| findings.times(invariant)), [2, 4, 2, 4]);
    assert_eq!(
        findings.never_tested(),
        [Invariant::I2, Invariant::I3, Invariant::I7, Invariant::I8, Invariant::I12, Invariant::Suite]
    );
}

#[test]
fn each_broken_promise_is_seen_and_no_other() {
    let spoiled: [(&str, Spoil, &[Invariant]); 13] = [
        ("no end", |history| history.submissions[0].outcome = None, &[I1]),
        ("no recovery knows its run", |history| history.submissions[0].found = None, &[I5, I6]),
        ("another run under its key", |history| history.submissions[0].again = Some("run_9".to_owned()), &[I5]),
        ("a second effect under another key", second_effect, &[I4]),
        ("an effect that never happened", |history| drop(history.entries.remove(0)), &[I4, I4]),
        ("a receipt that nobody gave", |history| history.entries[0].effect = Some(99), &[I4]),
        ("a failure without a reason", |history| history.submissions[1].outcome = failed("k2/no", "lost"), &[I1]),
        ("a failure of what happened", |history| history.submissions[1].outcome = failed("a/one", "refused"), &[I4]),
        ("a cancel that nobody asked for", cancelled, &[I1]),
        ("an intent from afterwards", |history| *history.told.intents.get_mut("call_1").unwrap() += 60_000, &[I6]),
        ("no intent", |history| history.told.intents.retain(|call, _| call != "call_1"), &[I6]),
        (
            "a key that may be used once, and was used twice",
            |history| history.entries[1].call.key = "key 1".to_owned(),
            &[I4, I4],
        ),
        ("a fencing token that comes back", |history| history.entries[3].call.life = 2, &[I5]),
    ];
    for (what, spoil, wanted) in spoiled {
        let mut history = sound();
        spoil(&mut history);
        let findings = check(&history);
        let broken: Vec<_> = findings.violations.iter().map(|violation| violation.invariant).collect();
        assert_eq!(broken, wanted, "{what}: {findings}");
    }
}

#[test]
fn a_violation_names_its_run_and_shows_the_books() {
    let mut history = sound();
    history.told.intents.remove("call_1");
    let violation = check(&history).violations.remove(0);
    assert_eq!((violation.call.as_deref(), violation.run.as_deref()), (Some("call_1"), Some("run_1")));
    assert!(violation.evidence[0].contains("in life 1"));
    assert!(violation.to_string().starts_with("  I6 `k1/a/one` was called as call_1"));
}

/// A rule that repeats what is in doubt may make it happen twice, and whoever declared the rule wanted that.
#[test]
fn what_may_happen_any_number_of_times_is_not_judged() {
    let mut history = sound();
    second_effect(&mut history);
    history.submissions[0].expected.labels.insert("k1/a/one".to_owned(), Rule::Any);
    history.submissions[0].outcome = Some(Outcome::Succeeded(Json::NULL));
    history.submissions[0].expected.labels.insert("k1/a/two".to_owned(), Rule::Once);
    assert_eq!(check(&history).violations, []);
}

fn second_effect(history: &mut History) {
    let mut again = history.entries[0].clone();
    (again.call.key, again.call.call) = ("another".to_owned(), "call_99".to_owned());
    history.told.intents.insert("call_99".to_owned(), 1_000);
    history.entries.push(again);
}

fn failed(task: &str, class: &str) -> Option<Outcome> {
    Some(Outcome::Failed { task: task.to_owned(), failure: Failure::new(class, "because") })
}

fn cancelled(history: &mut History) {
    history.submissions[1].outcome = Some(Outcome::Cancelled { reason: "a whim".to_owned() });
}

/// Two runs, each with everything done once.
fn sound() -> History {
    let mut history = History { deaths: 1, ..History::default() };
    history.told.is_whole = true;
    for number in 1..=2 {
        let prefix = format!("k{number}");
        let mut expected =
            Expected { prefix: prefix.clone(), failures: Some(vec!["refused".to_owned()]), ..Expected::default() };
        let mut output = Map::new();
        for task in ["one", "two"] {
            let label = format!("{prefix}/a/{task}");
            let receipt = history.entries.len() as u64 + 1;
            let call = format!("call_{receipt}");
            output.insert(label.clone(), json!({ "label": &label, "receipt": receipt }));
            expected.labels.insert(label.clone(), Rule::Receipt);
            history.told.intents.insert(call.clone(), 999 + receipt);
            history.entries.push(entry(&label, call, receipt));
        }
        let run = Some(format!("run_{number}"));
        let outcome = Some(Outcome::Succeeded(Json::from(Value::Object(output))));
        let (acknowledged, found, again) = (run.clone(), run.clone(), run);
        history.submissions.push(Submission { number, acknowledged, found, again, outcome, expected });
    }
    history
}

fn entry(label: &str, call: String, receipt: u64) -> Entry {
    let (tool, key) = ("idem".to_owned(), format!("key {receipt}"));
    let (label, only_once) = (label.to_owned(), receipt == 1);
    let (may_be_unheard, attempt, life, epoch) = (false, 1, 1, 1);
    let call = Call { tool, key, call, label, attempt, life, epoch, may_be_unheard, only_once };
    Entry { call, answer: Answer::Done, effect: Some(receipt), at_ms: 1_000 + receipt }
}
