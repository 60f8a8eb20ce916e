//! The unsticker's rim: it looks at what is there, a part at a time, and acts.
//!
//! ```text
//! every few seconds:  listen to running calls
//!                     a page of the rows that are not in memory ─► whoever looks wrong is brought into memory
//!                     a slice of the actors and calls in memory, and all who were suspected before ─► classified
//!                     at most one action per actor
//! ```
//! **Invariants:** the lock is held for a bounded number of rows at a time. What a row in the store says counts only once
//! it was brought into memory and looked at under the lock. Each action is in the actor's stream, if it has one, and is
//! counted. A closed, stopping or overloaded system is left alone.

mod act;
mod claims;
mod look;
#[cfg(feature = "testing")]
mod stalls;
mod stored;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use self::claims::{Claims, Place};
#[cfg(feature = "testing")]
pub use self::stalls::Stall;
#[cfg(feature = "testing")]
pub(crate) use self::stalls::Stalls;
use super::{Error, System, inner::Inner};
#[cfg(test)]
use crate::durable::faults::{Site, Who};
use crate::durable::{
    call::RowState,
    codec,
    id::{ActorId, CallId},
    unsticker::{Book, CallView, Due, Holder, Reason, Waiting, classify_call},
};

/// Actors, and calls, that one look sees at most, beside those suspected before; and the most rows for which the lock is
/// held once.
const SLICE: usize = 8_192;

/// What the unsticker knows in this life.
pub(crate) struct Unstick {
    pub(crate) every: Duration,
    state: Mutex<State>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

#[derive(Default)]
struct State {
    book: Book,
    /// Actors in memory that are still to be looked at in this round.
    pending: VecDeque<ActorId>,
    next_call: CallId,
    /// How far callers were held against calls.
    next_caller: CallId,
    /// Where the next page of rows begins.
    next_row: ActorId,
    /// Who says to wait for calls, and for children.
    callers: Claims,
    parents: Claims,
    /// Actors that looked wrong in the store and were brought into memory.
    brought: Vec<ActorId>,
    /// Those that were looked at there, and are in memory for that alone.
    guests: BTreeSet<ActorId>,
    /// How far those that were found had come.
    former: FxHashMap<ActorId, Place>,
    /// What is being cured.
    found: Vec<Waiting>,
}

impl Unstick {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, state: Mutex::default(), counts: Mutex::default() }
    }
}

impl Inner {
    /// Look again and again while the system lives.
    pub(super) async fn run_unsticker(self: Arc<Self>) {
        let mut closed = self.failure.subscribe();
        let every = self.unstick.every;
        let mut last = crate::clock::monotonic();
        while tokio::time::timeout(every, closed.wait_for(Option::is_some)).await.is_err() {
            #[cfg(test)]
            self.fault(Site::UnstickerLooks, Who::Service("unsticker")).await;
            let now = crate::clock::monotonic();
            let is_late = now.duration_since(std::mem::replace(&mut last, now)) > every * 2;
            self.note_due_restarts().await;
            self.look_and_act(is_late).await;
            last = crate::clock::monotonic();
        }
    }

    /// One look, and what is done after it.
    pub(crate) async fn look_and_act(self: &Arc<Self>, is_late: bool) {
        for due in self.look_for_stuck(is_late).await {
            #[cfg(test)]
            self.fault(Site::UnstickerActs, Who::Service("unsticker")).await;
            self.unstick(due).await;
        }
        #[cfg(feature = "testing")]
        self.stalls.looked(is_late);
    }

    /// One look, and what is to be done after it.
    async fn look_for_stuck(self: &Arc<Self>, is_late: bool) -> Vec<Due> {
        #[cfg(test)]
        if self.faults.holds_looks.load(std::sync::atomic::Ordering::SeqCst) {
            return Vec::new();
        }
        self.in_flight.listen(is_late);
        if self.admits().is_err() {
            return Vec::new();
        }
        self.look_into_store().await;
        let Some(seen) = self.see_next() else { return Vec::new() };
        let found = self.classify(&seen).await;
        let mut state = self.unstick.state.lock();
        let found_actors: BTreeSet<_> = found.iter().map(|waiting| waiting.actor).collect();
        let places = seen.actors.iter().filter(|(view, _)| found_actors.contains(&view.actor));
        state.former = places.map(|(view, place)| (view.actor, *place)).collect();
        let guests = std::mem::take(&mut state.guests).into_iter();
        let (stay, leave): (BTreeSet<_>, BTreeSet<_>) = guests.partition(|guest| found_actors.contains(guest));
        state.guests = stay;
        // A closed store needs no room.
        let _ = self.with_accepted(|accepted, _| leave.iter().for_each(|guest| accepted.let_go(*guest)));
        state.found = found.iter().filter(|waiting| waiting.reason.is_cured()).cloned().collect();
        state.book.look(found, is_late)
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
        let mut found = self.inner.still_stuck().await;
        found.extend(self.inner.undecided_calls());
        let suspended = self.actors(|actor, row| Some((actor, row.kind, row.suspended.clone()?))).await?;
        found.extend(suspended.into_iter().filter_map(|(actor, kind, why)| {
            let is_held = self.inner.core.lock().accepted.is_held(actor);
            let kind = self.inner.registry.name(kind);
            (!is_held).then(|| Waiting::suspended(actor, kind, &why))
        }));
        for (number, letter) in self.dead_letters().await? {
            if self.actor(letter.to).await?.is_some() {
                found.push(Waiting::poison(number, &letter));
            }
        }
        self.inner.until_durable(self.inner.latest()).await?;
        Ok(found)
    }
}

impl Inner {
    /// Of what the last look found, what is still so, and calls that a person decides or another process makes.
    pub(super) async fn stuck_reasons(self: &Arc<Self>) -> Vec<Reason> {
        let mut found = self.still_stuck().await;
        found.extend(self.undecided_calls());
        found.iter().map(|waiting| waiting.reason).collect()
    }

    /// Of what the last look found, what is still so.
    async fn still_stuck(self: &Arc<Self>) -> Vec<Waiting> {
        let known = self.unstick.state.lock().found.clone();
        let known: BTreeSet<_> = known.iter().map(Waiting::key).collect();
        let Some(seen) = self.see_again(&known) else { return Vec::new() };
        let mut found = self.classify(&seen).await;
        found.retain(|waiting| known.contains(&waiting.key()));
        found
    }

    /// Calls that a person decides, or that only another process can make; the lock is held for a slice at a time.
    fn undecided_calls(&self) -> Vec<Waiting> {
        let (mut found, mut next) = (Vec::new(), Some(CallId(0)));
        while let Some(from) = next {
            let core = self.core.lock();
            let live = core.accepted.live();
            let mut last = None;
            for (at, (call, row)) in live.calls.range(from..).take(SLICE).enumerate() {
                last = (at + 1 == SLICE).then_some(CallId(call.0 + 1));
                let is_known = self.tools.contains_key(&codec::fnv1a(&row.request.tool));
                let holder = if is_known { Holder::Queue } else { Holder::NoTool };
                if core.accepted.is_held(row.caller) || (is_known && !matches!(row.state, RowState::InDoubt(_))) {
                    continue;
                }
                found.extend(classify_call(&CallView::of(*call, row, true, holder)));
            }
            next = last;
        }
        debug_assert!(found.iter().all(|waiting| matches!(waiting.reason, Reason::InDoubt | Reason::NoTool)));
        found
    }
}
