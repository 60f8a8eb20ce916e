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

use std::time::Duration;

use self::book::Book;
use super::{
    child::{Child, Key, Life, Slot, Starter},
    error::Error,
    event::{Action, Cause, Event},
    exit::Exit,
    intensity::Window,
    policy::{AutoShutdown, Policy, Restart, Shutdown, Strategy},
    report::Happened,
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

    fn started(&mut self, key: Key, now: Duration) {
        let Some((child, Life::Starting { by, .. })) = self.book.current(key) else { return };
        let (id, must_end) = (child.spec.id.clone(), child.stays_down);
        self.book.child_mut(key.slot).up_since = now;
        self.book.set(key.slot, Life::Up { incarnation: key.incarnation, leaves: false });
        self.actions.push(Action::Report(id, Happened::Started { incarnation: key.incarnation }));
        if let Starter::Added(ticket) | Starter::Restarted(ticket) = by {
            self.actions.push(Action::Reply(ticket, Ok(key.slot)));
        }
        if must_end && self.cause().is_none() {
            self.stop(key.slot, now);
        }
    }

    fn start_failed(&mut self, key: Key, reason: String, now: Duration) {
        let Some((child, Life::Starting { by, .. })) = self.book.current(key) else { return };
        let (id, stays_down) = (child.spec.id.clone(), child.stays_down);
        self.actions.push(Action::Report(id.clone(), Happened::StartFailed { reason: reason.clone() }));
        match by {
            Starter::Added(ticket) | Starter::Restarted(ticket) => {
                self.put_down(key.slot);
                if let Starter::Added(_) = by {
                    self.book.remove(key.slot);
                }
                self.actions.push(Action::Reply(ticket, Err(Error::StartFailed { child: id, reason })));
            }
            Starter::Supervisor if stays_down || self.cause().is_some() => self.put_down(key.slot),
            Starter::Supervisor if self.phase == Phase::Starting => {
                self.put_down(key.slot);
                self.end(Cause::StartFailed { child: id, reason });
            }
            Starter::Supervisor => self.fail(key.slot, reason, now),
        }
    }

    fn exited(&mut self, key: Key, exit: Exit, now: Duration) {
        let Some((child, life)) = self.book.current(key) else { return };
        let exit = as_asked(exit, life);
        let id = child.spec.id.clone();
        let was_told = matches!(life, Life::Ending { .. } | Life::Up { leaves: true, .. });
        let is_restarted = exit != Exit::Asked && child.is_restarted_after(exit.is_abnormal());
        let returns = !child.stays_down && child.spec.restart != Restart::Temporary;
        self.actions.push(Action::Report(id, Happened::Exited { exit: exit.clone() }));
        if self.cause().is_some() {
            self.put_down(key.slot);
        } else if was_told && returns {
            self.book.set(key.slot, Life::Due { at: self.regroup_at });
        } else if was_told || exit == Exit::Asked {
            self.put_down(key.slot);
        } else if is_restarted {
            let child = self.book.child_mut(key.slot);
            if now.saturating_sub(child.up_since) > self.policy.intensity.period {
                child.streak = 0;
            }
            self.fail(key.slot, exit.to_string(), now);
        } else {
            self.ended_for_good(key.slot);
        }
    }

    /// A child ended by itself, and is not started again.
    fn ended_for_good(&mut self, slot: Slot) {
        let (id, is_significant) = {
            let spec = &self.book.child(slot).spec;
            (spec.id.clone(), spec.significant)
        };
        self.put_down(slot);
        let ends = match self.policy.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => is_significant,
            AutoShutdown::AllSignificant => is_significant && !self.book.has_significant(),
        };
        if ends {
            self.end(Cause::Auto(id));
        }
    }

    /// A child is down; what nothing can start again is forgotten.
    fn put_down(&mut self, slot: Slot) {
        self.book.set(slot, Life::Down);
        let child = self.book.child_mut(slot);
        child.stays_down = false;
        let replies = std::mem::take(&mut child.tickets).into_iter().map(|ticket| Action::Reply(ticket, Ok(slot)));
        let is_kept = child.spec.restart != Restart::Temporary && self.policy.strategy != Strategy::Dynamic;
        self.actions.extend(replies);
        if !is_kept {
            self.book.remove(slot);
        }
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

/// How the end of a child looks when it was told to: it did as told, unless it had to be killed or broke on the way.
fn as_asked(exit: Exit, life: Life) -> Exit {
    match (life, exit) {
        (Life::Ending { .. }, exit @ Exit::Failed(_)) => exit,
        (Life::Ending { is_killed: true, .. }, _) => Exit::Killed,
        (Life::Ending { is_killed: false, .. }, Exit::Normal | Exit::Shutdown | Exit::Asked) => Exit::Asked,
        (_, exit) => exit,
    }
}
