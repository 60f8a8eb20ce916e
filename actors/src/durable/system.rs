//! One actor system: a store, what is accepted ahead of it, and the hosts that work on it.
//!
//! Nothing is global: two systems live in one process without knowing of each other.
//!
//! **Invariants:** after a failed store nothing more is accepted, and callers hear `outcome unknown`, never `failed`.
//! Lock order: the core before the directory or the in-flight table, never the other way round.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use ractor::ActorRef;
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, broadcast, oneshot, watch};

use super::{
    accepted::{Accepted, Commit, Entrance, Existing, Receipt, Refused},
    behavior::{Behavior, message_format, reply_format},
    call::{Failure, Outcome, Row, RowState, Verdict},
    codec,
    committer,
    directory::{Directory, Keeper, KeeperMessage},
    entry::{Body, Entry},
    id::{ActorId, CallId, Partition, Sequence, StreamId},
    hosted::Hosted,
    kind::{Extensions, Ids, Registry},
    ledger::{Ledger, Tail},
    live::{Actor, DeadLetter, Live},
    outbox::Address,
    record::{FORMAT, Note, Record},
    store::{self, Fence, Store},
};
use crate::{
    clock::{Clock, SystemClock},
    tool::{AnyTool, InFlight, Progress, ToolSlot},
};

/// Why the system did not do as asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store closed itself, or the system stopped: whether it happened is not known. Repeat with the same key after a restart.
    #[error("HF0010: the outcome is unknown, because the store closed: {cause}; start again and repeat with the same key")]
    OutcomeUnknown {
        /// What closed it.
        cause: Arc<str>,
    },
    /// The actor refused the message.
    #[error("{0}")]
    Rejected(String),
    /// No reply within the time given. The message stays in the mailbox and will still be taken.
    #[error("no reply within {waited:?}; the message is in the mailbox and will still be taken")]
    NoReplyYet {
        /// How long was waited.
        waited: Duration,
    },
    /// There is no such thing.
    #[error("there is no {0}")]
    Missing(String),
    /// What was stored or answered does not decode.
    #[error("{0}")]
    Codec(#[from] codec::Error),
}

/// Why a host's commit was not accepted.
#[derive(Debug)]
pub(crate) enum Unaccepted {
    Closed,
    Fenced,
    Broken(String),
}

/// What a person decides about a call in doubt.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It happened; this is what it gave.
    Happened(crate::json::Json),
    /// It did not happen, for this reason.
    Failed(String),
    /// Call again with the same key.
    Repeat,
}

/// Figures of a system's work in this life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The store's own.
    pub store: store::Stats,
    /// Live actors.
    pub actors: usize,
    /// Actors that have a host in memory.
    pub hosted: usize,
    /// Calls without an outcome.
    pub calls: usize,
    /// Answers that came for calls that were gone.
    pub late_answers: u64,
}

/// A durable record as observers see it.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub(crate) sequence: Sequence,
    pub(crate) record: Record,
}

/// What changes under the lock.
pub(crate) struct Core {
    pub(crate) accepted: Accepted,
    pub(crate) waiters: Vec<(Sequence, oneshot::Sender<()>)>,
    pub(crate) asks: FxHashMap<u64, oneshot::Sender<Result<Bytes, String>>>,
    pub(crate) watches: FxHashMap<u64, oneshot::Sender<()>>,
    pub(crate) closed: Option<Arc<str>>,
    pub(crate) stopping: bool,
    pub(crate) committer_waits: bool,
}

/// What the hosts, the committer and the tools share.
pub(crate) struct Inner {
    pub(crate) core: Mutex<Core>,
    pub(crate) work: Condvar,
    pub(crate) ids: Ids,
    pub(crate) registry: Registry,
    pub(crate) extensions: Extensions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) fence: Fence,
    pub(crate) directory: Directory,
    pub(crate) tools: FxHashMap<u32, ToolSlot>,
    pub(crate) in_flight: InFlight,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) durable: AtomicU64,
    timer_set: Notify,
    armed_ms: AtomicU64,
    failure: watch::Sender<Option<Arc<str>>>,
    observers: broadcast::Sender<Arc<Observed>>,
}

