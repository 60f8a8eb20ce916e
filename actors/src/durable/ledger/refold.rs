//! What is live, told by the events alone: every live actor folded again from the beginning of its stream, without
//! snapshots and without rows, and compared with what its row says.
//!
//! **Invariant:** nothing here trusts a row or a snapshot. An actor whose history was lost, which somebody accepted, is counted
//! and not compared.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Ledger, Reader};
use crate::durable::{
    chain::Head,
    id::{ActorId, Sequence, StreamId},
    kind::{Instance, Registry},
    live::{Actor, Live},
    store::{self, PastEvent},
};

/// What folding everything again came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Refolded {
    /// Actors whose state came out as their row says.
    pub actors: u64,
    /// Events folded.
    pub events: u64,
    /// Actors of kinds that are not registered, which nobody can fold.
    pub unknown: u64,
    /// Actors of streams whose history is not whole, by an accepted loss.
    pub incomplete: u64,
    /// What is wrong, in sentences; empty when all is well.
    pub problems: Vec<String>,
}

impl Ledger {
    /// Fold every live actor from its events alone, compare it with its row, and see that what is live hangs together:
    /// no actor without its parent, no call without its caller, no stream without its events. `live` is of the same
    /// moment as this ledger.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn refold(&self, live: &Live) -> Result<Refolded, store::Error> {
        loop {
            if let Some(found) = self.try_to_refold(live)? {
                return Ok(found);
            }
        }
    }

    /// `None` if records went into the past meanwhile.
    fn try_to_refold(&self, live: &Live) -> Result<Option<Refolded>, store::Error> {
        let past = self.store.past()?;
        let mut folds = Folds::new(live, &self.registry);
        past.visit(None, &mut |_, event| folds.take(&event))?;
        let mut reader = Reader::new(None);
        let whole = self.scan(past.end().next(), &mut |sequence, record| {
            reader.walk(&*past, sequence, record, &mut |_, _, event| folds.take(&event))
        })?;
        let lost = past.lost();
        let mut found = Refolded { problems: live.loose_ends(), events: folds.events, ..Refolded::default() };
        folds.compare(&lost, &mut found);
        Ok(whole.then_some(found))
    }
}

/// Actors on the way from their first event to their last.
struct Folds<'a> {
    live: &'a Live,
    registry: &'a Registry,
    states: BTreeMap<ActorId, Result<Box<dyn Instance>, String>>,
    /// The last event of each stream with a live root, and how many there were.
    seen: BTreeMap<StreamId, (u64, u64)>,
    events: u64,
}

impl<'a> Folds<'a> {
    fn new(live: &'a Live, registry: &'a Registry) -> Self {
        Self { live, registry, states: BTreeMap::new(), seen: BTreeMap::new(), events: 0 }
    }

    fn take(&mut self, event: &PastEvent) -> bool {
        self.events += 1;
        if self.live.streams.contains_key(&event.stream) {
            let (last, count) = self.seen.entry(event.stream).or_default();
            (*last, *count) = (event.number, *count + 1);
        }
        if !event.is_note && self.live.actors.contains_key(&event.actor) {
            self.fold(event);
        }
        true
    }

    fn fold(&mut self, event: &PastEvent) {
        let Some(kind) = self.registry.get(event.kind) else { return };
        let fresh = || kind.load(None, &[]).map_err(|error| error.to_string());
        let state = self.states.entry(event.actor).or_insert_with(fresh);
        if let Ok(instance) = state
            && let Err(error) = instance.apply(&event.payload)
        {
            *state = Err(format!("event {} of {}: {error}", event.number, event.stream));
        }
    }

    fn compare(&self, lost: &[(Sequence, Sequence)], found: &mut Refolded) {
        let incomplete = self.incomplete();
        for stream in incomplete.iter().filter(|_| lost.is_empty()) {
            let (_, count) = self.seen.get(stream).copied().unwrap_or_default();
            let told = self.live.streams.get(stream).map_or(0, |head| head.count);
            found.problems.push(format!("{stream}: its root says {told} events, and {count} are there"));
        }
        for (actor, row) in &self.live.actors {
            match self.registry.get(row.kind) {
                None => found.unknown += 1,
                Some(_) if incomplete.contains(&row.stream) => found.incomplete += 1,
                Some(_) => match self.differs(*actor, row) {
                    None => found.actors += 1,
                    Some(problem) => found.problems.push(problem),
                },
            }
        }
    }

