//! A behaviour by itself, without an accepted view: it hears messages, and is compared with what it wrote.

use bytes::Bytes;

use crate::durable::{
    ActorId, Behavior, Body, CallId, Extensions, Ids, Registry, StreamId, codec,
    sim::{At, Instance, Kind, Taken, TurnInput, rewritten},
};

/// Itself, and its parent.
const ME: ActorId = ActorId(0x0107);
const PARENT: ActorId = ActorId(0x0007);
/// When it hears the first message.
const DAWN_MS: u64 = 1_700_000_000_000;

pub(super) struct Machine {
    kind: std::sync::Arc<dyn Kind>,
    instance: Box<dyn Instance>,
    rewritten: fn(&[u8]) -> Result<Bytes, codec::Error>,
    ids: Ids,
    pub(super) events: Vec<Bytes>,
    /// Calls that it made, and children that it has.
    pub(super) calls: Vec<CallId>,
    pub(super) children: Vec<ActorId>,
    pub(super) has_begun: bool,
    pub(super) has_stopped: bool,
    pub(super) taken: u64,
    pub(super) refused: u64,
}

impl Machine {
    pub(super) fn of<B: Behavior>() -> Self {
        let registry = Registry::new().with::<B>();
        let kind = registry.get(codec::fnv1a(B::KIND)).expect("it was just registered").clone();
        let instance = kind.load(None, &[]).expect("nothing was written");
        Self {
            kind,
            instance,
            rewritten: rewritten::<B>,
            ids: Ids::after(1_000),
            events: Vec::new(),
            calls: Vec::new(),
            children: Vec::new(),
            has_begun: false,
            has_stopped: false,
            taken: 0,
            refused: 0,
        }
    }

    /// Take a message, and compare; says what is wrong.
    pub(super) fn hears(&mut self, body: &Body, extensions: &Extensions) -> Result<(), String> {
        let before = self.instance.snapshot();
        let turns = self.taken + self.refused;
        let at = At {
            me: ME,
            parent: PARENT,
            stream: StreamId(1),
            version: turns,
            entry: turns,
            now_ms: DAWN_MS + turns * 1_000,
            ids: &self.ids,
            extensions,
        };
        match self.instance.turn(TurnInput { at, body }) {
            Taken::Done(outbox) => {
                self.taken += 1;
                self.has_begun |= !outbox.events.is_empty();
                for event in &outbox.events {
                    let again =
                        (self.rewritten)(event).map_err(|error| format!("an event does not decode: {error}"))?;
                    same(&again, event, "an event is written otherwise than it was read", body)?;
                }
                self.events.extend(outbox.events.iter().cloned());
                self.calls.extend(outbox.calls.iter().map(|(call, ..)| *call));
                self.children.extend(outbox.spawns.iter().map(|spawned| spawned.id));
                self.has_stopped = outbox.stop;
            }
            Taken::Rejected { dirty, .. } => {
                self.refused += 1;
                if dirty {
                    self.instance = self.fold()?;
                }
                same(&self.instance.snapshot(), &before, "a refused message left its mark", body)?;
            }
        }
        same(&self.instance.snapshot(), &self.fold()?.snapshot(), "live state is not the fold of the events", body)
    }

    fn fold(&self) -> Result<Box<dyn Instance>, String> {
        self.kind.load(None, &self.events).map_err(|error| format!("what was emitted cannot be folded: {error}"))
    }
}

fn same(found: &Bytes, wanted: &Bytes, what: &str, body: &Body) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{what}, after {body:?}: {found:?} and {wanted:?}")) }
}
