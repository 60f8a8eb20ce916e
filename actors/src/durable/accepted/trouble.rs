//! What the runtime does to actors in trouble: give up a message, suspend, try again, tell the owner.

use super::{Accepted, Receipt};
use crate::{
    durable::{
        codec,
        entry::{Body, Fate},
        id::ActorId,
        live::DeadLetter,
        record::{NOTE, Note, Op},
    },
    mutant::Mutant,
};

impl Accepted {
    /// After a start: actors that were suspended are tried again; one that still cannot be loaded is suspended again.
    pub(crate) fn resume_suspended(&mut self, now_ms: u64) {
        let suspended = self.live.actors.iter().filter(|(_, row)| {
            row.suspended.is_some() && !row.supervised.is_ending && !self.held.contains(&row.stream)
        });
        let suspended: Vec<_> = suspended.map(|(actor, _)| *actor).collect();
        for actor in suspended {
            self.begin(now_ms, 24);
            self.push(Op::Resume { actor });
        }
    }

    /// Give up the head message: it goes to the dead letters, and the actor's owner is told. Without an owner the actor
    /// is suspended where everyone can see it.
    pub(crate) fn bury(&mut self, now_ms: u64, actor: ActorId, entry: u64, reason: &str) -> Receipt {
        let at = self.begin(now_ms, 1_024);
        let mut receipt = Receipt { sequence: self.open.sequence(), ..Receipt::default() };
        let Some(parent) = self.live.actors.get(&actor).map(|row| row.parent) else { return receipt };
        if !self.put_aside(actor, at, entry, reason) {
            return receipt;
        }
        self.write_note(actor, at, Note::Buried { reason: reason.to_owned() });
        let fate = Fate::Poisoned { child: actor, reason: reason.to_owned() };
        self.tell_owner(actor, parent, at, fate, reason, &mut receipt);
        if self.head(actor).is_some() {
            receipt.ring.push(actor);
        }
        receipt
    }

    /// Put the message at the head with the dead letters, if it is still there, because the actor died of it.
    pub(super) fn put_aside(&mut self, actor: ActorId, at: u32, entry: u64, reason: &str) -> bool {
        let Some(row) = self.live.actors.get_mut(&actor) else { return false };
        if row.mailbox.front().is_none_or(|head| head.number != entry) {
            return false;
        }
        let Some(head) = row.mailbox.pop_front() else { return false };
        if !self.open.take_back(head.place) {
            self.push(Op::Discard { actor, number: entry });
        }
        if let Some(token) = head.reply {
            self.reply(token, Err(format!("the actor died of the message: {reason}")));
        }
        self.give_up(actor, at, reason.to_owned(), head.body);
        true
    }

    /// The actor cannot be loaded: it keeps its mailbox and is not run.
    pub(crate) fn suspend(&mut self, now_ms: u64, actor: ActorId, reason: &str) -> Receipt {
        let at = self.begin(now_ms, 1_024);
        let mut receipt = Receipt { sequence: self.open.sequence(), ..Receipt::default() };
        let Some(parent) = self.live.actors.get(&actor).map(|row| row.parent) else { return receipt };
        self.write_note(actor, at, Note::Suspended { reason: reason.to_owned() });
        self.push(Op::Suspend { actor, reason: reason.to_owned() });
        if parent != ActorId::ENGINE {
            let fate = Fate::Suspended { child: actor, reason: reason.to_owned() };
            self.deliver(parent, at, Body::Fate(fate), None, &mut receipt);
        }
        receipt
    }

