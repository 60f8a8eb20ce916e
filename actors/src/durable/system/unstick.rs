//! The unsticker's rim: it looks at what is in memory, and acts.
//!
//! A look is bounded: a slice of the actors and of the calls, round after round, and every time those that were
//! suspected before. Rows that are not in memory are not looked at.
//!
//! **Invariants:** one action per actor and look; each is in the actor's stream and is counted. A closed, stopping or
//! overloaded system is left alone.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{Error, System, inner::Inner};
use crate::durable::{
    accepted::Accepted,
    call::{Row, RowState},
    codec,
    flight::Named,
    id::{ActorId, CallId},
    live::{Actor, Live},
    record::Note,
    unsticker::{
        Action, ActorView, Book, CallView, Due, Holder, OVERDUE_MS, Reason, Waiting, classify_actor, classify_call,
    },
};

/// Actors, and calls, that one look sees at most, beside those suspected before.
const SLICE: usize = 8_192;
/// Calls that the tools are asked about in one look.
const ASKED_MAX: usize = 1_024;
/// How long a tool's actor may take to say what it holds.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the unsticker knows in this life.
pub(crate) struct Unstick {
    pub(crate) every: Duration,
    state: Mutex<State>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

#[derive(Default)]
struct State {
    book: Book,
    pending: VecDeque<ActorId>,
    next_call: CallId,
    /// How far those that were found had come.
    former: FxHashMap<ActorId, (u64, u64)>,
    found: BTreeSet<(ActorId, Option<CallId>, Reason)>,
}

impl Unstick {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, state: Mutex::default(), counts: Mutex::default() }
    }
}

/// What one look sees.
#[derive(Default)]
struct Seen {
    now_ms: u64,
    actors: Vec<(ActorView, (u64, u64))>,
    calls: Vec<(CallId, Row)>,
    /// Timers that are long due, of actors that are not in memory.
    cold: Vec<(ActorId, u64)>,
    is_whole: bool,
}

impl Inner {
    /// Look again and again while the system lives.
    pub(super) async fn run_unsticker(self: Arc<Self>) {
        let mut closed = self.failure.subscribe();
        let every = self.unstick.every;
        let mut last = crate::clock::monotonic();
        while tokio::time::timeout(every, closed.wait_for(Option::is_some)).await.is_err() {
            let now = crate::clock::monotonic();
            let is_late = now.duration_since(std::mem::replace(&mut last, now)) > every * 2;
            for due in self.look_for_stuck(is_late).await {
                self.unstick(due).await;
            }
            last = crate::clock::monotonic();
        }
    }

    async fn look_for_stuck(self: &Arc<Self>, is_late: bool) -> Vec<Due> {
        let Some(seen) = self.see(SLICE) else { return Vec::new() };
        let found = self.classify(&seen).await;
        let mut state = self.unstick.state.lock();
        let looked: FxHashSet<_> = seen.actors.iter().map(|(view, _)| view.actor).collect();
        let found_actors: FxHashSet<_> = found.iter().map(|waiting| waiting.actor).collect();
        let places = seen.actors.iter().filter(|(view, _)| found_actors.contains(&view.actor));
        state.former = places.map(|(view, place)| (view.actor, *place)).collect();
        let known = state.book.suspects();
        let keys: BTreeSet<_> = found.iter().map(|waiting| (waiting.actor, waiting.call, waiting.reason)).collect();
        let due = state.book.look(|actor| looked.contains(&actor) || known.contains(&actor), found, is_late);
        state.found = keys;
        due
    }

    /// Take down what is to be looked at; nothing if it is no time to look.
    fn see(&self, most: usize) -> Option<Seen> {
        if self.admits().is_err() {
            return None;
        }
        let busy = self.busy();
        let now_ms = self.clock.now_ms();
        let mut state = self.unstick.state.lock();
        let core = self.core.lock();
        if core.closed.is_some() || core.stopping || core.draining {
            return None;
        }
        let (accepted, live) = (&core.accepted, core.accepted.live());
        let mut seen = Seen { now_ms, is_whole: most == usize::MAX, ..Seen::default() };
        let chosen = state.choose(live, most);
        let callers: FxHashSet<_> = live.calls.values().map(|row| row.caller).collect();
        for actor in chosen {
            let Some(row) = live.actors.get(&actor) else { continue };
            let place = (row.version, row.mailbox.front().map_or(0, |entry| entry.number));
            let view = ActorView {
                is_busy: busy.contains(&actor) || self.directory.backs_off(actor),
                has_moved: state.former.get(&actor).is_some_and(|former| *former != place),
                ..self.view(accepted, actor, row, callers.contains(&actor))
            };
            seen.actors.push((view, place));
        }
        seen.calls = state.choose_calls(accepted, most, &|call| self.in_flight.contains(call));
        let overdue = live.timers.range(..(now_ms.saturating_sub(OVERDUE_MS), ActorId(0), 0)).take(256);
        let cold = overdue.filter(|((_, actor, _), _)| !live.actors.contains_key(actor));
        seen.cold = cold.map(|((due_ms, actor, _), _)| (*actor, *due_ms)).collect();
        Some(seen)
    }

