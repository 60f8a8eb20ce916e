//! Behaviours without their types: what a host, a recovery and a simulation work with.

use std::{
    any::{Any, TypeId},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use rustc_hash::FxHashMap;
use serde_json::Value;

use super::{
    about::About,
    behavior::{At, Behavior, Rejection, Turn, event_format, message_format, state_format},
    call::Answer,
    codec,
    entry::Body,
    id::{ActorId, CallId, Partition},
    outbox::Outbox,
    supervision::{AutoShutdown, Policy},
};

/// Mints ids, alone in its cache line. Ids of turns that never became durable are skipped, never used again in this life.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Ids(AtomicU64);

impl Ids {
    /// Above every id that a store has seen.
    pub(crate) fn after(seen: u64) -> Self {
        Self(AtomicU64::new(seen))
    }

    pub(crate) fn actor(&self, partition: Partition) -> ActorId {
        ActorId(self.next() << 8 | u64::from(partition.0))
    }

    pub(crate) fn call(&self) -> CallId {
        CallId(self.next())
    }

    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// What decisions may use beside state and message, by type.
#[derive(Clone, Default)]
pub struct Extensions(Arc<FxHashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl Extensions {
    /// With one more.
    #[must_use]
    pub fn with<T: Send + Sync + 'static>(self, extension: Arc<T>) -> Self {
        let mut map = Arc::unwrap_or_clone(self.0);
        map.insert(TypeId::of::<T>(), extension);
        Self(Arc::new(map))
    }

    /// The one of this type.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>()).and_then(|extension| extension.downcast_ref())
    }
}

/// What a turn is taken with.
pub(crate) struct TurnInput<'a> {
    pub(crate) at: At<'a>,
    pub(crate) body: &'a Body,
}

/// What became of one message.
pub(crate) enum Taken {
    /// The turn's work.
    Done(Box<Outbox>),
    /// The message was refused; `dirty` says that events had been emitted, so the state must be loaded again.
    Rejected { rejection: Rejection, dirty: bool },
}

/// An actor's state in memory, whatever its behaviour.
pub(crate) trait Instance: Send {
    fn turn(&mut self, input: TurnInput<'_>) -> Taken;
    fn apply(&mut self, event: &[u8]) -> Result<(), codec::Error>;
    fn snapshot(&self) -> Bytes;
    fn about(&self, extensions: &Extensions) -> Option<About>;
}

/// A behaviour, whatever its type.
pub(crate) trait Kind: Send + Sync {
    fn name(&self) -> &'static str;
    /// The versions of its events and of its state.
    fn versions(&self) -> (u16, u16);
    fn may_rest(&self) -> bool;
    fn supervision(&self) -> Policy;
    fn load(&self, snapshot: Option<&Bytes>, events: &[Bytes]) -> Result<Box<dyn Instance>, codec::Error>;
    fn describe_event(&self, event: &[u8]) -> Result<Value, codec::Error>;
    fn describe_message(&self, message: &[u8]) -> Result<Value, codec::Error>;
}

struct Of<B>(std::marker::PhantomData<fn() -> B>);

struct Loaded<B: Behavior> {
    state: B::State,
}

fn read_event<B: Behavior>(sealed: &[u8]) -> Result<B::Event, codec::Error> {
    let format = event_format::<B>();
    let stored = codec::unwrap(format.type_id, sealed)?;
    if stored.format.version == B::VERSION { stored.decode() } else { B::migrate_event(stored) }
}

fn read_state<B: Behavior>(sealed: &[u8]) -> Result<B::State, codec::Error> {
    let format = state_format::<B>();
    let stored = codec::unwrap(format.type_id, sealed)?;
    if stored.format.version == B::STATE_VERSION { stored.decode() } else { B::migrate_state(stored) }
}

fn message_of<B: Behavior>(body: &Body) -> Result<B::Message, Rejection> {
    let unexpected = |what| Rejection::new(format!("a {} takes no {what}", B::KIND));
    match body {
        Body::Message(sealed) => codec::open(message_format::<B>(), sealed)
            .map_err(|error| Rejection::fatal(format!("the message does not decode: {error}"))),
        Body::Answer(answer) => B::on_answer(Answer::clone(answer)).ok_or_else(|| unexpected("answers")),
        Body::Fired(fired) => B::on_timer(*fired).ok_or_else(|| unexpected("timers")),
        Body::Fate(fate) => B::on_fate(fate.clone()).ok_or_else(|| unexpected("fates of children")),
    }
}

impl<B: Behavior> Instance for Loaded<B> {
    fn turn(&mut self, input: TurnInput<'_>) -> Taken {
        let mut outbox = Outbox::empty();
        let decided = message_of::<B>(input.body).and_then(|message| {
            let mut turn = Turn::<B> { state: &mut self.state, outbox: &mut outbox, at: input.at };
            B::decide(&mut turn, message)
        });
        let decided = decided.and_then(|()| match outbox.over_budget() {
            Some(reason) => Err(Rejection::fatal(reason)),
            None => Ok(()),
        });
        match decided {
            Ok(()) => Taken::Done(outbox),
            Err(rejection) => Taken::Rejected { rejection, dirty: !outbox.events.is_empty() },
        }
    }

