//! What a phase decides, and what it knows.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use self::Status::{Ended, New, Running, Stopping};
use super::{
    fetch::{self, Errand, Window},
    items::Cache,
    outputs::{Many, Output},
    start,
    turns::{befell, ended, finish, go_on, overdue, stop},
};
use crate::{
    durable::{About, ActorId, Answer, Behavior, CallId, Extensions, Failure, Fate, Fired, Rejection, Turn},
    json::Json,
    plan::{Digest, TaskAt},
    run::{RunId, about::about},
    task,
};

/// The timer of a phase that has a deadline.
const DEADLINE: u32 = 1;

/// The behaviour of a phase.
pub struct Phase;

/// What a phase is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Begin {
    /// Of which run.
    pub run: RunId,
    /// By which plan.
    pub plan: Digest,
    /// Its position in the plan.
    pub phase: u32,
    /// The run's input.
    pub input: Json,
    /// The outputs of other phases that it reads.
    pub outputs: Vec<(TaskAt, Json)>,
}

/// Everything a phase can be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message {
    /// Begin.
    Start(Begin),
    /// A task ended.
    Ended {
        /// Which.
        task: ActorId,
        /// How.
        end: task::End,
    },
    /// Go on starting tasks: a turn is bounded.
    More,
    /// No longer wanted.
    Stop {
        /// Why.
        reason: String,
    },
    /// Something befell a task's actor.
    Fate(Fate),
    /// One of its own calls came back.
    Answered(Answer),
    /// The time that it has is over.
    DeadlineOver,
}

/// A task with its item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unit {
    /// Its position in the phase.
    pub task: u32,
    /// Its position among the items.
    pub item: Option<u32>,
}

/// Everything that can happen to a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// It began.
    Began(Begin),
    /// A `for_each` was cut into so many items.
    FannedOut {
        /// Which task.
        task: u32,
        /// How many.
        items: u32,
    },
    /// Tasks started.
    Started(Vec<(Unit, ActorId)>),
    /// Tasks were passed over: their condition was false.
    Skipped(Vec<Unit>),
    /// A task could not be started: a template, a condition or the data of its `for_each` has no value.
    Unstartable {
        /// Which.
        unit: Unit,
        /// Whether the phase goes on without it.
        optional: bool,
        /// Why.
        failure: Failure,
    },
    /// A task succeeded.
    Done {
        /// Its actor.
        actor: ActorId,
        /// What it gave.
        output: Json,
        /// Whether somebody reads that.
        kept: bool,
    },
    /// A task failed, or was stopped.
    Undone {
        /// Its actor.
        actor: ActorId,
        /// Whether the phase goes on without it.
        optional: bool,
        /// Why; nothing if it was stopped.
        failure: Option<Failure>,
    },
    /// It made a call of its own.
    Sent {
        /// Which.
        call: CallId,
        /// What for.
        errand: Errand,
    },
    /// Items came.
    Fetched {
        /// By which call.
        call: CallId,
        /// Which.
        window: Window,
    },
    /// Outputs were put aside.
    PutAside {
        /// By which call.
        call: CallId,
        /// Where to.
        reference: Json,
    },
    /// One of its own calls failed, and with it the task it was for.
    ErrandFailed {
        /// Which.
        call: CallId,
        /// Whose.
        unit: Unit,
        /// Whether the phase goes on without it.
        optional: bool,
        /// Why.
        failure: Failure,
    },
    /// A task's actor lost a message that it died of; it was told to end.
    Poisoned {
        /// Which.
        actor: ActorId,
    },
    /// It no longer starts anything.
    Stopping {
        /// Why.
        reason: String,
    },
    /// It ended.
    Ended,
    /// The time that it had is over.
    Overdue {
        /// What it waited for.
        unit: Unit,
        /// What it fails with.
        failure: Failure,
    },
}

/// How a phase ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum End {
    /// All its tasks did.
    Done {
        /// The outputs that somebody reads.
        outputs: Vec<(TaskAt, Json)>,
    },
    /// A task failed.
    Failed {
        /// Which, by name and item.
        task: String,
        /// Why.
        failure: Failure,
    },
    /// It was no longer wanted.
    Stopped,
}

/// Where a phase stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Not begun.
    #[default]
    New,
    /// Starts and gathers.
    Running,
    /// Only gathers.
    Stopping,
    /// Has ended.
    Ended,
}

