//! An actor in memory: its activation, its state, and how one message becomes one commit.
//!
//! Shared by the hosts and the simulation, so that both take turns in the same way.

use bytes::Bytes;

use super::{
    about::About,
    accepted::{Activation, Commit},
    behavior::At,
    entry::Entry,
    id::ActorId,
    kind::{Extensions, Ids, Instance, Registry, Taken, TurnInput},
    outbox::Outbox,
};

/// A snapshot is not worth its bytes before the events are larger than this.
const SNAPSHOT_LEAST: usize = 4 * 1024;

/// An actor in memory.
pub(crate) struct Hosted {
    activation: Activation,
    instance: Box<dyn Instance>,
    event_bytes: usize,
    snapshot_bytes: usize,
    /// A refused message left its marks on the state, which must be loaded again.
    pub(crate) is_dirty: bool,
}

impl Hosted {
    /// Fold the state of a new activation.
    pub(crate) fn load(registry: &Registry, activation: Activation) -> Result<Self, String> {
        let kind = registry
            .get(activation.kind)
            .ok_or_else(|| format!("no behaviour of kind {:#010x} is registered", activation.kind))?;
        let instance =
            kind.load(activation.snapshot.as_ref(), &activation.events).map_err(|error| error.to_string())?;
        Ok(Self {
            event_bytes: activation.events.iter().map(Bytes::len).sum(),
            snapshot_bytes: activation.snapshot.as_ref().map_or(0, Bytes::len),
            activation,
            instance,
            is_dirty: false,
        })
    }

    /// Which activation this is.
    #[cfg(test)]
    pub(crate) fn activation(&self) -> u64 {
        self.activation.number
    }

    pub(crate) fn kind(&self) -> u32 {
        self.activation.kind
    }

    /// Where it belongs, for logs.
    pub(crate) fn about(&self, extensions: &Extensions) -> Option<About> {
        self.instance.about(extensions)
    }

    /// Take one message.
    pub(crate) fn take(&mut self, actor: ActorId, entry: &Entry, ids: &Ids, extensions: &Extensions) -> Commit {
        let at = At {
            me: actor,
            parent: self.activation.parent,
            stream: self.activation.stream,
            version: self.activation.version,
            entry: entry.number,
            now_ms: entry.accepted_at,
            ids,
            extensions,
        };
        let outbox = match self.instance.turn(TurnInput { at, body: &entry.body }) {
            Taken::Done(mut outbox) => {
                self.snapshot_if_due(&mut outbox);
                outbox
            }
            Taken::Rejected { rejection, dirty } => {
                self.is_dirty = dirty;
                Box::new(Outbox::rejected(rejection))
            }
        };
        let version = self.activation.version;
        self.activation.version += 1;
        Commit { actor, activation: self.activation.number, version, entry: entry.number, outbox }
    }

    /// A snapshot is taken when the events since the last are larger than it: writes stay within twice the events.
    fn snapshot_if_due(&mut self, outbox: &mut Outbox) {
        self.event_bytes += outbox.events.iter().map(Bytes::len).sum::<usize>();
        if self.event_bytes > self.snapshot_bytes.max(SNAPSHOT_LEAST) && !outbox.stop {
            let snapshot = self.instance.snapshot();
            self.snapshot_bytes = snapshot.len();
            self.event_bytes = 0;
            outbox.snapshot = Some(snapshot);
        }
    }
}
