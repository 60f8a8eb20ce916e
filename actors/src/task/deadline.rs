//! The time that all attempts of a task have together.
//!
//! **Invariant:** what is under way when it is over is asked to stop, and its outcome is awaited; what turns out done is done.
//! An attempt that would come too late is not waited for.

use super::{
    Ordered, attempt, end, job, ordered,
    state::{BACKOFF, DEADLINE, End, Event, SLEEP, Status, Task},
};
use crate::durable::{Failure, Rejection, Turn};

/// It begins with the task.
pub(super) fn begin(turn: &mut Turn<'_, Task>, ordered: &Ordered) {
    if let Some(ms) = ordered.task().deadline_ms {
        turn.timer(DEADLINE, ms);
    }
}

/// How much of it is left, if there is one. Builds that did not write down when a task began do not know.
pub(super) fn left_ms(turn: &Turn<'_, Task>, ordered: &Ordered) -> Option<u64> {
    let until_ms = turn.state().began_ms?.saturating_add(ordered.task().deadline_ms?);
    Some(until_ms.saturating_sub(turn.now_ms()))
}

/// What a tool is given up with whose next attempt would come after the deadline.
pub(super) fn too_late(turn: &Turn<'_, Task>, cause: Failure) -> Result<Failure, Rejection> {
    let ms = ordered(turn, &job(turn)?)?.task().deadline_ms.unwrap_or_default();
    Ok(because(format!("its next attempt would come after its deadline of {ms} ms"), cause))
}

/// It is over: nothing more is tried.
pub(super) fn over(turn: &mut Turn<'_, Task>) -> Result<(), Rejection> {
    turn.emit(&Event::DeadlineOver);
    match turn.state().status {
        Status::Calling(call) => {
            turn.cancel(call);
            Ok(())
        }
        Status::Sleeping { .. } => {
            turn.clear_timer(SLEEP);
            let failure = failure(turn, None)?;
            end(turn, End::Failed(failure))
        }
        Status::Backoff => {
            turn.clear_timer(BACKOFF);
            let (failure, checkpoint) = (failure(turn, None)?, turn.state().checkpoint.clone());
            if turn.state().unsure {
                attempt::unknown_for_good(turn, failure, checkpoint)
            } else {
                end(turn, End::Failed(failure))
            }
        }
        // A call in doubt never times out: a rule or a person decides.
        Status::Doubt(_) | Status::New | Status::Ended => Ok(()),
    }
}

/// What a task fails with whose time is over, and why its last attempt did, where that is known.
pub(super) fn failure(turn: &Turn<'_, Task>, cause: Option<Failure>) -> Result<Failure, Rejection> {
    let ms = ordered(turn, &job(turn)?)?.task().deadline_ms.unwrap_or_default();
    let over = format!("its deadline of {ms} ms is over");
    Ok(match cause {
        Some(cause) => because(over, cause),
        None => Failure::new("deadline", over),
    })
}

fn because(what: String, cause: Failure) -> Failure {
    let message = format!("{what}; its last attempt: {}: {}", cause.class, cause.message);
    Failure { class: "deadline".to_owned(), message, ..cause }
}
