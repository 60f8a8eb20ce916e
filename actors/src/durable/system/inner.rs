//! What the hosts, the committer and the tools share: the lock, and everything that is done under it.
//!
//! **Invariant:** a panic under the lock closes the store, because memory may be half changed.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, broadcast, oneshot, watch};

use super::{
    Error,
    drive::{Drive, Signal},
    janitor::Janitor,
    jumps::Clocks,
    passivation::Idle,
    restarts::Restarts,
    scrubber::Scrubs,
    tree::Beside,
    unstick::Unstick,
};
#[cfg(test)]
use crate::durable::faults::{Site, Who};
use crate::{
    clock::Clock,
    durable::{
        about::{About, Place},
        accepted::{Accepted, Activation, Commit, Receipt, Refused},
        call::RowState,
        checkpointer::Job,
        committer::pace,
        directory::Directory,
        entry::Entry,
        flight::Recorder,
        hands::Hands,
        hosted::Hosted,
        id::{ActorId, CallId, Sequence},
        kind::{Extensions, Ids, Registry},
        meters::Meters,
        record::{Op, Record},
        room::{Pace, Unsaved},
        store::{Fence, Rows, Store},
        supervision::Intensity,
    },
    mutant::Mutant,
    tool::{InFlight, ToolSlot},
};

/// What a test makes go wrong.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct Faults {
    /// Done once while a host lets go of its actor.
    #[expect(clippy::type_complexity, reason = "written out it says more than a name would")]
    pub(crate) meanwhile: Mutex<Option<Box<dyn FnOnce(&Arc<Inner>) + Send>>>,
    /// Seeded faults at every seam.
    pub(crate) sites: Arc<crate::durable::faults::Sites>,
    /// The unsticker does not look.
    pub(crate) holds_looks: std::sync::atomic::AtomicBool,
    /// More services, started before the tools.
    pub(crate) services: Mutex<Vec<crate::durable::supervision::ChildSpec>>,
    /// What was reported of services and tools.
    pub(crate) reports: Mutex<Vec<crate::durable::supervision::Report>>,
}

/// Why a host's commit was not accepted.
#[derive(Debug)]
pub(crate) enum Unaccepted {
    Closed,
    Fenced,
    /// These actors must be brought into memory first.
    Cold(Vec<ActorId>),
    Broken(String),
}

/// A durable record as observers see it.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub(crate) sequence: Sequence,
    pub(crate) record: Record,
}

/// What changes under the lock, away from the byte that those look at who wait for it.
#[repr(align(128))]
pub(crate) struct Core {
    pub(crate) accepted: Accepted,
    pub(crate) waiters: Vec<(Sequence, oneshot::Sender<()>)>,
    pub(crate) asks: FxHashMap<u64, oneshot::Sender<Result<Bytes, String>>>,
    /// Who hears what becomes of an index row.
    pub(crate) watches: FxHashMap<u64, oneshot::Sender<Option<Bytes>>>,
    pub(crate) closed: Option<Arc<str>>,
    pub(crate) stopping: bool,
    /// Running calls are being asked to stop, because the system does.
    pub(crate) draining: bool,
    /// The committer sleeps until so many wait; 0 until there is anything at all.
    pub(crate) committer_sleeps: Option<usize>,
    /// Since when there is something that is not sealed yet.
    pub(crate) unsealed: Option<std::time::Instant>,
    /// Rows that are being captured.
    pub(crate) job: Option<Job>,
    /// Somebody wants the rows to be written now.
    pub(crate) checkpoint_asked: bool,
    /// Rows were taken to be written, and are not yet.
    pub(crate) checkpoint_runs: bool,
    /// Checkpoints in this life.
    pub(crate) checkpoints: u64,
    /// Why the last checkpoint failed.
    pub(crate) checkpoint_trouble: Option<String>,
    /// Why the store wants nothing more to be let in.
    pub(crate) shortage: Option<String>,
}

