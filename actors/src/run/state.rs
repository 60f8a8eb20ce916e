//! What a run decides, and what it knows.

mod told;

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use self::{
    Status::{Ended, New, Running, Stopping},
    told::{end, end_as, hold, put_row},
};
use super::{Outcome, RunId};
use crate::{
    durable::{About, ActorId, Address, Behavior, Extensions, Failure, Fate, Fired, Rejection, Turn, cut},
    json::Json,
    phase::{self, Phase},
    plan::{Checked, Digest, Evaluator, Plans, Scope, TaskAt},
};

/// Phases that run at once at most: one turn must be able to stop them all.
const RUNNING_MAX: usize = 512;
/// Phases started by one turn at most.
const STARTS_MAX: usize = 256;
/// The longest reason that is kept.
const REASON_MAX: usize = 512;
/// Room for the rest of what a phase begins with, its input above all.
const BEGIN_MAX: usize = INPUT_MAX + 4 * 1024;
/// The largest input of a run: 256 KiB. Larger data belongs into the artifact store.
pub const INPUT_MAX: usize = 256 * 1024;

/// The timer of a run that has a deadline.
const DEADLINE: u32 = 1;
/// What a run's own failures are told of.
const ITSELF: &str = "run";

/// The behaviour of a run.
pub struct Run;

/// What a run is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Begin {
    /// Its name outside the store.
    pub run: RunId,
    /// What it carries out.
    pub plan: Digest,
    /// Its input, with defaults filled in.
    pub input: Json,
    /// What people call it by.
    pub labels: Vec<(String, String)>,
}

/// Everything a run can be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message {
    /// Begin.
    Start(Begin),
    /// A phase ended.
    PhaseEnded {
        /// Which.
        phase: ActorId,
        /// How.
        end: phase::End,
    },
    /// End as soon as what runs has an outcome.
    Cancel {
        /// Why.
        reason: String,
    },
    /// Something befell a phase's actor.
    Fate(Fate),
    /// A phase cannot go on without an operator.
    Held {
        /// Why.
        reason: String,
    },
    /// Go on starting phases: a turn is bounded.
    More,
    /// What it was held for was mended, if that was this.
    Released {
        /// Why it was held.
        reason: String,
    },
    /// A person gave it up, and everything below it is gone: end, as failed.
    GiveUp {
        /// Why.
        reason: String,
    },
    /// The time that it has is over.
    DeadlineOver,
}

/// Everything that can happen to a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// It was submitted.
    Submitted {
        /// What it was given.
        begin: Begin,
        /// When, in milliseconds since 1970.
        at_ms: u64,
    },
    /// A phase started.
    PhaseStarted {
        /// Its position.
        phase: u32,
        /// Its actor.
        actor: ActorId,
    },
    /// A phase was passed over: its condition was false.
    PhaseSkipped {
        /// Its position.
        phase: u32,
    },
    /// A phase did all it had to.
    PhaseDone {
        /// Its position.
        phase: u32,
        /// What it hands on.
        outputs: Vec<(TaskAt, Json)>,
    },
    /// A phase failed or was stopped.
    PhaseUndone {
        /// Its position.
        phase: u32,
        /// The task that failed, and why; nothing if it was stopped.
        failure: Option<(String, Failure)>,
    },
    /// Something of the run itself has no value (a condition, or its output), or its deadline is over.
    Broken {
        /// Where.
        place: String,
        /// Why.
        failure: Failure,
    },
    /// It was cancelled.
    Cancelled {
        /// Why.
        reason: String,
    },
    /// It cannot go on without an operator.
    Held {
        /// Why.
        reason: String,
    },
    /// It starts nothing more.
    Stopping,
    /// It ended.
    Ended(Outcome),
    /// What it was held for was mended.
    Released,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Not begun.
    #[default]
    New,
    /// Starts phases.
    Running,
    /// Waits for what runs.
    Stopping,
    /// Has ended.
    Ended,
}

/// Where one phase stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PhaseStatus {
    /// It runs.
    Running(ActorId),
    /// It ended well, or was passed over.
    Settled,
    /// It failed or was stopped.
    Undone,
}

/// What a run knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Where it stands.
    pub status: Status,
    /// What it was given.
    pub begin: Option<Begin>,
    /// When it was submitted, in milliseconds since 1970.
    pub submitted_at: u64,
    /// Phases that are not untouched.
    pub phases: BTreeMap<u32, PhaseStatus>,
    /// What phases handed on.
    pub outputs: BTreeMap<TaskAt, Json>,
    /// The first failure.
    pub failure: Option<(String, Failure)>,
    /// Why it was cancelled, if it was.
    pub cancelled: Option<String>,
    /// Why it cannot go on without an operator, if it cannot.
    pub held: Option<String>,
}

impl Behavior for Run {
    const KIND: &'static str = "run";
    const VERSION: u16 = 1;
    const MAY_REST: bool = false;
    type State = State;
    type Message = Message;
    type Event = Event;
    type Reply = ();

