//! The actor that stands before a tool: permits, the queue, and running the adapter.
//!
//! Its mailbox is the set of call rows addressed to the tool. In memory it keeps ids; bodies are read when dispatched.
//! A call that is ready when first polled is answered in the batch; any other goes on in a task of its own, recorded in
//! the in-flight table, which outlives this actor. A row whose outcome is unknown and can be verified is dispatched like
//! a call, and its adapter's probe is run instead: the answer to "did it happen?" has the shape of an outcome.
//!
//! **Invariants:** an adapter is called only for a row that is durable, and, when it may happen at most once, only after
//! its start is durable; nothing lies between that and the call. A probe runs only when the former attempt at its call has
//! ended in this process. What a probe does not prove stays unknown: a probe that is cut short proves nothing.

mod dispatch;
mod prepared;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use rustc_hash::FxHashSet;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use self::prepared::{Prepared, ask, context, finished, is_probe, start};
use super::{AnyTool, context::CallContext, limits::within, told};
#[cfg(test)]
use crate::durable::faults::{Action, Site, Who};
use crate::{
    clock::monotonic,
    durable::{
        CallId, Effect, Ended, Inner, Outcome, Row, RowState,
        supervision::{ChildSpec, Shutdown, StartFailure},
    },
    mutant::Mutant,
};

/// Calls begun before others get the thread, and the most answers in one commit.
const BATCH: usize = 256;
/// The longest sleep until a probe is due: the clock by which it is may be set.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What the actor before a tool can be told.
#[derive(Debug)]
pub(crate) enum HostMessage {
    /// These calls are durable.
    Calls(Vec<CallId>),
    /// The starts of these at-most-once calls are durable.
    Started(Vec<CallId>),
    /// A call ended and its permit is free.
    Freed,
    /// The probe of this call may be due.
    Due(CallId),
    /// Which of these are not in hand?
    Unknown(Vec<CallId>, oneshot::Sender<Vec<CallId>>),
    /// Begin no more calls; those whose start is on its way to the disk are still made.
    Drain,
}

/// A registered tool and the actor before it.
pub(crate) struct ToolSlot {
    name: Arc<str>,
    tool: Arc<dyn AnyTool>,
    /// What every call promises. Calls begin under the lock, where no adapter's code may run.
    heartbeat: Option<Duration>,
    host: Mutex<Option<ActorRef<HostMessage>>>,
    /// Calls that hold a permit: running, or waiting for their start to become durable.
    permits: Mutex<FxHashSet<CallId>>,
    /// Calls that wait for a permit, as of the actor's last word.
    waiting: AtomicUsize,
}

impl ToolSlot {
    pub(crate) fn new(name: String, tool: Arc<dyn AnyTool>) -> Self {
        Self {
            name: name.into(),
            heartbeat: tool.heartbeat(),
            tool,
            host: Mutex::new(None),
            permits: Mutex::default(),
            waiting: AtomicUsize::new(0),
        }
    }

    /// The tool's actor, as a child of the supervisor of all of them.
    pub(crate) fn child(&self, inner: &Arc<Inner>) -> ChildSpec {
        let (inner, id) = (Arc::downgrade(inner), crate::durable::codec::fnv1a(&self.name));
        let start = move |supervisor: ActorCell| {
            let inner = inner.clone();
            async move { spawn_host(&inner.upgrade().ok_or("the system is gone")?, id, supervisor).await }
        };
        ChildSpec::new(self.name.clone(), start).shutdown(Shutdown::BrutalKill)
    }

    /// Tell the actor, if it lives; one that is being restarted reads its rows again.
    pub(crate) fn tell(&self, message: HostMessage) {
        if let Some(host) = &*self.host.lock() {
            let _ = host.send_message(message);
        }
    }

    /// Its name, permits in use, and permits that there are.
    pub(crate) fn load(&self) -> (&str, usize, usize) {
        (&self.name, self.permits.lock().len(), self.tool.max_concurrent())
    }