/// How many of a task's items have come how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Items, once they are known; 1 without a `for_each`.
    pub items: Option<u32>,
    /// Started, skipped, or found unstartable.
    pub begun: u32,
    /// Of those, no longer running.
    pub ended: u32,
}

/// What a phase knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Where it stands.
    pub status: Status,
    /// What it was given.
    pub begin: Option<Begin>,
    /// By task.
    pub tallies: BTreeMap<u32, Tally>,
    /// The first task with something left to begin.
    pub first_open: u32,
    /// The tasks that run.
    pub running: BTreeMap<ActorId, Unit>,
    /// Those of them that were told to end, because they lost a message.
    pub poisoned: BTreeSet<ActorId>,
    /// What was given so far.
    pub outputs: BTreeMap<u32, Output>,
    /// The items at hand of a fan-out over an artifact.
    pub windows: BTreeMap<u32, Window>,
    /// Its own calls, with the outputs that are on their way aside.
    pub errands: BTreeMap<CallId, (Errand, Many)>,
    /// How many of those it made so far.
    pub errands_sent: u32,
    /// The first failure that counts.
    pub failure: Option<(Unit, Failure)>,
    /// Items of fan-outs, derived.
    #[serde(skip)]
    pub items: Cache,
}

impl Behavior for Phase {
    const KIND: &'static str = "phase";
    const VERSION: u16 = 1;
    const MAY_REST: bool = false;
    type State = State;
    type Message = Message;
    type Event = Event;
    type Reply = ();

    fn decide(turn: &mut Turn<'_, Self>, message: Message) -> Result<(), Rejection> {
        match (turn.state().status, message) {
            (New, Message::Start(begin)) => {
                turn.emit(&Event::Began(begin));
                if let Some(ms) = start::deadline_ms(turn)? {
                    turn.timer(DEADLINE, ms);
                }
                go_on(turn)
            }
            (New, Message::Stop { .. }) => finish(turn),
            (Running, Message::More) => go_on(turn),
            (Running | Stopping, Message::Ended { task, end }) => ended(turn, task, end),
            (Running, Message::Stop { reason }) => {
                stop(turn, reason);
                go_on(turn)
            }
            (Running, Message::DeadlineOver) => overdue(turn),
            (Running | Stopping, Message::Fate(fate)) => befell(turn, fate),
            (Running | Stopping, Message::Answered(answer)) => {
                fetch::returned(turn, answer)?;
                go_on(turn)
            }
            // An echo of what is settled already.
            (_, Message::More | Message::Stop { .. } | Message::DeadlineOver) | (Ended, _) => Ok(()),
            (status, message) => Err(Rejection::new(format!("a phase that is {status:?} takes no {message:?}"))),
        }
    }

    fn apply(state: &mut State, event: &Event) {
        match event {
            Event::Began(begin) => {
                state.begin = Some(begin.clone());
                state.status = Running;
            }
            Event::FannedOut { task, items } => {
                state.tally(*task).items = Some(*items);
                state.close_begun();
            }
            Event::Started(units) => {
                for (unit, actor) in units {
                    state.tally(unit.task).begun += 1;
                    state.running.insert(*actor, *unit);
                }
                state.close_begun();
            }
            Event::Skipped(units) => units.iter().for_each(|unit| state.pass(*unit)),
            Event::Unstartable { unit, optional, failure } => {
                let tally = state.tally(unit.task);
                // Data that cannot be cut into items leaves nothing to begin.
                tally.items.get_or_insert(tally.begun + 1);
                state.pass(*unit);
                state.fail(*unit, *optional, Some(failure));
            }
            Event::Done { actor, output, kept } => {
                if let Some(unit) = state.leave(*actor)
                    && *kept
                {
                    state.keep(unit, output);
                }
            }
            Event::Undone { actor, optional, failure } => {
                if let Some(unit) = state.leave(*actor) {
                    state.fail(unit, *optional, failure.as_ref());
                }
            }
            Event::Sent { call, errand } => {
                state.errands_sent += 1;
                let aside = match (errand, state.outputs.get_mut(&errand.task())) {
                    (Errand::PutAside { .. }, Some(Output::Many(many))) => Many {
                        chunks: Vec::new(),
                        given: std::mem::take(&mut many.given),
                        bytes: std::mem::take(&mut many.bytes),
                    },
                    _ => Many::default(),
                };
                state.errands.insert(*call, (*errand, aside));
            }
            Event::Fetched { call, window } => {
                if let Some((Errand::Fetch { task, .. }, _)) = state.errands.remove(call) {
                    state.tally(task).items = Some(window.total);
                    state.windows.insert(task, window.clone());
                    state.close_begun();
                }
            }
            Event::PutAside { call, reference } => {
                if let Some((Errand::PutAside { task }, _)) = state.errands.remove(call)
                    && let Some(Output::Many(many)) = state.outputs.get_mut(&task)
                {
                    many.chunks.push(reference.clone());
                }
            }
            Event::ErrandFailed { call, unit, optional, failure } => {
                state.errands.remove(call);
                let tally = state.tally(unit.task);
                // Nothing more of this task is begun.
                tally.items = Some(tally.begun);
                state.close_begun();
                state.fail(*unit, *optional, Some(failure));
            }
            Event::Poisoned { actor } => _ = state.poisoned.insert(*actor),
            Event::Overdue { unit, failure } => state.fail(*unit, false, Some(failure)),
            Event::Stopping { .. } => state.status = Stopping,
            Event::Ended => state.status = Ended,
        }
    }

