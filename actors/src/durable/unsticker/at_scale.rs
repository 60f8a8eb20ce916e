//! Any picture of the world, look after look: what the unsticker says of it, and what it does.
//!
//! Actors and calls change between looks as words say, into anything that types allow, also what no store ever holds. What
//! must be so is said here from the pictures alone: what moves, rests, runs or is held is left alone; what heals before the
//! second look is never touched, because recovery alone sufficed; and what does not help comes ever more seldom.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use serde_json::json;

use super::{book::DEADLINE, reason::Key, *};
use crate::{
    clock::monotonic,
    durable::{
        call::{Failure, Probing, RowState},
        id::{ActorId, CallId},
    },
    replay::{Seeds, holds},
    scale::{Scale, note},
};

type Wrong = Result<(), String>;

/// When it is, in every picture.
const NOW_MS: u64 = 1_000_000;

fn actors() -> impl Strategy<Value = ActorView> {
    // Rather sound than not, so that each class comes up.
    let seldom = || prop::bool::weighted(0.15);
    let flags =
        (any::<bool>(), seldom(), seldom(), seldom(), seldom(), seldom(), any::<bool>(), any::<bool>(), any::<bool>());
    let due = prop::option::weighted(0.3, prop_oneof![0..NOW_MS * 2, Just(u64::MAX)]);
    let counts = (
        prop_oneof![3 => Just(0_usize), 1 => 1..3_usize],
        prop_oneof![Just(0_u32), 0..3_u32, Just(u32::MAX)],
        prop_oneof![Just(0_u32), 0..3_u32],
    );
    (flags, due, counts, any::<u64>()).prop_map(|(flags, next_due_ms, (mail, calls, children), parent)| {
        let (may_rest, is_held, is_suspended, lacks_parent, is_busy, has_moved, lacks_calls, here, lacks_children) =
            flags;
        ActorView {
            actor: ActorId(0),
            kind: "any",
            may_rest,
            is_held,
            suspended: is_suspended.then(|| "why".to_owned()),
            parent: ActorId(parent),
            has_parent: !lacks_parent,
            mail,
            is_busy,
            has_moved,
            next_due_ms,
            calls,
            lacks_calls,
            children,
            has_children_here: here,
            lacks_children,
        }
    })
}

fn states() -> impl Strategy<Value = RowState> {
    let failure = || Failure::new("timeout", "no answer");
    let probing = any::<(u32, u64, bool)>().prop_map(move |(asked, due_ms, is_cut_off)| {
        RowState::Probing(Probing { failure: failure(), asked, due_ms, is_cut_off })
    });
    prop_oneof![Just(RowState::Intended), Just(RowState::Started), Just(RowState::InDoubt(failure())), probing]
}

fn holders() -> impl Strategy<Value = Holder> {
    let silent = any::<u32>().prop_map(|ms| Holder::Silent(Duration::from_millis(u64::from(ms))));
    prop_oneof![Just(Holder::Adapter), Just(Holder::Queue), Just(Holder::Nobody), Just(Holder::NoTool), silent]
}

/// A call as it may look: how far it is, who has it, and whether its caller is there.
type Call = (RowState, Holder, bool);

fn calls() -> impl Strategy<Value = Call> {
    (states(), holders(), any::<bool>())
}

fn of_call((state, holder, has_caller): &Call, call: CallId, caller: ActorId) -> Option<Waiting> {
    let (holder, has_caller) = (*holder, *has_caller);
    classify_call(&CallView {
        call,
        caller,
        has_caller,
        tool: "bank",
        path: "pay/charge",
        intended_at: 1,
        state,
        holder,
    })
}