/// How to start a system.
pub struct SystemBuilder {
    registry: Registry,
    extensions: Extensions,
    clock: Arc<dyn Clock>,
    tools: Vec<(String, Arc<dyn AnyTool>)>,
    recovered: Option<Box<dyn FnOnce(&Live) -> Vec<StreamId> + Send>>,
}

impl Default for SystemBuilder {
    fn default() -> Self {
        Self {
            registry: Registry::new(),
            extensions: Extensions::default(),
            clock: Arc::new(SystemClock),
            tools: Vec::new(),
            recovered: None,
        }
    }
}

impl SystemBuilder {
    /// Let actors of this behaviour live here.
    #[must_use]
    pub fn behavior<B: Behavior>(mut self) -> Self {
        self.registry = self.registry.with::<B>();
        self
    }

    /// Give decisions something to use: a pure function or content-addressed data.
    #[must_use]
    pub fn extension<T: Send + Sync + 'static>(mut self, extension: Arc<T>) -> Self {
        self.extensions = self.extensions.with(extension);
        self
    }

    /// Use another clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Register a tool under a name.
    #[must_use]
    pub fn tool(mut self, name: impl Into<String>, tool: Arc<dyn AnyTool>) -> Self {
        self.tools.push((name.into(), tool));
        self
    }

    /// Look at what was recovered before anything runs; streams that this returns are held: their actors do not run in
    /// this life, and what comes for them waits.
    #[must_use]
    pub fn recovered(mut self, look: impl FnOnce(&Live) -> Vec<StreamId> + Send + 'static) -> Self {
        self.recovered = Some(Box::new(look));
        self
    }

    /// Recover from the store and start the hosts. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// If the store does not recover.
    pub async fn start(self, store: Arc<dyn Store>) -> Result<System, store::Error> {
        let (live, recovered) = recover(&*store)?;
        for repair in &recovered.repairs {
            tracing::warn!("{repair}");
        }
        let ids = Ids::after(live.highest_id);
        let held = self.recovered.map(|look| look(&live)).unwrap_or_default();
        let mut accepted = Accepted::new(live, recovered.durable.next());
        accepted.hold(held);
        let tools = self.tools.into_iter().map(|(name, tool)| (codec::fnv1a(&name), ToolSlot::new(name, tool))).collect();
        let inner = Arc::new(Inner {
            core: Mutex::new(Core {
                accepted,
                waiters: Vec::new(),
                asks: FxHashMap::default(),
                watches: FxHashMap::default(),
                closed: None,
                stopping: false,
                committer_waits: false,
            }),
            work: Condvar::new(),
            ids,
            registry: self.registry,
            extensions: self.extensions,
            clock: self.clock,
            store,
            fence: recovered.fence,
            directory: Directory::default(),
            tools,
            in_flight: InFlight::default(),
            runtime: tokio::runtime::Handle::current(),
            durable: AtomicU64::new(recovered.durable.0),
            timer_set: Notify::new(),
            armed_ms: AtomicU64::new(u64::MAX),
            failure: watch::channel(None).0,
            observers: broadcast::channel(4_096).0,
        });
        System::launch(inner, recovered.repairs).await
    }
}

/// Fold every durable record.
pub(crate) fn recover(store: &dyn Store) -> Result<(Live, store::Recovered), store::Error> {
    let mut live = Live::default();
    let recovered = store.recover(&mut |sequence, payload| {
        let undecodable = |cause: String| store::Error::Undecodable { sequence, cause };
        let record: Record = codec::open(FORMAT, payload).map_err(|error| undecodable(error.to_string()))?;
        live.apply_record(&record).map_err(undecodable)
    })?;
    Ok((live, recovered))
}

/// A running actor system. Cloning gives another handle to the same one.
#[derive(Clone)]
pub struct System {
    pub(crate) inner: Arc<Inner>,
    keeper: ActorRef<KeeperMessage>,
    repairs: Arc<[String]>,
}

impl System {
    /// Describe a system to start.
    #[must_use]
    pub fn builder() -> SystemBuilder {
        SystemBuilder::default()
    }