/// What the hosts, the committer and the tools share.
pub(crate) struct Inner {
    pub(crate) core: Mutex<Core>,
    pub(crate) work: Signal,
    pub(crate) hands: Hands,
    pub(crate) ids: Ids,
    pub(crate) registry: Registry,
    pub(crate) extensions: Extensions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) fence: Fence,
    pub(crate) directory: Directory,
    pub(crate) tools: FxHashMap<u32, ToolSlot>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) flight: Arc<Recorder>,
    pub(crate) meters: Meters,
    pub(super) clocks: Clocks,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) drive: Drive,
    pub(crate) durable: AtomicU64,
    /// Rows of actors and indexes that are not in memory.
    pub(crate) rows: Option<Arc<dyn Rows>>,
    pub(crate) pace: Pace,
    pub(crate) idle: Idle,
    /// Who may bring actors into memory.
    pub(super) readers: tokio::sync::Semaphore,
    /// A slice was captured, or rows are to be, or were, written.
    pub(crate) captured: Signal,
    /// Bytes of records whose rows are not written yet.
    pub(crate) unsaved: Unsaved,
    /// There is room again.
    pub(crate) room: Notify,
    /// Whether the store is short of room.
    pub(crate) is_short: AtomicBool,
    pub(super) unstick: Unstick,
    pub(super) janitor: Janitor,
    pub(super) services: Vec<Beside>,
    pub(super) restarts: Restarts,
    pub(super) scrubs: Scrubs,
    #[cfg(test)]
    pub(crate) faults: Faults,
    #[cfg(feature = "testing")]
    pub(crate) stalls: super::unstick::Stalls,
    pub(super) timer_set: Notify,
    pub(super) armed_ms: AtomicU64,
    pub(super) failure: watch::Sender<Option<Arc<str>>>,
    pub(super) observers: broadcast::Sender<Arc<Observed>>,
}

impl Inner {
    /// Work on the accepted view; a panic inside closes the store, because memory may be half changed.
    pub(crate) fn with_accepted<T>(&self, work: impl FnOnce(&mut Accepted, u64) -> T) -> Result<T, Error> {
        self.with_core(|core, now_ms| work(&mut core.accepted, now_ms))
    }