    fn decide(turn: &mut Turn<'_, Self>, message: Message) -> Result<(), Rejection> {
        match (turn.state().status, message) {
            (New, Message::Start(begin)) => {
                let at_ms = turn.now_ms();
                turn.emit(&Event::Submitted { begin, at_ms });
                if let Some(ms) = plan(turn)?.deadline_ms {
                    turn.timer(DEADLINE, ms);
                }
                go_on(turn)
            }
            (Running | Stopping, Message::PhaseEnded { phase, end }) => phase_ended(turn, phase, end),
            (Running, Message::Cancel { mut reason }) => {
                // It is told to everything that runs.
                cut(&mut reason, REASON_MAX);
                turn.emit(&Event::Cancelled { reason });
                put_row(turn)?;
                go_on(turn)
            }
            (Running, Message::DeadlineOver) => overdue(turn),
            (Running, Message::More) => go_on(turn),
            (Running | Stopping, Message::Held { reason }) => hold(turn, reason),
            (Running | Stopping, Message::Fate(Fate::Poisoned { reason, .. })) => {
                hold(turn, format!("a phase lost a message that it died of: {reason}"))
            }
            (Running | Stopping, Message::Fate(Fate::Suspended { reason, .. })) => {
                hold(turn, format!("a phase cannot be loaded: {reason}"))
            }
            (Running | Stopping, Message::Fate(Fate::Ended { reason, .. })) => {
                hold(turn, format!("a phase was ended: {reason}"))
            }
            (Running | Stopping, Message::Fate(Fate::Stuck { reason, .. })) => {
                // Whatever it is held for already says more.
                if turn.state().held.is_none() { hold(turn, reason) } else { Ok(()) }
            }
            (Running | Stopping, Message::Released { reason }) if turn.state().held.as_ref() == Some(&reason) => {
                turn.emit(&Event::Released);
                put_row(turn)
            }
            (Running | Stopping, Message::GiveUp { reason }) => {
                let failure = Failure::new("given-up", reason);
                end_as(turn, Outcome::Failed { task: ITSELF.to_owned(), failure })
            }
            // Something else has befallen it since.
            (Running | Stopping, Message::Released { .. }) => Ok(()),
            // An echo of what is settled already.
            (Stopping | Ended, Message::Cancel { .. } | Message::More | Message::DeadlineOver) | (Ended, _) => Ok(()),
            (status, message) => Err(Rejection::new(format!("a run that is {status:?} takes no {message:?}"))),
        }
    }

    fn apply(state: &mut State, event: &Event) {
        match event {
            Event::Submitted { begin, at_ms } => {
                state.begin = Some(begin.clone());
                state.submitted_at = *at_ms;
                state.status = Running;
            }
            Event::PhaseStarted { phase, actor } => _ = state.phases.insert(*phase, PhaseStatus::Running(*actor)),
            Event::PhaseSkipped { phase } => _ = state.phases.insert(*phase, PhaseStatus::Settled),
            Event::PhaseDone { phase, outputs } => {
                state.phases.insert(*phase, PhaseStatus::Settled);
                state.outputs.extend(outputs.iter().cloned());
            }
            Event::PhaseUndone { phase, failure } => {
                state.phases.insert(*phase, PhaseStatus::Undone);
                if state.failure.is_none() {
                    state.failure.clone_from(failure);
                }
            }
            Event::Broken { place, failure } => {
                state.failure.get_or_insert_with(|| (place.clone(), failure.clone()));
            }
            Event::Cancelled { reason } => state.cancelled = Some(reason.clone()),
            Event::Held { reason } => state.held = Some(reason.clone()),
            Event::Stopping => state.status = Stopping,
            Event::Ended(_) => state.status = Ended,
            Event::Released => state.held = None,
        }
    }

    fn on_fate(fate: Fate) -> Option<Message> {
        Some(Message::Fate(fate))
    }

    fn on_timer(_: Fired) -> Option<Message> {
        Some(Message::DeadlineOver)
    }

    fn about(state: &State, _extensions: &Extensions) -> Option<About> {
        Some(About { path: state.begin.as_ref()?.run.to_string(), attempt: None })
    }
}

impl State {
    fn running(&self) -> impl Iterator<Item = (u32, ActorId)> {
        self.phases.iter().filter_map(|(phase, status)| match status {
            PhaseStatus::Running(actor) => Some((*phase, *actor)),
            PhaseStatus::Settled | PhaseStatus::Undone => None,
        })
    }

    fn is_settled(&self, phase: u32) -> bool {
        self.phases.get(&phase) == Some(&PhaseStatus::Settled)
    }
}

fn plan(turn: &Turn<'_, Run>) -> Result<Arc<Checked>, Rejection> {
    let digest = begin(turn)?.plan;
    let plan = turn.extension::<Plans>().and_then(|plans| plans.get(digest));
    plan.ok_or_else(|| Rejection::fatal(format!("plan {digest} is not known")))
}

fn begin<'a>(turn: &'a Turn<'_, Run>) -> Result<&'a Begin, Rejection> {
    turn.state().begin.as_ref().ok_or_else(|| Rejection::new("the run has not begun"))
}

