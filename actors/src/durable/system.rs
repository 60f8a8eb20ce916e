//! One actor system: a store, what is accepted ahead of it, and the hosts that work on it.
//!
//! Nothing is global: two systems live in one process without knowing of each other.
//!
//! **Invariants:** after a failed store nothing more is accepted, and callers hear `outcome unknown`, never `failed`.
//! Lock order: the core before the directory or the in-flight table, never the other way round.

mod about;
mod builder;
mod drive;
mod ending;
mod inner;
mod janitor;
mod jumps;
mod letters;
mod life;
mod measure;
mod once;
mod outcomes;
mod passivation;
mod restarts;
mod resume;
mod scrubber;
mod send;
mod suspects;
mod tree;
mod unstick;
mod view;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::oneshot;

use self::life::{Life, Watching};
#[cfg(feature = "testing")]
pub(crate) use self::resume::read_window;
#[cfg(feature = "testing")]
pub use self::unstick::Stall;
pub use self::{
    builder::{Recovery, SystemBuilder},
    janitor::{Expiring, KeyFigures, RowFate, Swept},
    jumps::Jumped,
    measure::Survey,
    scrubber::Scrubbed,
    send::SendError,
    tree::Killed,
    view::Census,
};
pub(crate) use self::{
    drive::Drive,
    inner::{Core, Inner, Observed, Unaccepted},
    outcomes::Ended,
};
use super::{
    accepted::{Entered, Entrance, Existing},
    call::{Outcome, Row, RowState, Verdict},
    codec,
    id::{ActorId, CallId, Sequence, StreamId},
    ledger::{Ledger, Tail},
    live::{Known, Live},
    record::Note,
    store,
};
use crate::tool::{InFlight, Progress, ToolSlot};

/// The most that enters at once: a plan of 8 MiB, and what comes with it.
const ENTRANCE_MAX: usize = 10 * 1024 * 1024;

/// How long a stop waits for rows to be written.
const STOP_CHECKPOINT: Duration = Duration::from_secs(5);
/// How long a stop waits for services and hosts to end; the longest that one of them is given is 5 s.
const STOP_TREE: Duration = Duration::from_secs(10);
/// The longest key of an index row.
const KEY_MAX: usize = 1_000;

/// Why the system did not do as asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store closed itself, or the system stopped: whether it happened is not known. Repeat with the same key after a restart.
    #[error(
        "HF0010: the outcome is unknown, because the store closed: {cause}; start again and repeat with the same key"
    )]
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
    /// Rows wait to be written faster than the disk takes them, or the disk is full. Nothing was changed: try again later.
    #[error("HF0012: nothing more is taken in for now: {cause}; try again later")]
    Busy {
        /// What is waited for.
        cause: String,
    },
    /// What was to enter is too large.
    #[error("HF0011: {bytes} bytes were to enter at once, and {max} are allowed: put large data aside as an artifact")]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        max: usize,
    },
    /// There is no such thing.
    #[error("there is no {0}")]
    Missing(String),
    /// A dead letter cannot be delivered again.
    #[error(
        "HF0015: dead letter {number} cannot be delivered again, because {to} has finished; `headframe dead drop {number}` removes it"
    )]
    LetterStays {
        /// Which.
        number: u64,
        /// Whom it was for.
        to: ActorId,
    },
    /// Calls must have an outcome before their callers are given up.
    #[error(
        "HF0016: below {root} {calls} calls have no outcome yet: let them end, or decide those in doubt (`headframe doubt list`)"
    )]
    OpenCalls {
        /// Below whom.
        root: ActorId,
        /// How many.
        calls: u32,
    },
    /// What was stored or answered does not decode.
    #[error("{0}")]
    Codec(#[from] codec::Error),
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
    /// Live actors in memory; [`System::census`] counts all.
    pub actors: usize,
    /// Actors that have a host in memory.
    pub hosted: usize,
    /// Calls without an outcome.
    pub calls: usize,
    /// Calls that the process may have died of and that begin first; see [`System::calls_first`].
    pub calls_first: usize,
    /// Answers that came for calls that were gone.
    pub late_answers: u64,
    /// Messages taken, each in a turn.
    pub turns: u64,
    /// Messages put with the dead letters.
    pub buried: u64,
    /// Timers of actors in memory, and others that come due soon.
    pub timers: usize,
    /// The number of the last durable record.
    pub durable: u64,
    /// The number of the last accepted record.
    pub accepted: u64,
    /// Bytes of records whose rows are not written yet.
    pub unsaved_bytes: u64,
    /// Whether nothing is let in, because the disk is full.
    pub is_short: bool,
    /// Whether the store has closed.
    pub is_closed: bool,
}

