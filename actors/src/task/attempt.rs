//! Attempts: calls of the tool at hand, what follows from their outcomes, and the fallbacks.

use std::fmt::Write as _;

use bytes::Bytes;

use super::{
    Ordered, deadline, end, input, job,
    key::key,
    ordered, sleep,
    state::{BACKOFF, End, Event, Job, Task},
};
use crate::{
    durable::{Answer, CallId, Effect, Failure, Outcome, Rejection, Request, Turn, Verdict},
    mutant::Mutant,
    plan::{Effects, InDoubt},
    run::measures::RETRY,
};

/// Room in a path for all but its names: the run, two slashes, and an item.
const PATH_ROOM: usize = 36 + 2 + 12;

pub(super) fn begin(turn: &mut Turn<'_, Task>, job: Job) -> Result<(), Rejection> {
    let ordered = ordered(turn, &job)?;
    deadline::begin(turn, &ordered);
    if let Some(until_ms) = sleep::until(turn, &ordered, &job)? {
        return sleep::fall_asleep(turn, &ordered, job, until_ms);
    }
    let request = request(turn, &ordered, &job, 1)?;
    let call = turn.call(request);
    let key_since_ms = turn.now_ms();
    turn.emit(&Event::Began { job, call, key_since_ms });
    Ok(())
}

