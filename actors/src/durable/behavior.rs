//! What a user writes: a pure, event-sourced state machine.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use super::{
    about::About,
    call::{Answer, Failure, Request},
    care::Care,
    codec::{self, Format, Stored},
    entry::{Body, Fate, Fired},
    id::{ActorId, CallId, StreamId},
    kind::{Extensions, Ids},
    meters::{Mark, Measure},
    outbox::{Address, Outbox, Spawned, TimerChange},
    supervision::Policy,
};

/// A durable actor's behaviour.
///
/// `decide` reads no clock, draws no random number and performs no I/O: what it needs of those is in the [`Turn`].
/// A decision may be taken again after a crash, from the same state and the same message, and must come out the same.
pub trait Behavior: Sized + Send + 'static {
    /// The storage name. Never changes once a store holds such an actor.
    const KIND: &'static str;
    /// The version of `State` and `Event`; raising it needs [`Behavior::migrate_event`] and [`Behavior::migrate_state`].
    /// A variant that is appended to an enum changes nothing of the others, and raises no version.
    const VERSION: u16;
    /// The version of `State`, where that alone has changed; raising it needs [`Behavior::migrate_state`].
    const STATE_VERSION: u16 = Self::VERSION;
    /// Whether an actor may be without mail, timers, calls and children and yet not be stuck, because somebody outside
    /// writes to it when they like.
    const MAY_REST: bool = true;
    /// How its children are looked after when their hosts die; [`Turn::spawn_with`] says what differs from child to
    /// child. It is code, not state: what a build declares holds for every actor of this kind.
    ///
    /// - `strategy`: whose hosts end with that of the child that died, to be loaded again: nobody's, those of all
    ///   children, or those of the children spawned later. `Dynamic` means what `OneForOne` does, because intensity counts
    ///   for each child alone.
    /// - `intensity`: of how many different messages a child may die within a period. Beyond it the child is suspended and
    ///   this actor told ([`Fate::Suspended`]); no other child notices. A kill from outside blames nobody and is not
    ///   counted.
    /// - `backoff`: how long to wait before the second and any further death by one message is tried again. After five
    ///   such deaths the message is given up.
    /// - `auto_shutdown`: whether this actor is ended, with all its children, when its significant children have ended.
    ///   What was told to it and not taken yet goes to the dead letters.
    const SUPERVISION: Policy = Policy::DEFAULT;
    /// What is folded from the events.
    type State: Serialize + DeserializeOwned + Default + Send;
    /// What the actor can be told.
    type Message: Serialize + DeserializeOwned + Send;
    /// What can have happened.
    type Event: Serialize + DeserializeOwned + Send;
    /// What it answers to an outside `ask`.
    type Reply: Serialize + DeserializeOwned + Send;

    /// Decide what happened.
    ///
    /// # Errors
    /// A rejection consumes the message and changes nothing else.
    fn decide(turn: &mut Turn<'_, Self>, message: Self::Message) -> Result<(), Rejection>;

    /// Fold one event into the state. Total: it cannot fail.
    fn apply(state: &mut Self::State, event: &Self::Event);

    /// What a tool's answer is called among this behaviour's messages; `None` if it makes no calls.
    fn on_answer(_answer: Answer) -> Option<Self::Message> {
        None
    }

    /// What a fired timer is called among this behaviour's messages; `None` if it sets none.
    fn on_timer(_fired: Fired) -> Option<Self::Message> {
        None
    }

    /// What a child's fate is called among this behaviour's messages; `None` if it has no children.
    fn on_fate(_fate: Fate) -> Option<Self::Message> {
        None
    }

    /// Where an actor in this state belongs, for logs. Asked when something is logged, and decides nothing.
    fn about(_state: &Self::State, _extensions: &Extensions) -> Option<About> {
        None
    }

    /// Read an event that an older build wrote.
    ///
    /// # Errors
    /// If the version is not known.
    fn migrate_event(old: Stored<'_>) -> Result<Self::Event, codec::Error> {
        Err(codec::Error::Version { found: old.format.version, known: Self::VERSION })
    }

    /// Read a snapshot that an older build wrote.
    ///
    /// # Errors
    /// If the version is not known; the actor is then suspended, with its mailbox kept.
    fn migrate_state(old: Stored<'_>) -> Result<Self::State, codec::Error> {
        Err(codec::Error::Version { found: old.format.version, known: Self::STATE_VERSION })
    }
}

pub(crate) const fn message_format<B: Behavior>() -> Format {
    Format::part(B::KIND, "message", B::VERSION)
}

pub(crate) const fn event_format<B: Behavior>() -> Format {
    Format::part(B::KIND, "event", B::VERSION)
}

pub(crate) const fn state_format<B: Behavior>() -> Format {
    Format::part(B::KIND, "state", B::STATE_VERSION)
}

pub(crate) const fn reply_format<B: Behavior>() -> Format {
    Format::part(B::KIND, "reply", B::VERSION)
}

/// A message that an actor will not take, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Rejection {
    /// One sentence for people.
    pub reason: String,
    /// Whether somebody waits for what this message should have brought about, so that the actor's owner must be told.
    pub is_fatal: bool,
}

impl Rejection {
    /// A rejection with its reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_fatal: false }
    }

    /// A rejection that the actor's owner must hear of: without this message something would wait for ever.
    pub fn fatal(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_fatal: true }
    }
}

/// A child: its id among the actors, whatever its behaviour.
pub type Child = ActorId;

/// One message being taken: what the actor may read, and what it did.
pub struct Turn<'a, B: Behavior> {
    pub(crate) state: &'a mut B::State,
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) at: At<'a>,
}

