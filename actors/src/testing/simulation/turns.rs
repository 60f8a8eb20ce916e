//! Turns of actors, and what an operator or a keeper does in their place.

use super::Simulation;
use crate::durable::{Accepted, ActorId, Commit, Refused, sim::Hosted};

impl Simulation {
    pub(super) fn turn(&mut self) -> bool {
        let Some(actor) = self.next_runnable() else { return false };
        let Some(entry) = self.life.accepted.head(actor) else { return true };
        if self.manner.deliver_durable && self.life.deliverable.get(&actor).is_none_or(|last| *last < entry.number) {
            self.life.held.push(actor);
            return true;
        }
        self.manner.poison = self.manner.poison.map(|turns| turns - 1);
        if self.manner.poison == Some(0) {
            self.manner.poison = None;
            self.bury(actor, entry.number);
            return true;
        }
        if !self.life.hosts.contains_key(&actor) {
            let activation = self.life.accepted.activate(actor).expect("an actor with mail is there");
            self.life.hosts.insert(actor, Hosted::load(&self.registry, activation).expect("what was stored loads"));
        }
        let host = self.life.hosts.get_mut(&actor).expect("just loaded");
        let mut commit: Commit = host.take(actor, &entry, &self.life.ids, &self.extensions);
        let now_ms = self.clock_ms;
        // A fake tool is never caught running: what was not called yet did not begin in this life.
        let cancel = |accepted: &mut Accepted, call| accepted.cancel_idle(now_ms, call);
        let (receipt, told) = loop {
            match self.life.accepted.accept_and_cancel(now_ms, &mut commit, cancel) {
                Ok(accepted) => break accepted,
                Err(Refused::Cold(cold)) => self.bring(cold),
                Err(refused) => panic!("nobody else commits: {refused}"),
            }
        };
        self.life.commits += 1;
        self.life.runnable.extend(receipt.ring.into_iter().filter(|other| *other != actor));
        for told in told {
            self.life.runnable.extend(told.ring);
            self.life.commits += 1;
        }
        if receipt.stopped {
            self.life.hosts.remove(&actor);
        } else if receipt.next.is_some() {
            self.life.runnable.push_back(actor);
        }
        true
    }

    fn next_runnable(&mut self) -> Option<ActorId> {
        match &mut self.dice {
            Some(dice) if !self.life.runnable.is_empty() => {
                self.life.runnable.remove(dice.place(self.life.runnable.len()))
            }
            _ => self.life.runnable.pop_front(),
        }
    }

    /// As the keeper does after the fifth death by one message.
    fn bury(&mut self, actor: ActorId, entry: u64) {
        self.life.hosts.remove(&actor);
        let receipt = self.life.accepted.bury(self.clock_ms, actor, entry, "it died of this");
        self.life.runnable.extend(receipt.ring);
        self.life.commits += 1;
    }
}
