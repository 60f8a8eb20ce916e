//! How actors end: by themselves, by the death of a temporary one, with their parent, or with their significant children.
//!
//! Whoever is ended by others first takes no more turns (`begin_to_end`); then, once everyone below is in memory, the
//! same holds for them, and their calls are asked to stop; once no call is without an outcome, all of them end in one
//! commit, children before their parents (`end`). A crash anywhere between leaves rows that say so, and the next start
//! goes on.
//!
//! **Invariants:** nobody with a call that has no outcome is ended; what was told to an actor that is ended by others,
//! and not taken, lies with the dead letters; its parent is told in the commit that ends it.

use super::{Accepted, Receipt};
use crate::{
    durable::{
        care::{Care, Supervised},
        entry::{Body, Fate},
        id::{ActorId, CallId, StreamId},
        live::Actor,
        record::{Note, Op},
        supervision::AutoShutdown,
    },
    mutant::Mutant,
};

/// What came of an attempt to end an actor and everything below it.
#[derive(Debug)]
pub(crate) enum Ended {
    /// They are gone, or calls are waited for: whoever gets their answers goes on.
    Done(Receipt),
    /// The tree changed, or left memory: look again.
    LookAgain,
}

impl Accepted {
    /// A child is looked after in a way of its own.
    pub(super) fn look_after(&mut self, child: ActorId, parent: ActorId, care: Care) {
        self.set_supervised(child, |supervised| supervised.care = care);
        if care.is_significant {
            self.set_supervised(parent, |supervised| supervised.significants += 1);
        }
    }

    fn set_supervised(&mut self, actor: ActorId, change: impl FnOnce(&mut Supervised)) {
        let Some(mut supervised) = self.live.actors.get(&actor).map(|row| row.supervised) else { return };
        change(&mut supervised);
        self.push(Op::Supervised { actor, supervised });
    }

    /// An actor ended by itself.
    pub(super) fn finish(&mut self, actor: ActorId, at: u32, receipt: &mut Receipt) {
        self.refuse_askers(actor);
        if Mutant::LateMessageRevives.is_chosen() && self.head(actor).is_some() {
            return;
        }
        if let Some((parent, supervised)) = self.live.actors.get(&actor).map(|row| (row.parent, row.supervised)) {
            self.push(Op::Ended { actor, parent });
            self.significant_ended(actor, parent, supervised.care, at, receipt);
        }
        self.activations.remove(&actor);
    }

    /// Whoever waits for a reply to a message that will not be taken any more hears of it.
    fn refuse_askers(&mut self, actor: ActorId) {
        let Some(row) = self.live.actors.get(&actor) else { return };
        let askers: Vec<_> = row.mailbox.iter().filter_map(|entry| entry.reply).collect();
        for token in askers {
            self.reply(token, Err("the actor has finished".to_owned()));
        }
    }

    /// The host of a temporary actor died, of the message `entry` if that is known: the actor takes no more turns and is
    /// to be ended.
    pub(crate) fn begin_to_end(&mut self, now_ms: u64, actor: ActorId, entry: Option<u64>, reason: &str) -> Receipt {
        let at = self.begin(now_ms, 1_024);
        let mut receipt = Receipt { sequence: self.open.sequence(), ..Receipt::default() };
        if let Some(entry) = entry {
            self.put_aside(actor, at, entry, reason);
        }
        self.doom(actor, at, reason, &mut receipt);
        receipt
    }

    fn doom(&mut self, actor: ActorId, at: u32, reason: &str, receipt: &mut Receipt) {
        if self.live.actors.get(&actor).is_some_and(|row| !row.supervised.is_ending) {
            self.write_note(actor, at, Note::Ending { reason: reason.to_owned() });
            self.condemn(actor, reason);
            receipt.ending.push(actor);
        }
    }

    /// No turn of the actor is accepted from here on.
    fn condemn(&mut self, actor: ActorId, reason: &str) {
        self.push(Op::Suspend { actor, reason: reason.to_owned() });
        self.set_supervised(actor, |supervised| supervised.is_ending = true);
        self.activations.remove(&actor);
    }

    /// The highest of those above an actor, or itself, with whom it is being ended; with its stream, and whether it has
    /// children.
    pub(crate) fn topmost_ending(&self, actor: ActorId) -> Option<(ActorId, StreamId, bool)> {
        let ending = |actor: ActorId| self.live.actors.get(&actor).filter(|row| row.supervised.is_ending);
        let (mut top, mut row) = (actor, ending(actor)?);
        while let Some(parent) = ending(row.parent) {
            (top, row) = (row.parent, parent);
        }
        Some((top, row.stream, row.children > 0))
    }

