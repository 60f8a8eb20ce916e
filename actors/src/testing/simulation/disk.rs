//! Records on their way to the disk, rows, and deaths.

use super::{
    Simulation,
    life::{Life, Writing, mailboxes},
    rest,
};
use crate::durable::{
    ActorId, Row, RowState, seal_record,
    sim::fetch,
    store::{Checkpoint, Store as _, Tail},
};

impl Simulation {
    /// A record goes to the disk and is acknowledged, all at once.
    pub(super) fn sync(&mut self) -> bool {
        self.seal() && self.acknowledge()
    }

    /// A record goes to the disk, one at a time.
    pub(super) fn seal(&mut self) -> bool {
        if self.life.writing.is_some() {
            return false;
        }
        let Some(sealed) = self.life.accepted.seal() else { return false };
        let mailboxes = if self.manner.deliver_durable { mailboxes(self.life.accepted.live()) } else { [].into() };
        self.life.writing = Some(Writing { sealed, mailboxes, seen: self.row() });
        true
    }

    /// The record that was on its way is durable: what waited for it leaves.
    pub(super) fn acknowledge(&mut self) -> bool {
        let Some(Writing { sealed, mailboxes, seen }) = self.life.writing.take() else { return false };
        let payload = seal_record(&sealed);
        self.store.append(self.life.fence, sealed.sequence, &payload).expect("the simulated disk works");
        self.client.hears(sealed.sequence, seen);
        self.life.deliverable.extend(mailboxes);
        self.life.runnable.extend(self.life.held.drain(..));
        self.life.calls.extend(sealed.effects.calls.iter().map(|(_, call)| *call));
        for (_, call) in sealed.effects.started {
            self.invoke(call);
        }
        if self.manner.checkpoints.is_some_and(|every| sealed.sequence.0.is_multiple_of(every)) {
            self.checkpoint(None);
        }
        true
    }

    /// Memory is gone. Of the record that was on its way, or else of the one that was being filled, this is left.
    pub(super) fn die(&mut self, tail: Tail) {
        if self.manner.checkpoints.is_some() {
            // Somewhere on the way, and somewhere else each time.
            self.checkpoint(Some(usize::try_from(self.life.commits % 7).expect("small")));
            self.store = self.store.revived();
        }
        let writing = self.life.writing.take().map(|writing| writing.sealed);
        if let Some(sealed) = writing.or_else(|| self.life.accepted.seal()) {
            self.store.fail_at(1, tail);
            let payload = seal_record(&sealed);
            let refused = self.store.append(self.life.fence, sealed.sequence, &payload);
            assert!(refused.is_err(), "the record was to be the last of its life");
        }
        self.crashes += 1;
        self.commits_before += self.life.commits;
        self.store = self.store.reopen();
        rest::after_a_death(self);
        self.life = Life::begin(&self.store);
        self.resume();
    }

    /// What a start does: doubt what was under way, take up every other call, ring who has mail. A probe whose need is
    /// only known now is taken up once that is durable.
    fn resume(&mut self) {
        let callers = self.life.accepted.callers_to_look_at(self.clock_ms, false);
        self.bring(callers);
        let is_probing = |row: &Row| matches!(row.state, RowState::Probing(_));
        let calls = &self.life.accepted.live().calls;
        let probing: Vec<_> = calls.iter().filter(|(_, row)| is_probing(row)).map(|(call, _)| *call).collect();
        self.life.calls.extend(probing);
        let receipt = self.life.accepted.doubt_calls_of_the_last_life(self.clock_ms);
        self.life.runnable.extend(receipt.ring);
        let live = self.life.accepted.live();
        let intended = live.calls.iter().filter(|(_, row)| row.state == RowState::Intended).map(|(call, _)| *call);
        self.life.calls.extend(intended);
        let mut mail: Vec<_> =
            live.actors.iter().filter(|(_, row)| !row.mailbox.is_empty()).map(|(actor, _)| *actor).collect();
        mail.sort_unstable();
        self.life.runnable.extend(mail);
    }

    /// Write rows, up to a crash after so many if there is one, and let everything leave memory that may.
    fn checkpoint(&mut self, crash_after: Option<usize>) {
        let Some(boundary) = self.life.accepted.boundary().filter(|last| *last == self.store.durable()) else { return };
        let idle: Vec<_> =
            self.life.hosts.keys().filter(|actor| self.life.accepted.is_idle(**actor)).copied().collect();
        for actor in idle {
            self.life.hosts.remove(&actor);
            self.life.accepted.release(actor);
        }
        let mut capture = self.life.accepted.begin_capture();
        while self.life.accepted.capture(&mut capture, 3) {}
        if let Some(rows) = crash_after {
            self.store.fail_checkpoint_after(rows);
        }
        let checkpoint = Checkpoint {
            since: self.life.rows_at,
            from: boundary,
            to: boundary,
            meta: self.life.accepted.live().meta(),
            changes: &capture.changes,
        };
        let written = self.store.checkpoint(&checkpoint, &mut |_| true);
        match written {
            Ok(()) => {
                self.life.rows_at = boundary;
                let before = self.life.accepted.live().actors.len();
                self.life.accepted.checkpointed(capture.written());
                self.life.accepted.give_room_back();
                self.evicted += (before - self.life.accepted.live().actors.len()) as u64;
            }
            Err(_) => assert!(crash_after.is_some(), "the simulated disk works"),
        }
        rest::rows_are_as_the_records_say(&self.store);
    }

    /// Have actors in memory, or know that they are gone.
    pub(super) fn bring(&mut self, actors: Vec<ActorId>) {
        let Ok(Some(rows)) = self.store.open().map(|opened| opened.rows) else { return };
        for actor in actors.into_iter().filter(|actor| self.life.accepted.is_cold(*actor)).collect::<Vec<_>>() {
            let evictions = self.life.accepted.evictions(actor);
            let chain = fetch(&*rows, actor).expect("what was written can be read");
            assert!(self.life.accepted.bring(actor, evictions, chain), "nobody else evicts");
        }
    }
}
