//! Runs that die around every commit: the crash points of the protocol, on the memory store.

mod bytes;
mod deadline;
mod fallback;
mod fan_out;
mod later;
mod sleep;
mod verify;
mod waits;

use serde_json::json;

use crate::{
    durable::Effect,
    json::Json,
    plan::Plan,
    run::Outcome,
    testing::{Fake, World},
};

/// Two phases: one that is parallel, fans out and retries, and one that is sequential.
fn story(effect: Effect) -> World {
    let plan = Plan::builder("crash")
        .phase("first", |phase| {
            phase.max_parallel(2).task("fan", "books", |task| task.for_each(json!([1, 2, 3]))).task(
                "flaky",
                "flaky",
                |task| task.retry(3),
            )
        })
        .phase("second", |phase| {
            phase.sequential().task("charge", "bank", |task| task.effect(effect)).task("note", "books", |task| task)
        });
    World::with_plan(plan.build())
        .tool("books", Fake::works(Effect::IDEMPOTENT))
        .tool("flaky", Fake::fails_once(Effect::IDEMPOTENT))
        .tool("bank", Fake::works(effect))
}

fn succeeded(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Succeeded(_))
}

#[test]
fn an_idempotent_effect_happens_once_wherever_the_process_dies() {
    for ending in story(Effect::IDEMPOTENT).dying_around_every_commit() {
        assert!(succeeded(&ending.outcome), "{}: {:?}", ending.death, ending.outcome);
        assert_eq!((ending.effects("bank"), ending.effects("books")), (1, 4), "{}", ending.death);
    }
}

#[test]
fn an_at_most_once_call_is_never_repeated_wherever_the_process_dies() {
    for ending in story(Effect::AtMostOnce).dying_around_every_commit() {
        assert!(ending.invocations("bank") <= 1, "{}", ending.death);
        // A person who looks into the books settles what is in doubt; what did not happen fails the run.
        assert_eq!(succeeded(&ending.outcome), ending.effects("bank") == 1, "{}", ending.death);
    }
}

/// Every pair of deaths that both strike. It once counted 20,000, half of which were the first death alone, told again: the
/// recovery was over before the second could strike. More pairs are told `at_scale`.
#[test]
fn a_second_death_in_recovery_changes_nothing() {
    let mut twice = 0;
    for story in [story(Effect::IDEMPOTENT), story(Effect::IDEMPOTENT).synced_eagerly()] {
        for ending in story.dying_twice() {
            assert!(succeeded(&ending.outcome), "{}: {:?}", ending.death, ending.outcome);
            assert_eq!((ending.effects("bank"), ending.effects("books")), (1, 4), "{}", ending.death);
            assert!(ending.deaths >= 1, "{}", ending.death);
            twice += u32::from(ending.deaths == 2);
        }
    }
    assert!(twice >= 10_000, "only {twice} pairs of deaths");
}

#[test]
fn nothing_is_lost_when_every_message_reaches_the_disk_before_it_is_taken() {
    for ending in story(Effect::AtMostOnce).synced_eagerly().dying_around_every_commit() {
        assert!(ending.invocations("bank") <= 1, "{}", ending.death);
        assert_eq!(succeeded(&ending.outcome), ending.effects("bank") == 1, "{}", ending.death);
    }
    for cancel_after in 2..12 {
        let story = story(Effect::IDEMPOTENT).synced_eagerly().cancelled_after(cancel_after);
        for ending in story.dying_around_every_commit() {
            assert!(!matches!(ending.outcome, Outcome::Failed { .. }), "{}: {:?}", ending.death, ending.outcome);
        }
    }
}

#[test]
fn a_lost_answer_repeats_under_the_same_key() {
    let plan = Plan::builder("lost").phase("only", |phase| phase.task("charge", "bank", |task| task.retry(3)));
    let story = World::with_plan(plan.build()).tool("bank", Fake::loses_an_answer(Effect::IDEMPOTENT));
    for ending in story.dying_around_every_commit() {
        assert!(succeeded(&ending.outcome), "{}: {:?}", ending.death, ending.outcome);
        assert_eq!(ending.effects("bank"), 1, "{}", ending.death);
    }
}