/// Another attempt, of whatever tool is at hand.
pub(super) fn again(turn: &mut Turn<'_, Task>) -> Result<(), Rejection> {
    let key_since_ms = turn.state().key_since_ms.unwrap_or(turn.now_ms());
    let job = job(turn)?;
    let ordered = ordered(turn, &job)?;
    if let Some(until_ms) = sleep::until(turn, &ordered, &job)? {
        return sleep::fall_asleep(turn, &ordered, job, until_ms);
    }
    let request = request(turn, &ordered, &job, turn.state().attempt + 1)?;
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

fn repeat_call(turn: &mut Turn<'_, Task>) -> Result<CallId, Rejection> {
    let job = job(turn)?;
    let request = request(turn, &ordered(turn, &job)?, &job, turn.state().attempt + 1)?;
    Ok(turn.call(request))
}

/// Nothing more is called, whoever wants it; and still nobody knows what became of the call.
fn hold_again(turn: &mut Turn<'_, Task>) -> Result<(), Rejection> {
    let why = if turn.state().stopping { "it is no longer wanted" } else { "its deadline is over" };
    let message = format!("a repeat was decided, and no call is made any more, because {why}: did it happen, or not?");
    let (failure, checkpoint) = (Failure::new("not-repeated", message), turn.state().checkpoint.clone());
    let job = job(turn)?;
    let request = request(turn, &ordered(turn, &job)?, &job, turn.state().attempt)?;
    let call = turn.hold(request, failure.clone());
    turn.emit(&Event::Doubted { call, checkpoint, failure });
    Ok(())
}

/// A crash cut the attempt off before it had any effect: make the same one again.
fn make_again(turn: &mut Turn<'_, Task>, failure: Failure, checkpoint: Option<Bytes>) -> Result<(), Rejection> {
    let job = job(turn)?;
    let request = request(turn, &ordered(turn, &job)?, &job, turn.state().attempt)?;
    let call = turn.call(Request { checkpoint: checkpoint.clone(), ..request });
    turn.emit(&Event::MadeAgain { call, checkpoint, failure });
    Ok(())
}

fn request(turn: &Turn<'_, Task>, ordered: &Ordered, job: &Job, attempt: u32) -> Result<Request, Rejection> {
    let (means, state) = (ordered.means(turn)?, turn.state());
    let declared = turn.extension::<Effects>().and_then(|effects| effects.of(&means.tool));
    let path = path(ordered, job);
    let (_, within) = path.split_once('/').unwrap_or_default();
    let with_attempt = if Mutant::KeyIncludesAttempt.is_chosen() { attempt } else { 0 };
    Ok(Request {
        tool: means.tool.clone(),
        key: key(job, within, &means.tool, state.at, state.generation + with_attempt),
        path,
        attempt,
        effect: means.effect.or(declared).unwrap_or(Effect::AtMostOnce),
        input: input(turn, job)?.clone(),
        timeout_ms: means.timeout_ms,
        heartbeat_ms: means.heartbeat_ms,
        checkpoint: state.checkpoint.clone(),
        key_since_ms: state.key_since_ms.unwrap_or(turn.now_ms()),
    })
}

/// `RUN/PHASE/TASK`, and `[ITEM]` if it has one.
fn path(ordered: &Ordered, job: &Job) -> String {
    let (phase, task) = (&ordered.plan.phases[ordered.phase].name, &ordered.task().name);
    let mut path = String::with_capacity(PATH_ROOM + phase.len() + task.len());
    // Writing to a string does not fail.
    let _ = write!(path, "{}/{phase}/{task}", job.run);
    if let Some(item) = job.item {
        let _ = write!(path, "[{item}]");
    }
    path
}

pub(super) fn answered(turn: &mut Turn<'_, Task>, answer: Answer) -> Result<(), Rejection> {
    let Answer { call, verdict, checkpoint } = answer;
    match verdict {
        Verdict::Ended(Outcome::Done(output)) => end(turn, End::Done(output)),
        Verdict::Ended(Outcome::Failed(_) | Outcome::Unknown(_)) | Verdict::NotMade(_) | Verdict::Refused(_)
            if turn.state().stopping =>
        {
            end(turn, End::Stopped)
        }
        Verdict::Refused(failure) if Mutant::RefusalRaisesGeneration.is_chosen() => failed(turn, failure, checkpoint),
        Verdict::Refused(failure) => refused(turn, failure, checkpoint),
        Verdict::Ended(Outcome::Failed(failure) | Outcome::Unknown(failure))
            if Mutant::TimeoutRaisesGeneration.is_chosen() =>
        {
            failed(turn, failure, checkpoint)
        }
        Verdict::Ended(Outcome::Failed(failure)) if turn.state().unsure => refused(turn, failure, checkpoint),
        Verdict::NotMade(failure) if turn.state().overdue => gave_up(turn, failure),
        Verdict::Ended(Outcome::Failed(failure)) => failed(turn, failure, checkpoint),
        Verdict::Ended(Outcome::Unknown(failure)) => unknown(turn, failure, checkpoint),
        Verdict::InDoubt(failure) => doubted(turn, call, failure, checkpoint),
        Verdict::NotMade(failure) => make_again(turn, failure, checkpoint),
        Verdict::Repeat => Err(Rejection::new("a call that is not in doubt cannot be repeated by decision")),
    }
}

/// No attempt with its key had an effect, certainly: try again under a new key, if the policy says so.
pub(super) fn failed(turn: &mut Turn<'_, Task>, failure: Failure, checkpoint: Option<Bytes>) -> Result<(), Rejection> {
    match next(turn, &failure)? {
        Next::In(wait_ms) => {
            turn.emit(&Event::AttemptFailed { failure, wait_ms, checkpoint });
            back_off(turn, wait_ms);
            Ok(())
        }
        Next::TooLate => {
            let failure = deadline::too_late(turn, failure)?;
            gave_up(turn, failure)
        }
        Next::Never => gave_up(turn, failure),
    }
}

/// The tool is idempotent: repeat with the same key, if the policy says so.
fn unknown(turn: &mut Turn<'_, Task>, failure: Failure, checkpoint: Option<Bytes>) -> Result<(), Rejection> {
    match next(turn, &failure)? {
        Next::In(wait_ms) => {
            turn.emit(&Event::AttemptUnknown { failure, wait_ms, checkpoint });
            back_off(turn, wait_ms);
            Ok(())
        }
        Next::TooLate => {
            let failure = deadline::too_late(turn, failure)?;
            unknown_for_good(turn, failure, checkpoint)
        }
        Next::Never => unknown_for_good(turn, failure, checkpoint),
    }
}

/// It certainly had no effect this time, and nobody knows what became of an attempt before it that had the same key: a new
/// key could be a second effect, and so could a fallback. Where neither is to come, what the tool said last is what the
/// task ends with, wherever a process died before.
fn refused(turn: &mut Turn<'_, Task>, failure: Failure, checkpoint: Option<Bytes>) -> Result<(), Rejection> {
    let is_last = matches!(next(turn, &failure)?, Next::Never);
    if turn.state().overdue || fallback(turn)?.is_some() || !is_last {
        return unknown(turn, failure, checkpoint);
    }
    gave_up(turn, failure)
}

/// It is not repeated: a rule counts it as failed, or it is in doubt.
pub(super) fn unknown_for_good(
    turn: &mut Turn<'_, Task>,
    failure: Failure,
    checkpoint: Option<Bytes>,
) -> Result<(), Rejection> {
    let job = job(turn)?;
    let ordered = ordered(turn, &job)?;
    match ordered.means(turn)?.in_doubt {
        InDoubt::Fail => gave_up(turn, failure),
        InDoubt::Hold | InDoubt::Repeat => {
            let request = request(turn, &ordered, &job, turn.state().attempt)?;
            let call = turn.hold(request, failure.clone());
            turn.emit(&Event::Doubted { call, checkpoint, failure });
            Ok(())
        }
    }
}

/// The tool at hand is not called again, and what it did counts as nothing: the next fallback is called, or the task has
/// failed.
fn gave_up(turn: &mut Turn<'_, Task>, failure: Failure) -> Result<(), Rejection> {
    if turn.state().stopping {
        return end(turn, End::Stopped);
    }
    if turn.state().overdue {
        let failure = match &*failure.class {
            "deadline" => failure,
            _ => deadline::failure(turn, Some(failure))?,
        };
        return end(turn, End::Failed(failure));
    }
    match fallback(turn)? {
        Some((to, tool)) => {
            turn.emit(&Event::FellBack { to, tool, failure });
            again(turn)
        }
        None => end(turn, End::Failed(failure)),
    }
}

/// The fallback that comes next, and its tool.
fn fallback(turn: &Turn<'_, Task>) -> Result<Option<(u32, String)>, Rejection> {
    let to = turn.state().at + 1;
    Ok(ordered(turn, &job(turn)?)?.task().means(to).map(|means| (to, means.tool.clone())))
}

fn back_off(turn: &mut Turn<'_, Task>, wait_ms: u64) {
    turn.count(&RETRY, "", 1);
    turn.timer(BACKOFF, wait_ms);
}

/// What comes after an attempt that was not done.
enum Next {
    /// Another, after so many milliseconds.
    In(u64),
    /// Another would come, and the time that all attempts have together is over by then.
    TooLate,
    /// No other.
    Never,
}

fn next(turn: &Turn<'_, Task>, failure: &Failure) -> Result<Next, Rejection> {
    let ordered = ordered(turn, &job(turn)?)?;
    let (retry, attempt) = (&ordered.means(turn)?.retry, turn.state().attempt);
    if turn.state().tries_no_more() || attempt >= retry.max_attempts || !retry.covers(&failure.class) {
        return Ok(Next::Never);
    }
    let wait_ms = retry.wait_ms(attempt, turn.random(0)).max(failure.retry_after_ms.unwrap_or(0));
    let is_late = deadline::left_ms(turn, &ordered).is_some_and(|left_ms| wait_ms >= left_ms);
    Ok(if is_late { Next::TooLate } else { Next::In(wait_ms) })
}

fn doubted(
    turn: &mut Turn<'_, Task>,
    call: CallId,
    failure: Failure,
    checkpoint: Option<Bytes>,
) -> Result<(), Rejection> {
    let rule = ordered(turn, &job(turn)?)?.means(turn)?.in_doubt;
    match rule {
        InDoubt::Fail => {
            turn.settle(call);
            return gave_up(turn, failure);
        }
        InDoubt::Repeat => {
            if let Next::In(wait_ms) = next(turn, &failure)? {
                turn.settle(call);
                turn.emit(&Event::AttemptUnknown { failure, wait_ms, checkpoint });
                back_off(turn, wait_ms);
                return Ok(());
            }
        }
        InDoubt::Hold => {}
    }
    turn.emit(&Event::Doubted { call, checkpoint, failure });
    Ok(())
}

/// Somebody, or a probe, knows better by now.
pub(super) fn decided(turn: &mut Turn<'_, Task>, answer: Answer) -> Result<(), Rejection> {
    match answer.verdict {
        Verdict::Ended(Outcome::Done(output)) => end(turn, End::Done(output)),
        Verdict::Ended(Outcome::Failed(failure) | Outcome::Unknown(failure)) => gave_up(turn, failure),
        Verdict::Repeat if turn.state().tries_no_more() => hold_again(turn),
        Verdict::Repeat => {
            let call = repeat_call(turn)?;
            turn.emit(&Event::Repeated { call });
            Ok(())
        }
        Verdict::InDoubt(_) | Verdict::NotMade(_) | Verdict::Refused(_) => Ok(()),
    }
}