    /// The same, for whoever looks at more than that.
    pub(super) fn with_core<T>(&self, work: impl FnOnce(&mut Core, u64) -> T) -> Result<T, Error> {
        let now_ms = self.clock.now_ms();
        let mut core = self.core.lock();
        if let Some(cause) = &core.closed {
            return Err(Error::OutcomeUnknown { cause: cause.clone() });
        }
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&mut core, now_ms)));
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
        if core.unsealed.is_none() && !core.accepted.open().is_empty() {
            core.unsealed = Some(crate::clock::monotonic());
        }
        let (is_empty, demand) = (core.accepted.open().is_empty(), core.accepted.open().demand);
        if pace::is_due(core.committer_sleeps, is_empty, demand) {
            core.committer_sleeps = None;
            self.work.notify_one();
        }
        let next_due = core.accepted.next_due_ms().unwrap_or(u64::MAX);
        if next_due < self.armed_ms.load(Ordering::Relaxed) {
            #[cfg(test)]
            if self.fault_at_once(Site::TimerSet, Who::Nobody).is_some() {
                return;
            }
            self.timer_set.notify_one();
        }
    }

    /// Take a turn's commit. One that has to wait for others to be brought into memory is left as it is.
    pub(crate) fn accept(self: &Arc<Self>, commit: &mut Commit) -> Result<Receipt, Unaccepted> {
        match self.with_accepted(|accepted, now_ms| self.accept_in(accepted, now_ms, commit)) {
            Ok(Ok((mut receipt, told))) => {
                self.meters.mark(&commit.outbox.marks);
                #[cfg(test)]
                self.fault_at_once(Site::Accepted, Who::Actor(commit.actor));
                for told in told {
                    // The answer may be its next message: it is awake, and looks at its mailbox before it rests.
                    self.ring_all(&told, Some(commit.actor));
                    if told.ring.contains(&commit.actor) {
                        receipt.next = receipt.next.or_else(|| self.head(commit.actor));
                    }
                }
                self.ring_all(&receipt, Some(commit.actor));
                Ok(receipt)
            }
            Ok(Err(Refused::Cold(cold))) => Err(Unaccepted::Cold(cold)),
            Ok(Err(Refused::Fenced(_))) => Err(Unaccepted::Fenced),
            Ok(Err(broken @ Refused::Broken { .. })) => Err(Unaccepted::Broken(broken.to_string())),
            Err(_) => Err(Unaccepted::Closed),
        }
    }

    /// A commit and its cancels are accepted together: no process dies between them.
    pub(crate) fn accept_in(
        &self,
        accepted: &mut Accepted,
        now_ms: u64,
        commit: &mut Commit,
    ) -> Result<(Receipt, Vec<Receipt>), Refused> {
        accepted.accept_and_cancel(now_ms, commit, |accepted, call| self.cancel_in(accepted, now_ms, call))
    }

    /// Ring whom a receipt names, but for the one who is awake already, and pass cancels on.
    pub(crate) fn ring_all(self: &Arc<Self>, receipt: &Receipt, awake: Option<ActorId>) {
        for actor in receipt.ring.iter().filter(|actor| Some(**actor) != awake) {
            self.directory.ring(self, *actor);
        }
        for call in &receipt.cancelled {
            self.cancel(*call);
        }
        for actor in &receipt.ending {
            self.go_on_ending(*actor);
        }
    }

    pub(crate) fn head(&self, actor: ActorId) -> Option<Entry> {
        let core = self.core.lock();
        if core.closed.is_some() { None } else { core.accepted.head(actor) }
    }

    /// An actor's next message, and a new activation to take it with: one look under the lock for both.
    pub(crate) fn activate(&self, actor: ActorId) -> Option<(Entry, Activation)> {
        self.with_accepted(|accepted, _| Some((accepted.head(actor)?, accepted.activate(actor)?))).ok()?
    }

    /// Activate and load.
    pub(crate) fn load_anew(self: &Arc<Self>, actor: ActorId) -> Option<Hosted> {
        self.activate(actor).and_then(|(_, activation)| self.load(actor, activation))
    }

    /// Load an actor that was activated. One that cannot be loaded is suspended, and its owner told.
    pub(crate) fn load(self: &Arc<Self>, actor: ActorId, activation: Activation) -> Option<Hosted> {
        match Hosted::load(&self.registry, activation) {
            Ok(hosted) => Some(hosted),
            Err(reason) => {
                tracing::error!(%actor, reason, "an actor cannot be loaded and is suspended");
                let receipt = self.with_accepted(|accepted, now_ms| accepted.suspend(now_ms, actor, &reason)).ok()?;
                self.ring_all(&receipt, None);
                self.release(actor);
                None
            }
        }
    }

    pub(crate) fn bury(self: &Arc<Self>, actor: ActorId, entry: u64, reason: &str) {
        let About { path, attempt } = self.about(actor);
        let Place { run, phase, task } = Place::of(&path);
        tracing::error!(%actor, run, phase, task, attempt, entry, reason, "a message is given up and goes to the dead letters");
        if let Ok(receipt) = self.with_accepted(|accepted, now_ms| accepted.bury(now_ms, actor, entry, reason)) {
            self.ring_all(&receipt, None);
        }
    }

    /// An actor dies of one message after another: it is not run until somebody has looked, and its owner is told.
    pub(crate) fn escalate(self: &Arc<Self>, actor: ActorId, intensity: Intensity, reason: &str) {
        let Intensity { max_restarts, period } = intensity;
        let times = format!("it died of more than {max_restarts} messages within {} s", period.as_secs_f32());
        let reason = format!("escalated: {times}, the last time: {reason}");
        let About { path, attempt } = self.about(actor);
        let Place { run, phase, task } = Place::of(&path);
        tracing::error!(%actor, run, phase, task, attempt, reason, "an actor is suspended");
        if let Ok(receipt) = self.with_accepted(|accepted, now_ms| accepted.suspend(now_ms, actor, &reason)) {
            self.ring_all(&receipt, None);
        }
    }

    pub(crate) fn save_checkpoint(&self, call: CallId, bytes: Bytes) {
        // A closed store saves nothing, and the next life calls again from the last save.
        let _ = self.with_accepted(|accepted, now_ms| accepted.save_checkpoint(now_ms, call, bytes));
    }

    fn cancel(self: &Arc<Self>, call: CallId) {
        let cancelled = self.with_accepted(|accepted, now_ms| {
            accepted.all_here(accepted.caller(call))?;
            Ok(self.cancel_in(accepted, now_ms, call))
        });
        match cancelled {
            Ok(Ok(Some(receipt))) => self.ring_all(&receipt, None),
            Ok(Ok(None)) | Err(_) => {}
            Ok(Err(cold)) => {
                let inner = self.clone();
                self.runtime.spawn(async move {
                    // A closed store cancels nothing; its calls are doubted, or made again, by the next life.
                    if inner.bring(cold).await.is_ok() {
                        inner.cancel(call);
                    }
                });
            }
        }
    }

    /// Under the lock under which calls begin: one that runs is asked to stop. Of one that does not, the row goes, and with
    /// it any chance to begin. A probe goes on: whoever wants the call, what became of it must be known.
    fn cancel_in(&self, accepted: &mut Accepted, now_ms: u64, call: CallId) -> Option<Receipt> {
        match accepted.live().calls.get(&call).map(|row| &row.state) {
            Some(RowState::Probing(_)) => None,
            _ if self.in_flight.cancel(call) => {
                accepted.cancel_running(now_ms, call);
                None
            }
            Some(RowState::Intended) => accepted.cancel_idle(now_ms, call),
            Some(RowState::Started) => {
                self.in_flight.doom(call);
                None
            }
            Some(RowState::InDoubt(_)) | None => None,
        }
    }

    /// The record that holds the latest of what is accepted.
    pub(crate) fn latest(&self) -> Sequence {
        self.core.lock().accepted.open().latest()
    }

    pub(crate) fn is_durable(&self, sequence: Sequence) -> bool {
        self.durable.load(Ordering::Acquire) >= sequence.0
    }

    pub(crate) async fn until_durable(&self, sequence: Sequence) -> Result<(), Error> {
        if self.is_durable(sequence) || Mutant::AnswerBeforeDurable.is_chosen() {
            return Ok(());
        }
        let receiver = {
            let mut core = self.core.lock();
            if let Some(cause) = &core.closed {
                return Err(Error::OutcomeUnknown { cause: cause.clone() });
            }
            if self.is_durable(sequence) {
                return Ok(());
            }
            let (sender, receiver) = oneshot::channel();
            core.waiters.push((sequence, sender));
            core.accepted.open().demand += 1;
            self.wake(&mut core);
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
        self.captured.notify_all();
        self.room.notify_waiters();
        self.timer_set.notify_one();
        drop(core);
        self.failure.send_replace(Some(cause));
    }

    /// Show a durable record to those who observe; gives back the room of one that nobody looks at.
    pub(crate) fn observe(&self, sequence: Sequence, mut record: Record) -> Vec<Op> {
        if self.observers.receiver_count() > 0 {
            // Fails only when the last observer just left.
            let _ = self.observers.send(Arc::new(Observed { sequence, record }));
            return Vec::new();
        }
        record.ops.clear();
        record.ops
    }
}