    /// Streams of which the events that are there are not all that their heads count.
    fn incomplete(&self) -> BTreeSet<StreamId> {
        let is_whole = |(stream, head): &(&StreamId, &Head)| {
            self.seen.get(stream).copied().unwrap_or_default() == (head.count, head.count)
        };
        self.live.streams.iter().filter(|stream| !is_whole(stream)).map(|(stream, _)| *stream).collect()
    }

    /// How the state of an actor by its events differs from the one by its row.
    fn differs(&self, actor: ActorId, row: &Actor) -> Option<String> {
        let kind = self.registry.get(row.kind)?;
        let stored = match kind.load(row.snapshot.as_ref(), &row.events) {
            Ok(stored) => stored.snapshot(),
            Err(error) => return Some(format!("{actor}: its row cannot be loaded: {error}")),
        };
        let folded = match self.states.get(&actor) {
            Some(Ok(instance)) => instance.snapshot(),
            Some(Err(error)) => return Some(format!("{actor}: its events cannot be folded: {error}")),
            None => kind.load(None, &[]).ok()?.snapshot(),
        };
        (folded != stored).then(|| {
            format!("{actor} ({}): its row is not what its events come to; rows are built again by `headframe store repair`", kind.name())
        })
    }
}

impl Live {
    /// What does not hang together, in sentences: actors without parents, calls without callers, timers that their actors
    /// know nothing of. Of use on a whole state only: what is not in memory is missing.
    #[must_use]
    pub fn loose_ends(&self) -> Vec<String> {
        let mut wrong = structure(self);
        wrong.extend(timers(self));
        wrong.sort();
        wrong
    }
}

/// Timers whose entry and whose actor do not say the same.
fn timers(live: &Live) -> Vec<String> {
    let mut told: BTreeMap<_, _> = live.timers.iter().map(|(key, generation)| (*key, *generation)).collect();
    let mut wrong = Vec::new();
    for (actor, row) in &live.actors {
        for timer in &row.timers {
            if told.remove(&(timer.due_ms, *actor, timer.name)) != Some(timer.generation) {
                wrong.push(format!("{actor}: nobody waits for its timer {} to come due", timer.name));
            }
        }
    }
    let left =
        told.into_keys().map(|(_, actor, name)| format!("{actor}: it does not know of the timer {name} that is set"));
    wrong.extend(left);
    wrong
}

/// Parents, children, callers and roots that do not say the same of each other.
fn structure(live: &Live) -> Vec<String> {
    let (mut children, mut calls) = (BTreeMap::<ActorId, u32>::new(), BTreeMap::<ActorId, u32>::new());
    let mut wrong = Vec::new();
    for (call, row) in &live.calls {
        *calls.entry(row.caller).or_default() += 1;
        if !live.actors.contains_key(&row.caller) {
            wrong.push(format!("{call}: the actor that waits for it is gone"));
        }
    }
    for (actor, row) in &live.actors {
        *children.entry(row.parent).or_default() += 1;
        if row.parent != ActorId::ENGINE && !live.actors.contains_key(&row.parent) {
            wrong.push(format!("{actor}: its parent is gone"));
        }
        if !live.streams.contains_key(&row.stream) {
            wrong.push(format!("{actor}: the root of its stream is gone"));
        }
    }
    for (actor, row) in &live.actors {
        let counted = (children.get(actor).copied().unwrap_or_default(), calls.get(actor).copied().unwrap_or_default());
        if counted != (row.children, row.calls) {
            let ((children, calls), (told, waits)) = (counted, (row.children, row.calls));
            wrong.push(format!(
                "{actor}: it says {told} children and {waits} calls, and {children} and {calls} are there"
            ));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::record::Op;

    #[test]
    fn a_timer_and_its_actor_that_do_not_say_the_same_are_loose_ends() {
        let (actor, stream) = (ActorId(0x100), StreamId(0x100));
        let mut live = Live::default();
        live.apply(Sequence(1), 0, &Op::Spawn { actor, kind: 1, parent: ActorId::ENGINE, stream });
        live.apply(Sequence(1), 0, &Op::Timer { actor, name: 7, generation: 1, due_ms: 50 });
        assert_eq!(live.loose_ends(), [""; 0]);

        let mut forgotten = live.clone();
        forgotten.timers.clear();
        assert_eq!(forgotten.loose_ends(), ["actor_100: nobody waits for its timer 7 to come due"]);

        let mut stray = live;
        stray.actors.values_mut().for_each(|row| row.timers.clear());
        assert_eq!(stray.loose_ends(), ["actor_100: it does not know of the timer 7 that is set"]);
    }
}