/// A refusal once raised the generation although the attempt before it, with the same key, may have had its effect: the
/// attempt after it had a new key, and so a second effect.
#[test]
fn a_refusal_after_an_attempt_of_which_nobody_knows_is_no_proof_and_keeps_the_key() {
    let plan = Plan::builder("lost").phase("only", |phase| phase.task("charge", "bank", |task| task.retry(5)));
    let story = World::with_plan(plan.build()).tool("bank", Fake::loses_an_answer(Effect::IDEMPOTENT).then_fails(2));
    assert_eq!(story.undisturbed().invocations("bank"), 4);
    for ending in story.dying_around_every_commit() {
        assert!(succeeded(&ending.outcome), "{}: {:?}", ending.death, ending.outcome);
        assert_eq!(ending.effects("bank"), 1, "{}", ending.death);
    }
    let plan = Plan::builder("lost").phase("only", |phase| phase.task("charge", "bank", |task| task.retry(2)));
    let ending = World::with_plan(plan.build())
        .tool("bank", Fake::loses_an_answer(Effect::IDEMPOTENT).then_fails(2))
        .undisturbed();
    assert!(matches!(ending.outcome, Outcome::Failed { .. }), "what it said last: {:?}", ending.outcome);
}

#[test]
fn a_call_that_a_rule_repeats_is_repeated_only_so_often_and_then_held() {
    let charge = |task: crate::plan::TaskBuilder| task.in_doubt(crate::plan::InDoubt::Repeat).retry(3);
    let plan = Plan::builder("repeat").phase("only", |phase| phase.task("charge", "bank", charge));
    let ending =
        World::with_plan(plan.build()).tool("bank", Fake::loses_answers(Effect::AtMostOnce, 100)).undisturbed();
    // Three attempts under one key; then a person looked into the books.
    assert_eq!((ending.invocations("bank"), ending.effects("bank")), (3, 1));
    assert!(succeeded(&ending.outcome), "{:?}", ending.outcome);
}

#[test]
fn a_cancelled_run_ends_wherever_the_process_dies() {
    for cancel_after in 2..12 {
        let story = story(Effect::IDEMPOTENT).cancelled_after(cancel_after);
        for ending in story.dying_around_every_commit() {
            assert!(!matches!(ending.outcome, Outcome::Failed { .. }), "{}: {:?}", ending.death, ending.outcome);
        }
    }
}

/// It once ended as failed, because the decision said that its call had.
#[test]
fn a_cancelled_run_whose_call_in_doubt_was_not_made_ends_as_cancelled() {
    let mut decided = 0;
    for cancel_after in 2..=6 {
        let plan = Plan::builder("doubt").phase("only", |phase| phase.task("charge", "bank", |task| task));
        let bank = Fake::loses_requests(Effect::AtMostOnce, 100);
        let story = World::with_plan(plan.build()).tool("bank", bank).synced_eagerly().cancelled_after(cancel_after);
        let ending = story.undisturbed();
        assert!(matches!(ending.outcome, Outcome::Cancelled { .. }), "{cancel_after}: {:?}", ending.outcome);
        decided += ending.decisions();
        for ending in story.dying_around_every_commit() {
            // Whose cancel is lost goes on, and fails.
            assert!(!succeeded(&ending.outcome), "{} {cancel_after}: {:?}", ending.death, ending.outcome);
        }
    }
    assert!(decided > 0, "some of these cancels come while the call is under way");
}