    fn on_fate(fate: Fate) -> Option<Message> {
        Some(Message::Fate(fate))
    }

    fn on_answer(answer: Answer) -> Option<Message> {
        Some(Message::Answered(answer))
    }

    fn on_timer(_: Fired) -> Option<Message> {
        Some(Message::DeadlineOver)
    }

    fn about(state: &State, extensions: &Extensions) -> Option<About> {
        let begin = state.begin.as_ref()?;
        Some(about(extensions, (begin.run, begin.plan), (begin.phase, None)))
    }
}

impl Errand {
    fn task(&self) -> u32 {
        match self {
            Self::Fetch { task, .. } | Self::PutAside { task } => *task,
        }
    }
}

impl State {
    /// What a task gave, if it gave anything; a fan-out over nothing gave an empty list.
    pub(super) fn document(&self, task: u32, is_fan_out: bool) -> Option<Json> {
        let items = self.tallies.get(&task).and_then(|tally| tally.items);
        match self.outputs.get(&task) {
            Some(output) => Some(output.document(items.unwrap_or(1))),
            None if is_fan_out => items.map(|items| Output::Many(Many::default()).document(items)),
            None => None,
        }
    }

    /// Whether an output of this task is on its way aside.
    pub(super) fn is_putting_aside(&self) -> bool {
        self.errands.values().any(|(errand, _)| matches!(errand, Errand::PutAside { .. }))
    }

    /// What it waits for: a task that runs, the data of one, or the first that was not begun.
    pub(super) fn waits_for(&self) -> Unit {
        let running = self.running.values().min().copied();
        let errand = || self.errands.values().next().map(|(errand, _)| errand.task());
        running.unwrap_or_else(|| Unit { task: errand().unwrap_or(self.first_open), item: None })
    }

    fn tally(&mut self, task: u32) -> &mut Tally {
        self.tallies.entry(task).or_default()
    }

    /// Begun and ended in one: nothing ran.
    fn pass(&mut self, unit: Unit) {
        let tally = self.tally(unit.task);
        tally.begun += 1;
        tally.ended += 1;
        self.close_begun();
    }

    fn close_begun(&mut self) {
        let is_begun = |tally: &Tally| tally.items.is_some_and(|items| tally.begun >= items);
        while self.tallies.get(&self.first_open).is_some_and(is_begun) {
            self.first_open += 1;
        }
    }

    fn leave(&mut self, actor: ActorId) -> Option<Unit> {
        let unit = self.running.remove(&actor)?;
        self.poisoned.remove(&actor);
        self.tally(unit.task).ended += 1;
        Some(unit)
    }

    fn keep(&mut self, unit: Unit, output: &Json) {
        match unit.item {
            None => _ = self.outputs.insert(unit.task, Output::One(output.clone())),
            Some(item) => {
                let many = self.outputs.entry(unit.task).or_insert_with(|| Output::Many(Many::default()));
                if let Output::Many(many) = many {
                    many.keep(item, output);
                }
            }
        }
    }

    fn fail(&mut self, unit: Unit, optional: bool, failure: Option<&Failure>) {
        if let (false, None, Some(failure)) = (optional, &self.failure, failure) {
            self.failure = Some((unit, failure.clone()));
        }
    }
}