    fn view(&self, accepted: &Accepted, actor: ActorId, row: &Actor, has_calls: bool) -> ActorView {
        let parent = row.parent;
        ActorView {
            actor,
            kind: self.registry.name(row.kind),
            may_rest: self.registry.may_rest(row.kind),
            is_held: accepted.is_held(actor),
            suspended: row.suspended.clone(),
            has_parent: parent == ActorId::ENGINE || accepted.live().actors.contains_key(&parent),
            mail: row.mailbox.len(),
            is_busy: false,
            has_moved: false,
            next_due_ms: row.timers.iter().map(|timer| timer.due_ms).min(),
            calls: usize::from(has_calls && row.calls > 0),
            children: row.children,
        }
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

    async fn classify(self: &Arc<Self>, seen: &Seen) -> Vec<Waiting> {
        let mut found: Vec<_> = seen.actors.iter().filter_map(|(view, _)| classify_actor(view, seen.now_ms)).collect();
        found.extend(seen.cold.iter().map(|(actor, due_ms)| Waiting {
            actor: *actor,
            call: None,
            reason: Reason::OverdueTimer,
            sentence: format!("{actor} waits for a timer that is due"),
            since_ms: Some(*due_ms),
        }));
        let holders = self.holders(&seen.calls).await;
        let of_call = |(call, row): &(CallId, Row)| {
            let holder = holders.get(call).copied().unwrap_or(Holder::Queue);
            let (tool, path, state) = (row.request.tool.as_str(), row.request.path.as_str(), &row.state);
            let (call, caller, intended_at) = (*call, row.caller, row.intended_at);
            classify_call(&CallView { call, caller, tool, path, intended_at, state, holder })
        };
        found.extend(seen.calls.iter().filter_map(of_call));
        found
    }

    /// Who has each call in hand: its tool's actor is asked.
    async fn holders(&self, calls: &[(CallId, Row)]) -> HashMap<CallId, Holder> {
        let mut holders = HashMap::new();
        let mut asked: BTreeMap<u32, Vec<CallId>> = BTreeMap::new();
        for (call, row) in calls.iter().filter(|(_, row)| !matches!(row.state, RowState::InDoubt(_))) {
            let tool = codec::fnv1a(&row.request.tool);
            if self.tools.contains_key(&tool) {
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

    async fn unstick(self: &Arc<Self>, due: Due) {
        let Due { waiting, action } = due;
        if self.bring(vec![waiting.actor]).await.is_err() || !self.act(&waiting, action).await {
            return;
        }
        let reason = waiting.reason.word();
        tracing::warn!(actor = %waiting.actor, reason, "{}: {}", waiting.sentence, action.words());
        *self.unstick.counts.lock().entry(reason).or_default() += 1;
        metrics::counter!("headframe_unstuck_total", "reason" => reason).increment(1);
        let note = Note::Unstuck { reason: reason.to_owned(), action: action.words().to_owned() };
        // A closed store takes no notes; an actor that ended meanwhile needs none.
        let _ = self.with_accepted(|accepted, now_ms| {
            if accepted.live().actors.contains_key(&waiting.actor) {
                accepted.note(now_ms, waiting.actor, note);
            }
        });
    }

    /// Do it; says whether there still was anything to do.
    async fn act(self: &Arc<Self>, waiting: &Waiting, action: Action) -> bool {
        let actor = waiting.actor;
        match action {
            Action::Ring => self.directory.ring(self, actor),
            Action::Reload => {
                self.directory.kill(actor);
                self.directory.ring(self, actor);
            }
            Action::Dispatch => return self.dispatch_again(waiting.call).await,
            Action::RestartTool => return self.restart_tool_of(waiting.call),
            Action::Fire => {
                self.timer_set.notify_one();
                if let Ok(receipt) = self.with_accepted(|accepted, now_ms| accepted.fire(now_ms, 256)) {
                    self.ring_all(&receipt, None);
                }
            }
            Action::TellOwner => return self.tell_owner_of(actor, &waiting.sentence).await,
            Action::Report => tracing::error!(%actor, "{}", waiting.sentence),
        }
        true
    }

    fn row_of(&self, call: Option<CallId>) -> Option<(CallId, u32, bool)> {
        let call = call?;
        let core = self.core.lock();
        let row = core.accepted.live().calls.get(&call)?;
        if self.in_flight.contains(call) {
            return None;
        }
        match row.state {
            RowState::InDoubt(_) => None,
            RowState::Intended | RowState::Probing(_) => Some((call, codec::fnv1a(&row.request.tool), false)),
            RowState::Started => Some((call, codec::fnv1a(&row.request.tool), true)),
        }
    }

    /// Nothing is handed to a tool before it is durable.
    async fn dispatch_again(self: &Arc<Self>, call: Option<CallId>) -> bool {
        if self.until_durable(self.latest()).await.is_err() {
            return false;
        }
        match self.row_of(call) {
            None => return false,
            Some((call, tool, false)) => self.dispatch(&[(tool, call)], &[]),
            Some((call, tool, true)) => self.dispatch(&[], &[(tool, call)]),
        }
        true
    }

    fn restart_tool_of(&self, call: Option<CallId>) -> bool {
        let Some((_, tool, _)) = self.row_of(call) else { return false };
        self.tools.get(&tool).is_some_and(crate::tool::ToolSlot::kill)
    }

    async fn tell_owner_of(self: &Arc<Self>, actor: ActorId, reason: &str) -> bool {
        let parent = self.core.lock().accepted.live().actors.get(&actor).map(|row| row.parent);
        if self.bring(parent.into_iter().collect()).await.is_err() {
            return false;
        }
        match self.with_accepted(|accepted, now_ms| accepted.tell_of_stuck(now_ms, actor, reason)) {
            Ok(Some(receipt)) => {
                self.ring_all(&receipt, None);
                true
            }
            _ => false,
        }
    }
}

impl State {
    /// The next slice of actors, and those that are suspected.
    fn choose(&mut self, live: &Live, most: usize) -> BTreeSet<ActorId> {
        if most == usize::MAX {
            return live.actors.keys().copied().collect();
        }
        if self.pending.is_empty() {
            self.pending = live.actors.keys().copied().collect();
        }
        let take = self.pending.len().min(most);
        let mut chosen: BTreeSet<_> = self.pending.drain(..take).collect();
        chosen.extend(self.book.suspects());
        chosen
    }

    /// The next slice of calls that no adapter works on, and those that are suspected.
    fn choose_calls(&mut self, accepted: &Accepted, most: usize, runs: &dyn Fn(CallId) -> bool) -> Vec<(CallId, Row)> {
        let calls = &accepted.live().calls;
        let from = if most == usize::MAX { CallId(0) } else { self.next_call };
        let slice: Vec<_> = calls.range(from..).take(most).collect();
        let next = slice.last().filter(|_| slice.len() == most).map_or(CallId(0), |(call, _)| CallId(call.0 + 1));
        let idle = slice.into_iter().filter(|(call, row)| !runs(**call) && !accepted.is_held(row.caller));
        let mut chosen: BTreeMap<_, _> = idle.take(ASKED_MAX).map(|(call, row)| (*call, Row::clone(row))).collect();
        self.next_call = match chosen.last_key_value() {
            // More than can be asked about: go on from there.
            Some((last, _)) if chosen.len() == ASKED_MAX => CallId(last.0 + 1),
            _ => next,
        };
        let known = self.found.iter().filter_map(|(_, call, _)| *call).filter(|call| !runs(*call));
        chosen.extend(known.filter_map(|call| Some((call, Row::clone(calls.get(&call)?)))));
        chosen.into_iter().collect()
    }
}

impl System {
    /// How often something was done about what was stuck, by reason.
    #[must_use]
    pub fn unstuck(&self) -> BTreeMap<&'static str, u64> {
        self.inner.unstick.counts.lock().clone()
    }

    /// What waits for something that does not come by itself, or for a person. What may be on its way is not in it: a
    /// lost bell or call is told once it was seen twice.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before.
    pub async fn stuck(&self) -> Result<Vec<Waiting>, Error> {
        let Some(seen) = self.inner.see(usize::MAX) else { return Ok(Vec::new()) };
        debug_assert!(seen.is_whole, "all of memory is looked at");
        let mut found = self.inner.classify(&seen).await;
        let known = self.inner.unstick.state.lock().found.clone();
        found.retain(|waiting| match waiting.reason {
            Reason::InDoubt | Reason::NoTool | Reason::Suspended | Reason::Orphan | Reason::Poison => true,
            Reason::LostDoorbell | Reason::LostCall | Reason::OverdueTimer | Reason::WaitsForNothing => {
                known.contains(&(waiting.actor, waiting.call, waiting.reason))
            }
        });
        for (number, letter) in self.dead_letters().await? {
            if self.actor(letter.to).await?.is_some() {
                found.push(Waiting::poison(number, &letter));
            }
        }
        self.inner.until_durable(self.inner.latest()).await?;
        Ok(found)
    }
}