/// Start what is ready, stop what must stop, end when nothing runs.
fn go_on(turn: &mut Turn<'_, Run>) -> Result<(), Rejection> {
    let plan = plan(turn)?;
    if turn.state().status == Running {
        start_ready(turn, &plan)?;
    }
    let must_stop = turn.state().failure.is_some() || turn.state().cancelled.is_some();
    if must_stop && turn.state().status == Running {
        stop_all(turn);
    }
    if turn.state().running().next().is_none() { end(turn, &plan) } else { Ok(()) }
}

/// A skipped phase may make others ready, so this goes in the order of the graph.
fn start_ready(turn: &mut Turn<'_, Run>, plan: &Checked) -> Result<(), Rejection> {
    let mut started = 0;
    for &at in plan.order() {
        let is_ready = !turn.state().phases.contains_key(&at)
            && plan.phases[at as usize].needs.iter().all(|need| turn.state().is_settled(*need));
        if !is_ready || turn.state().failure.is_some() || turn.state().cancelled.is_some() {
            continue;
        }
        if turn.state().running().count() >= RUNNING_MAX {
            // Each end of one looks for the next.
            break;
        }
        if started == STARTS_MAX || turn.bytes_left() < phase::OUTPUTS_MAX + BEGIN_MAX {
            let me = Address::<Run>::new(turn.me());
            turn.send(me, &Message::More);
            break;
        }
        started += usize::from(start(turn, plan, at)?);
    }
    Ok(())
}

/// Says whether the phase started, rather than being passed over.
fn start(turn: &mut Turn<'_, Run>, plan: &Checked, at: u32) -> Result<bool, Rejection> {
    let phase = &plan.phases[at as usize];
    if let Some(condition) = &phase.when {
        let scope = scope(turn, plan, plan.phase_reads(at))?;
        match evaluator(turn)?.0.test(condition, scope.value()) {
            Ok(true) => {}
            Ok(false) => {
                turn.emit(&Event::PhaseSkipped { phase: at });
                return Ok(false);
            }
            Err(error) => {
                let failure = Failure::new("condition", error.message);
                turn.emit(&Event::Broken { place: phase.name.clone(), failure });
                return Ok(false);
            }
        }
    }
    let begin = begin(turn)?.clone();
    let read = |at: &TaskAt| turn.state().outputs.get(at).map(|output| (*at, output.clone()));
    let outputs: Vec<_> = plan.phase_reads(at).iter().filter_map(read).collect();
    let bytes: usize = outputs.iter().map(|(_, output)| output.len()).sum();
    if bytes > phase::OUTPUTS_MAX {
        let message =
            format!("the outputs it reads are {bytes} bytes together, and {} are allowed", phase::OUTPUTS_MAX);
        turn.emit(&Event::Broken { place: phase.name.clone(), failure: Failure::new("output", message) });
        return Ok(false);
    }
    let first = phase::Begin { run: begin.run, plan: begin.plan, phase: at, input: begin.input, outputs };
    let actor = turn.spawn::<Phase>(&phase::Message::Start(first)).id;
    turn.emit(&Event::PhaseStarted { phase: at, actor });
    Ok(true)
}

fn scope(turn: &Turn<'_, Run>, plan: &Checked, reads: &[TaskAt]) -> Result<Scope, Rejection> {
    let begin = begin(turn)?;
    Ok(Scope::new(plan, &begin.run.to_string(), &begin.input, reads, |at| turn.state().outputs.get(at).cloned()))
}

fn evaluator<'a>(turn: &'a Turn<'_, Run>) -> Result<&'a Evaluator, Rejection> {
    turn.extension::<Evaluator>().ok_or_else(|| Rejection::fatal("no evaluator is installed"))
}

fn phase_ended(turn: &mut Turn<'_, Run>, actor: ActorId, end: phase::End) -> Result<(), Rejection> {
    let Some(phase) = turn.state().running().find(|(_, known)| *known == actor).map(|(phase, _)| phase) else {
        return Ok(());
    };
    turn.emit(&match end {
        phase::End::Done { outputs } => Event::PhaseDone { phase, outputs },
        phase::End::Failed { task, failure } => Event::PhaseUndone { phase, failure: Some((task, failure)) },
        phase::End::Stopped => Event::PhaseUndone { phase, failure: None },
    });
    go_on(turn)
}

fn overdue(turn: &mut Turn<'_, Run>) -> Result<(), Rejection> {
    let ms = plan(turn)?.deadline_ms.unwrap_or_default();
    let failure = Failure::new("deadline", format!("the deadline of the run, {ms} ms, is over"));
    turn.emit(&Event::Broken { place: ITSELF.to_owned(), failure });
    go_on(turn)
}

fn stop_all(turn: &mut Turn<'_, Run>) {
    let state = turn.state();
    let reason = match (&state.cancelled, &state.failure) {
        (Some(reason), _) => reason.clone(),
        (None, Some((place, failure))) if place == ITSELF => failure.message.clone(),
        _ => "another phase of the run failed".to_owned(),
    };
    let running: Vec<_> = state.running().map(|(_, actor)| actor).collect();
    for actor in running {
        turn.send(Address::<Phase>::new(actor), &phase::Message::Stop { reason: reason.clone() });
    }
    turn.emit(&Event::Stopping);
}