/// A person who decided that a call is repeated once got it, although its run had been cancelled.
#[test]
fn a_repeat_that_a_person_decides_makes_no_call_for_a_run_that_is_cancelled() {
    let mut decided = 0;
    for cancel_after in 2..=6 {
        let plan = Plan::builder("doubt").phase("only", |phase| phase.task("charge", "bank", |task| task));
        let bank = Fake::loses_requests(Effect::AtMostOnce, 100);
        let story = World::with_plan(plan.build()).tool("bank", bank).synced_eagerly();
        let story = story.cancelled_after(cancel_after).repeated_by_decision(2);
        decided += u32::from(story.undisturbed().decisions() == 3);
        let endings = std::iter::once(story.undisturbed()).chain(story.dying_around_every_commit());
        for ending in endings.filter(|ending| matches!(ending.outcome, Outcome::Cancelled { .. })) {
            assert!(ending.invocations("bank") <= 1, "{} {cancel_after}", ending.death);
        }
    }
    assert!(decided > 0, "some of these cancels come while the call is under way, and it is held again twice");
}

#[test]
fn a_failed_task_fails_its_run_and_an_optional_one_does_not() {
    let plan = |optional: bool| {
        let task = move |task: crate::plan::TaskBuilder| task.set_optional(optional);
        Plan::builder("fail").phase("only", |phase| phase.task("flaky", "flaky", task)).build()
    };
    let story = |optional| World::with_plan(plan(optional)).tool("flaky", Fake::fails_once(Effect::IDEMPOTENT));
    assert!(matches!(story(false).undisturbed().outcome, Outcome::Failed { task, .. } if task == "only/flaky"));
    assert!(succeeded(&story(true).undisturbed().outcome));
}

/// Two items at a time, of five.
fn windows(input: &Json) -> Json {
    let from = input.value()["from"].as_u64().expect("a phase says from where");
    let items: Vec<_> = (from..(from + 2).min(5)).collect();
    Json::from(json!({ "items": items, "total": 5 }))
}

#[test]
fn a_fan_out_over_an_artifact_takes_each_item_once_wherever_the_process_dies() {
    let data = json!({ "$artifact": "sha256:00", "bytes": 1 });
    let fan = |task: crate::plan::TaskBuilder| task.for_each(data);
    let plan = Plan::builder("windows").phase("only", |phase| phase.max_parallel(2).task("fan", "bank", fan));
    let story = World::with_plan(plan.build())
        .tool("bank", Fake::works(Effect::IDEMPOTENT))
        .tool("items", Fake::answers(Effect::IDEMPOTENT, windows))
        .synced_eagerly();
    for ending in story.dying_around_every_commit() {
        assert!(succeeded(&ending.outcome), "{}: {:?}", ending.death, ending.outcome);
        assert_eq!((ending.effects("bank"), ending.effects("items")), (5, 3), "{}", ending.death);
    }
}

#[test]
fn a_run_that_loses_any_message_ends_or_is_held_where_everyone_can_see_it() {
    for turn in 1..40 {
        story(Effect::IDEMPOTENT).poisoned_at(turn).comes_to_an_end_or_is_held();
    }
}

#[test]
fn rows_and_what_came_since_give_what_all_records_give_wherever_the_process_dies() {
    let (mut tellings, mut evicted) = (0, 0);
    for every in 1..=4 {
        for story in [story(Effect::IDEMPOTENT), story(Effect::IDEMPOTENT).synced_eagerly()] {
            for ending in story.checkpointed_every(every).dying_around_every_commit() {
                assert!(succeeded(&ending.outcome), "{}: {:?}", ending.death, ending.outcome);
                assert_eq!((ending.effects("bank"), ending.effects("books")), (1, 4), "{}", ending.death);
                tellings += 1;
                evicted += ending.evicted;
            }
        }
    }
    assert!(tellings > 500 && evicted > 1_000, "{tellings} tellings, and {evicted} rows left memory");
}

#[test]
fn a_second_death_while_rows_are_written_changes_nothing() {
    let story = story(Effect::AtMostOnce).synced_eagerly().checkpointed_every(2);
    for ending in story.dying_twice() {
        assert!(ending.invocations("bank") <= 1, "{}", ending.death);
        assert_eq!(succeeded(&ending.outcome), ending.effects("bank") == 1, "{}", ending.death);
    }
}