crate::properties! {
    #[test]
    fn an_actor_that_is_held_or_moves_or_may_be_woken_is_not_accused_of_waiting_in_vain(view in actors()) {
        use Reason::{LostDoorbell, MissingCall, MissingChild, Orphan, OverdueTimer, Suspended, WaitsForNothing};
        let found = classify_actor(&view, NOW_MS);
        if let Some(waiting) = &found {
            prop_assert_eq!((waiting.actor, waiting.call), (view.actor, None));
            prop_assert!(waiting.sentence.contains(&view.actor.to_string()));
        }
        let reason = found.map(|waiting| waiting.reason);
        if view.is_held {
            prop_assert_eq!(reason, None);
        }
        if view.is_busy || view.has_moved {
            prop_assert!(matches!(reason, None | Some(Orphan | Suspended | OverdueTimer)), "{:?}", reason);
        }
        let waits = view.mail > 0 || view.next_due_ms.is_some();
        let hopes = (view.calls > 0 && !view.lacks_calls) || (view.children > 0 && !view.lacks_children);
        if waits || hopes || view.suspended.is_some() {
            prop_assert!(!matches!(reason, Some(WaitsForNothing | MissingCall | MissingChild)), "{:?}", reason);
        }
        if view.mail == 0 {
            prop_assert_ne!(reason, Some(LostDoorbell));
        }
        if view.next_due_ms.is_none_or(|due_ms| due_ms.saturating_add(OVERDUE_MS) >= NOW_MS) {
            prop_assert_ne!(reason, Some(OverdueTimer));
        }
        prop_assert!(view.has_parent || view.is_held || reason == Some(Orphan), "nobody waits for an orphan");
    }

    #[test]
    fn a_call_in_good_hands_is_left_alone_and_one_in_doubt_to_a_person(of in calls()) {
        let (state, holder, has_caller) = &of;
        let found = of_call(&of, CallId(7), ActorId(256));
        let reason = found.as_ref().map(|waiting| waiting.reason);
        if matches!(state, RowState::InDoubt(_)) {
            prop_assert_eq!(reason, Some(Reason::InDoubt));
        } else if *holder == Holder::Adapter || (*holder == Holder::Queue && *has_caller) {
            prop_assert_eq!(reason, None);
        }
        if matches!(state, RowState::Probing(_)) {
            prop_assert_ne!(reason, Some(Reason::OrphanCall), "what became of it must be known");
        }
        if let Some(waiting) = found {
            prop_assert_eq!((waiting.actor, waiting.call), (ActorId(256), Some(CallId(7))));
        }
    }

    #[test]
    fn a_timer_in_the_past_is_overdue_or_an_orphan(actor: u64, is_gone: bool, due_ms: u64) {
        let waiting = classify_timer(ActorId(actor), is_gone, due_ms);
        let expected = if is_gone { Reason::OrphanTimer } else { Reason::OverdueTimer };
        prop_assert_eq!((waiting.reason, waiting.since_ms), (expected, Some(due_ms)));
    }
}

const ACTORS: usize = 5;

/// What becomes of the world before a look: how each actor and its call look then, if they change.
type Change = (usize, Option<ActorView>, Option<Option<Call>>);

fn worlds() -> impl Strategy<Value = Vec<(Vec<Change>, bool, u8)>> {
    let change = (0..ACTORS, prop::option::of(actors()), prop::option::of(prop::option::of(calls())));
    // Most looks see what the one before saw, so that cures have their time; some come late.
    let look =
        (prop::collection::vec(change, 0..3), prop::bool::weighted(0.1), prop_oneof![3 => 0..4_u8, 1 => 0..250_u8]);
    prop::collection::vec(look, 1..12)
}

/// What was found of one thing, without a gap.
#[derive(Clone, Default)]
struct Case {
    /// Looks that were not late, and at which of them something was done.
    seen: u32,
    done: Vec<(u32, Action)>,
    /// How many there had been at the last look that was late.
    late_at: Option<u32>,
    /// Looks since it was last found.
    unseen: u32,
}

struct World {
    book: Book,
    actors: Vec<Option<ActorView>>,
    calls: Vec<Option<Call>>,
    cases: BTreeMap<Key, Case>,
    acted: BTreeMap<&'static str, u64>,
}

impl World {
    fn new() -> Self {
        Self {
            book: Book::default(),
            actors: vec![None; ACTORS],
            calls: vec![None; ACTORS],
            cases: BTreeMap::new(),
            acted: BTreeMap::new(),
        }
    }

    fn changes(&mut self, changes: Vec<Change>) {
        for (at, actor, call) in changes {
            if let Some(view) = actor {
                self.actors[at] = Some(ActorView { actor: ActorId((at as u64 + 1) << 8), ..view });
            }
            if let Some(call) = call {
                self.calls[at] = call;
            }
        }
    }

    fn found(&self) -> Vec<Waiting> {
        let actors = self.actors.iter().flatten().filter_map(|view| classify_actor(view, NOW_MS));
        let calls = self.calls.iter().enumerate().filter_map(|(at, call)| {
            let number = at as u64 + 1;
            of_call(call.as_ref()?, CallId(number), ActorId(number << 8))
        });
        actors.chain(calls).collect()
    }

