//! What one look sees of what is in memory, and who has each call in hand.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    SLICE, State,
    claims::{Claims, Place},
};
use crate::durable::{
    accepted::Accepted,
    call::{Row, RowState},
    codec,
    flight::Named,
    id::{ActorId, CallId},
    live::{Actor, Live},
    system::inner::Inner,
    unsticker::{
        ActorView, CallView, Holder, OVERDUE_MS, Reason, Waiting, classify_actor, classify_call, classify_timer,
    },
};

/// Calls that the tools are asked about in one look, beside those suspected before, of which there are as many.
const ASKED_MAX: usize = 1_024;
/// Timers that are long due, in one look.
const OVERDUE_MAX: usize = 256;
/// How long a tool's actor may take to say what it holds.
const PATIENCE: Duration = Duration::from_secs(1);

/// What one look sees.
#[derive(Default)]
pub(super) struct Seen {
    now_ms: u64,
    pub(super) actors: Vec<(ActorView, Place)>,
    calls: Vec<(CallId, Row, bool)>,
    /// Running calls that are silent for longer than they promised.
    silent: FxHashMap<CallId, Duration>,
    /// Timers that are long due, of actors that are not in memory, and whether those are gone.
    cold: Vec<(ActorId, bool, u64)>,
}

/// What to look at.
struct Choice {
    actors: BTreeSet<ActorId>,
    calls: BTreeSet<CallId>,
}

impl Inner {
    /// Take down the next part of what is in memory, and whoever was suspected before; nothing if it is no time to look.
    pub(super) fn see_next(&self) -> Option<Seen> {
        let seen = self.see(|state, accepted, runs| state.choose(accepted, runs))?;
        let mut state = self.unstick.state.lock();
        for (view, place) in &seen.actors {
            state.claim(view, *place);
        }
        state.hold_against_calls(self.core.lock().accepted.live());
        if self.rows.is_none() {
            // All there is is in memory, where each parent counts its children.
            state.parents.end_round();
        }
        Some(seen)
    }

    /// Take down these again.
    pub(super) fn see_again(&self, known: &BTreeSet<(ActorId, Option<CallId>, Reason)>) -> Option<Seen> {
        let actors = known.iter().map(|(actor, ..)| *actor).collect();
        let calls = known.iter().filter_map(|(_, call, _)| *call).collect();
        self.see(|_, _, _| Choice { actors, calls })
    }

    fn see(&self, choose: impl FnOnce(&mut State, &Accepted, &dyn Fn(CallId) -> bool) -> Choice) -> Option<Seen> {
        let busy = self.busy();
        let now_ms = self.clock.now_ms();
        let silent: FxHashMap<_, _> = self.in_flight.silent(self.unstick.every).into_iter().collect();
        let runs = |call| self.in_flight.contains(call);
        let mut state = self.unstick.state.lock();
        let core = self.core.lock();
        if core.closed.is_some() || core.stopping || core.draining {
            return None;
        }
        let (accepted, live) = (&core.accepted, core.accepted.live());
        let choice = choose(&mut state, accepted, &runs);
        let mut seen = Seen { now_ms, silent, ..Seen::default() };
        for actor in choice.actors {
            let Some(row) = live.actors.get(&actor) else { continue };
            let place = place(row);
            let view = ActorView {
                is_busy: busy.contains(&actor) || self.directory.backs_off(actor),
                has_moved: state.former.get(&actor).is_some_and(|former| *former != place),
                lacks_calls: row.calls > 0 && state.callers.is_lacking(actor, place),
                lacks_children: lacks_children(&state.parents, actor, row, place),
                is_held: accepted.is_held(actor),
                ..live.view(&self.registry, actor, row)
            };
            seen.actors.push((view, place));
        }
        let mut calls = choice.calls;
        calls.retain(|call| !runs(*call));
        calls.extend(seen.silent.keys().copied());
        seen.calls = calls
            .into_iter()
            .filter_map(|call| {
                let row = live.calls.get(&call)?;
                let has_caller = live.actors.contains_key(&row.caller) || accepted.is_cold(row.caller);
                (!accepted.is_held(row.caller)).then(|| (call, Row::clone(row), has_caller))
            })
            .collect();
        let overdue = live.timers.range(..(now_ms.saturating_sub(OVERDUE_MS), ActorId(0), 0)).take(OVERDUE_MAX);
        let cold = overdue.filter(|((_, actor, _), _)| !live.actors.contains_key(actor));
        seen.cold = cold.map(|((due_ms, actor, _), _)| (*actor, !accepted.is_cold(*actor), *due_ms)).collect();
        Some(seen)
    }

    /// Actors whose turn is being taken.
    fn busy(&self) -> FxHashSet<ActorId> {
        let mut busy = FxHashSet::default();
        self.flight.survey(|running| {
            if let Named::Turn { actor, .. } = running.named {
                busy.insert(actor);
            }
        });
        busy
    }

