//! What a task decides.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use self::Status::{Backoff, Calling, Doubt, Ended, New, Sleeping};
use super::key::key;
use crate::{
    durable::{
        About, Address, Answer, Behavior, CallId, Effect, Extensions, Failure, Fired, Outcome, Rejection, Request,
        Turn, Verdict,
    },
    json::Json,
    phase::{self, Phase},
    plan::{Checked, Digest, Effects, InDoubt, Plans, Sleeps, TIMEOUT_DEFAULT_MS},
    run::{
        RunId,
        about::about,
        measures::{RETRY, TASK_ENDED},
    },
};

/// The back-off timer.
const BACKOFF: u32 = 1;
/// The timer of a task that does nothing but let time pass.
const SLEEP: u32 = 2;

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
    /// An attempt failed, and certainly had no effect; another follows.
    AttemptFailed {
        /// Why.
        failure: Failure,
        /// The wait before the next.
        wait_ms: u64,
        /// What it saved for the next.
        checkpoint: Option<Bytes>,
    },
    /// Nobody knows how an attempt ended; it is repeated with the same key.
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
    /// Attempts so far.
    pub attempt: u32,
    /// Since when the key of this generation is known, once a call was made with it.
    pub key_since_ms: Option<u64>,
    /// Definite failures so far: part of the key.
    pub generation: u32,
    /// Whether it is no longer wanted.
    pub stopping: bool,
    /// What the last attempt saved.
    pub checkpoint: Option<Bytes>,
}

impl Behavior for Task {
    const KIND: &'static str = "task";
    const VERSION: u16 = 1;
    const MAY_REST: bool = false;
    type State = State;
    type Message = Message;
    type Event = Event;
    type Reply = ();

    fn decide(turn: &mut Turn<'_, Self>, message: Message) -> Result<(), Rejection> {
        match (turn.state().status, message) {
            (New, Message::Start(job)) => begin(turn, job),
            (New, Message::Stop { .. }) => end(turn, End::Stopped),
            (Calling(current), Message::Answered(answer)) if answer.call == current => answered(turn, answer),
            (Doubt(current), Message::Answered(answer)) if answer.call == current => decided(turn, answer),
            (Backoff, Message::BackoffOver) => call_again(turn),
            (Backoff, Message::Stop { .. }) => {
                turn.clear_timer(BACKOFF);
                end(turn, End::Stopped)
            }
            (Sleeping { from_ms, until_ms }, Message::SleepOver) => wake(turn, from_ms, until_ms),
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
            (New | Backoff | Sleeping { .. }, Message::Poisoned { reason }) => end(turn, poisoned(reason)),
            // Its call may be under way, and has no outcome yet. If the outcome is what was lost, nobody here can know it:
            // the phase hears of this refusal, and holds the run where everyone can see it.
            (Calling(_) | Doubt(_), Message::Poisoned { reason }) => Err(Rejection::fatal(reason)),
            // An echo of what is settled already. Dropping it is what makes redelivery safe.
            (_, Message::Answered(_) | Message::BackoffOver | Message::SleepOver) | (Ended, _) => Ok(()),
            (status, message) => Err(Rejection::new(format!("a task that is {status:?} takes no {message:?}"))),
        }
    }

    fn apply(state: &mut State, event: &Event) {
        match event {
            Event::Began { job, call, key_since_ms } => {
                state.job = Some(job.clone());
                state.key_since_ms = Some(*key_since_ms);
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
                state.key_since_ms = None;
                state.checkpoint.clone_from(checkpoint);
                state.status = Backoff;
            }
            Event::AttemptUnknown { checkpoint, .. } => {
                state.checkpoint.clone_from(checkpoint);
                state.status = Backoff;
            }
            Event::Doubted { call, checkpoint, .. } => {
                state.checkpoint.clone_from(checkpoint);
                state.status = Doubt(*call);
            }
            Event::FellAsleep { job, from_ms, until_ms } => {
                state.job = Some(job.clone());
                state.attempt += 1;
                state.status = Sleeping { from_ms: *from_ms, until_ms: *until_ms };
            }
            Event::Stopping { .. } => state.stopping = true,
            Event::Succeeded | Event::Failed { .. } | Event::Stopped => state.status = Ended,
        }
    }