    async fn launch(inner: Arc<Inner>, repairs: Vec<String>) -> Result<Self, store::Error> {
        let internal = |cause: String| store::Error::Closed { cause };
        let (keeper, _) =
            ractor::Actor::spawn(None, Keeper, inner.clone()).await.map_err(|error| internal(error.to_string()))?;
        inner.directory.set_keeper(keeper.get_cell());
        for slot in inner.tools.values() {
            slot.start(&inner).await.map_err(|error| internal(error.to_string()))?;
        }
        spawn_committer(&inner).map_err(|error| internal(error.to_string()))?;
        inner.resume_work();
        let timers = Arc::clone(&inner);
        #[expect(clippy::disallowed_methods, reason = "the system owns its timer task")]
        tokio::spawn(async move { timers.run_timers().await });
        Ok(Self { inner, keeper, repairs: repairs.into() })
    }

    /// What the start mended, in sentences for people.
    #[must_use]
    pub fn repairs(&self) -> &[String] {
        &self.repairs
    }

    /// Make a root actor with its first message, unless the index row `unless` is there. Returns once that is durable.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed meanwhile.
    pub async fn spawn_root<B: Behavior>(
        &self,
        unless: Option<Bytes>,
        puts: impl FnOnce(ActorId) -> Vec<(Bytes, Bytes)>,
        first: &B::Message,
    ) -> Result<Result<Address<B>, Existing>, Error> {
        let (kind, first) = (codec::fnv1a(B::KIND), codec::seal(message_format::<B>(), first));
        let id = self.inner.ids.next();
        let partition = Partition(u8::try_from(id % 256).expect("below 256"));
        let actor = ActorId(id << 8 | u64::from(partition.0));
        let entrance = Entrance { unless, puts: puts(actor), root: Some((kind, actor, first)), ..Entrance::default() };
        match self.enter(entrance)? {
            Ok(sequence) => {
                self.durable(sequence).await?;
                Ok(Ok(Address::new(actor)))
            }
            Err(existing) => {
                // What was read may be ahead of the disk; the answer must not be.
                self.durable(self.inner.latest()).await?;
                Ok(Err(existing))
            }
        }
    }

    /// Tell an actor something; returns once the message is durable in its mailbox.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed meanwhile.
    pub async fn tell<B: Behavior>(&self, to: Address<B>, message: &B::Message) -> Result<(), Error> {
        let body = Body::Message(codec::seal(message_format::<B>(), message));
        let entered = self.enter(Entrance { deliver: Some((to.id, body)), ..Entrance::default() })?;
        self.durable(entered.unwrap_or_default()).await
    }

    /// Tell an actor something once per key: a second call with the key does nothing.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed meanwhile: repeat with the same key.
    pub async fn tell_once<B: Behavior>(&self, key: &str, to: Address<B>, message: &B::Message) -> Result<(), Error> {
        let body = Body::Message(codec::seal(message_format::<B>(), message));
        let row = Bytes::from(format!("once/{key}"));
        let entered = self.enter(Entrance {
            unless: Some(row.clone()),
            puts: vec![(row, Bytes::from_static(b"1"))],
            deliver: Some((to.id, body)),
            ..Entrance::default()
        })?;
        self.durable(entered.unwrap_or_else(|_| self.inner.latest())).await
    }

    /// Ask an actor; the answer is that of the commit that took the message, and is durable.
    ///
    /// # Errors
    /// [`Error::Rejected`] if the actor refused; [`Error::NoReplyYet`] if it took longer than `within`.
    pub async fn ask<B: Behavior>(
        &self,
        to: Address<B>,
        message: &B::Message,
        within: Duration,
    ) -> Result<B::Reply, Error> {
        let body = Body::Message(codec::seal(message_format::<B>(), message));
        let token = self.inner.ids.next();
        let (sender, receiver) = oneshot::channel();
        self.inner.core.lock().asks.insert(token, sender);
        let _ = self.enter(Entrance { deliver: Some((to.id, body)), reply: Some(token), ..Entrance::default() })?;
        let reply = tokio::time::timeout(within, receiver).await;
        self.inner.core.lock().asks.remove(&token);
        match reply {
            Err(_) => Err(Error::NoReplyYet { waited: within }),
            Ok(Err(_)) => Err(self.inner.unknown()),
            Ok(Ok(Err(reason))) => Err(Error::Rejected(reason)),
            Ok(Ok(Ok(sealed))) => Ok(codec::open(reply_format::<B>(), &sealed)?),
        }
    }