    /// An actor waits for nothing: its owner is told, or, without one, itself. Nothing if it moved meanwhile. `is_lacking`
    /// says that the calls or children that it counts are known to be missing.
    pub(crate) fn tell_of_stuck(
        &mut self,
        now_ms: u64,
        actor: ActorId,
        is_lacking: bool,
        reason: &str,
    ) -> Option<Receipt> {
        let row = self.live.actors.get(&actor)?;
        let has_none = is_lacking || (row.children == 0 && row.calls == 0);
        let is_idle = row.is_idle() && has_none && row.timers.is_empty() && row.suspended.is_none();
        let to = if row.parent == ActorId::ENGINE { actor } else { row.parent };
        if !is_idle || self.is_held(actor) {
            return None;
        }
        let at = self.begin(now_ms, 1_024);
        let mut receipt = Receipt { sequence: self.open.sequence(), ..Receipt::default() };
        let fate = Fate::Stuck { child: actor, reason: reason.to_owned() };
        self.deliver(to, at, Body::Fate(fate), None, &mut receipt);
        Some(receipt)
    }

    /// An actor outlived its parent: the root of its tree is told, which holds what waits for it. One that has no root
    /// either is ended, if nothing is below it or under way. Nothing if its parent is there.
    pub(crate) fn tell_of_orphan(&mut self, now_ms: u64, actor: ActorId, reason: &str) -> Option<Receipt> {
        let row = self.live.actors.get(&actor)?;
        let (parent, root, is_leaf) = (row.parent, ActorId(row.stream.0), row.children == 0 && row.calls == 0);
        if parent == ActorId::ENGINE || self.live.actors.contains_key(&parent) || self.is_held(actor) {
            return None;
        }
        let has_root = root != actor && self.live.actors.contains_key(&root);
        if !has_root && !is_leaf {
            return None;
        }
        let at = self.begin(now_ms, 1_024);
        let mut receipt = Receipt { sequence: self.open.sequence(), ..Receipt::default() };
        let fate = Body::Fate(Fate::Stuck { child: actor, reason: reason.to_owned() });
        if has_root {
            self.deliver(root, at, fate, None, &mut receipt);
        } else {
            self.end_orphan(actor, parent, at, reason, fate);
            receipt.stopped = true;
        }
        Some(receipt)
    }

    /// With its last root the stream is gone: what is known of its end lies with the dead letters, as does its mail.
    fn end_orphan(&mut self, actor: ActorId, parent: ActorId, at: u32, reason: &str, fate: Body) {
        let mail = self.live.actors.get_mut(&actor).map(|row| std::mem::take(&mut row.mailbox)).unwrap_or_default();
        for entry in mail {
            self.give_up(actor, at, format!("its actor was ended: {reason}"), entry.body);
            if let Some(token) = entry.reply {
                self.reply(token, Err("the actor was ended, because its parent is gone".to_owned()));
            }
        }
        self.give_up(actor, at, format!("the actor was ended: {reason}"), fate);
        self.push(Op::Ended { actor, parent });
        self.activations.remove(&actor);
    }

    /// Put a message with the dead letters.
    pub(super) fn give_up(&mut self, to: ActorId, at: u32, reason: String, body: Body) {
        if Mutant::DeadLetterLost.is_chosen() {
            return;
        }
        let letter = DeadLetter { to, at_ms: self.open.base_ms() + u64::from(at), reason, body };
        self.buried += 1;
        let key = self.live.next_dead_letter_key();
        self.index(key, Some(letter.seal()));
    }

    pub(super) fn tell_owner(
        &mut self,
        actor: ActorId,
        parent: ActorId,
        at: u32,
        fate: Fate,
        reason: &str,
        receipt: &mut Receipt,
    ) {
        if parent == ActorId::ENGINE {
            self.push(Op::Suspend { actor, reason: reason.to_owned() });
        } else {
            self.deliver(parent, at, Body::Fate(fate), None, receipt);
        }
    }

    /// Write into an actor's stream.
    pub(crate) fn note(&mut self, now_ms: u64, actor: ActorId, note: Note) {
        let at = self.begin(now_ms, 256);
        self.write_note(actor, at, note);
    }

    pub(super) fn write_note(&mut self, actor: ActorId, at: u32, note: Note) {
        debug_assert!(codec::seal(NOTE, &note).len() < 64 * 1024, "notes are short");
        // The ledger would have it, and the chain would not.
        assert!(!self.is_cold(actor), "a note of {actor} was written, and nobody had brought it into memory");
        self.push(Op::Note { actor, at, note });
        self.advance(actor);
    }
}