    fn look(&mut self, is_late: bool) -> Wrong {
        let found = self.found();
        let keys: Vec<Key> = found.iter().map(Waiting::key).collect();
        let due = self.book.look(found, is_late);
        is(!is_late || due.is_empty(), || format!("a late look acts: {due:?}"))?;
        // What it remembers longer than it sees it is whom it told, so that nobody is told twice.
        self.cases.retain(|key, case| {
            case.unseen = if keys.contains(key) { 0 } else { case.unseen + 1 };
            let is_told = key.2.cures() == [Action::TellOwner] && !case.done.is_empty();
            case.unseen <= if is_told { 720 } else { 0 }
        });
        for key in &keys {
            let case = self.cases.entry(*key).or_default();
            case.seen += u32::from(!is_late);
            case.late_at = if is_late { Some(case.seen) } else { case.late_at };
        }
        let mut acted = Vec::new();
        for Due { waiting, action } in due {
            let key = waiting.key();
            is(keys.contains(&key), || format!("{action:?} about what is not so: {waiting:?}"))?;
            is(!acted.contains(&waiting.actor), || format!("two things at once about {}", waiting.actor))?;
            acted.push(waiting.actor);
            *self.acted.entry(waiting.reason.word()).or_default() += 1;
            self.cases.get_mut(&key).expect("it was just seen").does(waiting.reason, action)?;
        }
        Ok(())
    }
}

impl Case {
    fn does(&mut self, reason: Reason, action: Action) -> Wrong {
        let what = || format!("{action:?} about {reason:?} at sight {} after {:?}", self.seen, self.done);
        let cures = reason.cures();
        is(self.seen >= 2, || format!("at first sight: {}", what()))?;
        let has_grace = self.late_at.is_some_and(|at| self.seen < at + DEADLINE);
        is(!has_grace, || format!("without grace after a late look: {}", what()))?;
        let expected = match cures.get(self.done.len()) {
            Some(cure) => *cure,
            None if self.done.len() == cures.len() => Action::Report,
            None => *cures.last().ok_or_else(|| format!("a person decides: {}", what()))?,
        };
        let may_come_again =
            matches!(action, Action::Ring | Action::Reload | Action::Dispatch | Action::RestartTool | Action::Fire);
        is(self.done.len() <= cures.len() || may_come_again, || format!("it is told again: {}", what()))?;
        is(action == expected, || format!("not in order: {}", what()))?;
        is(!cures.is_empty(), || format!("a person decides: {}", what()))?;
        if let Some((at, _)) = self.done.last() {
            let gap = self.seen - at;
            is(gap >= DEADLINE, || format!("a cure has no time to work: {}", what()))?;
            let tries = self.done.len().saturating_sub(cures.len());
            // Twice as long after each, up to an hour; others of the same actor may make it longer.
            let least = DEADLINE.saturating_mul(1 << tries.min(16)).min(720);
            is(gap >= least, || format!("it comes more often than every {least} looks: {}", what()))?;
        }
        self.done.push((self.seen, action));
        Ok(())
    }
}

#[test]
fn whatever_the_world_looks_like_it_is_touched_seldom_and_only_where_it_does_not_heal_by_itself() {
    let (began, cases) = (monotonic(), Scale::chosen().pick(300, 5_000, 500_000));
    let name = "whatever_the_world_looks_like_it_is_touched_seldom_and_only_where_it_does_not_heal_by_itself";
    let seeds = Seeds::of(env!("CARGO_PKG_NAME"), module_path!(), name, cases);
    let (is_replay, acted) = (seeds.is_replay(), RefCell::new(BTreeMap::<&str, u64>::new()));
    holds(seeds, &worlds(), |looks| {
        let mut world = World::new();
        for (changes, is_late, more) in looks {
            world.changes(changes);
            world.look(is_late)?;
            for _ in 0..more {
                world.look(false)?;
            }
        }
        for (reason, count) in world.acted {
            *acted.borrow_mut().entry(reason).or_default() += count;
        }
        Ok(())
    });
    if is_replay {
        return;
    }
    let acted = acted.into_inner();
    let cured = Reason::ALL.iter().filter(|reason| reason.is_cured() && **reason != Reason::OrphanTimer);
    let missing: Vec<_> = cured.filter(|reason| !acted.contains_key(reason.word())).collect();
    assert!(missing.is_empty(), "nothing was ever done about {missing:?}");
    let figures =
        [("worlds", json!(cases)), ("done about", json!(acted)), ("seconds", json!(began.elapsed().as_secs()))];
    note("unsticker, any world", &figures);
}

fn is(holds: bool, wrong: impl FnOnce() -> String) -> Wrong {
    if holds { Ok(()) } else { Err(wrong()) }
}