    /// Calls that wait for a permit.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Which of these calls are not in its hands; nothing if there is nobody to ask.
    pub(crate) async fn unknown(&self, calls: Vec<CallId>) -> Option<Vec<CallId>> {
        let (asker, answer) = oneshot::channel();
        let host = self.host.lock().clone()?;
        host.send_message(HostMessage::Unknown(calls, asker)).ok()?;
        answer.await.ok()
    }

    fn free_permits(&self) -> usize {
        self.tool.max_concurrent().saturating_sub(self.permits.lock().len())
    }

    fn give_back(&self, calls: impl IntoIterator<Item = CallId>) {
        let mut permits = self.permits.lock();
        for call in calls {
            permits.remove(&call);
        }
    }

    pub(crate) fn kill(&self) -> bool {
        let host = self.host.lock().clone();
        host.is_some_and(|host| {
            host.kill();
            true
        })
    }
}

async fn spawn_host(inner: &Arc<Inner>, id: u32, supervisor: ActorCell) -> Result<ActorCell, StartFailure> {
    #[cfg(test)]
    if let Some(Action::Error) = inner.fault(Site::SpawnTool, Who::Tool(id)).await {
        return Err("a fault".into());
    }
    let (host, _) = Actor::spawn_linked(None, Host, (inner.clone(), id), supervisor).await?;
    let slot = inner.tools.get(&id).ok_or("the tool is registered")?;
    *slot.host.lock() = Some(host.clone());
    // Of what lies in the mailbox now, nothing may be acted on before it is durable. What runs already is in the
    // in-flight table; what was announced to the former actor is announced again.
    let (waiting, started) = inner.mailbox(id);
    if inner.until_durable(inner.latest()).await.is_ok() {
        let _ = host.send_message(HostMessage::Started(started));
        let _ = host.send_message(HostMessage::Calls(waiting));
    }
    Ok(host.get_cell())
}

/// The actor before a tool.
pub(crate) struct Host;

/// What it keeps in memory.
pub(crate) struct Queue {
    inner: Arc<Inner>,
    id: u32,
    waiting: VecDeque<CallId>,
    /// Probes that wait until the former attempt at their call has ended in this process.
    behind: Vec<CallId>,
    /// Probes that are not due yet.
    asleep: FxHashSet<CallId>,
    drains: bool,
}

impl Actor for Host {
    type Msg = HostMessage;
    type State = Queue;
    type Arguments = (Arc<Inner>, u32);

    async fn pre_start(
        &self,
        _: ActorRef<HostMessage>,
        (inner, id): Self::Arguments,
    ) -> Result<Queue, ActorProcessingErr> {
        Ok(Queue {
            inner,
            id,
            waiting: VecDeque::new(),
            behind: Vec::new(),
            asleep: FxHashSet::default(),
            drains: false,
        })
    }

    #[cfg(test)]
    async fn post_start(&self, _: ActorRef<HostMessage>, queue: &mut Queue) -> Result<(), ActorProcessingErr> {
        queue.inner.fault(Site::ToolStarts, Who::Tool(queue.id)).await;
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<HostMessage>,
        message: HostMessage,
        queue: &mut Queue,
    ) -> Result<(), ActorProcessingErr> {
        #[cfg(test)]
        queue.inner.fault(Site::ToolHears, Who::Tool(queue.id)).await;
        match message {
            HostMessage::Calls(calls) => queue.waiting.extend(calls),
            HostMessage::Started(calls) => queue.run(&calls),
            HostMessage::Freed => queue.waiting.extend(queue.behind.drain(..)),
            HostMessage::Due(call) => {
                queue.asleep.remove(&call);
                queue.waiting.push_back(call);
            }
            HostMessage::Unknown(calls, asker) => {
                // Whoever asked may have lost patience.
                let _ = asker.send(queue.unknown(calls));
            }
            HostMessage::Drain => queue.drains = true,
        }
        #[cfg(test)]
        queue.inner.fault_at_once(Site::BeforeCalls, Who::Tool(queue.id));
        queue.pump(&myself);
        queue.slot().waiting.store(queue.waiting.len() + queue.behind.len(), Ordering::Relaxed);
        Ok(())
    }
}

impl Queue {
    fn slot(&self) -> &ToolSlot {
        self.inner.tools.get(&self.id).expect("an actor stands before a registered tool")
    }