/// A running actor system. Cloning gives another handle to the same one.
#[derive(Clone)]
pub struct System {
    pub(crate) inner: Arc<Inner>,
    /// `None`: a service's own handle, which does not keep the system alive.
    life: Option<Arc<Life>>,
    repairs: Arc<[String]>,
}

impl System {
    /// Describe a system to start.
    #[must_use]
    pub fn builder() -> SystemBuilder {
        SystemBuilder::default()
    }

    /// Whether it was asked to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.inner.core.lock().draining
    }

    /// Whether both are handles to the same system.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// What the start mended, in sentences for people.
    #[must_use]
    pub fn repairs(&self) -> &[String] {
        &self.repairs
    }

    /// Write index rows; returns once they are durable.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed meanwhile.
    pub async fn put(&self, puts: Vec<(Bytes, Bytes)>) -> Result<(), Error> {
        let entered = self.enter(Entrance { puts, ..Entrance::default() }).await?;
        self.durable(entered.unwrap_or_default()).await
    }

    async fn enter(&self, entrance: Entrance) -> Result<Result<Sequence, Existing>, Error> {
        let bytes = entrance.bytes();
        if bytes > ENTRANCE_MAX {
            return Err(Error::TooLarge { bytes, max: ENTRANCE_MAX });
        }
        if entrance.keys().any(|key| key.len() > KEY_MAX) {
            return Err(Error::TooLarge { bytes: KEY_MAX + 1, max: KEY_MAX });
        }
        self.inner.admits()?;
        let unless = entrance.unless.clone();
        let mut entrance = Some(entrance);
        loop {
            let existing = match &unless {
                Some(key) => Some(self.inner.lookup(key).await?),
                None => None,
            };
            let entered =
                self.inner.with_accepted(|accepted, now_ms| accepted.let_in(now_ms, &mut entrance, existing))?;
            match entered {
                Entered::Done(receipt) => {
                    self.inner.ring_all(&receipt, None);
                    return Ok(Ok(receipt.sequence));
                }
                Entered::Exists(existing) => {
                    unless.iter().for_each(|key| self.inner.janitor.hit(key));
                    return Ok(Err(existing));
                }
                Entered::LookAgain => {}
                Entered::Cold(actor) => self.inner.bring(vec![actor]).await?,
            }
        }
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
        let (value, _) = self.inner.lookup(&Bytes::copy_from_slice(key)).await?;
        self.inner.until_durable(self.inner.latest()).await?;
        Ok(value)
    }

    /// Read what is live and in memory; returns once all of it is durable. In memory are all calls, and every actor that
    /// has mail; of other actors and of index rows, those that changed since the last checkpoint.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before.
    pub async fn read<T>(&self, read: impl FnOnce(&Live) -> T) -> Result<T, Error> {
        let value = read(self.inner.core.lock().accepted.live());
        self.inner.until_durable(self.inner.latest()).await?;
        Ok(value)
    }

    /// Wait until an index row, or that there is none, satisfies `done`; returns its value.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before.
    pub async fn wait_for(&self, key: Bytes, done: impl Fn(Option<&Bytes>) -> bool) -> Result<Option<Bytes>, Error> {
        loop {
            let (sender, changed) = oneshot::channel();
            let (watch, known) = {
                let mut core = self.inner.core.lock();
                if let Some(cause) = &core.closed {
                    return Err(Error::OutcomeUnknown { cause: cause.clone() });
                }
                let watch = self.inner.ids.next();
                core.watches.insert(watch, sender);
                core.accepted.watch(key.clone(), watch);
                (Watching { inner: &self.inner, key: &key, watch }, core.accepted.known(&key))
            };
            let found = match known {
                Known::Here(found) => Some(found),
                Known::Gone => None,
                // The watch is set already.
                Known::Unknown(_) => self.inner.lookup(&key).await?.0,
            };
            if done(found.as_ref()) {
                self.inner.until_durable(self.inner.latest()).await?;
                return Ok(found);
            }
            // What the watch tells is durable, whatever is accepted meanwhile.
            let changed = changed.await.map_err(|_| self.inner.unknown())?;
            drop(watch);
            if done(changed.as_ref()) {
                return Ok(changed);
            }
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
                .map(|(call, row)| (*call, Row::clone(row)))
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
        let receipt = loop {
            // Whoever waits for the call may leave memory until the lock is taken.
            let decided = self.inner.with_accepted(|accepted, now_ms| {
                accepted.all_here(accepted.caller(call))?;
                Ok(accepted.decide(now_ms, call, verdict.clone(), note.clone()))
            })?;
            match decided {
                Ok(receipt) => break receipt.ok_or_else(|| Error::Missing(format!("call {call} in doubt")))?,
                Err(cold) => self.inner.bring(cold).await?,
            }
        };
        self.inner.ring_all(&receipt, None);
        self.durable(receipt.sequence).await
    }

    /// The ledger: every durable event, in order.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        Ledger::new(self.inner.store.clone(), self.inner.registry.clone())
    }

    /// Follow one stream: what is in the ledger first, then what becomes durable.
    #[must_use]
    pub fn tail(&self, stream: StreamId) -> Tail {
        Tail::new(self.inner.observers.subscribe(), self.inner.failure.subscribe(), self.ledger(), stream)
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
        self.inner.figures()
    }

    /// Write rows that changed now, and wait until they are durable, at most so long.
    ///
    /// # Errors
    /// Why they were not written.
    pub async fn checkpoint(&self, within: Duration) -> Result<(), String> {
        self.inner.checkpoint_now(within).await
    }

    /// What closed the store, once something has.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<str>> {
        self.inner.core.lock().closed.clone()
    }

    /// Completes when the store closes, with the cause. Waiting for that does not keep the system.
    pub fn failed(&self) -> impl Future<Output = Arc<str>> + Send + use<> {
        let mut failure = self.inner.failure.subscribe();
        async move {
            let cause = failure.wait_for(Option::is_some).await.ok().and_then(|cause| cause.clone());
            cause.unwrap_or_else(|| "the system is gone".into())
        }
    }

    /// The store failed: let go of it, so that it can be opened again in this process, and end every actor. What runs goes
    /// on, and belongs to whoever is started with the heir.
    #[must_use]
    pub fn abandon(&self) -> Heir {
        self.inner.close("the system was given up");
        if let Some(life) = &self.life {
            life.end();
        }
        let lost = self.inner.core.lock().accepted.open().lose();
        self.inner.in_flight.bereave(lost);
        Heir(self.inner.in_flight.clone())
    }

    /// How many calls there are that the process may have died of, and that have not begun since: they begin one at a time, and
    /// while there are any, every other call waits. After half a minute nobody waits for them any longer.
    #[must_use]
    pub fn calls_first(&self) -> usize {
        self.inner.flight.first()
    }

    /// Stop: running calls are asked to stop and given `grace`; what was accepted becomes durable; services, tools and hosts end, in
    /// the reverse order of their start, each within its time. What is unfinished goes on at the next start.
    pub async fn stop(&self, grace: Duration) {
        let Some(life) = &self.life else { return };
        self.inner.core.lock().draining = true;
        self.inner.drain_tools(grace).await;
        self.inner.note_pending_restarts().await;
        if let Err(reason) = self.inner.checkpoint_now(STOP_CHECKPOINT).await {
            tracing::warn!(reason, "rows were not written at the end; the next start replays the journal instead");
        }
        // While the store is still open, so that nobody ends by himself before it is his turn.
        if let Err(error) = life.root.shutdown(STOP_TREE).await {
            tracing::warn!(%error, "what is in the tree did not end in time");
        }
        let latest = {
            let mut core = self.inner.core.lock();
            core.stopping = true;
            self.inner.work.notify_all();
            core.accepted.open().latest()
        };
        if self.inner.until_durable(latest).await.is_ok() {
            // What is not noted is found by reading.
            let _ = self.inner.store.idle();
        }
        life.end();
    }

    /// A handle for a service, which ends with the system.
    fn for_service(inner: Arc<Inner>) -> Self {
        Self { inner, life: None, repairs: Arc::default() }
    }
}

/// What outlives a system whose store failed: calls that run in this process, and the outcomes that no store took.
#[derive(Clone)]
pub struct Heir(Arc<InFlight>);