    pub(super) async fn classify(self: &Arc<Self>, seen: &Seen) -> Vec<Waiting> {
        let mut found: Vec<_> = seen.actors.iter().filter_map(|(view, _)| classify_actor(view, seen.now_ms)).collect();
        found.extend(seen.cold.iter().map(|(actor, is_gone, due_ms)| classify_timer(*actor, *is_gone, *due_ms)));
        let holders = self.holders(seen).await;
        found.extend(seen.calls.iter().filter_map(|(call, row, has_caller)| {
            let holder = holders.get(call).copied().unwrap_or(Holder::Queue);
            classify_call(&CallView::of(*call, row, *has_caller, holder))
        }));
        found
    }

    /// Who has each call in hand: its tool's actor is asked.
    async fn holders(&self, seen: &Seen) -> HashMap<CallId, Holder> {
        let mut holders = HashMap::new();
        let mut asked: BTreeMap<u32, Vec<CallId>> = BTreeMap::new();
        for (call, row, _) in seen.calls.iter().filter(|(_, row, _)| !matches!(row.state, RowState::InDoubt(_))) {
            let tool = codec::fnv1a(&row.request.tool);
            if let Some(within) = seen.silent.get(call) {
                holders.insert(*call, Holder::Silent(*within));
            } else if self.tools.contains_key(&tool) {
                asked.entry(tool).or_default().push(*call);
            } else {
                holders.insert(*call, Holder::NoTool);
            }
        }
        for (tool, calls) in asked {
            let Some(slot) = self.tools.get(&tool) else { continue };
            let unknown = tokio::time::timeout(PATIENCE, slot.unknown(calls.clone())).await.ok().flatten();
            for call in unknown.unwrap_or(calls) {
                // It may have begun since.
                let holder = if self.in_flight.contains(call) { Holder::Adapter } else { Holder::Nobody };
                holders.insert(call, holder);
            }
        }
        holders
    }
}

pub(super) fn place(row: &Actor) -> Place {
    (row.version, row.mailbox.front().map_or(0, |entry| entry.number))
}

fn lacks_children(parents: &Claims, actor: ActorId, row: &Actor, place: Place) -> bool {
    row.children > 0 && row.resident_children() == 0 && parents.is_lacking(actor, place)
}

impl State {
    fn choose(&mut self, accepted: &Accepted, runs: &dyn Fn(CallId) -> bool) -> Choice {
        let live = accepted.live();
        if self.pending.is_empty() {
            self.pending = live.actors.keys().copied().collect();
        }
        let take = self.pending.len().min(SLICE);
        let mut actors: BTreeSet<_> = self.pending.drain(..take).collect();
        actors.extend(self.book.suspects(SLICE));
        actors.extend(self.callers.lacking(SLICE).chain(self.parents.lacking(SLICE)));
        self.guests.extend(&self.brought);
        actors.extend(self.brought.drain(..));
        Choice { actors, calls: self.choose_calls(live, runs) }
    }

    /// The next slice of calls that no adapter works on, and those that are suspected.
    fn choose_calls(&mut self, live: &Live, runs: &dyn Fn(CallId) -> bool) -> BTreeSet<CallId> {
        let mut chosen = BTreeSet::new();
        let (mut next, mut gone_through) = (CallId(0), 0);
        for call in live.calls.range(self.next_call..).map(|(call, _)| *call).take(SLICE) {
            gone_through += 1;
            if !runs(call) {
                chosen.insert(call);
            }
            // More than can be seen, or asked about: go on from there.
            if gone_through == SLICE || chosen.len() == ASKED_MAX {
                next = CallId(call.0 + 1);
                break;
            }
        }
        self.next_call = next;
        chosen.extend(self.book.calls(ASKED_MAX).filter(|call| !runs(*call)));
        chosen
    }

    /// Whoever only waits for a call or a child says so, until all there are were gone through.
    fn claim(&mut self, view: &ActorView, place: Place) {
        if view.mail == 0 && view.calls > 0 {
            self.callers.claim(view.actor, place);
        }
        // One that has a child in memory might see it written to a page that was read before, and leave.
        if view.mail == 0 && view.children > 0 && !view.has_children_here {
            self.parents.claim(view.actor, place);
        }
    }

    fn hold_against_calls(&mut self, live: &Live) {
        let mut last = None;
        for (at, (call, row)) in live.calls.range(self.next_caller..).take(SLICE).enumerate() {
            self.callers.speak_for(row.caller);
            last = (at + 1 == SLICE).then_some(CallId(call.0 + 1));
        }
        self.next_caller = last.unwrap_or(CallId(0));
        if last.is_none() {
            self.callers.end_round();
        }
    }
}