    fn enter(&self, entrance: Entrance) -> Result<Result<Sequence, Existing>, Error> {
        self.inner.with_accepted(|accepted, now_ms| accepted.enter(now_ms, entrance)).map(|entered| {
            entered.map(|receipt| {
                self.inner.ring_all(&receipt, None);
                receipt.sequence
            })
        })
    }

    /// Wait until a record is durable.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before.
    pub async fn durable(&self, sequence: Sequence) -> Result<(), Error> {
        self.inner.until_durable(sequence).await
    }

    /// An index row, once what was read is durable.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before.
    pub async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.read(|live| live.index.get(key).cloned()).await
    }

    /// Read what is live; returns once all of it is durable.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before.
    pub async fn read<T>(&self, read: impl FnOnce(&Live) -> T) -> Result<T, Error> {
        let value = read(self.inner.core.lock().accepted.live());
        self.inner.until_durable(self.inner.latest()).await?;
        Ok(value)
    }

    /// Wait until an index row satisfies `done`; returns its value.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before.
    pub async fn wait_for(&self, key: Bytes, done: impl Fn(&Bytes) -> bool) -> Result<Bytes, Error> {
        loop {
            let (sender, changed) = oneshot::channel();
            let (watch, found) = {
                let mut core = self.inner.core.lock();
                if let Some(cause) = &core.closed {
                    return Err(Error::OutcomeUnknown { cause: cause.clone() });
                }
                let watch = self.inner.ids.next();
                let found = core.accepted.live().index.get(&key).filter(|value| done(value)).cloned();
                if found.is_none() {
                    core.watches.insert(watch, sender);
                    core.accepted.watch(key.clone(), watch);
                }
                (Watching { inner: &self.inner, watch }, found)
            };
            if let Some(value) = found {
                self.inner.until_durable(self.inner.latest()).await?;
                return Ok(value);
            }
            changed.await.map_err(|_| self.inner.unknown())?;
            drop(watch);
        }
    }

    /// Calls in doubt, oldest first.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before.
    pub async fn doubts(&self) -> Result<Vec<(CallId, Row)>, Error> {
        let doubted = |live: &Live| {
            live.calls
                .iter()
                .filter(|(_, row)| matches!(row.state, RowState::InDoubt(_)))
                .map(|(call, row)| (*call, row.clone()))
                .collect()
        };
        self.read(doubted).await
    }

    /// Decide a call in doubt; returns once the decision is durable.
    ///
    /// # Errors
    /// [`Error::Missing`] if no such call is in doubt.
    pub async fn decide(&self, call: CallId, decision: Decision, by: &str) -> Result<(), Error> {
        let (verdict, said) = match decision {
            Decision::Happened(output) => (Verdict::Ended(Outcome::Done(output)), "happened".to_owned()),
            Decision::Failed(reason) => {
                (Verdict::Ended(Outcome::failed("decided", reason.clone())), format!("failed: {reason}"))
            }
            Decision::Repeat => (Verdict::Repeat, "repeat".to_owned()),
        };
        let note = Note::Decided { call, decision: said, by: by.to_owned() };
        let receipt = self
            .inner
            .with_accepted(|accepted, now_ms| accepted.decide(now_ms, call, verdict, note))?
            .ok_or_else(|| Error::Missing(format!("call {call} in doubt")))?;
        self.inner.ring_all(&receipt, None);
        self.durable(receipt.sequence).await
    }

    /// A live actor.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before.
    pub async fn actor(&self, actor: ActorId) -> Result<Option<Actor>, Error> {
        self.read(|live| live.actors.get(&actor).cloned()).await
    }

    /// Messages that were given up, oldest first.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before.
    pub async fn dead_letters(&self) -> Result<Vec<DeadLetter>, Error> {
        self.read(|live| live.dead.iter().cloned().collect()).await
    }

    /// The ledger: every durable event, in order.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        Ledger::new(self.inner.store.clone(), self.inner.registry.clone())
    }

    /// Follow one stream: what is in the ledger first, then what becomes durable.
    #[must_use]
    pub fn tail(&self, stream: StreamId) -> Tail {
        Tail::new(self.inner.observers.subscribe(), self.ledger(), stream)
    }

    /// What running calls last said of themselves.
    #[must_use]
    pub fn progress(&self) -> Vec<(CallId, Arc<str>, Duration, Progress)> {
        self.inner.in_flight.progress()
    }

    /// Kill the host of an actor, as a fault would; says whether it had one.
    pub fn kill_host(&self, actor: ActorId) -> bool {
        self.inner.directory.kill(actor)
    }

    /// Kill the actor that stands before a tool, as a fault would; says whether there is such a tool.
    pub fn kill_tool(&self, name: &str) -> bool {
        self.inner.tools.get(&codec::fnv1a(name)).is_some_and(ToolSlot::kill)
    }

    /// Actors that have a host in memory.
    #[must_use]
    pub fn hosted(&self) -> Vec<ActorId> {
        self.inner.directory.hosted()
    }

    /// Figures of this life.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let core = self.inner.core.lock();
        Figures {
            store: self.inner.store.stats(),
            actors: core.accepted.live().actors.len(),
            hosted: self.inner.directory.hosted().len(),
            calls: core.accepted.live().calls.len(),
            late_answers: core.accepted.late_answers(),
        }
    }

    /// What closed the store, once something has.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<str>> {
        self.inner.core.lock().closed.clone()
    }

    /// Completes when the store closes, with the cause.
    pub async fn failed(&self) -> Arc<str> {
        let mut failure = self.inner.failure.subscribe();
        let cause = failure.wait_for(Option::is_some).await.ok().and_then(|cause| cause.clone());
        cause.unwrap_or_else(|| "the system is gone".into())
    }

    /// Stop: running calls are asked to stop and given `grace`; what was accepted becomes durable; hosts end. What is
    /// unfinished goes on at the next start.
    pub async fn stop(&self, grace: Duration) {
        self.inner.stop_tools();
        self.inner.in_flight.drain(grace).await;
        {
            let mut core = self.inner.core.lock();
            core.stopping = true;
            self.inner.work.notify_all();
        }
        let latest = self.inner.latest();
        if self.inner.until_durable(latest).await.is_ok() {
            let _ = self.inner.store.idle();
        }
        self.inner.close("the system stopped");
        self.keeper.stop(None);
        self.inner.store.release();
    }
}