    fn on_answer(answer: Answer) -> Option<Message> {
        Some(Message::Answered(answer))
    }

    fn on_timer(fired: Fired) -> Option<Message> {
        Some(if fired.name == SLEEP { Message::SleepOver } else { Message::BackoffOver })
    }

    fn about(state: &State, extensions: &Extensions) -> Option<About> {
        let Job { run, plan, phase, task, item, .. } = state.job.as_ref()?;
        let about = about(extensions, (*run, *plan), (*phase, Some((*task, *item))));
        Some(About { attempt: Some(state.attempt), ..about })
    }
}

/// The plan, and this task in it.
struct Ordered {
    plan: Arc<Checked>,
    phase: usize,
    task: usize,
}

impl Ordered {
    fn task(&self) -> &crate::plan::Task {
        &self.plan.phases[self.phase].tasks[self.task]
    }
}

fn ordered(turn: &Turn<'_, Task>, job: &Job) -> Result<Ordered, Rejection> {
    let plan = turn.extension::<Plans>().and_then(|plans| plans.get(job.plan));
    let plan = plan.ok_or_else(|| Rejection::fatal(format!("plan {} is not known", job.plan)))?;
    Ok(Ordered { plan, phase: job.phase as usize, task: job.task as usize })
}

fn job(turn: &Turn<'_, Task>) -> Result<Job, Rejection> {
    turn.state().job.clone().ok_or_else(|| Rejection::new("the task has not begun"))
}

fn begin(turn: &mut Turn<'_, Task>, job: Job) -> Result<(), Rejection> {
    if let Some(until_ms) = sleeps_until(turn, &job)? {
        return fall_asleep(turn, job, until_ms);
    }
    let request = request(turn, &job, 1, 0)?;
    let call = turn.call(request);
    let key_since_ms = turn.now_ms();
    turn.emit(&Event::Began { job, call, key_since_ms });
    Ok(())
}

fn call_again(turn: &mut Turn<'_, Task>) -> Result<(), Rejection> {
    let key_since_ms = turn.state().key_since_ms.unwrap_or(turn.now_ms());
    let job = job(turn)?;
    if let Some(until_ms) = sleeps_until(turn, &job)? {
        return fall_asleep(turn, job, until_ms);
    }
    let request = request(turn, &job, turn.state().attempt + 1, turn.state().generation)?;
    // A repeat with this key would be a second effect.
    if request.is_forgotten(turn.now_ms()) {
        let failure =
            Failure::new("forgotten", "the tool no longer remembers the key of an attempt with an unknown outcome");
        let checkpoint = turn.state().checkpoint.clone();
        let call = turn.hold(request, failure.clone());
        turn.emit(&Event::Doubted { call, checkpoint, failure });
    } else {
        let call = turn.call(request);
        turn.emit(&Event::Called { call, key_since_ms });
    }
    Ok(())
}

/// Until when this is nothing but sleep, if it is.
fn sleeps_until(turn: &Turn<'_, Task>, job: &Job) -> Result<Option<u64>, Rejection> {
    let ordered = ordered(turn, job)?;
    let sleeps = turn.extension::<Sleeps>();
    Ok(sleeps.and_then(|sleeps| sleeps.until(&ordered.task().tool, &job.input, turn.now_ms())))
}

/// The sleep holds no permit and no memory, and goes on across restarts: it is a timer.
fn fall_asleep(turn: &mut Turn<'_, Task>, job: Job, until_ms: u64) -> Result<(), Rejection> {
    let from_ms = turn.now_ms();
    let limit_ms = sleep_limit_ms(turn, &job)?;
    turn.emit(&Event::FellAsleep { job, from_ms, until_ms });
    turn.timer(SLEEP, until_ms.saturating_sub(from_ms).min(limit_ms));
    Ok(())
}

