//! What a task knows, and what it does with what it hears.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use self::Status::{Backoff, Calling, Doubt, Ended, New, Sleeping};
use super::{attempt, deadline, end, old, poisoned, sleep};
use crate::{
    durable::{About, Answer, Behavior, CallId, Extensions, Failure, Fired, Rejection, Turn, codec},
    json::Json,
    plan::Digest,
    run::{RunId, about::about},
};

/// The back-off timer.
pub(super) const BACKOFF: u32 = 1;
/// The timer of a task that does nothing but let time pass.
pub(super) const SLEEP: u32 = 2;
/// The timer of a task whose attempts have a deadline together.
pub(super) const DEADLINE: u32 = 3;

/// The behaviour of a task.
pub struct Task;

/// What a task is to do, frozen by its phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Of which run.
    pub run: RunId,
    /// By which plan.
    pub plan: Digest,
    /// The position of its phase.
    pub phase: u32,
    /// Its position in the phase.
    pub task: u32,
    /// Its position among the items of a `for_each`.
    pub item: Option<u32>,
    /// The tool's arguments, rendered.
    pub input: Json,
}

/// Everything a task can be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message {
    /// Begin.
    Start(Job),
    /// The tool answered.
    Answered(Answer),
    /// The wait before the next attempt is over.
    BackoffOver,
    /// No longer wanted: end as soon as its call has an outcome.
    Stop {
        /// Why.
        reason: String,
    },
    /// One of its messages was given up: end now.
    Poisoned {
        /// What the last panic said.
        reason: String,
    },
    /// It has slept for as long as it may or should.
    SleepOver,
    /// Begin, with fallbacks.
    StartWith {
        /// What to do.
        job: Job,
        /// The arguments of each fallback, rendered.
        fallbacks: Vec<Json>,
    },
    /// The time that its attempts have together is over.
    DeadlineOver,
}

/// Everything that can happen to a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// It began, and intends its first call.
    Began {
        /// What it is to do.
        job: Job,
        /// Its first call.
        call: CallId,
        /// When, in milliseconds since 1970: its key is known from then on.
        key_since_ms: u64,
    },
    /// It intends another call.
    Called {
        /// Which.
        call: CallId,
        /// Since when its key is known.
        key_since_ms: u64,
    },
    /// An attempt failed, and certainly no attempt with its key had an effect; another follows.
    AttemptFailed {
        /// Why.
        failure: Failure,
        /// The wait before the next.
        wait_ms: u64,
        /// What it saved for the next.
        checkpoint: Option<Bytes>,
    },
    /// Nobody knows how an attempt ended, this one or a former one with its key; it is repeated with the same key.
    AttemptUnknown {
        /// Why.
        failure: Failure,
        /// The wait before the next.
        wait_ms: u64,
        /// What it saved for the next.
        checkpoint: Option<Bytes>,
    },
    /// The call is held for a decision.
    Doubted {
        /// Which.
        call: CallId,
        /// What it saved for the next attempt.
        checkpoint: Option<Bytes>,
        /// Why.
        failure: Failure,
    },
    /// It was decided that the call is repeated with the same key.
    Repeated {
        /// The call that takes its place.
        call: CallId,
    },
    /// It is no longer wanted.
    Stopping {
        /// Why.
        reason: String,
    },
    /// It succeeded. What it gave is in the phase's event.
    Succeeded,
    /// It failed for good.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// It ended because it was no longer wanted.
    Stopped,
    /// The process ended in the middle of the attempt, and a probe is sure that it did not happen: it is made again, with
    /// the same key, and counts once.
    MadeAgain {
        /// The call that takes its place.
        call: CallId,
        /// What it saved before.
        checkpoint: Option<Bytes>,
        /// Why it is known not to have happened.
        failure: Failure,
    },
    /// Its work is to let time pass: an attempt that is a timer of its own, and no call.
    FellAsleep {
        /// What it is to do.
        job: Job,
        /// When it fell asleep, in milliseconds since 1970.
        from_ms: u64,
        /// When it is to wake.
        until_ms: u64,
    },
    /// It has fallbacks, which are called with these arguments should they be needed.
    Prepared {
        /// The arguments of each.
        fallbacks: Vec<Json>,
    },
    /// The tool at hand failed for good, and certainly had no effect: the next one is called in its place.
    FellBack {
        /// The position of the next among the fallbacks, from 1.
        to: u32,
        /// Its name.
        tool: String,
        /// Why the one before it failed.
        failure: Failure,
    },
    /// The time that its attempts have together is over: no other is made.
    DeadlineOver,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum End {
    /// It succeeded, and gave this.
    Done(Json),
    /// Its condition was false.
    Skipped,
    /// It failed for good.
    Failed(Failure),
    /// It was no longer wanted.
    Stopped,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Not begun.
    #[default]
    New,
    /// Waits for an answer.
    Calling(CallId),
    /// Waits before the next attempt.
    Backoff,
    /// Waits for a decision.
    Doubt(CallId),
    /// Has ended.
    Ended,
    /// Lets time pass, with a timer of its own.
    Sleeping {
        /// Since when, in milliseconds since 1970.
        from_ms: u64,
        /// Until when.
        until_ms: u64,
    },
}

