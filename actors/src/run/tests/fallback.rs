//! Tasks that fall back to another tool, and die around every commit of it.

use super::*;
use crate::plan::{InDoubt, TaskBuilder};

/// A charge that falls back to cash, and from there to a note.
fn story(bank: Fake, task: impl Fn(TaskBuilder) -> TaskBuilder) -> World {
    let fallbacks = |task: TaskBuilder| task.fallback("cash", |cash| cash.retry(2)).fallback("books", |books| books);
    let plan = Plan::builder("pay").phase("only", |phase| phase.task("charge", "bank", |it| fallbacks(task(it))));
    World::with_plan(plan.build())
        .tool("bank", bank)
        .tool("cash", Fake::works(Effect::IDEMPOTENT))
        .tool("books", Fake::works(Effect::IDEMPOTENT))
}

fn effects(ending: &crate::testing::Ending) -> [usize; 3] {
    ["bank", "cash", "books"].map(|tool| ending.effects(tool))
}

#[test]
fn a_tool_that_fails_for_good_is_replaced_once_wherever_the_process_dies() {
    let refuses = || Fake::fails(Effect::IDEMPOTENT, 1_000);
    let plain = || story(refuses(), |task| task.retry(2));
    for story in [plain(), plain().synced_eagerly(), plain().checkpointed_every(1), plain().checkpointed_every(3)] {
        let keys = story.undisturbed().keys("cash");
        for ending in story.dying_around_every_commit() {
            assert!(succeeded(&ending.outcome), "{}: {:?}", ending.death, ending.outcome);
            assert_eq!(effects(&ending), [0, 1, 0], "{}", ending.death);
            assert_eq!(ending.keys("cash"), keys, "it is called with a key of its own: {}", ending.death);
        }
    }
}

#[test]
fn a_second_death_while_a_task_falls_back_changes_nothing() {
    for ending in story(Fake::fails(Effect::VERIFY, 1_000), |task| task).dying_twice() {
        assert!(succeeded(&ending.outcome), "{}: {:?}", ending.death, ending.outcome);
        assert_eq!(effects(&ending), [0, 1, 0], "{}", ending.death);
    }
}

#[test]
fn fallbacks_are_called_in_order_each_as_often_as_it_says_and_the_last_failure_counts() {
    let fails = || Fake::fails(Effect::IDEMPOTENT, 1_000);
    let ending = story(fails(), |task| task.retry(3)).tool("cash", fails()).undisturbed();
    assert!(succeeded(&ending.outcome));
    assert_eq!(["bank", "cash", "books"].map(|tool| ending.invocations(tool)), [3, 2, 1]);
    let story = story(fails(), |task| task).tool("cash", fails()).tool("books", fails());
    for ending in story.dying_around_every_commit() {
        assert!(
            matches!(&ending.outcome, Outcome::Failed { failure, .. } if failure.class == "refused"),
            "{}",
            ending.death
        );
        assert_eq!(effects(&ending), [0, 0, 0], "{}", ending.death);
    }
}

#[test]
fn a_failure_that_is_never_tried_again_falls_back_at_once() {
    let ending =
        story(Fake::fails(Effect::IDEMPOTENT, 1_000), |task| task.retry(5).retry_never(["refused"])).undisturbed();
    assert!(succeeded(&ending.outcome));
    assert_eq!((ending.invocations("bank"), ending.lasted_ms), (1, 0));
}

/// Whoever does not know whether the bank was charged must not pay in cash.
#[test]
fn nothing_falls_back_while_nobody_knows_what_the_tool_before_did() {
    for effect in [Effect::IDEMPOTENT, Effect::AtMostOnce, Effect::VERIFY] {
        // The charge happened and its answer is lost; and it did not happen and nobody can tell.
        let happened = || Fake::loses_answers(effect, 1_000).with_blind_probes(1_000);
        let did_not = || Fake::loses_requests(effect, 1_000).with_blind_probes(1_000);
        for (bank, paid) in [(happened(), [1, 0, 0]), (did_not(), [0, 1, 0])] {
            for ending in story(bank, |task| task).synced_eagerly().dying_around_every_commit() {
                // A person looked into the books: what was charged is done, and what surely was not falls back.
                assert!(succeeded(&ending.outcome), "{effect:?} {}: {:?}", ending.death, ending.outcome);
                let paid = if ending.invocations("bank") == 0 { [0, 1, 0] } else { paid };
                assert_eq!(effects(&ending), paid, "{effect:?} {}", ending.death);
                assert!(ending.decisions() > 0, "{effect:?} {}", ending.death);
            }
        }
    }
}

