//! The ractor actor that hosts one durable actor.
//!
//! Its ractor mailbox is a doorbell: the messages lie in the accepted view. A panic kills it, and nothing of the broken
//! turn was visible to anyone; the keeper loads the actor again.
//!
//! **Invariant:** what a host knows is what its last accepted commit left; when a commit is refused, the host ends.

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::{
    accepted::{Activation, Commit, Receipt},
    behavior::At,
    entry::Entry,
    id::ActorId,
    kind::{Instance, Taken, TurnInput},
    outbox::Outbox,
    system::{Inner, Unaccepted},
};

/// Turns taken for one ring of the bell, before others get the thread.
const TURNS_AT_ONCE: usize = 32;

/// There is something in the mailbox.
#[derive(Debug)]
pub(crate) struct Ring;

/// Hosts one durable actor.
pub(crate) struct Host;

/// What a host keeps in memory.
pub(crate) struct Hosted {
    inner: Arc<Inner>,
    actor: ActorId,
    active: Option<Active>,
}

struct Active {
    activation: Activation,
    instance: Box<dyn Instance>,
    event_bytes: usize,
    snapshot_bytes: usize,
}

impl Actor for Host {
    type Msg = Ring;
    type State = Hosted;
    type Arguments = (Arc<Inner>, ActorId);

    async fn pre_start(&self, _: ActorRef<Ring>, (inner, actor): Self::Arguments) -> Result<Hosted, ActorProcessingErr> {
        Ok(Hosted { inner, actor, active: None })
    }

    async fn handle(&self, myself: ActorRef<Ring>, _: Ring, hosted: &mut Hosted) -> Result<(), ActorProcessingErr> {
        if let Step::End = hosted.take_turns(&myself) {
            hosted.inner.directory.forget(hosted.actor, &myself.get_cell());
            myself.stop(None);
        }
        Ok(())
    }
}

enum Step {
    Rest,
    End,
}

impl Hosted {
    fn take_turns(&mut self, myself: &ActorRef<Ring>) -> Step {
        let mut next = self.inner.head(self.actor);
        for _ in 0..TURNS_AT_ONCE {
            let Some(entry) = next else { return Step::Rest };
            if self.active.is_none() && !self.load() {
                return Step::End;
            }
            match self.take(&entry) {
                Ok(receipt) if receipt.stopped => return Step::End,
                Ok(receipt) => next = receipt.next,
                Err(Unaccepted::Closed | Unaccepted::Fenced) => return Step::End,
                // The behaviour broke a rule: die of it, so that the message is counted and in the end given up.
                Err(Unaccepted::Broken(rule)) => panic!("{rule}"),
            }
        }
        // Others first; the rest is still in the mailbox. A bell that cannot be rung is that of a host which is ending,
        // and its keeper looks at the mailbox again.
        let _ = myself.send_message(Ring);
        Step::Rest
    }

    fn load(&mut self) -> bool {
        match self.inner.load(self.actor) {
            Some((activation, instance)) => {
                let event_bytes = activation.events.iter().map(bytes::Bytes::len).sum();
                let snapshot_bytes = activation.snapshot.as_ref().map_or(0, bytes::Bytes::len);
                self.active = Some(Active { activation, instance, event_bytes, snapshot_bytes });
                true
            }
            None => false,
        }
    }

    fn take(&mut self, entry: &Entry) -> Result<Receipt, Unaccepted> {
        let active = self.active.as_mut().expect("loaded before the first turn");
        let (outbox, dirty) = active.turn(&self.inner, self.actor, entry);
        let commit = Commit {
            actor: self.actor,
            activation: active.activation.number,
            version: active.activation.version,
            entry: entry.number,
            outbox,
        };
        active.activation.version += 1;
        let receipt = self.inner.accept(commit)?;
        if dirty {
            self.active = None;
        }
        Ok(receipt)
    }
}

impl Active {
    fn turn(&mut self, inner: &Inner, actor: ActorId, entry: &Entry) -> (Outbox, bool) {
        let at = At {
            me: actor,
            parent: self.activation.parent,
            stream: self.activation.stream,
            version: self.activation.version,
            entry: entry.number,
            now_ms: entry.accepted_at,
            ids: &inner.ids,
            extensions: &inner.extensions,
        };
        match self.instance.turn(TurnInput { at, body: &entry.body }) {
            Taken::Done(mut outbox) => {
                self.snapshot_if_due(&mut outbox);
                (outbox, false)
            }
            Taken::Rejected { rejection, dirty } => (Outbox::rejected(rejection.reason), dirty),
        }
    }

    /// A snapshot is taken when the events since the last are larger than it: writes stay within twice the events.
    fn snapshot_if_due(&mut self, outbox: &mut Outbox) {
        const LEAST: usize = 4 * 1024;
        self.event_bytes += outbox.events.iter().map(bytes::Bytes::len).sum::<usize>();
        if self.event_bytes > self.snapshot_bytes.max(LEAST) && !outbox.stop {
            let snapshot = self.instance.snapshot();
            self.snapshot_bytes = snapshot.len();
            self.event_bytes = 0;
            outbox.snapshot = Some(snapshot);
        }
    }
}