    /// Those that neither wait here nor run. A permit alone counts only while a start is on its way to the disk, which
    /// is over by the second time somebody asks.
    fn unknown(&self, mut calls: Vec<CallId>) -> Vec<CallId> {
        let known: FxHashSet<_> = self.waiting.iter().chain(&self.behind).chain(&self.asleep).copied().collect();
        calls.retain(|call| !known.contains(call) && !self.inner.in_flight.contains(*call));
        calls
    }

    /// Begin as many calls as there are permits for, and as may begin now.
    fn pump(&mut self, myself: &ActorRef<HostMessage>) {
        let take = self.slot().free_permits().min(BATCH).min(self.waiting.len());
        if take == 0 || self.drains {
            return;
        }
        let calls = self.next(take);
        if calls.is_empty() {
            return;
        }
        let calls = self.ready(calls);
        self.run(&calls);
        if !self.waiting.is_empty() {
            let _ = myself.send_message(HostMessage::Freed);
        }
    }

    /// So many calls from the front; after a death, one that it may have been of, if its turn has come. The others wait here
    /// meanwhile, without a permit: once they waited with theirs, and such a call that got none kept everybody from their work.
    fn next(&mut self, take: usize) -> Vec<CallId> {
        let flight = &self.inner.flight;
        if flight.admits_all() {
            return self.waiting.drain(..take).collect();
        }
        let first = self.waiting.iter().position(|call| flight.admits(*call));
        first.and_then(|at| self.waiting.remove(at)).into_iter().collect()
    }

    /// Write down the start of those that may happen once, and let probes sleep that are not due; returns the others.
    fn ready(&mut self, calls: Vec<CallId>) -> Vec<CallId> {
        let inner = self.inner.clone();
        let slot = self.slot();
        let sorted = inner.with_accepted(|accepted, now_ms| {
            let (mut free, mut early) = (Vec::with_capacity(calls.len()), Vec::new());
            for call in calls {
                let Some(row) = accepted.live().calls.get(&call) else { continue };
                match (&row.state, row.request.effect) {
                    (RowState::Probing(probing), _) if probing.due_ms > now_ms => {
                        early.push((call, Duration::from_millis(probing.due_ms - now_ms)));
                    }
                    // The permit is held while the start becomes durable. One whose start is written already is not
                    // started again.
                    (_, Effect::AtMostOnce) => {
                        if accepted.start_call(now_ms, call) {
                            slot.permits.lock().insert(call);
                            if Mutant::CallBeforeItsStart.is_chosen() {
                                free.push(call);
                            }
                        }
                    }
                    (_, Effect::Idempotent { .. } | Effect::Verify { .. }) => free.push(call),
                }
            }
            (free, early)
        });
        let (free, early) = sorted.unwrap_or_default();
        for (call, wait) in early {
            self.sleep(call, wait);
        }
        free
    }

    /// Look at a probe again when it is due. The sleeper holds nothing: a system that ends meanwhile ends.
    fn sleep(&mut self, call: CallId, wait: Duration) {
        if !self.asleep.insert(call) {
            return;
        }
        let (inner, id) = (Arc::downgrade(&self.inner), self.id);
        #[expect(clippy::disallowed_methods, reason = "a probe that is not due sleeps in a task of its own")]
        tokio::spawn(async move {
            tokio::time::sleep(wait.min(LOOK_AGAIN)).await;
            if let Some(inner) = inner.upgrade() {
                inner.tell_tool(id, HostMessage::Due(call));
            }
        });
    }

    /// Call the adapter for each; answer together those that are ready at once.
    fn run(&mut self, calls: &[CallId]) {
        let prepared = self.prepare(calls);
        let mut outcomes = Vec::with_capacity(prepared.len());
        for mut prepared in prepared {
            match prepared.poll_once() {
                Some(outcome) => outcomes.push(self.inner.ended(self.id, &prepared, outcome)),
                None => self.spawn(prepared),
            }
        }
        if !outcomes.is_empty() {
            let ended: Vec<_> = outcomes.iter().map(|(call, ..)| *call).collect();
            let (inner, id) = (self.inner.clone(), self.id);
            self.inner.answer(outcomes, move || inner.end_calls(id, ended));
        }
    }