/// Takes a watch back when nobody waits for it any more.
struct Watching<'a> {
    inner: &'a Inner,
    watch: u64,
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.inner.core.lock().watches.remove(&self.watch);
    }
}

fn spawn_committer(inner: &Arc<Inner>) -> std::io::Result<()> {
    let committer = Arc::clone(inner);
    #[expect(clippy::disallowed_methods, reason = "the committer is the thread that syncs")]
    std::thread::Builder::new().name("headframe-commit".to_owned()).spawn(move || {
        let run = std::panic::AssertUnwindSafe(|| committer::run(&committer));
        if std::panic::catch_unwind(run).is_err() {
            committer.close("the committer panicked");
        }
    })?;
    Ok(())
}

impl Inner {
    /// Work on the accepted view; a panic inside closes the store, because memory may be half changed.
    pub(crate) fn with_accepted<T>(&self, work: impl FnOnce(&mut Accepted, u64) -> T) -> Result<T, Error> {
        let now_ms = self.clock.now_ms();
        let mut core = self.core.lock();
        if let Some(cause) = &core.closed {
            return Err(Error::OutcomeUnknown { cause: cause.clone() });
        }
        let accepted = &mut core.accepted;
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(accepted, now_ms)));
        match done {
            Ok(value) => {
                self.wake(&mut core);
                Ok(value)
            }
            Err(_) => {
                drop(core);
                self.close("acceptance panicked");
                Err(self.unknown())
            }
        }
    }

    fn wake(&self, core: &mut Core) {
        if core.committer_waits && !core.accepted.open().is_empty() {
            core.committer_waits = false;
            self.work.notify_one();
        }
        let next_due = core.accepted.next_due_ms().unwrap_or(u64::MAX);
        if next_due < self.armed_ms.load(Ordering::Relaxed) {
            self.timer_set.notify_one();
        }
    }

    pub(crate) fn accept(self: &Arc<Self>, commit: Commit) -> Result<Receipt, Unaccepted> {
        let actor = commit.actor;
        let receipt = match self.with_accepted(|accepted, now_ms| accepted.accept(now_ms, commit)) {
            Ok(Ok(receipt)) => receipt,
            Ok(Err(Refused::Fenced(_))) => return Err(Unaccepted::Fenced),
            Ok(Err(broken @ Refused::Broken { .. })) => return Err(Unaccepted::Broken(broken.to_string())),
            Err(_) => return Err(Unaccepted::Closed),
        };
        self.ring_all(&receipt, Some(actor));
        Ok(receipt)
    }

    /// Ring whom a receipt names, but for the one who is awake already, and pass cancels on.
    pub(crate) fn ring_all(self: &Arc<Self>, receipt: &Receipt, awake: Option<ActorId>) {
        for actor in receipt.ring.iter().filter(|actor| Some(**actor) != awake) {
            self.directory.ring(self, *actor);
        }
        for call in &receipt.cancelled {
            self.cancel(*call);
        }
    }

    pub(crate) fn head(&self, actor: ActorId) -> Option<Entry> {
        let core = self.core.lock();
        if core.closed.is_some() { None } else { core.accepted.head(actor) }
    }

    /// Load an actor under a new activation. One that cannot be loaded is suspended, and its owner told.
    pub(crate) fn load(self: &Arc<Self>, actor: ActorId) -> Option<Hosted> {
        let activation = self.with_accepted(|accepted, _| accepted.activate(actor)).ok()??;
        match Hosted::load(&self.registry, activation) {
            Ok(hosted) => Some(hosted),
            Err(reason) => {
                tracing::error!(%actor, reason, "an actor cannot be loaded and is suspended");
                let receipt = self.with_accepted(|accepted, now_ms| accepted.suspend(now_ms, actor, &reason)).ok()?;
                self.ring_all(&receipt, None);
                None
            }
        }
    }

    pub(crate) fn bury(self: &Arc<Self>, actor: ActorId, entry: u64, reason: &str) {
        tracing::error!(%actor, entry, reason, "a message is given up and goes to the dead letters");
        if let Ok(receipt) = self.with_accepted(|accepted, now_ms| accepted.bury(now_ms, actor, entry, reason)) {
            self.ring_all(&receipt, None);
        }
    }

    pub(crate) fn note(&self, actor: ActorId, note: Note) {
        // A closed store takes no notes, and whoever is told of the closing needs none.
        let _ = self.with_accepted(|accepted, now_ms| accepted.note(now_ms, actor, note));
    }

    /// Let outcomes in.
    pub(crate) fn answer(self: &Arc<Self>, outcomes: Vec<(CallId, Outcome, Option<Bytes>)>) {
        if let Ok(receipt) = self.with_accepted(|accepted, now_ms| accepted.answer(now_ms, outcomes)) {
            self.ring_all(&receipt, None);
        }
    }

    fn cancel(self: &Arc<Self>, call: CallId) {
        if self.in_flight.cancel(call) {
            return;
        }
        // Not begun: its row goes, and with it any chance to begin.
        let failure = Failure::new("cancelled", "cancelled before it began");
        let idle = |accepted: &mut Accepted, now_ms| match accepted.live().calls.get(&call).map(|row| &row.state) {
            Some(RowState::Intended) => Some(accepted.answer(now_ms, vec![(call, Outcome::Failed(failure), None)])),
            Some(RowState::Started) => {
                self.in_flight.doom(call);
                None
            }
            Some(RowState::InDoubt(_)) | None => None,
        };
        if let Ok(Some(receipt)) = self.with_accepted(idle) {
            self.ring_all(&receipt, None);
        }
    }

    /// The record that holds the latest of what is accepted.
    pub(crate) fn latest(&self) -> Sequence {
        let mut core = self.core.lock();
        let open = core.accepted.open();
        let next = open.sequence();
        if open.is_empty() { Sequence(next.0 - 1) } else { next }
    }

    pub(crate) async fn until_durable(&self, sequence: Sequence) -> Result<(), Error> {
        if self.durable.load(Ordering::Acquire) >= sequence.0 {
            return Ok(());
        }
        let receiver = {
            let mut core = self.core.lock();
            if let Some(cause) = &core.closed {
                return Err(Error::OutcomeUnknown { cause: cause.clone() });
            }
            if self.durable.load(Ordering::Acquire) >= sequence.0 {
                return Ok(());
            }
            let (sender, receiver) = oneshot::channel();
            core.waiters.push((sequence, sender));
            core.committer_waits = false;
            self.work.notify_one();
            receiver
        };
        receiver.await.map_err(|_| self.unknown())
    }

    pub(crate) fn unknown(&self) -> Error {
        let cause = self.core.lock().closed.clone().unwrap_or_else(|| "the system stopped".into());
        Error::OutcomeUnknown { cause }
    }

    /// The store is of no more use: nothing is accepted from here on, and everyone who waits hears of it.
    pub(crate) fn close(&self, cause: &str) {
        let mut core = self.core.lock();
        if core.closed.is_some() {
            return;
        }
        let cause: Arc<str> = cause.into();
        core.closed = Some(cause.clone());
        core.waiters.clear();
        core.asks.clear();
        core.watches.clear();
        self.work.notify_all();
        self.timer_set.notify_one();
        drop(core);
        self.failure.send_replace(Some(cause));
    }

    pub(crate) fn observe(&self, sequence: Sequence, record: Record) {
        if self.observers.receiver_count() > 0 {
            // Fails only when the last observer just left.
            let _ = self.observers.send(Arc::new(Observed { sequence, record }));
        }
    }

    /// After a start: doubt what was under way, hand every other call to its tool, ring everyone who has mail.
    fn resume_work(self: &Arc<Self>) {
        let started = self.with_accepted(|accepted, now_ms| {
            let receipt = accepted.doubt_started_calls(now_ms);
            let live = accepted.live();
            let calls: Vec<_> = live
                .calls
                .iter()
                .filter(|(_, row)| row.state == RowState::Intended && !accepted.is_held(row.caller))
                .map(|(call, row)| (codec::fnv1a(&row.request.tool), *call))
                .collect();
            let mail: Vec<_> =
                live.actors.iter().filter(|(_, row)| !row.mailbox.is_empty()).map(|(actor, _)| *actor).collect();
            (receipt, calls, mail)
        });
        let Ok((receipt, calls, mail)) = started else { return };
        self.ring_all(&receipt, None);
        for actor in mail {
            self.directory.ring(self, actor);
        }
        let (known, unknown): (Vec<_>, Vec<_>) = calls.into_iter().partition(|(tool, _)| self.tools.contains_key(tool));
        if !unknown.is_empty() {
            tracing::warn!(calls = unknown.len(), "calls wait for tools that are not registered in this process");
        }
        self.dispatch(&known, &[]);
    }

    async fn run_timers(self: Arc<Self>) {
        const MOST: usize = 256;
        // Wall time may jump; look again at least this often.
        const LOOK_AGAIN: Duration = Duration::from_secs(1);
        loop {
            let fired = self.with_accepted(|accepted, now_ms| {
                let receipt = accepted.fire(now_ms, MOST);
                let due = accepted.next_due_ms();
                (receipt, due, now_ms)
            });
            let Ok((receipt, due, now_ms)) = fired else { return };
            self.ring_all(&receipt, None);
            self.armed_ms.store(due.unwrap_or(u64::MAX), Ordering::Relaxed);
            let set = self.timer_set.notified();
            match due {
                None => set.await,
                Some(due) => {
                    let wait = Duration::from_millis(due.saturating_sub(now_ms)).min(LOOK_AGAIN);
                    // Either way the loop looks again.
                    let _ = tokio::time::timeout(wait, set).await;
                }
            }
        }
    }
}