/// Where and when a turn happens.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) me: ActorId,
    pub(crate) parent: ActorId,
    pub(crate) stream: StreamId,
    pub(crate) version: u64,
    pub(crate) entry: u64,
    pub(crate) now_ms: u64,
    pub(crate) ids: &'a Ids,
    pub(crate) extensions: &'a Extensions,
}

impl<B: Behavior> Turn<'_, B> {
    /// The state, with every event of this turn so far.
    #[must_use]
    pub fn state(&self) -> &B::State {
        self.state
    }

    /// How many bytes of events, messages and arguments the turn may still write, of 1 MiB.
    #[must_use]
    pub fn bytes_left(&self) -> usize {
        super::outbox::BYTES_MAX.saturating_sub(self.outbox.bytes)
    }

    /// This happened. It is applied at once, so the rest of the turn sees it.
    pub fn emit(&mut self, event: &B::Event) {
        let payload = self.outbox.seal(event_format::<B>(), event);
        self.outbox.emit(payload);
        B::apply(self.state, event);
    }

    /// When the message was accepted, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.at.now_ms
    }

    /// A random number, the same whenever this turn is taken again. `salt` tells several of one turn apart.
    #[must_use]
    pub fn random(&self, salt: u64) -> u64 {
        let mut hash = Sha256::new();
        for part in [self.at.me.0, self.at.version, self.at.entry, salt] {
            hash.update(part.to_be_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        digest[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// This actor.
    #[must_use]
    pub fn me(&self) -> ActorId {
        self.at.me
    }

    /// Who spawned it; [`ActorId::ENGINE`] for a root.
    #[must_use]
    pub fn parent(&self) -> ActorId {
        self.at.parent
    }

    /// The stream its events go to.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        self.at.stream
    }

    /// Something the system was built with: a pure function or content-addressed data, never anything that changes.
    #[must_use]
    pub fn extension<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.at.extensions.get::<T>()
    }

    /// Tell an actor something.
    pub fn send<Other: Behavior>(&mut self, to: Address<Other>, message: &Other::Message) {
        let body = Body::Message(self.outbox.seal(message_format::<Other>(), message));
        self.outbox.sends.push((to.id, body));
    }

    /// Make a child in the same stream and tell it its first message.
    pub fn spawn<Other: Behavior>(&mut self, first: &Other::Message) -> Address<Other> {
        self.spawn_with(Care::TRANSIENT, first)
    }

    /// The same, and say how the child is looked after.
    pub fn spawn_with<Other: Behavior>(&mut self, care: Care, first: &Other::Message) -> Address<Other> {
        let first = self.outbox.seal(message_format::<Other>(), first);
        let id = self.at.ids.actor(self.at.me.partition());
        self.outbox.spawns.push(Spawned { id, kind: codec::fnv1a(Other::KIND), first, care });
        Address::new(id)
    }

    /// Ask a tool; the answer comes as a message. The call is made once this turn is durable.
    pub fn call(&mut self, request: Request) -> CallId {
        self.intend(request, None)
    }

    /// Write a call down as in doubt, without making it: a person or a rule decides.
    pub fn hold(&mut self, request: Request, failure: Failure) -> CallId {
        self.intend(request, Some(failure))
    }

    fn intend(&mut self, request: Request, doubt: Option<Failure>) -> CallId {
        let call = self.at.ids.call();
        self.outbox.bytes += request.input.len() + request.path.len() + 64;
        self.outbox.calls.push((call, request, doubt));
        call
    }

    /// A rule decided a call in doubt: its row goes.
    pub fn settle(&mut self, call: CallId) {
        self.outbox.settled.push(call);
    }

    /// Ask a running call to stop. Its answer still comes; one that has not begun answers that it failed.
    pub fn cancel(&mut self, call: CallId) {
        self.outbox.cancelled.push(call);
    }

    /// Set a timer by name; an older one of that name is gone, fired or not.
    pub fn timer(&mut self, name: u32, after_ms: u64) {
        let due_ms = Some(self.at.now_ms.saturating_add(after_ms));
        self.outbox.timers.push(TimerChange { name, due_ms });
    }

    /// Clear a timer, also one that fired and was not delivered yet.
    pub fn clear_timer(&mut self, name: u32) {
        self.outbox.timers.push(TimerChange { name, due_ms: None });
    }

    /// Write an index row.
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        let (key, value) = (key.into(), value.into());
        self.outbox.bytes += key.len() + value.len();
        self.outbox.puts.push((key, Some(value)));
    }

    /// Remove an index row.
    pub fn remove(&mut self, key: impl Into<Bytes>) {
        self.outbox.puts.push((key.into(), None));
    }

    /// Count this, should the turn be accepted: for metrics, and nothing else. The measure is one that the system was built
    /// with, and `value` one of its values.
    pub fn count(&mut self, measure: &Measure, value: &'static str, count: u64) {
        self.mark(Mark { counter: measure.counter.name, value, count, lasted_ms: None });
    }

    /// Count one of this that lasted so long.
    pub fn count_lasted(&mut self, measure: &Measure, value: &'static str, lasted_ms: u64) {
        self.mark(Mark { counter: measure.counter.name, value, count: 1, lasted_ms: Some(lasted_ms) });
    }

    fn mark(&mut self, mark: Mark) {
        self.outbox.marks.push(mark);
    }

    /// Answer the outside `ask` that brought this message. Without one, the reply is dropped.
    pub fn reply(&mut self, reply: &B::Reply) {
        self.outbox.reply = Some(Ok(self.outbox.seal(reply_format::<B>(), reply)));
    }

    /// This actor has finished: its mailbox and timers go with this turn. Its children and calls must have ended.
    pub fn stop(&mut self) {
        self.outbox.stop = true;
    }
}
