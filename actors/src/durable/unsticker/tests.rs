//! What is stuck and what is not, and how far the cures go.

use super::{
    classify::{Standing, standing},
    *,
};
use crate::durable::{
    call::{Failure, Probing, RowState},
    id::{ActorId, CallId},
};

fn actor() -> ActorView {
    ActorView {
        actor: ActorId(256),
        kind: "task",
        may_rest: false,
        is_held: false,
        suspended: None,
        parent: ActorId(512),
        has_parent: true,
        mail: 0,
        is_busy: false,
        has_moved: false,
        next_due_ms: None,
        calls: 0,
        lacks_calls: false,
        children: 0,
        has_children_here: false,
        lacks_children: false,
    }
}

fn reason(view: &ActorView) -> Option<Reason> {
    classify_actor(view, 100_000).map(|waiting| waiting.reason)
}

fn call(state: &RowState, holder: Holder) -> CallView<'_> {
    let (call, caller) = (CallId(1), ActorId(256));
    CallView { call, caller, has_caller: true, tool: "bank", path: "run_1/pay/charge", intended_at: 1, state, holder }
}

fn of_call(state: &RowState, holder: Holder) -> Option<Reason> {
    classify_call(&call(state, holder)).map(|waiting| waiting.reason)
}

fn failure() -> Failure {
    Failure::new("timeout", "no answer")
}

fn row_states() -> [RowState; 4] {
    let probing = Probing { failure: failure(), asked: 0, due_ms: 0, is_cut_off: false };
    [RowState::Intended, RowState::Started, RowState::InDoubt(failure()), RowState::Probing(probing)]
}

const SILENT: Holder = Holder::Silent(std::time::Duration::from_secs(30));
const HOLDERS: [Holder; 5] = [Holder::Adapter, SILENT, Holder::Queue, Holder::Nobody, Holder::NoTool];

fn found(reason: Reason, call: Option<CallId>) -> Vec<Waiting> {
    vec![Waiting { actor: ActorId(256), call, reason, sentence: String::new(), since_ms: None }]
}

fn actions(book: &mut Book, reason: Reason, looks: u32) -> Vec<Option<Action>> {
    let mut look = || book.look(found(reason, None), false);
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
    assert_eq!(reason(&ActorView { calls: 1, lacks_calls: true, ..actor() }), Some(Reason::MissingCall));
    assert_eq!(reason(&ActorView { children: 1, lacks_children: true, ..actor() }), Some(Reason::MissingChild));
    let other = ActorView { calls: 1, lacks_calls: true, children: 1, ..actor() };
    assert_eq!(reason(&other), None, "it still waits for a child");
}

