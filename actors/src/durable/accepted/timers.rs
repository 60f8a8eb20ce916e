//! Timers in the accepted view: set, cleared, and turned into messages.
//!
//! **Invariants:** clearing a timer, or setting it again, takes back a firing that was not taken yet. What came due for an
//! actor is in its mailbox before what is accepted for it later.

use std::collections::VecDeque;

use super::{Accepted, Receipt};
use crate::{
    durable::{
        entry::{Body, Entry, Fired},
        id::ActorId,
        live::Timer,
        outbox::TimerChange,
        record::Op,
    },
    mutant::Mutant,
};

impl Accepted {
    pub(super) fn timer(&mut self, actor: ActorId, change: TimerChange) {
        self.drop_firings(actor, change.name);
        match change.due_ms {
            Some(due_ms) => {
                self.generations += 1;
                self.push(Op::Timer { actor, name: change.name, generation: self.generations, due_ms });
            }
            None => _ = self.push(Op::TimerGone { actor, name: change.name }),
        }
    }

    /// Clearing a timer also takes back a firing that was not delivered yet.
    fn drop_firings(&mut self, actor: ActorId, name: u32) {
        if Mutant::ClearLeavesFiring.is_chosen() {
            return;
        }
        let Some(row) = self.live.actors.get_mut(&actor) else { return };
        let is_firing = |entry: &Entry| matches!(&entry.body, Body::Fired(fired) if fired.name == name);
        let (gone, kept): (VecDeque<_>, VecDeque<_>) = row.mailbox.drain(..).partition(is_firing);
        row.mailbox = kept;
        for entry in gone {
            if !self.open.take_back(entry.place) {
                self.push(Op::Discard { actor, number: entry.number });
            }
        }
    }

    /// Put what came due for an actor before this moment into its mailbox.
    pub(super) fn fire_before(&mut self, to: ActorId, at: u32, receipt: &mut Receipt) {
        if Mutant::TimerTakenLate.is_chosen() {
            return;
        }
        let now_ms = self.open.base_ms() + u64::from(at);
        let Some(row) = self.live.actors.get(&to).filter(|row| !row.timers.is_empty()) else { return };
        let mut due: Vec<_> = row.timers.iter().filter(|timer| timer.due_ms <= now_ms).copied().collect();
        due.sort_unstable_by_key(|timer| (timer.due_ms, timer.name));
        for Timer { name, generation, due_ms, .. } in due {
            self.push(Op::TimerGone { actor: to, name });
            self.put_into_mailbox(to, at, Body::Fired(Fired { name, generation, due_ms }), None, receipt);
        }
    }

    /// Turn due timers into messages; at most so many at once. Those of actors that are not in memory stay as they are.
    pub(crate) fn fire(&mut self, now_ms: u64, most: usize) -> Receipt {
        let early_ms = if Mutant::TimerFiresEarly.is_chosen() { 5 } else { 0 };
        let due = self.live.timers.range(..(now_ms.saturating_add(1 + early_ms), ActorId(0), 0));
        let is_ready = |actor: ActorId| !self.is_held(actor) && !self.is_cold(actor);
        let due: Vec<_> =
            due.filter(|((_, actor, _), _)| is_ready(*actor)).take(most).map(|(key, set)| (*key, *set)).collect();
        let mut receipt = Receipt { sequence: self.open.sequence(), ..Receipt::default() };
        for (key, generation) in due {
            if !self.live.confirm_timer(key, generation) {
                continue;
            }
            let (due_ms, actor, name) = key;
            let at = self.begin(now_ms, 64);
            receipt.sequence = self.open.sequence();
            self.push(Op::TimerGone { actor, name });
            self.put_into_mailbox(actor, at, Body::Fired(Fired { name, generation, due_ms }), None, &mut receipt);
        }
        receipt
    }

    pub(crate) fn next_due_ms(&self) -> Option<u64> {
        self.live.timers.keys().find(|(_, actor, _)| !self.is_held(*actor)).map(|(due_ms, ..)| *due_ms)
    }
}
