//! The oracle sees what it is there to see.

use headframe::{durable::Failure, json::Json};
use serde_json::{Map, Value, json};

use super::*;
use crate::recorder::Receipt;

const SEED: u64 = 7;

#[test]
fn a_run_that_did_everything_once_is_fine() {
    assert_eq!(judge(&facts(1)), []);
}

#[test]
fn a_lost_run_is_seen() {
    let mut facts = facts(1);
    facts.submissions[0].found = None;
    assert_eq!(rules(&facts), ["I5", "I6"]);
    facts.submissions[0].outcome = None;
    assert_eq!(rules(&facts), ["I5", "I1", "I6"]);
}

#[test]
fn a_second_effect_under_another_key_is_seen() {
    let mut facts = facts(1);
    let mut again = facts.entries[0].clone();
    again.call.key = "another".to_owned();
    again.call.call = "call_99".to_owned();
    facts.entries.push(again);
    assert_eq!(rules(&facts), ["I4"]);
}

#[test]
fn an_effect_that_never_happened_is_seen() {
    let mut facts = facts(1);
    facts.entries.remove(0);
    // Nothing happened, and the receipt in the output is nobody's.
    assert_eq!(rules(&facts), ["I4", "I4"]);
}

#[test]
fn a_repeat_is_fair_after_a_crash_and_not_within_a_life() {
    let mut facts = facts(1);
    let mut repeat = facts.entries[0].clone();
    repeat.effect = None;
    repeat.call.life = 2;
    repeat.call.epoch = 2;
    facts.entries.push(repeat.clone());
    let is_fair = facts.entries[0].call.tool != "once";
    assert_eq!(judge(&facts).is_empty(), is_fair);
    facts.entries.push(repeat);
    assert!(rules(&facts).contains(&"I4"));
}

#[test]
fn a_failure_without_a_reason_is_seen() {
    let mut facts = facts(1);
    let failure =
        |class: &str| Some(Outcome::Failed { task: "no/where".to_owned(), failure: Failure::new(class, "because") });
    facts.submissions[0].outcome = failure("decided");
    assert_eq!(judge(&facts), []);
    facts.submissions[0].outcome = failure("poisoned");
    assert_eq!(rules(&facts), ["I1"]);
}

#[test]
fn a_fault_that_never_struck_is_told() {
    let mut facts = facts(1);
    let calm = facts.entries[0].clone();
    for number in 0..CALLS_ENOUGH {
        let mut entry = calm.clone();
        (entry.call.key, entry.call.call) = (number.to_string(), number.to_string());
        entry.call.label = format!("k1/none/{number}");
        facts.entries.push(entry);
    }
    assert_eq!(rules(&facts), ["suite"; 5]);
}

#[test]
fn a_fencing_token_that_comes_back_is_seen() {
    let mut facts = facts(2);
    for entry in facts.entries.iter_mut().filter(|entry| entry.call.label.starts_with("k2/")) {
        entry.call.life = 2;
    }
    assert_eq!(rules(&facts), ["I5"]);
}

fn rules(facts: &Facts) -> Vec<&'static str> {
    judge(facts).iter().map(|violation| violation.rule).collect()
}

/// Runs 1 to `count`, each with everything done once.
fn facts(count: u64) -> Facts {
    let mut facts = Facts { seed: SEED, kills: 1, ..Facts::default() };
    for number in 1..=count {
        let key = workload::key(number);
        let mut output = Map::new();
        let expected = workload::SHAPES[workload::shape(SEED, number)].expected(&key);
        for expected in expected.iter().filter(|expected| expected.rule == Rule::Once) {
            let entry = entry(&expected.label, facts.entries.len() as u64 + 1);
            if let Answer::Done(receipt) = &entry.answer {
                output.insert(expected.label.clone(), json!(receipt));
            }
            facts.entries.push(entry);
        }
        let run = Some(format!("run_{number}"));
        let outcome = Some(Outcome::Succeeded(Json::from(Value::Object(output))));
        let (acknowledged, found, again) = (run.clone(), run.clone(), run);
        facts.submissions.push(Submission { number, acknowledged, found, again, outcome });
    }
    facts
}

fn entry(label: &str, number: u64) -> Entry {
    let (tool, label) = ("idem".to_owned(), label.to_owned());
    let receipt = Receipt { receipt: number, label: label.clone(), tool: tool.clone() };
    let (key, call) = (format!("key of {label}"), format!("call_{number}"));
    let call = Call { tool, key, call, label, attempt: 1, life: 1, epoch: 1, deaf: false };
    Entry { call, answer: Answer::Done(receipt), effect: Some(number) }
}