/// What a task knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Where it stands.
    pub status: Status,
    /// What it is to do.
    pub job: Option<Job>,
    /// Attempts so far, of the tool at hand.
    pub attempt: u32,
    /// Since when the key of this generation is known, once a call was made with it.
    pub key_since_ms: Option<u64>,
    /// Definite failures so far: part of the key.
    pub generation: u32,
    /// Whether it is no longer wanted.
    pub stopping: bool,
    /// What the last attempt saved.
    pub checkpoint: Option<Bytes>,
    /// Which tool is at hand: its own (0), or a fallback (from 1).
    pub at: u32,
    /// The arguments of its fallbacks.
    pub fallbacks: Vec<Json>,
    /// Whether the time that its attempts have together is over.
    pub overdue: bool,
    /// Whether nobody knows how an attempt with the key at hand ended. What a later one with this key was refused is no
    /// proof about that one.
    pub unsure: bool,
    /// When it began, in milliseconds since 1970; nothing if an older build wrote it down without.
    pub began_ms: Option<u64>,
}

impl State {
    /// Whether nothing more is to be tried.
    pub(super) fn tries_no_more(&self) -> bool {
        self.stopping || self.overdue
    }
}

impl Behavior for Task {
    const KIND: &'static str = "task";
    const VERSION: u16 = 1;
    /// Version 1 knew no fallbacks and no deadline; version 2 did not know when it began.
    const STATE_VERSION: u16 = 3;
    const MAY_REST: bool = false;
    type State = State;
    type Message = Message;
    type Event = Event;
    type Reply = ();

    fn decide(turn: &mut Turn<'_, Self>, message: Message) -> Result<(), Rejection> {
        match (turn.state().status, message) {
            (New, Message::Start(job)) => attempt::begin(turn, job),
            (New, Message::StartWith { job, fallbacks }) => {
                turn.emit(&Event::Prepared { fallbacks });
                attempt::begin(turn, job)
            }
            (New, Message::Stop { .. }) => end(turn, End::Stopped),
            (Calling(current), Message::Answered(answer)) if answer.call == current => attempt::answered(turn, answer),
            (Doubt(current), Message::Answered(answer)) if answer.call == current => attempt::decided(turn, answer),
            (Backoff, Message::BackoffOver) => attempt::again(turn),
            (Backoff, Message::Stop { .. }) => {
                turn.clear_timer(BACKOFF);
                end(turn, End::Stopped)
            }
            (Sleeping { from_ms, until_ms }, Message::SleepOver) => sleep::wake(turn, from_ms, until_ms),
            (Sleeping { .. }, Message::Stop { .. }) => {
                turn.clear_timer(SLEEP);
                end(turn, End::Stopped)
            }
            (Calling(call), Message::Stop { reason }) => {
                turn.emit(&Event::Stopping { reason });
                turn.cancel(call);
                Ok(())
            }
            (Doubt(_), Message::Stop { reason }) => {
                turn.emit(&Event::Stopping { reason });
                Ok(())
            }
            (Calling(_) | Backoff | Sleeping { .. } | Doubt(_), Message::DeadlineOver) => deadline::over(turn),
            (New | Backoff | Sleeping { .. }, Message::Poisoned { reason }) => end(turn, poisoned(reason)),
            // Its call may be under way, and has no outcome yet. If the outcome is what was lost, nobody here can know it:
            // the phase hears of this refusal, and holds the run where everyone can see it.
            (Calling(_) | Doubt(_), Message::Poisoned { reason }) => Err(Rejection::fatal(reason)),
            // An echo of what is settled already. Dropping it is what makes redelivery safe.
            (_, Message::Answered(_) | Message::BackoffOver | Message::SleepOver | Message::DeadlineOver)
            | (Ended, _) => Ok(()),
            (status, message) => Err(Rejection::new(format!("a task that is {status:?} takes no {message:?}"))),
        }
    }