    /// Read the rows that are still wanted and note them as running. A probe whose call still runs stays behind.
    fn prepare(&mut self, calls: &[CallId]) -> Vec<Prepared> {
        let inner = &self.inner;
        let slot = inner.tools.get(&self.id).expect("an actor stands before a registered tool");
        let behind = &mut self.behind;
        let rows = inner.with_accepted(|accepted, _| {
            let fresh = |call: &CallId| {
                let row = accepted.live().calls.get(call)?;
                (!matches!(row.state, RowState::InDoubt(_))).then(|| (*call, row.clone()))
            };
            let mut begun = |(call, row): (CallId, Arc<Row>)| {
                let cx = context(call, &row, inner, slot.heartbeat);
                if inner.in_flight.begin(call, &cx.path, &cx.shared) {
                    return Some((call, row, cx));
                }
                if is_probe(&row) {
                    behind.push(call);
                }
                None
            };
            calls.iter().filter_map(fresh).filter_map(&mut begun).collect::<Vec<_>>()
        });
        let rows = rows.unwrap_or_default();
        {
            let mut permits = slot.permits.lock();
            // A call that is gone by now gives back what it held; the permit of an at-most-once call is held since its
            // start was written.
            for call in calls.iter().filter(|call| !inner.in_flight.contains(**call)) {
                permits.remove(call);
            }
            permits.extend(rows.iter().map(|(call, ..)| *call));
        }
        let began = monotonic();
        let prepare = |(call, row, cx): (CallId, Arc<Row>, CallContext)| {
            let timeout = Duration::from_millis(row.request.timeout_ms);
            let is_probe = is_probe(&row);
            let begin = if is_probe { ask } else { start };
            let calling = begin(slot.tool.clone(), cx.clone(), row.request.input.clone());
            let calling = calling.instrument(told::span(&cx, &slot.name));
            let calling = Box::pin(inner.flight.noted_call(row.caller, call, &slot.name, calling));
            Prepared { call, is_probe, calling, cx, timeout, began }
        };
        rows.into_iter().map(prepare).collect()
    }

    fn spawn(&self, prepared: Prepared) {
        let (inner, id) = (self.inner.clone(), self.id);
        #[expect(clippy::disallowed_methods, reason = "a call that is not ready at once runs in a task of its own")]
        tokio::spawn(async move {
            let mut prepared = prepared;
            let call = prepared.call;
            #[cfg(test)]
            inner.fault(Site::CallRuns, Who::Call(call)).await;
            let outcome = within(&mut prepared.calling, &prepared.cx, prepared.timeout).await;
            #[cfg(test)]
            inner.fault(Site::CallEnded, Who::Call(call)).await;
            // The system that began it may have ended with its store.
            let inner = inner.in_flight.home().get().unwrap_or(inner);
            let ended = inner.ended(id, &prepared, outcome);
            // What the adapter holds is gone before its permit is given to another.
            drop(prepared);
            let ending = inner.clone();
            #[cfg(test)]
            inner.fault(Site::BeforeAnswer, Who::Call(call)).await;
            inner.answer(vec![ended], move || {
                // A probe that stayed behind begins only when the call is off the table.
                ending.end_calls(id, vec![call]);
                if let Some(slot) = ending.tools.get(&id) {
                    slot.tell(HostMessage::Freed);
                }
            });
        });
    }
}

impl Inner {
    /// An attempt at a call ended, or a probe.
    fn ended(&self, tool: u32, prepared: &Prepared, outcome: Outcome) -> Ended {
        let ended = finished(&prepared.cx, prepared.is_probe, outcome);
        if let Some(slot) = self.tools.get(&tool) {
            told::tell(&prepared.cx, prepared.is_probe, &slot.name, &ended.1, prepared.began.elapsed());
        }
        if let Some(meters) = self.meters.tool(tool) {
            if prepared.is_probe { meters.probed() } else { meters.ended(&ended.1, prepared.began.elapsed()) }
        }
        ended
    }
}