#[test]
fn a_call_is_stuck_when_nobody_has_it_and_never_while_its_adapter_lives() {
    let failure = Failure::new("timeout", "no answer");
    let probing = RowState::Probing(Probing { failure: failure.clone(), asked: 0, due_ms: 0, is_cut_off: false });
    for state in [RowState::Intended, RowState::Started, probing] {
        assert_eq!(of_call(&state, Holder::Adapter), None);
        assert_eq!(of_call(&state, SILENT), Some(Reason::LostHeartbeat));
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

/// What was stuck by bad luck alone, three times in a row, once stayed so until a person came.
#[test]
fn what_did_not_help_is_tried_again_ever_more_seldom_if_it_harms_nobody() {
    let told = actions(&mut Book::default(), Reason::LostDoorbell, 5_000);
    let tries = told.iter().zip(1..).filter(|(told, _)| **told == Some(Action::Reload)).map(|(_, look)| look);
    assert_eq!(
        tries.collect::<Vec<u32>>(),
        [4, 10, 18, 34, 66, 130, 258, 514, 1_026, 1_746, 2_466, 3_186, 3_906, 4_626]
    );
    assert_eq!(told.iter().filter(|told| **told == Some(Action::Report)).count(), 1, "a person is told once");
    let told = actions(&mut Book::default(), Reason::WaitsForNothing, 5_000);
    assert_eq!(told.into_iter().flatten().count(), 2, "nobody is told again and again");
}

#[test]
fn what_a_person_must_decide_is_left_alone() {
    for reason in [Reason::InDoubt, Reason::NoTool, Reason::Suspended, Reason::Poison] {
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
    assert_eq!(book.look(both(), false).len(), 0);
    let first = book.look(both(), false);
    let second = book.look(both(), false);
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_ne!(first[0].waiting.call, second[0].waiting.call, "the other call has its turn at the next look");
}

#[test]
fn a_late_look_gives_everyone_grace() {
    let mut book = Book::default();
    book.look(found(Reason::LostDoorbell, None), false);
    for _ in 0..3 {
        assert_eq!(book.look(found(Reason::LostDoorbell, None), true), [], "a process that stood still");
    }
    assert_eq!(actions(&mut book, Reason::LostDoorbell, 2), [None, Some(Action::Ring)]);
}

#[test]
fn what_came_to_its_end_by_itself_is_forgotten() {
    let mut book = Book::default();
    book.look(found(Reason::LostDoorbell, None), false);
    book.look(Vec::new(), false);
    assert_eq!(actions(&mut book, Reason::LostDoorbell, 2), [None, Some(Action::Ring)]);
}

/// A root that waits for nothing is told itself, which moves it: it was told again every few looks, for ever, and each
/// time that went into its stream.
#[test]
fn whoever_is_told_and_moves_by_that_is_not_told_again() {
    let mut book = Book::default();
    assert_eq!(actions(&mut book, Reason::WaitsForNothing, 2), [None, Some(Action::TellOwner)]);
    assert_eq!(book.look(Vec::new(), false), [], "it moved");
    let again = actions(&mut book, Reason::WaitsForNothing, 10);
    assert_eq!(again.into_iter().flatten().collect::<Vec<_>>(), [Action::Report]);
}

#[test]
fn a_call_whose_caller_is_gone_is_an_orphan_unless_it_runs_or_is_to_be_decided() {
    let of = |state: &RowState, holder| {
        let view = CallView { has_caller: false, ..call(state, holder) };
        classify_call(&view).map(|waiting| waiting.reason)
    };
    for state in [RowState::Intended, RowState::Started] {
        assert_eq!(of(&state, Holder::Adapter), None, "never while its adapter lives");
        for holder in [Holder::Queue, Holder::Nobody, Holder::NoTool] {
            assert_eq!(of(&state, holder), Some(Reason::OrphanCall));
        }
    }
    assert_eq!(of(&RowState::InDoubt(failure()), Holder::Nobody), Some(Reason::InDoubt));
}

/// The classes that say when a wait of this kind is in vain. A new kind of waiting does not compile without its own.
fn classes(standing: &Standing) -> &'static [Reason] {
    match standing {
        // A person holds it, and knows.
        Standing::Held => &[],
        Standing::Suspended(_) => &[Reason::Suspended],
        Standing::Mail => &[Reason::LostDoorbell],
        Standing::Timer(_) => &[Reason::OverdueTimer],
        Standing::Call => &[Reason::MissingCall],
        Standing::Child => &[Reason::MissingChild],
        Standing::NoCall => &[Reason::MissingCall],
        Standing::NoChild => &[Reason::MissingChild],
        Standing::Nothing => &[Reason::WaitsForNothing],
    }
}

/// A wait of each kind as it should be, and the same in vain.
fn waits() -> Vec<(ActorView, ActorView)> {
    let suspended = || ActorView { suspended: Some("why".to_owned()), ..actor() };
    let held = || ActorView { is_held: true, ..actor() };
    vec![
        (held(), held()),
        (suspended(), suspended()),
        (ActorView { mail: 1, is_busy: true, ..actor() }, ActorView { mail: 1, ..actor() }),
        (ActorView { next_due_ms: Some(99_999), ..actor() }, ActorView { next_due_ms: Some(1), ..actor() }),
        (ActorView { calls: 1, ..actor() }, ActorView { calls: 1, lacks_calls: true, ..actor() }),
        (ActorView { children: 1, ..actor() }, ActorView { children: 1, lacks_children: true, ..actor() }),
        (ActorView { may_rest: true, ..actor() }, actor()),
    ]
}

#[test]
fn every_waiting_state_of_an_actor_has_its_class_and_none_is_accused_while_all_is_well() {
    let mut reached = std::collections::HashSet::new();
    for (well, vain) in waits() {
        for view in [&well, &vain] {
            reached.insert(std::mem::discriminant(&standing(view)));
        }
        let expected = classes(&standing(&well));
        assert_eq!(reason(&vain).as_slice(), expected, "{vain:?}");
        let is_decided = matches!(standing(&well), Standing::Suspended(_));
        assert!(is_decided || reason(&well).is_none(), "{well:?}");
    }
    assert_eq!(reached.len(), 9, "every kind of `Standing` is among `waits`");
}

#[test]
fn every_waiting_state_of_a_call_has_its_class() {
    for state in row_states() {
        for holder in HOLDERS {
            // Both matches are written out, so that a new state of either does not compile.
            let is_well = match (&state, holder) {
                (RowState::InDoubt(_), _) => false,
                (RowState::Intended | RowState::Started | RowState::Probing(_), holder) => match holder {
                    Holder::Adapter | Holder::Queue => true,
                    Holder::Silent(_) | Holder::Nobody | Holder::NoTool => false,
                },
            };
            assert_eq!(of_call(&state, holder).is_none(), is_well, "{state:?} {holder:?}");
        }
    }
}

#[test]
fn every_class_is_cured_or_says_what_a_person_does() {
    let words: std::collections::HashSet<_> = Reason::ALL.iter().map(|reason| reason.word()).collect();
    assert_eq!(words.len(), Reason::ALL.len(), "no two share a word");
    for reason in Reason::ALL {
        let told = actions(&mut Book::default(), reason, 12);
        assert_eq!(
            told.contains(&Some(Action::Report)),
            reason.is_cured(),
            "{reason:?}: what is not cured is reported"
        );
        assert!(
            reason.is_cured()
                || reason.advice().contains("headframe")
                || reason == Reason::NoTool
                || reason == Reason::Suspended
        );
    }
}

/// One of each class, as people read it.
fn examples() -> Vec<Waiting> {
    let orphan = ActorView { has_parent: false, ..actor() };
    let suspended = ActorView { suspended: Some("its state does not decode".to_owned()), ..actor() };
    let actors = [
        ActorView { mail: 3, ..actor() },
        ActorView { next_due_ms: Some(1), ..actor() },
        actor(),
        orphan,
        suspended,
        ActorView { calls: 1, lacks_calls: true, ..actor() },
        ActorView { children: 1, lacks_children: true, ..actor() },
    ];
    let [intended, started, doubt, _] = row_states();
    let calls = [
        call(&intended, Holder::Nobody),
        call(&intended, Holder::NoTool),
        call(&doubt, Holder::Queue),
        call(&started, SILENT),
        CallView { has_caller: false, ..call(&intended, Holder::Queue) },
    ];
    let letter = crate::durable::live::DeadLetter {
        to: ActorId(256),
        at_ms: 1,
        reason: "the actor died of it 5 times".to_owned(),
        body: crate::durable::entry::Body::Message(bytes::Bytes::new()),
    };
    let mut told: Vec<_> = actors.iter().filter_map(|view| classify_actor(view, 100_000)).collect();
    told.extend(calls.iter().filter_map(classify_call));
    told.push(classify_timer(ActorId(256), true, 1));
    told.push(Waiting::poison(7, &letter));
    told.sort_by_key(|waiting| waiting.reason);
    told
}

#[test]
fn each_class_says_in_one_sentence_who_waits_for_what_and_why() {
    let told: Vec<_> = examples().into_iter().map(|waiting| (waiting.reason, waiting.sentence)).collect();
    let reasons: Vec<_> = told.iter().map(|(reason, _)| *reason).collect();
    let mut all = Reason::ALL.to_vec();
    all.sort();
    assert_eq!(reasons, all, "one of each");
    let sentences: Vec<_> = told.iter().map(|(_, sentence)| sentence.as_str()).collect();
    assert_eq!(
        sentences,
        [
            "actor_100 (task) has 3 messages and is not running, because its bell was lost",
            "call_1 of run_1/pay/charge to tool bank waits to be made, and its tool was never told of it",
            "call_1 of run_1/pay/charge to tool bank waits for a tool that is not registered here",
            "call_1 of run_1/pay/charge to tool bank waits for a decision: timeout: no answer",
            "actor_100 (task) waits for a timer that is due and was not fired",
            "actor_100 (task) has not ended, and has no mail, timer, call or child that could wake it",
            "actor_100 (task) works for actor_200, which is gone, so nobody waits for what it gives",
            "actor_100 (task) is suspended and takes no message: its state does not decode",
            "actor_100 waits for a message that lies in dead letter 7: the actor died of it 5 times",
            "call_1 of run_1/pay/charge to tool bank runs, promised a heartbeat every 30s, and is silent",
            "actor_100 (task) waits for the answer of a call that is not there",
            "actor_100 (task) waits for the end of a child that is not there",
            "call_1 of run_1/pay/charge to tool bank has not begun, and actor_100 that asked for it is gone",
            "a timer is due, and actor_100 that set it is gone",
        ]
    );
}