    fn apply(&mut self, event: &[u8]) -> Result<(), codec::Error> {
        B::apply(&mut self.state, &read_event::<B>(event)?);
        Ok(())
    }

    fn snapshot(&self) -> Bytes {
        codec::seal(state_format::<B>(), &self.state)
    }

    fn about(&self, extensions: &Extensions) -> Option<About> {
        B::about(&self.state, extensions)
    }
}

impl<B: Behavior> Kind for Of<B> {
    fn name(&self) -> &'static str {
        B::KIND
    }

    fn versions(&self) -> (u16, u16) {
        (B::VERSION, B::STATE_VERSION)
    }

    fn may_rest(&self) -> bool {
        B::MAY_REST
    }

    fn supervision(&self) -> Policy {
        B::SUPERVISION
    }

    fn load(&self, snapshot: Option<&Bytes>, events: &[Bytes]) -> Result<Box<dyn Instance>, codec::Error> {
        let mut state = match snapshot {
            Some(sealed) => read_state::<B>(sealed)?,
            None => B::State::default(),
        };
        for event in events {
            B::apply(&mut state, &read_event::<B>(event)?);
        }
        Ok(Box::new(Loaded::<B> { state }))
    }

    fn describe_event(&self, event: &[u8]) -> Result<Value, codec::Error> {
        serde_json::to_value(read_event::<B>(event)?).map_err(|error| codec::Error::Payload(error.to_string()))
    }

    fn describe_message(&self, message: &[u8]) -> Result<Value, codec::Error> {
        let message: B::Message = codec::open(message_format::<B>(), message)?;
        serde_json::to_value(message).map_err(|error| codec::Error::Payload(error.to_string()))
    }
}

/// The behaviours that a store's actors may have.
#[derive(Clone, Default)]
pub struct Registry(FxHashMap<u32, Arc<dyn Kind>>);

impl Registry {
    /// Without any behaviour.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more behaviour.
    ///
    /// # Panics
    /// If two storage names hash to the same number: rename one.
    #[must_use]
    pub fn with<B: Behavior>(mut self) -> Self {
        let former = self.0.insert(codec::fnv1a(B::KIND), Arc::new(Of::<B>(std::marker::PhantomData)));
        if let Some(former) = former {
            assert_eq!(former.name(), B::KIND, "two storage names hash to the same number: rename one");
        }
        self
    }

    pub(crate) fn get(&self, kind: u32) -> Option<&Arc<dyn Kind>> {
        self.0.get(&kind)
    }

    /// The storage name of a kind, as people should see it.
    #[must_use]
    pub fn name(&self, kind: u32) -> &'static str {
        self.get(kind).map_or("unknown", |kind| kind.name())
    }

    /// The versions that all kinds write, by kind and part.
    pub(crate) fn versions(&self) -> std::collections::BTreeMap<String, u16> {
        let of = |kind: &Arc<dyn Kind>| {
            let (event, state) = kind.versions();
            [(format!("{} event", kind.name()), event), (format!("{} state", kind.name()), state)]
        };
        self.0.values().flat_map(of).collect()
    }

    /// The storage names of all kinds.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.values().map(|kind| kind.name())
    }

    /// Whether an actor of this kind may wait for nothing but the outside.
    pub(crate) fn may_rest(&self, kind: u32) -> bool {
        self.get(kind).is_none_or(|kind| kind.may_rest())
    }

    /// How the children of an actor of this kind are looked after.
    pub(crate) fn supervision(&self, kind: u32) -> Policy {
        self.get(kind).map_or(Policy::DEFAULT, |kind| kind.supervision())
    }

    /// The kinds whose actors end with their significant children.
    pub(crate) fn auto_shutdowns(&self) -> FxHashMap<u32, AutoShutdown> {
        let chosen = self.0.iter().map(|(kind, behavior)| (*kind, behavior.supervision().auto_shutdown));
        chosen.filter(|(_, chosen)| *chosen != AutoShutdown::Never).collect()
    }

    /// An event as JSON, if its kind is known and its bytes decode.
    #[must_use]
    pub fn describe_event(&self, kind: u32, event: &[u8]) -> Option<Value> {
        self.get(kind)?.describe_event(event).ok()
    }

    /// A message as JSON, if its kind is known and its bytes decode.
    #[must_use]
    pub fn describe_message(&self, kind: u32, message: &[u8]) -> Option<Value> {
        self.get(kind)?.describe_message(message).ok()
    }
}
