//! Carries out a supervisor's actions with ractor, and tells it what came of them.
//!
//! **Invariants:** `cells` and `keys` name the same incarnations, each until its end was heard. While the supervisor
//! settles (its start is not over, or its last message was heard) nothing waits for a message of its own.

mod settle;
mod start;

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use ractor::{ActorCell, ActorId, ActorRef, RpcReplyPort};
use rustc_hash::FxHashMap;
use tokio::task::{AbortHandle, JoinSet};

use super::{
    child::{ChildId, Key, Slot},
    error::Error,
    event::{Action, Cause, Command, Event, Ticket},
    exit::{Exit, SHUTDOWN},
    handle::ChildInfo,
    host::{HostMessage, Origin},
    report::{Happened, Observer, Report},
    spec::Setup,
    state::State,
};

type Port = RpcReplyPort<Result<Option<ActorCell>, Error>>;

/// What a supervisor's actor keeps in memory.
pub(super) struct Carried {
    name: Arc<str>,
    observer: Option<Observer>,
    myself: ActorRef<HostMessage>,
    state: State,
    origin: Origin,
    /// The actors of the children that live.
    cells: FxHashMap<Slot, (Key, ActorCell)>,
    keys: FxHashMap<ActorId, Key>,
    ports: FxHashMap<Ticket, Port>,
    next_ticket: Ticket,
    alarm: Option<(Duration, AbortHandle)>,
    /// Starts that failed and were not heard yet.
    failures: VecDeque<(Key, String)>,
    is_settling: bool,
    /// While it settles: children whose end is awaited.
    endings: JoinSet<Key>,
}

impl Carried {
    pub(super) fn new(myself: ActorRef<HostMessage>, setup: Setup) -> Result<Self, Error> {
        Ok(Self {
            name: setup.name,
            observer: setup.observer,
            myself,
            state: State::new(setup.policy, setup.children)?,
            origin: Origin::now(),
            cells: FxHashMap::default(),
            keys: FxHashMap::default(),
            ports: FxHashMap::default(),
            next_ticket: 0,
            alarm: None,
            failures: VecDeque::new(),
            is_settling: false,
            endings: JoinSet::new(),
        })
    }

    /// Tell it something and do what it wants, until it wants nothing more.
    pub(super) async fn feed(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.state.step(event, self.origin.elapsed()) {
                events.extend(self.carry(action).await);
            }
        }
        self.set_alarm();
        if let Some(cause) = self.state.cause() {
            // What is left is done when no message is heard any more.
            self.myself.stop(Some(reason(cause)));
        }
    }

    pub(super) async fn ask(&mut self, command: Command, port: Port) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.ports.insert(ticket, port);
        self.feed(Event::Asked(ticket, command)).await;
    }

    pub(super) async fn wake(&mut self) {
        self.alarm = None;
        self.feed(Event::Woke).await;
    }

    pub(super) async fn hear_exit(&mut self, actor: ActorId, exit: Exit) {
        if let Some(key) = self.keys.get(&actor).copied() {
            self.forget(key);
            self.feed(Event::Exited(key, exit)).await;
        }
    }

    /// Hear of one start that failed. Says whether there was one.
    pub(super) async fn hear_failure(&mut self) -> bool {
        let Some((key, reason)) = self.failures.pop_front() else { return false };
        self.feed(Event::StartFailed(key, reason)).await;
        true
    }

    pub(super) fn children(&self) -> Vec<ChildInfo> {
        let info = |(slot, child): (Slot, &super::child::Child)| ChildInfo {
            id: child.spec.id.clone(),
            kind: child.spec.kind,
            restart: child.spec.restart,
            status: child.life.status(),
            restarts: child.restarts,
            cell: self.cells.get(&slot).map(|(_, cell)| cell.clone()),
        };
        self.state.children().map(info).collect()
    }

    /// Do one thing; returns what came of it, if that is known at once.
    async fn carry(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Start(key, spec) => return self.start(key, &spec.start).await,
            Action::Stop(key) => self.end(key, |cell| cell.stop(Some(SHUTDOWN.to_owned()))),
            Action::Kill(key) => self.end(key, ActorCell::kill),
            Action::Report(child, happened) => self.report(child, happened),
            Action::Reply(ticket, answer) => self.reply(ticket, answer),
        }
        None
    }

    fn end(&mut self, key: Key, how: impl FnOnce(&ActorCell)) {
        if let Some((_, cell)) = self.cells.get(&key.slot).filter(|(current, _)| *current == key) {
            how(cell);
            if self.is_settling {
                self.await_end(key, cell.clone());
            }
        }
    }

    fn forget(&mut self, key: Key) {
        if let Some((_, cell)) = self.cells.get(&key.slot).filter(|(current, _)| *current == key) {
            self.keys.remove(&cell.get_id());
            self.cells.remove(&key.slot);
        }
    }

    fn report(&self, child: ChildId, happened: Happened) {
        tracing::debug!(supervisor = &*self.name, child = &*child, ?happened, "supervision");
        let Some(observer) = &self.observer else { return };
        let report = Report { supervisor: self.name.clone(), child, happened };
        if catch_unwind(AssertUnwindSafe(|| observer(report))).is_err() {
            tracing::error!(supervisor = &*self.name, "the observer of a supervisor panicked");
        }
    }

    fn reply(&mut self, ticket: Ticket, answer: Result<Slot, Error>) {
        let cell = answer.map(|slot| self.cells.get(&slot).map(|(_, cell)| cell.clone()));
        if let Some(port) = self.ports.remove(&ticket) {
            // Whoever asked may be gone.
            let _ = port.send(cell);
        }
    }

    /// Let itself be woken when the state wants it.
    fn set_alarm(&mut self) {
        let next = self.state.next_alarm().filter(|_| !self.is_settling);
        if next == self.alarm.as_ref().map(|(at, _)| *at) {
            return;
        }
        if let Some((_, alarm)) = self.alarm.take() {
            alarm.abort();
        }
        self.alarm = next.map(|at| {
            let alarm = self.myself.send_after(at.saturating_sub(self.origin.elapsed()), || HostMessage::Woke);
            (at, alarm.abort_handle())
        });
    }
}

impl Drop for Carried {
    /// After an end by its own hand no child is left. After a kill there may be: ractor kills those that run, but not one
    /// that is stuck in its `post_stop`.
    fn drop(&mut self) {
        for (_, cell) in self.cells.values() {
            cell.kill();
        }
    }
}

fn reason(cause: &Cause) -> String {
    match cause {
        Cause::Asked => SHUTDOWN.to_owned(),
        Cause::Escalated(child) => format!("{SHUTDOWN}: {child} failed too often"),
        Cause::Auto(child) => format!("{SHUTDOWN}: {child} has ended"),
        Cause::StartFailed { child, reason } => format!("{SHUTDOWN}: {child} did not start: {reason}"),
    }
}