#[test]
fn what_a_rule_counts_as_failed_falls_back() {
    for effect in [Effect::IDEMPOTENT, Effect::AtMostOnce] {
        let ending = story(Fake::loses_requests(effect, 1_000), |task| task.in_doubt(InDoubt::Fail)).undisturbed();
        assert!(succeeded(&ending.outcome));
        assert_eq!((effects(&ending), ending.decisions()), ([0, 1, 0], 0), "{effect:?}");
    }
}

#[test]
fn a_cancelled_task_falls_back_to_nothing() {
    for cancel_after in 2..10 {
        let story = story(Fake::fails(Effect::IDEMPOTENT, 1_000), |task| task).cancelled_after(cancel_after);
        for ending in story.synced_eagerly().dying_around_every_commit() {
            assert!(!matches!(ending.outcome, Outcome::Failed { .. }), "{}: {:?}", ending.death, ending.outcome);
            // A crash may take the answer of a call along, which the cancel then finds not made again.
            assert!(ending.effects("cash") == 1 || !succeeded(&ending.outcome), "{}", ending.death);
            assert_eq!(ending.effects("books"), 0, "{}", ending.death);
        }
    }
}

#[test]
fn every_item_falls_back_for_itself() {
    let fan = |task: TaskBuilder| task.for_each(json!([1, 2, 3])).fallback("cash", |cash| cash);
    let plan = Plan::builder("pay").phase("only", |phase| phase.task("charge", "bank", fan));
    let story = World::with_plan(plan.build())
        .tool("bank", Fake::fails(Effect::IDEMPOTENT, 2))
        .tool("cash", Fake::works(Effect::IDEMPOTENT));
    for ending in story.dying_around_every_commit() {
        assert!(succeeded(&ending.outcome), "{}: {:?}", ending.death, ending.outcome);
        // A crash may take a refusal along, and the bank does not refuse a third time.
        let paid = (ending.effects("bank"), ending.effects("cash"));
        assert!(paid == (1, 2) || paid == (2, 1), "{paid:?} {}", ending.death);
    }
}

#[test]
fn an_optional_task_whose_fallbacks_are_used_up_leaves_its_phase_standing() {
    let fails = || Fake::fails(Effect::IDEMPOTENT, 1_000);
    let story = story(fails(), TaskBuilder::optional).tool("cash", fails()).tool("books", fails());
    for ending in story.dying_around_every_commit() {
        assert!(succeeded(&ending.outcome), "{}: {:?}", ending.death, ending.outcome);
        assert_eq!(effects(&ending), [0, 0, 0], "{}", ending.death);
    }
}

#[test]
fn a_fallback_may_only_let_time_pass() {
    let plan = Plan::builder("wait")
        .phase("only", |phase| phase.task("charge", "bank", |task| task.fallback("sleep", |sleep| sleep)));
    let story = World::with_plan(plan.build())
        .tool("bank", Fake::fails(Effect::IDEMPOTENT, 1_000))
        .tool("sleep", Fake::sleeps(90_000));
    for ending in story.dying_around_every_commit() {
        assert!(succeeded(&ending.outcome), "{}: {:?}", ending.death, ending.outcome);
        assert_eq!((ending.lasted_ms, ending.invocations("sleep")), (90_000, 0), "{}", ending.death);
    }
}

/// What the bank refused the second time is no proof about the first, which may have paid.
#[test]
fn a_refusal_after_an_attempt_of_which_nobody_knows_falls_back_to_nothing() {
    let bank = Fake::loses_an_answer(Effect::IDEMPOTENT).then_fails(1_000);
    for ending in story(bank, |task| task.retry(2)).dying_around_every_commit() {
        assert!(succeeded(&ending.outcome) && ending.decisions() > 0, "{}: {:?}", ending.death, ending.outcome);
        assert_eq!(effects(&ending), [1, 0, 0], "{}", ending.death);
    }
}