fn wake(turn: &mut Turn<'_, Task>, from_ms: u64, until_ms: u64) -> Result<(), Rejection> {
    let slept_ms = until_ms.saturating_sub(from_ms);
    if slept_ms > sleep_limit_ms(turn, &job(turn)?)? {
        return failed(turn, Failure::new("timeout", "the sleep is longer than its time limit"), None);
    }
    end(turn, End::Done(serde_json::json!({ "slept_ms": slept_ms }).into()))
}

/// The limit that nobody chose is that of attempts which hold a permit: a sleep holds none, and may take days.
fn sleep_limit_ms(turn: &Turn<'_, Task>, job: &Job) -> Result<u64, Rejection> {
    let timeout_ms = ordered(turn, job)?.task().timeout_ms;
    Ok(if timeout_ms == TIMEOUT_DEFAULT_MS { u64::MAX } else { timeout_ms })
}

fn repeat_call(turn: &mut Turn<'_, Task>) -> Result<CallId, Rejection> {
    let job = job(turn)?;
    let request = request(turn, &job, turn.state().attempt + 1, turn.state().generation)?;
    Ok(turn.call(request))
}

/// A crash cut the attempt off before it had any effect: make the same one again.
fn make_again(turn: &mut Turn<'_, Task>, failure: Failure, checkpoint: Option<Bytes>) -> Result<(), Rejection> {
    let job = job(turn)?;
    let request = request(turn, &job, turn.state().attempt, turn.state().generation)?;
    let call = turn.call(Request { checkpoint: checkpoint.clone(), ..request });
    turn.emit(&Event::MadeAgain { call, checkpoint, failure });
    Ok(())
}

fn request(turn: &Turn<'_, Task>, job: &Job, attempt: u32, generation: u32) -> Result<Request, Rejection> {
    let ordered = ordered(turn, job)?;
    let task = ordered.task();
    let declared = turn.extension::<Effects>().and_then(|effects| effects.of(&task.tool));
    let path = path(&ordered, job.item);
    Ok(Request {
        tool: task.tool.clone(),
        key: key(job, &path, &task.tool, generation),
        path: format!("{}/{path}", job.run),
        attempt,
        effect: task.effect.or(declared).unwrap_or(Effect::AtMostOnce),
        input: job.input.clone(),
        timeout_ms: task.timeout_ms,
        heartbeat_ms: task.heartbeat_ms,
        checkpoint: turn.state().checkpoint.clone(),
        key_since_ms: turn.state().key_since_ms.unwrap_or(turn.now_ms()),
    })
}

fn path(ordered: &Ordered, item: Option<u32>) -> String {
    let (phase, task) = (&ordered.plan.phases[ordered.phase].name, &ordered.task().name);
    item.map_or_else(|| format!("{phase}/{task}"), |item| format!("{phase}/{task}[{item}]"))
}

fn answered(turn: &mut Turn<'_, Task>, answer: Answer) -> Result<(), Rejection> {
    let Answer { call, verdict, checkpoint } = answer;
    match verdict {
        Verdict::Ended(Outcome::Done(output)) => end(turn, End::Done(output)),
        Verdict::Ended(Outcome::Failed(_) | Outcome::Unknown(_)) | Verdict::NotMade(_) if turn.state().stopping => {
            end(turn, End::Stopped)
        }
        Verdict::Ended(Outcome::Failed(failure)) => failed(turn, failure, checkpoint),
        Verdict::Ended(Outcome::Unknown(failure)) => unknown(turn, failure, checkpoint),
        Verdict::InDoubt(failure) => doubted(turn, call, failure, checkpoint),
        Verdict::NotMade(failure) => make_again(turn, failure, checkpoint),
        Verdict::Repeat => Err(Rejection::new("a call that is not in doubt cannot be repeated by decision")),
    }
}

/// It certainly had no effect: try again under a new key, if the policy says so.
fn failed(turn: &mut Turn<'_, Task>, failure: Failure, checkpoint: Option<Bytes>) -> Result<(), Rejection> {
    match wait(turn, &failure)? {
        Some(wait_ms) => {
            turn.emit(&Event::AttemptFailed { failure, wait_ms, checkpoint });
            back_off(turn, wait_ms);
            Ok(())
        }
        None => end(turn, End::Failed(failure)),
    }
}

