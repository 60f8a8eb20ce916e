//! Decides what a supervisor does: a function of what it knows, what it hears, and the time.
//!
//! ```text
//! Starting ─► Running ─► Ending(cause) ─► Ended
//!     └── a start fails ────▲
//! ```
//! Every step first takes in what was heard, and then looks what can be done next ([`State::advance`]).
//!
//! **Invariants:** the supervisor starts one child at a time, in order, and reports each start before the next. In a
//! group strategy nothing is started while something ends. A child told to end counts for nothing when it does. Nothing
//! here starts after the first decision to end, and `Ended` is reached when no child is left. Absent: clocks, actors.

mod ask;
mod book;
mod fail;
mod hear;

use std::time::Duration;

use self::book::Book;
use super::{
    child::{Child, Key, Life, Slot, Starter},
    error::Error,
    event::{Action, Cause, Event},
    intensity::Window,
    policy::{Policy, Shutdown, Strategy},
    spec::ChildSpec,
};

/// What a supervisor knows.
#[derive(Debug)]
pub(super) struct State {
    policy: Policy,
    phase: Phase,
    book: Book,
    /// Restarts that count, of all children together; a dynamic supervisor counts for each child.
    window: Window,
    /// When the children that a sibling's failure ended are started again.
    regroup_at: Duration,
    next_incarnation: u64,
    actions: Vec<Action>,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Running,
    Ending(Cause),
    Ended(Cause),
}

impl State {
    /// A supervisor that starts these children with its first step.
    pub(super) fn new(policy: Policy, children: Vec<ChildSpec>) -> Result<Self, Error> {
        let mut state = Self {
            policy,
            phase: Phase::Starting,
            book: Book::default(),
            window: Window::default(),
            regroup_at: Duration::ZERO,
            next_incarnation: 1,
            actions: Vec::new(),
        };
        for spec in children {
            spec.check(&policy)?;
            state.book.add(spec, Life::Due { at: Duration::ZERO })?;
        }
        Ok(state)
    }

    /// Hear something, and say what is to be done.
    pub(super) fn step(&mut self, event: Event, now: Duration) -> Vec<Action> {
        match event {
            Event::Woke => {}
            Event::Started(key) => self.started(key, now),
            Event::StartFailed(key, reason) => self.start_failed(key, reason, now),
            Event::Exited(key, exit) => self.exited(key, exit, now),
            Event::Shutdown => self.end(Cause::Asked),
            Event::Asked(ticket, command) => self.ask(ticket, command, now),
        }
        self.advance(now);
        std::mem::take(&mut self.actions)
    }

    /// When it must be woken, if nothing else happens.
    pub(super) fn next_alarm(&self) -> Option<Duration> {
        let is_group = self.policy.strategy.is_group();
        let due = match self.phase {
            // What is under way ends with an event of its own.
            _ if self.book.is_starting() || (is_group && self.book.is_ending()) => None,
            Phase::Starting | Phase::Running if is_group => self.book.first_due(),
            Phase::Starting | Phase::Running => self.book.due(),
            Phase::Ending(_) | Phase::Ended(_) => None,
        };
        [due.map(|(at, _)| at), self.book.next_kill()].into_iter().flatten().min()
    }

    /// Why it ends, once it does.
    pub(super) fn cause(&self) -> Option<&Cause> {
        match &self.phase {
            Phase::Starting | Phase::Running => None,
            Phase::Ending(cause) | Phase::Ended(cause) => Some(cause),
        }
    }

    /// Whether it has decided to end, and no child is left.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// All children, in the order of their start.
    pub(super) fn children(&self) -> impl Iterator<Item = (Slot, &Child)> {
        self.book.iter()
    }

    fn end(&mut self, cause: Cause) {
        if self.cause().is_none() {
            self.phase = Phase::Ending(cause);
        }
    }

    /// Do what can be done now.
    fn advance(&mut self, now: Duration) {
        for slot in self.book.overdue(now) {
            self.kill(slot);
        }
        match &self.phase {
            Phase::Ended(_) => {}
            Phase::Ending(cause) if self.book.alive() == 0 => self.phase = Phase::Ended(cause.clone()),
            Phase::Ending(_) if self.policy.strategy == Strategy::Dynamic => self.end_all(now),
            Phase::Ending(_) => self.end_last(now),
            Phase::Starting | Phase::Running if self.policy.strategy.is_group() => self.regroup(now),
            Phase::Starting | Phase::Running => self.start_due(self.book.due(), now),
        }
    }

    /// End all children together.
    fn end_all(&mut self, now: Duration) {
        for slot in self.book.up() {
            self.stop(slot, now);
        }
    }

    /// End children from the last to the first, one after another.
    fn end_last(&mut self, now: Duration) {
        if let Some((slot, Life::Up { .. })) = self.book.last_alive() {
            self.stop(slot, now);
        }
    }

    /// End those that a failure takes along from the last to the first; when none is left, start from the first.
    fn regroup(&mut self, now: Duration) {
        if self.book.is_ending() {
            return;
        }
        match self.book.last_leaving() {
            Some(slot) => self.stop(slot, now),
            None => self.start_due(self.book.first_due(), now),
        }
    }

    fn start_due(&mut self, due: Option<(Duration, Slot)>, now: Duration) {
        match due {
            _ if self.book.is_starting() => {}
            Some((at, slot)) if at <= now => self.start(slot, Starter::Supervisor),
            Some(_) => {}
            None if self.phase == Phase::Starting => self.phase = Phase::Running,
            None => {}
        }
    }

    fn start(&mut self, slot: Slot, by: Starter) {
        let incarnation = self.next_incarnation;
        self.next_incarnation += 1;
        self.book.set(slot, Life::Starting { incarnation, by });
        let spec = self.book.child(slot).spec.clone();
        self.actions.push(Action::Start(Key { slot, incarnation }, spec));
    }

    /// Tell a child that is up to end.
    fn stop(&mut self, slot: Slot, now: Duration) {
        let child = self.book.child(slot);
        let Life::Up { incarnation, .. } = child.life else { return };
        let key = Key { slot, incarnation };
        let is_asked = child.spec.shutdown != Shutdown::BrutalKill;
        self.book.set(slot, child.ending(incarnation, now));
        self.actions.push(if is_asked { Action::Stop(key) } else { Action::Kill(key) });
    }

    /// A child has not ended in time.
    fn kill(&mut self, slot: Slot) {
        if let Life::Ending { incarnation, .. } = self.book.child(slot).life {
            self.book.set(slot, Life::Ending { incarnation, kill_at: None, is_killed: true });
            self.actions.push(Action::Kill(Key { slot, incarnation }));
        }
    }
}