    fn apply(state: &mut State, event: &Event) {
        match event {
            Event::Began { job, call, key_since_ms } => {
                state.job = Some(job.clone());
                state.key_since_ms = Some(*key_since_ms);
                state.began_ms = Some(*key_since_ms);
                state.attempt = 1;
                state.status = Calling(*call);
            }
            Event::Called { call, key_since_ms } => {
                state.attempt += 1;
                state.key_since_ms = Some(*key_since_ms);
                state.status = Calling(*call);
            }
            Event::Repeated { call } => {
                state.attempt += 1;
                state.status = Calling(*call);
            }
            Event::MadeAgain { call, checkpoint, .. } => {
                state.checkpoint.clone_from(checkpoint);
                state.status = Calling(*call);
            }
            Event::AttemptFailed { checkpoint, .. } => {
                state.generation += 1;
                (state.key_since_ms, state.unsure) = (None, false);
                state.checkpoint.clone_from(checkpoint);
                state.status = Backoff;
            }
            Event::AttemptUnknown { checkpoint, .. } => {
                state.unsure = true;
                state.checkpoint.clone_from(checkpoint);
                state.status = Backoff;
            }
            Event::Doubted { call, checkpoint, .. } => {
                state.unsure = true;
                state.checkpoint.clone_from(checkpoint);
                state.status = Doubt(*call);
            }
            Event::FellAsleep { job, from_ms, until_ms } => {
                state.job = Some(job.clone());
                state.began_ms.get_or_insert(*from_ms);
                state.attempt += 1;
                state.status = Sleeping { from_ms: *from_ms, until_ms: *until_ms };
            }
            Event::Prepared { fallbacks } => state.fallbacks.clone_from(fallbacks),
            Event::FellBack { to, .. } => {
                (state.at, state.attempt, state.generation) = (*to, 0, 0);
                (state.key_since_ms, state.checkpoint, state.unsure) = (None, None, false);
                // Its first attempt follows in the same turn.
                state.status = Backoff;
            }
            Event::DeadlineOver => state.overdue = true,
            Event::Stopping { .. } => state.stopping = true,
            Event::Succeeded | Event::Failed { .. } | Event::Stopped => state.status = Ended,
        }
    }

    fn on_answer(answer: Answer) -> Option<Message> {
        Some(Message::Answered(answer))
    }

    fn on_timer(fired: Fired) -> Option<Message> {
        Some(match fired.name {
            SLEEP => Message::SleepOver,
            DEADLINE => Message::DeadlineOver,
            _ => Message::BackoffOver,
        })
    }

    fn migrate_state(old: codec::Stored<'_>) -> Result<State, codec::Error> {
        old::state(old)
    }

    fn about(state: &State, extensions: &Extensions) -> Option<About> {
        let Job { run, plan, phase, task, item, .. } = state.job.as_ref()?;
        let about = about(extensions, (*run, *plan), (*phase, Some((*task, *item))));
        Some(About { attempt: Some(state.attempt), ..about })
    }
}