/// The tool is idempotent: repeat with the same key, if the policy says so; else it is in doubt.
fn unknown(turn: &mut Turn<'_, Task>, failure: Failure, checkpoint: Option<Bytes>) -> Result<(), Rejection> {
    if let Some(wait_ms) = wait(turn, &failure)? {
        turn.emit(&Event::AttemptUnknown { failure, wait_ms, checkpoint });
        back_off(turn, wait_ms);
        return Ok(());
    }
    let job = job(turn)?;
    match ordered(turn, &job)?.task().in_doubt {
        InDoubt::Fail => end(turn, End::Failed(failure)),
        InDoubt::Hold | InDoubt::Repeat => {
            let request = request(turn, &job, turn.state().attempt, turn.state().generation)?;
            let call = turn.hold(request, failure.clone());
            turn.emit(&Event::Doubted { call, checkpoint, failure });
            Ok(())
        }
    }
}

fn back_off(turn: &mut Turn<'_, Task>, wait_ms: u64) {
    turn.count(&RETRY, "", 1);
    turn.timer(BACKOFF, wait_ms);
}

/// The wait before the next attempt; none if there is no next.
fn wait(turn: &Turn<'_, Task>, failure: &Failure) -> Result<Option<u64>, Rejection> {
    let ordered = ordered(turn, &job(turn)?)?;
    let (retry, attempt) = (&ordered.task().retry, turn.state().attempt);
    let again = attempt < retry.max_attempts && retry.covers(&failure.class);
    let wait_ms = || retry.wait_ms(attempt, turn.random(0)).max(failure.retry_after_ms.unwrap_or(0));
    Ok(again.then(wait_ms))
}

fn doubted(
    turn: &mut Turn<'_, Task>,
    call: CallId,
    failure: Failure,
    checkpoint: Option<Bytes>,
) -> Result<(), Rejection> {
    let job = job(turn)?;
    match ordered(turn, &job)?.task().in_doubt {
        InDoubt::Fail => {
            turn.settle(call);
            return end(turn, End::Failed(failure));
        }
        InDoubt::Repeat if !turn.state().stopping => {
            if let Some(wait_ms) = wait(turn, &failure)? {
                turn.settle(call);
                turn.emit(&Event::AttemptUnknown { failure, wait_ms, checkpoint });
                back_off(turn, wait_ms);
                return Ok(());
            }
        }
        InDoubt::Hold | InDoubt::Repeat => {}
    }
    turn.emit(&Event::Doubted { call, checkpoint, failure });
    Ok(())
}

fn decided(turn: &mut Turn<'_, Task>, answer: Answer) -> Result<(), Rejection> {
    match answer.verdict {
        Verdict::Ended(Outcome::Done(output)) => end(turn, End::Done(output)),
        Verdict::Ended(Outcome::Failed(failure) | Outcome::Unknown(failure)) => end(turn, End::Failed(failure)),
        Verdict::Repeat => {
            let call = repeat_call(turn)?;
            turn.emit(&Event::Repeated { call });
            Ok(())
        }
        Verdict::InDoubt(_) | Verdict::NotMade(_) => Ok(()),
    }
}

fn poisoned(reason: String) -> End {
    End::Failed(Failure::new("poisoned", reason))
}

fn end(turn: &mut Turn<'_, Task>, end: End) -> Result<(), Rejection> {
    let how = match &end {
        End::Done(_) => "succeeded",
        End::Failed(_) => "failed",
        End::Skipped => "skipped",
        End::Stopped => "stopped",
    };
    turn.count(&TASK_ENDED, how, 1);
    turn.emit(&match &end {
        End::Done(_) => Event::Succeeded,
        End::Failed(failure) => Event::Failed { failure: failure.clone() },
        End::Skipped | End::Stopped => Event::Stopped,
    });
    let me = turn.me();
    turn.send(Address::<Phase>::new(turn.parent()), &phase::Message::Ended { task: me, end });
    turn.stop();
    Ok(())
}
