//! Calls whose effect is verified, and what becomes of calls in doubt: the tool of these stories honours no keys.

use super::*;
use crate::plan::{InDoubt, TaskBuilder};

fn charge(bank: Fake, task: impl Fn(TaskBuilder) -> TaskBuilder) -> World {
    let plan = Plan::builder("charge").phase("only", |phase| phase.task("charge", "bank", task));
    World::with_plan(plan.build()).tool("bank", bank)
}

#[test]
fn a_verified_effect_happens_once_wherever_the_process_dies() {
    for story in [story(Effect::VERIFY), story(Effect::VERIFY).synced_eagerly()] {
        let keys = story.undisturbed().keys("bank");
        for ending in story.dying_around_every_commit() {
            assert!(succeeded(&ending.outcome), "{}: {:?}", ending.death, ending.outcome);
            assert_eq!((ending.acts("bank"), ending.decisions()), (1, 0), "{}", ending.death);
            assert_eq!(ending.keys("bank"), keys, "it is made again with the same key: {}", ending.death);
        }
    }
}

#[test]
fn a_run_without_a_crash_asks_no_probe() {
    assert_eq!(story(Effect::VERIFY).undisturbed().probes("bank"), 0);
}

/// With one attempt: a crash takes none away.
#[test]
fn a_verified_effect_whose_answer_was_lost_happens_once_wherever_the_process_dies_twice() {
    for bank in [Fake::loses_an_answer(Effect::VERIFY), Fake::works(Effect::VERIFY)] {
        for ending in charge(bank.with_blind_probes(2), |task| task).synced_eagerly().dying_twice() {
            assert!(succeeded(&ending.outcome), "{}: {:?}", ending.death, ending.outcome);
            assert_eq!((ending.acts("bank"), ending.decisions()), (1, 0), "{}", ending.death);
        }
    }
}

#[test]
fn what_a_probe_is_sure_did_not_happen_fails_and_is_tried_again_under_a_new_key() {
    let story = |attempts| charge(Fake::loses_requests(Effect::VERIFY, 1), move |task| task.retry(attempts));
    assert!(matches!(story(1).undisturbed().outcome, Outcome::Failed { .. }), "it has one attempt");
    for ending in story(2).dying_around_every_commit() {
        assert!(succeeded(&ending.outcome), "{}: {:?}", ending.death, ending.outcome);
        assert_eq!((ending.acts("bank"), ending.decisions()), (1, 0), "{}", ending.death);
    }
}

#[test]
fn a_probe_that_cannot_tell_leaves_the_call_in_doubt_and_it_is_never_made_again() {
    for bank in [Fake::works(Effect::VERIFY), Fake::loses_an_answer(Effect::VERIFY)] {
        let story = charge(bank.with_blind_probes(1_000), |task| task.retry(5)).synced_eagerly();
        for ending in story.dying_around_every_commit() {
            assert!(ending.invocations("bank") <= 1, "{}", ending.death);
            // A person who looks into the books settles what is in doubt; what did not happen fails the run.
            assert_eq!(succeeded(&ending.outcome), ending.acts("bank") == 1, "{}", ending.death);
        }
    }
}

#[test]
fn a_cancelled_run_ends_with_its_verified_call_made_once_at_most() {
    for cancel_after in 2..8 {
        let bank = Fake::loses_an_answer(Effect::VERIFY).with_blind_probes(1);
        let story = charge(bank, |task| task.retry(3)).synced_eagerly().cancelled_after(cancel_after);
        for ending in story.dying_around_every_commit() {
            assert!(ending.acts("bank") <= 1 && ending.decisions() == 0, "{}", ending.death);
            assert!(!matches!(ending.outcome, Outcome::Failed { .. }), "{}: {:?}", ending.death, ending.outcome);
        }
    }
}

/// Invocations, decisions by a person, and whether the run succeeded, when nobody ever learns what happened.
fn in_doubt(effect: Effect, rule: InDoubt) -> (u32, u32, bool) {
    let bank = Fake::loses_answers(effect, 1_000).with_blind_probes(1_000);
    let ending = charge(bank, |task| task.in_doubt(rule).retry(2)).undisturbed();
    (ending.invocations("bank"), ending.decisions(), succeeded(&ending.outcome))
}

#[test]
fn a_rule_decides_about_a_call_in_doubt_whatever_its_guarantee() {
    for once in [Effect::AtMostOnce, Effect::VERIFY] {
        assert_eq!(in_doubt(once, InDoubt::Hold), (1, 1, true), "{once:?}: a person looked into the books");
        assert_eq!(in_doubt(once, InDoubt::Fail), (1, 0, false), "{once:?}");
        assert_eq!(in_doubt(once, InDoubt::Repeat), (2, 1, true), "{once:?}: as often as it has attempts, then held");
    }
    assert_eq!(in_doubt(Effect::IDEMPOTENT, InDoubt::Hold), (2, 1, true), "its attempts come first");
    assert_eq!(in_doubt(Effect::IDEMPOTENT, InDoubt::Fail), (2, 0, false));
    assert_eq!(in_doubt(Effect::IDEMPOTENT, InDoubt::Repeat), (2, 1, true));
}
