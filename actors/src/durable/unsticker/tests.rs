//! What is stuck and what is not, and how far the cures go.

use super::*;
use crate::durable::call::{Failure, Probing, RowState};

fn actor() -> ActorView {
    ActorView {
        actor: ActorId(256),
        kind: "task",
        may_rest: false,
        is_held: false,
        suspended: None,
        has_parent: true,
        mail: 0,
        is_busy: false,
        has_moved: false,
        next_due_ms: None,
        calls: 0,
        children: 0,
    }
}

fn reason(view: &ActorView) -> Option<Reason> {
    classify_actor(view, 100_000).map(|waiting| waiting.reason)
}

fn of_call(state: &RowState, holder: Holder) -> Option<Reason> {
    let view =
        CallView { call: CallId(1), caller: ActorId(256), tool: "bank", path: "a/t", intended_at: 1, state, holder };
    classify_call(&view).map(|waiting| waiting.reason)
}

fn found(reason: Reason, call: Option<CallId>) -> Vec<Waiting> {
    vec![Waiting { actor: ActorId(256), call, reason, sentence: String::new(), since_ms: None }]
}

fn actions(book: &mut Book, reason: Reason, looks: u32) -> Vec<Option<Action>> {
    let mut look = || book.look(|_| true, found(reason, None), false);
    (0..looks).map(|_| look().first().map(|due| due.action)).collect()
}

#[test]
fn an_actor_that_waits_for_something_is_not_stuck_and_one_that_waits_for_nothing_is() {
    assert_eq!(reason(&actor()), Some(Reason::WaitsForNothing));
    let waits = [
        ActorView { calls: 1, ..actor() },
        ActorView { children: 1, ..actor() },
        ActorView { next_due_ms: Some(95_000), ..actor() },
        ActorView { may_rest: true, ..actor() },
        ActorView { is_held: true, ..actor() },
        ActorView { is_busy: true, mail: 1, ..actor() },
        ActorView { has_moved: true, mail: 1, ..actor() },
    ];
    for view in waits {
        assert_eq!(reason(&view), None, "{view:?}");
    }
}

#[test]
fn every_contradiction_of_an_actor_has_its_class() {
    assert_eq!(reason(&ActorView { mail: 3, ..actor() }), Some(Reason::LostDoorbell));
    assert_eq!(reason(&ActorView { next_due_ms: Some(94_999), ..actor() }), Some(Reason::OverdueTimer));
    assert_eq!(reason(&ActorView { has_parent: false, mail: 1, ..actor() }), Some(Reason::Orphan));
    assert_eq!(reason(&ActorView { suspended: Some("why".to_owned()), mail: 1, ..actor() }), Some(Reason::Suspended));
}

#[test]
fn a_call_is_stuck_when_nobody_has_it_and_never_while_its_adapter_lives() {
    let failure = Failure::new("timeout", "no answer");
    let probing = RowState::Probing(Probing { failure: failure.clone(), asked: 0, due_ms: 0, is_cut_off: false });
    for state in [RowState::Intended, RowState::Started, probing] {
        assert_eq!(of_call(&state, Holder::Adapter), None);
        assert_eq!(of_call(&state, Holder::Queue), None);
        assert_eq!(of_call(&state, Holder::Nobody), Some(Reason::LostCall));
        assert_eq!(of_call(&state, Holder::NoTool), Some(Reason::NoTool));
    }
    for holder in [Holder::Adapter, Holder::Queue, Holder::Nobody, Holder::NoTool] {
        assert_eq!(of_call(&RowState::InDoubt(failure.clone()), holder), Some(Reason::InDoubt));
    }
}

#[test]
fn nothing_is_done_at_first_sight_then_each_cure_has_its_deadline_and_at_last_a_person_is_told_once() {
    use Action::{Reload, Report, Ring};
    let told = actions(&mut Book::default(), Reason::LostDoorbell, 8);
    assert_eq!(told, [None, Some(Ring), None, Some(Reload), None, Some(Report), None, None]);
}

#[test]
fn what_a_person_must_decide_is_left_alone() {
    for reason in [Reason::InDoubt, Reason::NoTool, Reason::Suspended, Reason::Orphan, Reason::Poison] {
        assert_eq!(actions(&mut Book::default(), reason, 10), [None; 10], "{reason:?}");
    }
}

#[test]
fn an_actor_gets_one_action_per_look() {
    let mut book = Book::default();
    let both = || {
        let calls = [CallId(1), CallId(2)];
        calls.into_iter().flat_map(|call| found(Reason::LostCall, Some(call))).collect::<Vec<_>>()
    };
    assert_eq!(book.look(|_| true, both(), false).len(), 0);
    let first = book.look(|_| true, both(), false);
    let second = book.look(|_| true, both(), false);
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_ne!(first[0].waiting.call, second[0].waiting.call, "the other call has its turn at the next look");
}

#[test]
fn a_late_look_gives_everyone_grace() {
    let mut book = Book::default();
    book.look(|_| true, found(Reason::LostDoorbell, None), false);
    for _ in 0..3 {
        assert_eq!(book.look(|_| true, found(Reason::LostDoorbell, None), true), [], "a process that stood still");
    }
    assert_eq!(actions(&mut book, Reason::LostDoorbell, 2), [None, Some(Action::Ring)]);
}

#[test]
fn what_came_to_its_end_by_itself_is_forgotten() {
    let mut book = Book::default();
    book.look(|_| true, found(Reason::LostDoorbell, None), false);
    book.look(|_| true, Vec::new(), false);
    assert_eq!(actions(&mut book, Reason::LostDoorbell, 2), [None, Some(Action::Ring)]);
}