    /// After a start: those whom the former life did not come to end.
    pub(crate) fn all_ending(&self) -> Vec<ActorId> {
        let ending = self.live.actors.iter().filter(|(_, row)| row.supervised.is_ending && !self.is_held_row(row));
        ending.map(|(actor, _)| *actor).collect()
    }

    fn is_held_row(&self, row: &Actor) -> bool {
        self.held.contains(&row.stream)
    }

    /// Go on ending `top` and these actors, which are all that is below it.
    pub(crate) fn end(&mut self, now_ms: u64, top: ActorId, members: &[ActorId]) -> Ended {
        let all: Vec<_> = members.iter().copied().chain([top]).collect();
        let Some(reason) = self.live.actors.get(&top).and_then(|row| row.suspended.clone()) else {
            // Somebody else came first.
            return if self.is_cold(top) { Ended::LookAgain } else { Ended::Done(Receipt::default()) };
        };
        let rows = || all.iter().filter_map(|actor| self.live.actors.get(actor));
        let (calls, children, living) = rows()
            .fold((0, 0, 0), |(calls, children, living), row| (calls + row.calls, children + row.children, living + 1));
        if all.iter().any(|actor| self.is_cold(*actor)) {
            return Ended::LookAgain;
        }
        let is_whole = children + 1 == living;
        let at = self.begin(now_ms, 1_024 + 64 * all.len());
        let mut receipt = Receipt { sequence: self.open.sequence(), ..Receipt::default() };
        if is_whole && calls == 0 {
            self.end_all(top, members, at, &reason, &mut receipt);
            return Ended::Done(receipt);
        }
        // Whoever is known makes no more children, so a tree that grows while it is looked at is whole in the end.
        for actor in members {
            if self.live.actors.get(actor).is_some_and(|row| !row.supervised.is_ending) {
                self.condemn(*actor, &reason);
            }
        }
        if !is_whole {
            return Ended::LookAgain;
        }
        receipt.cancelled = self.calls_of(&all);
        Ended::Done(receipt)
    }

    /// Calls of these actors that have no outcome.
    pub(super) fn calls_of(&self, callers: &[ActorId]) -> Vec<CallId> {
        let callers: rustc_hash::FxHashSet<_> = callers.iter().collect();
        self.live.calls.iter().filter(|(_, row)| callers.contains(&row.caller)).map(|(call, _)| *call).collect()
    }

    fn end_all(&mut self, top: ActorId, members: &[ActorId], at: u32, reason: &str, receipt: &mut Receipt) {
        for actor in members.iter().chain([&top]) {
            self.clear_mailbox(*actor, at, reason);
        }
        self.end_leaves(members);
        let Some((parent, care)) = self.live.actors.get(&top).map(|row| (row.parent, row.supervised.care)) else {
            return;
        };
        self.end_leaves(&[top]);
        if parent != ActorId::ENGINE {
            let fate = Fate::Ended { child: top, reason: reason.to_owned() };
            self.deliver(parent, at, Body::Fate(fate), None, receipt);
        }
        self.significant_ended(top, parent, care, at, receipt);
    }

    /// What was told to an actor that others end is not lost without a word.
    fn clear_mailbox(&mut self, actor: ActorId, at: u32, reason: &str) {
        self.refuse_askers(actor);
        let Some(row) = self.live.actors.get_mut(&actor) else { return };
        for entry in std::mem::take(&mut row.mailbox) {
            // The row goes in this commit; only what is not on disk yet must not get there.
            self.open.take_back(entry.place);
            if matches!(entry.body, Body::Message(_)) {
                self.give_up(actor, at, format!("late: the actor was ended: {reason}"), entry.body);
            }
        }
    }

    /// A child ended by itself and does not come back: perhaps its parent ends with it.
    fn significant_ended(&mut self, child: ActorId, parent: ActorId, care: Care, at: u32, receipt: &mut Receipt) {
        if !care.is_significant {
            return;
        }
        self.set_supervised(parent, |supervised| supervised.significants = supervised.significants.saturating_sub(1));
        let Some(row) = self.live.actors.get(&parent) else { return };
        let ends = match self.auto_shutdowns.get(&row.kind) {
            None | Some(AutoShutdown::Never) => false,
            Some(AutoShutdown::AnySignificant) => true,
            Some(AutoShutdown::AllSignificant) => row.supervised.significants == 0,
        };
        if ends {
            self.doom(parent, at, &format!("it ends with its significant child {child}"), receipt);
        }
    }
}
