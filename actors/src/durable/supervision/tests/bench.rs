//! A supervisor's decisions without actors: every start succeeds and every child does as it is told, unless a test says
//! otherwise. The log says what was started, stopped, killed and heard.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use crate::durable::supervision::{
    Backoff, ChildSpec, Exit, Happened, Policy, Restart, Status,
    child::{Key, Slot},
    error::Error,
    event::{Action, Cause, Command, Event, Ticket},
    state::State,
};

pub(super) struct Bench {
    pub(super) state: State,
    pub(super) now: Duration,
    pub(super) log: Vec<String>,
    /// How many of the next starts of a child fail.
    pub(super) failing: BTreeMap<&'static str, u32>,
    /// They do not end when asked.
    pub(super) stubborn: BTreeSet<&'static str>,
    names: BTreeMap<Slot, String>,
    next_ticket: Ticket,
}

/// A specification that is never carried out.
pub(super) fn spec(id: &str, restart: Restart) -> ChildSpec {
    ChildSpec::new(id, |_| std::future::ready(Err("there are no actors here".into()))).restart(restart)
}

/// Permanent children.
pub(super) fn permanent(ids: &[&str]) -> Vec<ChildSpec> {
    ids.iter().map(|id| spec(id, Restart::Permanent)).collect()
}

impl Bench {
    /// A supervisor whose children are up.
    pub(super) fn new(policy: Policy, children: Vec<ChildSpec>) -> Self {
        let mut bench = Self::unstarted(policy.backoff(Backoff::NONE), children);
        bench.start();
        bench.log.clear();
        bench
    }

    pub(super) fn unstarted(policy: Policy, children: Vec<ChildSpec>) -> Self {
        Self {
            state: State::new(policy, children).unwrap(),
            now: Duration::ZERO,
            log: Vec::new(),
            failing: BTreeMap::new(),
            stubborn: BTreeSet::new(),
            names: BTreeMap::new(),
            next_ticket: 0,
        }
    }

    pub(super) fn start(&mut self) {
        self.feed(Event::Woke);
    }

    /// The log since it was last taken.
    pub(super) fn log(&mut self) -> String {
        std::mem::take(&mut self.log).join(", ")
    }

    pub(super) fn crash(&mut self, id: &str) {
        self.exit(id, Exit::Failed("it broke".to_owned()));
    }

    pub(super) fn exit(&mut self, id: &str, exit: Exit) {
        let key = self.key(id);
        self.feed(Event::Exited(key, exit));
    }

    /// Ask for something; the answer comes into the log.
    pub(super) fn ask(&mut self, command: Command) {
        self.next_ticket += 1;
        self.feed(Event::Asked(self.next_ticket, command));
    }

    /// Let time pass, and wake it whenever it wants to be woken.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.state.next_alarm().filter(|at| *at <= end) {
            assert!(at >= self.now, "an alarm in the past rings for ever");
            self.now = at;
            self.feed(Event::Woke);
        }
        self.now = end;
    }

    pub(super) fn status(&self, id: &str) -> Option<Status> {
        self.state.children().find(|(_, child)| &*child.spec.id == id).map(|(_, child)| child.life.status())
    }

    pub(super) fn cause(&self) -> Option<&Cause> {
        self.state.cause()
    }

    /// The life that a child lives now.
    pub(super) fn key(&self, id: &str) -> Key {
        let (slot, child) = self.state.children().find(|(_, child)| &*child.spec.id == id).expect("it is known");
        Key { slot, incarnation: child.life.incarnation().expect("it lives") }
    }

    pub(super) fn feed(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let actions = self.state.step(event, self.now);
            self.names.extend(self.state.children().map(|(slot, child)| (slot, child.spec.id.to_string())));
            events.extend(actions.into_iter().filter_map(|action| self.carry(action)));
        }
    }

    fn carry(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Start(key, _) => {
                let id = self.names[&key.slot].clone();
                match self.failing.get_mut(&*id).filter(|left| **left > 0) {
                    None => return Some(Event::Started(key)),
                    Some(left) => *left -= 1,
                }
                return Some(Event::StartFailed(key, "it would not".to_owned()));
            }
            Action::Stop(key) => {
                let id = self.names[&key.slot].clone();
                self.log.push(format!("stop {id}"));
                return (!self.stubborn.contains(&*id)).then_some(Event::Exited(key, Exit::Normal));
            }
            Action::Kill(key) => {
                self.log.push(format!("kill {}", self.names[&key.slot]));
                return Some(Event::Exited(key, Exit::Killed));
            }
            Action::Report(id, happened) => self.log.extend(told(&id, &happened)),
            Action::Reply(_, answer) => self.log.push(answered(answer)),
        }
        None
    }
}

fn told(id: &str, happened: &Happened) -> Option<String> {
    match happened {
        Happened::Started { .. } => Some(format!("start {id}")),
        Happened::StartFailed { .. } => Some(format!("fail {id}")),
        Happened::Exited { exit: Exit::Asked } => None,
        Happened::Exited { exit: Exit::Failed(_) } => Some(format!("crash {id}")),
        Happened::Exited { exit } => Some(format!("{exit} {id}")),
        Happened::Restarting { after, .. } if after.is_zero() => None,
        Happened::Restarting { .. } => Some(format!("wait {id}")),
        Happened::Escalated { ends_supervisor: true, .. } => Some(format!("escalate {id}")),
        Happened::Escalated { ends_supervisor: false, .. } => Some(format!("give up {id}")),
    }
}

fn answered(answer: Result<Slot, Error>) -> String {
    answer.map_or_else(|error| format!("refused: {error}"), |_| "ok".to_owned())
}
