//! The oracle sees what it is there to see: of each invariant a history that breaks that one, and no other.

use headframe::{durable::Failure, json::Json};
use serde_json::{Map, Value, json};

use super::{
    Invariant::{I1, I4, I5, I6, Suite},
    faults::CALLS_ENOUGH,
    *,
};
use crate::{
    recorder::{Answer, Call, Receipt},
    workload::{self, Rule},
};

const SEED: u64 = 7;

#[test]
fn a_run_that_did_everything_once_is_fine() {
    let findings = judge(&facts(1));
    assert_eq!(findings.violations, []);
    assert!(
        Invariant::ALL
            .into_iter()
            .filter(|invariant| *invariant != Suite && invariant.nothing_to_test_yet().is_none())
            .all(|invariant| findings.times(invariant) > 0)
    );
}

#[test]
fn a_run_without_an_end_is_seen() {
    let mut facts = facts(1);
    facts.submissions[0].outcome = None;
    assert_eq!(broken(&facts), [I1]);
}

#[test]
fn a_lost_run_is_seen() {
    let mut facts = facts(1);
    facts.submissions[0].found = None;
    assert_eq!(broken(&facts), [I5, I6]);
    facts.submissions[0].outcome = None;
    assert_eq!(broken(&facts), [I5, I1, I6]);
}

#[test]
fn an_acknowledgement_that_was_not_durable_is_seen() {
    let mut facts = facts(1);
    facts.entries.clear();
    facts.submissions[0].outcome =
        Some(Outcome::Failed { task: "no/where".to_owned(), failure: Failure::new("decided", "") });
    facts.submissions[0].found = None;
    assert_eq!(broken(&facts), [I5]);
}

#[test]
fn a_second_effect_under_another_key_is_seen() {
    let mut facts = facts(1);
    let mut again = facts.entries[0].clone();
    again.call.key = "another".to_owned();
    again.call.call = "call_99".to_owned();
    facts.entries.push(again);
    intend(&mut facts);
    assert_eq!(broken(&facts), [I4]);
}

#[test]
fn an_effect_that_never_happened_is_seen() {
    let mut facts = facts(1);
    facts.entries.remove(0);
    // Nothing happened, and the receipt in the output is nobody's.
    assert_eq!(broken(&facts), [I4, I4]);
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
    assert_eq!(judge(&facts).violations.is_empty(), is_fair);
    facts.entries.push(repeat);
    assert!(broken(&facts).contains(&I4));
}

#[test]
fn a_failure_without_a_reason_is_seen() {
    let mut facts = facts(1);
    let failure =
        |class: &str| Some(Outcome::Failed { task: "no/where".to_owned(), failure: Failure::new(class, "because") });
    facts.submissions[0].outcome = failure("decided");
    assert_eq!(judge(&facts).violations, []);
    facts.submissions[0].outcome = failure("poisoned");
    assert_eq!(broken(&facts), [I1]);
}

/// A victim that calls before its intent is durable, and dies, leaves a call in the books and nothing in the ledger.
#[test]
fn a_call_without_an_intent_is_seen_and_so_is_one_that_was_intended_later() {
    let mut facts = facts(1);
    let (call, at_ms) = (facts.entries[0].call.call.clone(), facts.entries[0].at_ms);
    facts.told.intents.insert(call.clone(), at_ms + 60_000);
    assert_eq!(broken(&facts), [I6]);
    facts.told.intents.remove(&call);
    assert_eq!(broken(&facts), [I6]);
    let violation = judge(&facts).violations.remove(0);
    assert_eq!((violation.call, violation.run), (Some(call), Some("run_1".to_owned())));
    assert!(violation.evidence[0].contains("in life 1"));
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
    intend(&mut facts);
    assert_eq!(broken(&facts), [Suite; 5]);
}

#[test]
fn an_invariant_that_was_never_put_to_the_test_is_told() {
    let mut facts = facts(1);
    facts.findings = Findings::default();
    let never = judge(&facts).never_tested();
    assert_eq!(never, [Invariant::I2, Invariant::I3, Invariant::I7, Invariant::I8, Invariant::I12, Suite]);
    assert_eq!(broken(&facts), []);
    let mut findings = judge(&facts);
    faults::put_to_the_test(CALLS_ENOUGH, &mut findings);
    assert_eq!(findings.violations.len(), 5, "with enough calls that is a failure of the suite");
}

#[test]
fn a_fencing_token_that_comes_back_is_seen() {
    let mut facts = facts(2);
    for entry in facts.entries.iter_mut().filter(|entry| entry.call.label.starts_with("k2/")) {
        entry.call.life = 2;
    }
    assert_eq!(broken(&facts), [I5]);
}

fn broken(facts: &Facts) -> Vec<Invariant> {
    judge(facts).violations.iter().map(|violation| violation.invariant).collect()
}

/// Runs 1 to `count`, each with everything done once, and every check done once.
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
    Invariant::ALL
        .into_iter()
        .filter(|invariant| *invariant != Suite && invariant.nothing_to_test_yet().is_none())
        .for_each(|invariant| facts.findings.tested(invariant, 1));
    intend(&mut facts);
    facts
}

/// The ledger holds an intent of every call in the books.
fn intend(facts: &mut Facts) {
    facts.told.is_whole = true;
    facts.told.intents = facts.entries.iter().map(|entry| (entry.call.call.clone(), entry.at_ms - 1)).collect();
}

fn entry(label: &str, number: u64) -> Entry {
    let (tool, label) = ("idem".to_owned(), label.to_owned());
    let receipt = Receipt { receipt: number, label: label.clone(), tool: tool.clone() };
    let (key, call) = (format!("key of {label}"), format!("call_{number}"));
    let call = Call { tool, key, call, label, attempt: 1, life: 1, epoch: 1, deaf: false };
    Entry { call, answer: Answer::Done(receipt), effect: Some(number), at_ms: 1_000 + number }
}
